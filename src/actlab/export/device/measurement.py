"""Instructions, memory and right outputs of a C99 project on an emulated core."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actlab.errors import ExportError
from actlab.export.device import qemu, unicorn
from actlab.export.device.build import Build, Project, build_program, build_size, read_project
from actlab.export.device.compiler import INSTALL, find_compiler
from actlab.export.device.cores import Core, core_of
from actlab.export.device.output import Output, read_output
from actlab.export.device.settings import DeviceSettings
from actlab.export.report import DeviceFigures, LayerInstructions
from actlab.system.options import from_options

__all__ = ["figures", "measure"]


def measure(
    folder: str | Path, core: str = "m4f", *, settings: DeviceSettings | None = None, **options: Any
) -> DeviceFigures:
    """Compile a C99 project for a Cortex-M core, run its test vectors in an emulator, and count instructions.

    The total is counted in the net as it is written, without what the counting costs; the layers in a second build with a call behind each,
    which is taken off as well. Counts are the same in each run. They are instructions, no cycles: what an instruction takes depends on the
    core and its memory.

    Args:
        folder: of a project that ``actlab.export(..., to="c99")`` has written.
        core: "m0", "m3", "m4f", "m7" or "m33".
        settings: how it is compiled and run.
        options: single settings by name.

    Raises:
        ExportError: there is no project or no such core, no compiler or emulator is installed, or the program does not compile, does not
            fit into the emulated memory, or takes too long.

    Example:
        >>> measure("net", "m5")
        Traceback (most recent call last):
        actlab.errors.ExportError: There is no core 'm5'. Cores: m0, m3, m4f, m7, m33.
    """
    settings = from_options(DeviceSettings, settings, options)
    found = core_of(core)
    project = read_project(Path(folder).resolve())
    compiler, emulator = find_compiler(settings.compiler), _find_emulator(settings.emulator)
    vectors = min(settings.vectors or emulator.vectors, project.vectors)
    with tempfile.TemporaryDirectory(prefix="actlab-device-") as temporary:
        build = Build(
            compiler=compiler,
            core=found,
            folder=Path(temporary),
            flags=settings.flags,
            seconds=settings.seconds,
        )
        size = build_size(project, build)
        total = emulator.run(build_program(project, build, vectors, by_layer=False), found, settings.seconds)
        layers = total
        if project.layers:
            layers = emulator.run(build_program(project, build, vectors, by_layer=True), found, settings.seconds)
    counts = total.runs
    return DeviceFigures(
        core=core,
        name=found.name,
        compiler=compiler.version,
        emulator=f"{emulator.version}, {found.board.machine}" if emulator.name == "qemu" else emulator.version,
        note=found.note,
        vectors=len(counts),
        right=total.right and layers.right,
        result=total.text,
        instructions=round(sum(counts) / len(counts)),
        fewest=min(counts),
        most=max(counts),
        layers=_layers(project, layers),
        flash=size.flash,
        ram=size.ram,
        stack=total.stack,
    )


def figures(folder: Path, cores: Sequence[str], settings: DeviceSettings | None = None) -> tuple[DeviceFigures, ...]:
    """Return the figures of a project on several cores; where they cannot be measured, with the reason in their place.

    Args:
        folder: of the project.
        cores: short names.
        settings: how it is compiled and run.

    Raises:
        ExportError: there is no such core.
    """
    found = []
    for core in dict.fromkeys(cores):
        name = core_of(core).name
        try:
            found.append(measure(folder, core, settings=settings))
        except ExportError as error:
            found.append(DeviceFigures(core=core, name=name, missing=str(error)))
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class _Emulator:
    """An emulator that is installed; ``vectors`` run by default."""

    name: str
    version: str
    vectors: int

    def run(self, program: Path, core: Core, seconds: float) -> Output:
        if self.name == "qemu":
            return read_output(qemu.run_in_qemu(program, core, seconds), qemu.ticks(core))
        return read_output(unicorn.run_in_unicorn(program, core, seconds), unicorn.TICKS)


def _find_emulator(name: str | None) -> _Emulator:
    if name in {None, "qemu"} and qemu.is_installed():
        return _Emulator(name="qemu", version=qemu.version(), vectors=4)
    if name in {None, "unicorn"} and unicorn.is_installed():
        return _Emulator(name="unicorn", version=unicorn.version(), vectors=1)
    what = {"qemu": qemu.PROGRAM, "unicorn": "unicorn, or pyelftools,", None: "Neither qemu-system-arm nor unicorn"}[
        name
    ]
    raise ExportError(f"{what} is {'not ' if name else ''}installed, so nothing was measured. {INSTALL}")


def _layers(project: Project, output: Output) -> tuple[LayerInstructions, ...]:
    rows = output.layers(sorted(project.layers))
    return tuple(
        LayerInstructions(layer=project.layers[index], instructions=round(sum(row[index] for row in rows) / len(rows)))
        for index in sorted(project.layers)
    )
