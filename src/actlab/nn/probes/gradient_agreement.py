"""The agreement: how far the gradient that training uses points where a reference gradient does, layer by layer.

A net may be trained with another slope than its function's own (straight-through, windows, surrogates). Then the cosine between the two
gradients says whether a step still goes downhill, the signs say the same of every unit, and flips say what a binary activation does
meanwhile: how many of its outputs change sign from one epoch to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import torch
from torch import Tensor, nn

from actlab.errors import SiteError
from actlab.nn.probes.hooks import Again, Hooks, Point, Side
from actlab.nn.sites.dry_run import Inputs, copy_inputs, run, no_side_effects

__all__ = ["Agreement", "Flips", "agreement", "flipped", "gradient_agreement"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Agreement:
    """How two gradients of one layer agree. NaN where one of them is zero, or nothing can be compared.

    Attributes:
        path: of the layer, or its number.
        cosine: of the angle between them, over all elements.
        ratio: norm of the used one over that of the reference.
        signs: share of elements whose signs agree, of those where the reference is not zero.
        unit_signs: the same for each unit, float64 of shape ``(units,)``.
        zero_units: share of units whose used gradient is zero throughout.
        zero_reference: share of units whose reference is zero throughout.
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
        used: any floating tensor.
        reference: of the same shape.
        dim: dimension of the units: 0 of a weight, -1 of a linear layer's activations, 1 of a convolution's.
        path: put into the result.

    Raises:
        SiteError: the shapes differ.

    Example:
        >>> found = agreement(torch.tensor([[1.0, -1.0], [1.0, 0.0]]), torch.tensor([[2.0, 1.0], [2.0, 3.0]]))
        >>> round(found.cosine, 3), found.unit_signs.tolist(), found.signs
        (0.408, [1.0, 0.0], 0.5)
    """
    if used.shape != reference.shape:
        raise SiteError(
            f"Gradients of {tuple(used.shape)} and {tuple(reference.shape)} cannot be compared; give those of one tensor."
        )
    a, b = (_by_unit(gradient, dim) for gradient in (used, reference))
    lengths = float(a.norm()), float(b.norm())
    known = b != 0
    counts = known.sum(0).double()
    same = ((a.sign() == b.sign()) & known).sum(0).double()
    return Agreement(
        path=path,
        cosine=float((a * b).sum()) / (lengths[0] * lengths[1]) if all(lengths) else nan,
        ratio=lengths[0] / lengths[1] if lengths[1] else nan,
        signs=float(same.sum() / counts.sum()) if counts.sum() else nan,
        unit_signs=(same / counts).cpu(),
        zero_units=_zero(a),
        zero_reference=_zero(b),
    )


def _by_unit(gradient: Tensor, dim: int) -> Tensor:
    """Return float64 rows of units, which neither overflow nor lose the small ones of half precision."""
    wide = gradient.detach().double()
    return wide.reshape(1, -1) if wide.dim() < 2 else wide.movedim(dim, -1).flatten(0, -2)


def _zero(rows: Tensor) -> float:
    return float((rows == 0).all(0).double().mean())


# ------------------------------------------------------------------------------------------------- models


class _Gradients:
    """Collects the gradient at every activation's input."""

    def __init__(self) -> None:
        self.found: dict[Hashable, tuple[Point, Tensor]] = {}

    def seen(self, point: Point, x: Tensor, y: Tensor, again: Again | None, /) -> None:
        """Look at nothing: only gradients count."""

    def gradient(self, point: Point, side: Side, gradient: Tensor, /) -> None:
        """Keep a gradient; those of several executions are laid end to end."""
        if side == "output":
            return
        key = (point.path, point.after)
        before = self.found.get(key)
        rows = _by_unit(gradient, point.dim if point.dim is not None else -1)
        self.found[key] = (point, rows if before is None else torch.cat([rows, before[1]]))


def gradient_agreement(
    used: nn.Module, reference: nn.Module, inputs: Inputs, loss: Callable[[Any], Tensor], *, training: bool = False
) -> list[Agreement]:
    """Compare the gradients of two models that differ in their backward passes only, at the input of every activation.

    Each model runs once, at the same seed, and is left as it was. Activations are matched by their paths.

    Args:
        used: the model as it is trained.
        reference: the same weights and functions, with the gradient to be held against.
        inputs: a batch: a tensor, a tuple of positional arguments, or a dict of keyword arguments.
        loss: takes the output of the model, gives a scalar.
        training: run them in training mode.

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
            "Make the reference a copy of the model, and change its backward pass only."
        )
    return [agreement(own[key][1], other[key][1], path=own[key][0].path) for key in shared]


def _gradients(
    model: nn.Module, inputs: Inputs, loss: Callable[[Any], Tensor], *, training: bool
) -> Mapping[Hashable, tuple[Point, Tensor]]:
    collected = _Gradients()
    taps = Hooks(model, collected)
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with no_side_effects(model, training=training), torch.enable_grad():
        taps.open()
        try:
            value = loss(run(model, copy_inputs(inputs)))
        finally:
            taps.close()
        torch.autograd.grad(value, weights, allow_unused=True)
        taps.release()
    return dict(reversed(collected.found.items()))  # gradients come from the last activation to the first


# -------------------------------------------------------------------------------------------------- flips


def flipped(before: Tensor, after: Tensor) -> float:
    """Return the share of elements whose sign differs; zero counts as negative, as in ``x > 0``.

    Example:
        >>> flipped(torch.tensor([1.0, -1.0, 1.0, -1.0]), torch.tensor([1.0, 1.0, 1.0, 0.0]))
        0.25
    """
    return float(((before > 0) != (after > 0)).double().mean())


class Flips:
    """Counts sign changes of a model's activations on a fixed batch, as training goes on.

    Call :meth:`count` once an epoch. One bit an element is kept from call to call, as a bool.

    Args:
        model: any module; left as it was by every look.
        inputs: the batch.
        sites: paths of the activations that count; all if not given.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 4), nn.Tanh())
        >>> flips = Flips(net, torch.ones(3, 2))
        >>> flips.count(), [p.data.neg_() is None for p in net.parameters()], flips.count()
        ({}, [False, False], {'1': 1.0})
    """

    def __init__(self, model: nn.Module, inputs: Inputs, sites: Iterable[str] | None = None) -> None:
        self._taps = Hooks(model, self)
        self._inputs = inputs
        self._sites: Sequence[str] | None = None if sites is None else list(sites)
        self._signs: dict[str, Tensor] = {}
        self._found: dict[str, list[Tensor]] = {}

    def seen(self, point: Point, _x: Tensor, y: Tensor, _again: Again | None, /) -> None:
        """Note the signs of an output."""
        if self._sites is None or point.path in self._sites:
            self._found.setdefault(point.path, []).append((y > 0).flatten())

    def gradient(self, point: Point, side: Side, gradient: Tensor, /) -> None:
        """Look at nothing: signs need no gradient."""

    def count(self) -> dict[str, float]:
        """Return the share of outputs that changed sign since the last call, by path; nothing at the first call.

        Raises:
            SiteError: the model raises on the batch.
        """
        self._found = {}
        model = self._taps.model
        with no_side_effects(model):
            self._taps.open()
            try:
                run(model, copy_inputs(self._inputs))
            finally:
                self._taps.close()
        now = {path: torch.cat(parts) for path, parts in self._found.items()}
        shares = {path: flipped(self._signs[path], bits) for path, bits in now.items() if path in self._signs}
        self._signs, self._found = now, {}
        return shares
