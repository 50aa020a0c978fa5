"""Finding of an audit, with its examples and what to do, and the result that collects all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from actlab.system.display import Displayed
from actlab.system.name_list import listed
from actlab.system.plural import plural

__all__ = ["EXAMPLES_SHOWN", "DataAudit", "Finding", "Severity", "data_warnings"]

Severity = Literal["finding", "note"]
#: Examples that a finding names.
EXAMPLES_SHOWN: Final = 10


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a check found in the data.

    Attributes:
        kind: of the fault, such as "exact duplicates", "group leakage" or "leaking feature".
        severity: "finding" for what makes results wrong, "note" for what is worth knowing and biases no comparison.
        splits: names of the splits that it concerns; of duplicates the one whose examples are counted first.
        count: number of examples (of features for the kinds about features, of groups for those about groups).
        share: of the examples of the first split, in [0, 1].
        examples: some of the examples: indices into the first split, or, of pairs, tuples of an index into the first split and one into the
            last; empty where the finding is about no example.
        sentence: what was found, with its numbers.
        remedy: what to do.
        estimated: whether ``count`` is scaled up from a sample.

    Example:
        >>> Finding(kind="group leakage", splits=("test", "train"), count=2, share=0.1, sentence="...", remedy="...").severity
        'finding'
    """

    kind: str
    severity: Severity = "finding"
    splits: tuple[str, ...] = ()
    count: int
    share: float
    examples: tuple[int | tuple[int, int], ...] = ()
    sentence: str
    remedy: str
    estimated: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data for JSON."""
        pairs = [list(example) if isinstance(example, tuple) else example for example in self.examples]
        return {**asdict(self), "splits": list(self.splits), "examples": pairs}


@dataclass(frozen=True, kw_only=True, eq=False)
class DataAudit(Displayed):
    """Result of :func:`actlab.audit`.

    Attributes:
        name: of the task.
        sizes: number of examples read, by split.
        kinds: what each part of the inputs was taken for, "image", "table", "series" or "text", by the name of the part.
        reports: findings and notes, the most serious first.
        unchecked: why a check was not made, by the name of the check.
        error_rate: chance that one check reports anything in data without a fault.
        sampled: share of the examples that were compared, by the name of the check, where it is below 1.

    Example:
        >>> DataAudit(name="mine", sizes={"train": 40, "test": 20}, kinds={"x": "table"}).sentence
        'No fault was found in 60 examples.'
    """

    name: str
    sizes: Mapping[str, int]
    kinds: Mapping[str, str]
    reports: tuple[Finding, ...] = ()
    unchecked: Mapping[str, str] = field(default_factory=dict)
    error_rate: float = 0.01
    sampled: Mapping[str, float] = field(default_factory=dict)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What makes results wrong."""
        return tuple(report for report in self.reports if report.severity == "finding")

    @property
    def notes(self) -> tuple[Finding, ...]:
        """What is worth knowing."""
        return tuple(report for report in self.reports if report.severity == "note")

    @property
    def clean(self) -> bool:
        """Whether there is no finding."""
        return not self.findings

    @property
    def sentence(self) -> str:
        """Summary in one sentence."""
        examples = f"{sum(self.sizes.values()):,} examples"
        if self.clean:
            return f"No fault was found in {examples}."
        kinds = dict.fromkeys(finding.kind for finding in self.findings)
        return f"{plural(len(self.findings), 'finding')} in {examples}: {listed(kinds)}."

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain data for JSON."""
        return {
            "name": self.name,
            "clean": self.clean,
            "sentence": self.sentence,
            "sizes": dict(self.sizes),
            "kinds": dict(self.kinds),
            "findings": [finding.to_dict() for finding in self.findings],
            "notes": [note.to_dict() for note in self.notes],
            "unchecked": dict(self.unchecked),
            "sampled": dict(self.sampled),
            "error_rate": self.error_rate,
        }


def data_warnings(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the sentences about what the fast audit of :func:`actlab.evaluate.audit.study_check.check_for_study` found.

    Example:
        >>> list(data_warnings({"test_examples": 360, "test_in_train": 12}))
        ['12 of 360 test examples are also in the training split: the results favour arms that memorise.']
    """
    total = found.get("test_examples")
    if found.get("not_checked"):
        yield f"Whether test examples are also in another split was not checked ({found['not_checked']})."
    for key, split in (("test_in_train", "training"), ("test_in_validation", "validation")):
        count = found.get(key) or 0
        if count:
            of = f" of {total}" if total else ""
            yield f"{count}{of} test examples are also in the {split} split: the results favour arms that memorise."
    for sentence in found.get("findings", ()):
        yield f"{sentence} See actlab audit."
