"""Activation and Linear in one module, saving only the activation's input for the backward pass.

For ``linear(act(x))`` autograd saves ``x`` and ``act(x)``, and intermediate values of a function without a kernel of its own.
:class:`ActLinear` saves ``x`` and recomputes ``act(x)`` in the backward pass; :class:`GLULinear` does so for gated functions. The output is
the same to the bit, the gradient up to the order of its sums.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from actlab.errors import LayerError
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.nn.layers.activation_layer import ActivationLayer, Half
from actlab.nn.layers.deferred import Deferred
from actlab.nn.layers.layer import layer

__all__ = ["ActLinear", "GLULinear"]


class ActLinear(nn.Linear):
    """An activation and the Linear after it: ``linear(act(x))``.

    Weight and bias are those of the Linear, under the same names: its ``state_dict`` loads. Learned parameters of the activation are below
    ``activation``. Outside plain eager mode (``torch.compile``, export, ``torch.func``, forward AD, no gradients) it runs the plain
    composition.

    Args:
        spec: an elementwise activation, or a layer of one.
        linear: the Linear applied to its output.
        gate: for gated functions, see :class:`GLULinear`.

    Raises:
        LayerError: ``linear`` is not exactly an ``nn.Linear``, or the activation is not elementwise.
        SpecError: the spec cannot be read.
        UnknownNameError: the spec names an activation that does not exist.

    Example:
        >>> import torch
        >>> mlp = nn.Sequential(nn.Linear(4, 8), ActLinear("gelu", nn.Linear(8, 2)))
        >>> mlp(torch.zeros(3, 4)).shape
        torch.Size([3, 2])
    """

    _kind = "elementwise"

    def __init__(self, spec: str | Spec | ActivationLayer, linear: nn.Linear, *, gate: Half = "second") -> None:
        nn.Module.__init__(self)  # not nn.Linear's, which would initialize a weight
        act = self._activation(spec, linear, gate)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self.activation = Deferred(
            act, pointwise=act.spec.activation.kind == "elementwise" and not act.spec.needs_channels
        )
        self.training = linear.training

    def _activation(self, spec: str | Spec | ActivationLayer, linear: nn.Linear, gate: Half) -> ActivationLayer:
        if type(linear) is not nn.Linear:
            raise LayerError(
                f"{type(self).__name__} takes over the weights of an nn.Linear, got {type(linear).__name__}."
            )
        if isinstance(spec, ActivationLayer):
            act = spec
        else:
            like = linear.weight
            channels = linear.in_features if parse(spec).needs_channels else None
            act = layer(spec, channels=channels, gate=gate, device=like.device, dtype=like.dtype)
        kind = act.spec.activation.kind
        if kind != self._kind:
            other = {"elementwise": "ActLinear", "gated": "GLULinear"}.get(kind)
            instead = f"use {other}" if other else "write layer(...) and an nn.Linear"
            raise LayerError(f"{type(self).__name__} takes {self._kind} functions; {act.spec} is {kind}: {instead}.")
        if act.spec.backward is not None:
            raise LayerError(
                f"{type(self).__name__} computes its activation twice, and the gradient rule of {act.spec} applies to the first time; "
                "write layer(...) and an nn.Linear."
            )
        return act

    def forward(self, x: Tensor) -> Tensor:
        """Apply activation and Linear.

        Args:
            x: floating tensor ``(..., in_features)``.

        Returns:
            Tensor ``(..., out_features)``.
        """
        return super().forward(self.activation(x))


class GLULinear(ActLinear):
    """A gated activation and the Linear after it: ``linear(act(gate) * value)``.

    Args:
        spec: a gated activation, or a layer of one.
        linear: the Linear applied to its output.
        gate: position of the gate in a packed input, as for :func:`actlab.layer`.

    Raises:
        LayerError: as for :class:`ActLinear`.

    Example:
        >>> import torch
        >>> down = GLULinear("swiglu", nn.Linear(8, 2))
        >>> down(torch.zeros(3, 16)).shape, down(torch.zeros(3, 8), torch.ones(3, 8)).shape
        (torch.Size([3, 2]), torch.Size([3, 2]))
    """

    _kind = "gated"

    def forward(self, x: Tensor, value: Tensor | None = None) -> Tensor:
        """Apply activation and Linear.

        Args:
            x: gate and value packed, ``(..., 2 in_features)``; or the gate, ``(..., in_features)``.
            value: the value, where it is separate.

        Returns:
            Tensor ``(..., out_features)``.
        """
        inputs: tuple[Any, ...] = (x,) if value is None else (x, value)
        return nn.Linear.forward(self, self.activation(*inputs))
