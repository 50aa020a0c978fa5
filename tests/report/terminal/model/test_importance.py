"""Terminal tables, page and charts of an appraisal."""

from __future__ import annotations

import re

import pytest
import torch
from rich.console import Console
from tests.report.html.test_study import EVIL, Outline
from torch import nn

import actlab
from actlab.diagnostics.appraise import Appraisal
from actlab.report.charts import importance as importance_plots
from actlab.report.charts.svg import NARROW, WIDE
from actlab.report.content.model.importance import headline, legend
from actlab.report.html import importance as importance_page
from actlab.report.terminal.model.importance import appraisal_table, importance_table, shapes_table


def text(shown, width=120):
    console = Console(width=width, file=None, force_terminal=False)
    with console.capture() as capture:
        console.print(shown)
    return capture.get()


def planted():
    """Return a net of which the first site is linear on the data, the second matters, and the third adds noise."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 8), actlab.layer("swish(beta=learned)"), nn.Linear(8, 1), nn.Sigmoid()
    )
    with torch.no_grad():
        net[0].bias.fill_(50.0)
        net[0].weight.mul_(3)
        net[2].weight.sub_(net[2].weight.mean(1, keepdim=True))
        net[4].weight.mul_(3)
        net[3].beta.fill_(2.0)
    return net


@pytest.fixture(scope="module")
def found():
    net = planted()
    data = [(x, net(x).detach() + 0.01 * torch.randn(40, 1)) for x in torch.randn(4, 40, 2)]
    record = actlab.Shapes(net, every=1)
    with record:
        net(data[0][0])
        with torch.no_grad():
            net[3].beta.fill_(3.0)
        net(data[0][0])
    importance = actlab.importance(net, data)
    shapes = actlab.shapes(net, [x for x, _ in data])
    return Appraisal(
        name=f"planted {EVIL}",
        act="swish(beta=learned)",
        seed=4,
        was_trained=True,
        split="validation",
        importance=importance,
        shapes=tuple(shapes),
        history={"3": record.history("3", shapes[0].x)},
    )


@pytest.fixture(scope="module")
def page(found):
    return importance_page.html(found)


def test_the_table_shows_what_was_measured_and_what_may_be_said(found):
    shown = text(importance_table(found.importance))
    first, second = (next(line for line in shown.splitlines() if line.startswith(f"{path} ")) for path in "13")

    assert re.search(r"1\.000 +\+0\.0+ +— +no change", first)
    assert f"{found.importance['3'].r2:.3f}" in second
    assert "worse" in second
    assert "Not replaced: 5: the model returns its result" in " ".join(shown.split())


def test_noise_is_said_to_be_noise():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    found = actlab.importance(net, [(torch.randn(10, 2), 100 * torch.randn(10, 1)) for _ in range(2)])
    shown = " ".join(text(importance_table(found)).split())

    assert found["1"].linearised.state == "not distinguishable from zero"
    assert "n.s.: not significant" in shown
    assert "has no significant effect" in headline(found)


def test_the_table_fits_a_narrow_terminal(found):
    assert max(map(len, text(appraisal_table(found), width=80).splitlines())) <= 80


def test_the_headline_names_the_site_that_matters_most(found):
    assert headline(found.importance).startswith("1 of 2 activations can be linearised together")
    assert headline(found.importance).endswith("the most important one is at 3")


def test_the_legend_says_on_what_and_against_what(found):
    said = " ".join(legend(found.importance))

    assert "on 80 held-out samples" in said
    assert "fitted to 80 samples, one per channel" in said
    assert "Holm's correction over the 4 tests" in said


def test_learned_numbers_stand_in_the_table_of_shapes(found):
    line = next(line for line in text(shapes_table(found.shapes)).splitlines() if line.startswith("3 "))

    assert "beta 3" in line
    assert f"{found.shapes[0].distance[0]:.3g}" in line


def test_the_page_is_one_file_that_asks_for_nothing_and_escapes_everything(found, page):
    outline = Outline(page)

    assert not outline.broken
    assert not outline.open
    assert "default-src 'none'" in page
    assert not [value for name, value in outline.attributes if name in {"src", "href", "xlink:href"}]
    assert EVIL not in page
    assert EVIL in outline.text


def test_the_page_has_every_number_of_the_table(found, page):
    shown = Outline(page).text

    for row in found.importance:
        assert f"{row.r2:.3f}" in shown
    assert "no change" in shown
    assert "worse" in shown
    assert "returns its result" in shown


def test_the_page_draws_the_exchanges_the_lines_and_the_curves(page):
    for name in ("line", "constant", "together", "moved", "shapes"):
        assert f'<section id="{name}">' in page
    assert page.count('class="shape start"') == 1
    assert page.count('class="shape now"') == 1
    assert page.count('class="shape way"') == 1  # of three states: the one between the first and the last


def test_a_net_without_adaptive_activations_has_no_section_for_them(found):
    fields = {name: getattr(found, name) for name in ("name", "act", "seed", "was_trained", "split", "importance")}
    page = importance_page.html(Appraisal(**fields, shapes=(), history={}))

    assert 'id="shapes"' not in page


def rows(chart, layer):
    """Return the rows that a layer of a valid chart draws."""
    valid = chart.to_dict()
    held = valid["layer"][layer].get("data", valid.get("data"))
    return held["values"] if "values" in held else valid["datasets"][held["name"]]


@pytest.mark.parametrize("frame", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_charts_are_valid_and_hold_the_numbers(found, frame):
    chart = importance_plots.effect_plot(found.importance, frame, constant=False)
    assert [row["mean"] for row in rows(chart, 2)] == [row.linearised.mean for row in found.importance]

    steps = importance_plots.cumulative_plot(found.importance, frame)
    assert [row["mean"] for row in rows(steps, 1)] == [0.0, *(step.total.mean for step in found.importance.steps)]

    moved = importance_plots.distance_plot(found.history, frame)
    wanted = [float(shape.distance.mean()) for shape in found.history["3"]]
    assert [row["distance"] for row in rows(moved, 0)] == wanted


def test_a_layer_with_many_units_shows_some_that_are_spread_over_the_distances():
    net = nn.Sequential(nn.PReLU(100))
    with torch.no_grad():
        net[0].weight.copy_(torch.linspace(0.25, 1.25, 100))
    (shape,) = actlab.shapes(net)
    drawn = importance_plots.learned_curves(shape, [])

    assert drawn.count('class="shape now"') == importance_plots.UNITS_SHOWN
    assert drawn.count('class="shape start"') == 1  # all began alike
    shown = importance_plots._units(shape)
    assert (shown[0], shown[-1]) == (0, 99)
