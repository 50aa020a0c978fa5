"""Contexts in which the weights or the inputs of a model's layers are changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from actlab.evaluate.undefined_axis import UndefinedAxisError

__all__ = ["LAYERS", "changed_inputs", "changed_weights", "layers_with_weights", "other_weights", "pruned"]

#: Layers whose products are computed in the rounded numbers.
LAYERS: Final = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def layers_with_weights(model: nn.Module) -> dict[str, nn.Module]:
    """Return the linear and convolutional layers of a model by path, each once.

    Example:
        >>> list(layers_with_weights(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))))
        ['0', '2']
    """
    return {path: module for path, module in model.named_modules() if isinstance(module, LAYERS)}


def other_weights(model: nn.Module) -> tuple[float, tuple[str, ...]]:
    """Return the share of a model's matrices of weights that are in no linear or convolutional layer, and the classes that hold them.

    Example:
        >>> other_weights(nn.Sequential(nn.Embedding(6, 2), nn.Linear(2, 2)))
        (0.75, ('Embedding',))
    """
    own = {id(weight) for layer in layers_with_weights(model).values() for weight in layer.parameters()}
    matrices = [weight for weight in model.parameters() if weight.ndim > 1]
    others = {id(weight): weight.numel() for weight in matrices if id(weight) not in own}
    holders = {
        type(module).__name__
        for module in model.modules()
        if any(id(weight) in others for weight in module.parameters(recurse=False))
    }
    total = sum(weight.numel() for weight in matrices)
    return (sum(others.values()) / total if total else 0.0), tuple(sorted(holders))


@contextmanager
def changed_weights(model: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Put changed weights into every linear and convolutional layer inside the block; biases and all else stay.

    Args:
        model: as before afterwards.
        change: of a weight, shape (outputs, ...), returns another of this shape.

    Raises:
        UndefinedAxisError: a weight is computed from others in a way that is not known.

    Example:
        >>> net = nn.Linear(1, 1)
        >>> with changed_weights(net, torch.zeros_like):
        ...     net.weight.tolist()
        [[0.0]]
    """
    layers = layers_with_weights(model)
    computed = {path: layer for path, layer in layers.items() if "weight" not in layer._parameters}
    weights = list(dict.fromkeys(layer.weight for path, layer in layers.items() if path not in computed))
    before = [weight.detach().clone() for weight in weights]  # type: ignore[operator] # the layers' weights are tensors
    try:
        with torch.no_grad():
            for weight, own in zip(weights, before, strict=True):
                weight.copy_(change(own))  # type: ignore[operator] # as above
        with ExitStack() as stack:
            for path, layer in computed.items():
                stack.enter_context(_changed_last(path, layer, change))
            yield
    finally:
        with torch.no_grad():
            for weight, own in zip(weights, before, strict=True):
                weight.copy_(own)  # type: ignore[operator] # as above


class _Changed(nn.Module):
    """Last step of the computation of a weight."""

    def __init__(self, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.change = change

    def forward(self, weight: Tensor) -> Tensor:
        return self.change(weight)


@contextmanager
def _changed_last(path: str, layer: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Change a weight that is computed from parameters, as by weight normalisation or a mask, whenever it is computed.

    Raises:
        UndefinedAxisError: it is computed neither by torch.nn.utils.parametrize nor by a hook before each run.
    """
    if parametrize.is_parametrized(layer, "weight"):
        steps: Any = layer.parametrizations.weight  # type: ignore[union-attr] # a ModuleList
        steps.append(_Changed(change))
        try:
            yield
        finally:
            del steps[len(steps) - 1]
        return
    before = vars(layer).get("weight")
    if not isinstance(before, Tensor) or not layer._forward_pre_hooks:
        raise UndefinedAxisError(f"how the weights of the layer {path} are computed is not known")

    def change_again(module: nn.Module, _args: Any) -> None:
        module.weight = change(module.weight.detach())  # type: ignore[operator] # what the hook before put there

    hook = layer.register_forward_pre_hook(change_again)
    try:
        yield
    finally:
        hook.remove()
        layer.weight = before


@contextmanager
def changed_inputs(model: nn.Module, change: Callable[[str, Tensor], Tensor]) -> Iterator[None]:
    """Change the input of every linear and convolutional layer inside the block, which is what the activation before it gives.

    Attention that torch computes without calling its layers is not reached.

    Args:
        model: its hooks are removed afterwards.
        change: of (path of the layer, its input), returns another input.

    Example:
        >>> net = nn.Linear(2, 1, bias=False)
        >>> with changed_inputs(net, lambda path, x: 0 * x):
        ...     net(torch.ones(1, 2)).tolist()
        [[0.0]]
    """

    def hook_of(path: str) -> Callable[..., Any]:
        def before_layer(_module: nn.Module, args: tuple[Any, ...]) -> Any:
            if not args or not isinstance(args[0], Tensor):
                return None
            return (change(path, args[0]), *args[1:])

        return before_layer

    hooks = [layer.register_forward_pre_hook(hook_of(path)) for path, layer in layers_with_weights(model).items()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def pruned(model: nn.Module, share: float) -> Callable[[Tensor], Tensor]:
    """Return the change of weights that sets the smallest magnitudes of all layers together to zero.

    Args:
        model: gives the threshold, from all of its weights.
        share: of the weights that become zero.

    Example:
        >>> net = nn.Linear(4, 1)
        >>> _ = net.weight.data.copy_(torch.tensor([[1.0, -2.0, 3.0, -4.0]]))
        >>> pruned(net, 0.5)(net.weight.detach())
        tensor([[ 0., -0.,  3., -4.]])
    """
    layers = layers_with_weights(model).values()
    sizes = torch.cat([layer.weight.detach().abs().flatten() for layer in layers])  # type: ignore[operator] # weights are tensors
    count = round(share * sizes.numel())
    threshold = sizes.kthvalue(count).values if count else torch.tensor(-1.0)
    return lambda weight: weight * (weight.abs() > threshold)
