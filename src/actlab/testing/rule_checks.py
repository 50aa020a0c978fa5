"""Conformance checks of a gradient rule (formula, surrogate, second order, torch modes)."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch

from actlab.codegen.rule_gradient import gradient
from actlab.functions.formula.evaluate import numeric
from actlab.functions.formula.quadrature import breakpoints
from actlab.functions.grammar import parse
from actlab.functions.rule import GRAD
from actlab.functions.spec import X
from actlab.nn.layers.custom_gradient import CustomGradientLayer
from actlab.testing.activation_checks import (
    any_shape_is_taken,
    autocast_keeps_the_dtype,
    meta_tensors_give_shapes,
    pickle_deepcopy_and_state_dict_round_trip,
    value_and_gradient,
)
from actlab.testing.reference import DTYPES, assert_near, build_layer, sample

__all__ = ["RULE_CHECKS"]


def rule_multiplies_the_gradient_in_every_dtype(spec: str) -> None:
    """The gradient is the rule's formula in float64, float32 and bfloat16, if the formula needs the input alone."""
    rule_gradient = gradient(parse(spec))
    for dtype in DTYPES[:3]:
        x = sample(spec, dtype)
        _, got = value_and_gradient(build_layer(spec, dtype=dtype), x)
        assert got.dtype == dtype, f"{spec} makes a gradient of {got.dtype} for {dtype}"
        if {*rule_gradient.ingredients} <= {"x"} and not rule_gradient.forms and not rule_gradient.open:
            symbols = [GRAD, X]
            want = numeric(rule_gradient.expression, symbols)(*(t.double().numpy() for t in (torch.ones_like(x), x)))
            assert_near(got, torch.from_numpy(want), dtype, f"gradient of {spec} in {dtype}", scale=1.0)


def rule_is_the_slope_of_its_surrogate(spec: str) -> None:
    """Central differences of the surrogate that a rule declares agree with the rule, away from kinks."""
    backward = parse(spec).backward
    assert backward is not None, f"{spec} has no rule"
    if backward.surrogate is None or backward.learned:
        return
    x, h = np.linspace(-4.003, 4.001, 999), 1e-6
    away = np.min(np.abs(x[:, None] - np.array([9e9, *breakpoints(backward.surrogate, X)])), axis=1) > 10 * h
    surrogate, slope = (numeric(part, [X]) for part in (backward.surrogate, backward.factor))
    difference = (surrogate(x + h) - surrogate(x - h)) / (2 * h)
    np.testing.assert_allclose(difference[away], slope(x)[away], rtol=1e-4, atol=1e-6)


def rule_is_kept_in_every_mode(spec: str) -> None:
    """Gradients in eager mode, under torch.func and in copies equal those of the torch code; values are those of the forward function."""
    x, module = sample(spec), build_layer(spec, dtype=torch.float64)
    value, want = _seeded(lambda: value_and_gradient(module, x))
    plain = build_layer(parse(spec).forward, dtype=torch.float64)(x)
    torch.testing.assert_close(value, plain.detach())
    in_torch = _seeded(lambda: value_and_gradient(cast("CustomGradientLayer", module)._in_tensor_code, x))
    torch.testing.assert_close(in_torch[1], want)
    torch.testing.assert_close(_seeded(lambda: torch.func.grad(lambda x: module(x).sum())(x)), want)
    again = pickle.loads(pickle.dumps(copy.deepcopy(module)))  # noqa: S301 pickled in the same line
    torch.testing.assert_close(_seeded(lambda: value_and_gradient(again, x))[1], want)


def _seeded(run: Callable[[], Any]) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return run()


RULE_CHECKS: tuple[Callable[[str], None], ...] = (
    rule_multiplies_the_gradient_in_every_dtype,
    rule_is_the_slope_of_its_surrogate,
    rule_is_kept_in_every_mode,
    any_shape_is_taken,
    pickle_deepcopy_and_state_dict_round_trip,
    autocast_keeps_the_dtype,
    meta_tensors_give_shapes,
)
