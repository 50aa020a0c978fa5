"""Layer that runs a user's own module or function as an activation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from actlab.errors import LayerError
from actlab.functions.spec import Spec
from actlab.nn.layers.activation_layer import ActivationLayer, graph_node, is_traced

__all__ = ["OwnCode", "OwnLayer"]


@dataclass(frozen=True, kw_only=True, eq=False)
class OwnCode:
    """Tensor code of an activation that is a user's module or function.

    Attributes:
        build: returns a new module.
        definition: text that changes when the code or the numbers in it change.
    """

    build: Callable[[], nn.Module]
    definition: str

    def __call__(self, x: Tensor, training: bool = False) -> Tensor:
        """Apply a new module."""
        output: Tensor = self.build().to(x.device).train(training)(x)
        return output


class OwnLayer(ActivationLayer):
    """An activation layer that holds a user's module; its parameters are trained and its buffers are kept as in any module."""

    def __init__(self, spec: Spec, *, dtype: torch.dtype | None = None, device: Any = None, **options: Any) -> None:
        super().__init__(spec, **options)
        code = spec.activation.tensor_code
        assert isinstance(code, OwnCode)  # noqa: S101 # the only one that layer() builds this class for
        self.own = code.build().to(device=device, dtype=dtype)

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        """Apply the user's module.

        Raises:
            LayerError: it returns no tensor of the shape of its input, or there are several inputs.
        """
        if is_traced(x):
            return cast("Tensor", graph_node(self, x, *others))
        output: Tensor = self.own(x, *others)
        if not isinstance(output, Tensor) or output.shape != x.shape:
            got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise LayerError(
                f"{self.spec} returned {got} for an input of shape {tuple(x.shape)}; an activation keeps the shape."
            )
        return output

    def reset_parameters(self) -> None:
        """Set the weights of the user's module as when it is built."""
        self.own.load_state_dict(self.spec.activation.tensor_code.build().state_dict())  # type: ignore[union-attr] # as in __init__
