"""Segments of piecewise formulas between their breakpoints."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
import sympy

from actlab.functions.activation import names
from actlab.functions.formula import absolute, exp, maximum, sign, where
from actlab.functions.formula.evaluate import numeric
from actlab.functions.formula.quadrature import breakpoints
from actlab.functions.formula.segments import segments
from actlab.functions.grammar import parse

x = sympy.Symbol("x", real=True)


def test_the_ends_of_the_pieces_are_the_breakpoints():
    parts = segments(where(x > 2, exp(x), maximum(x, -1)), x)

    assert [(segment.left, segment.right) for segment in parts] == [(-inf, -1.0), (-1.0, 2.0), (2.0, inf)]
    assert [segment.expression for segment in parts] == [-1, x, exp(x)]


def test_absolute_values_and_signs_are_decided_on_each_side():
    left, right = segments(absolute(x) + sign(x), x)

    assert (left.expression, right.expression) == (-x - 1, x + 1)


@pytest.mark.parametrize("name", names("elementwise"))
def test_every_piece_has_the_formulas_values_inside(name):
    spec = parse(name)
    numbers = {p.symbol: sympy.Float(spec.numbers[p.name], 17) for p in spec.activation.parameters}
    formula, symbol = spec.activation.formula.xreplace(numbers), spec.activation.inputs[0]
    whole = numeric(formula, [symbol])
    if len(breakpoints(formula, symbol)) > 8:
        pytest.skip("rounds to many levels: one segment per level")

    for segment in segments(formula, symbol):
        low = max(segment.left, min(-8.0, segment.right - 8.0))
        points = np.linspace(low, min(segment.right, max(8.0, low + 8.0)), 33)[1:-1]
        part = numeric(segment.expression, [symbol])(points)
        np.testing.assert_allclose(part, whole(points), rtol=1e-12, atol=1e-12)
