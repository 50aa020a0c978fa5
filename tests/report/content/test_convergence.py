"""Columns, records and chart series of convergence are those of the verdict, and are absent without series."""

from __future__ import annotations

import csv
import io
import re

import pytest
from rich.console import Console
from tests.studies.verdict.convergence.simulated import facts, rows

from actlab.report.charts.convergence import held_out_plot, reached_plot
from actlab.report.charts.svg import NARROW, WIDE, svg
from actlab.report.content.arm_table import table
from actlab.report.content.convergence import (
    convergence_columns,
    convergence_table,
    held_out_curves,
    held_out_text,
    reached_curves,
    reached_text,
)
from actlab.report.html.study import html
from actlab.report.terminal.verdict import verdict_table
from actlab.studies.verdict.verdict import make_verdict

ARMS = {"relu": (60.0, 0.96), "quick": (30.0, 0.96), "weak": (60.0, 0.85)}


@pytest.fixture(scope="module")
def trials():
    return [{**row, "curve": [], "versions": {}} for row in rows(ARMS, 8)]


@pytest.fixture(scope="module")
def verdict(trials):
    return make_verdict(trials, facts(ARMS, 8), {})


@pytest.fixture(scope="module")
def old(trials):
    return make_verdict([{**row, "series": None} for row in trials], facts(ARMS, 8), {})


def shown(verdict, width=100):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(verdict_table(verdict))
    return console.file.getvalue()


def test_a_table_for_people_has_times_areas_and_best_steps(verdict):
    text = table(verdict).to_markdown()
    lines = {line.split(" | ")[0].strip("| "): line for line in text.splitlines()}

    for heading in (
        "steps to target",
        "mean steps",
        "epochs to target",
        "seconds to target",
        "speed",
        "best step",
        "loss area",
        "accuracy area",
    ):
        assert f"| {heading} " in lines["arm"]
    assert "| 100 (8 of 8) |" in lines["quick"]
    assert "| not reached (0 of 8) |" in lines["weak"]
    assert "faster p" in lines["quick"]


def test_a_table_for_programs_has_numbers(verdict):
    records = {row["arm"]: row for row in csv.DictReader(io.StringIO(table(verdict).to_csv()))}

    assert records["quick"]["target"] == "accuracy 0.9"
    assert float(records["quick"]["steps_to_target"]) == 100
    assert records["weak"]["steps_to_target"] == ""
    assert float(records["weak"]["steps_to_target_mean"]) == 400
    assert records["weak"]["trials_without_target"] == "8"
    assert records["quick"]["speed"] == "faster"


def test_trials_of_earlier_builds_have_no_such_column_and_no_section(old, trials):
    page = html(old, [{**row, "series": None} for row in trials])

    assert convergence_columns(old) == []
    assert "target" not in table(old).to_csv()
    assert "steps to target" not in table(old).to_markdown()
    assert "Convergence" not in shown(old)
    assert 'id="convergence"' not in page
    assert held_out_plot(old, [], WIDE) is None
    assert reached_plot(old, WIDE) is None


def test_a_study_of_an_earlier_build_beside_a_new_one_is_one_table(old, verdict):
    records = table([old, verdict]).records()

    assert len({tuple(record) for record in records}) == 1
    assert {record["target"] for record in records} == {None, "accuracy 0.9"}
    assert table([old, verdict]).to_markdown()


def test_the_terminal_says_in_words_and_numbers_how_fast_and_how_it_ends(verdict):
    text = " ".join(shown(verdict).split())

    assert "quick trains faster than relu but ends equal" in text
    assert "weak trains slower than relu and ends worse" in text
    assert "steps to target" in text
    assert "100 (8 of 8)" in text


def test_the_page_has_sentences_charts_and_table(verdict, trials):
    page = html(verdict, trials)
    section = page[page.index('id="convergence"') :]

    assert "quick trains faster than relu but ends equal" in section
    assert section.count("<svg") >= 4
    assert re.search(r"<td[^>]*>100 \(8 of 8\)", section)
    assert "all other numbers here are estimates" in section


def test_a_label_with_markup_is_escaped_in_the_page():
    arms = {"relu": (60.0, 0.96), "<b>x</b>": (30.0, 0.96)}
    found = [{**row, "curve": [], "versions": {}} for row in rows(arms, 6)]
    page = html(make_verdict(found, facts(arms, 6), {}), found)

    assert "<b>x</b>" not in page


def test_curves_are_medians_over_the_seeds_at_each_step(verdict, trials):
    points = [point for point in held_out_curves(verdict, trials) if point["arm"] == "quick"]

    assert [point["step"] for point in points] == list(range(20, 401, 20))
    assert all(point["low"] <= point["median"] <= point["high"] and point["seeds"] == 8 for point in points)


def test_the_share_of_trials_that_reached_the_target_rises_from_zero_to_its_end(verdict):
    points = {arm: [point for point in reached_curves(verdict) if point["arm"] == arm] for arm in ARMS}

    assert [points[arm][-1]["share"] for arm in ARMS] == [1.0, 1.0, 0.0]
    assert all(own[0] == {"arm": arm, "step": 0.0, "share": 0.0} for arm, own in points.items())
    assert all(own[-1]["step"] == 400 for own in points.values())


def test_charts_are_drawn_wide_and_narrow(verdict, trials):
    for frame in (WIDE, NARROW):
        assert "target 0.9" in svg(held_out_plot(verdict, trials, frame), name="x")
        assert "40%" in svg(reached_plot(verdict, frame), name="y")


def test_the_alternative_texts_have_the_numbers(verdict, trials):
    assert re.search(r"quick 0\.9[56]\d+, relu", held_out_text(verdict, trials))
    assert "Target: accuracy 0.9." in held_out_text(verdict, trials)
    assert "quick (8 of 8), median 100" in reached_text(verdict)
    assert "weak (0 of 8), median not reached" in reached_text(verdict)


def test_a_metric_called_as_the_training_loss_has_a_column_of_its_own(trials):
    renamed = [
        {**row, "series": {"loss": row["series"]["loss"], "held-out loss": row["series"]["accuracy"]}} for row in trials
    ]
    found = make_verdict(renamed, facts(ARMS, 8, metric="loss", target=None), {})

    assert convergence_table(found)[0] == ["arm", "best step", "loss area", "held-out loss area"]


def test_without_a_target_the_table_has_areas_and_best_steps_only(trials):
    headings, _ = convergence_table(
        make_verdict(trials, facts(ARMS, 8, target=None, target_note="none was asked for"), {})
    )

    assert headings == ["arm", "best step", "loss area", "accuracy area"]
