"""Null control of the claims: how often the library's pass rules find an effect among arms that are the same.

Arms are made equal in two ways, and every claim of the library is judged on the rows as after each of its seeds:

* ``permuted``: in the recorded rows of a claim the labels of the arms are drawn anew for every seed; where an effect compares studies,
  its sign is drawn instead.
* ``trained``: ReLU against itself under other names. ReLU nets are trained on ``digits`` and ``mnist1d`` from many seeds, and each trial
  of a claim is one of these trainings, drawn without replacement.

Printed is the share of runs in which any part "better" of a claim is shown to be above 0, whatever the smallest effect that matters; the
stated rate is alpha = 0.05 for all parts of a claim together. Ties are left out, as they are true here, and so are parts on a single arm.

    python benchmarks/claims_null.py permuted
    python benchmarks/claims_null.py trained --trainings 600
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

import actlab
from actlab.claims import SHIPPED_RECORDS, Claim, Part, find_claims, stand
from actlab.studies.claims.effect import Cell, Rows
from actlab.studies.claims.part_judgement import decisions

Draw = Callable[[Cell, tuple[str, ...]], np.ndarray]  # numbers of a cell's study and column, shape (runs, seeds, arms)


def tested(claim: Claim) -> Iterator[tuple[Part, bool]]:
    """Yield the parts that say that something is better, and whether labels within each study can be drawn for it."""
    for part in claim.parts:
        if part.effect is None or part.kind != "better" or not part.judged:
            continue
        by_study: dict[str, float] = {}
        for cell in part.effect.cells:
            by_study[cell.study] = by_study.get(cell.study, 0.0) + cell.weight
        within = all(math.isclose(weight, 0.0) for weight in by_study.values())
        if math.isclose(sum(by_study.values()), 0.0) and len(part.effect.cells) > 1:
            yield part, within and all(cell.reduce == "mean" for cell in part.effect.cells)


def found(claim: Claim, effects: np.ndarray) -> np.ndarray:
    """Return the runs in which a part is shown to be above 0 at any of its looks, whatever the smallest effect that matters."""
    holds, _ = decisions(np.nan_to_num(effects, nan=0.0, posinf=1e300, neginf=-1e300), "better", 0.0, claim.part_alpha)
    return holds[:, -1]


def cell_numbers(cell: Cell, rows: Rows, arms: tuple[str, ...]) -> np.ndarray:
    """Return the numbers of a cell's column for every arm, shape (seeds, arms)."""
    by_arm = [
        Cell(arms=(arm,), column=cell.column, larger=cell.larger, scale=cell.scale).by_seed(rows[cell.study])
        for arm in arms
    ]
    seeds = sorted(set.intersection(*map(set, by_arm)))
    return np.array([[numbers[seed] for numbers in by_arm] for seed in seeds])


def permuted_effects(part: Part, claim: Claim, rows: Rows, runs: int, rng: np.random.Generator) -> np.ndarray:
    """Return the effects of a part with labels drawn anew for every seed, shape (runs, seeds)."""
    orders: dict[str, np.ndarray] = {}
    terms = []
    for cell in part.effect.cells:
        arms = claim.studies[cell.study].arms
        numbers = cell_numbers(cell, rows, arms)
        if cell.study not in orders:
            orders[cell.study] = rng.permuted(np.broadcast_to(np.arange(len(arms)), (runs, *numbers.shape)), axis=-1)
        drawn = np.take_along_axis(np.broadcast_to(numbers, (runs, *numbers.shape)), orders[cell.study], axis=-1)
        terms.append(cell.weight * drawn[..., [arms.index(arm) for arm in cell.arms]].mean(-1))
    seeds = min(term.shape[-1] for term in terms)  # studies of one part may have different numbers
    return np.asarray(sum(term[:, :seeds] for term in terms))


def permuted(claims: list[Claim], runs: int) -> dict[str, tuple[int, int, float]]:
    """Return parts, seeds and share of false effects by claim, from the recorded rows."""
    table = {}
    for claim in claims:
        record = stand(claim, SHIPPED_RECORDS).record
        parts = list(tested(claim))
        if record is None or not parts or not any(record.rows.values()):
            continue
        rng = np.random.default_rng(0)
        ever, seeds = np.zeros(runs, bool), 0
        for part, within in parts:
            with np.errstate(invalid="ignore"):
                if within:
                    effects = permuted_effects(part, claim, record.rows, runs, rng)
                else:
                    once = np.array(list(part.effect.by_seed(record.rows).values()))
                    effects = once * rng.choice([-1.0, 1.0], (runs, once.size))
            ever |= found(claim, effects)
            seeds = max(seeds, effects.shape[-1])
        table[claim.name] = (len(parts), seeds, float(ever.mean()))
    return table


def trainings(task: str, number: int) -> np.ndarray:
    """Return test metrics of ReLU nets from many seeds."""
    with tempfile.TemporaryDirectory() as folder:
        study = actlab.compare(
            task,
            ["relu", "gelu"],
            seeds=number,
            jobs=1,
            eliminate=False,
            stack=True,
            target="none",
            store=Path(folder) / "s.db",
            progress=False,
        )
        return np.array([row["metric"] for row in study.rows() if row["arm"] == "relu" and row["metric"] is not None])


def trained(claims: list[Claim], runs: int, pool: np.ndarray) -> dict[str, tuple[int, int, float]]:
    """Return the same from trainings that are dealt to the arms and seeds of each claim's studies."""
    table = {}
    for claim in claims:
        parts = list(tested(claim))
        if not parts:
            continue
        rng, ever, seeds = np.random.default_rng(1), np.zeros(runs, bool), 0
        dealt = {key: _dealt(pool, runs, study.most, len(study.arms), rng) for key, study in claim.studies.items()}
        for part, _ in parts:
            most = min(claim.studies[key].most for key in part.effect.studies)
            effects = sum(
                _cell_effect(cell, dealt[cell.study][:, :most], claim.studies[cell.study].arms)
                for cell in part.effect.cells
            )
            ever |= found(claim, np.asarray(effects))
            seeds = max(seeds, most)
        table[claim.name] = (len(parts), seeds, float(ever.mean()))
    return table


def _dealt(pool: np.ndarray, runs: int, seeds: int, arms: int, rng: np.random.Generator) -> np.ndarray:
    """Return trainings in a new order for each run, repeated where a study has more trials than there are trainings."""
    order = rng.permuted(np.broadcast_to(np.arange(seeds * arms) % len(pool), (runs, seeds * arms)), axis=-1)
    return pool[order].reshape(runs, seeds, arms)


def _cell_effect(cell: Cell, numbers: np.ndarray, arms: tuple[str, ...]) -> np.ndarray:
    chosen = numbers[..., [arms.index(arm) for arm in cell.arms]]
    reduced = chosen.mean(-1) if cell.reduce == "mean" else chosen.var(-1, ddof=1)
    return np.asarray(cell.weight * reduced)


def show(table: Mapping[str, tuple[int, int, float]], runs: int) -> None:
    """Print the table and the share over all claims."""
    print("| claim | parts | seeds | any false effect |\n| --- | --- | --- | --- |")
    for name, (parts, seeds, share) in table.items():
        print(f"| `{name}` | {parts} | {seeds} | {share:.1%} |")
    shares = [share for *_, share in table.values()]
    if shares:
        print(
            f"\n{len(shares)} claims, {runs:,} runs each: {np.mean(shares):.2%} on average, {max(shares):.1%} at most; stated 5 %."
        )


def main() -> None:
    """Print the table of one kind of control."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("kind", choices=["permuted", "trained"])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--trainings", type=int, default=600)
    options = parser.parse_args()
    claims = find_claims()
    if options.kind == "permuted":
        show(permuted(claims, options.runs), options.runs)
        return
    for task in ("digits", "mnist1d"):
        print(f"\n{options.trainings} trainings of ReLU on {task}\n")
        show(trained(claims, options.runs, trainings(task, options.trainings)), options.runs)


if __name__ == "__main__":
    main()
