"""The measure: what is measured of a model's output for every sample alone, so that two models can be compared sample by sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from actlab.errors import PlanError, did_you_mean

__all__ = ["MEASURES", "Measure", "measure_of", "one_by_one"]

Direction = Literal["min", "max"]
PerSample = Callable[[Any, Any], Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class Measure:
    """A number for every sample.

    Attributes:
        name: shown.
        of: of (output, target); returns one number for each sample, shape (n,), or more of them, whose mean is taken.
        direction: "min" when smaller is better, "max" when larger is.
    """

    name: str
    of: PerSample
    direction: Direction = "min"

    def __call__(self, output: Any, target: Any) -> Tensor:
        """Return the measure of a batch, float64 on the CPU, shape (n,).

        Raises:
            PlanError: it gives no number for each sample.
        """
        values = self.of(output, target)
        if not isinstance(values, Tensor) or values.dim() == 0 or not values.numel():
            what = f"a tensor of shape {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
            raise PlanError(
                f"The measure {self.name} gave {what}; a number for each sample is needed, shape (n,), because differences are taken "
                "sample by sample: a loss with reduction='none', or actlab.tasks.metrics.per_sample.one_by_one(loss)."
            )
        return values.detach().double().reshape(len(values), -1).mean(1).cpu()


def one_by_one(function: Callable[[Any, Any], Any]) -> PerSample:
    """Return a function of single samples, from a loss or metric of batches.

    The function is called on batches of one sample; that is the same number for every mean over samples.

    Example:
        >>> one_by_one(F.mse_loss)(torch.tensor([[1.0], [2.0]]), torch.zeros(2, 1)).tolist()
        [1.0, 4.0]
    """

    def of_each(output: Tensor, target: Tensor) -> Tensor:
        pairs = ((output[i : i + 1], target[i : i + 1]) for i in range(len(output)))
        return torch.tensor([float(function(y, wanted)) for y, wanted in pairs], dtype=torch.float64)

    return of_each


def _classes_second(output: Any, target: Any) -> Tensor:
    """Return the output with its classes in dimension 1, as torch's losses have them."""
    made, wanted = _tensors(output, target)
    is_last = made.dim() == wanted.dim() + 1 and made.shape[:-1] == wanted.shape
    return made.movedim(-1, 1) if is_last and made.dim() > 2 else made


def _tensors(output: Any, target: Any) -> tuple[Tensor, Tensor]:
    if isinstance(output, Tensor) and isinstance(target, Tensor):
        return output, target
    raise PlanError(
        f"The output is a {type(output).__name__} and the target a {type(target).__name__}; the built-in measures compare tensors. "
        "Give your own: measure=lambda output, target: ..., one number for each sample."
    )


def _cross_entropy(output: Any, target: Any) -> Tensor:
    return F.cross_entropy(_classes_second(output, target).float(), target, reduction="none")


def _error(output: Any, target: Any) -> Tensor:
    wrong: Tensor = _classes_second(output, target).argmax(1) != target
    return wrong


def _squared_error(output: Any, target: Any) -> Tensor:
    output, target = _tensors(output, target)
    return F.mse_loss(output.float(), target.float().reshape(output.shape), reduction="none")


MEASURES: Final = {
    "cross_entropy": Measure(name="cross_entropy", of=_cross_entropy),
    "error": Measure(name="error", of=_error),
    "squared_error": Measure(name="squared_error", of=_squared_error),
}


def measure_of(wanted: str | Measure | PerSample | None, target: Any, *, direction: Direction = "min") -> Measure:
    """Return the measure that is meant.

    Args:
        wanted: a name, a function of (output, target), a measure; by default "cross_entropy" for whole-number targets and
            "squared_error" for others.
        target: of one batch, for the default.
        direction: of a function.

    Raises:
        PlanError: there is no such measure.

    Example:
        >>> measure_of(None, torch.tensor([1, 2])).name
        'cross_entropy'
    """
    if direction not in get_args(Direction):
        raise PlanError(f"direction is 'min' (smaller is better) or 'max'; got {direction!r}.")
    if isinstance(wanted, Measure):
        return wanted
    if wanted is None:
        is_whole = isinstance(target, Tensor) and not target.is_floating_point() and not target.is_complex()
        return MEASURES["cross_entropy" if is_whole else "squared_error"]
    if isinstance(wanted, str):
        if wanted not in MEASURES:
            allowed = ", ".join(MEASURES)
            raise PlanError(
                f"There is no measure {wanted!r}.{did_you_mean(wanted, MEASURES)} Allowed: {allowed}, a function."
            )
        return MEASURES[wanted]
    if not callable(wanted):
        raise PlanError(
            f"A measure is a name ({', '.join(MEASURES)}) or a function of output and target; got {wanted!r}."
        )
    return Measure(name=getattr(wanted, "__name__", "measure"), of=wanted, direction=direction)
