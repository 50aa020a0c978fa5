"""Planted contradictions are found, and rounding, pairing and other usual methods are never accused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

HEADER = "activation,accuracy,sd,runs,p,d,ci low,ci high"


def _truth(random, rows, runs, *, scale=100.0):
    """Return a true table: means, deviations and samples of runs, the first row the reference of p, d and intervals."""
    centre, spread = random.uniform(0.5, 0.95) * scale, random.uniform(0.002, 0.01) * scale
    return [
        random.normal(centre + random.normal(0, 2 * spread), spread * random.uniform(0.5, 2), size=runs)
        for _ in range(rows)
    ]


def _effect(a, b):
    pooled = math.sqrt(((a.size - 1) * a.var(ddof=1) + (b.size - 1) * b.var(ddof=1)) / (a.size + b.size - 2))
    return abs(a.mean() - b.mean()) / pooled


def _printed(samples, places, *, equal_var, of_mean, shown=lambda value, places: f"{value:.{places}f}"):
    """Return the lines of a table that follows from runs; p, d and the interval are of the difference from the first row."""
    lines = []
    for i, x in enumerate(samples):
        cells = [f"f{i}", shown(x.mean(), places), shown(x.std(ddof=1), places), str(x.size)]
        test = stats.ttest_ind(x, samples[0], equal_var=equal_var)
        interval = stats.ttest_1samp(x, 0).confidence_interval() if of_mean else test.confidence_interval()
        ends = [shown(interval.low, places), shown(interval.high, places)]
        cells += (
            ["-", "-", *(ends if of_mean else ["-", "-"])]
            if i == 0
            else [shown(test.pvalue, 4), shown(_effect(x, samples[0]), 2), *ends]
        )
        lines.append(cells)
    return lines


def _text(lines):
    return "\n".join([HEADER, *(",".join(cells) for cells in lines)])


def _cut(value, places):
    return f"{math.trunc(value * 10**places) / 10**places:.{places}f}"


def _up(value, places):
    return f"{math.ceil(value * 10**places) / 10**places:.{places}f}"


@pytest.mark.parametrize(
    "shown", [lambda value, places: f"{value:.{places}f}", _cut, _up], ids=["rounded", "cut", "rounded up"]
)
@pytest.mark.parametrize("equal_var", [True, False], ids=["Student", "Welch"])
@pytest.mark.parametrize("of_mean", [True, False], ids=["interval of the mean", "interval of the difference"])
def test_a_true_table_with_few_digits_is_never_accused(check, shown, equal_var, of_mean):
    random = np.random.default_rng([equal_var, of_mean])
    for _ in range(8):
        runs, rows, places = int(random.integers(2, 25)), int(random.integers(2, 9)), int(random.integers(1, 4))
        lines = _printed(_truth(random, rows, runs), places, equal_var=equal_var, of_mean=of_mean, shown=shown)

        assert check(_text(lines)).contradictions == (), _text(lines)


def test_a_true_table_in_shares_of_one_or_with_a_loss_is_never_accused_either(check):
    random = np.random.default_rng(11)
    for _ in range(10):
        lines = _printed(_truth(random, 5, 5, scale=1.0), int(random.integers(2, 5)), equal_var=False, of_mean=True)
        text = _text(lines)

        assert check(text).clean
        assert check(text.replace("accuracy", "test loss")).clean


def test_standard_deviations_with_divisor_n_are_not_accused(check):
    random = np.random.default_rng(12)
    samples = _truth(random, 6, 3)
    lines = _printed(samples, 3, equal_var=True, of_mean=True)
    for cells, x in zip(lines, samples, strict=True):
        cells[2] = f"{x.std():.3f}"

    assert check(_text(lines)).clean


def test_one_sided_p_values_of_a_whole_table_are_not_accused(check):
    samples = _truth(np.random.default_rng(13), 6, 8)
    lines = _printed(samples, 3, equal_var=True, of_mean=True)
    for cells, x in zip(lines[1:], samples[1:], strict=True):
        cells[4] = f"{stats.ttest_ind(x, samples[0], alternative='greater').pvalue:.4f}"

    assert check(_text(lines)).clean


def test_tests_of_paired_runs_are_not_accused(check):
    random = np.random.default_rng(14)
    common = random.normal(87, 0.8, size=10)
    samples = [common + random.normal(0.1 * i, 0.2, size=10) for i in range(6)]
    lines = _printed(samples, 3, equal_var=True, of_mean=True)
    for cells, x in zip(lines[1:], samples[1:], strict=True):
        cells[4:6] = f"{stats.ttest_rel(x, samples[0]).pvalue:.4f}", "-"
    found = check(_text(lines))

    assert found.clean
    assert any("may come from another method, such as paired runs" in note for note in found.methods)
    assert check(_text(lines[:2]), paired=True).clean
    assert "--paired" in check(_text(lines[:2])).contradictions[0].sentence


def test_intervals_by_a_bootstrap_are_not_accused(check):
    random = np.random.default_rng(15)
    samples = _truth(random, 5, 5)
    lines = _printed(samples, 3, equal_var=True, of_mean=True)
    for cells, x in zip(lines, samples, strict=True):
        means = random.choice(x, size=(500, x.size)).mean(axis=1)
        cells[6:8] = (f"{end:.3f}" for end in np.quantile(means, [0.025, 0.975]))

    assert check(_text(lines)).clean


def test_an_interval_that_is_cut_at_the_limit_of_the_metric_is_not_accused(check):
    text = "name,accuracy,sd,runs,95% CI\na,99.5%,0.60,5,98.76 to 100\nb,99.1%,0.30,5,98.73 to 99.47\nc,98.0%,0.50,5,97.38 to 98.62"

    assert check(text).clean


PLANTED = {
    "a p-value in the middle": (3, 4, lambda cells: "0.0400" if float(cells[4]) > 0.08 else "0.3000", "p-value"),
    "a p-value off by a digit": (2, 4, lambda cells: f"{min(1.0, 3 * float(cells[4]) + 0.02):.4f}", "p-value"),
    "an effect size": (4, 5, lambda cells: f"{float(cells[5]) + 1:.2f}", "effect size"),
    "an end of an interval": (2, 7, lambda cells: f"{float(cells[7]) + 0.5:.3f}", "interval"),
    "an interval that does not contain its mean": (1, 7, lambda cells: f"{float(cells[1]) - 0.001:.3f}", "interval"),
    "a mean": (3, 1, lambda cells: f"{float(cells[1]) + 9:.3f}", "interval"),
    "a spread": (3, 2, lambda cells: f"{float(cells[2]) * 2:.3f}", "interval"),
    "a run count": (3, 3, lambda _: "3", "interval"),
    "a mean above 100": (4, 1, lambda _: "187.4", "mean"),
}


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize("seed", range(3))
def test_a_planted_contradiction_is_found_in_its_row_and_nowhere_else(check, name, seed):
    row, column, change, figure = PLANTED[name]
    random = np.random.default_rng(seed)
    samples = [random.normal(87 + 0.3 * i, 0.5, size=10) for i in range(6)]
    lines = _printed(samples, 3, equal_var=True, of_mean=True)
    lines[row][column] = change(lines[row])
    found = check(_text(lines))

    assert {one.row for one in found.contradictions} == {f"f{row}"}
    assert figure in {one.figure for one in found.contradictions}
    assert {one.line for one in found.contradictions} == {row + 2}
    assert not found.clean
    assert f"1 row of 6 contradicts itself: f{row}." in found.sentence


def test_a_contradiction_is_found_in_a_table_of_two_rows(check):
    found = check("name,accuracy,sd,runs,p\nrelu,87.1,0.4,10,-\ngelu,87.2,0.5,10,0.001")

    assert [one.figure for one in found.contradictions] == ["p-value"]
    assert "Welch's test gives 0.6277" in found.contradictions[0].sentence
    assert stats.ttest_ind_from_stats(87.1, 0.4, 10, 87.2, 0.5, 10, equal_var=False).pvalue == pytest.approx(
        0.6277, abs=5e-5
    )


def test_a_standard_deviation_that_the_range_of_the_metric_excludes_is_found(check):
    found = check("name,accuracy,sd,runs\nrelu,99.0%,15,5\ngelu,98.0%,0.5,5")

    assert [(one.row, one.figure) for one in found.contradictions] == [("relu", "spread")]
    widest = np.array([100.0] * 99 + [0.0])
    assert np.sqrt((99 - 0) * (100 - 99) * 5 / 4) == pytest.approx(widest.std() * math.sqrt(5 / 4))


def test_a_standard_error_that_does_not_follow_from_the_standard_deviation_is_found(check):
    text = "name,accuracy,sd,se,runs\na,87.1,0.40,0.179,5\nb,87.3,0.50,0.224,5\nc,87.2,0.60,0.350,5\n"

    assert [(one.row, one.figure) for one in check(text).contradictions] == [("c", "standard error")]


def test_means_that_no_counts_of_test_examples_give_are_found(check):
    random = np.random.default_rng(16)
    shares = [random.integers(60, 75, size=3).sum() / (3 * 80) for _ in range(6)]
    text = "name,accuracy,runs\n" + "\n".join(f"f{i},{100 * share:.2f}%,3" for i, share in enumerate(shares))
    wrong = text.replace(f"f3,{100 * shares[3]:.2f}", f"f3,{100 * shares[3] + 0.2:.2f}")

    assert check(text, items=80).clean
    assert [one.row for one in check(wrong, items=80).contradictions] == ["f3"]
    assert check(wrong).clean


def test_limits_that_are_given_replace_those_of_the_name(check):
    text = "name,result,runs\na,12,1\nb,9,1"

    assert check(text, direction="max").clean
    assert check(text, direction="max", limits=(0, 10)).contradictions[0].row == "a"


def test_a_spread_of_unknown_kind_is_read_as_what_the_other_figures_follow_from(check):
    samples = _truth(np.random.default_rng(17), 6, 9)
    lines = _printed(samples, 4, equal_var=False, of_mean=True)
    rows = [
        f"{cells[0]},{cells[1]} ± {x.std(ddof=1) / 3:.4f},9,{cells[4]},{cells[5]}"
        for cells, x in zip(lines, samples, strict=True)
    ]
    text = "\n".join(["activation,accuracy,runs,p,d", *rows])
    found = check(text)

    assert found.clean
    assert found.notes[3 if found.ties == () else 1].startswith(
        "A spread is taken as the standard error: with it 10 of 10"
    )
    assert found.rows[0].sd == pytest.approx(samples[0].std(ddof=1), rel=1e-2)
    assert not check(text, spread="sd").clean
