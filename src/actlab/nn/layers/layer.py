"""Build an activation module from a spec."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.nn.layers.activation_layer import ActivationLayer, Half
from actlab.nn.layers.channel_axis import ChannelAxisLayer
from actlab.nn.layers.own_layer import OwnCode, OwnLayer

__all__ = ["layer"]


def layer(
    spec: str | Spec,
    *,
    channels: int | None = None,
    channel_dim: int = 1,
    native: bool = True,
    fast: bool = False,
    gate: Half = "second",
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> ActivationLayer:
    """Return the activation as a module.

    Args:
        spec: such as ``"gelu"``, ``"leaky_relu(0.02)"``, ``"swish(beta=learned)"``, ``"prelu(weight=learned_per_channel)"``.
        channels: size of the dimension of the channels; needed for parameters learned per channel.
        channel_dim: that dimension: 1, as torch has it for PReLU, or a negative number, counted from the end. -1 for tokens and other
            inputs with the channels last, of any number of dimensions; -3 for images with and without a batch.
        native: use torch's fused kernel where there is one; False always computes the formula.
        fast: run a kernel compiled from the formula where it is faster (measured, by function, dtype, size and device); the results agree
            to a few units in the last place. It is compiled when it first runs, within a second, and cached on disk.
        gate: position of the gate in a packed input. "second" half: torch, JAX and Keras ``glu``, x-transformers, timm's
            GluMlp. "first" half: vLLM, TransformerEngine, Liger, timm's SwiGLUPacked. "interleaved", at even indices: gpt-oss.
        dtype: of the learned parameters; None for torch's default dtype.
        device: of the learned parameters.

    Raises:
        SpecError: the spec cannot be read.
        UnknownNameError: there is no such activation.
        LayerError: ``channels`` is needed and missing, or ``gate`` or ``channel_dim`` is not one of these.

    Example:
        >>> layer("relu")(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
        >>> [tuple(p.shape) for p in layer("prelu(weight=learned_per_channel)", channels=3).parameters()]
        [(3,)]
        >>> layer("prelu(weight=learned_per_channel)", channels=3, channel_dim=-1)(torch.ones(2, 7, 3)).shape
        torch.Size([2, 7, 3])
        >>> layer("sign/clipped")  # forward and backward chosen separately
        CustomGradientLayer(sign/clipped)
        >>> layer("reglu", gate="first")(torch.tensor([1.0, 2.0, 5.0, 7.0]))
        tensor([ 5., 14.])
    """
    spec = parse(spec)
    kind: Callable[..., ActivationLayer] = ActivationLayer
    is_moved = channel_dim != 1 and spec.needs_channels
    if is_moved:
        kind = partial(ChannelAxisLayer, channel_dim=channel_dim)
    if isinstance(spec.activation.tensor_code, OwnCode):
        kind = OwnLayer
    if spec.backward is not None:
        # Rules need SciPy's root finders: 0.2 s of CPU that layer("gelu") does without.
        from actlab.nn.layers.channel_axis_gradient import ChannelAxisGradientLayer  # noqa: PLC0415
        from actlab.nn.layers.custom_gradient import CustomGradientLayer  # noqa: PLC0415

        kind = partial(ChannelAxisGradientLayer, channel_dim=channel_dim) if is_moved else CustomGradientLayer
    return kind(spec, channels=channels, native=native, fast=fast, gate=gate, dtype=dtype, device=device)
