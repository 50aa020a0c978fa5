"""Axis of flash, RAM and instructions of an int8 project on an emulated Cortex-M core."""
# ruff: noqa: PLC0415 the export is imported when the axis is asked for, as it loads torch's exporter

from __future__ import annotations

import tempfile
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from torch import nn

from actlab.errors import ExportError
from actlab.evaluate.axes.int8 import INT8
from actlab.evaluate.axis import Axis, Column, Measured
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.evaluate.rounding.integer_net import calibration_inputs, integer_net, reason_of
from actlab.evaluate.undefined_axis import UndefinedAxisError

if TYPE_CHECKING:
    from actlab.export.report import DeviceFigures

__all__ = ["DEVICE", "device_axes", "device_axis"]

_CORE: Final = "m4f"
_VECTORS: Final = 2
_NAME: Final = "net"
_MEASURED: Final = ("flash", "ram", "stack", "instructions")


def _measure_device(model: nn.Module, data: EvaluationData, *, core: str = _CORE) -> Measured:
    files, constants = _project(model, data)
    try:
        figures = _figures(files, core)
    except ExportError as error:  # such as a compiler or an emulator that is not installed
        return Measured(numbers={"constants": constants}, undefined=dict.fromkeys(_MEASURED, reason_of(error)))
    if not figures.right:
        raise UndefinedAxisError(f"the outputs on {figures.name} are not those of NumPy ({figures.result})")
    numbers = {name: float(getattr(figures, name)) for name in _MEASURED}
    layers = {row.layer: row.instructions for row in figures.layers}
    record = {
        "core": figures.name,
        "compiler": figures.compiler,
        "emulator": figures.emulator,
        "note": figures.note,
        "layers": layers,
    }
    return Measured(numbers={**numbers, "constants": constants}, record=record)


def _project(model: nn.Module, data: EvaluationData) -> tuple[tuple[tuple[str, str], ...], float]:
    """Return the files of the int8 project by name, and the bytes of its constants."""
    from actlab.export.c99.integer.source import print_integer_net
    from actlab.export.c99.integer.vectors import test_program

    whole = integer_net(model, data)
    codes = whole.encode(calibration_inputs(data)[:_VECTORS].numpy())
    try:
        source = print_integer_net(whole, _NAME)
    except ExportError as error:
        raise UndefinedAxisError(reason_of(error)) from error
    program = test_program(whole, _NAME, codes, whole.run_codes(codes))
    files = ((f"{_NAME}.h", source.header), (f"{_NAME}.c", source.source), (f"{_NAME}_test.c", program))
    return files, float(source.constants)


@lru_cache(maxsize=32)
def _figures(files: tuple[tuple[str, str], ...], core: str) -> DeviceFigures:
    """Return the figures of a project; an axis of the level "arm" is measured twice, and compiled once."""
    from actlab.export.device.measurement import measure

    with tempfile.TemporaryDirectory(prefix="actlab-axis-") as folder:
        for name, text in files:
            (Path(folder) / name).write_text(text, encoding="utf-8")
        return measure(folder, core, vectors=_VECTORS)


def _cost(description: str, unit: str = "bytes", *, headline: bool = True) -> Column:
    return Column(direction="min", unit=unit, description=description, headline=headline)


def device_axis(core: str = _CORE) -> Axis:
    """Return the axis of a core.

    Args:
        core: "m0", "m3", "m4f", "m7" or "m33".

    Raises:
        ExportError: there is no such core.

    Example:
        >>> device_axis("m3").name, device_axis("m3").source, list(device_axis().columns)[:3]
        ('device_m3', 'device:m3', ['flash', 'ram', 'instructions'])
    """
    from actlab.export.device.cores import core_of

    what = f"of the int8 project on {core_of(core).name}"
    return Axis(
        name="device" if core == _CORE else f"device_{core}",
        measure=partial(_measure_device, core=core),
        columns={
            "flash": _cost(f"code and constants {what}"),
            "ram": _cost(f"static memory {what}, without the stack"),
            "instructions": _cost(f"counted instructions of one inference {what}, no cycles", ""),
            "stack": _cost(f"largest stack {what}, to about 50", headline=False),
            "constants": _cost("weights, tables and other numbers of the int8 project", headline=False),
        },
        description=f"What an arm takes in int8 on {core_of(core).name}, compiled and run in an emulator.",
        level="arm",
        on_request=True,
        source="device" if core == _CORE else f"device:{core}",
    )


def device_axes(core: str = "") -> tuple[Axis, Axis]:
    """Return what the name "device" stands for: the axis of a core, and that of the metric there.

    Args:
        core: behind the colon of "device:m3"; empty for Cortex-M4F.

    Raises:
        ExportError: there is no such core.
    """
    return device_axis(core or _CORE), INT8


DEVICE: Final = device_axis()
