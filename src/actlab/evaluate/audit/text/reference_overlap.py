"""Test examples whose runs of tokens occur in reference texts, such as those of a pre-training."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from actlab.errors import TaskError, did_you_mean
from actlab.evaluate.audit.finding import EXAMPLES_SHOWN, Finding
from actlab.evaluate.audit.hash_sample import HashSample, Keys
from actlab.evaluate.audit.text.shingles import TokenKind, Tokens, patterns, shingles, tokens_of
from actlab.system.plural import plural

__all__ = ["ReferenceFile", "ReferenceOverlap"]

Runs = Callable[[Tokens, int], tuple[Keys, npt.NDArray[np.int64]]]

#: Share of its runs from which on an example is taken to be in the reference.
_HALF: Final = 0.5
_PIECE: Final = 2**20  # characters or token ids that are read at once
_OVERLAP: Final = 1024  # of two pieces, more than any run has
_IDS: Final = {".npy", ".bin"}
#: Tokens of a run: long enough that texts about one thing do not share half of them by chance.
_LENGTHS: Final[dict[TokenKind, int]] = {"words": 8, "characters": 32, "token ids": 13}


class ReferenceOverlap:
    """Search for test examples whose runs of tokens occur in reference texts, such as those of a pre-training.

    The reference is read once, in pieces; kept are at most ``capacity`` runs of the examples, of more a sample by key.

    Args:
        capacity: largest number of runs.
        length: tokens of a run.
        runs: :func:`~actlab.evaluate.audit.text.shingles.shingles`, or ``patterns`` where the reference has other tokens.

    Example:
        >>> from actlab.evaluate.audit.text.shingles import shingles, tokens_of
        >>> search = ReferenceOverlap(1000, length=4, runs=shingles)
        >>> search.add(tokens_of(["one two three four five", "six seven eight nine ten"], "words"), texts=2)
        >>> search.read(tokens_of(["zero one two three four five six"], "words"))
        >>> [report.examples for report in search.reports("corpus.txt", split="test")]
        [(0,)]
    """

    def __init__(self, capacity: int, *, length: int, runs: Runs) -> None:
        self.length, self._runs = length, runs
        self._sample = HashSample(capacity, "index")
        self.texts = 0
        self._wanted: Keys | None = None
        self._met = np.zeros(0, dtype=bool)

    def add(self, tokens: Tokens, *, texts: int) -> None:
        """Enter the tokens of some examples, before the reference is read."""
        keys, owner = self._runs(tokens, self.length)
        self._sample.add(keys, index=self.texts + owner)
        self.texts += texts

    def read(self, tokens: Tokens) -> None:
        """Read a piece of the reference."""
        if self._wanted is None:
            self._wanted = np.unique(self._sample.column("key"))
            self._met = np.zeros(len(self._wanted), dtype=bool)
        keys, _ = self._runs(tokens, self.length)
        place = np.minimum(np.searchsorted(self._wanted, keys), max(0, len(self._wanted) - 1))
        if len(self._wanted):
            self._met[place[self._wanted[place] == keys]] = True

    def reports(self, name: str, *, split: str) -> Iterator[Finding]:
        """Yield what was found of the examples of a split in the reference of a name."""
        if self._wanted is None or not len(self._wanted):
            return
        index = self._sample.column("index")
        met = self._met[np.searchsorted(self._wanted, self._sample.column("key"))]
        texts, owner, number = np.unique(index, return_inverse=True, return_counts=True)
        share = np.bincount(owner, weights=met) / number
        near = np.nonzero(share >= _HALF)[0]
        if not len(near):
            return
        ranked = texts[near[np.argsort(-share[near], kind="stable")]]
        yield Finding(
            kind="contamination",
            splits=(split,),
            count=len(near),
            share=len(near) / self.texts,
            examples=tuple(ranked[:EXAMPLES_SHOWN].tolist()),
            sentence=f"{len(near):,} of {plural(self.texts, f'{split} example')} {'is' if len(near) == 1 else 'are'} in {name}: "
            f"{_HALF:.0%} or more of their runs of {self.length} tokens.",
            remedy="Judge the model on other examples, or on the rest only: what it was trained on says nothing about new text.",
            estimated=self._sample.share < 1,
        )


class ReferenceFile:
    """File of reference text, which is read in pieces of a million characters.

    Args:
        path: of a text in UTF-8, also compressed (.gz), or of token ids: a .npy of whole numbers, or a .bin of unsigned 16-bit numbers.

    Raises:
        TaskError: there is no such file, or it is empty.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "corpus.txt"
        >>> _ = file.write_text("to be or not to be")
        >>> [len(tokens.keys) for tokens in ReferenceFile(file).pieces("words")]
        [6]
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        if not self.path.is_file():
            folder = self.path.parent
            files = sorted(file.name for file in folder.glob("*") if file.is_file()) if folder.is_dir() else []
            what = "is a folder" if self.path.is_dir() else "does not exist"
            raise TaskError(
                f"The reference {self.path} {what}; a file of text is needed (.txt, .jsonl, .gz, ...), or of token ids (.npy, .bin)."
                f"{did_you_mean(self.path.name, files)}"
            )
        if not self.path.stat().st_size:
            raise TaskError(f"The reference {self.path} is empty; a file of text or of token ids is needed.")

    @property
    def has_ids(self) -> bool:
        """Whether it has token ids."""
        return self.path.suffix in _IDS

    def overlap(self, capacity: int, kind: TokenKind, *, longest: int, is_text: bool) -> ReferenceOverlap:
        """Return the search for examples in this file.

        Args:
            capacity: largest number of runs that are kept.
            kind: what tokens of the examples are.
            longest: tokens of the longest example of a batch; a run has half as many at most.
            is_text: whether the examples are texts, and not numbers of tokens.

        Raises:
            TaskError: the file has tokens of another kind than the examples.
        """
        if is_text and self.has_ids:
            raise TaskError(
                f"The reference {self.path} has token ids, and the task's inputs are texts; a file of text is needed."
            )
        if kind == "token ids" and not self.has_ids:
            raise TaskError(
                f"The reference {self.path} is text, and the task's inputs are token ids of a vocabulary that only the task knows. Encode "
                "the reference with the same tokenizer, and give the ids: numpy.save('reference.npy', ids)."
            )
        as_patterns = not is_text and not self.has_ids
        length = max(2, min(_LENGTHS[kind], longest // 2))
        return ReferenceOverlap(capacity, length=length, runs=patterns if as_patterns else shingles)

    def pieces(self, kind: TokenKind) -> Iterator[Tokens]:
        """Yield the tokens of the file, piece by piece, each beginning with the end of the one before.

        Raises:
            TaskError: the file cannot be read.
        """
        try:
            yield from (tokens_of([piece], kind) for piece in (self._ids() if self.has_ids else self._texts()))
        except (OSError, ValueError, EOFError) as error:
            raise TaskError(f"The reference {self.path} cannot be read: {error}.") from error

    def _ids(self) -> Iterator[npt.NDArray[Any]]:
        if self.path.suffix == ".npy":
            ids = np.load(self.path, mmap_mode="r", allow_pickle=False).reshape(-1)
        else:
            ids = np.memmap(self.path, dtype=np.uint16, mode="r")
        if ids.dtype.kind not in "iu":
            raise TaskError(
                f"The reference {self.path} holds {ids.dtype}; whole numbers are needed, the ids of tokens."
            )
        for start in range(0, len(ids), _PIECE):
            yield np.asarray(ids[max(0, start - _OVERLAP) : start + _PIECE])

    def _texts(self) -> Iterator[str]:
        opened: Any = gzip.open if self.path.suffix == ".gz" else open
        with opened(self.path, "rt", encoding="utf-8", errors="replace", newline="") as file:
            before = ""
            while piece := file.read(_PIECE):
                yield before + piece
                before = piece[-_OVERLAP:]
