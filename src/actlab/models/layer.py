"""The layer: an activation as an ``nn.Module``.

Uses torch's fused native where there is one, the formula's reading elsewhere. Learned parameters are ``nn.Parameter``s under the names
of the spec, so that ``state_dict`` reads as the spec does.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from actlab.errors import LayerError
from actlab.functions.activation import Learned
from actlab.functions.spec import Spec, parse
from actlab.readings import torch as reading

__all__ = ["ActivationLayer", "layer"]


class ActivationLayer(nn.Module):
    """An activation as a module. Build it with :func:`layer`.

    Attributes:
        spec: what it computes.
    """

    def __init__(
        self,
        spec: Spec,
        *,
        channels: int | None = None,
        native: bool = True,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.channels = channels
        self.native = native
        for name, value in spec.assigned:
            if isinstance(value, Learned):
                initial = self._initial(name, value)
                self.register_parameter(name, nn.Parameter(initial.to(device, dtype or torch.get_default_dtype())))
        self._bind()

    def _initial(self, name: str, value: Learned) -> Tensor:
        initial = float(value.initial or 0.0)
        if value.scope == "layer":
            # torch's own PReLU keeps its one weight in shape (1,); so do we, and its checkpoints load.
            return torch.full((1,) if self.spec.activation.torch else (), initial, dtype=torch.float64)
        if self.channels is None:
            raise LayerError(
                f"{self.spec} learns one {name} per channel and needs their number: layer({str(self.spec)!r}, channels=64), "
                "or example_inputs where a model is swapped."
            )
        return torch.full((self.channels,), initial, dtype=torch.float64)

    def _bind(self) -> None:
        """Look the function up again: it is printed code and does not travel through pickle or deepcopy."""
        record = self.spec.activation
        fused = reading.native(self.spec) if self.native else None
        self._learned = [name for name, value in self.spec.assigned if isinstance(value, Learned)]
        self._packed = record.kind == "gated" and fused is None
        if fused is not None or record.expression is None:
            self._function: Any = fused or record.tensor_code
        else:
            numbers = tuple((name, value) for name, value in self.spec.assigned if not isinstance(value, Learned))
            self._function = reading.function(record, numbers)
        self._native_learned = fused is not None
        self._tensor_code = record.expression is None

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_function"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._bind()

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation.

        Args:
            x: floating tensor of any shape; gated functions take value and gate packed in the last dimension, ``(..., 2n)``,
                value first, as ``torch.nn.GLU`` does.

        Returns:
            Tensor of the same shape and dtype; ``(..., n)`` for gated functions.

        Raises:
            LayerError: an integer or complex input, an odd last dimension, or channels that do not fit.
        """
        if not x.is_floating_point():
            raise LayerError(f"{self.spec} computes on floating tensors, got {x.dtype}; convert with x.float() first.")
        if self._tensor_code:
            return self._apply_tensor_code(x)
        learned = [self._shaped(getattr(self, name), x) for name in self._learned]
        if self._packed:
            value, gate = self._halves(x)
            return cast("Tensor", self._function(gate, value, *learned))
        return cast("Tensor", self._function(x, *learned))

    def _apply_tensor_code(self, x: Tensor) -> Tensor:
        options = {"training": self.training} if self.spec.activation.kind == "stochastic" else {}
        return cast("Tensor", self._function(x, **self.spec.numbers, **options))

    def _halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.dim() == 0 or x.shape[-1] % 2:
            raise LayerError(
                f"{self.spec} takes value and gate packed in an even last dimension, got shape {tuple(x.shape)}."
            )
        value, gate = x.chunk(2, dim=-1)
        return value, gate

    def _shaped(self, parameter: Tensor, x: Tensor) -> Tensor:
        if parameter.dim() == 0 or parameter.shape[0] == 1:
            return parameter.to(x.dtype) if self._native_learned else parameter
        if x.dim() < 2 or x.shape[1] != parameter.shape[0]:
            raise LayerError(
                f"{self.spec} has {parameter.shape[0]} channels in dimension 1, got an input of shape {tuple(x.shape)}."
            )
        if self._native_learned:
            return parameter.to(x.dtype)
        return parameter.view(-1, *([1] * (x.dim() - 2)))

    def extra_repr(self) -> str:
        """Return the spec's text."""
        return str(self.spec)


def layer(
    spec: str | Spec,
    *,
    channels: int | None = None,
    native: bool = True,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> ActivationLayer:
    """Return the activation as a module.

    Args:
        spec: such as ``"gelu"``, ``"leaky_relu(0.02)"``, ``"swish(beta=learned)"``, ``"prelu(weight=learned_per_channel)"``.
        channels: size of dimension 1; needed for parameters learned per channel.
        native: use torch's fused kernel where there is one; False always takes the formula.
        dtype: of the learned parameters; torch's default dtype if not given.
        device: of the learned parameters.

    Raises:
        SpecError: the spec cannot be read.
        UnknownNameError: there is no such activation.
        LayerError: ``channels`` is needed and missing.

    Example:
        >>> layer("relu")(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
        >>> [tuple(p.shape) for p in layer("prelu(weight=learned_per_channel)", channels=3).parameters()]
        [(3,)]
    """
    return ActivationLayer(parse(spec), channels=channels, native=native, dtype=dtype, device=device)
