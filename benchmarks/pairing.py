"""Gain from pairing arms by seed, in spread of differences and in seeds until a decision.

Every arm is trained on the same seeds of a task, without elimination. The baseline is trained twice more: once with only the split shared
with the other arms, once with everything shared but the split. Then the race of two arms is replayed over random orders of the seeds, with
the seeds of both arms in the same order (paired) and in two orders (unpaired).

    python benchmarks/pairing.py [--task digits] [--seeds 100] [--orders 1000]

About four minutes on one core.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from actlab.stats.racing import Race
from actlab.studies.arm import parse_arm
from actlab.studies.trials.trial import run_trial
from actlab.tasks import resolve
from actlab.tasks.task import Task

BASELINE, ARMS = "relu", ("elu", "tanh", "gelu", "mish")
OFFSET = 10_000  # between seeds that share nothing
LARGEST = 40  # seeds of a replayed study

Floats = NDArray[np.float64]


def main() -> None:
    """Train, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="digits:protocol-1")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--orders", type=int, default=1000)
    options = parser.parse_args()
    task, seeds = resolve(options.task), range(options.seeds)
    baseline = results(task, BASELINE, seeds)
    split_only = results(replace(task, data=lambda seed: task.data(seed - OFFSET)), BASELINE, seeds, offset=OFFSET)
    rest_only = results(replace(task, data=lambda seed: task.data(seed + OFFSET)), BASELINE, seeds)
    by_arm = {arm: results(task, arm, seeds) for arm in ARMS}
    print(f"{task.name}, {len(seeds)} seeds; {BASELINE}: mean {baseline.mean():.4f}, SD {baseline.std(ddof=1):.4f}\n")
    print(
        "| arm | mean difference | correlation | split shared only | all but the split shared "
        "| SD paired | SD unpaired | seeds needed, unpaired / paired |\n|---|---|---|---|---|---|---|---|"
    )
    for arm, values in by_arm.items():
        print(spread_row(arm, values, baseline, split_only, rest_only))
    print(
        f"\nStudies of {BASELINE} and one arm in which the worse is ruled out within {LARGEST} seeds, and median seeds until then "
        f"({options.orders} random orders of the seeds):\n\n| arm | paired | unpaired |\n|---|---|---|"
    )
    for arm, values in by_arm.items():
        print(f"| {arm} | {power(values, baseline, task, options.orders)} |")


def results(task: Task, arm: str, seeds: range, *, offset: int = 0) -> Floats:
    """Return the metric of every seed, trained at the seed plus ``offset``."""
    trials = [run_trial(task, parse_arm(arm), seed + offset) for seed in seeds]
    return np.array([np.nan if trial.metric is None else trial.metric for trial in trials])


def spread_row(arm: str, values: Floats, baseline: Floats, split_only: Floats, rest_only: Floats) -> str:
    """Return correlations with the baseline, and standard deviations of paired and unpaired differences."""
    paired = (values - baseline).std(ddof=1)
    unpaired = np.hypot(values.std(ddof=1), baseline.std(ddof=1))
    correlations = [np.corrcoef(values, other)[0, 1] for other in (baseline, split_only, rest_only)]
    shown = " | ".join(f"{correlation:+.2f}" for correlation in correlations)
    gain = (unpaired / paired) ** 2
    return f"| {arm} | {(values - baseline).mean():+.4f} | {shown} | {paired:.4f} | {unpaired:.4f} | {gain:.1f} |"


def power(values: Floats, baseline: Floats, task: Task, orders: int) -> str:
    """Return how often the worse of the two arms is ruled out, and after how many seeds in the median, paired and unpaired."""
    generator = np.random.default_rng(0)
    worse = "baseline" if (values.mean() > baseline.mean()) == (task.direction == "max") else "arm"
    race = Race(("arm", "baseline"), task.direction)
    paired, unpaired = [], []
    for _ in range(orders):
        order, other = (generator.permutation(len(values))[:LARGEST] for _ in range(2))
        paired.append(seeds_until_ruled_out(worse, race, values[order], baseline[order]))
        unpaired.append(seeds_until_ruled_out(worse, race, values[order], baseline[other]))
    return " | ".join(f"{np.mean(np.isfinite(seeds)):.0%}, {shown(np.median(seeds))}" for seeds in (paired, unpaired))


def seeds_until_ruled_out(worse: str, race: Race, values: Floats, baseline: Floats) -> float:
    """Return the number of seeds after which the race rules the worse arm out; infinite if it does not."""
    state = race.replay({"arm": dict(enumerate(values)), "baseline": dict(enumerate(baseline))}, range(len(values)))
    return state.eliminated[worse].after if worse in state.eliminated else np.inf


def shown(seeds: float) -> str:
    """Return a median number of seeds, or a dash where more than half of the studies end undecided."""
    return f"{seeds:.0f}" if np.isfinite(seeds) else "-"


if __name__ == "__main__":
    main()
