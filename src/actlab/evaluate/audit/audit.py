"""Audit of a task's data in one pass, with all checks and their settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from actlab.errors import PlanError, TaskError, did_you_mean
from actlab.evaluate.audit.class_balance import balance_reports
from actlab.evaluate.audit.duplicates import ExactDuplicates, example_keys, part_keys
from actlab.evaluate.audit.example_stream import SPLITS, Examples, ExampleStream
from actlab.evaluate.audit.feature_leaks import class_scores, constant_columns, id_columns, leak_reports, number_scores
from actlab.evaluate.audit.finding import DataAudit, Finding
from actlab.evaluate.audit.label_errors import (
    find_label_issues,
    given_probabilities,
    label_error_reports,
    predicted_probabilities,
)
from actlab.evaluate.audit.near_search import NearSearch
from actlab.evaluate.audit.row_sample import RowSample, chance_of_equal_rows
from actlab.evaluate.audit.split_order import GroupSplit, TimeOrder
from actlab.evaluate.audit.targets import TargetReader
from actlab.evaluate.input_kind import INPUT_KINDS
from actlab.system.display import shown_count
from actlab.system.options import from_options
from actlab.system.plural import plural
from actlab.tasks.checks.check import check_axis_settings
from actlab.tasks.data import Data
from actlab.tasks.isolation import isolated, one_thread
from actlab.tasks.registry import TaskSource, resolve
from actlab.tasks.task import Task, load_data
from actlab.tasks.task_file import run_file
from actlab.tasks.user_code import user_code

__all__ = ["AuditOptions", "AuditSettings", "audit"]

Progress = Callable[[int, int, str], None]
Column = int | str | Callable[[Any, Any], Any] | None

#: Records that are kept at most; of more examples, a sample. Together they take up to about 300 MB.
EXACT: Final = 2**20
ORDERED: Final = 2**19
_FEWEST_OF_CLASS: Final = 5  # examples, for five folds


class AuditOptions(TypedDict, total=False):
    """Keyword options of :func:`audit`; see :class:`AuditSettings`."""

    seed: int
    against: str | Path | None
    label_errors: bool
    predictions: Mapping[str, Any] | None
    error_rate: float
    queries: int
    limit: int | None
    groups: Column
    times: Column
    input_kind: str | None


@dataclass(frozen=True, kw_only=True)
class AuditSettings:
    """Settings of :func:`audit`.

    Attributes:
        seed: for ``data(seed)`` of the task.
        against: file of reference text, such as that of a pre-training, in which test examples are searched: text, or token ids as
            .npy or .bin.
        label_errors: whether cleanlab looks for wrong labels.
        predictions: out-of-sample probabilities of the classes by split, shape (examples, classes), for ``label_errors``; without them,
            those of a standard classifier of scikit-learn.
        error_rate: chance that a check reports anything in data without a fault, in (0, 0.5).
        queries: largest number of test and of validation examples whose near duplicates are searched; of more, a sample. A quarter as
            many of the training examples.
        limit: largest number of examples of each split that are read, or None for all.
        groups: in the place of the task's own ``groups``, as there.
        times: in the place of the task's own ``times``.
        input_kind: in the place of the task's own ``input_kind``.

    Raises:
        PlanError: a value is out of range.
    """

    seed: int = 0
    against: str | Path | None = None
    label_errors: bool = False
    predictions: Mapping[str, Any] | None = None
    error_rate: float = 0.01
    queries: int = 20_000
    limit: int | None = None
    groups: Column = None
    times: Column = None
    input_kind: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise PlanError(f"seed is {self.seed!r}; a whole number from 0 up is needed.")
        if not isinstance(self.error_rate, int | float) or not 0 < self.error_rate < 0.5:
            raise PlanError(
                f"error_rate is {self.error_rate!r}; a number above 0 and below 0.5 is needed, such as 0.01."
            )
        for name in ("queries", "limit"):
            value = getattr(self, name)
            is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 1
            if not is_count and not (name == "limit" and value is None):
                raise PlanError(f"{name} is {value!r}; a whole number from 1 up is needed.")
        if self.input_kind is not None and self.input_kind not in INPUT_KINDS:
            near = did_you_mean(str(self.input_kind), INPUT_KINDS)
            raise PlanError(f"input_kind is {self.input_kind!r}; allowed are {', '.join(INPUT_KINDS)}.{near}")
        if self.predictions is not None and not (
            isinstance(self.predictions, Mapping) and set(self.predictions) <= set(SPLITS)
        ):
            raise PlanError(
                f"predictions must be a dict of arrays by split ({', '.join(SPLITS)}), got {type(self.predictions).__name__}."
            )


def audit(
    source: str | Path | Task | TaskSource | Data | Any,
    *,
    progress: Progress | bool | None = None,
    settings: AuditSettings | None = None,
    **options: Unpack[AuditOptions],
) -> DataAudit:
    """Search a task's data for faults that make a comparison wrong: duplicates, leaks, wrong labels, wrong splits and imbalance.

    Every example is read once, and what is kept of it is bounded (about 300 MB), so that data may be larger than memory.

    Args:
        source: a task (its name, a file or a :class:`Task`), a Python file that defines only ``data``, or data in a form that
            ``data(seed)`` may return: :class:`Data`, ``{"train": (x, y), "test": (x, y)}``, or datasets or loaders in the place of
            ``(x, y)``.
        progress: called with the number of examples read, the number of all and what is done. By default a display on a terminal or in a
            notebook, and nothing elsewhere; True for a display everywhere, on stderr; False for none.
        settings: see :class:`AuditSettings`.
        options: single settings, such as ``against="corpus.txt"`` or ``groups=lambda x, y: x[:, 0]``.

    Returns:
        Findings and notes with examples and what to do.

    Raises:
        ActlabError: the data cannot be read, or a setting is wrong.

    Example:
        >>> import torch
        >>> x = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
        >>> y = (x.sum(1) > 0).long()
        >>> found = audit({"train": (x[:200], y[:200]), "test": (x[190:], y[190:])})
        >>> [(finding.kind, finding.count) for finding in found.findings]
        [('exact duplicates', 10)]
    """
    chosen = from_options(AuditSettings, settings, options)
    if chosen.label_errors:
        find_label_issues()  # told before anything is read
    task = _task(source, chosen)
    with shown_count(progress, "examples") as callback, one_thread(), isolated(chosen.seed):
        with user_code(f"data({chosen.seed}) of the task {task.name}"):
            data = load_data(task, chosen.seed)
        return _Audit(task, data, chosen, callback or (lambda *_: None)).run()


def _task(source: Any, chosen: AuditSettings) -> Task:
    """Return the task whose data are audited, with the settings that stand in the place of its own."""
    if isinstance(source, str | Path | Task) or callable(getattr(source, "to_task", None)):
        task = _resolved(source)
    else:
        task = _task_of_data("the data", lambda seed: source)  # noqa: ARG005 # the same for every seed
    if not task.has_data:
        raise TaskError(
            f"{task.name} trains by its own {'script' if task.door == 'script' else 'function'}, which keeps its data to itself. Define "
            "data(seed) beside it, or give the splits in Python: actlab.audit({'train': (x, y), 'test': (x_test, y_test)})."
        )
    given = {name: getattr(chosen, name) for name in ("groups", "times", "input_kind")}
    found = replace(task, **{name: value for name, value in given.items() if value is not None})
    check_axis_settings(found)
    return found


def _resolved(source: Any) -> Task:
    try:
        return resolve(source)
    except TaskError:
        if isinstance(source, Task) or not str(source).endswith(".py") or not Path(source).is_file():
            raise
        namespace = run_file(Path(source))
        if "model" in namespace or not callable(namespace.get("data")):
            raise
        given = {name: namespace[name] for name in ("groups", "times", "input_kind") if name in namespace}
        return replace(_task_of_data(Path(source).stem, namespace["data"]), **given)


def _task_of_data(name: str, data: Callable[[int], Any]) -> Task:
    def absent(*_: Any) -> Any:
        raise TaskError(f"{name} is data only.")

    return Task(name=name, model=absent, data=data, loss=absent, metric=absent, metric_name="none")


class _Audit:
    """One audit: reads all examples, then asks every check what it found."""

    def __init__(self, task: Task, data: Data, chosen: AuditSettings, progress: Progress) -> None:
        self.task, self.chosen, self._progress = task, chosen, progress
        self.stream = ExampleStream(task, data, chosen.limit)
        self.targets, self.exact, self.rows = TargetReader(), ExactDuplicates(EXACT), RowSample()
        self.near = NearSearch(
            self.stream.kinds, queries=chosen.queries, rate=chosen.error_rate, reference=chosen.against
        )
        self.times, self.groups = TimeOrder(ORDERED), GroupSplit(ORDERED)
        self.unchecked: dict[str, str] = {}

    def run(self) -> DataAudit:
        """Read the examples and return what was found."""
        read = 0
        total = self.stream.expected
        for examples in self.stream.batches():
            self._add(examples)
            read += len(examples)
            self._progress(read, max(read, total) + 1, examples.split)
        steps = [self._reports_of_pairs, self._reports_of_features, self._reports_of_splits]
        steps += [self._reports_of_labels] if self.chosen.label_errors else []
        reports = [report for step in steps for report in step(read)]
        reports.sort(key=lambda report: report.severity)
        self._progress(read, read, "done")
        return DataAudit(
            name=self.task.name,
            sizes={name: self.exact.sizes[name] for name in reversed(SPLITS) if self.exact.sizes[name]},
            kinds=dict(self.stream.kinds),
            reports=tuple(reports),
            unchecked={**self._unchecked(), **self.unchecked, **self.near.unchecked},
            error_rate=self.chosen.error_rate,
            sampled=self._sampled(),
        )

    def _add(self, examples: Examples) -> None:
        keys = example_keys(examples)
        target = np.zeros(len(examples), dtype=np.int64)
        if examples.target is not None:
            target = part_keys(examples.target).view(np.int64)
        self.exact.add(examples, keys, target)
        self.near.add(examples, keys, target)
        targets = self.targets.read(examples.split, examples.target)
        if "text" not in self.stream.kinds.values():
            self.rows.add(examples, targets)
        self.times.add(examples)
        self.groups.add(examples)

    def _reports_of_pairs(self, read: int) -> Iterator[Finding]:
        self._progress(read, read + 1, "duplicates")
        has_classes = self.targets.has_classes
        yield from self.exact.reports(has_classes=has_classes, chance=lambda pairs: self._chance(pairs, read))
        yield from self.near.reports(
            has_classes=has_classes, progress=lambda what: self._progress(read, read + 1, what)
        )

    def _chance(self, pairs: int, total: int) -> float:
        if any(kind != "table" for kind in self.stream.kinds.values()) or self.rows.why_not:
            return 0.0
        return chance_of_equal_rows(self._all_rows()[0], pairs, total)

    def _all_rows(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
        parts = [self.rows.of(split)[:2] for split in SPLITS]
        rows, targets = zip(*(part for part in parts if len(part[0])), strict=True)
        return np.concatenate(rows), np.concatenate(targets)

    def _reports_of_features(self, read: int) -> Iterator[Finding]:
        kinds = set(self.stream.kinds.values())
        why_not = "text has none" if "text" in kinds else self.rows.why_not
        if why_not:
            self.unchecked["leaking features"] = why_not
            return
        rows, targets = self._all_rows()
        known = np.isfinite(targets)

        def progress(done: int, total: int) -> None:
            self._progress(read, read + 1, f"feature {done} of {total}")

        scores = []
        if not known.any():
            self.unchecked["leaking features"] = "targets are no classes or numbers"
        elif self.targets.has_classes:
            scores = class_scores(rows[known], targets[known], rate=self.chosen.error_rate, progress=progress)
        elif self.targets.kind == "number":
            scores = number_scores(rows[known], targets[known], progress=progress)
        yield from leak_reports(scores, self.rows.names, examples=int(known.sum()))
        if kinds == {"table"}:
            yield from _reports_of_columns(rows, self.rows.names, read)

    def _reports_of_splits(self, read: int) -> Iterator[Finding]:
        self._progress(read, read + 1, "splits")
        yield from self.times.reports()
        yield from self.groups.reports()
        if self.targets.has_classes:
            yield from balance_reports(self.targets.counts, self.targets.names)

    def _reports_of_labels(self, read: int) -> Iterator[Finding]:
        given = self.chosen.predictions or {}
        why_not = "text needs predictions" if "text" in self.stream.kinds.values() else self.rows.why_not
        if not self.targets.has_classes or why_not:
            self.unchecked["label errors"] = why_not if self.targets.has_classes else "targets are no classes"
            return
        for split in given or ("train",):
            rows, targets, index = self.rows.of(split)
            self._progress(read, read + 1, f"label errors of {split}")
            names = sorted(range(len(self.targets.names)), key=lambda code: _order(self.targets.names[code]))
            classes = np.argsort(names)[targets.astype(np.int64)]
            if split in given:
                size = self.exact.sizes[split]
                probabilities = given_probabilities(given, split, size, index, len(names))
            else:
                kept, classes = _enough_of_each(classes)
                rows, index = rows[kept], index[kept]
                probabilities = predicted_probabilities(rows, classes)
            yield from label_error_reports(split, classes, probabilities, index)

    def _unchecked(self) -> dict[str, str]:
        found = {f"part {name}": why for name, why in self.stream.unread.items()}
        if self.task.times is None:
            found["time order"] = "the task names no times"
        if self.task.groups is None:
            found["group leakage"] = "the task names no groups"
        return found

    def _sampled(self) -> dict[str, float]:
        shares = {"exact duplicates": self.exact.share, "near duplicates": self.near.share, "features": self.rows.share}
        return {name: share for name, share in shares.items() if share < 1}


def _reports_of_columns(rows: npt.NDArray[Any], names: list[str], total: int) -> Iterator[Finding]:
    constant, ids = constant_columns(rows), id_columns(rows, total)
    if constant:
        yield Finding(
            kind="constant feature",
            severity="note",
            count=len(constant),
            share=len(constant) / len(names),
            sentence=f"{plural(len(constant), 'feature')} never {'changes' if len(constant) == 1 else 'change'}: "
            f"{', '.join(names[column] for column in constant[:10])}{', ...' if len(constant) > 10 else ''}.",
            remedy="Remove it; it says nothing, and a scale by its spread divides by zero.",
        )
    if ids:
        yield Finding(
            kind="id-like feature",
            severity="note",
            count=len(ids),
            share=len(ids) / len(names),
            sentence=f"{plural(len(ids), 'feature')} {'numbers' if len(ids) == 1 else 'number'} the examples: "
            f"{', '.join(names[column] for column in ids[:10])}.",
            remedy="Remove it: a model can learn the training examples by it, and new examples have other numbers.",
        )


def _order(name: str) -> tuple[float, str]:
    """Return the key that sorts classes by number, and those without one by name."""
    try:
        return float(name), ""
    except ValueError:
        return float("inf"), name


def _enough_of_each(classes: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Return which examples are of a class with five or more, and their classes numbered without gaps."""
    counts = np.bincount(classes)
    kept = counts[classes] >= _FEWEST_OF_CLASS
    return kept, np.unique(classes[kept], return_inverse=True)[1]
