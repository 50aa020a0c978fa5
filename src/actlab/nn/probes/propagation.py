"""Propagation: how a signal and its gradient fare through the layers of a model, measured, beside what the closed form says.

The closed form knows the model's own functions, widths and weights and nothing else: a layer whose weights have mean square ``v`` and whose
biases have mean square ``b`` makes of inputs of second moment ``m`` sums of variance ``q = fan_in v m + b``; the activation makes of those
``E f(sqrt(q) z)^2``; and the squared norm of the gradient at the sums is that at the next layer's times ``fan_in v E f'(sqrt(q) z)^2``
(Poole et al. 2016, arXiv:1606.05340; Schoenholz et al. 2017, arXiv:1611.01232). Where something else stands between two layers (a norm, a
residual sum, attention), no closed form is claimed: the forecast starts anew from what is measured there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from math import isnan, log10, nan, sqrt
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from actlab.errors import SiteError, SpecError
from actlab.functions.analysis.edge_of_chaos import slope_moment
from actlab.functions.analysis.length_map import output_moments
from actlab.nn.probes.probe import probe
from actlab.nn.probes.probe_report import ProbeRow
from actlab.nn.sites.dry_run import Inputs
from actlab.nn.sites.trace import WEIGHTS, Step, Trace, trace

__all__ = ["Layer", "Propagation", "Trouble", "propagation"]

DECADE: Final = 1.0  # of the gradient's norm against the last layer's: from here on it counts as vanishing or exploding
_PART: Final = 0.5  # of the steepest fall on the way: from the first layer that falls so much it began


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer with weights and the activation behind it.

    Attributes:
        path: of the layer with weights.
        site: path of the activation.
        spec: what runs there.
        units: how many.
        weight: scale of the weights: root of fan-in times their mean square.
        bias: root mean square of the biases; 0 without.
        q: second moment of the activation's input, measured.
        q_forecast: the same, by the closed form.
        gradient: norm of the gradient at the activation's input, measured, over that of the last layer.
        gradient_forecast: the same, by the closed form.
        chi: factor of the squared gradient from the next layer's input to this one's, measured; NaN for the last layer.
        chi_forecast: the same, by the closed form; NaN where none is claimed.
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
    """Where gradients are lost.

    Attributes:
        kind: "vanish" or "explode".
        begins: path of the layer at which it starts, seen from the output.
        reaches: path of the layer at which the gradient is off by a decade.
        decades: log10 of the gradient's norm in the first layer over that in the last one.
    """

    kind: Literal["vanish", "explode"]
    begins: str
    reaches: str
    decades: float


@dataclass(frozen=True, kw_only=True)
class Propagation:
    """How signal and gradient fare.

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
        """The same, by the closed form."""
        return _log10(self.layers[0].gradient_forecast)

    @property
    def trouble(self) -> Trouble | None:
        """Where the gradient is off by a decade or more, and the first layer on its way back that does it; None where it is kept."""
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


def propagation(model: nn.Module, inputs: Inputs, *, training: bool = True, seed: int = 0) -> Propagation:
    """Measure signal and gradient by depth, and forecast both from the model's functions, widths and weights.

    The gradient is that of a random linear function of the model's output, so that no loss hides anything.

    Args:
        model: any module; left as it was.
        inputs: a batch: a tensor, a tuple of positional arguments, or a dict of keyword arguments.
        training: run it in training mode.
        seed: of that linear function.

    Raises:
        SiteError: the model raises on the batch, or has no activation behind a layer with weights.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> net = nn.Sequential(*(part for _ in range(12) for part in (nn.Linear(64, 64), nn.ReLU())))
        >>> found = propagation(net, torch.randn(64, 64))
        >>> found.trouble.kind, found.trouble.begins, round(found.decades_forecast)
        ('vanish', '20', -4)
    """
    paths = {name: module for name, module in model.named_modules() if isinstance(module, WEIGHTS)}
    with _watching(paths) as moments:
        report = probe(
            model,
            [inputs],
            lambda output, _: _functional(output, seed),
            inputs=lambda batch: batch,
            rank=False,
            training=training,
        )
    joints = _joints(
        trace(model, inputs), paths
    )  # of a pass in eval mode: layers that run in training only are left out
    rows = [row for row in report if row.after in joints and row.gradient_norm > 0 and row.units]
    if not rows:
        raise SiteError(
            f"{type(model).__name__} has no activation behind a Linear or a convolution that a gradient reaches. "
            "actlab.find(model, example_inputs) lists its activations."
        )
    return Propagation(layers=tuple(_layers(rows, paths, moments, joints)))


def _functional(output: Any, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    leaves = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor) and leaf.requires_grad]
    if not leaves:
        raise SiteError("The model returns no tensor that depends on its weights, so that no gradient can be followed.")
    return torch.stack([(leaf * torch.randn(leaf.shape, generator=generator).to(leaf)).sum() for leaf in leaves]).sum()


@contextmanager
def _watching(paths: Mapping[str, nn.Module]) -> Iterator[dict[str, float]]:
    """Note the second moment of what goes into each layer with weights."""
    moments: dict[str, float] = {}
    with ExitStack() as stack:
        for path, module in paths.items():

            def note(_: nn.Module, args: Any, path: str = path) -> None:
                if args and isinstance(args[0], Tensor):
                    moments[path] = float(args[0].detach().double().square().mean())

            stack.callback(module.register_forward_pre_hook(note).remove)
        yield moments


# ---------------------------------------------------------------------------------------- the closed form


@dataclass(frozen=True, kw_only=True)
class _Joint:
    """Whether a layer takes an activation's output itself, and gives its sums to one itself."""

    before: str | None  # path of the layer whose activation it takes
    direct: bool


def _joints(notes: Trace, paths: Mapping[str, nn.Module]) -> dict[str, _Joint]:
    """Return how each layer with weights is joined to others, by path."""
    names = {id(module): path for path, module in paths.items()}
    made_by = {
        step.result: names[id(step.module)]
        for step in notes.steps
        if isinstance(step, Step) and id(step.module) in names
    }
    activated = {run.result: made_by.get(notes.origin(run.source)) for run in notes.runs}
    takers = {notes.origin(run.source) for run in notes.runs}
    return {
        names[id(step.module)]: _Joint(before=activated.get(notes.origin(step.source)), direct=step.result in takers)
        for step in notes.steps
        if isinstance(step, Step) and id(step.module) in names
    }


def _scales(module: nn.Module) -> tuple[float, float]:
    """Return fan-in times the mean square of the weights, and the mean square of the biases."""
    weight, bias = module.get_parameter("weight").detach().double(), module._parameters.get("bias")
    return float(weight.square().mean()) * weight[0].numel(), 0.0 if bias is None else float(
        bias.detach().double().square().mean()
    )


def _layers(
    rows: list[ProbeRow], paths: Mapping[str, nn.Module], moments: Mapping[str, float], joints: Mapping[str, _Joint]
) -> Iterator[Layer]:
    scales = [_scales(paths[str(row.after)]) for row in rows]
    follows = [
        joints[str(row.after)].direct and number > 0 and joints[str(row.after)].before == rows[number - 1].after
        for number, row in enumerate(rows)
    ]
    qs = _forward(rows, scales, [joints[str(row.after)].direct for row in rows], follows, moments)
    measured = [row.gradient_norm * row.gradient_ratio for row in rows]
    chis, gradients = _backward(rows, scales, follows, qs, measured)
    for number, row in enumerate(rows):
        is_last = number == len(rows) - 1
        yield Layer(
            path=str(row.after),
            site=row.path,
            spec=row.spec,
            units=row.units,
            weight=sqrt(scales[number][0]),
            bias=sqrt(scales[number][1]),
            q=row.input_variance + row.input_mean**2,
            q_forecast=qs[number],
            gradient=measured[number] / measured[-1],
            gradient_forecast=gradients[number] / measured[-1],
            chi=nan if is_last else (measured[number] / measured[number + 1]) ** 2,
            chi_forecast=chis[number],
            follows=follows[number],
        )


def _forward(
    rows: list[ProbeRow],
    scales: list[tuple[float, float]],
    direct: list[bool],
    follows: list[bool],
    moments: Mapping[str, float],
) -> list[float]:
    """Return the forecast of q layer by layer; measured where no closed form is claimed."""
    qs: list[float] = []
    for number, row in enumerate(rows):
        weight, bias = scales[number]
        moment = moments.get(str(row.after), nan)
        if follows[number]:
            moment = _moment(rows[number - 1].spec, qs[-1])
        qs.append(
            weight * moment + bias if direct[number] and not isnan(moment) else row.input_variance + row.input_mean**2
        )
    return qs


def _backward(
    rows: list[ProbeRow], scales: list[tuple[float, float]], follows: list[bool], qs: list[float], measured: list[float]
) -> tuple[list[float], list[float]]:
    """Return the forecast factors of the squared gradient, and the forecast norms, from the last layer back."""
    chis, gradients = [nan] * len(rows), [measured[-1]] * len(rows)
    for number in reversed(range(len(rows) - 1)):
        if follows[number + 1]:
            chis[number] = scales[number + 1][0] * _slope(rows[number].spec, qs[number])
        # across a break the measured factor is taken, so that the forecast goes on from there
        factor = (measured[number] / measured[number + 1]) ** 2 if isnan(chis[number]) else chis[number]
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
