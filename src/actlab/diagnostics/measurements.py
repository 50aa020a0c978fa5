"""The examination: what is measured of a model at its init, and of its first steps, before anything is said about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from actlab.diagnostics.remedy import Swap
from actlab.diagnostics.training_record import Course
from actlab.errors import SiteError
from actlab.nn.probes.probe import probe
from actlab.nn.probes.probe_report import ProbeReport, ProbeRow
from actlab.nn.probes.propagation import Layer, Propagation, propagation
from actlab.nn.sites.dry_run import Inputs, copied, run, undisturbed
from actlab.nn.sites.find import Entry, Survey, survey
from actlab.nn.sites.trace import Step
from actlab.nn.transforms.insert_norms import NORMS

__all__ = ["ENOUGH", "Hidden", "Measurements", "examine", "last_function_twice"]

ENOUGH: Final = 128  # samples, below which a unit that was never seen alive may well be
_ROWS: Final = 256  # of the inputs, on which gradients are followed
_FAR: Final = 20.0  # a logit whose sigmoid is 1 to 2e-9
Measured = TypeVar("Measured")
_CONVOLUTIONS: Final = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True, kw_only=True)
class Hidden:
    """An activation inside a model: one that ran, and whose result the model does not return.

    Attributes:
        path: of the site.
        spec: what runs there; None where the parameters are not known.
        feeds: whether a layer with weights takes its result itself. What is multiplied with something, as a gate is, does not feed.
        behind: class of the layer with weights whose output it takes itself; "" where it is none.
        layer: path of that layer, or "".
        replaceable: whether a swap can take it.
    """

    path: str
    spec: str | None
    feeds: bool
    behind: str
    layer: str
    replaceable: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Measurements:
    """What was measured.

    Attributes:
        samples: inputs that were looked at.
        propagation: signal and gradient by depth; None where no activation stands behind a layer with weights.
        at_init: the probe's report.
        hidden: the activations inside, in order of execution.
        convolutions: how many ran.
        norms: how many there are.
        attends: whether tokens see each other.
        dropouts: paths of ``nn.Dropout``.
        twice: the function that both the end of the model and its loss apply, or None.
        course: the first steps of training; None without a task.
        tolerated: the largest learning rate found that kills nothing, where the one in use does; None otherwise.
        notes: what could not be measured, and why.
    """

    samples: int
    propagation: Propagation | None
    at_init: ProbeReport | None
    hidden: tuple[Hidden, ...]
    convolutions: int = 0
    norms: int = 0
    attends: bool = False
    dropouts: tuple[str, ...] = ()
    twice: Literal["softmax", "sigmoid"] | None = None
    course: Course | None = None
    tolerated: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers that the propagation knows."""
        return self.propagation.layers if self.propagation else ()

    def swap(self, paths: Sequence[str], spec: str) -> Swap | None:
        """Return a swap of those of the paths that can be swapped; None where there are none."""
        possible = {site.path for site in self.hidden if site.replaceable}
        wanted = tuple(dict.fromkeys(path for path in paths if path in possible))
        return Swap(paths=wanted, spec=spec) if wanted else None

    def row(self, name: str) -> ProbeRow | None:
        """Return what was measured at the init at a point, by its name."""
        return next((row for row in self.at_init or () if row.name == name), None)

    def is_convolution(self, row: ProbeRow) -> bool:
        """Tell whether the units of a row are channels of a convolution."""
        return any(site.path == row.path and site.behind.startswith("Conv") for site in self.hidden)


def examine(
    model: nn.Module, inputs: Inputs, target: Any = None, loss: Callable[[Any, Any], Tensor] | None = None
) -> Measurements:
    """Measure a model at its init; it is left as it was.

    Args:
        model: any module.
        inputs: a batch as the model takes it; 128 samples or more tell dead units from sparse ones.
        target: of the loss.
        loss: of (output, target). Without it, nothing is said about the end of the model.

    Raises:
        SiteError: the model raises on the inputs.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> found = examine(nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 2)), torch.randn(200, 4))
        >>> found.samples, found.hidden[0].spec, found.hidden[0].feeds, found.twice
        (200, 'relu', True, None)
    """
    notes: list[str] = []
    if _samples(inputs) < ENOUGH:
        few = (
            f"Dead and saturated units were not judged: there are {_samples(inputs)} samples, and {ENOUGH} are needed."
        )
        notes.append(few)
    whole = survey(model, inputs)
    return Measurements(
        samples=_samples(inputs),
        propagation=_tried(lambda: propagation(model, _fewer(inputs)), notes),
        at_init=_tried(lambda: probe(model, [inputs], inputs=lambda batch: batch, rank=False), notes),
        hidden=tuple(_hidden(whole)),
        convolutions=sum(isinstance(step.module, _CONVOLUTIONS) for step in _steps(whole)),
        norms=sum(isinstance(module, NORMS) for module in model.modules()),
        attends=_attends(model, whole),
        dropouts=tuple(path for path, module in model.named_modules() if type(module) is nn.Dropout and module.p > 0),
        twice=None if loss is None else _twice(model, inputs, target, loss),
        notes=tuple(dict.fromkeys(notes)),
    )


def _tried(measure: Callable[[], Measured], notes: list[str]) -> Measured | None:
    try:
        return measure()
    except SiteError as error:
        notes.append(str(error))
        return None


def _samples(inputs: Inputs) -> int:
    return next((len(leaf) for leaf in tree_leaves(inputs) if isinstance(leaf, Tensor) and leaf.dim()), 0)


def _fewer(inputs: Inputs) -> Inputs:
    """Return the first rows, of all tensors that have as many as the first one."""
    count = _samples(inputs)
    fewer: Inputs = tree_map(
        lambda leaf: leaf[:_ROWS] if isinstance(leaf, Tensor) and leaf.dim() and len(leaf) == count else leaf, inputs
    )
    return fewer


def _steps(whole: Survey) -> list[Step]:
    return [step for step in whole.trace.steps if isinstance(step, Step)] if whole.trace else []


def _hidden(whole: Survey) -> list[Hidden]:
    return [_described(entry, whole) for entry in whole.entries if entry.runs and not entry.site.output]


def _described(entry: Entry, whole: Survey) -> Hidden:
    notes = whole.trace
    assert notes is not None  # noqa: S101 # what ran was traced
    made = {step.result: step for step in _steps(whole)}
    taken = {notes.origin(step.source) for step in _steps(whole)}
    before = made.get(notes.origin(entry.runs[0].source))
    paths = whole.paths.get(id(before.module), [""]) if before else [""]
    return Hidden(
        path=entry.site.path,
        spec=entry.running.spec,
        feeds=any(ran.result in taken for ran in entry.runs),
        behind=type(before.module).__name__ if before else "",
        layer=paths[0],
        replaceable=entry.site.replaceable,
    )


def _attends(model: nn.Module, whole: Survey) -> bool:
    if any(isinstance(module, nn.MultiheadAttention) for module in model.modules()):
        return True
    hidden = _hidden(whole)
    return any((site.spec or "").startswith("softmax") and not site.feeds for site in hidden)


def _twice(
    model: nn.Module, inputs: Inputs, target: Any, loss: Callable[[Any, Any], Tensor]
) -> Literal["softmax", "sigmoid"] | None:
    with undisturbed(model):
        output = run(model, copied(inputs))
    return last_function_twice(output, target, loss) if isinstance(output, Tensor) else None


def last_function_twice(
    output: Tensor, target: Any, loss: Callable[[Any, Any], Tensor]
) -> Literal["softmax", "sigmoid"] | None:
    """Tell whether a loss applies a softmax or a sigmoid to what is one already, by what the loss does.

    A loss that takes a softmax does not change when a number is added to all outputs of a row; one that takes a sigmoid has
    nothing to object to outputs of 20 for targets of 1, and of -20 for 0, where it is zero.

    Args:
        output: of the model.
        target: of the loss.
        loss: of (output, target).

    Example:
        >>> from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss, nll_loss
        >>> p, y = torch.randn(8, 3).softmax(1), torch.arange(8) % 3
        >>> last_function_twice(p, y, cross_entropy), last_function_twice(p.log(), y, nll_loss)
        ('softmax', None)
        >>> last_function_twice(p[:, :1], (y == 1).float()[:, None], binary_cross_entropy_with_logits)
        'sigmoid'
        >>> last_function_twice(p[:, :1], (y == 1).float()[:, None], mse_loss) is None
        True
    """
    if not output.is_floating_point() or output.dim() < 2 or not bool(((output >= 0) & (output <= 1)).all()):
        return None
    try:
        return _twice_of(output.detach().double(), target, loss)
    except (RuntimeError, ValueError, IndexError, TypeError, AttributeError):
        return None  # a loss that does not take such outputs (BCELoss above 1, a dtype of its own) says nothing here


def _twice_of(output: Tensor, target: Any, loss: Callable[[Any, Any], Tensor]) -> Literal["softmax", "sigmoid"] | None:
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
