"""Export of a model to a C99 project, built and compared with the model before it is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from actlab.export.c99.examples import test_vectors
from actlab.export.c99.folder import check_folder, folder_of, new_folder, write_files
from actlab.export.c99.host import Measured, compiler, measure
from actlab.export.c99.project import makefile, readme
from actlab.export.c99.settings import C99Settings
from actlab.export.c99.source import Source, print_net
from actlab.export.c99.text import identifier
from actlab.export.c99.vectors import test_program
from actlab.export.device.measurement import figures
from actlab.export.device.summary import refuse_wrong, section
from actlab.export.net.layers import Activation
from actlab.export.net.net import Net
from actlab.export.net.pieces import unreached
from actlab.export.net.read import read_net
from actlab.export.refusal import Refusal, refuse
from actlab.export.report import BatchDifference, ExportedActivation, ExportReport, Memory
from actlab.nn.sites.dry_run import Inputs, copy_inputs
from actlab.system.options import from_options

__all__ = ["write"]

FALSE_SHARE = 0.01  # of numbers that may differ, at the jumps of step functions


def write(
    model: nn.Module, example_inputs: Inputs, path: Path, settings: C99Settings | None = None, **options: Any
) -> ExportReport:
    """Write a model as a C99 project; see :func:`actlab.export.front.export`.

    Args:
        model: any module whose layers a :class:`~actlab.export.net.net.Net` has.
        example_inputs: a batch.
        path: folder of the project, or that with the ending ``.c``.
        settings: how it is exported.
        options: single settings by name.

    Raises:
        ExportError: the model cannot be exported, or the folder holds something else.
    """
    settings = from_options(C99Settings, settings, options)
    folder = folder_of(path)
    name = identifier(settings.name or folder.name)
    check_folder(folder, name)
    net = read_net(model, example_inputs, target="c99")
    _refuse_endless_weights(net)
    source = print_net(net, name)
    inputs, outputs = test_vectors(model, copy_inputs(example_inputs), net.inputs, settings.vectors, net)
    files = {
        f"{name}.h": source.header,
        f"{name}.c": source.source,
        f"{name}_test.c": test_program(net, name, inputs, outputs, settings.tolerance),
        "Makefile": makefile(name),
    }
    command = compiler()
    with new_folder(folder, name) as fresh:
        write_files(fresh, files)
        measured = None if command is None else measure(fresh, name, command)
        difference = _difference(net, inputs, outputs, measured, settings.tolerance)
        _refuse_wrong(net, difference)
        devices = figures(fresh, settings.device)
        if not difference.share:
            refuse_wrong(devices, net.name, "c99")
        write_files(fresh, {"README.md": readme(net, source, measured, len(inputs[0])) + section(devices)})
    report = _report(net, source, measured, difference, folder)
    return replace(report, devices=devices, notes=(*report.notes, *_unreached(net, inputs)))


def _unreached(net: Net, inputs: list[Any]) -> Iterator[str]:
    for name in unreached(net, inputs):
        yield f"The test vectors do not reach every piece of the activation {name}; give example_inputs that do."


def _refuse_endless_weights(net: Net) -> None:
    refusals = [
        Refusal(name=type(layer).__name__, place=layer.name, reason="its weights hold NaN or infinities.")
        for layer in net.layers
        if not all(np.isfinite(array).all() for array in vars(layer).values() if isinstance(array, np.ndarray))
    ]
    refuse(net.name, "c99", refusals)


def _difference(
    net: Net, inputs: list[Any], outputs: list[Any], measured: Measured | None, tolerance: float
) -> BatchDifference:
    """Return how the outputs differ: those of the compiled project, or of NumPy where there is no compiler."""
    numbers = sum(array.size for array in outputs)
    if measured is not None:
        largest, relative, above = measured.largest, measured.relative, measured.above
    else:
        pairs = list(zip(net.run(inputs), outputs, strict=True))
        apart = [np.abs(got.astype(np.float64) - want) for got, want in pairs]
        over = [each / (1 + np.abs(want)) for each, (_, want) in zip(apart, pairs, strict=True)]
        largest, relative = (max(float(np.nanmax(each, initial=0)) for each in part) for part in (apart, over))
        above = sum(int((each > tolerance).sum()) for each in over)
    return BatchDifference(
        batch=len(inputs[0]), traced=False, largest=largest, relative=relative, share=above / max(numbers, 1)
    )


def _refuse_wrong(net: Net, difference: BatchDifference) -> None:
    if difference.share > FALSE_SHARE:
        reason = (
            f"its outputs differ from the model's by up to {difference.largest:.2g}; {100 * difference.share:.0f} % of the numbers by more "
            "than the tolerance. A model that is different in each call, or holds state outside of its buffers, does that."
        )
        refuse(net.name, "c99", [Refusal(name=net.name, place="the project", reason=reason)])


def _report(
    net: Net, source: Source, measured: Measured | None, difference: BatchDifference, folder: Path
) -> ExportReport:
    activations = tuple(
        ExportedActivation(site=layer.name, spec=str(layer.spec), nodes=1, operators="a C function", dtype="float32")
        for layer in net.layers
        if isinstance(layer, Activation)
    )
    memory = Memory(
        constants=source.constants,
        flash=measured.text if measured is not None and measured.text else None,
        ram=source.arena,
        needed=source.needed,
    )
    notes = () if measured is not None else ("No C compiler was found: the outputs were compared in NumPy.",)
    return ExportReport(
        path=str(folder),
        target="c99",
        model=net.name,
        opset=None,
        runtime=measured.compiler if measured is not None else "NumPy",
        bytes=sum(file.stat().st_size for file in folder.iterdir()),
        nodes=len(net.layers),
        activations=activations,
        differences=(difference,),
        notes=notes,
        memory=memory,
    )
