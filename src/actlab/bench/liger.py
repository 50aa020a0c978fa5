"""Liger: another library's GPU kernels for three of our functions, as a rival where it is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from torch import Tensor

__all__ = ["FUNCTIONS", "function", "is_installed", "packed"]

FUNCTIONS: Final = {  # ours to theirs: the module, and the autograd function in it
    "swiglu": ("liger_kernel.ops.swiglu", "LigerSiLUMulFunction"),
    "geglu_tanh": ("liger_kernel.ops.geglu", "LigerGELUMulFunction"),
    "squared_relu": ("liger_kernel.ops.relu_squared", "LigerReLUSquaredFunction"),
}


def is_installed() -> bool:
    """Whether the package is here; nothing of it is imported.

    Example:
        >>> is_installed() == (importlib.util.find_spec("liger_kernel") is not None)
        True
    """
    return importlib.util.find_spec("liger_kernel") is not None


def function(name: str) -> Callable[..., Tensor] | None:
    """Return Liger's function of that name of ours, of gate and value or of the input; None where it has none or is not installed.

    Its backward pass writes the gradients over what the forward pass was given.

    Example:
        >>> function("gelu") is None
        True
    """
    if name not in FUNCTIONS or not is_installed():
        return None
    module, theirs = FUNCTIONS[name]
    apply: Any = getattr(import_module(module), theirs).apply
    return apply  # type: ignore[no-any-return]  # another library's, untyped


def packed(name: str) -> Callable[[Tensor], Tensor] | None:
    """Return the same as a function of the tensor that our layers take: gated ones packed, the gate in the second half.

    The halves are cut from one tensor, and Liger copies them to have them contiguous: that is what a packed input costs there.
    """
    theirs = function(name)
    if theirs is None or name == "squared_relu":
        return theirs

    def cut(x: Tensor) -> Tensor:
        value, gate = x.chunk(2, dim=-1)
        return theirs(gate, value)

    return cut
