"""Layer with a different activation for each slice of a dimension (channels, heads, stacked models)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from actlab.codegen.dispatch.route import Kernel, Route
from actlab.errors import LayerError
from actlab.functions.grammar import parse_all
from actlab.functions.spec import Spec
from actlab.nn.layers.activation_layer import ActivationLayer, graph_node, is_traced

__all__ = ["MixedLayer", "mixed"]

# Elements from which one call of compiled code is faster than one call of torch per slice, forward and backward.
_MIN_ELEMENTS = 2**12


class MixedLayer(nn.Module):
    """Several activations on equal, adjacent slices of a dimension. Build it with :func:`mixed`.

    Attributes:
        dim: the dimension that is sliced.
        acts: the activations, in order.
    """

    def __init__(self, specs: Sequence[Spec], dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.acts = nn.ModuleList(ActivationLayer(spec) for spec in specs)
        self._bind()

    def _bind(self) -> None:
        self._mixture: Kernel | None = None
        # Cached, because looking the parameters up in the submodules in every call takes longer than the functions.
        self._learned = [(act, name) for act in self._layers() for name, _ in act.named_parameters()]
        self._route = Route(self._plain, self._kernel, _min_elements, any_order=False)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in {"_route", "_mixture", "_learned"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._bind()

    @property
    def specs(self) -> tuple[Spec, ...]:
        """The function of each slice."""
        return tuple(act.spec for act in self._layers())

    def _layers(self) -> Iterator[ActivationLayer]:
        return iter(cast("Iterable[ActivationLayer]", self.acts))  # a ModuleList is typed as one of any module

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activations.

        Args:
            x: floating tensor whose dimension ``dim`` is a multiple of the number of activations.

        Returns:
            Tensor of the same shape and dtype.

        Raises:
            LayerError: the dimension cannot be divided, or the input is no floating tensor.
        """
        if is_traced(x):
            return cast("Tensor", graph_node(self, x))
        if not -x.dim() <= self.dim < x.dim() or x.shape[self.dim] % len(self.acts):
            raise LayerError(
                f"{len(self.acts)} activations divide dimension {self.dim} into equal parts; got an input of shape {tuple(x.shape)}."
            )
        if not x.is_floating_point():
            raise LayerError(f"Activations compute on floating tensors, got {x.dtype}; convert with x.float() first.")
        learned = [getattr(act, name) for act, name in self._learned]
        if self._route.takes(x, learned):
            return self._route(x, *learned)
        return self._plain(x)

    def _plain(self, x: Tensor, *_: Tensor) -> Tensor:
        parts = x.chunk(len(self.acts), dim=self.dim)
        return torch.cat([act(part) for act, part in zip(self.acts, parts, strict=True)], dim=self.dim)

    def _kernel(self, device: str) -> Kernel:  # noqa: ARG002 only the CPU has this kernel
        from actlab.codegen.cpu.grouped_kernel import GroupedKernel  # noqa: PLC0415 the compiler is loaded only when needed

        if self._mixture is None:
            self._mixture = GroupedKernel(self.specs, self.dim)
        return self._mixture

    def extra_repr(self) -> str:
        """Return the dimension."""
        return f"dim={self.dim}"


def _min_elements(device: str, dtype: torch.dtype, threads: int) -> float:  # noqa: ARG001 the signature of a route; the number of threads makes no difference
    return (
        _MIN_ELEMENTS if device == "cpu" and dtype in {torch.float32, torch.float64, torch.bfloat16} else float("inf")
    )


def mixed(specs: Sequence[str | Spec], *, dim: int = 1) -> MixedLayer:
    """Return a layer that applies a different activation to each slice of a dimension, in one call.

    Args:
        specs: elementwise activations, one for each slice; their parameters are numbers, or learned per layer.
        dim: the dimension that is divided into equal parts: 1 for channels, 0 for stacked models.

    Raises:
        LayerError: no spec, a spec that is not elementwise, or parameters learned per channel.

    Example:
        >>> mixed(["relu", "tanh"], dim=-1)(torch.tensor([-1.0, 2.0, -20.0, 0.0]))
        tensor([ 0.,  2., -1.,  0.])
    """
    parsed = parse_all(specs)
    if not parsed:
        raise LayerError("A mixed layer needs at least one activation.")
    for spec in parsed:
        if spec.activation.kind != "elementwise" or spec.needs_channels or spec.backward is not None:
            raise LayerError(
                f"{spec} cannot be one of several: a mixed layer takes elementwise activations without parameters per channel."
            )
    return MixedLayer(parsed, dim)
