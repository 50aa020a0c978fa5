"""Error rate and power of "trains faster", and what the evaluations during a training cost.

    python benchmarks/convergence.py error [--studies 1000]
    python benchmarks/convergence.py cost [--repeats 9]

``error`` simulates the steps to a target of studies with a look after every seed, up to 20: the same distribution for all arms (an error is
any arm called faster or slower), and one arm that is faster by a share of the steps. Steps are those of 20 evaluations, with a part of the
trials censored at the end. ``cost`` trains digits and compares the CPU time inside the evaluations with that of the rest of the trial.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
from scipy.stats import binomtest
from torch import nn

from actlab.studies.arm import parse_arm
from actlab.studies.target import Target
from actlab.studies.trials.trial import run_trial
from actlab.studies.verdict.convergence.convergence import error_rates
from actlab.studies.verdict.convergence.trial_times import Times
from actlab.studies.verdict.outcomes import StudyFacts
from actlab.tasks import resolve
from actlab.tasks.training.data_cache import cached_data
from actlab.tasks.training.held_out import HeldOut

HORIZON = 400
SEEDS = 20
TARGET = Target(name="accuracy", value=0.9, direction="max", rule="given before the study")


def steps(draws: np.random.Generator, arms: int, scale: np.ndarray, censored: float) -> np.ndarray:
    """Return steps to the target, shape (arms, seeds), infinite for censored trials; in steps of 20 evaluations."""
    shared = draws.normal(size=SEEDS)
    times = 120 * scale[:, None] * np.exp(0.2 * shared + 0.25 * draws.normal(size=(arms, SEEDS)))
    times = np.ceil(times / 20) * 20
    return np.where((times > HORIZON) | (draws.random((arms, SEEDS)) < censored), np.inf, times)


def decided(times: np.ndarray) -> dict[str, str]:
    """Return the arms that are called faster or slower than the first one."""
    arms = tuple(f"arm{i}" for i in range(len(times)))
    facts = StudyFacts(
        name="s", task="t", metric="accuracy", arms=arms, baseline=arms[0], seeds=tuple(range(SEEDS)), target=TARGET
    )
    by_arm = {
        arm: Times(seeds=facts.seeds, time=own, reached=np.isfinite(own)) for arm, own in zip(arms, times, strict=True)
    }
    found = error_rates(by_arm, HORIZON, facts)
    return {arm: "faster" if p[0] <= p[1] else "slower" for arm, p in found.items() if min(p) <= facts.alpha}


def share(count: int, of: int) -> str:
    """Return a share with its 95 % interval."""
    low, high = binomtest(count, of).proportion_ci()
    return f"{count / of:6.1%} [{low:.1%}, {high:.1%}]"


def error(studies: int) -> None:
    """Print error rates with equal arms, and how often a faster arm is found."""
    draws = np.random.default_rng(0)
    for censored in (0.0, 0.3):
        for arms in (2, 5, 10):
            wrong = sum(bool(decided(steps(draws, arms, np.ones(arms), censored))) for _ in range(studies))
            print(
                f"equal, {arms:2d} arms, {censored:.0%} censored: any arm called faster or slower {share(wrong, studies)}"
            )
    for factor in (0.9, 0.8, 0.65, 0.5):
        for arms in (2, 5):
            scale = np.array([1.0, factor, *[1.0] * (arms - 2)])
            found = [decided(steps(draws, arms, scale, 0.1)) for _ in range(studies // 4)]
            right = sum(it.get("arm1") == "faster" for it in found)
            print(f"one of {arms} arms at {factor:.0%} of the steps, 10% censored: found {share(right, studies // 4)}")


def cost(repeats: int) -> None:
    """Print the CPU time of the evaluations as a share of that of the trial."""
    evaluate = HeldOut.evaluate
    for name in ("digits", "digits:cnn"):
        task, shares, spent = resolve(name), list[float](), list[float]()

        def timed(self: HeldOut, model: nn.Module, step: int, spent: list[float] = spent) -> float | None:
            began = time.thread_time()
            value = evaluate(self, model, step)
            spent.append(time.thread_time() - began)
            return value

        HeldOut.evaluate = timed  # type: ignore[method-assign]
        for seed in range(repeats):
            cached_data(task, seed)  # the first trial of a seed loads its data
            spent.clear()
            trial = run_trial(task, parse_arm("relu"), seed)
            shares.append(sum(spent) / (trial.cpu_seconds - sum(spent)))
        HeldOut.evaluate = evaluate  # type: ignore[method-assign]
        median = statistics.median(shares)
        print(
            f"{name}: {len(spent)} evaluations in {trial.steps} steps take {median:.1%} of the rest of the trial's CPU time"
        )


def main() -> None:
    """Run a part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("error", "cost"))
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    error(options.studies) if options.part == "error" else cost(options.repeats)


if __name__ == "__main__":
    main()
