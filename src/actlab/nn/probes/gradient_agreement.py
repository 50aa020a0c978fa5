"""Compare the gradients of two models layer by layer, by cosine and sign, and count sign flips.

A net may be trained with another slope than its function's own (straight-through, windows, surrogates). The cosine between the two
gradients says whether a step still goes downhill, the signs say the same of every unit, and flips are the share of a binary activation's
outputs that change sign between two epochs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import torch
from torch import Tensor, nn

from actlab.errors import SiteError
from actlab.nn.passes.sharded import check_not_sharded
from actlab.nn.probes.hooks import Hooks, Point, Recompute, Side
from actlab.nn.sites.dry_run import Inputs, copy_inputs, no_side_effects, run

__all__ = ["Agreement", "Flips", "agreement", "flipped", "gradient_agreement"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Agreement:
    """Agreement of two gradients of one layer. NaN where one of them is zero.

    Attributes:
        path: path of the layer, or its number.
        cosine: cosine of the angle between them, over all elements.
        ratio: norm of the used gradient over that of the reference.
        signs: share of elements whose signs agree, of those where the reference is not zero.
        unit_signs: the same for each unit, float64, shape ``(units,)``.
        zero_units: share of units whose used gradient is zero throughout.
        zero_reference: share of units whose reference gradient is zero throughout.
    """

    path: str
    cosine: float
    ratio: float
    signs: float
    unit_signs: Tensor
    zero_units: float
    zero_reference: float


def agreement(used: Tensor, reference: Tensor, *, dim: int = -1, path: str = "") -> Agreement:
    """Compare two gradients.

    Args:
        used: gradient, any floating tensor.
        reference: gradient of the same shape.
        dim: dimension of the units: 0 for a weight, -1 for a linear layer's activations, 1 for a convolution's.
        path: path of the layer, for the result.

    Raises:
        SiteError: the shapes differ.

    Example:
        >>> result = agreement(torch.tensor([[1.0, -1.0], [1.0, 0.0]]), torch.tensor([[2.0, 1.0], [2.0, 3.0]]))
        >>> round(result.cosine, 3), result.unit_signs.tolist(), result.signs
        (0.408, [1.0, 0.0], 0.5)
    """
    if used.shape != reference.shape:
        raise SiteError(
            f"Gradients of {tuple(used.shape)} and {tuple(reference.shape)} cannot be compared; pass two gradients of one tensor."
        )
    a, b = (_by_unit(gradient, dim) for gradient in (used, reference))
    norms = float(a.norm()), float(b.norm())
    known = b != 0
    counts = known.sum(0).double()
    same = ((a.sign() == b.sign()) & known).sum(0).double()
    return Agreement(
        path=path,
        cosine=float((a * b).sum()) / (norms[0] * norms[1]) if all(norms) else nan,
        ratio=norms[0] / norms[1] if norms[1] else nan,
        signs=float(same.sum() / counts.sum()) if counts.sum() else nan,
        unit_signs=(same / counts).cpu(),
        zero_units=_zero_share(a),
        zero_reference=_zero_share(b),
    )


def _by_unit(gradient: Tensor, dim: int) -> Tensor:
    """Return rows of units in float64, where half-precision gradients neither overflow nor underflow."""
    wide = gradient.detach().double()
    return wide.reshape(1, -1) if wide.dim() < 2 else wide.movedim(dim, -1).flatten(0, -2)


def _zero_share(rows: Tensor) -> float:
    return float((rows == 0).all(0).double().mean())


# ------------------------------------------------------------------------------------------------- models


class _GradientObserver:
    """Collects the gradient at every activation's input."""

    def __init__(self) -> None:
        self.gradients: dict[Hashable, tuple[Point, Tensor]] = {}

    def on_forward(self, point: Point, x: Tensor, y: Tensor, recompute: Recompute | None, /) -> None:
        """Ignore executions."""

    def on_gradient(self, point: Point, side: Side, gradient: Tensor, /) -> None:
        """Store a gradient; the rows of several executions are concatenated."""
        if side == "output":
            return
        key = (point.path, point.after)
        before = self.gradients.get(key)
        rows = _by_unit(gradient, point.dim if point.dim is not None else -1)
        self.gradients[key] = (point, rows if before is None else torch.cat([rows, before[1]]))


def gradient_agreement(
    used: nn.Module, reference: nn.Module, inputs: Inputs, loss: Callable[[Any], Tensor], *, training: bool = False
) -> list[Agreement]:
    """Compare the gradients of two models that differ only in their backward passes, at the input of every activation.

    Each model runs once, at the same seed, and is left unchanged. Activations are matched by their paths.

    Args:
        used: the model as it is trained.
        reference: a model with the same weights and functions, and the reference gradient.
        inputs: a batch: a tensor, a tuple of positional arguments, or a dict of keyword arguments.
        loss: takes the output of the model and returns a scalar.
        training: run both in training mode.

    Raises:
        SiteError: a model raises on the batch, or no activation of the two has the same path.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
        >>> round(gradient_agreement(net, net, torch.ones(3, 2), lambda y: y.sum())[0].cosine, 6)
        1.0
    """
    own, other = (_gradients(model, inputs, loss, training=training) for model in (used, reference))
    shared = [key for key in own if key in other]
    if not shared:
        raise SiteError(
            "No activation of the two models has the same path and a gradient, so that nothing can be compared. "
            "Make the reference a copy of the model, and change only its backward pass."
        )
    return [agreement(own[key][1], other[key][1], path=own[key][0].path) for key in shared]


def _gradients(
    model: nn.Module, inputs: Inputs, loss: Callable[[Any], Tensor], *, training: bool
) -> Mapping[Hashable, tuple[Point, Tensor]]:
    observer = _GradientObserver()
    check_not_sharded(model, "A pass with gradients")
    hooks = Hooks(model, observer)
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with no_side_effects(model, training=training), torch.enable_grad():
        with hooks:
            value = loss(run(model, copy_inputs(inputs)))
        torch.autograd.grad(value, weights, allow_unused=True)
        hooks.release()
    return dict(reversed(observer.gradients.items()))  # gradients come from the last activation to the first


# -------------------------------------------------------------------------------------------------- flips


def flipped(before: Tensor, after: Tensor) -> float:
    """Return the share of elements whose sign differs; zero counts as negative.

    Example:
        >>> flipped(torch.tensor([1.0, -1.0, 1.0, -1.0]), torch.tensor([1.0, 1.0, 1.0, 0.0]))
        0.25
    """
    return float(((before > 0) != (after > 0)).double().mean())


class Flips:
    """Count sign changes of a model's activations on a fixed batch during training.

    Call :meth:`count` once an epoch. The sign of every output is stored between calls, as a bool.

    Args:
        model: any module; every call leaves it unchanged.
        inputs: the batch.
        sites: paths of the activations to count; all if not given.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 4), nn.Tanh())
        >>> flips = Flips(net, torch.ones(3, 2))
        >>> flips.count(), [p.data.neg_() is None for p in net.parameters()], flips.count()
        ({}, [False, False], {'1': 1.0})
    """

    def __init__(self, model: nn.Module, inputs: Inputs, sites: Iterable[str] | None = None) -> None:
        self._hooks = Hooks(model, self)
        self._inputs = inputs
        self._sites: Sequence[str] | None = None if sites is None else list(sites)
        self._signs: dict[str, Tensor] = {}
        self._current: dict[str, list[Tensor]] = {}

    def on_forward(self, point: Point, _x: Tensor, y: Tensor, _recompute: Recompute | None, /) -> None:
        """Store the signs of an output."""
        if self._sites is None or point.path in self._sites:
            self._current.setdefault(point.path, []).append((y > 0).flatten())

    def on_gradient(self, point: Point, side: Side, gradient: Tensor, /) -> None:
        """Ignore gradients."""

    def count(self) -> dict[str, float]:
        """Return the share of outputs that changed sign since the last call, by path; empty at the first call.

        Raises:
            SiteError: the model raises on the batch.
        """
        self._current = {}
        model = self._hooks.model
        with no_side_effects(model), self._hooks:
            run(model, copy_inputs(self._inputs))
        signs = {path: torch.cat(parts) for path, parts in self._current.items()}
        shares = {path: flipped(self._signs[path], after) for path, after in signs.items() if path in self._signs}
        self._signs, self._current = signs, {}
        return shares
