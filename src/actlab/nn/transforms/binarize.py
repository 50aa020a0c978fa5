"""Replace Linear and Conv2d layers by binary ones, in place."""

from __future__ import annotations

from typing import cast

from torch import nn

from actlab.errors import SiteError
from actlab.functions.spec import Spec
from actlab.nn.layers.binary import BinaryConv2d, BinaryLinear, BinaryWeight, Magnitude
from actlab.nn.sites.dry_run import Inputs
from actlab.nn.sites.trace import Step, trace

__all__ = ["binarise_"]


def binarise_(
    model: nn.Module,
    example_inputs: Inputs,
    *,
    weights: str | Spec = "sign/clipped",
    scale: Magnitude | None = None,
    keep_ends: bool = True,
) -> list[str]:
    """Put binary layers in the places of the model's Linears and two-dimensional convolutions; their weights become the latent ones.

    Args:
        model: any module; changed in place.
        example_inputs: as for :func:`find`; the model is run once, and layers count in the order in which they run.
        weights: as in :class:`BinaryLinear`.
        scale: as in :class:`BinaryLinear`.
        keep_ends: leave the first and the last layer that run as they are, as most binary nets do.

    Returns:
        Paths of the layers that were replaced. Convolutions keep their padding with zeros.

    Raises:
        SiteError: no layer is left to be replaced, or the model does not run on the inputs.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from actlab import layer
        >>> net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), layer("sign/clipped"), nn.Linear(8, 8), nn.Linear(8, 2))
        >>> binarise_(net, torch.zeros(2, 4))
        ['3']
    """
    ran = list(
        dict.fromkeys(step.module for step in trace(model, example_inputs).steps if isinstance(step, Step))
    )  # each once, in order
    chosen = [module for module in (ran[1:-1] if keep_ends else ran) if type(module) in {nn.Linear, nn.Conv2d}]
    if not chosen:
        raise SiteError(
            f"{type(model).__name__} has no Linear or Conv2d to be binarised: {len(ran)} layers with weights ran"
            f"{', the first and the last of which are kept; pass keep_ends=False to take them too' if keep_ends else ''}."
        )
    if model in chosen:
        raise SiteError(
            f"The model is the layer itself, {model}; wrap it in nn.Sequential, so that another can stand in its place."
        )
    made = {module: _binary(module, weights, scale) for module in chosen}  # all, before the first change
    paths = [path for path, module in model.named_modules(remove_duplicate=False) if module in made]
    for holder in list(model.modules()):
        for name, child in list(holder.named_children()):
            if child in made:
                setattr(holder, name, made[child])
    return paths


def _binary(module: nn.Module, weights: str | Spec, scale: Magnitude | None) -> BinaryWeight:
    """Return the binary layer with the same parameters, which are shared with the old one."""
    made: BinaryWeight
    has_bias = module._parameters.get("bias") is not None
    if isinstance(module, nn.Conv2d):
        if module.padding_mode != "zeros":
            raise SiteError(
                f"A binary convolution pads with a number, and {module} with padding_mode={module.padding_mode!r}."
            )
        made = BinaryConv2d(
            module.in_channels,
            module.out_channels,
            cast("tuple[int, int]", module.kernel_size),
            cast("tuple[int, int]", module.stride),
            cast("tuple[int, int] | str", module.padding),
            cast("tuple[int, int]", module.dilation),
            module.groups,
            has_bias,
            weights=weights,
            scale=scale,
        )
    elif isinstance(module, nn.Linear):
        made = BinaryLinear(module.in_features, module.out_features, has_bias, weights=weights, scale=scale)
    else:  # pragma: no cover  # binarise_ chooses these two
        raise SiteError(f"{type(module).__name__} has no binary counterpart.")
    for name, parameter in module._parameters.items():
        made._parameters[name] = parameter
    made.binariser.to(module.get_parameter("weight").device)
    return made.train(module.training)
