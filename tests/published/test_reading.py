"""Tables are read in the spellings that papers, READMEs and spreadsheets have."""

from __future__ import annotations

import pytest

from actlab.errors import TableError
from actlab.published.cells import clean, figure, interval_cell, mean_cell, p_cell
from actlab.published.columns import direction_of, find_columns, level_of, possible_range, runs_in
from actlab.published.text_file import RawTable

EXPECTED = [("ReLU", 86.66, 0.58, 5), ("Mish", 87.48, 0.4, 5)]
SPELLINGS = {
    "columns": "activation,accuracy,sd,runs\nReLU,86.66,0.58,5\nMish,87.48,0.4,5",
    "plus-minus": "Method,Top-1 (%),seeds\nReLU,86.66 ± 0.58,5\nMish,87.48 ± 0.4,5",
    "ASCII plus-minus": "Method,test acc,n\nReLU,86.66 +/- 0.58,5\nMish,87.48+-0.4,5",
    "brackets": "name,accuracy,n_runs\nReLU,86.66 (0.58),5\nMish,87.48% (0.4),5",
    "LaTeX": "name,Accuracy,runs\nReLU,$86.66 \\pm 0.58$,5\nMish,$\\mathbf{87.48}_{\\pm 0.4}$,5",
    "Markdown": "| Activation | Mean Accuracy | Std. Dev. | Seeds |\n|:---:|---:|---|---|\n"
    "| ReLU | 86.66% | 0.58 | 5 |\n| Mish | **87.48%** | **0.4** | 5 |",
    "semicolons and a byte order mark": "\ufeffactivation;acc_mean;acc_std;num_seeds\nReLU;86.66;0.58;5\nMish;87.48;0.4;5\n",
    "tabs": "function\taccuracy\t\u03c3\tN\nReLU\t86.66\t0.58\t5\nMish\t87.48\t0.4\t5",
    "comments and empty lines": "# a paper\n\nactivation,accuracy,sd,runs\nReLU,86.66,0.58,5\n\nMish,87.48,0.4,5\n,,,\n",
    "two metrics": "activation,mean acc,mean loss,std acc,std loss,runs\nReLU,86.66,4.4,0.58,0.1,5\nMish,87.48,4.1,0.4,0.1,5",
    "runs in the header": "activation,accuracy,SD over 5 seeds\nReLU,86.66,0.58\nMish,87.48,0.4",
    "camel case": "modelName,accMean,accStd,numRuns\nReLU,86.66,0.58,5\nMish,87.48,0.4,5",
    "a summary by pandas": ",score_mean,score_std,count\nReLU,86.66,0.58,5\nMish,87.48,0.4,5",
    "another column with text": "framework,model,accuracy,sd,runs\ntorch,ReLU,86.66,0.58,5\ntorch,Mish,87.48,0.4,5",
    "a negative sign of typography": "activation,score,sd,runs\nReLU,86.66,0.58,5\nMish,87.48,4e\u22121,5",
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_table_is_read_in_this_spelling(check, name):
    settings = {"mean": "mean acc"} if name == "two metrics" else {}
    found = check(SPELLINGS[name], **settings)

    assert [(row.name, row.mean, row.sd, row.runs) for row in found.rows] == EXPECTED
    assert (found.direction, found.best) == ("max", "Mish")


SPREADS = {
    "standard errors": "name,accuracy,SE,runs\na,86,0.2,4\nb,87,0.1,4",
    "standard error in words": "name,accuracy,Standard Error,runs\na,86,0.2,4\nb,87,0.1,4",
    "an unnamed spread that is said to be a standard error": "name,accuracy,±,runs\na,86,0.2,4\nb,87,0.1,4",
    "half widths": "name,accuracy,95% CI half-width,runs\na,86,0.6364893,4\nb,87,0.3182446,4",
    "a ± in an interval column": "name,accuracy,95% CI,runs\na,86,86 ± 0.6364893,4\nb,87,87 ± 0.3182446,4",
    "ends in two columns": "name,accuracy,CI low,CI high,runs\na,86,85.3635107,86.6364893,4\nb,87,86.6817554,87.3182446,4",
    "ends in one cell": 'name,accuracy,95 % CI,runs\na,86,"[85.3635107, 86.6364893]",4\nb,87,86.6817554 to 87.3182446,4',
    "ends beside the mean": 'name,accuracy,runs\na,"86 [85.3635107, 86.6364893]",4\nb,87 (86.6817554–87.3182446),4',  # noqa: RUF001
    "ends of 90 % intervals": "name,accuracy,lower 90% CI,upper 90% CI,runs\na,86,85.5293268,86.4706732,4\nb,87,86.7646634,87.2353366,4",
}


@pytest.mark.parametrize("name", SPREADS)
def test_a_standard_deviation_is_found_from_this_spread(check, name):
    found = check(SPREADS[name], **({"spread": "se"} if "unnamed" in name else {}))

    assert [row.sd for row in found.rows] == pytest.approx([0.4, 0.2], rel=1e-4)
    assert found.clean


def test_a_baseline_is_the_one_row_without_p_values_or_the_first_or_the_named_one(check):
    text = "name,accuracy,sd,runs,p\na,86.0,0.40,5,0.0052\nb,87.0,0.40,5,-\nc,87.0,0.40,5,1.0"

    assert check(text).baseline == "b"
    assert check(text.replace(",-", ",1.0")).baseline == "a"
    assert check(text, baseline="C").baseline == "c"


def test_a_row_without_a_mean_is_left_out_and_named(check):
    found = check("name,accuracy,sd,runs\na,86,0.4,5\nb,-,-,5\nc,87,0.2,5")

    assert [row.name for row in found.rows] == ["a", "c"]
    assert "Line 3 (b) has no mean and is left out." in found.notes


def test_rows_without_spread_or_runs_stay_untested_beside_others(check):
    found = check("name,accuracy,sd,runs\na,86,0.4,5\nb,88,-,5\nc,87,0.2,1\nd,84,0.2,5")
    by_name = {row.name: row for row in found.rows}

    assert (found.best, found.ties) == ("b", ())
    assert by_name["d"].baseline.differs is True
    assert by_name["c"].baseline.differs is None


def test_corrected_p_values_are_not_recomputed(check):
    found = check("name,accuracy,sd,runs,p (Holm)\na,86,0.4,5,-\nb,86,0.4,5,0.0001")

    assert found.clean


def test_a_table_of_wins_is_tested_by_signs(check):
    found = check("against,wins,ties,losses,p\nReLU,9,0,0,0.0039\nELU,8,0,1,P = 0.039\nGELU,5,1,3,0.04")

    assert [row.differs for row in found.rows] == [True, False, False]
    assert [one.row for one in found.contradictions] == ["GELU"]
    assert "0.7266 (two-sided)" in found.contradictions[0].sentence


def test_with_few_cases_nothing_can_be_significant(check):
    found = check("against,wins,losses\nReLU,4,0")

    assert any("With 4 cases no result" in note for note in found.notes)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("0.03", 0.02, 0.04), ("P = 0.1973", 0.1972, 0.1974), ("p<.001", 0.0, 0.001), ("< 0.0001***", 0.0, 0.0001),
        ("P < 5e-2 (0.0475)", 0.0474, 0.0476), ("1.2e-5", 1.1e-5, 1.3e-5), ("3 \u00d7 10^-4", 2e-4, 4e-4), ("n.s.", 0.05, 1.0),
        (">0.5", 0.4, 1.0),
    ],
)  # fmt: skip
def test_p_values_are_read_in_this_spelling(text, low, high):
    found = p_cell(text, "p", 2)

    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_cells_keep_the_unit_of_their_last_digit():
    assert figure("87.480", "mean", 2).unit == pytest.approx(0.001)
    assert figure("87", "mean", 2).unit == 1
    assert figure("1e-5", "mean", 2).unit == pytest.approx(1e-5)
    assert mean_cell("(87.48 ± 0.4)%", "mean", 2).mean.percent
    assert interval_cell("-0.40 - -0.10", "ci", 2)[1].low == pytest.approx(-0.11)
    assert clean("  **87.5 ** ") == "87.5"


@pytest.mark.parametrize("text", ["87,48", "1.234,5", "about 3", "87.48(39)", "1/3"])
def test_a_cell_that_is_no_number_names_its_line(text):
    with pytest.raises(TableError, match="Line 7: "):
        mean_cell(text, "accuracy", 7)


def test_names_of_metrics_say_direction_and_range():
    assert [direction_of(name) for name in ("mIoU", "val perplexity", "Top-5 error", "score ↓", "result")] == [
        "max",
        "min",
        "min",
        "min",
        None,
    ]
    assert possible_range("F1", [0.8], percent=False) == (0.0, 1.0)
    assert possible_range("RMSE", [0.8], percent=False) == (0.0, float("inf"))
    assert [level_of(name) for name in ("99% CI", "CI 90", "confidence interval (0.68)", "ci_low")] == [
        0.99,
        0.9,
        0.68,
        0.95,
    ]
    assert [runs_in(name) for name in ("mean of 10 runs", "3-seed SD", "accuracy")] == [10, None, None]


def test_the_column_of_the_means_is_found_among_others_by_the_subject_of_the_spread():
    header = ("fn", "Mean Accuracy", "Mean Loss", "Standard Deviation of Loss", "N")
    table = RawTable(header=header, rows=((2, ("a", "1", "2", "3", "4")), (3, ("b", "1", "2", "3", "4"))))
    found = find_columns(table, None)

    assert found.mean == 2
    assert found.others == {"sd": 3, "runs": 4}
    assert found.unread == ("Mean Accuracy",)
