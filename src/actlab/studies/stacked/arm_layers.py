"""Modules that run the activations of each arm on that arm's models in a stack."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from math import inf
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.func import functional_call

from actlab.codegen.cpu.grouped_kernel import GroupedKernel
from actlab.codegen.dispatch.route import Route
from actlab.codegen.kernel_inputs import check_spec, learned_names
from actlab.errors import KernelError
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.recognition.torch_activations import describe_module
from actlab.studies.stacked.compiled.chain_program import ActivationForm
from actlab.studies.stacked.compiled.layer_chain import StackedActivation
from actlab.studies.stacked.stacked_functions import evenly
from actlab.studies.stacked.stacked_tensor import StackedTensor, StackError, raw, vmapped

__all__ = ["ArmLayers", "OneArm", "can_differ", "is_compiled"]

# torch's modules that act on each element and have no parameters.
_ELEMENTWISE: Final = frozenset({
    nn.Identity, nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.ELU, nn.SELU, nn.CELU, nn.Mish, nn.LeakyReLU, nn.Hardtanh, nn.Hardswish,
    nn.Hardsigmoid, nn.Hardshrink, nn.Softshrink, nn.Softplus, nn.Softsign, nn.Tanh, nn.Tanhshrink, nn.Sigmoid, nn.LogSigmoid, nn.Threshold,
})  # fmt: skip
_COMPILED: Final = {("cpu", torch.float32), ("cpu", torch.float64)}
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
        together: Tensor = vmapped(
            lambda parameters, *given: functional_call(layer, parameters, given), dict(self.parameters), *inputs
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


class CompiledArms:
    """Elementwise activations of adjacent arms, which compiled code applies in one call.

    Each row of memory is divided between the arms. Numbers of a model do not depend on what else is in a row.

    Args:
        layers: one of each arm.
        sizes: models of each arm.
    """

    def __init__(self, layers: Sequence[nn.Module], sizes: Sequence[int]) -> None:
        self._layers, self._sizes = list(layers), list(sizes)
        specs = tuple(spec for layer in layers if (spec := _compiled_spec(layer)) is not None)
        #: For chains of layers.
        self.layer = StackedActivation(form=ActivationForm(specs=specs, sizes=tuple(sizes)), plain=self)
        self._routes: dict[int, Route] = {}

    def __call__(self, x: Tensor) -> Tensor:
        """Apply the layers to an input of shape (models, ...); the output has its order in memory."""
        if x.is_contiguous():
            return self._apply(x, 0)
        order = sorted(range(x.dim()), key=x.stride, reverse=True)
        dense = x.permute(order)
        if not dense.is_contiguous():
            return self._apply(x.contiguous(), 0)
        return self._apply(dense, order.index(0)).permute(sorted(range(x.dim()), key=order.__getitem__))

    def _apply(self, x: Tensor, dim: int) -> Tensor:
        """Apply the layers to a contiguous tensor; ``dim`` is that of the models."""
        if dim not in self._routes:
            self._routes[dim] = self._route(dim)
        route = self._routes[dim]
        return route(x) if route.takes(x, ()) else route.plain(x)

    def _route(self, dim: int) -> Route:
        def plain(x: Tensor) -> Tensor:
            parts = zip(self._layers, torch.split(x, self._sizes, dim), strict=True)
            return torch.cat([evenly(layer, part) for layer, part in parts], dim)

        def kernel(_: str) -> GroupedKernel:
            return GroupedKernel(self.layer.form.specs, dim, self._sizes)

        return Route(plain, kernel, lambda *case: 1 if case[:2] in _COMPILED else inf, any_order=False)


def _compiled_spec(layer: nn.Module) -> Spec | None:
    """Return the function of a layer that compiled code can apply, None for another layer."""
    if type(layer) in _ELEMENTWISE:
        running = describe_module(layer)
        spec = None if running is None or running.spec is None or running.inplace else parse(running.spec)
    else:
        spec = layer.spec if type(layer) is ActivationLayer else None
    if spec is None or spec.activation.kind != "elementwise" or learned_names(spec):
        return None
    try:
        check_spec(spec)
    except (TypeError, KernelError):  # tensor code, or a gradient rule
        return None
    return spec


def is_compiled(layer: nn.Module) -> bool:
    """Return whether compiled code applies a layer, whose numbers differ by rounding from those of torch.

    Example:
        >>> is_compiled(nn.ReLU()), is_compiled(nn.Softmax(-1))
        (True, False)
    """
    return _compiled_spec(layer) is not None


class ArmLayers(nn.Module):
    """The layers of all arms at one site.

    Args:
        arms: in the order of the models.
    """

    def __init__(self, arms: Sequence[OneArm]) -> None:
        super().__init__()
        self.arms = list(arms)
        self._parts: list[Callable[..., Tensor]] = []
        self._sizes: list[int] = []
        for is_compiled, group in groupby(arms, key=lambda arm: _compiled_spec(arm.layers[0]) is not None):
            adjacent = list(group)
            sizes = [len(arm.layers) for arm in adjacent]
            self._parts += [CompiledArms([arm.layers[0] for arm in adjacent], sizes)] if is_compiled else adjacent
            self._sizes += [sum(sizes)] if is_compiled else sizes

    def train(self, mode: bool = True) -> ArmLayers:
        """Set training or evaluation mode of the layers."""
        for arm in self.arms:
            arm.set_mode(mode)
        return super().train(mode)

    def forward(self, *inputs: Any) -> StackedTensor:
        """Apply the layer of each arm to its models."""
        if not all(isinstance(x, StackedTensor) for x in inputs):
            raise StackError("an activation has an input that is not a tensor of all models")
        if len(self._parts) == 1:
            part = self._parts[0]
            if isinstance(part, CompiledArms) and len(inputs) == 1 and (y := inputs[0].through(part.layer)) is not None:
                return y  # type: ignore[no-any-return] # inputs are StackedTensors
            return StackedTensor(self._parts[0](*map(raw, inputs)))
        parts = zip(*(raw(x).split(self._sizes) for x in inputs), strict=True)
        return StackedTensor(torch.cat([part(*own) for part, own in zip(self._parts, parts, strict=True)]))
