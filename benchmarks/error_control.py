"""Error rate and power of sequential elimination, against Optuna's pruner and t-tests on the same draws.

    python benchmarks/error_control.py [--studies 2000] [--seeds 20] [--seed 0]

Part 1 simulates studies in which all arms are equally good, with a decision after every seed. A study errs when at least one
arm is eliminated; its best set, or its winner, is then wrong. Part 2 makes one arm worse, or one better, by d standard
deviations of the paired difference, and counts the eliminations of worse arms and the seeds they take.

The rules:

* ActLab: `actlab.stats.racing.Race`, the class that a study uses, at alpha = 5 %.
* Optuna: `optuna.pruners.WilcoxonPruner()` with its defaults (p 0.1, two start-up steps), arms as trials one after the
  other, seeds as steps; a pruned trial raises `TrialPruned`. The rule is implemented here for speed, and its decisions
  are compared with the real class on some draws when optuna is installed. The fast formula is not defined for ties, so
  accuracies are omitted.
* Repeated t: a paired t-test of every pair at 5 % after every seed from the third on, a common manual procedure.
* Fixed n: one paired t-test of every pair after the last seed, Holm-corrected, with no decision before. The reference for
  power.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, rankdata
from scipy.stats import t as student

from actlab.stats.racing import Race

Array = NDArray[np.float64]
Rounds = NDArray[np.int64]  # per study and arm, the round after which it was eliminated, or NEVER
NEVER = 10**6
ALPHA = 0.05


# ---- draws: (generator, studies, arms, seeds) -> results of shape (studies, arms, seeds), larger is better ----


def gaussian(rng: np.random.Generator, *shape: int) -> Array:
    """Gaussian results; half of the variance is an effect of the seed that all arms share, and pairing removes it."""
    studies, _, seeds = shape
    return (rng.normal(size=shape) + rng.normal(size=(studies, 1, seeds))) / np.sqrt(2)


def heavy_tailed(rng: np.random.Generator, *shape: int) -> Array:
    """Student t with 3 degrees of freedom, with occasional extreme seeds."""
    return rng.standard_t(3, size=shape)


def skewed(rng: np.random.Generator, *shape: int) -> Array:
    """Negative lognormal loss, equal for all arms, with a long tail of bad results."""
    return -rng.lognormal(0.0, 0.8, size=shape)


def accuracy(rng: np.random.Generator, *shape: int) -> Array:
    """Accuracy on 360 test images; an effect of the seed changes the rate of all arms."""
    studies, _, seeds = shape
    rate = np.clip(0.965 + 0.008 * rng.normal(size=(studies, 1, seeds)), 0.9, 0.995)
    return rng.binomial(360, np.broadcast_to(rate, shape)) / 360


def saturated(rng: np.random.Generator, *shape: int) -> Array:
    """Accuracy on 360 images where all arms have one or two errors, with few values and many ties."""
    return rng.binomial(360, 0.996, size=shape) / 360


def unequal_spread(rng: np.random.Generator, *shape: int) -> Array:
    """Equal means, and standard deviations from 0.1 for the first arm to 1 for the last."""
    return rng.normal(size=shape) * np.geomspace(0.1, 1.0, shape[1])[:, None]


def unequal_shape(rng: np.random.Generator, *shape: int) -> Array:
    """Equal means; one arm has a long tail of bad seeds, so that it is typically better and sometimes far worse."""
    x = 0.5 * rng.normal(size=shape)
    x[:, 0] = 1 - rng.exponential(size=(shape[0], shape[2]))
    return x


EQUAL = {
    "Gaussian, shared seed effect": gaussian,
    "heavy tails (t, 3 df)": heavy_tailed,
    "skewed (lognormal loss)": skewed,
    "accuracy on 360 images": accuracy,
    "accuracy 99.6 % on 360 images": saturated,
    "Gaussian, spreads 1 to 10": unequal_spread,
}


# ---- rules: results -> Rounds ----


def actlab_rule(results: Array) -> Rounds:
    """Apply ActLab's race to every study."""
    studies, arms, seeds = results.shape
    labels = [f"arm{i}" for i in range(arms)]
    race = Race(labels, "max", ALPHA)
    rounds = np.full((studies, arms), NEVER)
    for row, study in zip(rounds, results.tolist(), strict=True):
        table = {label: dict(enumerate(values)) for label, values in zip(labels, study, strict=True)}
        for label, elimination in race.replay(table, range(seeds)).eliminated.items():
            row[labels.index(label)] = elimination.after
    return rounds


def wilcoxon_p(gains: Array) -> Array:
    """Return the exact one-sided p-value of the signed-rank test of "the gains are negative", for gains without ties."""
    n = gains.shape[-1]
    counts = np.ones(1)
    for rank in range(1, n + 1):  # how many of the 2^n sign patterns give each sum of positive ranks
        counts = np.convolve(counts, np.eye(1, rank + 1)[0] + np.eye(1, rank + 1, rank)[0])
    positive = np.where(gains > 0, rankdata(np.abs(gains), axis=-1), 0.0).sum(axis=-1)
    p: Array = (counts.cumsum() / 2.0**n)[positive.astype(int)]
    return p


def optuna_rule(results: Array, threshold: float = 0.1, startup: int = 2) -> Rounds:
    """Apply ``WilcoxonPruner``: each trial is compared with the best completed one, and not pruned if its mean is better."""
    studies, arms, seeds = results.shape
    rounds = np.full((studies, arms), NEVER)
    index = np.arange(studies)
    best = np.zeros(studies, dtype=int)  # the first trial has no rival and completes
    means = results.mean(axis=-1)
    for arm in range(1, arms):
        gains = results[:, arm] - results[index, best]
        for n in range(max(2, startup), seeds + 1):
            worse = results[:, arm, :n].mean(axis=-1) < means[index, best]
            prune = (wilcoxon_p(gains[:, :n]) < threshold) & worse & (rounds[:, arm] == NEVER)
            rounds[prune, arm] = n
        better = (rounds[:, arm] == NEVER) & (means[:, arm] > means[index, best])
        best = np.where(better, arm, best)
    return rounds


def _t_statistics(results: Array) -> Array:
    """Return the paired t statistic of "b better than a", shape (studies, b, a)."""
    gains = results[:, :, None] - results[:, None]
    error = gains.std(axis=-1, ddof=1) / np.sqrt(gains.shape[-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(gains.mean(axis=-1) / error, posinf=1e9, neginf=-1e9)


def repeated_t_rule(results: Array) -> Rounds:
    """Eliminate an arm when, after any seed from the third on, a paired t-test at 5 % finds another arm better."""
    rounds = np.full(results.shape[:2], NEVER)
    for n in range(3, results.shape[-1] + 1):
        worse = (_t_statistics(results[..., :n]) > student.ppf(1 - ALPHA / 2, n - 1)).any(axis=1)
        rounds[worse & (rounds == NEVER)] = n
    return rounds


def fixed_n_rule(results: Array) -> Rounds:
    """Eliminate an arm when, after the last seed, Holm's procedure over all pairs finds another arm better."""
    _, arms, seeds = results.shape
    t = _t_statistics(results)
    first, second = np.triu_indices(arms, 1)
    p = 2 * student.sf(np.abs(t[:, first, second]), seeds - 1)
    order = np.argsort(p, axis=1)
    bounds = ALPHA / np.arange(p.shape[1], 0, -1)
    passed = np.logical_and.accumulate(np.take_along_axis(p, order, 1) <= bounds, axis=1)
    rejected = np.zeros_like(passed)
    np.put_along_axis(rejected, order, passed, 1)
    rounds = np.full(results.shape[:2], NEVER)
    for pair, (one, other) in enumerate(zip(first, second, strict=True)):
        hit = np.flatnonzero(rejected[:, pair])
        rounds[hit, np.where(t[hit, one, other] > 0, other, one)] = seeds
    return rounds


RULES: dict[str, Callable[[Array], Rounds]] = {
    "ActLab": actlab_rule,
    "Optuna WilcoxonPruner": optuna_rule,
    "repeated t": repeated_t_rule,
    "fixed n, Holm": fixed_n_rule,
}


def optuna_agreement(rng: np.random.Generator, studies: int = 25, arms: int = 4, seeds: int = 20) -> str:
    """Return a sentence with the number of trials on which the rule implemented here and the real class agree."""
    try:
        import optuna  # noqa: PLC0415 an extra that only this comparison needs
    except ImportError:
        return "Optuna is not installed (pip install 'actlab[compare]'): its rule was not compared with the real class."
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    results = gaussian(rng, studies, arms, seeds)
    ours, reference = optuna_rule(results), np.full((studies, arms), NEVER)
    for row, values in zip(reference, results, strict=True):
        study = optuna.create_study(direction="maximize", pruner=optuna.pruners.WilcoxonPruner())
        for arm in range(arms):
            trial = study.ask()
            for seed in range(seeds):
                trial.report(values[arm, seed], seed)
                if trial.should_prune():
                    row[arm] = seed + 1
                    break
            if row[arm] == NEVER:
                study.tell(trial, values[arm].mean())
            else:
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    agreement = f"{(ours == reference).sum()} of {ours.size} trials"
    return f"Optuna {optuna.__version__}: the rule implemented here decides like the real class on {agreement}."


# ---- measurements ----


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share of simulated studies, with its 95 % interval."""

    hits: int
    of: int

    def __str__(self) -> str:
        interval = binomtest(self.hits, self.of).proportion_ci(0.95, "exact")
        return f"{self.hits / self.of:.1%} [{interval.low:.1%}, {interval.high:.1%}]"


def error_rate(rule: Callable[[Array], Rounds], results: Array) -> Share:
    """Return the share of studies with equal arms in which an arm is eliminated."""
    return Share(hits=int((rule(results) != NEVER).any(axis=1).sum()), of=len(results))


def one_different_arm(
    rng: np.random.Generator, studies: int, arms: int, seeds: int, effect: float
) -> tuple[Array, NDArray[np.int64]]:
    """Draw studies with one arm, at a random place, better by ``effect`` SDs of the paired difference."""
    results = gaussian(rng, studies, arms, seeds)  # the arm's own SD is 1/sqrt(2), so the difference of two has SD 1
    different = rng.integers(arms, size=studies)
    results[np.arange(studies), different] += effect
    return results, different


def power(rounds: Rounds, different: NDArray[np.int64], *, better: bool) -> str:
    """Return the share of the worse arms that were eliminated, and the median number of seeds until then."""
    is_different = np.arange(rounds.shape[1]) == different[:, None]
    of_worse = rounds[~is_different if better else is_different]
    share, median = f"{np.mean(of_worse != NEVER):.0%}", np.median(of_worse)
    return f"{share}, {median:.0f}" if median < NEVER else f"{share}, -"


def table(head: Sequence[str], body: Iterator[Sequence[str]]) -> None:
    """Print a Markdown table, row by row."""
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in body:
        print(f"| {' | '.join(row)} |", flush=True)
    print()


def error_rows(rng: np.random.Generator, studies: int, seeds: int) -> Iterator[list[str]]:
    """Yield the rows of part 1."""
    for name, draw in {**EQUAL, "equal means, one arm with a long bad tail": unequal_shape}.items():
        for arms in (2, 5, 10):
            results = draw(rng, studies, arms, seeds)
            ties = draw in (accuracy, saturated)
            yield [
                name,
                str(arms),
                *("-" if ties and rule is optuna_rule else str(error_rate(rule, results)) for rule in RULES.values()),
            ]


def power_rows(rng: np.random.Generator, studies: int, seeds: int) -> Iterator[list[str]]:
    """Yield the rows of part 2."""
    for effect in (0.5, 1.0, 1.5, 2.0, 3.0):
        for arms, better in ((2, True), (5, False), (5, True), (10, False), (10, True)):
            results, different = one_different_arm(rng, studies, arms, seeds, effect if better else -effect)
            case = "one worse" if not better else "one better"
            cells = [power(rule(results), different, better=better) for rule in RULES.values()]
            yield [f"{effect}", str(arms), "the pair" if arms == 2 else case, *cells]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000, help="simulated studies per row; part 2 takes a quarter")
    parser.add_argument("--seeds", type=int, default=20, help="seeds of a study")
    parser.add_argument("--seed", type=int, default=0, help="of the generator")
    options = parser.parse_args()
    rng, started = np.random.default_rng(options.seed), time.perf_counter()
    print(f"{optuna_agreement(rng)}\n")
    print(
        f"Studies with an error; {options.studies} studies per row, a decision after each of {options.seeds} seeds:\n"
    )
    table(["results", "arms", *RULES], error_rows(rng, options.studies, options.seeds))
    print("The last block is outside the guarantee: a test of means with unknown spread cannot exclude such a tail.\n")
    print("Worse arms eliminated, and median seeds until then (the fixed-n rule always takes all):\n")
    table(["d", "arms", "case", *RULES], power_rows(rng, max(1, options.studies // 4), options.seeds))
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
