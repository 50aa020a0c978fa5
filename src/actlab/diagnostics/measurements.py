"""Measurements of a model for the doctor (probe report, signal propagation, hidden activations)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from actlab.diagnostics.remedy import Swap
from actlab.diagnostics.training_record import TrainingRecord
from actlab.errors import SiteError
from actlab.nn.passes.linear_calls import LAYERS
from actlab.nn.probes.probe import probe
from actlab.nn.probes.probe_report import ProbeReport, ProbeRow
from actlab.nn.probes.propagation import Layer, Propagation, propagation
from actlab.nn.sites.dry_run import Inputs, copy_inputs, no_side_effects, run
from actlab.nn.sites.find import Entry, Survey, survey
from actlab.nn.sites.trace import Step
from actlab.nn.transforms.init import init_obstacle
from actlab.nn.transforms.insert_norms import NORMS
from actlab.system.plural import plural

__all__ = ["ENOUGH", "HiddenActivation", "Measurements", "doubled_output_function", "measure_model"]

# samples; with fewer, a unit that is zero for all of them may still be active for others
ENOUGH: Final = 128
# samples on which gradients are measured
_ROWS: Final = 256
# logit whose sigmoid is 1 up to 2e-9
_FAR: Final = 20.0
Measured = TypeVar("Measured")
_CONVOLUTIONS: Final = LAYERS[1:]


@dataclass(frozen=True, kw_only=True)
class HiddenActivation:
    """Activation that ran and whose result the model does not return.

    Attributes:
        path: of the site.
        spec: of the function; None if its parameters are unknown.
        feeds_layer: whether its result goes directly into a layer with weights; that of a gate, which is multiplied first, does not.
        layer_class: class of the layer with weights whose output it takes directly; "" if there is none.
        layer: path of that layer, or "".
        replaceable: whether :func:`actlab.swap_` can replace it.
    """

    path: str
    spec: str | None
    feeds_layer: bool
    layer_class: str
    layer: str
    replaceable: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Measurements:
    """Measurements of one model.

    Attributes:
        samples: number of inputs.
        propagation: signal and gradient by depth; None if no activation follows a layer with weights.
        at_init: report of the probe.
        hidden: hidden activations in order of execution.
        convolutions: number of convolutions that ran.
        norms: number of normalization layers.
        has_attention: whether the model contains attention.
        dropouts: paths of active ``nn.Dropout`` layers.
        doubled_output: function that both the end of the model and the loss apply, or None.
        course: record of the first training steps; None without a task.
        tolerated: largest learning rate found at which no layer dies, if layers die at the one in use; None otherwise.
        init_obstacle: why :func:`actlab.init_` would refuse the model, so that a matched init is not proposed; "" if it would not.
        notes: what could not be measured, and why.
    """

    samples: int
    propagation: Propagation | None
    at_init: ProbeReport | None
    hidden: tuple[HiddenActivation, ...]
    convolutions: int = 0
    norms: int = 0
    has_attention: bool = False
    dropouts: tuple[str, ...] = ()
    doubled_output: Literal["softmax", "sigmoid"] | None = None
    course: TrainingRecord | None = None
    tolerated: float | None = None
    init_obstacle: str = ""
    notes: tuple[str, ...] = ()

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Layers whose propagation was measured."""
        return self.propagation.layers if self.propagation else ()

    def swap(self, paths: Sequence[str], spec: str) -> Swap | None:
        """Return a swap of the replaceable sites among ``paths``; None if there are none."""
        replaceable = {site.path for site in self.hidden if site.replaceable}
        swapped = tuple(dict.fromkeys(path for path in paths if path in replaceable))
        return Swap(paths=swapped, spec=spec) if swapped else None

    def row(self, name: str) -> ProbeRow | None:
        """Return the probe's row of that name at initialization."""
        return next((row for row in self.at_init or () if row.name == name), None)

    def is_convolution(self, row: ProbeRow) -> bool:
        """Tell whether the units of a row are channels of a convolution."""
        return any(site.path == row.path and site.layer_class.startswith("Conv") for site in self.hidden)


def measure_model(
    model: nn.Module, inputs: Inputs, target: Any = None, loss: Callable[[Any, Any], Tensor] | None = None
) -> Measurements:
    """Measure a model at initialization without modifying it.

    Args:
        model: any module.
        inputs: a batch as the model takes it; 128 samples or more distinguish dead units from sparse ones.
        target: of the loss.
        loss: of (output, target). Without it, the model's output function is not checked.

    Raises:
        SiteError: the model raises on the inputs.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> measured = measure_model(nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 2)), torch.randn(200, 4))
        >>> measured.samples, measured.hidden[0].spec, measured.hidden[0].feeds_layer, measured.doubled_output
        (200, 'relu', True, None)
    """
    samples = _sample_count(inputs)
    notes: list[str] = []
    if samples < ENOUGH:
        notes.append(
            f"Dead and saturated units were not judged: {plural(samples, 'sample')} given, {ENOUGH} are needed."
        )
    surveyed = survey(model, inputs)
    return Measurements(
        samples=samples,
        propagation=_measured_or_noted(lambda: propagation(model, _first_rows(inputs)), notes),
        at_init=_measured_or_noted(lambda: probe(model, [inputs], inputs=lambda batch: batch, rank=False), notes),
        hidden=tuple(_hidden_activations(surveyed)),
        convolutions=sum(isinstance(step.module, _CONVOLUTIONS) for step in _steps(surveyed)),
        norms=sum(isinstance(module, NORMS) for module in model.modules()),
        has_attention=_has_attention(model, surveyed),
        dropouts=tuple(path for path, module in model.named_modules() if type(module) is nn.Dropout and module.p > 0),
        doubled_output=None if loss is None else _doubled_output(model, inputs, target, loss),
        init_obstacle=init_obstacle(surveyed) or "",
        notes=tuple(dict.fromkeys(notes)),
    )


def _measured_or_noted(measure: Callable[[], Measured], notes: list[str]) -> Measured | None:
    try:
        return measure()
    except SiteError as error:
        notes.append(str(error))
        return None


def _sample_count(inputs: Inputs) -> int:
    return next((len(leaf) for leaf in tree_leaves(inputs) if isinstance(leaf, Tensor) and leaf.dim()), 0)


def _first_rows(inputs: Inputs) -> Inputs:
    """Truncate all tensors that have as many rows as the first one."""
    count = _sample_count(inputs)
    rows: Inputs = tree_map(
        lambda leaf: leaf[:_ROWS] if isinstance(leaf, Tensor) and leaf.dim() and len(leaf) == count else leaf, inputs
    )
    return rows


def _steps(surveyed: Survey) -> list[Step]:
    return [step for step in surveyed.trace.steps if isinstance(step, Step)] if surveyed.trace else []


def _hidden_activations(surveyed: Survey) -> list[HiddenActivation]:
    return [_hidden(entry, surveyed) for entry in surveyed.entries if entry.runs and not entry.site.output]


def _hidden(entry: Entry, surveyed: Survey) -> HiddenActivation:
    trace = surveyed.trace
    assert trace is not None  # noqa: S101 # an entry with runs was traced
    step_of = {step.result: step for step in _steps(surveyed)}
    layer_inputs = {trace.origin(step.source) for step in _steps(surveyed)}
    before = step_of.get(trace.origin(entry.runs[0].source))
    paths = surveyed.paths.get(id(before.module), [""]) if before else [""]
    return HiddenActivation(
        path=entry.site.path,
        spec=entry.running.spec,
        feeds_layer=any(activation.result in layer_inputs for activation in entry.runs),
        layer_class=type(before.module).__name__.removeprefix("Parametrized") if before else "",
        layer=paths[0],
        replaceable=entry.site.replaceable,
    )


def _has_attention(model: nn.Module, surveyed: Survey) -> bool:
    if any(isinstance(module, nn.MultiheadAttention) for module in model.modules()):
        return True
    hidden = _hidden_activations(surveyed)
    return any((site.spec or "").startswith("softmax") and not site.feeds_layer for site in hidden)


def _doubled_output(
    model: nn.Module, inputs: Inputs, target: Any, loss: Callable[[Any, Any], Tensor]
) -> Literal["softmax", "sigmoid"] | None:
    with no_side_effects(model):
        output = run(model, copy_inputs(inputs))
    return doubled_output_function(output, target, loss) if isinstance(output, Tensor) else None


def doubled_output_function(
    output: Tensor, target: Any, loss: Callable[[Any, Any], Tensor]
) -> Literal["softmax", "sigmoid"] | None:
    """Return the function that the loss applies to outputs to which the model has already applied it.

    Found from values of the loss: one with a softmax is unchanged when a constant is added to all outputs of a row; one with a sigmoid
    is zero for outputs of 20 at targets of 1, and of -20 at targets of 0.

    Args:
        output: of the model.
        target: of the loss.
        loss: of (output, target).

    Example:
        >>> from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss, nll_loss
        >>> p, y = torch.randn(8, 3).softmax(1), torch.arange(8) % 3
        >>> doubled_output_function(p, y, cross_entropy), doubled_output_function(p.log(), y, nll_loss)
        ('softmax', None)
        >>> doubled_output_function(p[:, :1], (y == 1).float()[:, None], binary_cross_entropy_with_logits)
        'sigmoid'
        >>> doubled_output_function(p[:, :1], (y == 1).float()[:, None], mse_loss) is None
        True
    """
    if not output.is_floating_point() or output.dim() < 2 or not bool(((output >= 0) & (output <= 1)).all()):
        return None
    try:
        return _doubled_function(output.detach().double(), target, loss)
    except (RuntimeError, ValueError, IndexError, TypeError, AttributeError):
        # a loss may refuse the shifted outputs (BCELoss those above 1) or the dtype: then nothing is known
        return None


def _doubled_function(
    output: Tensor, target: Any, loss: Callable[[Any, Any], Tensor]
) -> Literal["softmax", "sigmoid"] | None:
    target = target.double() if isinstance(target, Tensor) and target.is_floating_point() else target
    with torch.no_grad():
        if output.shape[1] > 1 and _near(output.sum(1), 1.0):
            steps = torch.linspace(-3, 3, len(output), dtype=output.dtype).view(-1, *[1] * (output.dim() - 1))
            before, after = float(loss(output, target)), float(loss(output + steps, target))
            return "softmax" if abs(after - before) <= 1e-6 * (1 + abs(before)) else None
        if not isinstance(target, Tensor) or target.shape != output.shape or not _is_binary(target):
            return None
        signs = 2 * target.double() - 1
        right, wrong = float(loss(_FAR * signs, target)), float(loss(-_FAR * signs, target))
        per_element = wrong / target.numel() if wrong > 2 * _FAR else wrong  # a sum, or a mean
        return "sigmoid" if abs(right) < 1e-5 and abs(per_element - _FAR) < 1e-3 else None


def _near(values: Tensor, number: float) -> bool:
    return bool((values - number).abs().max() < 1e-4)


def _is_binary(target: Tensor) -> bool:
    return bool(((target == 0) | (target == 1)).all())
