"""Second moments and gradient norms by depth of a model, measured and forecast in closed form.

The forecast knows only the model's functions, widths and weights: a layer whose weights have mean square ``v`` and whose biases have mean
square ``b`` makes of inputs of second moment ``m`` sums of variance ``q = fan_in v m + b``; the activation makes of those
``E f(sqrt(q) z)^2``; and the squared norm of the gradient at the sums is that at the next layer's times ``fan_in v E f'(sqrt(q) z)^2``
(Poole et al. 2016, arXiv:1606.05340; Schoenholz et al. 2017, arXiv:1611.01232). Where something else stands between two layers (a norm, a
residual sum, attention), there is no closed form and the forecast starts again from the measured values.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import isnan, log10, nan, sqrt
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from actlab.errors import SiteError, SpecError
from actlab.functions.analysis.edge_of_chaos import slope_moment
from actlab.functions.analysis.length_map import output_moments
from actlab.nn.passes.linear_calls import LinearCall, WeightPaths, linear_call
from actlab.nn.passes.meta_device import check_has_values
from actlab.nn.passes.model_argument import takes_model
from actlab.nn.passes.output_tensors import output_tensors
from actlab.nn.passes.sharded import check_not_sharded
from actlab.nn.probes.probe import ProbeSettings, probe
from actlab.nn.probes.probe_report import ProbeRow
from actlab.nn.sites.dry_run import Inputs
from actlab.nn.sites.trace import Run, Step, Trace, WeightedCall, trace
from actlab.system.display import Displayed

__all__ = ["Layer", "Propagation", "Trouble", "propagation"]

DECADE: Final = 1.0
"""Decades of the gradient's norm, against the last layer, from which it counts as vanishing or exploding."""

_PART: Final = 0.5  # it begins at the first layer whose change is this share of the steepest one


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer with weights and the activation behind it.

    Attributes:
        path: path of the layer with weights.
        site: path of the activation.
        spec: spec of the activation.
        units: number of units.
        weight: scale of the weights: root of fan-in times their mean square.
        bias: root mean square of the biases; 0 without.
        q: second moment of the activation's input, measured.
        q_forecast: second moment of the activation's input, forecast.
        gradient: norm of the gradient at the activation's input over that of the last layer, measured.
        gradient_forecast: the same ratio, forecast.
        chi: factor of the squared gradient from the next layer's input to this one's, measured; NaN for the last layer.
        chi_forecast: the same factor, forecast; NaN where there is no closed form.
        follows: whether the closed form connects it to the layer before.
    """

    path: str
    site: str
    spec: str
    units: int
    weight: float
    bias: float
    q: float
    q_forecast: float
    gradient: float
    gradient_forecast: float
    chi: float
    chi_forecast: float
    follows: bool


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Where gradients vanish or explode.

    Attributes:
        kind: "vanish" or "explode".
        begins: path of the layer at which it starts, counted from the output.
        reaches: path of the layer at which the gradient has changed by a decade.
        decades: log10 of the gradient's norm in the first layer over that in the last one.
    """

    kind: Literal["vanish", "explode"]
    begins: str
    reaches: str
    decades: float


@dataclass(frozen=True, kw_only=True)
class Propagation(Displayed):
    """Signal and gradient by depth.

    Attributes:
        layers: from input to output.
    """

    layers: tuple[Layer, ...]

    @property
    def decades(self) -> float:
        """log10 of the gradient's norm in the first layer over that in the last one, measured."""
        return _log10(self.layers[0].gradient)

    @property
    def decades_forecast(self) -> float:
        """log10 of the gradient's norm in the first layer over that in the last one, forecast."""
        return _log10(self.layers[0].gradient_forecast)

    @property
    def trouble(self) -> Trouble | None:
        """Where the gradient changes by a decade or more, and the layer where that begins; None where it does not."""
        logs = [_log10(layer.gradient) for layer in reversed(self.layers)]
        reached = next((number for number, value in enumerate(logs) if abs(value) >= DECADE), None)
        if reached is None:
            return None
        sign = 1 if logs[reached] > 0 else -1
        steps = [sign * (b - a) for a, b in pairwise(logs[: reached + 1])]
        begins = next(number for number, step in enumerate(steps, 1) if step >= _PART * max(steps))
        return Trouble(
            kind="explode" if sign > 0 else "vanish",
            begins=self.layers[-1 - begins].path,
            reaches=self.layers[-1 - reached].path,
            decades=self.decades,
        )


@takes_model
def propagation(model: nn.Module, inputs: Inputs, *, training: bool = True, seed: int = 0) -> Propagation:
    """Measure signal and gradient by depth, and forecast both from the model's functions, widths and weights.

    The gradient is that of a random linear function of the model's output, which is independent of any loss. Layers are ``nn.Linear``,
    convolutions, transposed convolutions, and calls of their functions (``F.conv2d(x, self.weight)``); weights count as they are applied,
    after weight norm, spectral norm, pruning or another computation.

    Args:
        model: any module; left unchanged.
        inputs: a batch: a tensor, a tuple of positional arguments, or a dict of keyword arguments.
        training: run the model in training mode.
        seed: seed of the linear function.

    Raises:
        SiteError: the model raises on the batch, or has no activation behind a layer with weights.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> net = nn.Sequential(*(part for _ in range(12) for part in (nn.Linear(64, 64), nn.ReLU())))
        >>> result = propagation(net, torch.randn(64, 64))
        >>> result.trouble.kind, result.trouble.begins, round(result.decades_forecast)
        ('vanish', '20', -4)
    """
    check_not_sharded(model, "propagation")
    check_has_values(model, "propagation measures values")
    settings = ProbeSettings(inputs=lambda batch: batch, rank=False, training=training)
    with _AppliedWeights(model) as applied:
        report = probe(model, [inputs], lambda output, _: _functional(output, seed), settings=settings)
    # the trace is in eval mode: layers that run in training only are left out
    links = _links(model, trace(model, inputs))
    scales = applied.scales
    rows = [row for row in report if row.after in links and row.after in scales and row.units]
    rows = [row for row in rows if row.gradient_norm > 0 and row.gradient_ratio > 0]
    if not rows:
        raise SiteError(
            f"{type(model).__name__} has no activation behind a Linear or a convolution that a gradient reaches. "
            "actlab.find(model, example_inputs) lists its activations."
        )
    stages = [_Stage(row=row, scale=scales[str(row.after)], link=links[str(row.after)]) for row in rows]
    return Propagation(layers=tuple(_layers(stages)))


def _functional(output: Any, seed: int) -> Tensor:
    """Return a random linear function of all tensors in an output."""
    generator = torch.Generator("cpu").manual_seed(seed)
    leaves = [torch.view_as_real(t) if t.is_complex() else t for t in output_tensors(output) if t.requires_grad]
    if not leaves:
        raise SiteError("The model returns no tensor that depends on its weights, so there is no gradient to measure.")
    return torch.stack([(leaf * _numbers(leaf, generator)).sum() for leaf in leaves]).sum()


def _numbers(leaf: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(leaf.shape, generator=generator, dtype=torch.float32, device="cpu").to(leaf)


@dataclass(frozen=True, kw_only=True)
class _Scale:
    """Scales of a layer's weights and input, in the measured pass.

    Attributes:
        weight: fan-in times the mean square of the weights.
        bias: mean square of the biases.
        moment: second moment of the input; NaN where it is still to be computed, in a model after ``slim_``.
    """

    weight: float
    bias: float
    moment: float


class _AppliedWeights(TorchFunctionMode):
    """Records the scale of every weight as it is applied, computed from other parameters (weight norm, a mask) or not, by path."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.scales: dict[str, _Scale] = {}
        self._paths = WeightPaths(model)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        call = linear_call(getattr(func, "__name__", ""), args, kwargs or {}, self._paths.parameters)
        path = None if call is None else self._paths.of(call.weight, sys._getframe(1))
        if call is not None and path is not None:
            self.scales[path] = _scale(call)
        return func(*args, **(kwargs or {}))


def _scale(call: LinearCall) -> _Scale:
    return _Scale(
        weight=_mean_square(call.weight) * call.fan_in,
        bias=0.0 if call.bias is None else _mean_square(call.bias),
        moment=_mean_square(call.input) if isinstance(call.input, Tensor) else nan,
    )


def _mean_square(values: Tensor) -> float:
    return float(values.detach().double().square().mean())


# ----------------------------------------------------------------------------------------- closed form


@dataclass(frozen=True, kw_only=True)
class _Link:
    """Connections of a layer with weights.

    Attributes:
        before: path of the layer whose activation's output is its input; None where something else stands between.
        direct: whether an activation takes its output as input.
    """

    before: str | None
    direct: bool


def _links(model: nn.Module, traced: Trace) -> dict[str, _Link]:
    """Return the connections of each layer with weights, by path."""
    paths = WeightPaths(model)
    steps: list[tuple[str, Step | WeightedCall]] = []
    for step in traced.steps:
        path = None
        if isinstance(step, Step) and step.call is not None:
            path = paths.of_module(step.module)
        elif isinstance(step, WeightedCall):
            path = paths.of_call(step.call.weight, step.owner)
        if path is not None and not isinstance(step, Run):
            steps.append((path, step))
    layer_of = {step.result: path for path, step in steps}
    layer_before = {run.result: layer_of.get(traced.origin(run.source)) for run in traced.runs}
    activated = {traced.origin(run.source) for run in traced.runs}
    return {
        path: _Link(before=layer_before.get(traced.origin(step.source)), direct=step.result in activated)
        for path, step in steps
    }


@dataclass(frozen=True, kw_only=True)
class _Stage:
    """A measured layer, with the scales of its weights and input, and its connections."""

    row: ProbeRow
    scale: _Scale
    link: _Link

    @property
    def q(self) -> float:
        """Second moment of the activation's input, measured."""
        return self.row.input_variance + self.row.input_mean**2

    @property
    def gradient(self) -> float:
        """Norm of the gradient at the activation's input, measured."""
        return self.row.gradient_norm * self.row.gradient_ratio


def _layers(stages: list[_Stage]) -> Iterator[Layer]:
    follows = [False, *(b.link.direct and b.link.before == a.row.after for a, b in pairwise(stages))]
    qs = _forward(stages, follows)
    chis, gradients = _backward(stages, follows, qs)
    last = stages[-1].gradient
    for number, stage in enumerate(stages):
        is_last = number == len(stages) - 1
        yield Layer(
            path=str(stage.row.after),
            site=stage.row.path,
            spec=stage.row.spec,
            units=stage.row.units,
            weight=sqrt(stage.scale.weight),
            bias=sqrt(stage.scale.bias),
            q=stage.q,
            q_forecast=qs[number],
            gradient=stage.gradient / last,
            gradient_forecast=gradients[number] / last,
            chi=nan if is_last else (stage.gradient / stages[number + 1].gradient) ** 2,
            chi_forecast=chis[number],
            follows=follows[number],
        )


def _forward(stages: list[_Stage], follows: list[bool]) -> list[float]:
    """Return the forecast of q, layer by layer; the measured q where there is no closed form."""
    qs: list[float] = []
    for number, stage in enumerate(stages):
        moment = _moment(stages[number - 1].row.spec, qs[-1]) if follows[number] else stage.scale.moment
        has_form = stage.link.direct and not isnan(moment)
        qs.append(stage.scale.weight * moment + stage.scale.bias if has_form else stage.q)
    return qs


def _backward(stages: list[_Stage], follows: list[bool], qs: list[float]) -> tuple[list[float], list[float]]:
    """Return the forecast factors of the squared gradient, and the forecast norms, from the last layer back."""
    chis, gradients = [nan] * len(stages), [stages[-1].gradient] * len(stages)
    for number in reversed(range(len(stages) - 1)):
        if follows[number + 1]:
            chis[number] = stages[number + 1].scale.weight * _slope(stages[number].row.spec, qs[number])
        # without a closed form the measured factor is taken, and the forecast goes on from there
        measured = (stages[number].gradient / stages[number + 1].gradient) ** 2
        factor = measured if isnan(chis[number]) else chis[number]
        gradients[number] = gradients[number + 1] * sqrt(factor)
    return chis, gradients


def _moment(spec: str, q: float) -> float:
    try:
        return output_moments(spec, q=q).second_moment
    except SpecError:
        return nan


def _slope(spec: str, q: float) -> float:
    try:
        return slope_moment(spec, q)
    except SpecError:
        return nan


def _log10(value: float) -> float:
    return log10(value) if value > 0 else -float("inf")
