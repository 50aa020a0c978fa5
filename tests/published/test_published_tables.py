"""Tables of the literature: what differs, what ties and what contradicts itself, beside scipy on the same figures."""

from __future__ import annotations

import csv
import math
from itertools import takewhile
from pathlib import Path

import pytest
from scipy import stats

PUBLISHED = Path(__file__).parents[2] / "examples" / "published_tables"


def _rows(name):
    with (PUBLISHED / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def _mish():
    return {
        row["activation"]: (float(row["mean accuracy"][:-1]), float(row["SD of accuracy"]))
        for row in _rows("mish_23_runs")
    }


def test_two_rows_of_the_table_of_mish_contradict_themselves(published):
    found = published("mish_23_runs")

    assert list(dict.fromkeys(one.row for one in found.contradictions)) == ["SoftPlus (1)", "ISRU (1.0)"]
    assert [(one.row, one.figure) for one in found.contradictions] == [
        ("SoftPlus (1)", "interval"), ("ISRU (1.0)", "effect size"), ("ISRU (1.0)", "interval"), ("ISRU (1.0)", "half width"),
    ]  # fmt: skip


def test_the_same_two_rows_are_found_from_any_one_of_the_redundant_columns(published, tmp_path):
    def without(*titles):
        def change(text):
            for title in titles:
                text = text.replace(title, f"other {title[0]}", 1)
            return text

        return change

    only_intervals = published("mish_23_runs", without("Cohen's d", "half width of the 95% CI of the mean"), tmp_path)
    only_half_widths = published("mish_23_runs", without("Cohen's d", "95% CI of the difference"), tmp_path)

    assert {one.row for one in only_intervals.contradictions} == {"SoftPlus (1)", "ISRU (1.0)"}
    assert {one.row for one in only_half_widths.contradictions} == {"ISRU (1.0)"}


def test_five_activations_tie_in_the_table_of_mish(published):
    found = published("mish_23_runs")

    assert (found.best, found.baseline) == ("E-Swish (1.75)", "Mish")
    assert found.ties == ("E-Swish (1.75)", "Mish", "ELisH", "GELU", "Swish-1")


def test_the_ties_of_the_table_of_mish_are_the_rows_that_scipy_does_not_tell_from_the_best_mean_by_holm(published):
    figures = _mish()
    best = figures.pop("E-Swish (1.75)")
    p = {name: stats.ttest_ind_from_stats(*row, 23, *best, 23, equal_var=False).pvalue for name, row in figures.items()}
    ordered = sorted(p, key=p.get)
    rejected = list(takewhile(lambda name: p[name] * (len(p) - ordered.index(name)) <= 0.05, ordered))
    found = published("mish_23_runs")

    assert set(found.ties) - {found.best} == set(p) - set(rejected)
    assert {row.name: row.best.p for row in found.rows if row.best} == pytest.approx(p, rel=1e-9)


def test_p_values_of_the_table_of_mish_equal_those_of_scipy_and_most_published_ones_are_students(published):
    figures = _mish()
    found = {row.name: row for row in published("mish_23_runs").rows}
    printed = {row["activation"]: row["p"] for row in _rows("mish_23_runs")}
    agree = 0

    for name, (mean, sd) in figures.items():
        if name == "Mish":
            continue
        welch = stats.ttest_ind_from_stats(mean, sd, 23, *figures["Mish"], 23, equal_var=False).pvalue
        student = stats.ttest_ind_from_stats(mean, sd, 23, *figures["Mish"], 23).pvalue
        assert found[name].baseline.p == pytest.approx(welch, rel=1e-9)
        agree += student < 1e-4 if printed[name].startswith("<") else abs(student - float(printed[name])) < 0.05
    assert agree == 33


def test_mish_has_a_worse_mean_than_e_swish_and_the_pair_needs_thousands_of_runs(published):
    assert published("mish_23_runs").needed.runs > 20_000
    assert "worse mean than E-Swish" in published("mish_23_runs", winner="mish").needed.sentence


def test_the_table_of_three_runs_contradicts_itself_nowhere_and_decides_little(published):
    found = published("mish_3_runs")

    assert found.clean
    assert (found.best, found.ties[:2]) == ("Mish", ("Mish", "ELisH"))
    assert len(found.ties) == 31
    assert found.needed.runs == 8


def test_three_functions_tie_in_the_table_of_glu_variants(published):
    found = published("glu_65536_steps")

    assert (found.direction, found.best, found.ties) == ("min", "GEGLU", ("GEGLU", "SwiGLU", "ReGLU"))
    assert found.clean
    assert {row.runs for row in found.rows} == {4}
    by_name = {row.name: row for row in found.rows}
    expected = stats.ttest_ind_from_stats(1.953, 0.003, 4, 1.942, 0.004, 4, equal_var=False).pvalue
    assert by_name["ReGLU"].best.p == pytest.approx(expected, rel=1e-9)
    assert by_name["Swish"].baseline.differs is False


def test_of_one_run_per_row_nothing_is_concluded_but_the_spread_that_it_would_take(published):
    found = published("glu_524288_steps")

    assert (found.best, found.ties) == ("GEGLU", ())
    assert "No difference can be tested" in found.sentence
    swiglu = next(row for row in found.rows if row.name == "SwiGLU")
    assert swiglu.best.differs is None
    assert swiglu.best.largest_sd == pytest.approx(0.003 / (stats.norm.ppf(0.975) * math.sqrt(2)), rel=1e-9)
    assert any("has one run: every row" in note for note in found.notes)


def test_means_without_spreads_are_not_tested_either(published):
    found = published("swish_cifar100_resnet164")

    assert (found.best, found.ties) == ("Softplus", ())
    swish = next(row for row in found.rows if row.name == "Swish")
    assert stats.ttest_ind_from_stats(
        76.0, swish.best.largest_sd, 5, 75.1, swish.best.largest_sd, 5
    ).pvalue == pytest.approx(0.05)


def test_nine_wins_of_nine_are_significant_by_the_sign_test(published):
    found = published("swish_nine_models")

    assert found.clean
    assert found.rows[0].p == pytest.approx(stats.binomtest(9, 9).pvalue)
    assert found.rows[0].one_sided == pytest.approx(stats.binomtest(9, 9, alternative="greater").pvalue)
    assert found.rows[0].differs
