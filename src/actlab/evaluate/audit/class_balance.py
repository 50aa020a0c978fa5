"""Classes that are missing in a split, too rare to be learned or judged, or of very different size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from actlab.evaluate.audit.example_stream import SPLITS
from actlab.evaluate.audit.finding import EXAMPLES_SHOWN, Finding
from actlab.system.name_list import listed
from actlab.system.plural import plural

__all__ = ["balance_reports"]

#: Examples below which the recall of a class is known to no better than 16 points (standard error at one half).
_FEWEST: Final = 10
_JUDGED_ONE_BY_ONE: Final = 100  # classes; of more, such as words or items, the rare ones are not judged by themselves
_UNEQUAL: Final = 10.0  # times as many examples of the largest class as of the smallest


def balance_reports(counts: Mapping[str, Mapping[int, int]], names: Sequence[str]) -> Iterator[Finding]:
    """Yield what is found about the number of examples of each class.

    Args:
        counts: examples by class, by split.
        names: of the classes.

    Example:
        >>> counts = {"train": {0: 990, 1: 8}, "test": {0: 95, 1: 2, 2: 3}}
        >>> [(report.kind, report.severity, report.count) for report in balance_reports(counts, ["no", "yes", "new"])]
        [('missing class', 'finding', 3), ('class imbalance', 'finding', 2)]
    """
    splits = [name for name in SPLITS if counts.get(name)]
    train = counts.get("train", {})
    for split in splits:
        unknown = [code for code in counts[split] if code not in train]
        if split != "train" and unknown and train:
            found = _missing(split, unknown, counts[split], names)
            one_class = " Train has one class, as for the detection of anomalies." if len(train) == 1 else ""
            yield replace(found, severity="note", sentence=f"{found.sentence}{one_class}") if one_class else found
    absent = [code for code in train if "test" in splits and code not in counts["test"]]
    if absent:
        yield Finding(
            kind="missing class",
            severity="note",
            splits=("train", "test"),
            count=len(absent),
            share=sum(train[code] for code in absent) / sum(train.values()),
            sentence=f"{_classes(absent, names)} of train {'is' if len(absent) == 1 else 'are'} not in test.",
            remedy="The metric says nothing about them: split by class (stratified).",
        )
    yield from _imbalance(splits, counts, names)


def _imbalance(
    splits: Sequence[str], counts: Mapping[str, Mapping[int, int]], names: Sequence[str]
) -> Iterator[Finding]:
    for split in splits:
        found = counts[split]
        if len(found) < 2 or max(found.values()) < _UNEQUAL * min(found.values()):
            continue
        total, largest = sum(found.values()), max(found.values())
        rare = sorted((code for code in found if found[code] < _FEWEST), key=lambda code: found[code])
        smallest = min(found, key=lambda code: found[code])
        what = "learned from" if split == "train" else "judged by"
        few = f" {_classes(rare, names)} {'has' if len(rare) == 1 else 'have'} too few to be {what}." if rare else ""
        yield Finding(
            kind="class imbalance",
            severity="finding" if rare and len(names) <= _JUDGED_ONE_BY_ONE else "note",
            splits=(split,),
            count=len(rare) or 1,
            share=found[smallest] / total,
            sentence=f"{largest / total:.1%} of {split} are of one class, and {found[smallest]:,} of {total:,} of class "
            f"{names[smallest]}.{few}",
            remedy="Collect or keep more of the rare classes. Judge by average precision or by the recall of each class: "
            f"a constant prediction is right in {largest / total:.1%}.",
        )
        return  # once, for the test if it is there too


def _missing(split: str, unknown: list[int], found: Mapping[int, int], names: Sequence[str]) -> Finding:
    count = sum(found[code] for code in unknown)
    return Finding(
        kind="missing class",
        splits=(split, "train"),
        count=count,
        share=count / sum(found.values()),
        sentence=f"{plural(count, 'example')} of {split} {'is' if count == 1 else 'are'} of {_classes(unknown, names)}, which train does "
        "not have.",
        remedy="Split by class (stratified), or remove these examples: no model can know the class.",
    )


def _classes(codes: Sequence[int], names: Sequence[str]) -> str:
    shown = [names[code] for code in codes[:EXAMPLES_SHOWN]]
    more = f" and {len(codes) - len(shown)} more" if len(codes) > len(shown) else ""
    return f"{'class' if len(codes) == 1 else 'classes'} {listed(shown)}{more}"
