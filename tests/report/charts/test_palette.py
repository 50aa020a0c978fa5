"""Chart colours: distinguishable with colour vision deficiencies, in both themes."""

from __future__ import annotations

import dataclasses
from itertools import combinations

import numpy as np
import pytest

from actlab.report.charts.palette import DARK, LIGHT, arm_styles

PAGES = {"light": ("#ffffff", LIGHT), "dark": ("#14161b", DARK)}
# Machado, Oliveira & Fernandes 2009, severity 1.0; they act on linear RGB
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
# Ottosson 2020: linear RGB to cone responses, and their cube roots to lightness and two opponent axes
TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def _linear(colour):
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def _contrast(one, other):
    high, low = sorted((float(np.dot([0.2126, 0.7152, 0.0722], _linear(c))) for c in (one, other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _least_distance(colours, sight):
    labs = [TO_LAB @ np.cbrt(TO_CONES @ np.clip(sight @ _linear(colour), 0, 1)) for colour in colours]
    return min(float(np.linalg.norm(a - b)) for a, b in combinations(labs, 2))


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("sight", VISION)
def test_any_two_hues_differ_for_every_kind_of_sight(page, sight):
    assert _least_distance(PAGES[page][1], VISION[sight]) >= 0.12


def test_the_distance_used_here_finds_a_palette_that_is_not_safe():
    assert _least_distance(["#d62728", "#2ca02c"], VISION["deuteranopia"]) < 0.12


@pytest.mark.parametrize("page", PAGES)
def test_every_hue_stands_out_from_the_page(page):
    background, hues = PAGES[page]

    assert min(_contrast(hue, background) for hue in hues) >= 3  # WCAG 2.2, 1.4.11 for graphics


def test_the_best_set_has_hues_the_baseline_ink_and_the_rest_grey(made_up):
    found = arm_styles(made_up)

    assert [found[arm].colour for arm in ("swish(beta=learned)", "gelu", "silu")] == [
        "var(--arm-1)",
        "var(--arm-2)",
        "var(--arm-3)",
    ]
    assert (found["relu"].colour, found["tanh"].colour) == ("var(--ink)", "var(--rest)")


def test_a_baseline_in_the_best_set_is_coloured_like_the_others_in_it(made_up):
    found = arm_styles(dataclasses.replace(made_up, best_set=(*made_up.best_set, "relu")))

    assert (found["relu"].colour, found["relu"].baseline) == ("var(--arm-4)", True)


def test_from_the_seventh_of_a_best_set_on_hues_come_again_with_dashes(made_up):
    arms = tuple(dataclasses.replace(made_up.arms[0], spec=f"arm{n}") for n in range(8))
    found = arm_styles(dataclasses.replace(made_up, arms=arms, best_set=tuple(arm.spec for arm in arms)))

    assert (found["arm6"].colour, found["arm6"].dash != ()) == (found["arm0"].colour, True)
    assert len({(look.colour, look.dash) for look in found.values()}) == 8
