"""Activation layers with parameters per channel along a dimension other than 1."""

from __future__ import annotations

from math import prod
from typing import Any

from torch import Tensor

from actlab.errors import LayerError
from actlab.functions.spec import Spec
from actlab.nn.layers.activation_layer import ActivationLayer, is_traced

__all__ = ["AlongDimension", "ChannelAxisLayer"]


class AlongDimension(ActivationLayer):
    """Applies the layer it is mixed with along a dimension counted from the end, whatever the number of dimensions before it.

    Attributes:
        channel_dim: dimension of the channels, negative.
    """

    def __init__(self, spec: Spec, *, channel_dim: int, **options: Any) -> None:
        if channel_dim >= 0:
            raise LayerError(
                f"channel_dim is the dimension of the parameters per channel: 1, or a negative number, counted from the end (-1 for tokens "
                f"and channels-last inputs); got {channel_dim}."
            )
        super().__init__(spec, **options)
        self.channel_dim = channel_dim

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        """Apply the activation; see :meth:`ActivationLayer.forward`."""
        dim = self.channel_dim
        if is_traced(x) or x.dim() + dim == 1:
            return super().forward(x, *others)
        if x.dim() < -dim or x.shape[dim] != self.channels:
            raise LayerError(
                f"{self.spec} has {self.channels} channels in dimension {dim}, got an input of shape {tuple(x.shape)}."
            )
        joined = [each.reshape(prod(each.shape[:dim]), *each.shape[dim:]) for each in (x, *others)]
        y = super().forward(*joined)
        return y.reshape(*x.shape[:dim], *y.shape[1:])

    def extra_repr(self) -> str:
        """Return the spec's text and the dimension."""
        return f"{super().extra_repr()}, channel_dim={self.channel_dim}"


class ChannelAxisLayer(AlongDimension):
    """Activation layer with parameters per channel along a dimension counted from the end. Build it with :func:`layer`."""
