"""Insert a BatchNorm before every binary activation, in place."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from actlab.errors import SiteError
from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.layers.binary import binary_values
from actlab.nn.passes.model_argument import takes_model
from actlab.nn.sites.dry_run import Inputs, copy_inputs, no_side_effects, run
from actlab.nn.transforms.parallel_training import check_parameters_stay

__all__ = ["NORMS", "insert_norms_"]

NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.modules.instancenorm._InstanceNorm, nn.RMSNorm)

_BY_DIMENSIONS: dict[int, type[nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d]] = {
    2: nn.BatchNorm1d,
    3: nn.BatchNorm1d,
    4: nn.BatchNorm2d,
    5: nn.BatchNorm3d,
}


@takes_model
def insert_norms_(model: nn.Module, example_inputs: Inputs, *, momentum: float = 0.1, affine: bool = True) -> list[str]:
    """Insert a BatchNorm right before every binary activation that has none, as all published binary nets have.

    An activation ``act`` is replaced by ``nn.Sequential(norm, act)``, which works in any container.

    Args:
        model: any module; changed in place.
        example_inputs: as for :func:`find`; the model is run once.
        momentum: of the BatchNorms, in torch's sense: the weight of the newest batch.
        affine: whether they learn a scale and a shift; the shift is then the threshold of its unit.

    Returns:
        Paths of the activations that got a norm.

    Raises:
        SiteError: an activation runs in several places with different channels, its input has no channels, or the model was wrapped for
            several ranks before.

    Example:
        >>> from actlab.nn.layers.layer import layer
        >>> net = nn.Sequential(nn.Linear(4, 8), layer("step/rect"), nn.Linear(8, 2))
        >>> insert_norms_(net, torch.zeros(3, 4))
        ['1']
        >>> [type(part).__name__ for part in net[1]]
        ['BatchNorm1d', 'CustomGradientLayer']
    """
    bare = _without_norm(model, example_inputs)
    new = {act: _norm_for(model, act, shapes, momentum, affine) for act, shapes in bare.items()}
    check_parameters_stay(model, new, new.values())
    paths = [path for path, module in model.named_modules(remove_duplicate=False) if module in new]
    for holder in list(model.modules()):
        for name, child in list(holder.named_children()):
            if isinstance(child, ActivationLayer) and child in new:
                setattr(holder, name, new[child])
    return paths


def _without_norm(model: nn.Module, example_inputs: Inputs) -> dict[ActivationLayer, set[tuple[int, int]]]:
    """Return the binary activations whose input is not a norm's output, with dimensions and channels of their inputs."""
    normed: list[Tensor] = []  # holds them, so that no other tensor gets their identity
    bare: dict[ActivationLayer, set[tuple[int, int]]] = {}

    def on_norm(_: nn.Module, __: tuple[Tensor, ...], result: Tensor) -> None:
        normed.append(result)

    def on_activation(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        if isinstance(module, ActivationLayer) and not any(args[0] is tensor for tensor in normed):
            shape = args[0].shape
            bare.setdefault(module, set()).add((len(shape), shape[1] if len(shape) > 1 else 0))

    hooks: list[RemovableHandle] = []
    with no_side_effects(model):
        for module in model.modules():
            if isinstance(module, NORMS):
                hooks.append(module.register_forward_hook(on_norm))
            elif isinstance(module, ActivationLayer) and binary_values(module.spec) is not None:
                hooks.append(module.register_forward_pre_hook(on_activation))
        try:
            run(model, copy_inputs(example_inputs))
        finally:
            for hook in hooks:
                hook.remove()
    return bare


def _norm_for(
    model: nn.Module, act: ActivationLayer, shapes: set[tuple[int, int]], momentum: float, affine: bool
) -> nn.Sequential:
    path = next(path for path, module in model.named_modules() if module is act)
    if path == "":
        raise SiteError(
            "The model is the activation itself; wrap it in nn.Sequential, so that a norm can be put before it."
        )
    if len(shapes) > 1 or not {dimensions for dimensions, _ in shapes} <= _BY_DIMENSIONS.keys():
        described = ", ".join(f"{d} dimensions with {c} channels" for d, c in sorted(shapes))
        raise SiteError(
            f"The activation at {path} gets inputs of {described}; a BatchNorm needs one number of channels in dimension 1 of 2 to 5. "
            "Use a layer of its own for each place."
        )
    ((dimensions, channels),) = shapes
    like = next(model.parameters(), torch.empty(()))
    norm = _BY_DIMENSIONS[dimensions](channels, momentum=momentum, affine=affine, device=like.device, dtype=like.dtype)
    return nn.Sequential(norm, act).train(act.training)
