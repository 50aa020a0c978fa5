"""Text of tiny Shakespeare, its characters as numbers, and its speeches by play and passage.

The text is 1,115,394 characters of nine plays by William Shakespeare, in the public domain, as published with char-rnn
(https://github.com/karpathy/char-rnn, ``data/tinyshakespeare/input.txt``) and used by nanoGPT. It is shipped with the package, compressed.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import accumulate, pairwise

import torch
from torch import Tensor

__all__ = ["PLAYS", "Speech", "characters", "passages", "speeches", "text"]

#: Titles of the plays in the order of the text, each with the number of its first speech. The Tempest breaks off.
PLAYS: tuple[tuple[str, int], ...] = (
    ("Coriolanus", 0),
    ("Richard III", 1107),
    ("Richard II", 2196),
    ("Romeo and Juliet", 2750),
    ("Henry VI, Part 3", 3590),
    ("The Winter's Tale", 4403),
    ("Measure for Measure", 5149),
    ("The Taming of the Shrew", 6046),
    ("The Tempest", 6939),
)
_NEIGHBOURS = 6  # speeches before and after a change of scene


@dataclass(frozen=True, kw_only=True)
class Speech:
    """What one character says at a time.

    Attributes:
        speaker: as printed before the speech, such as "First Citizen".
        words: the speech without the name of its speaker.
        play: number of the play, from 0 to 8, as in :data:`PLAYS`.
        passage: number of the passage, see :func:`passages`.
    """

    speaker: str
    words: str
    play: int
    passage: int


@lru_cache(maxsize=1)
def text() -> str:
    """Return the text, 1,115,394 characters.

    Example:
        >>> len(text()), text()[:14]
        (1115394, 'First Citizen:')
    """
    return gzip.decompress((files(__package__) / "tinyshakespeare.txt.gz").read_bytes()).decode("ascii")


@lru_cache(maxsize=1)
def characters() -> tuple[Tensor, str]:
    """Return the text as numbers of characters, int64, shape (1115394,), and the 65 characters in the order of their numbers.

    Example:
        >>> numbers, alphabet = characters()
        >>> len(alphabet), "".join(alphabet[number] for number in numbers[:5])
        (65, 'First')
    """
    codes = torch.frombuffer(bytearray(text().encode("ascii")), dtype=torch.uint8).long()
    alphabet = codes.bincount().nonzero().flatten()
    return torch.searchsorted(alphabet, codes), "".join(map(chr, alphabet.tolist()))


def passages(speakers: list[str]) -> list[int]:
    """Return the number of each speech's passage in a play, which is one scene or several that follow each other.

    The text has no marks of scenes. A passage ends where none of the last six speakers is among the next six; not at several such places
    in a row, of which it is unknown where the scene ends.

    Args:
        speakers: of all speeches of the play, in order.

    Example:
        >>> passages(["A", "B"] * 4 + ["C", "D"] * 4)
        [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]
    """
    places = range(_NEIGHBOURS, len(speakers) - _NEIGHBOURS + 1)
    changes = {
        place
        for place in places
        if not set(speakers[place - _NEIGHBOURS : place]) & set(speakers[place : place + _NEIGHBOURS])
    }
    ends = [place in changes and not changes & {place - 1, place + 1} for place in range(len(speakers))]
    return list(accumulate(ends, initial=0))[1:]


@lru_cache(maxsize=1)
def speeches() -> tuple[Speech, ...]:
    """Return the 7,222 speeches in order.

    Example:
        >>> first = speeches()[0]
        >>> first.speaker, first.words
        ('First Citizen', 'Before we proceed any further, hear me speak.')
    """
    parts = [part.strip("\n").partition("\n") for part in text().split("\n\n")]
    found, passage = list[Speech](), 0
    for play, (start, end) in enumerate(pairwise([*(start for _, start in PLAYS), len(parts)])):
        numbers = passages([speaker for speaker, _, _ in parts[start:end]])
        found += [
            Speech(speaker=speaker.rstrip(":"), words=words, play=play, passage=passage + number)
            for (speaker, _, words), number in zip(parts[start:end], numbers, strict=True)
        ]
        passage += numbers[-1] + 1
    return tuple(found)
