"""Lost units: rules on units that are dead or saturated at the init, on those that training kills, and on training that diverges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isnan, sqrt
from typing import Final

from actlab.diagnostics.check import Check, Finding
from actlab.diagnostics.measurements import ENOUGH, Measurements
from actlab.diagnostics.remedy import MatchedInit, Norms, Remedy
from actlab.diagnostics.training_record import dead_units
from actlab.nn.probes.probe_report import ProbeRow

__all__ = ["CHANNELS", "GONE", "LOST_UNITS", "STUCK"]

GONE: Final = (
    0.5  # share of a layer's units that are dead at the init and after the first steps: healthy layers have up to 0.3
)
_BORN: Final = (
    0.75  # the same where nobody has trained: healthy layers have up to 0.52 at their init, and get half of them back
)
CHANNELS: Final = 0.05  # of a convolution's channels, each of which looks at many positions of every sample
STUCK: Final = 0.5  # share of the inputs of a function that lie on a flat end, at the init
_NAMED: Final = 8  # units by their number, in a sentence

_HE = "He et al. 2015, arXiv:1502.01852"
_NORMS = "Ioffe & Szegedy 2015, arXiv:1502.03167"
_GLOROT = "Glorot & Bengio 2010, AISTATS"
_LEAKY = "Maas et al. 2013, ICML; Xu et al. 2015, arXiv:1505.00853"
_DYING = "Lu et al. 2019, arXiv:1903.06733; CS231n notes, on dying ReLU"


def _killed(rule: Check, examined: Measurements) -> Iterator[Finding]:
    course = examined.course
    if course is None or not course.deaths:
        return
    first, whole = course.deaths[0], course.whole
    row = examined.row(first.name)
    sentence = (
        f"{100 * first.share:.0f} % of the units of {first.name} are lost, from step {first.step} on and for good "
        f"({100 * first.before:.0f} % were at the init), at a learning rate of {course.learning_rate:.3g}."
    )
    sentence += f" From step {whole.whole} on nothing passes {whole.name}: the net is dead." if whole else ""
    evidence = {"step": float(first.step), "share": first.share, "before": first.before}
    evidence |= {"learning_rate": course.learning_rate, "layers": float(len(course.deaths))}
    if whole is not None and whole.whole is not None:
        evidence["dead_from_step"] = float(whole.whole)
    if examined.tolerated is not None:
        evidence["tolerated"] = examined.tolerated
    yield rule.found(
        sentence,
        layer=(row.after or "") if row else "",
        site=row.path if row else first.name,
        evidence=evidence,
        prescriptions=tuple(_for_the_killed(examined)),
    )


def _for_the_killed(examined: Measurements) -> Iterator[Remedy]:
    yield from _slower(examined)
    deaths = examined.course.deaths if examined.course else ()
    rows = [row for death in deaths if (row := examined.row(death.name)) is not None and not isnan(row.dead)]
    swap = examined.swap([row.path for row in rows if row.spec.startswith("relu")], "leaky_relu(0.1)")
    if swap is not None:
        yield Remedy(measures=(swap,), source=_LEAKY)


def _slower(examined: Measurements) -> Iterator[Remedy]:
    if examined.tolerated is not None:
        yield Remedy(learning_rate=examined.tolerated / 2, source=_DYING)


def _diverging(rule: Check, examined: Measurements) -> Iterator[Finding]:
    course = examined.course
    if course is None or course.diverged is None:
        return
    last = course.losses[course.diverged - 1]
    yield rule.found(
        f"The loss is {last:.3g} at step {course.diverged}, from {course.losses[0]:.3g}, at a learning rate of {course.learning_rate:.3g}.",
        evidence={"step": float(course.diverged), "learning_rate": course.learning_rate},
        prescriptions=tuple(_slower(examined)),
    )


def _dead(rule: Check, examined: Measurements) -> Iterator[Finding]:
    """Yield one finding for all layers half of whose units are dead at the init; where there is a course, the same at its end as well."""
    limit = _BORN if examined.course is None else GONE
    found = [(row, units) for row, units in _born_dead(examined) if len(units) >= limit * row.units]
    if found:
        yield _of_the_dead(rule, found, examined, tuple(_for_the_dead(found, examined)))


def _dead_channels(rule: Check, examined: Measurements) -> Iterator[Finding]:
    found = [(row, units) for row, units in _born_dead(examined) if examined.is_convolution(row)]
    some = [(row, units) for row, units in found if CHANNELS * row.units <= len(units) < GONE * row.units]
    if some:
        yield _of_the_dead(rule, some, examined, tuple(_leaks(some, examined)))


def _born_dead(examined: Measurements) -> Iterator[tuple[ProbeRow, tuple[int, ...]]]:
    """Yield the rows that training has not killed, with those of their units that were dead from the init to the end."""
    killed = {death.name for death in examined.course.deaths} if examined.course else set()
    last = examined.course.looks[-1].units if examined.course else None
    for row in _judged(examined):
        if row.name not in killed:
            born = dead_units(row)
            still = born if last is None else last.get(row.name, ())
            yield row, tuple(unit for unit in born if unit in still)


def _of_the_dead(
    rule: Check,
    found: Sequence[tuple[ProbeRow, tuple[int, ...]]],
    examined: Measurements,
    prescriptions: tuple[Remedy, ...],
) -> Finding:
    row, units = found[0]
    what = "channels" if examined.is_convolution(row) else "units"
    shown = ", ".join(map(str, units[:_NAMED])) + (", ..." if len(units) > _NAMED else "")
    still = f" and still after {examined.course.looks[-1].step} steps" if examined.course else ""
    more = f" Also in {', '.join(other.name for other, _ in found[1:])}." if len(found) > 1 else ""
    sentence = (
        f"{len(units)} of {row.units} {what} of {row.name} are dead at the init{still}, zero with slope zero for all of "
        f"{row.samples} samples: {shown}.{more}"
    )
    evidence = {"share": len(units) / row.units, "units": float(row.units), "share_at_init": row.dead}
    evidence["layers"] = float(len(found))
    return rule.found(sentence, layer=row.after or "", site=row.path, evidence=evidence, prescriptions=prescriptions)


def _for_the_dead(found: Sequence[tuple[ProbeRow, tuple[int, ...]]], examined: Measurements) -> Iterator[Remedy]:
    yield Remedy(measures=(MatchedInit(),), source=_HE)
    yield from _leaks(found, examined)


def _leaks(found: Sequence[tuple[ProbeRow, tuple[int, ...]]], examined: Measurements) -> Iterator[Remedy]:
    for spec, source in (("leaky_relu(0.1)", _LEAKY), ("prelu", _HE)):
        swap = examined.swap([row.path for row, _ in found], spec)
        if swap is not None:
            yield Remedy(measures=(swap,), source=source)


def _saturated(rule: Check, examined: Measurements) -> Iterator[Finding]:
    found = [row for row in _judged(examined) if row.saturated >= STUCK]  # false for NaN: only some functions saturate
    if found:
        row = found[0]
        yield rule.found(
            f"{100 * row.saturated:.0f} % of what goes into {row.name} lies on a flat end of {row.spec} at the init; its deviation is "
            f"{sqrt(row.input_variance):.3g}. So it is in {len(found)} of {len(_judged(examined))} layers.",
            layer=row.after or "",
            site=row.path,
            evidence={"share": row.saturated, "input_deviation": sqrt(row.input_variance), "layers": float(len(found))},
            prescriptions=tuple(_for_the_saturated(examined)),
        )


def _for_the_saturated(examined: Measurements) -> Iterator[Remedy]:
    yield Remedy(measures=(MatchedInit(),), source=f"{_GLOROT}; {_HE}")
    if not examined.norms:
        yield Remedy(measures=(Norms(),), source=_NORMS)


def _judged(examined: Measurements) -> list[ProbeRow]:
    report = examined.at_init
    return [row for row in report if row.units] if report is not None and examined.samples >= ENOUGH else []


LOST_UNITS: Final = (
    Check(
        name="killed by the learning rate",
        kind="fault",
        says="A step that is too large throws units to where their slope is zero, and no later step brings them back.",
        source=_DYING,
        read=_killed,
    ),
    Check(
        name="diverges",
        kind="fault",
        says="A loss that grows a thousandfold, or is no number, comes of a learning rate or an init that is too large.",
        source="Goodfellow, Bengio & Courville 2016, Deep Learning, section 8.3",
        read=_diverging,
    ),
    Check(
        name="born dead",
        kind="fault",
        says="A unit that is zero with slope zero for all samples, at the init and after the first steps, is a unit that is not there.",
        source=f"Lu et al. 2019, arXiv:1903.06733; {_LEAKY}",
        read=_dead,
    ),
    Check(
        name="saturated at the init",
        kind="fault",
        says="A flat end of a function passes next to no gradient.",
        source=_GLOROT,
        read=_saturated,
    ),
)
"""What was measured to be wrong with units, and with training."""

DEAD_CHANNELS: Final = Check(
    name="dead channels",
    kind="hint",
    says="A channel of a convolution that is zero at all positions of all samples takes time and gives nothing.",
    source=_LEAKY,
    read=_dead_channels,
)
"""A few dead channels are common, and most nets do as well without them: this counts where a change helps."""
