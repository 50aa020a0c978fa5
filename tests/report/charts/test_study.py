"""Charts of a study: data of the series, exact sizes, CSS variables for colours, escaped text."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET

import pytest

from actlab.report.charts.study import cost_plot, curve_plot, difference_plot
from actlab.report.charts.svg import NARROW, WIDE, svg
from actlab.report.content.format import MINUS

FRAMES = {"wide": WIDE, "narrow": NARROW}
SVG = "{http://www.w3.org/2000/svg}"


def _drawn(name, verdict, rows, frame):
    charts = {
        "curves": lambda: curve_plot(verdict, rows, frame),
        "differences": lambda: difference_plot(verdict, rows, frame),
        "cost": lambda: cost_plot(verdict, frame),
    }
    chart = charts[name]()
    chart.to_dict()  # raises where the chart is not valid Vega-Lite, which drawing a page does not ask
    return svg(chart, name=name)


def _texts(drawing):
    return {element.text for element in ET.fromstring(drawing).iter(f"{SVG}text")}  # noqa: S314 our own drawing


def _ticks(drawing):
    """Return the numbers along the axes."""
    groups = (group for group in ET.fromstring(drawing).iter(f"{SVG}g") if "role-axis-label" in group.get("class", ""))  # noqa: S314 our own
    return [float(text.text.replace(MINUS, "-").removesuffix("x")) for group in groups for text in group]


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("name", ["curves", "differences", "cost"])
def test_a_drawing_is_exactly_as_wide_as_its_frame(name, frame, made_up, trials):
    root = ET.fromstring(_drawn(name, made_up, trials, FRAMES[frame]))  # noqa: S314 our own drawing

    assert abs(float(root.get("width")) - FRAMES[frame].width) <= 1


@pytest.mark.parametrize("name", ["curves", "differences", "cost"])
def test_every_arm_is_named_in_the_drawing(name, made_up, trials):
    wanted = {arm.spec for arm in made_up.arms} - ({"relu"} if name == "differences" else set())

    assert wanted <= _texts(_drawn(name, made_up, trials, WIDE))


@pytest.mark.parametrize("name", ["curves", "differences", "cost"])
def test_every_colour_is_a_variable_of_the_page(name, made_up, trials):
    drawing = _drawn(name, made_up, trials, WIDE)

    colours = set(re.findall(r'(?:fill|stroke)="([^"]*)"', drawing)) - {"none", "transparent"}
    assert {colour for colour in colours if not colour.startswith("var(--")} == set()


@pytest.mark.parametrize("name", ["curves", "differences", "cost"])
def test_texts_of_a_study_cannot_break_out_of_a_drawing(name, made_up, trials):
    evil = '</text><b on="&">'
    rows = [{**row, "arm": evil} if row["arm"] == "gelu" else row for row in trials]
    arms = tuple(dataclasses.replace(arm, spec=evil) if arm.spec == "gelu" else arm for arm in made_up.arms)

    drawing = _drawn(name, dataclasses.replace(made_up, arms=arms), rows, WIDE)

    assert "<b on" not in drawing
    assert evil in _texts(drawing)


def test_two_drawings_on_one_page_share_no_id(made_up, trials):
    ids = [set(re.findall(r'\bid="([^"]+)"', svg(curve_plot(made_up, trials, WIDE), name=name))) for name in ("a", "b")]

    assert ids[0]
    assert not ids[0] & ids[1]


def test_every_reference_in_a_drawing_has_its_target(made_up, trials):
    drawing = svg(curve_plot(made_up, trials, WIDE), name="a")

    assert set(re.findall(r"url\(#([^)]+)\)", drawing)) <= set(re.findall(r'\bid="([^"]+)"', drawing))


def test_what_has_no_numbers_has_no_chart(made_up):
    alone = dataclasses.replace(made_up, arms=tuple(arm for arm in made_up.arms if arm.spec == "relu"))

    assert [curve_plot(made_up, [], WIDE), difference_plot(alone, [], WIDE), cost_plot(alone, WIDE)] == [None] * 3


def test_one_seed_and_equal_results_can_be_drawn(made_up, trials):
    one = [row for row in trials if row["seed"] == 0]
    flat = tuple(
        dataclasses.replace(
            arm,
            mean=0.9,
            ci=(None, None),
            step_time_ratio=1.0,
            diff=arm.diff and dataclasses.replace(arm.diff, mean=0.0, ci=(None, None)),
        )
        for arm in made_up.arms
    )
    verdict = dataclasses.replace(made_up, arms=flat, seeds=(0,), rope=0.0)

    for name in ("curves", "differences", "cost"):
        assert "NaN" not in _drawn(name, verdict, one, NARROW)


def test_an_arm_far_out_is_an_arrow_at_the_edge_and_the_others_keep_the_room(made_up, trials, replaced):
    gelu = next(arm for arm in made_up.arms if arm.spec == "gelu")
    hopeless = replaced(
        made_up, "tanh", mean=0.1, ci=(0.09, 0.11), diff=dataclasses.replace(gelu.diff, mean=-0.87, ci=(-0.88, -0.86))
    )
    rows = [row for row in trials if row["arm"] != "tanh"]

    for name in ("differences", "cost"):
        usual, cut = (_ticks(_drawn(name, verdict, rows, WIDE)) for verdict in (made_up, hopeless))
        assert min(cut) >= min(usual)
        assert "tanh" in _texts(_drawn(name, hopeless, rows, WIDE))


def test_a_study_of_a_single_step_can_be_drawn(made_up, trials):
    rows = [{**row, "curve": row["curve"][:1]} for row in trials]

    assert "NaN" not in _drawn("curves", made_up, rows, WIDE)


def test_the_smaller_is_better_the_arrow_points_to_the_left(made_up, trials):
    verdict = dataclasses.replace(made_up, direction="min")

    assert any("\u2190 better" in (text or "") for text in _texts(_drawn("differences", verdict, trials, WIDE)))


def test_twenty_arms_with_long_names_can_be_drawn(made_up, trials):
    names = [f"leaky_relu(negative_slope=0.{n:03d})" for n in range(20)]
    arms = tuple(dataclasses.replace(made_up.arms[n % 3], spec=name) for n, name in enumerate(names))
    rows = [{**row, "arm": name} for row in trials[:8] for name in names]
    verdict = dataclasses.replace(made_up, arms=arms, best_set=tuple(names[:9]), baseline=names[0])

    for name in ("curves", "differences", "cost"):
        assert len(_texts(_drawn(name, verdict, rows, NARROW))) > 5
