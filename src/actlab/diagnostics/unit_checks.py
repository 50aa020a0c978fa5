"""Checks for dead and saturated units, units killed by training, and divergence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isnan, sqrt
from typing import Final

from actlab.diagnostics.check import Check, Finding
from actlab.diagnostics.measurements import ENOUGH, Measurements
from actlab.diagnostics.remedy import InsertNorms, MatchedInit, Remedy
from actlab.diagnostics.training_record import dead_units
from actlab.nn.probes.probe_report import ProbeRow
from actlab.system.plural import plural

__all__ = ["CHANNELS", "GONE", "STUCK", "UNIT_CHECKS"]

# share of a layer's units that are dead at initialization and after the first steps; healthy layers have up to 0.3
GONE: Final = 0.5
# the same without training steps; healthy layers have up to 0.52 at initialization and recover half of them
_BORN: Final = 0.75
# share of a convolution's channels; a channel is evaluated at many positions of every sample
CHANNELS: Final = 0.05
# share of a function's inputs in its saturated range, at initialization
STUCK: Final = 0.5
# number of unit indices shown in a sentence
_NAMED: Final = 8

_HE = "He et al. 2015, arXiv:1502.01852"
_NORMS = "Ioffe & Szegedy 2015, arXiv:1502.03167"
_GLOROT = "Glorot & Bengio 2010, AISTATS"
_LEAKY = "Maas et al. 2013, ICML; Xu et al. 2015, arXiv:1505.00853"
_DYING = "Lu et al. 2019, arXiv:1903.06733; CS231n notes, on dying ReLU"


def _killed(check: Check, measured: Measurements) -> Iterator[Finding]:
    record = measured.course
    if record is None or not record.deaths:
        return
    first, whole = record.deaths[0], record.whole
    row = measured.row(first.name)
    sentence = (
        f"{100 * first.share:.0f} % of the units of {first.name} are lost from step {first.step} on and do not recover "
        f"({100 * first.before:.0f} % at initialization), at a learning rate of {record.learning_rate:.3g}."
    )
    sentence += f" From step {whole.whole} on all units of {whole.name} are lost: no gradient passes." if whole else ""
    evidence = {"step": float(first.step), "share": first.share, "before": first.before}
    evidence |= {"learning_rate": record.learning_rate, "layers": float(len(record.deaths))}
    if whole is not None and whole.whole is not None:
        evidence["dead_from_step"] = float(whole.whole)
    if measured.tolerated is not None:
        evidence["tolerated"] = measured.tolerated
    yield check.finding(
        sentence,
        layer=(row.after or "") if row else "",
        site=row.path if row else first.name,
        evidence=evidence,
        remedies=tuple(_remedies_for_killed_units(measured)),
    )


def _remedies_for_killed_units(measured: Measurements) -> Iterator[Remedy]:
    yield from _smaller_learning_rate(measured)
    deaths = measured.course.deaths if measured.course else ()
    rows = [row for death in deaths if (row := measured.row(death.name)) is not None and not isnan(row.dead)]
    swap = measured.swap([row.path for row in rows if row.spec.startswith("relu")], "leaky_relu(0.1)")
    if swap is not None:
        yield Remedy(changes=(swap,), source=_LEAKY)


def _smaller_learning_rate(measured: Measurements) -> Iterator[Remedy]:
    if measured.tolerated is not None:
        yield Remedy(learning_rate=measured.tolerated / 2, source=_DYING)


def _diverging(check: Check, measured: Measurements) -> Iterator[Finding]:
    record = measured.course
    if record is None or record.diverged is None:
        return
    last = record.losses[record.diverged - 1]
    yield check.finding(
        f"The loss rises from {record.losses[0]:.3g} to {last:.3g} at step {record.diverged}, at a learning rate of "
        f"{record.learning_rate:.3g}.",
        evidence={"step": float(record.diverged), "learning_rate": record.learning_rate},
        remedies=tuple(_smaller_learning_rate(measured)),
    )


def _dead(check: Check, measured: Measurements) -> Iterator[Finding]:
    """Yield one finding for all layers with many units dead at initialization and, if there is a record, still dead at its end."""
    limit = _BORN if measured.course is None else GONE
    rows = [(row, units) for row, units in _born_dead(measured) if len(units) >= limit * row.units]
    if rows:
        remedies = (Remedy(changes=(MatchedInit(),), source=_HE), *_leaky_swaps(rows, measured))
        yield _dead_units_finding(check, rows, measured, remedies)


def _dead_channels(check: Check, measured: Measurements) -> Iterator[Finding]:
    rows = [
        (row, units)
        for row, units in _born_dead(measured)
        if measured.is_convolution(row) and CHANNELS * row.units <= len(units) < GONE * row.units
    ]
    if rows:
        yield _dead_units_finding(check, rows, measured, tuple(_leaky_swaps(rows, measured)))


def _born_dead(measured: Measurements) -> Iterator[tuple[ProbeRow, tuple[int, ...]]]:
    """Yield rows whose units training did not kill, with the units that are dead at initialization and at the end."""
    killed = {death.name for death in measured.course.deaths} if measured.course else set()
    last = measured.course.looks[-1].units if measured.course else None
    for row in _judged(measured):
        if row.name not in killed:
            born = dead_units(row)
            still = born if last is None else last.get(row.name, ())
            yield row, tuple(unit for unit in born if unit in still)


def _dead_units_finding(
    check: Check,
    rows: Sequence[tuple[ProbeRow, tuple[int, ...]]],
    measured: Measurements,
    remedies: tuple[Remedy, ...],
) -> Finding:
    row, units = rows[0]
    what = "channels" if measured.is_convolution(row) else "units"
    shown = ", ".join(map(str, units[:_NAMED])) + (", ..." if len(units) > _NAMED else "")
    still = f" and still after {plural(measured.course.looks[-1].step, 'step')}" if measured.course else ""
    more = f" Also in {', '.join(other.name for other, _ in rows[1:])}." if len(rows) > 1 else ""
    sentence = (
        f"{len(units)} of {row.units} {what} of {row.name} are dead at initialization{still} (output and slope zero for all "
        f"{plural(row.samples, 'sample')}): {shown}.{more}"
    )
    evidence = {"share": len(units) / row.units, "units": float(row.units), "share_at_init": row.dead}
    evidence["layers"] = float(len(rows))
    return check.finding(sentence, layer=row.after or "", site=row.path, evidence=evidence, remedies=remedies)


def _leaky_swaps(rows: Sequence[tuple[ProbeRow, tuple[int, ...]]], measured: Measurements) -> Iterator[Remedy]:
    for spec, source in (("leaky_relu(0.1)", _LEAKY), ("prelu", _HE)):
        swap = measured.swap([row.path for row, _ in rows], spec)
        if swap is not None:
            yield Remedy(changes=(swap,), source=source)


def _saturated(check: Check, measured: Measurements) -> Iterator[Finding]:
    # the comparison is false for NaN, which functions without a saturated range have
    rows = [row for row in _judged(measured) if row.saturated >= STUCK]
    if rows:
        row = rows[0]
        yield check.finding(
            f"{100 * row.saturated:.0f} % of the inputs of {row.name} are in the saturated range of {row.spec} at initialization; their "
            f"standard deviation is {sqrt(row.input_variance):.3g}. {len(rows)} of {len(_judged(measured))} layers are affected.",
            layer=row.after or "",
            site=row.path,
            evidence={"share": row.saturated, "input_deviation": sqrt(row.input_variance), "layers": float(len(rows))},
            remedies=tuple(_remedies_for_saturation(measured)),
        )


def _remedies_for_saturation(measured: Measurements) -> Iterator[Remedy]:
    yield Remedy(changes=(MatchedInit(),), source=f"{_GLOROT}; {_HE}")
    if not measured.norms:
        yield Remedy(changes=(InsertNorms(),), source=_NORMS)


def _judged(measured: Measurements) -> list[ProbeRow]:
    """Return the rows with units, if there are enough samples to judge them."""
    report = measured.at_init
    return [row for row in report if row.units] if report is not None and measured.samples >= ENOUGH else []


UNIT_CHECKS: Final = (
    Check(
        name="killed by the learning rate",
        kind="fault",
        statement="A training step that is too large moves units to where their slope is zero, from which they do not recover.",
        source=_DYING,
        run=_killed,
        topics=(("dead units",),),
    ),
    Check(
        name="diverges",
        kind="fault",
        statement="A loss that grows a thousandfold or is not finite is caused by too large a learning rate or initialization.",
        source="Goodfellow, Bengio & Courville 2016, Deep Learning, section 8.3",
        run=_diverging,
    ),
    Check(
        name="born dead",
        kind="fault",
        statement="A unit whose output and slope are zero for all samples, at initialization and after the first steps, is not trained.",
        source=f"Lu et al. 2019, arXiv:1903.06733; {_LEAKY}",
        run=_dead,
        topics=(("dead units",),),
    ),
    Check(
        name="saturated at the init",
        kind="fault",
        statement="In its saturated range a function passes almost no gradient.",
        source=_GLOROT,
        run=_saturated,
        topics=(("saturation",), ("vanishing gradients",)),
    ),
)
"""Checks of units and of training, which report faults."""

DEAD_CHANNELS_CHECK: Final = Check(
    name="dead channels",
    kind="hint",
    statement="A channel that is zero at all positions of all samples costs time and contributes nothing.",
    source=_LEAKY,
    run=_dead_channels,
    topics=(("dead units",),),
)
"""Reports hints, not faults: a few dead channels are common, and most nets perform as well with them."""
