"""Record of an axis, one way to judge a trained model beyond the metric of its task."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias

from torch import Tensor, nn

from actlab.errors import ActlabError
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.evaluate.metric_direction import metric_direction
from actlab.tasks.task import Task
from actlab.tasks.training_function.user_functions import code_text, values_text

__all__ = ["Axis", "Column", "Level", "Measured", "Value", "axis"]

#: Better values are larger, smaller, as of the task's metric, or neither: the column describes.
Preference: TypeAlias = Literal["max", "min", "metric"] | None
#: What is measured once: a trial, which is a trained model; an arm; or all trials of a study together.
Level: TypeAlias = Literal["trial", "arm", "study"]
#: A number; or one for each example, shape (n,), of which the mean is recorded.
Value: TypeAlias = float | Tensor
_PREFERENCES: Final = ("max", "min", "metric", None)
_OWN_LEVELS: Final = ("trial", "arm")  # what is of all trials together is churn, which the verdict computes


@dataclass(frozen=True, kw_only=True)
class Column:
    """One number that an axis gives.

    Attributes:
        direction: "max" when a larger number is better, "min" when a smaller one is, "metric" where that is as for the metric of the task;
            None for one that only describes.
        unit: in words or symbols, such as "share" or "nats"; empty for a number without one.
        description: what it is, in one phrase.
        headline: whether verdicts compare arms by it and tables show it; others are recorded beside it.
        rope: differences smaller than this do not matter; None for half a percentage point of a share, and 1 % of any other number.
    """

    direction: Preference = "max"
    unit: str = ""
    description: str = ""
    headline: bool = True
    rope: float | None = None

    def __post_init__(self) -> None:
        if self.direction not in _PREFERENCES:
            raise ActlabError(
                f"The direction of a column is {self.direction!r}; allowed are 'max', 'min', 'metric' and None."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Result of an axis for one model.

    Attributes:
        numbers: by column; of a tensor with one number per example, shape (n,), the mean is recorded.
        curves: by name, ``{"x": [..], "y": [..]}`` with any further texts and numbers.
        undefined: reason by column, or by the name of a part such as a group, for what has no number.
        notes: sentences that a verdict shows beside the numbers, such as that a robustness is not to be believed.
        record: anything else that a verdict or page needs: texts, numbers, arrays, lists and mappings of them.
    """

    numbers: Mapping[str, Value] = field(default_factory=dict)
    curves: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    undefined: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)


Measure: TypeAlias = Callable[[nn.Module, EvaluationData], Value | Mapping[str, Value] | Measured]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One way to judge a trained model: a function of the model and its data, with the direction of what it returns.

    Attributes:
        name: short, lower case.
        measure: of (model, data), returns a number, one for each example, a mapping of these by column, or :class:`Measured`. The model
            is in evaluation mode; its mode, gradients, weights and buffers are restored afterwards, as are the global generators.
        columns: what it gives, by name.
        description: one sentence.
        level: "trial" for what is measured of every trained model, "arm" for what is measured once for each arm, untrained.
        trains: whether it trains further, so that it costs as much as a share of a training.
        on_request: whether it is measured only where it is named, and is no part of "all": it needs packages or programs of its own.
        source: what names it in a plan: the name of a built-in axis, or of a user's one with the digest of its code.
        file: path of the user's file with the axis, or None.

    Example:
        >>> def confidence(model, data):
        ...     return data.probabilities.amax(1)
        >>> Axis(name="confidence", measure=confidence, columns={"confidence": Column(direction=None)}).level
        'trial'
    """

    name: str
    measure: Measure
    columns: Mapping[str, Column]
    description: str = ""
    level: Level = "trial"
    trains: bool = False
    on_request: bool = False
    source: str = ""
    file: str | None = None

    def __call__(self, model: nn.Module, data: EvaluationData) -> Value | Mapping[str, Value] | Measured:
        """Call the function of the axis as it is; :func:`actlab.evaluate.axis_run.run_axes` also restores the model."""
        return self.measure(model, data)

    def of_task(self, task: Task) -> Axis:
        """Return the axis with the direction and the region of equivalence of a task's metric where columns are in its units.

        Example:
            >>> from actlab.tasks import resolve
            >>> own = Axis(name="own", measure=lambda *_: 1.0, columns={"own": Column(direction="metric")})
            >>> own.of_task(resolve("mnist1d")).columns["own"].direction  # of its accuracy, not of its mean training loss
            'max'
        """
        rope = task.rope if task.curve_metric is None else None
        columns = {
            name: replace(column, direction=metric_direction(task), rope=rope if column.rope is None else column.rope)
            if column.direction == "metric"
            else column
            for name, column in self.columns.items()
        }
        return replace(self, columns=columns)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the function as plain values, ready for JSON."""
        columns = {name: column.to_dict() for name, column in self.columns.items()}
        return {"name": self.name, "description": self.description, "level": self.level, "columns": columns}


def axis(
    direction: Preference = "max",
    *,
    columns: Mapping[str, Preference | Column] | None = None,
    unit: str = "",
    rope: float | None = None,
    name: str | None = None,
    level: Level = "trial",
) -> Callable[[Measure], Axis]:
    """Make an axis of a function of a trained model and its data.

    Args:
        direction: of the number, "max" when larger is better, "min" when smaller is, None for one that only describes.
        columns: where the function returns a mapping: the direction of each entry, or its :class:`Column`.
        unit: of the number.
        rope: differences smaller than this do not matter.
        name: of the axis; by default that of the function.
        level: "trial" for what is measured of every trained model, "arm" for what does not depend on the training, such as a size or a
            time: it is measured once for each arm, on its untrained model.

    Returns:
        A decorator that makes the function an :class:`Axis`, with the first line of its docstring as description.

    Raises:
        ActlabError: a direction or the level is not allowed.

    Example:
        >>> @axis("max", unit="share")
        ... def margin(model, data):
        ...     "Distance between the two largest probabilities."
        ...     top = data.probabilities.topk(2, dim=1).values
        ...     return top[:, 0] - top[:, 1]
        >>> margin.name, margin.columns["margin"].direction
        ('margin', 'max')
    """
    if level not in _OWN_LEVELS:
        raise ActlabError(
            f"The level of an axis is {level!r}; 'trial' (of every trained model) and 'arm' (once for each arm, untrained) are allowed."
        )

    def make(measure: Measure) -> Axis:
        own = name or str(getattr(measure, "__name__", "axis"))
        _check_takes_both(measure, own)
        given: Mapping[str, Preference | Column] = {own: direction} if columns is None else columns
        made = {
            key: value if isinstance(value, Column) else Column(direction=value, unit=unit, rope=rope)
            for key, value in given.items()
        }
        text = (inspect.getdoc(measure) or "").partition("\n")[0]
        source = f"{own} {_digest(measure)}" + ("" if level == "trial" else f" {level}")
        return Axis(name=own, measure=measure, columns=made, description=text, level=level, source=source)

    return make


def _check_takes_both(measure: Measure, name: str) -> None:
    """Raise if a function cannot be called with (model, data)."""
    with suppress(ValueError):  # of C code without a signature
        signature = inspect.signature(measure)
        try:
            signature.bind(None, None)
        except TypeError as error:
            raise ActlabError(
                f"The function of the axis {name} takes {signature}; it is called with two arguments, (model, data), and needs no other."
            ) from error


def _digest(measure: Measure) -> str:
    """Return a digest of a user's function, its values and what it calls, which is the same when the file is loaded again."""
    text = f"{code_text([measure])}\n{values_text([measure])}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]
