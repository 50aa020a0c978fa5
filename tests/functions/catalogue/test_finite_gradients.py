"""Gradients are finite wherever the value is, on a grid of eighths from -100 to 100 with zero and every kink."""

import pytest
import torch

import actlab
from actlab.functions.activation import activation, forget
from actlab.functions.formula import absolute, sin, sqrt

GRID = torch.linspace(-100, 100, 1601)


def not_finite(name, dtype):
    x = GRID.to(dtype).requires_grad_()
    value = actlab.layer(name, native=False, dtype=dtype)(x)
    (gradient,) = torch.autograd.grad(value.sum(), x)
    return x[value.isfinite() & ~gradient.isfinite()].tolist()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_no_function_of_one_number_has_a_gradient_that_is_not_finite_where_its_value_is(dtype):
    found = {name: not_finite(name, dtype) for name in actlab.names("elementwise")}
    assert {name: points for name, points in found.items() if points} == {}


def test_a_root_whose_gradient_is_lost_at_zero_would_be_found():
    @activation(paper="a planted fault")
    def damped_by_a_bare_root(x):
        """The sine times a root, which autograd makes 0 times infinity at zero."""
        return sin(x) * sqrt(absolute(x))

    try:
        assert not_finite("damped_by_a_bare_root", torch.float64) == [0.0]
    finally:
        forget("damped_by_a_bare_root")
