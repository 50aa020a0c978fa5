"""Tables, curves and texts of axes show what the verdict found, with its marks."""

from __future__ import annotations

import csv
import io

import pytest
from rich.console import Console
from tests.studies.verdict.axes.simulated import facts, judged, noise, result, row, rows_of

from actlab.report.charts.axes import curve_of_axis_plot
from actlab.report.charts.svg import WIDE
from actlab.report.content.arm_table import table
from actlab.report.content.axes import (
    axes_rows,
    axis_curves,
    cell_text,
    column_heading,
    curve_names,
    curve_titles,
    reliability_curves,
    reliability_text,
    series_text,
)
from actlab.report.html import study as page
from actlab.report.terminal.verdict import verdict_table
from actlab.studies.verdict.axes.column_finding import ColumnFinding
from actlab.studies.verdict.verdict import make_verdict

SEEDS = 14
BASE = noise(SEEDS, mean=0.5, sd=0.1)
OTHER = [value + 0.2 + 0.01 * extra for value, extra in zip(BASE, noise(SEEDS, seed=1), strict=True)]


@pytest.fixture(scope="module")
def rows():
    some = [None if seed == 4 else value for seed, value in enumerate(OTHER)]
    found = rows_of(
        {"relu": {"up": BASE, "down": BASE}, "gelu": {"up": OTHER, "down": some}, "tanh": {"up": BASE, "down": BASE}}
    )
    for entry in found:
        step = 0.01 * entry["seed"]
        curve = {"x": [0.0, 1.0], "y": [0.9 + step, 0.5 + step], "x_name": "strength", "y_name": "accuracy kept"}
        entry["axes"] |= {
            "robustness": result({}, curves={"noise": curve, "kinds": {"x": ["a", "b"], "y": [1, 2]}}),
            "calibration": result({}, curves={"reliability": {"x": [0.6, 0.9], "y": [0.5, 0.95], "count": [5, 95]}}),
        }
    return found


@pytest.fixture(scope="module")
def verdict(rows):
    return judged(rows)


def printed(verdict, width=100):
    console = Console(width=width, file=io.StringIO(), legacy_windows=False)
    console.print(verdict_table(verdict))
    return console.file.getvalue()


def test_marks_arrows_and_stars_are_those_of_the_statements(verdict):
    up, down = verdict.axes.columns[:2]
    assert (column_heading(up), column_heading(down)) == ("own up ↑", "own down (nats) ↓")
    assert cell_text(up, up.of("gelu")).endswith("▲")
    assert cell_text(down, down.of("gelu")).rstrip(" ▼").endswith("*")
    assert cell_text(up, up.of("tanh")).endswith("≈")
    assert cell_text(up, up.of("relu"))[-1].isdigit()


def test_times_bytes_and_counts_are_written_with_their_unit():
    def shown(unit: str, value: float) -> str:
        found = ColumnFinding(
            axis="cost", column="cost", direction="min", unit=unit, description="", rope=0.0, rope_rule="", arms=()
        )
        number = judged(rows_of({"relu": {"up": [value]}})).axes.columns[0].of("relu")
        return f"{column_heading(found)} {cell_text(found, number)}"

    assert shown("s", 3.2e-5) == "cost ↓ 32 µs"
    assert shown("bytes", 73_600.0) == "cost ↓ 73.6 kB"
    assert shown("", 34_048.0) == "cost ↓ 34k"


def test_the_terminal_has_a_row_for_each_column_and_says_how_many_arms_have_no_room(verdict):
    wide, narrow = printed(verdict), printed(verdict, width=42)
    assert "Beyond the accuracy" in wide
    assert "own down (nats) ↓" in wide
    assert "▲ better, ▼ worse than relu" in " ".join(wide.split())
    assert "1 more arm with --json" in " ".join(narrow.split())


def test_the_page_has_the_section_with_table_and_figures_and_loads_nothing(verdict, rows):
    text = page.html(verdict, rows)
    assert "Beyond the accuracy" in text
    assert 'aria-label="better"' in text
    assert 'id="reliability"' in text
    assert 'id="robustness-noise"' in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert 'id="axes"' not in page.html(judged(rows, axes=()), rows)


def test_names_of_axes_and_reasons_are_escaped_on_the_page(rows):
    axes = ({"name": "own", "columns": {"up": {"direction": "max", "unit": "<b>", "description": "<script>"}}},)
    text = page.html(judged(rows, axes=axes), rows)
    assert "<script>" not in text.replace('<script>\n"use strict"', "")
    assert "(&lt;b&gt;)" in text


def test_rows_of_the_page_have_differences_and_missing_seeds(verdict):
    down = axes_rows(verdict)[1]
    assert down["cells"][[arm.spec for arm in verdict.arms].index("gelu")]["small"][1] == "13 of 14 seeds"


def test_csv_and_markdown_have_the_columns_of_all_studies(verdict):
    both = table([verdict, judged(rows_of({"relu": {"up": BASE}}), axes=())])
    read = list(csv.DictReader(io.StringIO(both.to_csv())))
    by_arm = {(entry["arm"], index >= 3): entry for index, entry in enumerate(read)}
    assert by_arm["gelu", False]["own_up_relation"] == "better"
    assert float(by_arm["gelu", False]["own_up_difference"]) == pytest.approx(sum(OTHER) / SEEDS - sum(BASE) / SEEDS)
    assert by_arm["relu", True]["own_up"] == ""
    assert "own up" in both.to_markdown()
    assert "(better)" in both.to_latex()
    assert "own_up" not in table(judged(rows_of({"relu": {"up": BASE}}), axes=())).to_csv()


def test_curves_are_medians_and_quartiles_by_place_and_those_over_words_are_left_out(verdict, rows):
    assert curve_names(rows) == [("robustness", "noise")]
    points = axis_curves(verdict, rows, "robustness", "noise")
    assert [(point["step"], point["seeds"]) for point in points[:2]] == [(0.0, SEEDS), (1.0, SEEDS)]
    assert points[0]["median"] == pytest.approx(0.965)
    assert curve_titles(rows, "robustness", "noise") == ("strength", "accuracy kept")
    assert "relu 0.9" in series_text(verdict, rows, "robustness", "noise")


def test_first_curves_of_all_axes_come_first_and_a_roc_curve_has_the_diagonal(verdict):
    line = {"x": [0.0, 1.0], "y": [0.5, 1.0]}
    axes = {
        "robustness": {"curves": {"noise": line, "blur": line}},
        "out_of_distribution": {"curves": {"roc_softmax": line | {"diagonal": True}}},
    }
    rows = [row("relu", 0, axes)]
    assert curve_names(rows) == [
        ("robustness", "noise"),
        ("out_of_distribution", "roc_softmax"),
        ("robustness", "blur"),
    ]
    layers = [
        len(curve_of_axis_plot(verdict, rows, WIDE, axis=axis, name=name).to_dict()["layer"])
        for axis, name in curve_names(rows)
    ]
    assert layers[1] == layers[0] + 1


def test_bins_of_all_seeds_are_joined_by_their_examples(verdict, rows):
    points = [point for point in reliability_curves(verdict, rows) if point["arm"] == "gelu"]
    assert sum(point["examples"] for point in points) == 100 * SEEDS
    assert points[0]["confidence"] < 0.9
    assert points[-1] | {"examples": 0} == {
        "arm": "gelu",
        "confidence": pytest.approx(0.9),
        "accuracy": pytest.approx(0.95),
        "examples": 0,
    }
    assert "gelu +0.050" in reliability_text(verdict, rows)


def test_trials_without_axes_have_no_curve(verdict):
    without = [row("relu", 0, None)]
    assert curve_names(without) == []
    assert reliability_curves(verdict, without) == []


def test_what_is_measured_once_for_each_arm_is_told_as_a_multiple_of_the_baseline():
    columns = {"latency": {"direction": "min", "unit": "s"}, "flops": {"direction": "min", "unit": ""}}
    ratios = {"relu": [1.0] * 9, "gelu": [1.30, 1.31, 1.32, 1.33, 1.34, 1.35, 1.36, 1.37, 1.38], "tanh": [0.6] * 9}
    costs = {
        arm: {"axes": {"cost": {"numbers": {"latency": 2e-3 * own[4], "flops": 50_000.0}, "ratios": {"latency": own}}}}
        for arm, own in ratios.items()
    }
    own = facts(tuple(ratios), 3, axes=({"name": "cost", "level": "arm", "columns": columns},))
    found = make_verdict([row(arm, seed, {}) for arm in ratios for seed in range(3)], own, costs)
    latency, flops = axes_rows(found)
    by_arm = {arm.spec: place for place, arm in enumerate(found.arms)}
    slow, fast = latency["cells"][by_arm["gelu"]], latency["cells"][by_arm["tanh"]]
    assert (slow["shown"], slow["word"], slow["small"]) == ("2.68 ms", "slower", ["1.34x [1.29, 1.39]"])
    assert (fast["word"], fast["small"]) == ("faster", ["0.60x [0.59, 0.61]"])
    assert flops["cells"][by_arm["gelu"]]["small"] == ["1.00x"]
    assert "(1.34x [1.29, 1.39], slower)" in table(found).to_markdown()
