"""Charts of Pareto fronts, and their tables on the page of a study."""

from __future__ import annotations

from typing import Any

import pytest
from tests.studies.verdict.axes.fronts import FOUR, study

from actlab.report.charts.front import front_plot
from actlab.report.charts.svg import NARROW, WIDE, svg
from actlab.report.content.axes import front_rows, front_text
from actlab.report.html.study import html
from actlab.studies.verdict.axes.front import find_fronts


def test_the_page_has_the_chart_and_its_numbers_in_a_table() -> None:
    verdict, rows = study(FOUR)
    page = html(verdict, rows)
    assert page.count('<section id="front-device-') == 2
    assert "https://" not in page.partition('id="axes"')[2].partition('id="arms"')[0].replace("https://www.w3.org", "")
    front = find_fronts(verdict.axes)[0]
    table = front_rows(front)
    assert [(row[0], row[1], row[-1]) for row in table] == [
        ("relu", "1,000", "yes"),
        ("tanh", "2,000", "no"),
        ("gelu", "3,000", "yes"),
        ("mish", "4,000", "no"),
    ]
    assert table[0][2].startswith("0.9010 [0.89")
    assert front_text(front).endswith("On the front: relu, gelu.")
    for line in table:
        assert f"<td>{line[1]}</td>" in page


@pytest.mark.parametrize("frame", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_arm_is_named_in_the_chart_and_equal_arms_of_one_seed_can_be_drawn(frame: Any) -> None:
    for arms, seeds in ((FOUR, 3), ({"relu": (0.9, 1000.0), "gelu": (0.9, 1000.0)}, 1)):
        verdict, _ = study(arms, seeds=seeds)
        drawing = svg(front_plot(find_fronts(verdict.axes)[0], verdict, frame), name="front")
        assert all(f">{arm}<" in drawing for arm in arms)
        assert "device instructions, fewer are better" in drawing
