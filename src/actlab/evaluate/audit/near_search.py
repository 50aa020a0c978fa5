"""Search for near duplicates and for reference text by the kind of a task's inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from actlab.errors import TaskError
from actlab.evaluate.audit.example_stream import SPLITS, Examples, Part
from actlab.evaluate.audit.finding import Finding
from actlab.evaluate.audit.hash_sample import Keys
from actlab.evaluate.audit.neighbours.descriptors import Descriptor
from actlab.evaluate.audit.neighbours.near_duplicates import NearDuplicates
from actlab.evaluate.audit.neighbours.ragged import EvenSizes
from actlab.evaluate.audit.text.reference_overlap import ReferenceFile, ReferenceOverlap
from actlab.evaluate.audit.text.shared_text import SharedText
from actlab.evaluate.audit.text.shingles import CHARACTERS, WORDS, TokenKind, shingles, token_kind, tokens_of
from actlab.evaluate.input_kind import InputKind
from actlab.system.name_list import listed

__all__ = ["NearSearch"]

_SHINGLES: Final = 2**21
_RUNS: Final = 2**21
_FIRST: Final = 1024  # examples from which scales are taken
_TOGETHER: Final = 128  # examples that are compared at once, where batches are smaller
_WHAT: Final[Mapping[str, str]] = {
    "image": ", equal but for brightness, contrast, a small shift or noise",
    "series": ", far nearer than its other neighbours",
    "table": ", far nearer than its other neighbours: rounded, or of one source",
}


class NearSearch:
    """Search by the part of the inputs that says most: text, else an image, a series, or the columns of a table.

    Args:
        kinds: of the parts of the inputs, known from the first batch on.
        queries: largest number of examples of a split whose near duplicates are searched.
        rate: chance of any report in data without near duplicates.
        reference: file of reference text, or None.
        splits: whose near duplicates are searched.
    """

    def __init__(
        self,
        kinds: Mapping[str, InputKind],
        *,
        queries: int,
        rate: float,
        reference: str | Path | None = None,
        splits: Sequence[str] = SPLITS,
    ) -> None:
        self.kinds, self.unchecked = kinds, {}  # type: Mapping[str, InputKind], dict[str, str]
        self._points = NearDuplicates(queries, rate=rate, splits=splits)
        self._texts = SharedText(_SHINGLES, rate=rate)
        self._reference = None if reference is None else ReferenceFile(reference)
        self._overlap: ReferenceOverlap | None = None
        self._descriptor: Descriptor | None = None
        self._sizes: EvenSizes | None = None
        self._waiting: list[tuple[str, Any, npt.NDArray[np.int64], Keys, npt.NDArray[np.int64]]] = []
        self._tokens: TokenKind | None = None

    @property
    def share(self) -> float:
        """Smallest share of what was compared."""
        return min(self._points.share, self._texts.share)

    def add(self, examples: Examples, keys: Keys, targets: npt.NDArray[np.int64]) -> None:
        """Enter a batch with the key of each example's inputs and target, shape (n,)."""
        kind, values = self._part(examples.parts)
        if self._reference is not None and kind != "text":
            raise TaskError(
                f"A reference text is searched for text, and the inputs are of the kind {kind}. Leave out against, or say "
                "input_kind = 'text' in the task."
            )
        if kind == "text":
            self._add_text(examples, values, keys)
        elif "near duplicates" not in self.unchecked:
            self._add_points(kind, examples, values, keys, targets)

    def _part(self, parts: Mapping[str, Part]) -> tuple[InputKind, Part]:
        """Return the kind and the values by which examples are compared."""
        for kind in ("text", "image", "series"):
            of_kind = [values for name, values in parts.items() if self.kinds[name] == kind]
            if of_kind:
                return kind, max(of_kind, key=_size)
        columns = [v.reshape(len(v), -1) for v in parts.values() if isinstance(v, np.ndarray)]
        if not columns:
            return "table", next(iter(parts.values()))
        return "table", columns[0] if len(columns) == 1 else np.concatenate(columns, axis=1)

    def _add_text(self, examples: Examples, values: Part, keys: Keys) -> None:
        self._tokens = self._tokens or token_kind(values)
        if isinstance(values, np.ndarray):
            values = values.reshape(len(values), -1)
        tokens = tokens_of(values, self._tokens)
        length = CHARACTERS if self._tokens == "characters" else WORDS
        self._texts.add(examples.split, *shingles(tokens, length), texts=len(values), exact=keys)
        if self._reference is not None and examples.split == "test":
            if self._overlap is None:
                longest = int(np.bincount(tokens.owner).max(initial=0))
                is_text = isinstance(values[0], str)
                self._overlap = self._reference.overlap(_RUNS, self._tokens, longest=longest, is_text=is_text)
            self._overlap.add(tokens, texts=len(values))

    def _add_points(
        self, kind: InputKind, examples: Examples, values: Any, keys: Keys, targets: npt.NDArray[np.int64]
    ) -> None:
        self._waiting.append((examples.split, values, examples.indices, keys, targets))
        waiting = sum(len(part[1]) for part in self._waiting)
        if waiting >= (_FIRST if self._descriptor is None else _TOGETHER):
            self._flush(kind)

    def _flush(self, kind: InputKind) -> None:
        """Enter the waiting batches; the first of them tell whether examples are of several sizes, and the scales."""
        waiting, self._waiting = self._waiting, []
        if self._descriptor is None and _differ([values for _, values, *_ in waiting]):
            self._sizes = EvenSizes(is_image=kind == "image") if kind in {"series", "image"} else None
            if self._sizes is None:
                self.unchecked["near duplicates"] = "the examples are of several lengths"
                return
        all_values = []
        for _, values, *_ in waiting:
            even = values if self._sizes is None else self._sizes(list(values))
            if even is None or isinstance(even, list):
                self.unchecked["near duplicates"] = "the examples differ in more than their length"
                return
            all_values.append(even)
        if self._descriptor is None:
            is_even = len({values.shape[1:] for values in all_values}) == 1
            self._descriptor = Descriptor(kind, np.concatenate(all_values) if is_even else all_values[0])
        if self._descriptor.why_not:
            self.unchecked["near duplicates"] = self._descriptor.why_not
            return
        all_points = [self._descriptor(values) for values in all_values]
        if any(points is None for points in all_points):
            self.unchecked["near duplicates"] = "the examples are of several shapes"
            return
        for split, group in groupby(zip(waiting, all_points, strict=True), key=lambda pair: pair[0][0]):
            batches, points = zip(*group, strict=True)
            index, found, targets = (np.concatenate(part) for part in list(zip(*batches, strict=True))[2:])
            self._points.add(split, np.concatenate(points), index=index, keys=found, targets=targets)

    def reports(self, *, has_classes: bool, progress: Callable[[str], None]) -> Iterator[Finding]:
        """Yield what was found."""
        progress("near duplicates")
        main = next((kind for kind in ("text", "image", "series") if kind in self.kinds.values()), "table")
        if self._waiting and "near duplicates" not in self.unchecked:
            self._flush(main)  # type: ignore[arg-type] # one of the kinds
        if main == "text":
            yield from self._texts.reports()
            self.unchecked |= self._texts.why_not
        elif "near duplicates" not in self.unchecked:
            yield from self._points.reports(has_classes=has_classes, is_image=main == "image", what=_WHAT[main])
        if self._reference is not None and self._overlap is not None and self._tokens is not None:
            progress(f"reading {listed([self._reference.path.name])}")
            for piece in self._reference.pieces(self._tokens):
                self._overlap.read(piece)
            yield from self._overlap.reports(self._reference.path.name, split="test")


def _size(values: Part) -> int:
    return values[0].size if isinstance(values, np.ndarray) else sum(len(value) for value in values)


def _differ(batches: Sequence[Any]) -> bool:
    """Return whether examples are given one by one, or batches have examples of several shapes."""
    return any(isinstance(values, list) for values in batches) or len({values.shape[1:] for values in batches}) > 1
