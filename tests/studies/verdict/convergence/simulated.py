"""Rows of simulated trials whose held-out metric rises to an end at a speed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from actlab.studies.target import Target
from actlab.studies.verdict.outcomes import StudyFacts
from actlab.studies.verdict.verdict import Verdict, make_verdict

STEPS = 400
EVALUATED = np.arange(20, STEPS + 1, 20)
LOGGED = np.arange(2, STEPS + 1, 2)


def series(scale: float, end: float, noise: np.random.Generator, seconds: float = 0.01) -> dict[str, Any]:
    """Series of a trial: the accuracy approaches ``end``, with the number of steps ``scale``; the loss falls alike."""
    accuracy = end * (1 - np.exp(-EVALUATED / scale)) + 0.001 * noise.normal(size=EVALUATED.size)
    loss = 0.05 + 2.0 * np.exp(-LOGGED / scale) + 0.01 * np.abs(noise.normal(size=LOGGED.size))
    return {
        "accuracy": {"step": EVALUATED.tolist(), "seconds": (EVALUATED * seconds).tolist(), "value": accuracy.tolist()},
        "loss": {"step": LOGGED.tolist(), "seconds": (LOGGED * seconds).tolist(), "value": loss.tolist()},
    }


def rows(
    arms: Mapping[str, tuple[float, float]], seeds: int = 12, seconds: Mapping[str, float] | None = None
) -> list[dict[str, Any]]:
    """Rows of a study: per arm the scale of its speed in steps, and where it ends."""
    draws = np.random.default_rng(5)
    shared = draws.normal(size=(seeds, 2))
    found = []
    for arm, (scale, end) in arms.items():
        for seed in range(seeds):
            own = scale * (1 + 0.03 * shared[seed, 0] + 0.02 * draws.normal())
            reached = end + 0.004 * shared[seed, 1] + 0.001 * draws.normal()
            found.append({
                "stage": "main", "arm": arm, "seed": seed, "lr": 1e-3, "status": "completed", "metric": reached, "parameters": 1000,
                "error": None, "steps": STEPS, "series": series(own, reached, draws, (seconds or {}).get(arm, 0.01)),
            })  # fmt: skip  # one trial, one block
    return found


def facts(arms: Mapping[str, Any], seeds: int = 12, **more: Any) -> StudyFacts:
    given = {
        "name": "s", "task": "digits", "metric": "accuracy", "arms": tuple(arms), "baseline": next(iter(arms)), "tune": "lr",
        "seeds": tuple(range(seeds)), "fingerprint": "3fa1c2d94e0b", "rope": 0.003, "steps_per_epoch": 20.0,
        "target": Target(name="accuracy", value=0.9, direction="max", rule="given before the study"),
    }  # fmt: skip  # the plan's facts, one block
    return StudyFacts(**{**given, **more})


def judged(arms: Mapping[str, tuple[float, float]], seeds: int = 12, costs: Any = None, **more: Any) -> Verdict:
    return make_verdict(rows(arms, seeds), facts(arms, seeds, **more), costs or {})
