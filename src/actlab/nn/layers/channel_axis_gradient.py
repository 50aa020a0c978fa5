"""Activation layers with a gradient rule, and parameters per channel along a dimension other than 1."""

from __future__ import annotations

from actlab.nn.layers.channel_axis import AlongDimension
from actlab.nn.layers.custom_gradient import CustomGradientLayer

__all__ = ["ChannelAxisGradientLayer"]


class ChannelAxisGradientLayer(AlongDimension, CustomGradientLayer):
    """Layer with a gradient rule and parameters per channel along a dimension counted from the end. Build it with :func:`layer`."""
