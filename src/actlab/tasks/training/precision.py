"""Precision of a training's forward passes, and their compilation."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Literal

import torch
from torch import nn

from actlab.errors import TaskError

__all__ = ["Precision", "check_compiler", "compiled"]

_DTYPES: Final = {"bf16": torch.bfloat16, "fp16": torch.float16}
# The scaler begins at 2 ** 16, and halves its factor whenever a gradient is not finite. Below this, no scale makes them finite.
_SMALLEST_SCALE: Final = 2.0**-24


class Precision:
    """Automatic mixed precision of a training: forward pass and loss under autocast; weights, and evaluations, in their own dtype.

    Args:
        kind: None for the dtype of the model, "bf16", or "fp16", which has a gradient scaler.
        device: torch device of the training.

    Example:
        >>> with Precision("bf16").forward():
        ...     nn.Linear(2, 2)(torch.ones(1, 2)).dtype
        torch.bfloat16
    """

    def __init__(self, kind: Literal["bf16", "fp16"] | None, device: str = "cpu") -> None:
        self._type = torch.device(device).type
        self._dtype = None if kind is None else _DTYPES[kind]
        #: Gradient scaler of "fp16", else None.
        self.scaler = torch.amp.GradScaler(self._type) if kind == "fp16" else None

    def forward(self) -> AbstractContextManager[Any]:
        """Return the context of a forward pass and its loss."""
        return nullcontext() if self._dtype is None else torch.autocast(self._type, dtype=self._dtype)

    def overflow(self) -> str | None:
        """Return in words that the gradients are not finite at any scale of the loss, or None."""
        if self.scaler is None or self.scaler.get_scale() >= _SMALLEST_SCALE:
            return None
        return "the gradients are not finite at any scale of the loss"


def compiled(model: nn.Module, *, dynamic: bool | None) -> nn.Module:
    """Return the model with its forward pass compiled by ``torch.compile``; parameters and buffers are those of the model.

    What earlier trials of this process have compiled is forgotten, so that a trial does not depend on them: it decides what is compiled
    with dynamic shapes, and the ninth version of a function would no longer be compiled.

    Args:
        model: with its activations swapped.
        dynamic: whether shapes may change between batches; False to compile for each shape, None to find out.
    """
    torch.compiler.reset()
    return torch.compile(model, dynamic=dynamic)  # type: ignore[return-value] # of a module, it is one


def check_compiler(device: str, of: str) -> None:
    """Check that code for a device can be compiled.

    Raises:
        TaskError: on the CPU, there is no C++ compiler.
    """
    if torch.device(device).type != "cpu":
        return
    name = os.environ.get("CXX") or {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    if shutil.which(name.split()[0]) is None:
        raise TaskError(
            f"compile of the task {of} is True, and torch.compile needs a C++ compiler, which was not found: {name}. "
            "Install one (Debian, Ubuntu: apt install g++), name another in the environment variable CXX, or remove compile."
        )
