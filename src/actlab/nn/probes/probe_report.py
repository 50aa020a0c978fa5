"""Report of a probe, with a frozen row of measurements for each activation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from math import isnan, nan
from typing import Any, Final, overload

import numpy as np
from torch import Tensor

from actlab.errors import UnknownNameError
from actlab.nn.probes.accumulator import Accumulator
from actlab.nn.probes.hooks import Side
from actlab.nn.probes.unit_states import Census, classify_units
from actlab.system.display import Displayed

__all__ = ["QUANTILES", "ProbeReport", "ProbeRow", "row_of", "without_units"]

QUANTILES: Final = (0.01, 0.25, 0.5, 0.75, 0.99)


@dataclass(frozen=True, kw_only=True, eq=False)
class ProbeRow:
    """Measurements of one activation behind one layer. NaN stands for values that were not measured or are not defined.

    Attributes:
        path: path of the site, as in :func:`actlab.find`.
        after: path of the layer whose weights made the input; None where there is none.
        spec: what runs there; its name, or "?", where the parameters are not known.
        units: channels of a convolution, or elements of the last dimension; 0 for functions that mix elements.
        samples: number of samples, by the first dimension.
        batches: number of batches.
        elements: number of outputs.
        mean: mean output, over all elements.
        variance: variance of the output, over all elements.
        quantiles: quantiles of the output, at :data:`QUANTILES`, to a relative error of 1/32.
        sparsity: share of outputs that are exactly zero, or not above the threshold.
        saturated: share of elements on a flat end (slope within 1 % of the steepest) and not zero, where both sides saturate.
        input_mean: mean input.
        input_variance: variance of the input.
        chi: E f'^2, the mean squared slope; times the squared weight scale, the factor of the squared gradient (the gradient factor).
        gradient_norm: norm of the loss's gradient at the output, root mean square over batches.
        gradient_ratio: norm of the gradient at the input over that at the output; the square root of a weighted chi where nothing else
            uses the input.
        effective_rank: participation ratio of the covariance of the units, on up to 1024 rows a batch.
        nonfinite: number of outputs that were infinite or NaN.
        healthy, sparse, stuck, dead, born_dead: shares of units, see :mod:`actlab.nn.probes.unit_states`; ``stuck`` are the saturated
            units, and ``dead`` includes the born dead.
        silent: share of units that were zero throughout a batch, mean over batches; such units need not be dead.
        overflowed: number of batches whose gradients were not finite; they count nowhere else.
        census: the units one by one; None where there are none, and in a probe's history.
    """

    path: str
    after: str | None
    spec: str
    units: int
    samples: int
    batches: int
    elements: int
    mean: float
    variance: float
    quantiles: tuple[float, ...]
    sparsity: float
    saturated: float
    input_mean: float
    input_variance: float
    chi: float
    gradient_norm: float
    gradient_ratio: float
    effective_rank: float
    nonfinite: int
    healthy: float = nan
    sparse: float = nan
    stuck: float = nan
    dead: float = nan
    born_dead: float = nan
    silent: float = nan
    overflowed: int = 0
    census: Census | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Path, with the layer before it if there is one."""
        return f"{self.path} after {self.after}" if self.after else self.path

    def numbers(self) -> dict[str, float]:
        """Return all scalar measurements by name, without NaNs, for a log or file.

        Example:
            >>> import torch, actlab
            >>> report = actlab.probe(torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU()), [torch.randn(8, 2)])
            >>> "sparsity" in report[0].numbers(), "gradient_norm" in report[0].numbers()
            (True, False)
        """
        values = {name: float(v) for name, v in _fields(self).items() if isinstance(v, (int, float)) and not isnan(v)}
        quantiles = zip(QUANTILES, self.quantiles, strict=True)
        return values | {f"q{round(100 * share):02d}": value for share, value in quantiles if not isnan(value)}


@dataclass(frozen=True, kw_only=True, eq=False)
class ProbeReport(Displayed, Sequence[ProbeRow]):
    """Result of a probe: one row for each activation behind each layer, in order of execution.

    Attributes:
        rows: the rows.
        step: number of the measured training pass, the last one of several; None outside of training.
        unseen: reasons of the activations inside torch's fused modules, which no hook reaches, by path.
    """

    rows: tuple[ProbeRow, ...]
    step: int | None = None
    unseen: Mapping[str, str] = field(default_factory=dict)

    @overload
    def __getitem__(self, key: int | str) -> ProbeRow: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[ProbeRow, ...]: ...
    def __getitem__(self, key: int | str | slice) -> ProbeRow | tuple[ProbeRow, ...]:
        """Return rows by number, or the first one of a site by its path.

        Raises:
            UnknownNameError: no row has this path.
        """
        if not isinstance(key, str):
            return self.rows[key]
        for row in self.rows:
            if key in {row.path, row.name}:
                return row
        raise UnknownNameError("measured site", key, [row.path for row in self.rows])

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[ProbeRow]:
        return iter(self.rows)

    def values(self) -> dict[str, float]:
        """Return every number under ``path/name``, for writers of training logs."""
        return {f"{row.name}/{name}": value for row in self.rows for name, value in row.numbers().items()}

    def dead_at(self, row: ProbeRow) -> np.ndarray | None:
        """Return which units are dead in the row of this report for the same activation; None if there is no such row."""
        for other in self.rows:
            if (other.path, other.after, other.units) == (row.path, row.after, row.units) and other.census is not None:
                return other.census.dead
        return None


def row_of(accumulator: Accumulator, at_init: ProbeReport | None = None) -> ProbeRow:
    """Return the row of an accumulator.

    Args:
        accumulator: with its batches ended.
        at_init: a report of the same model at initialization, for the units that were born dead.
    """
    point, units, batches = accumulator.point, accumulator.units, accumulator.batches
    mean, variance = accumulator.output.mean_and_variance
    input_mean, input_variance = accumulator.input.mean_and_variance
    elements = accumulator.output.count
    norms: dict[Side, float] = {side: accumulator.gradients.norm(side) for side in ("input", "output")}
    has_saturation = accumulator.saturates_on_both_sides and units.saturated is not None
    row = ProbeRow(
        path=point.path,
        after=point.after,
        spec=point.running.spec or point.running.name or "?",
        units=point.width if point.dim is not None else 0,
        samples=batches.samples,
        batches=batches.batches,
        elements=elements,
        mean=mean,
        variance=variance,
        quantiles=tuple(accumulator.sketch.quantiles(QUANTILES)),
        sparsity=float(_numpy(units.inactive, 1).sum()) / elements if elements else nan,
        saturated=float(_numpy(units.saturated, 1).sum()) / elements if has_saturation else nan,
        input_mean=input_mean,
        input_variance=input_variance,
        chi=accumulator.chi,
        gradient_norm=norms["output"],
        gradient_ratio=norms["input"] / norms["output"] if norms["output"] > 0 else nan,
        effective_rank=accumulator.covariance.effective_rank if accumulator.covariance else nan,
        nonfinite=accumulator.sketch.nonfinite,
        overflowed=accumulator.gradients.overflowed,
    )
    return row if point.dim is None else _with_units(row, accumulator, at_init)


def _with_units(row: ProbeRow, accumulator: Accumulator, at_init: ProbeReport | None) -> ProbeRow:
    has_slopes = accumulator.slopes.nonzero is not None
    census = _census(accumulator, row.units, at_init.dead_at(row) if at_init else None)
    return replace(
        row,
        healthy=census.share("healthy"),
        sparse=census.share("sparse"),
        stuck=census.share("saturated"),
        dead=census.share("dead", "born dead") if has_slopes else nan,
        born_dead=census.share("born dead") if at_init else nan,
        silent=float(census.silent.mean()),
        census=census,
    )


def _census(accumulator: Accumulator, units: int, dead_at_init: np.ndarray | None) -> Census:
    sums, gradients, batches = accumulator.units, accumulator.gradients, accumulator.batches
    has_slope = accumulator.slopes.nonzero
    saturated = _numpy(sums.saturated, units)
    states = classify_units(
        zeros=_numpy(sums.zeros, units),
        has_slope=np.ones(units, bool) if has_slope is None else has_slope.cpu().numpy(),
        saturated=saturated,
        elements=sums.count,
        at_init=dead_at_init,
    )
    gradient = np.full(units, nan)
    if gradients.units is not None:
        gradient = np.sqrt(_numpy(gradients.units, units) / (gradients.batches or 1))
    return Census(
        states=states,
        activity=1 - _numpy(sums.inactive, units) / sums.count,
        mean=_numpy(sums.outputs, units) / sums.count,
        saturated=saturated / sums.count,
        silent=_numpy(batches.silent, units) / max(1, batches.batches),
        gradient=gradient,
    )


def _fields(row: ProbeRow) -> dict[str, Any]:
    return {f.name: getattr(row, f.name) for f in fields(row)}


def _numpy(values: Tensor | float | None, units: int) -> np.ndarray:
    if isinstance(values, Tensor):
        return np.asarray(values.double().cpu().numpy())
    return np.full(units, float(values or 0))


def without_units(rows: Iterable[ProbeRow]) -> tuple[ProbeRow, ...]:
    """Return the rows without their units, which take most of the memory."""
    return tuple(replace(row, census=None) for row in rows)
