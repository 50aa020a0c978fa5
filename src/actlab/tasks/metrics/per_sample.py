"""Per-sample losses and error measures for paired comparisons of two models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from actlab.errors import PlanError, did_you_mean

__all__ = ["MEASURES", "Measure", "one_by_one", "resolve_measure"]

Direction = Literal["min", "max"]
PerSample = Callable[[Any, Any], Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class Measure:
    """A loss or metric with one value per sample.

    Attributes:
        name: name shown for it.
        of: of (output, target), returns one number per sample, shape (n,), or several, shape (n, ...), whose mean is taken.
        direction: "min" when smaller is better, "max" when larger is.
    """

    name: str
    of: PerSample
    direction: Direction = "min"

    def __call__(self, output: Any, target: Any) -> Tensor:
        """Return the measure of a batch, float64 on the CPU, shape (n,).

        Raises:
            PlanError: the function does not return a number for each sample.
        """
        values = self.of(output, target)
        if not isinstance(values, Tensor) or values.dim() == 0 or not values.numel():
            what = f"a tensor of shape {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
            raise PlanError(
                f"The measure {self.name} returned {what}; a number for each sample is needed, shape (n,), because differences are taken "
                "sample by sample. Try a loss with reduction='none', or actlab.tasks.metrics.per_sample.one_by_one(loss)."
            )
        return values.detach().double().reshape(len(values), -1).mean(1).cpu()


def one_by_one(function: Callable[[Any, Any], Any]) -> PerSample:
    """Return a per-sample function that calls a loss or metric of batches on one sample at a time.

    For a loss that is a mean over samples, these are the values of which it is the mean.

    Example:
        >>> one_by_one(F.mse_loss)(torch.tensor([[1.0], [2.0]]), torch.zeros(2, 1)).tolist()
        [1.0, 4.0]
    """

    def per_sample(output: Any, target: Any) -> Tensor:
        count = next((len(leaf) for leaf in tree_leaves(output) if isinstance(leaf, Tensor)), 0)
        values = [float(function(_sample(output, i), _sample(target, i))) for i in range(count)]
        return torch.tensor(values, dtype=torch.float64)

    return per_sample


def _sample(value: Any, row: int) -> Any:
    """Return one sample as a batch; of several tensors, such as the outputs of a model, that of each."""
    if isinstance(value, Tensor):
        return value[row : row + 1]
    return tree_map(lambda leaf: leaf[row : row + 1] if isinstance(leaf, Tensor) else leaf, value)


def _classes_second(output: Any, target: Any) -> Tensor:
    """Return the output with its classes in dimension 1, as torch's losses take them."""
    y, expected = _check_tensors(output, target)
    is_last = y.dim() == expected.dim() + 1 and y.shape[:-1] == expected.shape
    return y.movedim(-1, 1) if is_last and y.dim() > 2 else y


def _check_tensors(output: Any, target: Any) -> tuple[Tensor, Tensor]:
    if isinstance(output, Tensor) and isinstance(target, Tensor):
        return output, target
    raise PlanError(
        f"The output is a {type(output).__name__} and the target a {type(target).__name__}; the built-in measures compare tensors. "
        "Give your own function: measure=lambda output, target: ..., with one number for each sample."
    )


def _cross_entropy(output: Any, target: Any) -> Tensor:
    return F.cross_entropy(_classes_second(output, target).float(), target, reduction="none")


def _error(output: Any, target: Any) -> Tensor:
    wrong: Tensor = _classes_second(output, target).argmax(1) != target
    return wrong


def _squared_error(output: Any, target: Any) -> Tensor:
    output, target = _check_tensors(output, target)
    return F.mse_loss(output.float(), target.float().reshape(output.shape), reduction="none")


MEASURES: Final = {
    "cross_entropy": Measure(name="cross_entropy", of=_cross_entropy),
    "error": Measure(name="error", of=_error),
    "squared_error": Measure(name="squared_error", of=_squared_error),
}


def resolve_measure(measure: str | Measure | PerSample | None, target: Any, *, direction: Direction = "min") -> Measure:
    """Return a measure from its name, a function, or the type of the targets.

    Args:
        measure: a name, a function of (output, target), a measure, or None for "cross_entropy" with integer targets and
            "squared_error" with others.
        target: targets of one batch, for the default.
        direction: "min" or "max", for a function.

    Raises:
        PlanError: no measure has this name, or the direction is neither "min" nor "max".

    Example:
        >>> resolve_measure(None, torch.tensor([1, 2])).name
        'cross_entropy'
    """
    if direction not in get_args(Direction):
        raise PlanError(f"direction is {direction!r}; allowed are 'min' (smaller is better) and 'max'.")
    if isinstance(measure, Measure):
        return measure
    if measure is None:
        is_integer = isinstance(target, Tensor) and not target.is_floating_point() and not target.is_complex()
        return MEASURES["cross_entropy" if is_integer else "squared_error"]
    if isinstance(measure, str):
        if measure not in MEASURES:
            allowed = ", ".join(MEASURES)
            raise PlanError(
                f"There is no measure {measure!r}.{did_you_mean(measure, MEASURES)} Allowed: {allowed}, a function."
            )
        return MEASURES[measure]
    if not callable(measure):
        raise PlanError(
            f"A measure is a name ({', '.join(MEASURES)}) or a function of output and target; got {measure!r}."
        )
    return Measure(name=getattr(measure, "__name__", "measure"), of=measure, direction=direction)
