"""Rows of studies with axes, without any training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from actlab.evaluate.packed_integers import packed
from actlab.studies.verdict.verdict import AxesVerdict, StudyFacts, Verdict, make_verdict

OWN: dict[str, Any] = {
    "name": "own",
    "columns": {
        "up": {"direction": "max", "unit": "share"},
        "down": {"direction": "min", "unit": "nats"},
        "plain": {"direction": None, "unit": ""},
        "hidden": {"direction": "max", "headline": False},
    },
}


def result(numbers: Mapping[str, float], **more: Any) -> dict[str, Any]:
    return {"numbers": dict(numbers), "curves": {}, "undefined": {}, "notes": [], "record": {}, "seconds": 0.1, **more}


def row(arm: str, seed: int, axes: Mapping[str, Any] | None, **more: Any) -> dict[str, Any]:
    return {
        "stage": "main", "arm": arm, "seed": seed, "lr": 1e-3, "status": "completed", "metric": 0.9 + 0.001 * seed,
        "parameters": 10, "error": None, "curve": [], "versions": {"torch": "2"},
        "axes": axes, **more,
    }  # fmt: skip # one trial, one block


def rows_of(values: Mapping[str, Mapping[str, Sequence[float | None]]]) -> list[dict[str, Any]]:
    """Return rows of arms whose numbers are given by column, None for a number that is missing."""
    rows = []
    for arm, columns in values.items():
        for seed in range(max(map(len, columns.values()))):
            own = {name: series[seed] for name, series in columns.items()}
            numbers = {name: number for name, number in own.items() if number is not None}
            undefined = {name: "no number here" for name, number in own.items() if number is None}
            rows.append(row(arm, seed, {"own": result(numbers, undefined=undefined)}))
    return rows


def facts(arms: Sequence[str], seeds: int, **more: Any) -> StudyFacts:
    given = {
        "name": "s", "task": "digits", "metric": "accuracy", "arms": tuple(arms), "baseline": arms[0], "seeds": tuple(range(seeds)),
        "fingerprint": "3fa1c2d94e0b", "rope": 0.01, "axes": (OWN,),
    }  # fmt: skip # the plan's facts, one block
    return StudyFacts(**{**given, **more})


def judged(rows: Sequence[Mapping[str, Any]], **more: Any) -> Verdict:
    arms = list(dict.fromkeys(entry["arm"] for entry in rows))
    seeds = 1 + max(entry["seed"] for entry in rows)
    return make_verdict(rows, facts(arms, seeds, **more), {})


def axes_of(rows: Sequence[Mapping[str, Any]], **more: Any) -> AxesVerdict:
    found = judged(rows, **more).axes
    assert found is not None
    return found


def noise(seeds: int, *, mean: float = 0.0, sd: float = 1.0, seed: int = 0) -> list[float]:
    numbers: list[float] = (mean + sd * np.random.default_rng(seed).normal(size=seeds)).tolist()
    return numbers


def churn_result(
    examples: Sequence[int], predicted: Sequence[int], correct: Sequence[int], classes: int = 2
) -> dict[str, Any]:
    record = {
        "examples": packed(np.array(examples, dtype=np.uint64)),
        "predicted": packed(np.array(predicted)),
        "correct": packed(np.array(correct, dtype=np.uint8)),
        "classes": classes,
    }
    return result({}, record=record, undefined={"disagreement": "it is of pairs of trainings"})
