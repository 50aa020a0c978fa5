"""Constructed study with six arms and eight seeds, of which one arm is eliminated early and one diverges."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from actlab.studies.verdict.verdict import (
    ArmFinding,
    ArmSummary,
    Difference,
    Findings,
    Learned,
    Region,
    Tie,
    Verdict,
)

SEEDS = tuple(range(8))
# spec -> (mean accuracy, seed SD, step time against the baseline, parameters, peak memory in bytes)
TRUTH: Mapping[str, tuple[float, float, float, int, int]] = {
    "gelu": (0.9762, 0.0032, 1.09, 12_810, 3_480_000),
    "swish(beta=learned)": (0.9751, 0.0035, 1.31, 12_812, 3_900_000),
    "silu": (0.9744, 0.0033, 1.06, 12_810, 3_480_000),
    "relu": (0.9692, 0.0036, 1.00, 12_810, 3_210_000),
    "tanh": (0.9471, 0.0049, 1.04, 12_810, 3_350_000),
    "squared_relu": (0.9655, 0.0051, 1.02, 12_810, 3_300_000),
}
OUT_AFTER = 5  # tanh leaves after this many seeds
DIVERGED = ("squared_relu", 3)


def _losses(generator: np.random.Generator, level: float, points: int = 60) -> list[dict[str, float]]:
    steps = np.linspace(10, 1200, points)
    losses = level * 3 + 2.25 * np.exp(-steps / (140 + 2200 * level)) + generator.normal(0, 0.012, points)
    return [{"step": int(step), "loss": float(max(loss, 1e-3))} for step, loss in zip(steps, losses, strict=True)]


def rows() -> list[dict[str, object]]:
    """The trials as a store would give them, plus a tuning trial that a report has to leave out of the curves."""
    generator = np.random.default_rng(2011)
    shared = generator.normal(0, 0.6, len(SEEDS))
    found: list[dict[str, object]] = []
    for arm, (mean, sd, ratio, parameters, _) in TRUTH.items():
        for seed in SEEDS[: OUT_AFTER if arm == "tanh" else None]:
            diverged = (arm, seed) == DIVERGED
            metric = None if diverged else round(mean + sd * (shared[seed] + 0.8 * generator.normal()), 4)
            curve = _losses(generator, 1 - mean)
            found.append(
                {
                    "stage": "main",
                    "arm": arm,
                    "seed": seed,
                    "lr": 0.001,
                    "status": "diverged" if diverged else "completed",
                    "metric": metric,
                    "curve": curve[:9] if diverged else curve,
                    "train_loss": None if diverged else float(np.mean([point["loss"] for point in curve])),
                    "validation": None,
                    "parameters": parameters,
                    "steps": 90 if diverged else 1200,
                    "seconds": 1.9 * ratio,
                    "cpu_seconds": 1.8 * ratio,
                    "error": "loss is nan at step 92" if diverged else None,
                    "started": "2026-11-20T10:00:00+00:00",
                    "finished": "2026-11-20T10:00:02+00:00",
                    "versions": {"actlab": "0.1.0", "torch": "2.13.0", "python": "3.11.7"},
                }
            )
    return [*found, {**found[0], "stage": "tune", "lr": 0.01, "metric": 0.5}]


def _interval(values: np.ndarray) -> tuple[float, float]:
    half = 2.0 * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return float(np.mean(values)) - half, float(np.mean(values)) + half


def _difference(values: Mapping[int, float], baseline: Mapping[int, float], rope: float) -> Difference:
    paired = np.array([value - baseline[seed] for seed, value in values.items()])
    p = min(1.0, float(np.exp(-2.2 * abs(np.mean(paired)) / (np.std(paired, ddof=1) + 1e-9))))
    return Difference(
        mean=float(np.mean(paired)),
        ci=_interval(paired),
        p=p,
        p_corrected=min(1.0, 3 * p),
        prob_superior=float(np.mean(paired > 0)),
        prob_equivalent=float(np.mean(np.abs(paired) < rope)),
    )


def _summary(spec: str, results: Mapping[str, Mapping[int, float]], rope: float) -> ArmSummary:
    values = np.array(list(results[spec].values()))
    _, _, ratio, parameters, memory = TRUTH[spec]
    status = {"tanh": "eliminated", DIVERGED[0]: "diverged"}.get(spec, "completed")
    reason = {
        "tanh": "ruled out after 5 seeds: gelu is better (evidence 431)",
        DIVERGED[0]: "diverged on 1 of 8 seeds: loss is nan at step 92",
    }.get(spec)
    return ArmSummary(
        spec=spec,
        n=len(values),
        mean=float(np.mean(values)),
        iqm=float(np.mean(np.sort(values)[len(values) // 4 : -(len(values) // 4)])),
        ci=_interval(values),
        sd=float(np.std(values, ddof=1)),
        diff=None if spec == "relu" else _difference(results[spec], results["relu"], rope),
        step_time_ratio=ratio,
        parameters=parameters,
        peak_memory=memory,
        status=status,
        e_value=431.0 if spec == "tanh" else 1.7,
        reason=reason,
        lr=0.001,
        step_time_interval=(None, None) if spec == "relu" else (ratio - 0.02, ratio + 0.02),
    )


def findings_of(
    best: Sequence[str], others: Sequence[str] = (), left_out: Mapping[str, str] | None = None, baseline: str = "relu"
) -> Findings:
    """Findings with this best set; ``others`` are ruled out by its first arm, and ``left_out`` are not compared, with their standing."""
    outside = left_out or {}
    arms = [ArmFinding(arm=arm, standing="best", seeds=8) for arm in best]
    arms += [
        ArmFinding(arm=arm, standing="ruled out", seeds=8, beaten_by=tuple(best[:1]), after=5, e_value=431.0)
        for arm in others
        if arm not in best and arm not in outside
    ]
    arms += [ArmFinding(arm=arm, standing=standing, seeds=0, cause="seed 0: boom") for arm, standing in outside.items()]
    return Findings(arms=tuple(arms), pairs=(), baseline=baseline, rounds=8, decided=len(best) < 2)


def verdict(**changes: object) -> Verdict:
    """The verdict on :func:`rows`; ``changes`` replace whole fields."""
    results: dict[str, dict[int, float]] = {arm: {} for arm in TRUTH}
    for row in rows():
        if row["stage"] == "main" and row["metric"] is not None:
            results[row["arm"]][row["seed"]] = row["metric"]
    arms = [_summary(arm, results, 0.005) for arm in TRUTH]
    closest = Tie(arms=("gelu", "silu"), kind="undecided", prob_equivalent=0.81, seeds_needed=23)
    same = Tie(arms=("gelu", "swish(beta=learned)"), kind="equivalent", prob_equivalent=0.97, seeds_needed=None)
    fields = {
        "study": "digits-3fa1c2",
        "task": "digits",
        "metric": "accuracy",
        "direction": "max",
        "baseline": "relu",
        "seeds": SEEDS,
        "arms": tuple(sorted(arms, key=lambda arm: -arm.mean)),
        "best_set": ("gelu", "swish(beta=learned)", "silu"),
        "ties": (same, closest),
        "recommendation": "Switch from relu to silu: it is the cheapest of the 3 best (gelu, swish(beta=learned) and silu), "
        "its accuracy is 0.0051 higher on average and a training step takes 6% longer.",
        "warnings": (
            "squared_relu diverged on 1 of 8 seeds; those count as lost.",
            "The learning rate was not tuned: an arm that needs another one is undervalued (see --tune lr).",
        ),
        "store": "sqlite:///actlab.db",
        "command": "actlab compare digits relu gelu",
        "fingerprint": "3fa1c2d94e0b7a6655aa0c1d2e3f405162738495a6b7c8d9e0f1a2b3c4d5e6f7",
        "rope": 0.005,
        "alpha": 0.05,
        "trials_run": 45,
        "trials_full_grid": 48,
        "closest": closest,
        "findings": findings_of(best=("gelu", "swish(beta=learned)", "silu"), others=tuple(TRUTH)),
        "learned": Learned(unlearned=(), constant=None, nothing=False, identical=(), all_identical=False, improving=()),
        "region": Region(width=0.005, rule="given in the plan", is_given=True),
        "recommended": "silu",
        "reason": "gelu has the better mean, but the two are not separated, and with silu a training step takes 3% less time.",
    }
    return Verdict(**{**fields, **changes})


@pytest.fixture
def made_up() -> Verdict:
    """The verdict of the study that was never run."""
    return verdict()


@pytest.fixture
def found():
    """The function :func:`findings_of`."""
    return findings_of


@pytest.fixture
def trials() -> list[dict[str, object]]:
    """Its trials."""
    return rows()


def with_arm(of: Verdict, spec: str, **changes: object) -> Verdict:
    """Return the verdict with some fields of one arm changed."""
    arms = tuple(dataclasses.replace(arm, **changes) if arm.spec == spec else arm for arm in of.arms)
    return dataclasses.replace(of, arms=arms)


@pytest.fixture
def replaced():
    """The function :func:`with_arm`."""
    return with_arm


@pytest.fixture(scope="session")
def whole() -> tuple[Verdict, list[dict[str, object]]]:
    """Verdict and trials, for what is made once."""
    return verdict(), rows()
