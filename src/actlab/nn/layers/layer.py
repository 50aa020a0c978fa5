"""Build the module of an activation from its spec."""

from __future__ import annotations

import torch

from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.nn.layers.activation_layer import ActivationLayer, Half
from actlab.nn.layers.custom_gradient import CustomGradientLayer

__all__ = ["layer"]


def layer(
    spec: str | Spec,
    *,
    channels: int | None = None,
    native: bool = True,
    fast: bool = False,
    gate: Half = "second",
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> ActivationLayer:
    """Return the activation as a module.

    Args:
        spec: such as ``"gelu"``, ``"leaky_relu(0.02)"``, ``"swish(beta=learned)"``, ``"prelu(weight=learned_per_channel)"``.
        channels: size of dimension 1; needed for parameters learned per channel.
        native: use torch's fused kernel where there is one; False always takes the formula.
        fast: run a kernel made from the formula where it is quicker (measured, by function, dtype, size and device); the numbers are the
            same to a few units in the last place. It is compiled when it first runs, within a second, and kept on disk.
        gate: where a gated function finds its gate in a packed input. "second" half: torch, JAX and Keras ``glu``, x-transformers, timm's
            GluMlp. "first" half: vLLM, TransformerEngine, Liger, timm's SwiGLUPacked. "interleaved", at even places: gpt-oss.
        dtype: of the learned parameters; torch's default dtype if not given.
        device: of the learned parameters.

    Raises:
        SpecError: the spec cannot be read.
        UnknownNameError: there is no such activation.
        LayerError: ``channels`` is needed and missing, or ``gate`` is none of these.

    Example:
        >>> layer("relu")(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
        >>> [tuple(p.shape) for p in layer("prelu(weight=learned_per_channel)", channels=3).parameters()]
        [(3,)]
        >>> layer("sign/clipped")  # forward and backward of one's own choice
        CustomGradientLayer(sign/clipped)
        >>> layer("reglu", gate="first")(torch.tensor([1.0, 2.0, 5.0, 7.0]))
        tensor([ 5., 14.])
    """
    spec = parse(spec)
    return _class_of(spec)(spec, channels=channels, native=native, fast=fast, gate=gate, dtype=dtype, device=device)


def _class_of(spec: Spec) -> type[ActivationLayer]:
    if spec.backward is None:
        return ActivationLayer
    return CustomGradientLayer
