"""Schedule a gradient-rule parameter over training, such as the sharpness of a surrogate.

A schedule has a model and a curve, which maps the share of training that is done, from 0 to 1, to a value. A forward pass uses the value at
the time it runs; see :class:`~actlab.nn.layers.custom_gradient.CustomGradientLayer`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import cos, isfinite, pi
from typing import Any, Final, cast

from torch import nn

from actlab.errors import LayerError
from actlab.nn.layers.binary import custom_gradient_layers
from actlab.nn.layers.custom_gradient import CustomGradientLayer
from actlab.system.plural import plural

__all__ = ["SHARPNESS", "Curve", "Geometric", "Schedule", "Straight", "ede", "reste", "sharpness"]

Curve = Callable[[float], float]

#: The parameter of each rule that sharpens it as it grows: twice the value gives the same curve at half the width, up to a factor.
#: EDE has one as well (t), with a schedule of its own.
SHARPNESS: Final[Mapping[str, str]] = {
    "arctan": "alpha",
    "exponential": "alpha",
    "fast_sigmoid": "k",
    "sigmoid": "k",
    "sign_log_abs": "alpha",
    "soft_sign": "alpha",
    "superspike": "alpha",
    "swishsign": "beta",
    "tanh": "k",
    "unit_rect": "alpha",
    "unit_triangular": "alpha",
}


@dataclass(frozen=True, kw_only=True)
class Geometric:
    """A curve on a logarithmic scale.

    Attributes:
        start: value at 0, above 0.
        end: value at 1, above 0.

    Example:
        >>> [round(Geometric(start=0.01, end=100.0)(share), 6) for share in (0.0, 0.5, 1.0)]
        [0.01, 1.0, 100.0]
    """

    start: float
    end: float

    def __post_init__(self) -> None:
        if not (0 < self.start < float("inf") and 0 < self.end < float("inf")):
            raise LayerError(
                f"A geometric curve goes from one positive number to another; got {self.start} and {self.end}."
            )

    def __call__(self, share: float) -> float:
        """Return the value at a share of the training."""
        if share in {0.0, 1.0}:
            return self.end if share else self.start  # exact
        value: float = self.start * (self.end / self.start) ** share
        return value


@dataclass(frozen=True, kw_only=True)
class Straight:
    """A linear curve.

    Attributes:
        start: value at 0.
        end: value at 1.

    Example:
        >>> Straight(start=1.0, end=3.0)(0.25)
        1.5
    """

    start: float
    end: float

    def __call__(self, share: float) -> float:
        """Return the value at a share of the training."""
        return self.end if share == 1.0 else self.start + (self.end - self.start) * share


class Schedule:
    """A gradient-rule parameter that follows a curve over training.

    The first value is set at once; every :meth:`step` advances by one, and after ``total`` steps the last value stays.

    Args:
        model: any module; the schedule applies to all its layers with such a rule, and to the weights of binary layers.
        parameter: name of the rule's parameter.
        total: number of steps (or epochs) until the curve ends, from 1 up.
        curve: maps a share from 0 to 1 to a value, such as :class:`Geometric`.
        rule: only layers with this rule; None for any rule.

    Raises:
        LayerError: no layer has such a parameter, it is learned, or the curve returns a value that is not finite.
        SpecError: the curve leaves the range that the rule allows.

    Example:
        >>> from actlab.nn.layers.layer import layer
        >>> net = nn.Sequential(nn.Linear(2, 2), layer("step/arctan"))
        >>> schedule = Schedule(net, "alpha", total=2, curve=Geometric(start=1.0, end=4.0))
        >>> for _ in range(3):
        ...     print(net[1].rule_parameters)
        ...     schedule.step()
        {'alpha': 1.0}
        {'alpha': 2.0}
        {'alpha': 4.0}
    """

    def __init__(self, model: nn.Module, parameter: str, *, total: int, curve: Curve, rule: str | None = None) -> None:
        if isinstance(total, bool) or not isinstance(total, int) or total < 1:
            raise LayerError(f"A schedule takes a whole number of steps from 1 up; got total={total!r}.")
        self.parameter = parameter
        self.total = total
        self.curve = curve
        self.done = 0
        self.rule = rule
        self._layers = _layers(model, parameter, rule)
        self.paths = tuple(path for path, _ in self._layers)
        self._apply()

    @property
    def value(self) -> float:
        """The current value."""
        return self.curve(min(self.done / self.total, 1.0))

    def step(self) -> None:
        """Advance by one step or epoch, whichever ``total`` counts."""
        self.done += 1
        self._apply()

    def _apply(self) -> None:
        value = self.value
        if not isfinite(value):
            raise LayerError(f"The curve of {self.parameter} gives {value} after {self.done} of {self.total} steps.")
        for _, layer in self._layers:
            layer.set_rule_parameter(self.parameter, value)

    def state_dict(self) -> dict[str, Any]:
        """Return the progress of the schedule; the curve is code and not included."""
        return {"parameter": self.parameter, "rule": self.rule, "total": self.total, "done": self.done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the progress of another schedule, and set its value in the layers.

        Raises:
            LayerError: the state is of another parameter or rule, or not the state of a schedule.
        """
        missing = [key for key in ("parameter", "rule", "total", "done") if key not in state]
        if missing:
            raise LayerError(f"Not the state of a schedule: {', '.join(missing)} missing, there is {sorted(state)}.")
        if (state["parameter"], state["rule"]) != (self.parameter, self.rule):
            raise LayerError(
                f"The state is of {state['parameter']!r} of {state['rule'] or 'any rule'}, this schedule of {self.parameter!r} "
                f"of {self.rule or 'any rule'}."
            )
        self.total, self.done = int(state["total"]), int(state["done"])
        self._apply()

    def __repr__(self) -> str:
        return f"Schedule({self.parameter} = {self.value:.6g} after {self.done} of {self.total}, {plural(len(self.paths), 'layer')})"


def _layers(model: nn.Module, parameter: str, rule: str | None) -> list[tuple[str, CustomGradientLayer]]:
    ruled = [(path, layer, layer.spec.backward) for path, layer in custom_gradient_layers(model)]
    matching = [
        (path, layer)
        for path, layer, backward in ruled
        if backward is not None and rule in {None, backward.rule.name} and parameter in dict(backward.assigned)
    ]
    if not matching:
        present = sorted({str(layer.spec) for _, layer, _ in ruled})
        raise LayerError(
            f"{type(model).__name__} has no layer whose rule{f' is {rule} and' if rule else ''} has a parameter {parameter!r}; "
            f"its layers with a rule are: {', '.join(present) or 'none'}."
        )
    return matching


def ede(model: nn.Module, total: int, *, start: float = 1e-3, end: float = 10.0) -> Schedule:
    """Schedule of the error decay estimator of IR-Net (arXiv:1909.10788): t from 1e-3 to 10 on a logarithmic scale.

    Example:
        >>> from actlab.nn.layers.layer import layer
        >>> net = nn.Sequential(nn.Linear(2, 2), layer("sign/ede"))
        >>> ede(net, total=100)
        Schedule(t = 0.001 after 0 of 100, 1 layer)
    """
    return Schedule(model, "t", total=total, curve=Geometric(start=start, end=end), rule="ede")


@dataclass(frozen=True, kw_only=True)
class _Cosine:
    """The curve ``1 + (1 - cos(pi/2 share)) (end - 1)``, slow at first."""

    end: float

    def __call__(self, share: float) -> float:
        return self.end if share == 1.0 else 1 + (1 - cos(pi / 2 * share)) * (self.end - 1)


def reste(model: nn.Module, total: int, *, end: float = 3.0) -> Schedule:
    """Schedule of ReSTE (arXiv:2308.06689): o = 1 + (1 - cos(pi/2 e/E)) (end - 1), a straight-through estimator at first.

    Example:
        >>> from actlab.nn.layers.layer import layer
        >>> net = nn.Sequential(nn.Linear(2, 2), layer("sign/reste"))
        >>> reste(net, total=30)
        Schedule(o = 1 after 0 of 30, 1 layer)
    """
    return Schedule(model, "o", total=total, curve=_Cosine(end=end), rule="reste")


def sharpness(model: nn.Module, total: int, *, start: float, end: float = 1.0) -> list[Schedule]:
    """Schedule the sharpness of every surrogate, from ``start`` times its value to ``end`` times it, on a logarithmic scale.

    The parameters are those of :data:`SHARPNESS`; other rules (windows, constants) are not changed.

    Args:
        model: any module.
        total: number of steps (or epochs).
        start: factor of the spec's value at the beginning; below 1 for wide surrogates that become sharp.
        end: factor at the end.

    Returns:
        One schedule per rule.

    Raises:
        LayerError: no rule of the model has a sharpness, or layers with the same rule have different values.

    Example:
        >>> from actlab.nn.layers.layer import layer
        >>> net = nn.Sequential(nn.Linear(2, 2), layer("step/arctan(alpha=4)"))
        >>> sharpness(net, 10, start=0.25)
        [Schedule(alpha = 1 after 0 of 10, 1 layer)]
    """
    values: dict[str, set[float]] = {}
    for _, layer in custom_gradient_layers(model):
        backward = layer.spec.backward
        name = SHARPNESS.get(backward.rule.name) if backward is not None else None
        if backward is not None and name is not None and name not in backward.learned:
            values.setdefault(backward.rule.name, set()).add(cast("float", dict(backward.assigned)[name]))
    if not values:
        raise LayerError(
            f"{type(model).__name__} has no rule with a sharpness that is a fixed number; such rules are {', '.join(SHARPNESS)}."
        )
    for rule, distinct in values.items():
        if len(distinct) > 1:
            raise LayerError(
                f"Layers with the rule {rule} have different values of {SHARPNESS[rule]}: {sorted(distinct)}. Give the parts of the "
                "model that hold them separate Schedules."
            )
    return [
        Schedule(
            model,
            SHARPNESS[rule],
            total=total,
            curve=Geometric(start=start * value, end=end * value),
            rule=rule,
        )
        for rule, (value,) in values.items()
    ]
