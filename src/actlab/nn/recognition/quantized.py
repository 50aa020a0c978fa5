"""Reasons why modules of a fused, prepared or quantized model cannot be replaced by a layer.

``fuse_modules`` makes one module of a convolution and its ReLU, which ``convert`` turns into a kernel that computes ReLU, whatever stands
there by then. Other activations are converted by their class, so that a layer in their place gets quantized tensors. Dynamically quantized
layers take and return floats, and the functions between them can be replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from torch import nn

__all__ = ["quantization_reasons"]

_FUSED: Final = ("torch.ao.nn.intrinsic.",)
_OBSERVERS: Final = ("torch.ao.quantization.observer", "torch.ao.quantization.fake_quantize")
_CONVERTED: Final = ("torch.ao.nn.quantized.", "torch.ao.nn.intrinsic.quantized.")
_DYNAMIC: Final = (
    "torch.ao.nn.quantized.dynamic.",
    "torch.ao.nn.intrinsic.quantized.dynamic.",
    "torch.ao.nn.quantized.modules.linear.LinearPackedParams",  # holds the weights of dynamic layers as well
)

_IN_FUSED: Final = (
    "torch fused it with the layer before it for quantization, and convert() computes the old function; "
    "swap before fuse_modules, with functions that convert() knows"
)
_PREPARED: Final = (
    "the net is prepared for quantization, and convert() knows torch's own activations only; swap in the float net"
)
_QUANTIZED: Final = "the net is quantized, and the function may get quantized tensors; swap in the float net"


def quantization_reasons(model: nn.Module) -> dict[int, tuple[str, bool]]:
    """Return why no layer can be put into modules of a model, by their ``id``, and whether a run on floats refutes it.

    Example:
        >>> import torch
        >>> fused = torch.ao.nn.intrinsic.LinearReLU(nn.Linear(2, 2), nn.ReLU())
        >>> [reason.partition(",")[0] for reason, _ in quantization_reasons(fused).values()][-1]
        'torch fused it with the layer before it for quantization'
    """
    modules = {id(module): set(_torch_classes(module)) for module in model.modules()}
    reason: tuple[str, bool] | None = None
    if any(_begins(names, _OBSERVERS) for names in modules.values()):
        reason = (_PREPARED, False)
    elif any(_begins(names, _CONVERTED) and not _begins(names, _DYNAMIC) for names in modules.values()):
        reason = (_QUANTIZED, True)
    reasons = {key: reason for key in modules if reason}
    fused = (module for module in model.modules() if _begins(modules[id(module)], _FUSED))
    return reasons | {id(part): (_IN_FUSED, False) for module in fused for part in module.modules()}


def _begins(names: set[str], prefixes: tuple[str, ...]) -> bool:
    return any(name.startswith(prefixes) for name in names)


def _torch_classes(module: nn.Module) -> Iterator[str]:
    """Yield the names of the classes of torch.ao that a module derives from."""
    return (f"{c.__module__}.{c.__qualname__}" for c in type(module).__mro__ if c.__module__.startswith("torch.ao."))
