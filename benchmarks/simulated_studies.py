"""Rows of simulated studies, with every kind of trouble: failures, kills, divergence, interruption, other rows and odd results."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from actlab.stats.racing import Race
from actlab.studies.verdict.verdict import StudyFacts

__all__ = ["Simulated", "simulate"]

Row = dict[str, Any]
KINDS = ("gaussian", "equal", "bistable", "constant", "coarse")
NAMES = ("relu", "gelu", "tanh", "swish(beta=learned)", "elu", "0.*=gelu; head=relu")


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """Arguments of ``make_verdict``."""

    rows: list[Row]
    facts: StudyFacts
    costs: dict[str, dict[str, Any]]


def simulate(seed: int) -> Simulated:
    """Return a study that follows from the seed."""
    rng = np.random.default_rng(seed)
    arms = tuple(rng.permutation(NAMES)[: rng.integers(2, len(NAMES) + 1) if rng.random() < 0.95 else 1])
    facts = StudyFacts(
        name="simulated",
        task="t",
        metric=str(rng.choice(["accuracy", "loss", "score"])),
        direction="max" if rng.random() < 0.5 else "min",
        arms=arms,
        baseline=str(rng.choice(arms)),
        seeds=tuple(int(s) for s in rng.permutation(40)[: rng.integers(1, 25)]),
        alpha=float(rng.choice([0.05, 0.05, 0.2])),
        rope=[None, 0.0, 0.005, 0.05][rng.integers(4)],
        tune="lr" if rng.random() < 0.3 else None,
        budget_hit=bool(rng.random() < 0.2),
    )
    rows = list(_main_rows(facts, rng))
    if rng.random() < 0.5:
        rows = _without_rows_after_elimination(rows, facts)
    rows += _other_rows(facts, rng)
    order = rng.permutation(len(rows))
    if rng.random() < 0.4:  # a look while it runs, trials having ended in any order
        order = order[: rng.integers(0, len(rows) + 1)]
    return Simulated(rows=[rows[int(i)] for i in order], facts=facts, costs=_costs(facts, rng))


def _main_rows(facts: StudyFacts, rng: np.random.Generator) -> Iterator[Row]:
    size, kind = 10.0 ** rng.integers(-3, 3), rng.choice(KINDS, p=[0.6, 0.05, 0.15, 0.05, 0.15])
    noise = size * 10.0 ** rng.uniform(-3.5, -1)
    shared = rng.normal(size=len(facts.seeds))
    shown = int(rng.integers(1, len(facts.seeds) + 1)) if rng.random() < 0.5 else len(facts.seeds)  # seeds added later
    for arm in facts.arms:
        ahead = shown + int(rng.integers(-2, 3)) if rng.random() < 0.3 else shown
        level = size * (0.5 + 0.05 * rng.normal() * (rng.random() < 0.7))
        # an arm that leads by far and fails late, and a lead that turns round after half of the seeds
        leads, turns = rng.random() < 0.1, rng.random() < 0.1
        last = int(rng.integers(5, 15)) if leads and rng.random() < 0.7 else len(facts.seeds)
        lead = (1 if facts.direction == "max" else -1) * 20 * noise * (leads or turns)
        failing, diverging = (rng.choice([0.0, 0.02, 0.1, 1.0], p=[0.8, 0.1, 0.07, 0.03]) for _ in range(2))
        for position, seed in enumerate(facts.seeds[: max(0, ahead)]):
            value = {
                "gaussian": level + noise * (3 * shared[position] + rng.normal()),
                "equal": size * (0.5 + 0.01 * position),
                "bistable": size * 0.9 if rng.random() < 0.7 else size * 0.1,
                "constant": size * 0.1,
                "coarse": round((level + noise * rng.normal()) / size * 50) / 50 * size,
            }[str(kind)]
            value += -2 * lead if turns and position > len(facts.seeds) // 2 else lead
            row = _row(arm, seed, float(value))
            if kind == "constant" or rng.random() < 0.02:
                row["controls"] = {"constant": size * 0.1}
            if rng.random() < failing or position >= last:
                provisional = bool(rng.random() < 0.5)
                row |= {
                    "status": str(rng.choice(["failed", "out_of_memory"])),
                    "metric": None,
                    "provisional": provisional,
                }
                row["error"] = "boom\n  at line 3"
            elif rng.random() < diverging:
                lost = {"status": "diverged", "metric": None}, {"metric": float("nan")}, {"metric": float("inf")}
                row |= lost[rng.integers(3)]
            yield row


def _row(arm: str, seed: int, metric: float | None, stage: str = "main") -> Row:
    return {
        "stage": stage,
        "arm": arm,
        "seed": seed,
        "lr": 1e-3,
        "status": "completed",
        "metric": metric,
        "parameters": 1000,
        "error": None,
        "versions": {"torch": "2"},
        "curve": [],
    }


def _without_rows_after_elimination(rows: list[Row], facts: StudyFacts) -> list[Row]:
    """Return the rows that a scheduler would have run: none of an arm from after its elimination, except of the baseline."""
    table: dict[str, dict[int, float | None]] = {}
    for row in rows:
        if row["status"] in ("completed", "diverged"):
            table.setdefault(row["arm"], {})[row["seed"]] = row["metric"]
    failed = [arm for arm in facts.arms if any(row["arm"] == arm and row["status"] == "failed" for row in rows)]
    state = Race(facts.arms, facts.direction, facts.alpha).replay(table, facts.seeds, failed=failed)
    last = {arm: facts.seeds[: out.after] for arm, out in state.eliminated.items() if arm != facts.baseline}
    return [row for row in rows if row["arm"] not in last or row["seed"] in last[row["arm"]]]


def _other_rows(facts: StudyFacts, rng: np.random.Generator) -> list[Row]:
    """Return rows of tuning, of an arm and of a seed that are not in the plan."""
    tuned = [arm for arm in facts.arms if facts.tune and rng.random() < 0.9]
    rows = [_row(arm, 1_000_000, None, "tune") | {"validation": 0.5} for arm in tuned]
    return [*rows, _row("not planned", facts.seeds[0], 1e6), _row(facts.arms[0], 999, 1e6)]


def _costs(facts: StudyFacts, rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    costs: dict[str, dict[str, Any]] = {}
    for arm in facts.arms:
        ratio = 1.0 if arm == facts.baseline else float(rng.choice([0.9, 1.0, 1.01, 1.03, 1.3, 2.6]))
        blocks = [ratio * (1 + 0.01 * rng.normal() * (arm != facts.baseline)) for _ in range(9)]
        costs[arm] = {"step_time_ratio": float(np.median(blocks))}
        if rng.random() < 0.8:
            costs[arm]["step_time_ratios"] = blocks
        if rng.random() < 0.1:
            del costs[arm]
    return costs
