"""Staged binarization, which keeps weights of binary layers float for the first training steps."""

from __future__ import annotations

from typing import Any

from torch import nn

from actlab.errors import LayerError
from actlab.nn.layers.binary import BinaryWeight

__all__ = ["StagedBinarization"]


class StagedBinarization:
    """Keeps the weights of binary layers float for the first training steps (arXiv:2003.03488).

    Args:
        model: any module with :class:`BinaryLinear` or :class:`BinaryConv2d` in it.
        float_until: number of steps (or epochs) after which the weights become binary; 0 for at once.

    Raises:
        LayerError: the model has no binary layer, or the number is not an integer from 0 up.

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
        """Advance by one step or epoch, whichever ``float_until`` counts."""
        self.done += 1
        self._apply()

    def _apply(self) -> None:
        for layer in self._layers:
            layer.is_binary = self.weights_are_binary

    def state_dict(self) -> dict[str, Any]:
        """Return the progress."""
        return {"float_until": self.float_until, "done": self.done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the progress of another object, and set the layers accordingly.

        Raises:
            LayerError: the state has other keys.
        """
        if not {"float_until", "done"} <= state.keys():
            raise LayerError(
                f"Not the state of a staged binarization: it has {sorted(state)}, and needs float_until and done."
            )
        self.float_until, self.done = int(state["float_until"]), int(state["done"])
        self._apply()
