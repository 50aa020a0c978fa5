"""The importance of a site: what a model loses when a line, or a constant, stands where an activation was; and which can be lines together.

Every site is exchanged alone and the model is judged on held-out samples, the same ones with and without the exchange, so that what a
sample is worth cancels. Then the sites become lines one after another, the least important first, each fitted in the net as it then is.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any, Final, overload

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from actlab.errors import PlanError, SiteError, UnknownNameError
from actlab.nn.probes.affine_fit import Line, fit_lines
from actlab.nn.probes.batch import input_of
from actlab.nn.sites.dry_run import Inputs, copy_inputs, run, no_side_effects
from actlab.nn.sites.find import Entry, Site, Survey, survey
from actlab.nn.transforms.linearize import refit_line, sites_for_lines, temporary_lines
from actlab.stats.paired_effect import Effect, effect, judged
from actlab.tasks.metrics.per_sample import Direction, Measure, PerSample, measure_of

__all__ = ["Importance", "SiteImportance", "Step", "check_settings", "importance"]

TOLERANCE: Final = 0.05
"""Share of the model's own mean measure that may be lost where no tolerance is given."""

_ROUNDINGS: Final = 64
"""Differences up to so many units in the last place of the largest value are rounding: another order of sums in a net of some layers."""


@dataclass(frozen=True, kw_only=True)
class SiteImportance:
    """What one site is worth.

    Attributes:
        path: of the site.
        spec: what runs there.
        channels: how many lines were fitted: one for each channel, or one for the site.
        r2: share of the outputs' variance within channels that the lines explain, on the calibration data.
        linearised: effect of the best line in its place.
        ablated: effect of the mean of its outputs in its place.
    """

    path: str
    spec: str
    channels: int
    r2: float
    linearised: Effect
    ablated: Effect


@dataclass(frozen=True, kw_only=True)
class Step:
    """One more site that is a line, together with all before it.

    Attributes:
        path: the site that became one.
        r2: of its line, in the net as it was then; None where it does not run there any more.
        total: effect of all lines so far, against the model as it is. Its p value is not adjusted, and its state statement nothing: the order
            was chosen on the same samples.
        within: whether the upper end of the interval, here and in every step before, is within the tolerance.
    """

    path: str
    r2: float | None
    total: Effect
    within: bool


@dataclass(frozen=True, kw_only=True)
class Importance(Sequence[SiteImportance]):
    """What the sites of a model are worth: a sequence of :class:`SiteImportance`, in the order in which they run.

    Attributes:
        rows: the sites.
        steps: the cumulative linearisation, from the least important site to all of them.
        unseen: sites that no line can take the place of, with the reason.
        measure: name of what was measured.
        direction: "min" when smaller is better.
        baseline: mean of the measure of the model as it is.
        samples: how many the model was judged on.
        calibration: how many the lines were fitted to.
        tolerance: what may be lost together, in the unit of the measure.
        alpha: error rate of the whole table of single exchanges.
        per_channel: whether each channel has a line of its own.
    """

    rows: tuple[SiteImportance, ...]
    steps: tuple[Step, ...]
    unseen: Mapping[str, str]
    measure: str
    direction: Direction
    baseline: float
    samples: int
    calibration: int
    tolerance: float
    alpha: float
    per_channel: bool

    @property
    def together(self) -> tuple[str, ...]:
        """Paths of the sites that can be lines together within the tolerance, the least important first."""
        return tuple(step.path for step in self.steps if step.within)

    @property
    def ranked(self) -> tuple[SiteImportance, ...]:
        """The sites, the most important first, by what a line in their place costs."""
        return tuple(sorted(self.rows, key=lambda row: -row.linearised.mean))

    def to_dict(self) -> dict[str, Any]:
        """Return everything as data for JSON."""
        return {**asdict(self), "unseen": dict(self.unseen), "together": list(self.together)}

    @overload
    def __getitem__(self, index: int | str) -> SiteImportance: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[SiteImportance, ...]: ...
    def __getitem__(self, index: int | str | slice) -> SiteImportance | tuple[SiteImportance, ...]:
        if not isinstance(index, str):
            return self.rows[index]
        found = next((row for row in self.rows if row.path == index), None)
        if found is None:
            raise UnknownNameError("measured site", index, [row.path for row in self.rows])
        return found

    def __len__(self) -> int:
        return len(self.rows)


def importance(
    model: nn.Module,
    data: Iterable[Any],
    *,
    measure: str | Measure | PerSample | None = None,
    direction: Direction = "min",
    calibration: Iterable[Any] | None = None,
    batches: int | None = None,
    sites: Iterable[str | Site] | None = None,
    tolerance: float | None = None,
    alpha: float = 0.05,
    per_channel: bool = True,
    inputs: Callable[[Any], Inputs] = input_of,
    progress: Callable[[str], None] = lambda _: None,
) -> Importance:
    """Measure which activations a model's output depends on, and which could be linear.

    The batches are kept while it works, because every exchange is judged on the same samples; the fits take constant memory. For n sites
    the model runs about 3n times over the data and n times over the calibration. It is left as it was: weights, buffers, flags, hooks,
    classes, random generators.

    Args:
        model: any module; it runs in eval mode.
        data: batches: sequences of input and target, as a DataLoader's pairs. Samples (the first dimension) must be independent.
        measure: "cross_entropy", "error", "squared_error", or a function of output and target that gives one number for each sample; by
            default cross-entropy where targets are whole numbers, and the squared error elsewhere.
        direction: of a function: "min" when smaller is better, "max" when larger is.
        calibration: batches that the lines are fitted to; by default the first half of the data, and the model is judged on the rest.
        batches: how many are taken of each; all if not given.
        sites: paths, names, patterns or depths, as the keys of :func:`actlab.swap_`; by default all whose result the model does not return.
        tolerance: what the model may lose with several lines at once, in the unit of the measure; 5 % of its mean if not given.
        alpha: error rate of the table: Holm's correction over both exchanges of every site.
        per_channel: a line for each channel (a linear layer behind it can take it in); else one for each site.
        inputs: picks the model's input from a batch that is neither a tensor, a mapping nor a sequence.
        progress: called with a word on what is measured now.

    Raises:
        SiteError: there are too few batches, no site can be exchanged, or the model raises.
        PlanError: the measure gives no finite number for each sample, or the model no two samples.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> nn.init.constant_(net[0].bias, 50.0)  # the ReLU never sees a number below zero
        Parameter containing: ...
        >>> found = importance(net, [(x, net(x).detach()) for x in torch.randn(4, 16, 2)])
        >>> found["1"].r2, found["1"].linearised.state, found["1"].ablated.state, found.together
        (1.0, 'none', 'worse', ('1',))
    """
    check_settings(alpha, tolerance)
    fit, held = _halves(data, calibration, batches)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    fit, held = ([_moved(batch, device) for batch in part] for part in (fit, held))
    bench = _Bench(
        whole=survey(model, inputs(fit[0])),
        fit=fit,
        held=held,
        measure=measure_of(measure, _target(held[0]), direction=direction),
        inputs=inputs,
        per_channel=per_channel,
    )
    entries, left = sites_for_lines(bench.whole, None if sites is None else list(sites), inputs(fit[0]))
    progress("the model as it is")
    before = bench.scores({})
    if len(before) < 2:
        raise PlanError(f"The model was judged on {len(before)} sample; an interval over samples needs two at least.")
    rows, unfit = _alone(bench, entries, before, alpha, progress)
    if not rows:
        raise SiteError(
            f"No activation of {type(model).__name__} ran on the calibration data, so no line can be fitted."
        )
    allowed = TOLERANCE * abs(float(before.mean())) if tolerance is None else tolerance
    fitted = [entry for entry in entries if entry.site.path not in unfit]
    steps = _together(bench, fitted, rows, before, tolerance=allowed, progress=progress)
    return Importance(
        rows=tuple(rows),
        steps=tuple(steps),
        unseen={**{skip.site.path: skip.reason for skip in left}, **unfit},
        measure=bench.measure.name,
        direction=bench.measure.direction,
        baseline=float(before.mean()),
        samples=len(before),
        calibration=sum(_count(inputs(batch)) for batch in fit),
        tolerance=allowed,
        alpha=alpha,
        per_channel=per_channel,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Bench:
    """A model, and what it is judged on."""

    whole: Survey
    fit: list[Any]
    held: list[Any]
    measure: Measure
    inputs: Callable[[Any], Inputs]
    per_channel: bool

    def scores(self, stand_ins: Mapping[Hashable, Line]) -> np.ndarray:
        """Return the measure of every held-out sample, with lines in the place of activations."""
        parts = []
        with temporary_lines(self.whole, stand_ins):
            for number, batch in enumerate(self.held):
                with no_side_effects(self.whole.model):  # anew for each batch, so that all begin at the same seed
                    output = run(self.whole.model, copy_inputs(self.inputs(batch)))
                    parts.append(self.measure(output, _target(batch)))
                _check_finite(parts[-1], number, self.measure.name, exchanged=bool(stand_ins))
        return torch.cat(parts).numpy()

    def worsening(self, before: np.ndarray, stand_ins: Mapping[Hashable, Line]) -> Effect:
        """Return the effect of lines, against the model as it is."""
        sign = 1.0 if self.measure.direction == "min" else -1.0
        after = self.scores(stand_ins)
        return effect(sign * (after - before), rounding=self._rounding(before))

    def _rounding(self, before: np.ndarray) -> float:
        weight = next((p for p in self.whole.model.parameters() if p.is_floating_point()), torch.zeros(()))
        return float(_ROUNDINGS * torch.finfo(weight.dtype).eps * np.abs(before).max())


def _alone(
    bench: _Bench, entries: Sequence[Entry], before: np.ndarray, alpha: float, progress: Callable[[str], None]
) -> tuple[list[SiteImportance], dict[str, str]]:
    """Exchange every site alone. Returns the rows, and the sites that cannot be fitted, with the reason."""
    keys = [entry.slot.key for entry in entries]
    progress("fitting lines")
    found = fit_lines(bench.whole.model, bench.fit, keys, inputs=bench.inputs, per_channel=bench.per_channel)
    unfit = {e.site.path: "its inputs and outputs were not seen" for e in entries if e.slot.key not in found}
    rows = []
    for entry in entries:
        if (line := found.get(entry.slot.key)) is not None:
            progress(entry.site.path)
            rows.append(_row(bench, entry, line, before))
    tested = judged([test for row in rows for test in (row.linearised, row.ablated)], alpha=alpha)
    both = zip(rows, tested[::2], tested[1::2], strict=True)
    return [replace(row, linearised=linearised, ablated=ablated) for row, linearised, ablated in both], unfit


def _row(bench: _Bench, entry: Entry, line: Line, before: np.ndarray) -> SiteImportance:
    key = entry.slot.key
    return SiteImportance(
        path=entry.site.path,
        spec=entry.site.spec or entry.site.name or "?",
        channels=len(line.slope),
        r2=line.r2,
        linearised=bench.worsening(before, {key: line}),
        ablated=bench.worsening(before, {key: line.flat()}),
    )


def _together(
    bench: _Bench,
    entries: Sequence[Entry],
    rows: Sequence[SiteImportance],
    before: np.ndarray,
    *,
    tolerance: float,
    progress: Callable[[str], None],
) -> Iterator[Step]:
    """Make the sites lines one after another, the least important first, each fitted in the net as it then is."""
    fitted: dict[Hashable, Line] = {}
    within = True
    ordered = sorted(zip(entries, rows, strict=True), key=lambda pair: pair[1].linearised.mean)
    for number, (entry, row) in enumerate(ordered, 1):
        progress(f"{number} of {len(ordered)} lines at once")
        fitted |= refit_line(bench.whole, fitted, entry, bench.fit, inputs=bench.inputs, per_channel=bench.per_channel)
        total = bench.worsening(before, fitted)
        within = within and total.high <= tolerance
        line = fitted.get(entry.slot.key)
        yield Step(path=row.path, r2=None if line is None else line.r2, total=total, within=within)


# ----------------------------------------------------------------------------------------------- the data


def _halves(data: Iterable[Any], calibration: Iterable[Any] | None, batches: int | None) -> tuple[list[Any], list[Any]]:
    """Return the batches to fit and to judge on."""
    held = list(islice(data, batches))
    if calibration is not None:
        fit = list(islice(calibration, batches))
        if not fit or not held:
            empty = "calibration" if not fit else "data"
            raise SiteError(f"The {empty} gave no batch (a generator that was read before is empty).")
        return fit, held
    if len(held) < 2:
        raise SiteError(
            f"The data gave {len(held)} batches; lines are fitted to the first half of them and judged on the other, so two are needed. "
            "Give smaller batches, or calibration=[...]."
        )
    return held[: len(held) // 2], held[len(held) // 2 :]


def _moved(batch: Any, device: torch.device) -> Any:
    return tree_map(lambda leaf: leaf.to(device) if isinstance(leaf, Tensor) else leaf, batch)


def _target(batch: Any) -> Any:
    """Return the target: the second element of a sequence, or the batch itself."""
    return batch[1] if isinstance(batch, Sequence) and len(batch) > 1 else batch


def _count(given: Inputs) -> int:
    leaves = given.values() if isinstance(given, Mapping) else given if isinstance(given, tuple) else (given,)
    return next((len(leaf) for leaf in leaves if isinstance(leaf, Tensor) and leaf.dim()), 1)


def check_settings(alpha: float, tolerance: float | None) -> None:
    """Raise PlanError unless an error rate and a tolerance make sense."""
    if not 0 < alpha < 1:
        raise PlanError(f"alpha is the error rate of the table, between 0 and 1; got {alpha!r}.")
    if tolerance is not None and not tolerance >= 0:
        raise PlanError(f"tolerance is what may be lost, in the unit of the measure: zero or more; got {tolerance!r}.")


def _check_finite(values: Tensor, number: int, name: str, *, exchanged: bool) -> None:
    if bool(torch.isfinite(values).all()):
        return
    after = " with a line in the place of an activation" if exchanged else ""
    raise PlanError(
        f"{name} of batch {number} is not finite for {int((~torch.isfinite(values)).sum())} of {len(values)} samples{after}. "
        "Differences cannot be taken from that; measure something bounded, like 'error'."
    )
