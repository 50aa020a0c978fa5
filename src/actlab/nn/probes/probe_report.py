"""The readout: what a probe has measured, point by point, as frozen numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import isnan, nan
from typing import Any, Final, overload

import numpy as np
from torch import Tensor

from actlab.errors import UnknownNameError
from actlab.nn.probes.accumulator import Accumulator
from actlab.nn.probes.unit_states import Census, census

__all__ = ["QUANTILES", "ProbeReport", "ProbeRow", "row_of"]

QUANTILES: Final = (0.01, 0.25, 0.5, 0.75, 0.99)


@dataclass(frozen=True, kw_only=True, eq=False)
class ProbeRow:
    """What was measured at one point: one activation behind one layer. NaN stands for what was not measured, or is not defined.

    Attributes:
        path: of the site, as :func:`actlab.find` has it.
        after: path of the layer whose weights made the input; None where there is none.
        spec: what runs there; its name, or "?", where the parameters are not known.
        units: channels of a convolution, or elements of the last dimension; 0 for functions that mix elements.
        samples: how many, by the first dimension.
        batches: how many.
        elements: outputs that were seen.
        mean: of the output, over all elements.
        variance: likewise.
        quantiles: of the output, at :data:`QUANTILES`, to a relative error of 1/32.
        sparsity: share of outputs that are exactly zero, or not above the threshold that was asked for.
        saturated: share of elements on a flat end (slope within 1 % of the steepest) and not zero, where both sides saturate.
        input_mean: of the input.
        input_variance: of the input.
        chi: E f'^2, the mean squared slope; times the squared weight scale, the factor of the squared gradient (the gradient factor).
        gradient_norm: of the loss with respect to the output: root mean square over batches.
        gradient_ratio: norm of the gradient at the input over that at the output. It is the square root of a weighted chi where nothing
            else takes the input.
        effective_rank: participation ratio of the covariance of the units, on up to 1024 rows a batch.
        nonfinite: outputs that were infinite or NaN.
        healthy, sparse, stuck, dead, born_dead: shares of units, see :mod:`actlab.nn.probes.unit_states`; ``stuck`` are the saturated ones,
            ``dead`` counts those that were born dead too.
        silent: share of units that were zero throughout a batch, mean over batches. No sign of death.
        overflowed: batches whose gradients were not finite; they count nowhere else.
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
        """Path, and the layer before it where the site has several."""
        return f"{self.path} after {self.after}" if self.after else self.path

    def numbers(self) -> dict[str, float]:
        """Return everything that is one number, by name, without what was not measured: for a log, or a file.

        Example:
            >>> import torch, actlab
            >>> report = actlab.probe(torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU()), [torch.randn(8, 2)])
            >>> "sparsity" in report[0].numbers(), "gradient_norm" in report[0].numbers()
            (True, False)
        """
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        values = {name: float(v) for name, v in found.items() if isinstance(v, (int, float)) and not isnan(v)}
        quantiles = zip(QUANTILES, self.quantiles, strict=True)
        return values | {f"q{round(100 * share):02d}": value for share, value in quantiles if not isnan(value)}


@dataclass(frozen=True, kw_only=True, eq=False)
class ProbeReport(Sequence[ProbeRow]):
    """What a probe measured: one row for each point, in the order of execution.

    Attributes:
        rows: the rows.
        step: number of the pass of training it was taken at, the last one where there are several; None outside of training.
        unseen: activations inside torch's fused modules, which no hook reaches, by path, with the reason.
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

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain numbers and texts, such as JSON holds."""
        rows = [{"path": r.path, "after": r.after, "spec": r.spec} | r.numbers() for r in self.rows]
        return {"step": self.step, "rows": rows, "unseen": dict(self.unseen)}

    def values(self) -> dict[str, float]:
        """Return every number under ``path/name``, as the writers of training logs want them."""
        return {f"{row.name}/{name}": value for row in self.rows for name, value in row.numbers().items()}

    def dead_at(self, row: ProbeRow) -> np.ndarray | None:
        """Return which units were dead at the same point of this report; None where it has none like it."""
        for own in self.rows:
            if (own.path, own.after, own.units) == (row.path, row.after, row.units) and own.census is not None:
                return own.census.dead
        return None


def row_of(tally: Accumulator, at_init: ProbeReport | None = None) -> ProbeRow:
    """Read a tally.

    Args:
        tally: with its batches ended.
        at_init: a report of the same model when it was initialised, by which units that were born dead are known.
    """
    point = tally.point
    mean, variance = tally.output.whole
    input_mean, input_variance = tally.input.whole
    elements = tally.output.count
    sides = tally.gradient_norm("input"), tally.gradient_norm("output")
    both = tally.saturates_on_both_sides and tally.saturated is not None
    row = ProbeRow(
        path=point.path,
        after=point.after,
        spec=point.running.spec or point.running.name or "?",
        units=point.width if point.dim is not None else 0,
        samples=tally.samples,
        batches=tally.batches,
        elements=elements,
        mean=mean,
        variance=variance,
        quantiles=tuple(tally.sketch.quantiles(QUANTILES)),
        sparsity=float(_numpy(tally.inactive, 1).sum()) / elements if elements else nan,
        saturated=float(_numpy(tally.saturated, 1).sum()) / elements if both else nan,
        input_mean=input_mean,
        input_variance=input_variance,
        chi=tally.chi,
        gradient_norm=sides[1],
        gradient_ratio=sides[0] / sides[1] if sides[1] > 0 else nan,
        effective_rank=tally.spread.effective_rank if tally.spread else nan,
        nonfinite=tally.sketch.nonfinite,
        overflowed=tally.overflowed,
    )
    return row if point.dim is None else _with_units(row, tally, at_init)


def _with_units(row: ProbeRow, tally: Accumulator, at_init: ProbeReport | None) -> ProbeRow:
    units, elements = row.units, tally.count
    zeros, saturated, silent = (_numpy(v, units) for v in (tally.zeros, tally.saturated, tally.silent))
    moved = np.ones(units, bool) if tally.moved is None else tally.moved.cpu().numpy()
    states = census(
        zeros=zeros,
        moved=moved,
        saturated=saturated,
        elements=elements,
        at_init=at_init.dead_at(row) if at_init else None,
    )
    gradient = np.full(units, nan)
    if tally.unit_gradients is not None:
        gradient = np.sqrt(_numpy(tally.unit_gradients, units) / (tally.gradient_batches or 1))
    found = Census(
        states=states,
        activity=1 - _numpy(tally.inactive, units) / elements,
        mean=_numpy(tally.sums, units) / elements,
        saturated=saturated / elements,
        silent=silent / max(1, tally.batches),
        gradient=gradient,
    )
    shares = {
        "healthy": found.share("healthy"),
        "sparse": found.share("sparse"),
        "stuck": found.share("saturated"),
        "dead": found.share("dead", "born dead") if tally.moved is not None else nan,
        "born_dead": found.share("born dead") if at_init else nan,
        "silent": float(found.silent.mean()),
    }
    return ProbeRow(**(_fields(row) | shares | {"census": found}))


def _fields(row: ProbeRow) -> dict[str, Any]:
    return {f.name: getattr(row, f.name) for f in fields(row)}


def _numpy(values: Tensor | float | None, units: int) -> np.ndarray:
    if isinstance(values, Tensor):
        return np.asarray(values.double().cpu().numpy())
    return np.full(units, float(values or 0))


def slim(rows: Iterable[ProbeRow]) -> tuple[ProbeRow, ...]:
    """Return the rows without their units, which are what takes memory."""
    return tuple(ProbeRow(**(_fields(row) | {"census": None})) for row in rows)
