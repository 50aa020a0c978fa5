"""Table of arms as CSV, Markdown, LaTeX and data frame."""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import io
import sys
from types import SimpleNamespace

import pytest

import actlab
from actlab.errors import IntegrationError, PlanError


def renamed(verdict, name):
    """Return the verdict with another name of its first arm."""
    first, *rest = verdict.arms
    best = tuple(name if arm == first.spec else arm for arm in verdict.best_set)
    return dataclasses.replace(verdict, arms=(dataclasses.replace(first, spec=name), *rest), best_set=best)


def test_csv_has_the_numbers_of_the_verdict_unrounded(made_up, tmp_path):
    read = list(csv.DictReader(io.StringIO(made_up.to_csv(tmp_path / "arms.csv"))))

    assert (tmp_path / "arms.csv").read_text() == made_up.to_csv()
    assert [(row["arm"], float(row["mean"]), int(row["seeds"])) for row in read] == [
        (arm.spec, arm.mean, arm.n) for arm in made_up.arms
    ]
    assert [row["arm"] for row in read if row["baseline"] == "True"] == [made_up.baseline]


def test_markdown_has_one_row_per_arm_and_keeps_bars_apart(made_up):
    lines = renamed(made_up, "a|b").to_markdown().splitlines()

    assert len(lines) == 2 + len(made_up.arms)
    assert lines[2].startswith("| a\\|b | best |")
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1


def test_latex_escapes_what_latex_reads(made_up):
    text = renamed(made_up, "squared_relu & 5 %").to_latex()

    assert r"squared\_relu \& 5 \% & best" in text
    assert text.startswith("\\begin{tabular}{")
    assert "−" not in text  # noqa: RUF001


def test_one_table_over_several_studies_names_them(made_up):
    study = SimpleNamespace(verdict=lambda: made_up)
    table = actlab.table([study, made_up])

    assert len(table.records()) == 2 * len(made_up.arms)
    assert table.to_markdown().startswith("| study | task | metric | arm |")
    assert made_up.study in str(table)
    assert actlab.table(study).to_csv() == made_up.to_csv()


def test_what_is_no_study_is_told(made_up):
    with pytest.raises(PlanError, match="got str: 'digits'"):
        actlab.table(["digits"])
    with pytest.raises(PlanError, match="There is no study to show"):
        actlab.table([])
    with pytest.raises(PlanError, match="got int: 3"):
        actlab.table(3)


def test_columns_keep_their_order_where_the_first_study_lacks_one(made_up):
    without = dataclasses.replace(
        made_up,
        arms=tuple(
            dataclasses.replace(arm, diff=arm.diff and dataclasses.replace(arm.diff, prob_equivalent=None))
            for arm in made_up.arms
        ),
    )

    assert actlab.table([without, made_up]).cells()[0] == actlab.table([made_up, without]).cells()[0]


def test_a_data_frame_needs_pandas(made_up, monkeypatch):
    if importlib.util.find_spec("pandas"):
        assert list(made_up.to_frame()["arm"]) == [arm.spec for arm in made_up.arms]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(IntegrationError, match="pip install pandas"):
        made_up.to_frame()
