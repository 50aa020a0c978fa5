"""Terminal plots of response curves, vectors and attention maps."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from actlab.nn.probes.response_curves import Map, picture
from actlab.report.terminal.plot import graphs


def _shown(panels):
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(graphs(panels))
    return console.file.getvalue()


def test_curves_stand_side_by_side_with_their_range():
    text = _shown(picture("mish"))

    assert "f(x), -0.309 to 4" in text
    assert "f'(x), -0.113 to 1.09" in text


def test_a_gated_function_says_at_which_value():
    assert "f(gate, value) at value 1" in _shown(picture("swiglu"))


def test_a_vector_is_shown_in_numbers():
    text = _shown(picture("softmax"))

    assert "before  -1.50   0.30" in text
    assert "after    0.01   0.08   0.43" in text


def test_a_map_is_shown_in_shades():
    lines = _shown([Map(title="who sees whom", rows=[[1.0, 0.0], [0.5, 1.0]])]).splitlines()

    assert [line.rstrip() for line in lines] == ["who sees whom", "██", "▒▒██"]


@pytest.mark.parametrize("name", ["gelu", "swiglu", "softmax", "rrelu"])
def test_they_fit_eighty_columns(name):
    console = Console(file=io.StringIO(), width=200, color_system=None)
    console.print(graphs(picture(name)))

    assert max(len(line.rstrip()) for line in console.file.getvalue().splitlines()) <= 96
