"""Name of the registered activation that a function computes, judged by its values and gradients.

A function is judged at stated dtypes, on the CPU, in training mode with gradients: on points from the subnormal numbers to 1e4, so that a
clamp far out and a floor near 0 show, and at 0 itself. It must be elementwise, draw no random numbers, and pass the gradient back as the
registered function does, for large, small, positive and negative gradients. At a kink the two may take different sides, and where the
derivative is 0 everywhere, as that of a step, any gradient will do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any, Final

import torch
from torch import Tensor

from actlab.functions.activation import get, names, registry_version
from actlab.nn.layers.layer import layer

__all__ = ["Judged", "name_of", "stated"]

Judged = Callable[[Tensor], Any]
"""A function of one tensor."""

_RELATIVE: Final = 2e-6  # constants written with 7 digits; exact and tanh GELU differ by 5e-4
_ROUNDING: Final = 1e-15  # float64 rounding of sums of the size of the input
_ROUNDING_OF_FLOAT32: Final = 4e-7  # where the function computes in float32 whatever it gets
_SLOPE: Final = 1e-5  # of gradients, in which truncated constants weigh more
_OVERFLOW: Final = 40.0  # beyond, an author's exp(x) may overflow where the registered function does not


def name_of(function: Judged, train: Callable[[bool], object] = bool) -> str | None:
    """Return the name of the registered function that a function computes; None if it computes none.

    Args:
        function: takes one tensor. It is called, so that it must have no side effects.
        train: sets training or evaluation mode; called with True, then with False.

    Example:
        >>> name_of(lambda x: x * torch.sigmoid(x)), name_of(lambda x: x.clamp(0, 20)), name_of(lambda x: x.clamp(min=0))
        ('silu', None, 'relu')
    """
    with stated(torch.float64):
        values = _elementwise_values(function, train)
        found = [] if values is None else _near(values)
        if not found:
            return None
        slopes = _gradients(function, train)
        found = [name for name in found if slopes is not None and _same_gradients(slopes, name)]
    with stated(torch.float32):
        return found[0] if found and _runs_in_float32(function, train, found[0]) else None


@contextmanager
def stated(dtype: torch.dtype) -> Iterator[None]:
    """Run the block at a default dtype and on the CPU, without autocast, whatever the process has set."""
    before = torch.get_default_dtype()
    with ExitStack() as stack:
        stack.enter_context(torch.device("cpu"))
        stack.enter_context(torch.inference_mode(mode=False))
        stack.enter_context(torch.autocast("cpu", enabled=False))
        stack.callback(torch.set_default_dtype, before)
        torch.set_default_dtype(dtype)
        yield


# ---------------------------------------------------------------------------------------------- values


def _points() -> Tensor:
    """Return the points, shape (2, 80): dense from -8 to 8, then spaced by their logarithm; no kink of a function among them but 0."""
    dense = torch.linspace(-7.9871, 7.9653, 72)
    sizes = (
        torch.cat([torch.logspace(-14, 4, 37), torch.tensor([1e-310, 1e-42, 1e-33, 1e-25, 1e-19, 31.7, 577.3])]) * 0.97
    )
    return torch.cat([dense, sizes, -sizes]).reshape(2, 80)


def _elementwise_values(function: Judged, train: Callable[[bool], object]) -> Tensor | None:
    """Return the values of a function on the points; None where it is no elementwise function of one tensor, or a random one."""
    points = _points()
    other = points.clone()
    other[:, ::2] += 1.0  # an elementwise function changes in these columns only
    state = torch.get_rng_state()
    try:
        train(True)
        with torch.enable_grad():
            once, again = (function(points.clone().requires_grad_().clone()) for _ in range(2))
        train(False)
        with torch.no_grad():
            plain, changed, at_zero = function(points.clone()), function(other), function(torch.zeros(2, 1))
    except Exception:  # any error of the user's code means that it does not take a single float tensor
        return None
    results = (once, again, plain, changed)
    if not all(
        isinstance(each, Tensor) and each.shape == points.shape and each.is_floating_point() for each in results
    ):
        return None
    same = all(torch.equal(once.nan_to_num(), each.nan_to_num()) for each in (again, plain))
    alone = torch.equal(once[:, 1::2].nan_to_num(), changed[:, 1::2].nan_to_num())
    if not (same and alone and torch.equal(state, torch.get_rng_state())):
        return None
    return torch.cat([once.detach(), at_zero.to(once)], 1).double()


@lru_cache(maxsize=1)  # one version at a time: an activation that is registered or redefined later starts a new one
def _table(_version: int) -> tuple[tuple[str, ...], Tensor]:
    """Return every elementwise activation, and their values on the points and at 0, shape (activations, 2, 81)."""
    known = tuple(name for name in names("elementwise") if name != "identity")
    with stated(torch.float64), torch.no_grad():
        points = torch.cat([_points(), torch.zeros(2, 1)], 1)
        return known, torch.stack([layer(name)(points) for name in known])


def _near(values: Tensor) -> list[str]:
    """Return the registered functions with these values.

    Torch's own come first, then those that learn nothing, as the function of a user has no parameters, then by their largest error.
    """
    known, table = _table(registry_version())
    size = torch.cat([_points(), torch.zeros(2, 1)], 1).abs()
    if torch.equal(values[:, :-1], _points()):
        return []  # nothing is computed: several functions are the identity at their defaults
    errors = (table - values).abs()
    tolerance = _RELATIVE * table.abs() + _ROUNDING * (1 + size)
    if torch.equal(values, values.float().double()):
        tolerance = tolerance + _ROUNDING_OF_FLOAT32 * size
    is_near = (errors <= tolerance) | (table == values) | (~values.isfinite() & (size > _OVERFLOW))
    matches = {
        name: float((error / (1 + size)).nan_to_num().amax())
        for name, error, near in zip(known, errors, is_near.flatten(1).all(1).tolist(), strict=True)
        if near
    }

    def order(name: str) -> tuple[bool, bool, float]:  # silu before swish, and sine before learned_sine: cases of these
        learns = any(parameter.learned for parameter in get(name).parameters)
        return get(name).module is None, learns, matches[name]

    return sorted(matches, key=order)


# ------------------------------------------------------------------------------------------- gradients


def _upstream(points: Tensor) -> list[Tensor]:
    """Return gradients that come from behind: of both signs, below and far above 1."""
    wave = torch.sin(torch.arange(points.numel()) * 1.7).reshape(points.shape) + 0.01
    return [wave, -wave, 137.0 * wave, 1e-3 * wave]


def _gradients(function: Judged, train: Callable[[bool], object]) -> Tensor | None:
    """Return the gradients of the points for each of :func:`_upstream`; None where the backward pass raises."""
    points = _points().requires_grad_()
    try:
        train(True)
        with torch.enable_grad():
            result = function(points.clone())
            if not result.requires_grad:
                return torch.zeros(len(_upstream(points)), *points.shape)
            gradients = [
                torch.autograd.grad(result, points, upstream.to(result), retain_graph=True, allow_unused=True)[0]
                for upstream in _upstream(points)
            ]
    except Exception:  # a user's backward may raise anything
        return None
    return torch.stack([torch.zeros_like(points) if each is None else each for each in gradients]).detach()


@lru_cache(maxsize=64)
def _registered_gradients(name: str, _version: int) -> Tensor | None:
    return _gradients(layer(name), bool)


def _same_gradients(gradients: Tensor, name: str) -> bool:
    expected = _registered_gradients(name, registry_version())
    if expected is None:
        return False
    if not bool(expected.any()):  # a step, which authors give a gradient of their own
        return True
    points = _points()
    upstream = torch.stack(_upstream(points)).abs()
    near = (gradients - expected).abs() <= _SLOPE * expected.abs() + 1e-7 * upstream * points.abs().clamp(1e-6, 1.0)
    return bool((near | (points.abs() < 1e-9) | (~gradients.isfinite() & (points.abs() > _OVERFLOW))).all())


def _runs_in_float32(function: Judged, train: Callable[[bool], object], name: str) -> bool:
    """Whether a function computes the registered one in float32 as well, up to rounding: code may depend on the dtype."""
    points = _points()
    points = torch.where(points.abs() < 1e-37, torch.zeros_like(points), points)
    try:
        train(True)
        with torch.enable_grad():
            values = function(points.clone().requires_grad_().clone())
    except Exception:  # as above
        return False
    expected = layer(name)(points)
    near = (values - expected).abs() <= 1e-3 * expected.abs() + 1e-6 * points.abs().clamp(min=1.0)
    return values.dtype == points.dtype and bool((near | (~values.isfinite() & (points.abs() > _OVERFLOW))).all())
