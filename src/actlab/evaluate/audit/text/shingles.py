"""Shingles of texts, which are keys of all runs of n tokens, from words, characters or token ids."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from actlab.evaluate.audit.hash_sample import Keys, mixed

__all__ = ["CHARACTERS", "WORDS", "TokenKind", "Tokens", "patterns", "shingles", "token_kind", "tokens_of"]

TokenKind = Literal["words", "characters", "token ids"]

#: Tokens of a shingle: 5 words, or 12 characters, which is two to three words.
WORDS: Final = 5
CHARACTERS: Final = 12

_CHARACTER_SET: Final = 512  # token ids up to this many are characters or bytes
_LONGEST_WORD: Final = 15  # mean characters; of longer ones the text has no spaces between words
_WORD: Final = re.compile(r"\w+")
_BASE: Final = np.uint64(0x9E3779B97F4A7C15)


class Tokens(NamedTuple):
    """Tokens of several texts, one after the other.

    Attributes:
        keys: of the tokens, uint64, shape (all tokens,).
        owner: number of the text that a token belongs to, ascending, shape (all tokens,).
    """

    keys: Keys
    owner: npt.NDArray[np.int64]


def token_kind(texts: Sequence[Any] | npt.NDArray[Any]) -> TokenKind:
    """Return what the tokens of some texts are.

    Args:
        texts: strings, or rows of token ids.

    Example:
        >>> token_kind(["the cat sat"]), token_kind(["GATTACAGATTACAGATTACAGATTACA"])
        ('words', 'characters')
    """
    if len(texts) and isinstance(texts[0], str):
        words = [len(word) for text in texts[:200] for word in text.split()]
        return "words" if words and sum(words) / len(words) <= _LONGEST_WORD else "characters"
    largest = max((int(np.max(row, initial=0)) for row in texts), default=0)
    return "characters" if largest < _CHARACTER_SET else "token ids"


def tokens_of(texts: Iterable[Any] | npt.NDArray[Any], kind: TokenKind) -> Tokens:
    """Return the tokens of texts: words without regard to case and punctuation, characters, or ids.

    Example:
        >>> tokens = tokens_of(["A cat, a dog"], "words")
        >>> len(tokens.keys), bool(tokens.keys[0] == tokens.keys[2])
        (4, True)
    """
    if isinstance(texts, np.ndarray) and texts.ndim == 2:
        return Tokens(mixed(texts.ravel()), np.repeat(np.arange(len(texts)), texts.shape[1]))
    rows = [_row(text, kind) for text in texts]
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    keys = np.concatenate(rows) if rows else np.empty(0, np.int64)
    return Tokens(mixed(keys), np.repeat(np.arange(len(rows)), lengths))


def _row(text: Any, kind: TokenKind) -> npt.NDArray[np.int64]:
    if not isinstance(text, str):
        return np.asarray(text).ravel().astype(np.int64)
    if kind == "characters":
        return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32).astype(np.int64)
    words = [zlib.crc32(word.encode()) for word in _WORD.findall(text.casefold())]
    return np.array(words, dtype=np.int64)


def shingles(tokens: Tokens, length: int) -> tuple[Keys, npt.NDArray[np.int64]]:
    """Return keys of all runs of ``length`` tokens, and the number of the text of each.

    A text of fewer tokens is one run. Runs of one token over and over, such as padding, are left out.

    Example:
        >>> keys, owner = shingles(tokens_of(["a b c d", "b c d e", "a b"], "words"), 3)
        >>> owner.tolist(), bool(keys[1] == keys[2])
        ([0, 0, 1, 1, 2], True)
    """
    keys, owner = tokens
    count = max(0, len(keys) - length + 1)
    total = np.zeros(count, dtype=np.uint64)
    for place in range(length):
        total = total * _BASE + keys[place : place + count]
    inside = owner[:count] == owner[length - 1 :] if count else np.zeros(0, dtype=bool)
    changes = np.cumsum(np.concatenate([[0], keys[1:] != keys[:-1]])) if len(keys) else np.zeros(0, np.int64)
    varied = changes[:count] != changes[length - 1 :] if count else inside
    kept = inside & varied if length > 1 else inside
    short, of = _short_texts(keys, owner, length)
    found = np.concatenate([mixed(total[kept]), short])
    texts = np.concatenate([owner[:count][kept], of])
    order = np.argsort(texts, kind="stable")
    return found[order], texts[order]


def _short_texts(keys: Keys, owner: npt.NDArray[np.int64], length: int) -> tuple[Keys, npt.NDArray[np.int64]]:
    """Return one key for each text of 1 to ``length - 1`` tokens."""
    if not len(owner):
        return np.empty(0, np.uint64), owner
    texts, begins, counts = np.unique(owner, return_index=True, return_counts=True)
    found, of = [], []
    for text, begin, count in zip(texts, begins, counts, strict=True):
        if count < length:
            total = np.uint64(count)
            with np.errstate(over="ignore"):
                for key in keys[begin : begin + count]:
                    total = total * _BASE + key
            found.append(total)
            of.append(text)
    return mixed(np.array(found, dtype=np.uint64)), np.array(of, dtype=np.int64)


def patterns(tokens: Tokens, length: int) -> tuple[Keys, npt.NDArray[np.int64]]:
    """Return keys of runs of ``length`` tokens that say only where tokens are equal, and the number of the text of each.

    Two runs have equal keys if one becomes the other when each token is replaced by one of its own, as between a text and the numbers of
    its characters in any vocabulary.

    Example:
        >>> tokens = tokens_of(["hello", "12334", "world"], "characters")
        >>> keys, owner = patterns(tokens, 5)
        >>> (keys == keys[0]).tolist()
        [True, True, False]
    """
    keys, owner = tokens
    count = max(0, len(keys) - length + 1)
    order = np.lexsort((np.arange(len(keys)), keys))
    gaps = np.zeros(len(keys), dtype=np.int64)
    same = keys[order][1:] == keys[order][:-1]
    gaps[order[1:][same]] = (order[1:] - order[:-1])[same]
    total = np.zeros(count, dtype=np.uint64)
    for place in range(length):  # how far back the same token is, if that is inside the run
        gap = gaps[place : place + count]
        total = total * _BASE + mixed(np.where(gap <= place, gap, 0))
    inside = owner[:count] == owner[length - 1 :] if count else np.zeros(0, dtype=bool)
    return mixed(total[inside]), owner[:count][inside]
