"""Graphs of activations: marks are at the positions of their values."""

from __future__ import annotations

import re
from math import inf, nan
from xml.etree import ElementTree

import pytest

from actlab.nn.probes.response_curves import Bars, Lines, Map, picture
from actlab.report.charts.function import large, small

LINE = Lines(title="f(x)", axis="x", x=[-4.0, 0.0, 4.0], curves={"f": [-1.0, 0.0, 1.0]})
BARS = Bars(title="a vector", before=[1.0, -1.0], after=[0.5, 2.0])
MAP = Map(title="a map", rows=[[1.0, 0.0], [0.5, 1.0]])


def _svg(text):
    return ElementTree.fromstring(text)  # noqa: S314 drawn by us


def _curve(text, name="c1"):
    return [
        tuple(map(float, point))
        for point in re.findall(r"[ML]([\d.-]+) ([\d.-]+)", re.search(f'curve {name}" d="([^"]*)"', text)[1])
    ]


def test_a_small_curve_stands_in_the_common_window():
    # 96 by 72 pixels for x from -4 to 4 and y from -2 to 4
    assert _curve(small(LINE)) == [(0.0, 60.0), (48.0, 48.0), (96.0, 36.0)]


def test_a_large_curve_goes_through_its_points_and_the_axes_are_numbered():
    drawn = large(LINE)
    (_, low), (middle, zero), (_, high) = _curve(drawn)

    assert middle == 40 + 150
    assert low - zero == pytest.approx(zero - high)
    labels = [node.text for node in _svg(drawn).iter("text")]
    assert {"−4", "0", "4", "x"} <= set(labels)  # noqa: RUF001 the sign of mathematics


def test_what_is_not_finite_leaves_a_gap_and_what_is_far_is_cut():
    broken = Lines(title="f", axis="x", x=[0.0, 1.0, 2.0, 3.0], curves={"f": [1e30, nan, inf, -1e30]})
    path = re.search('curve c1" d="([^"]*)"', large(broken))[1]

    assert path.count("M") == 2
    assert "L" not in path
    assert all(abs(float(number)) < 1000 for number in re.findall(r"-?[\d.]+", path))


def test_every_curve_has_its_own_colour_and_the_first_lies_on_top():
    many = Lines(title="f", axis="x", x=[0.0, 1.0], curves={"a": [0.0, 1.0], "b": [1.0, 1.0], "c": [1.0, 0.0]})

    assert re.findall(r'class="curve (c\d)"', large(many)) == ["c3", "c2", "c1"]
    assert re.findall(r'class="curve (c\d)"', small(many)) == ["c1"]


def test_bars_are_as_tall_as_their_values():
    heights = {
        name: [float(node.get("height")) for node in _svg(large(BARS)).iter("rect") if node.get("class") == name]
        for name in ("before", "after")
    }

    assert heights["before"][0] == pytest.approx(heights["before"][1])
    assert heights["after"][1] == pytest.approx(4 * heights["after"][0], abs=0.2)
    assert heights["after"][1] == pytest.approx(2 * heights["before"][0], abs=0.2)


def test_a_map_has_a_square_for_each_pair_its_first_row_on_top():
    cells = [
        (float(node.get("y")), float(node.get("x")), float(node.get("opacity")))
        for node in _svg(large(MAP)).iter("rect")
    ]

    assert [opacity for _, _, opacity in sorted(cells)] == [1.0, 0.05, 0.53, 1.0]


@pytest.mark.parametrize("name", ["gelu", "swiglu", "softmax", "retention", "rrelu", "crelu", "maxout", "step", "cube"])
def test_every_kind_is_drawn_as_well_formed_svg_of_a_few_kilobytes(name):
    for panel in picture(name):
        assert _svg(large(panel)).get("viewBox") == "0 0 350 240"
        assert _svg(small(panel)).get("viewBox") == "0 0 96 72"
        assert len(large(panel)) < 12_000
        assert len(small(panel)) < 9_000


def test_names_of_axes_are_escaped():
    assert "&lt;b&gt;" in large(Lines(title="f", axis="<b>", x=[0.0, 1.0], curves={"f": [0.0, 1.0]}))
