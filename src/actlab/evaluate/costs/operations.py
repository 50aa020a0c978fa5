"""Floating point operations and memory traffic of a model's forward pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from actlab.nn.sites.dry_run import Inputs, copy_inputs, no_side_effects, run

__all__ = ["Operations", "count_operations"]


class Operations(NamedTuple):
    """What a forward pass does.

    Attributes:
        flops: floating point operations of matrix products, convolutions and attention, two for a multiplication with an addition.
        bytes_moved: bytes of the inputs and outputs of all kernels, each counted whenever a kernel reads or writes it.
    """

    flops: int
    bytes_moved: int


#: Operations that make a tensor and move nothing.
_NO_KERNEL: Final = frozenset(
    {torch.ops.aten.detach.default, torch.ops.aten.empty.memory_format, torch.ops.aten._unsafe_view.default}
)


class _Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch has no annotation for its subclasses
    """Counts the bytes of the tensors that kernels read and write; views move nothing."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # as above
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not (func.is_view or func in _NO_KERNEL):
            tensors = (value for value in tree_leaves((args, kwargs or {}, result)) if isinstance(value, Tensor))
            self.bytes += sum(value.numel() * value.element_size() for value in tensors)
        return result


def count_operations(model: nn.Module, inputs: Inputs) -> Operations:
    """Count the operations of a forward pass in evaluation mode; the model and the generators are as before.

    Args:
        model: any module.
        inputs: a batch; counts are those of the batch.

    Example:
        >>> count_operations(nn.Linear(10, 5), torch.zeros(2, 10))
        Operations(flops=200, bytes_moved=340)
    """
    counter, traffic = FlopCounterMode(display=False), _Traffic()
    with no_side_effects(model):
        arguments = copy_inputs(inputs)
        with counter:
            run(model, arguments)
        with traffic:
            run(model, arguments)
    return Operations(int(counter.get_total_flops()), traffic.bytes)
