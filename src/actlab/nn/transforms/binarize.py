"""Replace Linear and Conv2d layers by binary ones, in place."""

from __future__ import annotations

from typing import cast

from torch import nn

from actlab.errors import SiteError
from actlab.functions.spec import Spec
from actlab.nn.layers.binary import BinaryConv2d, BinaryLinear, BinaryWeight, Magnitude
from actlab.nn.passes.model_argument import takes_model
from actlab.nn.sites.dry_run import Inputs
from actlab.nn.sites.trace import Step, trace

__all__ = ["binarise_"]


@takes_model
def binarise_(
    model: nn.Module,
    example_inputs: Inputs,
    *,
    weights: str | Spec = "sign/clipped",
    scale: Magnitude | None = None,
    keep_ends: bool = True,
) -> list[str]:
    """Replace the Linears and two-dimensional convolutions of a model by binary layers; their weights become the latent ones.

    Args:
        model: any module; changed in place.
        example_inputs: as for :func:`find`; the model is run once, to find the layers in execution order.
        weights: as in :class:`BinaryLinear`.
        scale: as in :class:`BinaryLinear`.
        keep_ends: leave the first and the last layer in execution order as they are, as most binary nets do.

    Returns:
        Paths of the replaced layers. Convolutions keep their zero padding.

    Raises:
        SiteError: there is no layer to replace, or the model raises on the inputs.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from actlab import layer
        >>> net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), layer("sign/clipped"), nn.Linear(8, 8), nn.Linear(8, 2))
        >>> binarise_(net, torch.zeros(2, 4))
        ['3']
    """
    steps = trace(model, example_inputs).steps
    ran = list(dict.fromkeys(step.module for step in steps if isinstance(step, Step)))  # each once, in order
    chosen = [module for module in (ran[1:-1] if keep_ends else ran) if type(module) in {nn.Linear, nn.Conv2d}]
    if not chosen:
        raise SiteError(
            f"{type(model).__name__} has no Linear or Conv2d to be binarised: {len(ran)} layers with weights ran"
            f"{', the first and the last of which stay float; pass keep_ends=False to binarise them too' if keep_ends else ''}."
        )
    if model in chosen:
        raise SiteError(
            f"The model is the layer itself, {model}; wrap it in nn.Sequential, so that it can be replaced."
        )
    new = {module: _binary(module, weights, scale) for module in chosen}  # all of them before the first change
    paths = [path for path, module in model.named_modules(remove_duplicate=False) if module in new]
    for holder in list(model.modules()):
        for name, child in list(holder.named_children()):
            if child in new:
                setattr(holder, name, new[child])
    return paths


def _binary(module: nn.Module, weights: str | Spec, scale: Magnitude | None) -> BinaryWeight:
    """Return a binary layer that shares the parameters of a float one."""
    new: BinaryWeight
    has_bias = module._parameters.get("bias") is not None
    if isinstance(module, nn.Conv2d):
        if module.padding_mode != "zeros":
            raise SiteError(
                f"A binary convolution pads with a number, and {module} with padding_mode={module.padding_mode!r}."
            )
        new = BinaryConv2d(
            module.in_channels,
            module.out_channels,
            cast("tuple[int, int]", module.kernel_size),
            cast("tuple[int, int]", module.stride),
            cast("tuple[int, int] | str", module.padding),
            cast("tuple[int, int]", module.dilation),
            module.groups,
            bias=has_bias,
            weights=weights,
            scale=scale,
        )
    elif isinstance(module, nn.Linear):
        new = BinaryLinear(module.in_features, module.out_features, has_bias, weights=weights, scale=scale)
    else:  # pragma: no cover  # binarise_ chooses these two
        raise SiteError(f"{type(module).__name__} has no binary counterpart.")
    for name, parameter in module._parameters.items():
        new._parameters[name] = parameter
    new.binariser.to(module.get_parameter("weight").device)
    return new.train(module.training)
