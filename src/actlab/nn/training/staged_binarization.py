"""The stages of a binarisation: activations first, with float weights; then the weights (arXiv:2003.03488)."""

from __future__ import annotations

from typing import Any

from torch import nn

from actlab.errors import LayerError
from actlab.nn.layers.binary import BinaryWeight

__all__ = ["StagedBinarization"]


class StagedBinarization:
    """Keeps the weights of a model's binary layers float for the first steps of a training.

    Args:
        model: any module with :class:`BinaryLinear` or :class:`BinaryConv2d` in it.
        float_until: number of steps (or epochs) after which the weights become binary; 0 makes them so at once.

    Raises:
        LayerError: the model has no binary layer, or the number is negative.

    Example:
        >>> from actlab.nn.layers.binary import BinaryLinear
        >>> net = BinaryLinear(2, 2)
        >>> stages = StagedBinarization(net, float_until=1)
        >>> net.is_binary
        False
        >>> stages.step()
        >>> net.is_binary
        True
    """

    def __init__(self, model: nn.Module, *, float_until: int) -> None:
        if isinstance(float_until, bool) or not isinstance(float_until, int) or float_until < 0:
            raise LayerError(f"float_until is a whole number of steps from 0 up; got {float_until!r}.")
        self._layers = [module for module in model.modules() if isinstance(module, BinaryWeight)]
        if not self._layers:
            raise LayerError(
                f"{type(model).__name__} has no binary layer; make some with BinaryLinear, BinaryConv2d or binarise_."
            )
        self.float_until = float_until
        self.done = 0
        self._apply()

    @property
    def weights_are_binary(self) -> bool:
        """Whether the second stage has begun."""
        return self.done >= self.float_until

    def step(self) -> None:
        """Go on by one step, or epoch, whatever ``float_until`` counts."""
        self.done += 1
        self._apply()

    def _apply(self) -> None:
        for layer in self._layers:
            layer.is_binary = self.weights_are_binary

    def state_dict(self) -> dict[str, Any]:
        """Return how far it is."""
        return {"float_until": self.float_until, "done": self.done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to where another one was, and set the layers accordingly.

        Raises:
            LayerError: this is no state of stages.
        """
        if not {"float_until", "done"} <= state.keys():
            raise LayerError(f"This is no state of stages: it has {sorted(state)}, and needs float_until and done.")
        self.float_until, self.done = int(state["float_until"]), int(state["done"])
        self._apply()
