"""Importance of activations, measured by replacing each one with a linear function or a constant.

Every site is replaced alone, and the model is evaluated on the same held-out samples with and without the replacement, so that differences
are paired by sample. Then the sites are linearised one after another, least important first, each fitted in the model as it is by then.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, TypedDict, Unpack

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from actlab.diagnostics.importance_result import Importance, SiteImportance, Step
from actlab.errors import PlanError, SiteError
from actlab.nn.passes.model_argument import takes_model
from actlab.nn.probes.affine_fit import Line, fit_lines
from actlab.nn.probes.batch import input_of
from actlab.nn.sites.dry_run import Inputs, copy_inputs, no_side_effects, run
from actlab.nn.sites.find import Entry, Site, Survey, survey
from actlab.nn.transforms.changes import Skipped
from actlab.nn.transforms.linearize import refit_line, sites_for_lines, temporary_lines
from actlab.stats.paired_effect import Effect, classify_effects, estimate_effect
from actlab.system.options import from_options
from actlab.tasks.metrics.per_sample import Direction, Measure, PerSample, resolve_measure

__all__ = ["ImportanceOptions", "ImportanceSettings", "importance"]

TOLERANCE: Final = 0.05
"""Default tolerance as a share of the model's mean measure."""

_ROUNDINGS: Final = 64
"""Differences up to this many units in the last place of the largest value count as rounding, from another order of sums."""


class ImportanceOptions(TypedDict, total=False):
    """Keyword options of :func:`importance`; see :class:`ImportanceSettings`."""

    measure: str | Measure | PerSample | None
    direction: Direction
    batches: int | None
    sites: Iterable[str | Site] | None
    tolerance: float | None
    alpha: float
    per_channel: bool
    inputs: Callable[[Any], Inputs]


@dataclass(frozen=True, kw_only=True)
class ImportanceSettings:
    """Settings of :func:`importance`.

    Attributes:
        measure: "cross_entropy", "error", "squared_error", or a function of output and target that returns one number per sample; by
            default cross-entropy for integer targets and the squared error otherwise.
        direction: of a function: "min" if smaller is better, "max" if larger is.
        batches: number of batches taken of data and of calibration; all by default.
        sites: paths, names, patterns or depths, as the keys of :func:`actlab.swap_`; by default all but those that make the output.
        tolerance: loss allowed for several linearised sites together, in the unit of the measure; by default 5 % of its mean.
        alpha: error rate of the table, by Holm's correction over both replacements of every site.
        per_channel: fit one line per channel (which the next linear layer can absorb), or one per site.
        inputs: returns the model's input from a batch that is neither a tensor, a mapping nor a sequence.

    Raises:
        PlanError: alpha or tolerance is out of range.
    """

    measure: str | Measure | PerSample | None = None
    direction: Direction = "min"
    batches: int | None = None
    sites: Iterable[str | Site] | None = None
    tolerance: float | None = None
    alpha: float = 0.05
    per_channel: bool = True
    inputs: Callable[[Any], Inputs] = input_of

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise PlanError(f"alpha is the error rate of the table, between 0 and 1; got {self.alpha!r}.")
        if self.tolerance is not None and not self.tolerance >= 0:
            raise PlanError(
                f"tolerance is the allowed loss in the unit of the measure, zero or more; got {self.tolerance!r}."
            )


@takes_model
def importance(
    model: nn.Module,
    data: Iterable[Any],
    *,
    calibration: Iterable[Any] | None = None,
    progress: Callable[[str], None] = lambda _: None,
    settings: ImportanceSettings | None = None,
    **options: Unpack[ImportanceOptions],
) -> Importance:
    """Measure which activations a model's output depends on, and which could be replaced by linear functions.

    The batches are kept in memory, because every replacement is evaluated on the same samples; the fits take constant memory. For n sites
    the model runs about 3n times over the data and n times over the calibration. It is not modified (weights, buffers, flags, hooks,
    classes, random generators).

    Args:
        model: any module; it runs in eval mode.
        data: batches of input and target, as from a DataLoader. Samples (the first dimension) must be independent.
        calibration: batches that the lines are fitted to; by default the first half of the data, and the model is evaluated on the rest.
        progress: called with a description of the current measurement.
        settings: measure, sites, tolerance and error rate; see :class:`ImportanceSettings`.
        options: single settings: ``measure``, ``direction``, ``batches``, ``sites``, ``tolerance``, ``alpha``, ``per_channel``, ``inputs``.

    Raises:
        SiteError: there are too few batches, no site can be replaced, or the model raises.
        PlanError: the measure does not return a finite number per sample, there are fewer than two samples, or a setting is out of range.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> nn.init.constant_(net[0].bias, 50.0)  # the ReLU never sees a number below zero
        Parameter containing: ...
        >>> found = importance(net, [(x, net(x).detach()) for x in torch.randn(4, 16, 2)])
        >>> found["1"].r2, found["1"].linearised.state, found["1"].ablated.state, found.together
        (1.0, 'none', 'worse', ('1',))
    """
    chosen = from_options(ImportanceSettings, settings, options)
    evaluation = _evaluation(model, data, calibration, chosen)
    entries, skipped = evaluation.linearisable_sites(chosen.sites)
    progress("the unchanged model")
    before = evaluation.baseline_scores()
    rows, not_fitted = _replace_one_by_one(evaluation, entries, before, chosen.alpha, progress)
    tolerance = TOLERANCE * abs(float(before.mean())) if chosen.tolerance is None else chosen.tolerance
    fitted = [entry for entry in entries if entry.site.path not in not_fitted]
    steps = _linearise_cumulatively(evaluation, fitted, rows, before, tolerance=tolerance, progress=progress)
    return Importance(
        rows=tuple(rows),
        steps=tuple(steps),
        unseen={**{skip.site.path: skip.reason for skip in skipped}, **not_fitted},
        measure=evaluation.measure.name,
        direction=evaluation.measure.direction,
        baseline=float(before.mean()),
        samples=len(before),
        calibration=evaluation.calibration_samples,
        tolerance=tolerance,
        alpha=chosen.alpha,
        per_channel=chosen.per_channel,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Evaluation:
    """Model with the batches to fit lines to and the held-out batches to evaluate on."""

    survey: Survey
    fit: list[Any]
    held_out: list[Any]
    measure: Measure
    inputs: Callable[[Any], Inputs]
    per_channel: bool

    @property
    def calibration_samples(self) -> int:
        """Number of samples that lines are fitted to."""
        return sum(_count(self.inputs(batch)) for batch in self.fit)

    def linearisable_sites(self, sites: Iterable[str | Site] | None) -> tuple[list[Entry], list[Skipped]]:
        """Return the sites that a line can replace, and the others with the reason."""
        return sites_for_lines(self.survey, None if sites is None else list(sites), self.inputs(self.fit[0]))

    def baseline_scores(self) -> np.ndarray:
        """Return the measure of every held-out sample for the unchanged model, of two samples or more."""
        scores = self.scores({})
        if len(scores) < 2:
            raise PlanError(f"The model was evaluated on {len(scores)} sample; an interval needs at least two.")
        return scores

    def scores(self, replacements: Mapping[Hashable, Line]) -> np.ndarray:
        """Return the measure of every held-out sample, with some activations replaced by lines."""
        parts = []
        with temporary_lines(self.survey, replacements):
            for number, batch in enumerate(self.held_out):
                # entered for each batch, so that every evaluation starts from the same random state
                with no_side_effects(self.survey.model):
                    output = run(self.survey.model, copy_inputs(self.inputs(batch)))
                    parts.append(self.measure(output, _target(batch)))
                _check_finite(parts[-1], number, self.measure.name, replaced=bool(replacements))
        return torch.cat(parts).numpy()

    def effect(self, before: np.ndarray, replacements: Mapping[Hashable, Line]) -> Effect:
        """Return how much worse the model is with lines than without."""
        sign = 1.0 if self.measure.direction == "min" else -1.0
        after = self.scores(replacements)
        return estimate_effect(sign * (after - before), rounding=self._rounding(before))

    def _rounding(self, before: np.ndarray) -> float:
        weight = next((p for p in self.survey.model.parameters() if p.is_floating_point()), torch.zeros(()))
        return float(_ROUNDINGS * torch.finfo(weight.dtype).eps * np.abs(before).max())


def _evaluation(
    model: nn.Module, data: Iterable[Any], calibration: Iterable[Any] | None, settings: ImportanceSettings
) -> _Evaluation:
    fit, held_out = _fit_and_held_out(data, calibration, settings.batches)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    fit, held_out = ([_to_device(batch, device) for batch in part] for part in (fit, held_out))
    return _Evaluation(
        survey=survey(model, settings.inputs(fit[0])),
        fit=fit,
        held_out=held_out,
        measure=resolve_measure(settings.measure, _target(held_out[0]), direction=settings.direction),
        inputs=settings.inputs,
        per_channel=settings.per_channel,
    )


def _replace_one_by_one(
    evaluation: _Evaluation,
    entries: Sequence[Entry],
    before: np.ndarray,
    alpha: float,
    progress: Callable[[str], None],
) -> tuple[list[SiteImportance], dict[str, str]]:
    """Replace every site alone. Return the rows, and the sites that cannot be fitted with the reason."""
    keys = [entry.slot.key for entry in entries]
    progress("fitting lines")
    lines = fit_lines(
        evaluation.survey.model,
        evaluation.fit,
        keys,
        inputs=evaluation.inputs,
        per_channel=evaluation.per_channel,
    )
    not_fitted = {e.site.path: "its inputs and outputs were not recorded" for e in entries if e.slot.key not in lines}
    rows = []
    for entry in entries:
        if (line := lines.get(entry.slot.key)) is not None:
            progress(entry.site.path)
            rows.append(_row(evaluation, entry, line, before))
    if not rows:
        name = type(evaluation.survey.model).__name__
        raise SiteError(f"No activation of {name} ran on the calibration data, so no line can be fitted.")
    tested = classify_effects([test for row in rows for test in (row.linearised, row.ablated)], alpha=alpha)
    effects = zip(rows, tested[::2], tested[1::2], strict=True)
    return [replace(row, linearised=linearised, ablated=ablated) for row, linearised, ablated in effects], not_fitted


def _row(evaluation: _Evaluation, entry: Entry, line: Line, before: np.ndarray) -> SiteImportance:
    key = entry.slot.key
    return SiteImportance(
        path=entry.site.path,
        spec=entry.site.spec or entry.site.name or "?",
        channels=len(line.slope),
        r2=line.r2,
        linearised=evaluation.effect(before, {key: line}),
        ablated=evaluation.effect(before, {key: line.flat()}),
    )


def _linearise_cumulatively(
    evaluation: _Evaluation,
    entries: Sequence[Entry],
    rows: Sequence[SiteImportance],
    before: np.ndarray,
    *,
    tolerance: float,
    progress: Callable[[str], None],
) -> Iterator[Step]:
    """Linearise the sites one after another, least important first, each fitted in the model with the lines before it."""
    lines: dict[Hashable, Line] = {}
    within = True
    ordered = sorted(zip(entries, rows, strict=True), key=lambda pair: pair[1].linearised.mean)
    for number, (entry, row) in enumerate(ordered, 1):
        progress(f"{number} of {len(ordered)} sites linearised together")
        lines |= refit_line(
            evaluation.survey,
            lines,
            entry,
            evaluation.fit,
            inputs=evaluation.inputs,
            per_channel=evaluation.per_channel,
        )
        total = evaluation.effect(before, lines)
        within = within and total.high <= tolerance
        line = lines.get(entry.slot.key)
        yield Step(path=row.path, r2=None if line is None else line.r2, total=total, within=within)


# ----------------------------------------------------------------------------------------------- the data


def _fit_and_held_out(
    data: Iterable[Any], calibration: Iterable[Any] | None, batches: int | None
) -> tuple[list[Any], list[Any]]:
    """Return the batches to fit lines to and the batches to evaluate on."""
    held_out = list(islice(data, batches))
    if calibration is not None:
        fit = list(islice(calibration, batches))
        if not fit or not held_out:
            empty = "calibration" if not fit else "data"
            raise SiteError(f"The {empty} gave no batch (a generator that was read before is empty).")
        return fit, held_out
    if len(held_out) < 2:
        raise SiteError(
            f"The data gave {len(held_out)} batches; lines are fitted to the first half of them and the model is evaluated on the second, "
            "so two are needed. Give smaller batches, or calibration=[...]."
        )
    return held_out[: len(held_out) // 2], held_out[len(held_out) // 2 :]


def _to_device(batch: Any, device: torch.device) -> Any:
    return tree_map(lambda leaf: leaf.to(device) if isinstance(leaf, Tensor) else leaf, batch)


def _target(batch: Any) -> Any:
    """Return the target, which is the second element of a sequence, or else the batch itself."""
    return batch[1] if isinstance(batch, Sequence) and len(batch) > 1 else batch


def _count(inputs: Inputs) -> int:
    leaves = inputs.values() if isinstance(inputs, Mapping) else inputs if isinstance(inputs, tuple) else (inputs,)
    return next((len(leaf) for leaf in leaves if isinstance(leaf, Tensor) and leaf.dim()), 1)


def _check_finite(values: Tensor, number: int, name: str, *, replaced: bool) -> None:
    if bool(torch.isfinite(values).all()):
        return
    when = " with a linear function instead of an activation" if replaced else ""
    raise PlanError(
        f"{name} of batch {number} is not finite for {int((~torch.isfinite(values)).sum())} of {len(values)} samples{when}. "
        "Differences of it cannot be taken; measure something bounded, such as 'error'."
    )
