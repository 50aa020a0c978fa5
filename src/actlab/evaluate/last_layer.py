"""Inputs of a model's last linear layer, recorded while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

__all__ = ["recorded_features"]

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@contextmanager
def recorded_features(model: nn.Module) -> Iterator[list[Tensor]]:
    """Record the inputs of the layer with weights that runs last, flattened to (n, features), for every call of the model.

    Args:
        model: its hooks are removed afterwards.

    Yields:
        A list that gets one tensor for each call of the model in which such a layer ran.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
        >>> with recorded_features(net) as features:
        ...     _ = net(torch.zeros(5, 3))
        >>> features[0].shape
        torch.Size([5, 4])
    """
    found: list[Tensor] = []
    latest: list[Tensor] = []

    def before_layer(_module: nn.Module, args: tuple[object, ...]) -> None:
        if args and isinstance(args[0], Tensor):
            latest[:] = [args[0].detach()]

    def after_model(_module: nn.Module, _args: object, _output: object) -> None:
        found.extend(tensor.flatten(1) for tensor in latest if tensor.ndim > 1)
        latest.clear()

    hooks = [layer.register_forward_pre_hook(before_layer) for layer in model.modules() if isinstance(layer, _LAYERS)]
    hooks.append(model.register_forward_hook(after_model))
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
