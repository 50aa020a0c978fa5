"""Results shown as HTML in notebooks, without style sheet, and with all text escaped."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ET

import pytest
import torch
from torch import nn

import actlab

NET = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))


def results():
    yield "probe", lambda: actlab.probe(NET, [torch.ones(4, 3)])
    yield "sites", lambda: actlab.find(NET, torch.ones(2, 3))
    yield "no sites", lambda: actlab.find(nn.Identity())
    yield "propagation", lambda: actlab.propagation(NET, torch.randn(8, 3))


@pytest.mark.parametrize("build", [pytest.param(build, id=name) for name, build in results()])
def test_a_result_is_one_element_with_the_words_of_its_text(build):
    result = build()
    element = ET.fromstring(result._repr_html_())  # noqa: S314 our own page

    assert element.tag == "div"
    words = set(" ".join(element.itertext()).split())
    assert {word for word in str(result).split() if word.isalpha()} <= {
        piece for word in words for piece in (word, word.strip(".,:"))
    }
    assert "style" not in {part.tag for part in element.iter()}


def test_a_verdict_has_a_table_of_its_arms(made_up):
    element = ET.fromstring(made_up._repr_html_())  # noqa: S314 our own page
    cells = [["".join(cell.itertext()) for cell in row] for row in element.iter("tr")]

    assert made_up.recommendation in "".join(element.itertext())
    assert [row[1] for row in cells[1:]] == [arm.spec for arm in made_up.arms]


def test_names_are_escaped(made_up):
    first, *rest = made_up.arms
    arms = (dataclasses.replace(first, spec="<script>alert(1)</script>"), *rest)
    text = dataclasses.replace(made_up, arms=arms)._repr_html_()

    assert "<script>" not in text
    assert "&lt;script&gt;" in text
