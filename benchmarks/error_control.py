"""Error rate and power of sequential elimination and of practical equivalence, against Optuna's pruner, t-tests and the rule of 0.1.0.

    python benchmarks/error_control.py [--studies 2000] [--seeds 20] [--seed 0] [--part 1|2|3]

Part 1 simulates studies in which all arms are equally good, with a decision after every seed. A study errs when at least one
arm is eliminated; its best set, or its winner, is then wrong. Rows outside the promise (equal means of different shapes, seeds that
depend on each other) are printed as such. Part 2 makes arms worse by d standard deviations of the paired difference, and counts the
eliminations of worse arms and the seeds they take. Part 3 simulates pairs that are just *not* practically equivalent, and counts the
studies that call them so.

The rules:

* ActLab: `actlab.stats.racing.Race`, the class that a study uses, at alpha = 5 %.
* t process: the rule of ActLab 0.1.0, exact for Gaussian differences (`t_process.py`).
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, rankdata
from scipy.stats import t as student
from study_draws import EQUAL, OUTSIDE, WITH_TIES, diverging, gaussian, unequal_arms
from t_process import NEVER, t_process_rule

from actlab.stats.closed_test import closed_evidence
from actlab.stats.equivalence import log_equivalence
from actlab.stats.racing import Race

Array = NDArray[np.float64]
Rounds = NDArray[np.int64]  # per study and arm, the round after which it was eliminated, or NEVER
ALPHA = 0.05
Draw = Callable[..., Array]


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
    "t process (0.1.0)": t_process_rule,
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


def power(rounds: Rounds, worse: NDArray[np.bool_]) -> str:
    """Return the share of the worse arms that were eliminated, and the median number of seeds until then."""
    share, median = np.mean(rounds[worse] != NEVER), np.median(rounds[worse])
    return f"{share:.0%}, {median:.0f}" if median < NEVER / 2 else f"{share:.0%}, -"


def table(head: Sequence[str], body: Iterator[Sequence[str]]) -> None:
    """Print a Markdown table, row by row."""
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in body:
        print(f"| {' | '.join(row)} |", flush=True)
    print()


def error_rows(draws: Mapping[str, Draw], rng: np.random.Generator, studies: int, seeds: int) -> Iterator[list[str]]:
    """Yield the rows of part 1."""
    for name, draw in draws.items():
        for arms in (2, 5, 10):
            results = draw(rng, studies, arms, seeds)
            skipped = list(RULES)[1:] if draw is diverging else ["Optuna WilcoxonPruner"] if draw in WITH_TIES else []
            cells = ["-" if rule in skipped else str(error_rate(decide, results)) for rule, decide in RULES.items()]
            yield [name, str(arms), *cells]


def power_rows(rng: np.random.Generator, studies: int, seeds: int) -> Iterator[list[str]]:
    """Yield the rows of part 2."""
    for effect in (0.5, 1.0, 1.5, 2.0, 3.0, 5.0):
        for arms in (2, 3, 5, 10):
            for case in ("one worse",) if arms == 2 else ("one worse", "one better", "two groups"):
                results, worse = unequal_arms(rng, case, effect, studies, arms, seeds)
                cells = [power(rule(results), worse) for rule in RULES.values()]
                yield [f"{effect}", str(arms), "the pair" if arms == 2 else case, *cells]


def settled_pairs(differences: Array, rope: float) -> NDArray[np.bool_]:
    """Return, for differences of shape (studies, pairs, seeds), whether ActLab ever calls a pair practically equivalent."""
    paths = np.exp(np.minimum(log_equivalence(differences, rope), 600.0))
    settled: NDArray[np.bool_] = closed_evidence(np.swapaxes(paths, 1, 2)).max(axis=1) >= 1 / ALPHA
    return settled


def posterior_pairs(differences: Array, rope: float) -> NDArray[np.bool_]:
    """Return whether the posterior probability of equivalence under Gaussian differences ever reaches 95 %, from the third seed on."""
    n = np.arange(1, differences.shape[-1] + 1)
    mean = differences.cumsum(-1) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.maximum((differences**2).cumsum(-1) / n - mean**2, 0.0) * n / (n - 1)
        error = np.sqrt(variance / n)
        within = student.cdf((rope - mean) / error, n - 1) - student.cdf((-rope - mean) / error, n - 1)
    reached: NDArray[np.bool_] = (within[..., 2:] >= 1 - ALPHA).any(axis=-1)
    return reached


def equivalence_rows(rng: np.random.Generator, studies: int, seeds: int) -> Iterator[list[str]]:
    """Yield the rows of part 3: arms at 0 and at the region's edge, 1, so that pairs across are not equivalent."""
    noises: dict[str, Callable[..., Array]] = {
        "Gaussian": lambda *shape: rng.normal(size=shape) / np.sqrt(2),
        "heavy tails (t, 3 df)": lambda *shape: rng.standard_t(3, size=shape) / np.sqrt(6),
        "two values": lambda *shape: rng.choice([-0.5, 0.5], size=shape),
    }
    for name, noise in noises.items():
        for spread in (0.5, 1.0, 2.0, 4.0):
            for arms in (2, 5, 10):
                level = (np.arange(arms) >= arms // 2) * (1 + 1e-9)
                results = level[:, None] + spread * noise(studies, arms, seeds)
                first, second = np.array(list(combinations(range(arms), 2))).T
                across = level[first] != level[second]
                differences = results[:, first] - results[:, second]
                wrong = [
                    Share(hits=int(rule(differences, 1.0)[:, across].any(axis=1).sum()), of=studies)
                    for rule in (settled_pairs, posterior_pairs)
                ]
                right = f"{settled_pairs(differences, 1.0)[:, ~across].mean():.0%}" if arms > 2 else "-"
                yield [name, f"{spread}", str(arms), *map(str, wrong), right]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000, help="simulated studies per row; part 2 takes a quarter")
    parser.add_argument("--seeds", type=int, default=20, help="seeds of a study; three times as many in part 2")
    parser.add_argument("--seed", type=int, default=0, help="of the generator")
    parser.add_argument("--part", type=int, choices=(1, 2, 3), help="only this part")
    options = parser.parse_args()
    parts = {options.part} if options.part else {1, 2, 3}
    rng, started = np.random.default_rng(options.seed), time.perf_counter()
    if 1 in parts:
        print(f"{optuna_agreement(rng)}\n")
        print(f"Studies with an error; {options.studies} per row, a decision after each of {options.seeds} seeds:\n")
        table(["results", "arms", *RULES], error_rows(EQUAL, rng, options.studies, options.seeds))
        print("Outside the promise:\n")
        table(["results", "arms", *RULES], error_rows(OUTSIDE, rng, options.studies, options.seeds))
    if 2 in parts:
        print("Worse arms eliminated, and median seeds until then (the fixed-n rule always takes all):\n")
        table(["d", "arms", "case", *RULES], power_rows(rng, max(1, options.studies // 4), 3 * options.seeds))
    if 3 in parts:
        print("Studies that call arms practically equivalent that differ by just more than the region:\n")
        head = ["noise", "spread", "arms", "ActLab", "posterior, looked at after every seed", "equal pairs settled"]
        table(head, equivalence_rows(rng, options.studies, options.seeds))
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
