"""Error rate and power of the statements that verdicts make on axes, with 8 columns and 4 arms at once.

    python benchmarks/axis_error_control.py [--studies 2000] [--seeds 20] [--seed 0] [--part 1|2|3|4|5]

A study has 8 columns, whose results on a seed are correlated (0.6, a Gaussian copula), each of another shape, and 3 arms beside the
baseline: 24 comparisons. Statements ("better", "worse", "tie") are made after every seed.

Part 1 simulates studies in which no arm differs, and counts those in which "better" or "worse" is ever stated. Part 2 makes columns of all
arms better or worse by d standard deviations of the paired difference, and measures how many of them are stated and which share of the
statements is false. Part 3 puts one outlier into every column of the paired differences. Part 4 takes away the results of one arm on its
worst seeds, as diverged trainings do, or gives arms equal means and other shapes, which is outside the promise. Part 5 counts ties of
columns that differ by just more than the region.

The rules:

* ActLab: `actlab.stats.robust_e_process` and `actlab.stats.false_discovery`, as a verdict calls them; statements of some studies are
  compared with those of `make_verdict`.
* closed test: the same evidence with the family-wise error rate, by `actlab.stats.closed_test` over all 72 statements.
* e-BH: the same evidence with the false discovery rate by Wang & Ramdas (2022), over all 72 statements.
* t, BH: paired t-tests of all comparisons with the correction of Benjamini and Hochberg, after every seed from the third on, or once.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, norm
from scipy.stats import t as student

from actlab.stats.closed_test import closed_evidence
from actlab.stats.e_process import exp_limited, log_growth
from actlab.stats.false_discovery import STATEMENTS, find_statements
from actlab.stats.robust_e_process import log_robust_growth
from actlab.studies.verdict.verdict import StudyFacts, make_verdict

Array = NDArray[np.float64]
Statements = NDArray[np.int64]  # index in STATEMENTS, or -1
Growth = Callable[..., Array]
ALPHA, ARMS, COLUMNS, CORRELATION = 0.05, 4, 8, 0.6
EQUIVALENT, BETTER, WORSE = (STATEMENTS.index(name) for name in ("equivalent", "better", "worse"))
BATCH = 200  # studies at a time

# Results of one column from numbers that are uniform between 0 and 1.
SHAPES: dict[str, Callable[[Array], Array]] = {
    "Gaussian": norm.ppf,
    "skewed (lognormal)": lambda u: np.exp(0.8 * norm.ppf(u)),
    "heavy tails (t, 3 df)": lambda u: student.ppf(u, 3),
    "steps with ties": lambda u: np.round(2 * norm.ppf(u)) / 2,
    "few values (one error in 360)": lambda u: np.floor(3 * u**2) / 360,
    "works or collapses": lambda u: np.where(u < 0.3, 0.0, 1.0 + 0.01 * u),
    "two values": lambda u: np.where(u < 0.5, 0.0, 1.0),
    "Cauchy": lambda u: np.tan(np.pi * (np.clip(u, 1e-9, 1 - 1e-9) - 0.5)),
}


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share of simulated studies, with its 95 % interval."""

    hits: int
    of: int

    def __str__(self) -> str:
        interval = binomtest(self.hits, self.of).proportion_ci(0.95, "exact")
        return f"{self.hits / self.of:.1%} [{interval.low:.1%}, {interval.high:.1%}]"


# ---- draws ----


def equal_arms(rng: np.random.Generator, studies: int, seeds: int, shapes: Sequence[str]) -> Array:
    """Return results of equal arms, shape (studies, arms, columns, seeds): correlated over columns, with an effect of the seed."""
    shape = studies, ARMS, COLUMNS, seeds
    common = np.sqrt(CORRELATION) * rng.normal(size=(studies, ARMS, 1, seeds))
    own = np.sqrt(1 - CORRELATION) * rng.normal(size=shape)
    shared = rng.normal(size=(studies, 1, 1, seeds))  # of the seed, in all arms
    uniform = norm.cdf((common + own + shared) / np.sqrt(2))
    return np.stack([SHAPES[name](uniform[:, :, column]) for column, name in enumerate(shapes)], axis=2)


def gaussian_arms(rng: np.random.Generator, studies: int, seeds: int) -> Array:
    """Return the same with Gaussian columns whose paired differences have a standard deviation of 1."""
    shape = studies, ARMS, COLUMNS, seeds
    noise = np.sqrt(CORRELATION) * rng.normal(size=(studies, ARMS, 1, seeds))
    return (noise + np.sqrt(1 - CORRELATION) * rng.normal(size=shape)) / np.sqrt(2)


# ---- rules: differences (studies, 24, seeds) -> Statements (studies, 24, looks) ----


def differences(results: Array) -> Array:
    """Return every other arm minus the first, shape (studies, arms - 1 times columns, seeds)."""
    apart = results[:, 1:] - results[:, :1]
    return apart.reshape(len(apart), -1, apart.shape[-1])


def evidence(apart: Array, rope: float, growth: Growth = log_robust_growth) -> Array:
    """Return the evidence of the three statements after every seed, shape (studies, 24, 3, seeds), 0 where the median contradicts."""
    paths = growth(np.stack([apart, -apart, rope - apart, rope + apart])).cumsum(-1)
    log_e = np.stack([np.minimum(paths[2], paths[3]), paths[0], paths[1]], axis=2)
    medians = np.stack([np.median(apart[..., :n], axis=-1) for n in range(1, apart.shape[-1] + 1)], axis=-1)
    agrees = np.stack([np.abs(medians) <= rope, medians > 0, medians < 0], axis=2)
    return np.where(agrees, exp_limited(log_e), 0.0)


def statements(found: Array) -> Statements:
    """Return what ActLab states after every seed."""
    return np.stack([find_statements(found[..., n], ALPHA) for n in range(found.shape[-1])], axis=-1)


def closed_statements(found: Array) -> Statements:
    """Return what the closed test by averages states after every seed, with the family-wise error rate."""
    flat = np.moveaxis(found, -1, 1).reshape(len(found), found.shape[-1], -1)
    rejected = np.maximum.accumulate(closed_evidence(flat), axis=1) >= 1 / ALPHA
    return chosen(np.moveaxis(rejected.reshape(*flat.shape[:2], -1, 3), 1, -1), found)


def ebh_statements(found: Array) -> Statements:
    """Return what e-BH states after every seed."""
    flat = np.moveaxis(found, -1, 1).reshape(len(found), found.shape[-1], -1)
    m = flat.shape[-1]
    ordered = -np.sort(-flat, axis=-1)
    passed = ordered >= m / (ALPHA * np.arange(1, m + 1))
    number = np.where(passed.any(-1), m - passed[..., ::-1].argmax(-1), 0)
    bound = m / (ALPHA * np.maximum(number, 1))
    rejected = (flat >= bound[..., None]) & (number[..., None] > 0)
    return chosen(np.moveaxis(rejected.reshape(*flat.shape[:2], -1, 3), 1, -1), found)


def chosen(rejected: NDArray[np.bool_], found: Array) -> Statements:
    """Return the statement with the larger evidence where two are allowed."""
    strength = np.where(rejected, found, -1.0)
    return np.where(rejected.any(axis=2), strength.argmax(axis=2), -1)


def t_statements(apart: Array, *, correct: bool, looks: Sequence[int]) -> Statements:
    """Return what paired t-tests state after the seeds of ``looks``."""
    made = np.full(apart.shape, -1)
    for n in looks:
        sample = apart[..., :n]
        error = sample.std(axis=-1, ddof=1) / np.sqrt(n)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.nan_to_num(sample.mean(axis=-1) / error, posinf=1e9, neginf=-1e9)
        p = 2 * student.sf(np.abs(t), n - 1)
        bound = np.full(len(p), ALPHA)
        if correct:
            ordered, m = np.sort(p, axis=1), p.shape[1]
            levels = ALPHA * np.arange(1, m + 1) / m
            passed = ordered <= levels
            last = m - 1 - passed[:, ::-1].argmax(axis=1)
            bound = np.where(passed.any(axis=1), levels[last], 0.0)
        made[..., n - 1] = np.where(p <= bound[:, None], np.where(t > 0, BETTER, WORSE), -1)
    return made


def of_a_verdict(results: Array, rope: float) -> list[int]:
    """Return the statements of one study by the verdict itself, in the order of the differences."""
    arms = tuple(f"arm{at}" for at in range(len(results)))
    columns = {f"c{at}": {"direction": "max", "unit": "", "rope": rope} for at in range(results.shape[1])}
    rows = [
        {
            "stage": "main", "arm": arm, "seed": seed, "status": "completed", "metric": 0.0, "lr": None, "error": None,
            "axes": {"own": {"numbers": dict(zip(columns, results[at, :, seed].tolist(), strict=True))}},
        }
        for at, arm in enumerate(arms) for seed in range(results.shape[2])
    ]  # fmt: skip # one row, one block
    facts = StudyFacts(
        name="s", task="t", metric="accuracy", arms=arms, baseline=arms[0], seeds=tuple(range(results.shape[2])), alpha=ALPHA,
        axes=({"name": "own", "columns": columns},),
    )  # fmt: skip # the plan's facts, one block
    found = make_verdict(rows, facts, {}).axes
    assert found is not None  # the study has an axis
    index = {"tie": EQUIVALENT, "better": BETTER, "worse": WORSE}
    return [index.get(column.of(arm).relation, -1) for arm in arms[1:] for column in found.columns]


# ---- measurements ----


def table(head: Sequence[str], body: Iterator[Sequence[str]]) -> None:
    """Print a Markdown table, row by row."""
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in body:
        print(f"| {' | '.join(row)} |", flush=True)
    print()


def in_batches(draw: Callable[[int], Array], studies: int) -> Iterator[Array]:
    """Yield the differences of all studies, some at a time."""
    for start in range(0, studies, BATCH):
        yield differences(draw(min(BATCH, studies - start)))


def states_a_difference(made: Statements) -> NDArray[np.bool_]:
    """Return whether a study ever states "better" or "worse"."""
    hit: NDArray[np.bool_] = ((made == BETTER) | (made == WORSE)).any(axis=(1, 2))
    return hit


def error_rows(rng: np.random.Generator, studies: int, seeds: int) -> Iterator[list[str]]:
    """Yield the rows of part 1."""
    cases = {"eight shapes, one a column": list(SHAPES), **{name: [name] * COLUMNS for name in SHAPES}}
    looks = range(3, seeds + 1)
    for case, shapes in cases.items():
        hits = np.zeros(5, dtype=int)
        for apart in in_batches(lambda size, own=shapes: equal_arms(rng, size, seeds, own), studies):
            found = evidence(apart, 1e-12)
            by_rule = [
                statements(found),
                closed_statements(found),
                ebh_statements(found),
                t_statements(apart, correct=True, looks=looks),
                t_statements(apart, correct=True, looks=[seeds]),
            ]
            hits += [int(states_a_difference(made).sum()) for made in by_rule]
        yield [case, *(str(Share(hits=int(hit), of=studies)) for hit in hits)]


def truth_of(rng: np.random.Generator, studies: int, real: int, d: float) -> Array:
    """Return the true differences, shape (studies, 24): d up or down in the first columns of every arm."""
    truth = np.zeros((studies, ARMS - 1, COLUMNS))
    truth[..., :real] = d * rng.choice([-1.0, 1.0], size=(studies, ARMS - 1, real))
    return truth.reshape(studies, -1)


def power_rows(rng: np.random.Generator, studies: int) -> Iterator[list[str]]:
    """Yield the rows of part 2; the region is a fifth of a standard deviation."""
    for d, real in ((1.0, 1), (1.0, 4), (1.0, 8), (2.0, 1), (2.0, 4), (2.0, 8)):
        for seeds in (8, 10, 15, 20):
            power, false = np.zeros(4), np.zeros(4)
            for start in range(0, studies, BATCH):
                size = min(BATCH, studies - start)
                truth = truth_of(rng, size, real, d)
                apart = differences(gaussian_arms(rng, size, seeds)) + truth[..., None]
                found = evidence(apart, 0.2)
                right = np.where(truth > 0, BETTER, np.where(truth < 0, WORSE, EQUIVALENT))
                last = found[..., -1:]
                by_t = t_statements(apart, correct=True, looks=[seeds])[..., -1:]
                rules = [statements(last), closed_statements(last), ebh_statements(last), by_t]
                for at, made in enumerate(made[..., 0] for made in rules):
                    is_made, is_right = made >= 0, made == right
                    power[at] += is_right[truth != 0].mean() * size
                    false[at] += ((is_made & ~is_right).sum(axis=1) / np.maximum(1, is_made.sum(axis=1))).sum()
            cells = [f"{one / studies:.0%} ({other / studies:.1%})" for one, other in zip(power, false, strict=True)]
            yield [f"{d:g}", f"{real} of {COLUMNS}", str(seeds), *cells]


def outlier_rows(rng: np.random.Generator, studies: int, seeds: int) -> Iterator[list[str]]:
    """Yield the rows of part 3: all columns of all arms better by 2, with one difference of 1,000 standard deviations."""
    cases = {
        "none": (0, 0.0),
        "against, first seed": (0, -1000.0),
        "for, first seed": (0, 1000.0),
        "against, tenth seed": (9, -1000.0),
    }
    for case, (at, size) in cases.items():
        power = np.zeros(3)
        for apart in in_batches(lambda batch: gaussian_arms(rng, batch, seeds), studies):
            moved = apart + 2.0
            moved[..., at] += size
            growths = log_robust_growth, log_growth
            rules = [statements(evidence(moved, 0.2, growth)[..., -1:])[..., 0] for growth in growths]
            rules.append(t_statements(moved, correct=True, looks=[seeds])[..., -1])
            power += [(made == BETTER).mean() * len(moved) for made in rules]
        yield [case, *(f"{share / studies:.0%}" for share in power)]


def missing_rows(rng: np.random.Generator, studies: int, seeds: int) -> Iterator[list[str]]:
    """Yield the rows of part 4, by verdicts: the first other arm lacks its worst seeds, or has another shape with the same mean."""
    for case in (
        "no number missing",
        "numbers of the worst fifth of an arm's seeds missing",
        "equal means of different shapes",
    ):
        counts = np.zeros(2, dtype=int)
        for _ in range(studies):
            results = gaussian_arms(rng, 1, seeds)[0]
            if case.startswith("numbers"):
                results[1] = np.where(results[1] < norm.ppf(0.2) / np.sqrt(2), np.nan, results[1])
            if case.startswith("equal"):
                collapsed = rng.random((COLUMNS, seeds)) < 0.05
                results[1] = 0.1 * results[1] + np.where(collapsed, -19.0, 1.0)
                results[0] = 0.1 * results[0]
            stated = np.array(of_a_verdict(results, 1e-12))[:COLUMNS]
            counts += [bool((stated == BETTER).any()), bool((stated == WORSE).any())]
        yield [case, *(str(Share(hits=int(hits), of=studies)) for hits in counts)]


def tie_rows(rng: np.random.Generator, studies: int, seeds: int) -> Iterator[list[str]]:
    """Yield the rows on ties: all columns of all arms differ by just more than the region, or not at all."""
    for rope in (0.5, 1.0, 2.0, 4.0):
        ever, share, right = 0, 0.0, 0.0
        for apart in in_batches(lambda size: gaussian_arms(rng, size, seeds), studies):
            found = evidence(apart + rope * (1 + 1e-9), rope)
            made = statements(found)
            ever += int((made == EQUIVALENT).any(axis=(1, 2)).sum())
            last = made[..., -1]
            share += ((last == EQUIVALENT).sum(axis=1) / np.maximum(1, (last >= 0).sum(axis=1))).sum()
            right += (statements(evidence(apart, rope)[..., -1:])[..., 0] == EQUIVALENT).mean(axis=1).sum()
        yield [f"{rope:g}", str(Share(hits=ever, of=studies)), f"{share / studies:.1%}", f"{right / studies:.0%}"]


def agreement(rng: np.random.Generator, studies: int = 20, seeds: int = 12) -> str:
    """Return a sentence on whether the verdict states what the rule states here."""
    same = 0
    for _ in range(studies):
        truth = truth_of(rng, 1, 4, 2.0)[0].reshape(ARMS - 1, COLUMNS)
        results = gaussian_arms(rng, 1, seeds)[0]
        results[1:] += truth[..., None]
        here = statements(evidence(differences(results[None]), 0.2)[..., -1:])[0, :, 0]
        same += here.tolist() == of_a_verdict(results, 0.2)
    return f"The rule as vectorised here states what the verdict states in {same} of {studies} studies."


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--studies", type=int, default=2000, help="simulated studies per row; part 2 to 5 take a quarter"
    )
    parser.add_argument("--seeds", type=int, default=20, help="seeds of a study")
    parser.add_argument("--seed", type=int, default=0, help="of the generator")
    parser.add_argument("--part", type=int, choices=(1, 2, 3, 4, 5), help="only this part")
    options = parser.parse_args()
    parts = {options.part} if options.part else {1, 2, 3, 4, 5}
    rng, started = np.random.default_rng(options.seed), time.process_time()
    some = max(1, options.studies // 4)
    warnings.filterwarnings("ignore", category=RuntimeWarning)  # of t-tests on differences that are all equal
    print(f"{agreement(rng)}\n")
    if 1 in parts:
        print(
            f'Studies that ever state "better" or "worse" although no arm differs; {options.studies} per row, {options.seeds} looks:\n'
        )
        head = ["columns", "ActLab", "closed test", "e-BH", "t, BH, at every look", "t, BH, once"]
        table(head, error_rows(rng, options.studies, options.seeds))
    if 2 in parts:
        print(
            f"Share of the true differences that are stated, and in brackets the false share of all statements; {some} studies per row:\n"
        )
        table(
            ["d", "columns that differ", "seeds", "ActLab", "closed test", "e-BH", "t, BH, once"], power_rows(rng, some)
        )
    if 3 in parts:
        print(
            f"Share of the true differences (d = 2) that are stated after {options.seeds} seeds; {some} studies per row:\n"
        )
        table(
            ["outlier", "ActLab", "without limits to differences", "t, BH, once"],
            outlier_rows(rng, some, options.seeds),
        )
    if 4 in parts:
        print(
            f"Studies that state something of an arm that is as good as the baseline, after {options.seeds} seeds; {some} per row:\n"
        )
        table(["case", '"better" in any column', '"worse" in any column'], missing_rows(rng, some, options.seeds))
    if 5 in parts:
        rng = np.random.default_rng([options.seed, 5])
        print(
            f"Ties of columns that differ by just more than the region; {some} studies per row, {options.seeds} looks:\n"
        )
        head = ["region, sd of a difference", "a tie is ever stated", "false share at the end", "ties of equal columns"]
        table(head, tie_rows(rng, some, options.seeds))
    print(f"{time.process_time() - started:.0f} s of CPU time")


if __name__ == "__main__":
    main()
