"""Liger-Kernel's SwiGLU, tanh GEGLU and squared ReLU by name, for comparison; None if not installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from torch import Tensor

__all__ = ["FUNCTIONS", "function", "is_installed", "packed"]

FUNCTIONS: Final = {  # by ActLab's name: Liger's module, and the autograd function in it
    "swiglu": ("liger_kernel.ops.swiglu", "LigerSiLUMulFunction"),
    "geglu_tanh": ("liger_kernel.ops.geglu", "LigerGELUMulFunction"),
    "squared_relu": ("liger_kernel.ops.relu_squared", "LigerReLUSquaredFunction"),
}


def is_installed() -> bool:
    """Whether the package is installed; does not import it.

    Example:
        >>> is_installed() == (importlib.util.find_spec("liger_kernel") is not None)
        True
    """
    return importlib.util.find_spec("liger_kernel") is not None


def function(name: str) -> Callable[..., Tensor] | None:
    """Return Liger's function for an activation, of (gate, value) or of the input; None if it has none or is not installed.

    Its backward pass overwrites the inputs of the forward pass with their gradients.

    Example:
        >>> function("gelu") is None
        True
    """
    if name not in FUNCTIONS or not is_installed():
        return None
    module, autograd_function = FUNCTIONS[name]
    apply: Any = getattr(import_module(module), autograd_function).apply
    return apply  # type: ignore[no-any-return] # Liger-Kernel has no annotations


def packed(name: str) -> Callable[[Tensor], Tensor] | None:
    """Return Liger's function of one tensor, as ActLab's layers take it: gated ones packed, with the gate in the second half.

    Liger copies the two halves to make them contiguous; that is its cost of a packed input.
    """
    apply = function(name)
    if apply is None or name == "squared_relu":
        return apply

    def apply_packed(x: Tensor) -> Tensor:
        value, gate = x.chunk(2, dim=-1)
        return apply(gate, value)

    return apply_packed
