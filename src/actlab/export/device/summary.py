"""Figures of a project on cores for its README, and the refusal of wrong outputs."""

from __future__ import annotations

from collections.abc import Sequence

from actlab.export.refusal import Refusal, refuse
from actlab.export.report import DeviceFigures

__all__ = ["refuse_wrong", "section"]


def refuse_wrong(devices: Sequence[DeviceFigures], model: str, target: str) -> None:
    """Refuse a project whose outputs are wrong on a core and right on this machine.

    Args:
        devices: its figures.
        model: name of the model.
        target: name of the format.

    Raises:
        ExportError: an output is wrong.
    """
    reasons = [
        Refusal(
            name=each.name,
            place="the project",
            reason=f"its outputs are wrong there ({each.result}), by {each.compiler} and {each.emulator}; please report it.",
        )
        for each in devices
        if each.right is False
    ]
    refuse(model, target, reasons)


def section(devices: Sequence[DeviceFigures]) -> str:
    """Return the part of a README about cores, which is empty where none was asked for.

    Example:
        >>> print(section([DeviceFigures(core="m3", name="Cortex-M3", missing="No compiler is installed.")]))
        <BLANKLINE>
        ## On cores in an emulator
        <BLANKLINE>
        - Cortex-M3: not measured. No compiler is installed.
        <BLANKLINE>
    """
    if not devices:
        return ""
    measured = [each for each in devices if each.instructions is not None]
    notes = [f"- {each.name}: not measured. {' '.join(each.missing.split())}" for each in devices if each.missing]
    notes += [f"- {each.name}: {each.note}." for each in measured if each.note]
    parts = ["", "## On cores in an emulator", ""]
    if measured:
        parts += [_method(measured), "", *_table(measured), ""]
    return "\n".join([*parts, *notes, *([""] if notes else [])])


def _method(measured: Sequence[DeviceFigures]) -> str:
    with_ = " and ".join(dict.fromkeys(text for each in measured for text in (each.compiler or "", _plain(each))))
    return (
        f"Instructions of one inference, the mean over {measured[0].vectors} test vectors, by {with_}. They are counted, and are no "
        "cycles: how long an instruction takes depends on the core and its memory. Those of the layers are counted in a second build with "
        "a call behind each, which is taken off. The flash is that of the net with the compiler's arithmetic that it calls."
    )


def _plain(figures: DeviceFigures) -> str:
    return (figures.emulator or "").partition(",")[0]


def _table(measured: Sequence[DeviceFigures]) -> list[str]:
    rows: list[tuple[str, list[object]]] = [
        ("instructions", [each.instructions for each in measured]),
        ("fewest of a vector", [each.fewest for each in measured]),
        ("most of a vector", [each.most for each in measured]),
        ("flash, bytes", [each.flash for each in measured]),
        ("RAM, bytes", [each.ram for each in measured]),
        ("stack, bytes, to about 50", [each.stack for each in measured]),
    ]
    by_layer = zip(*(each.layers for each in measured), strict=True)
    rows += [(row[0].layer, [each.instructions for each in row]) for row in by_layer]
    head = ["| | " + " | ".join(each.name for each in measured) + " |", "|---|" + "---|" * len(measured)]
    right = ["yes" if each.right else "**no**" for each in measured]
    lines = [f"| {name} | {' | '.join(f'{value:,}' for value in values)} |" for name, values in rows]
    return [*head, f"| outputs as on the host | {' | '.join(right)} |", *lines]
