"""Modules that run the activations of each arm on that arm's models in a stack."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.func import functional_call

from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.studies.stacked.stacked_functions import evenly
from actlab.studies.stacked.stacked_tensor import StackedTensor, StackError, raw

__all__ = ["ArmLayers", "OneArm", "can_differ"]

# torch's modules that act on each element and have no parameters.
_ELEMENTWISE: Final = frozenset({
    nn.Identity, nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.ELU, nn.SELU, nn.CELU, nn.Mish, nn.LeakyReLU, nn.Hardtanh, nn.Hardswish,
    nn.Hardsigmoid, nn.Hardshrink, nn.Softshrink, nn.Softplus, nn.Softsign, nn.Tanh, nn.Tanhshrink, nn.Sigmoid, nn.LogSigmoid, nn.Threshold,
})  # fmt: skip
_TOLERANCE: Final = {torch.float64: 1e-12, torch.float32: 1e-5}


def can_differ(module: nn.Module) -> bool:
    """Return whether models of a stack may have different modules here, as each arm's runs on its own.

    Example:
        >>> can_differ(nn.ReLU()), can_differ(nn.Linear(2, 2))
        (True, False)
    """
    own = type(module).__module__ == nn.ReLU.__module__ and not isinstance(module, nn.MultiheadAttention)
    return isinstance(module, ActivationLayer | nn.Identity) or own


@dataclass(kw_only=True, eq=False)
class OneArm:
    """The layers of the models of one arm, which are adjacent in the stack.

    Attributes:
        layers: of each model.
        parameters: of all of them by name, each of shape (models, ...).
    """

    layers: Sequence[nn.Module]
    parameters: Mapping[str, Tensor]
    _run: Callable[..., Tensor] | None = field(default=None, repr=False)

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Apply the layers to inputs of shape (models, ...)."""
        if self._run is None:
            self._run = self._fastest(inputs)
        return self._run(*inputs)

    def set_mode(self, training: bool) -> None:
        """Set training or evaluation mode."""
        for layer in self.layers:
            layer.train(training)

    def _fastest(self, inputs: tuple[Tensor, ...]) -> Callable[..., Tensor]:
        """Return the fastest way of those that give the values and gradients of single layers."""
        layer = self.layers[0]
        whole = not self.parameters and not list(layer.buffers()) and len(inputs) == 1
        if whole and type(layer) in _ELEMENTWISE:
            return self._as_one_tensor
        is_elementwise = isinstance(layer, ActivationLayer) and layer.spec.activation.kind == "elementwise"
        if whole and is_elementwise and type(layer) is ActivationLayer:
            return self._as_one_tensor
        for way in (self._as_one_tensor if whole and is_elementwise else None, self._by_vmap):
            with suppress(Exception):  # what cannot be run in one call is run model by model
                if way is not None and _agree(way, self._one_by_one, inputs, list(self.parameters.values())):
                    return way
        return self._one_by_one

    def _as_one_tensor(self, x: Tensor) -> Tensor:
        return evenly(self.layers[0], x)

    def _by_vmap(self, *inputs: Tensor) -> Tensor:
        layer = self.layers[0]
        together: Tensor = torch.vmap(lambda parameters, *given: functional_call(layer, parameters, given))(
            dict(self.parameters), *inputs
        )
        return together

    def _one_by_one(self, *inputs: Tensor) -> Tensor:
        results = []
        for model, layer in enumerate(self.layers):
            own = {name: parameter[model] for name, parameter in self.parameters.items()}
            results.append(functional_call(layer, own, tuple(x[model] for x in inputs)))
        return torch.stack(results)


def _agree(
    way: Callable[..., Tensor], single: Callable[..., Tensor], inputs: tuple[Tensor, ...], parameters: list[Tensor]
) -> bool:
    """Return whether two ways have the same values and gradients at the inputs."""
    results = []
    for run in (way, single):
        with torch.enable_grad():
            own = [x.detach().requires_grad_() for x in inputs]
            y = run(*own)
            wanted = [*own, *(p for p in parameters if p.requires_grad)]
            gradients = torch.autograd.grad(y.square().sum(), wanted, allow_unused=True)
        results.append([y.detach(), *gradients])
    return all(map(_close, *results))


def _close(a: Tensor | None, b: Tensor | None) -> bool:
    if a is None or b is None:
        return a is b
    tolerance = _TOLERANCE.get(a.dtype, 1e-5)
    return a.shape == b.shape and torch.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)


class ArmLayers(nn.Module):
    """The layers of all arms at one site.

    Args:
        arms: in the order of the models.
    """

    def __init__(self, arms: Sequence[OneArm]) -> None:
        super().__init__()
        self.arms = list(arms)
        self._sizes = [len(arm.layers) for arm in arms]

    def train(self, mode: bool = True) -> ArmLayers:
        """Set training or evaluation mode of the layers."""
        for arm in self.arms:
            arm.set_mode(mode)
        return super().train(mode)

    def forward(self, *inputs: Any) -> StackedTensor:
        """Apply the layer of each arm to its models."""
        if not all(isinstance(x, StackedTensor) for x in inputs):
            raise StackError("an activation has an input that is not a tensor of all models")
        parts = [raw(x).split(self._sizes) for x in inputs]
        results = [arm(*own) for arm, own in zip(self.arms, zip(*parts, strict=True), strict=True)]
        return StackedTensor(results[0] if len(results) == 1 else torch.cat(results))
