"""Export of a model to a C99 project in int8, built and compared with NumPy before it is kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from actlab.errors import ExportError
from actlab.export.c99.examples import arrays_of, model_outputs, test_vectors
from actlab.export.c99.folder import check_folder, folder_of, new_folder, write_files
from actlab.export.c99.host import Built, build, compiler
from actlab.export.c99.integer.readme import readme
from actlab.export.c99.integer.settings import Int8Settings
from actlab.export.c99.integer.source import print_integer_net
from actlab.export.c99.integer.vectors import test_program
from actlab.export.c99.project import makefile
from actlab.export.c99.source import Source
from actlab.export.c99.text import identifier
from actlab.export.device.measurement import figures
from actlab.export.device.summary import refuse_wrong, section
from actlab.export.integer.coding import Codes
from actlab.export.integer.layers import Affine, Lookup, MaxPool, Multiply, Product, Requantize, Threshold
from actlab.export.integer.net import IntegerNet
from actlab.export.integer.quantize import quantize
from actlab.export.metric_cost import Cost, costs, lacks_targets
from actlab.export.net.layers import Activation
from actlab.export.net.net import Net
from actlab.export.net.read import read_net
from actlab.export.refusal import Refusal, refuse
from actlab.export.report import BatchDifference, ExportedActivation, ExportReport, Memory
from actlab.nn.sites.dry_run import Inputs, copy_inputs
from actlab.system.options import from_options

__all__ = ["write"]

FOUND = re.compile(r"(\d+) numbers, (\d+) differing")


def write(
    model: nn.Module, example_inputs: Inputs, path: Path, settings: Int8Settings | None = None, **options: Any
) -> ExportReport:
    """Write a model as a C99 project in int8; see :func:`actlab.export.front.export`.

    Args:
        model: any module whose layers a :class:`~actlab.export.net.net.Net` has.
        example_inputs: a batch; the ranges of the codes follow from it where the settings have no other.
        path: folder of the project, or that with the ending ``.c``.
        settings: how it is exported.
        options: single settings by name.

    Raises:
        ExportError: the model cannot be exported, or the folder holds something else.
    """
    settings = from_options(Int8Settings, settings, options)
    folder = folder_of(path)
    name = identifier(settings.name or folder.name)
    check_folder(folder, name)
    net = read_net(model, example_inputs, target="int8")
    calibration = example_inputs if settings.calibration_inputs is None else settings.calibration_inputs
    whole = quantize(net, arrays_of(copy_inputs(calibration), net.inputs), settings.quantization)
    source = _printed(whole, name, cmsis_nn=settings.cmsis_nn)
    inputs, _ = test_vectors(model, copy_inputs(example_inputs), net.inputs, settings.vectors)
    codes = whole.encode(inputs)
    files = {
        f"{name}.h": source.header,
        f"{name}.c": source.source,
        f"{name}_test.c": test_program(whole, name, codes, whole.run_codes(codes)),
        "Makefile": makefile(name),
    }
    wanted, got = _outputs(model, example_inputs, whole)
    difference, sentence = _difference(wanted, got, whole)
    found, cost_sentence = _costs(wanted, got, settings)
    sentence += cost_sentence
    command = compiler()
    with new_folder(folder, name) as fresh:
        write_files(fresh, files)
        built = None if command is None else build(fresh, name, command)
        note = _compared(built, whole.name)
        devices = figures(fresh, settings.device)
        refuse_wrong(devices, whole.name, "int8")
        text = readme(whole, source, built, len(codes[0]), sentence) + section(devices)
        write_files(fresh, {"README.md": text})
    return ExportReport(
        path=str(folder),
        target="int8",
        model=whole.name,
        opset=None,
        runtime=built.compiler if built is not None else "NumPy",
        bytes=sum(file.stat().st_size for file in folder.iterdir()),
        nodes=len(whole.layers),
        activations=_activations(net, whole),
        differences=(difference,),
        notes=(note, sentence),
        costs=found,
        memory=_memory(source, built),
        devices=devices,
    )


def _memory(source: Source, built: Built | None) -> Memory:
    flash = built.text if built is not None and built.text else None
    return Memory(constants=source.constants, flash=flash, ram=source.arena, needed=source.needed)


def _printed(whole: IntegerNet, name: str, *, cmsis_nn: bool) -> Source:
    try:
        return print_integer_net(whole, name, cmsis_nn=cmsis_nn)
    except ExportError as error:
        refuse(whole.name, "int8", [Refusal(name=whole.name, place="the net", reason=str(error))])
        raise


def _compared(built: Built | None, model: str) -> str:
    """Return how the compiled project was compared with NumPy; a number that differs is refused."""
    if built is None:
        return "No C compiler was found: the outputs are those of NumPy."
    found = FOUND.search(built.printed)
    if found is None or found[2] != "0":
        reason = f"the compiled C computes other bits than NumPy ({built.printed.strip()[:200]}), by {built.compiler}; please report it."
        refuse(model, "int8", [Refusal(name=model, place="the project", reason=reason)])
    assert found is not None  # noqa: S101 # refused above
    return f"The compiled C and NumPy compute the same bits in all {int(found[1]):,} numbers of the test vectors."


def _outputs(model: nn.Module, example_inputs: Inputs, whole: IntegerNet) -> tuple[list[Any], list[Any]]:
    """Return the outputs of the model and the numbers of the integer net on the example inputs."""
    arguments = copy_inputs(example_inputs)
    return list(model_outputs(model, arguments)), list(whole.numbers(arrays_of(arguments, whole.inputs)))


def _costs(wanted: list[Any], got: list[Any], settings: Int8Settings) -> tuple[tuple[Cost, ...], str]:
    """Return what the codes cost in the model's metric, and a sentence about it; nothing where there is none."""
    if (settings.targets is None and settings.metric is None) or lacks_targets(settings.metric, settings.targets):
        return (), ""
    of_model, of_net = ([torch.from_numpy(np.asarray(each)) for each in part] for part in (wanted, got))
    found = costs(of_model, of_net, None, settings.targets, settings.metric)
    first = found[0]  # the metric; the other is in the sentence about differences
    return found, f" On these the {first.metric} is {first.engine:.4g}, and {first.model:.4g} in float32."


def _difference(wanted: list[Any], got: list[Any], whole: IntegerNet) -> tuple[BatchDifference, str]:
    """Return how the numbers of the outputs differ from the model's, and a sentence about it."""
    apart = [np.abs(a.astype(np.float64) - b) for a, b in zip(got, wanted, strict=True)]
    over = [each / (1 + np.abs(b)) for each, b in zip(apart, wanted, strict=True)]
    steps = [coding.scale if isinstance(coding := whole.codings[name], Codes) else 0.0 for name in whole.outputs]
    above = sum(int((each > step).sum()) for each, step in zip(apart, steps, strict=True))
    count = len(wanted[0])
    difference = BatchDifference(
        batch=count,
        traced=True,
        largest=max(float(np.nanmax(each, initial=0)) for each in apart),
        relative=max(float(np.nanmax(each, initial=0)) for each in over),
        share=above / max(sum(each.size for each in apart), 1),
    )
    sentence = f"On the {count} example inputs the outputs differ from the model's in float32 by up to {difference.largest:.2g}"
    first = wanted[0].reshape(count, -1)
    if first.shape[1] > 1:
        same = np.mean(got[0].reshape(count, -1).argmax(1) == first.argmax(1))
        sentence += f", and the largest number is at the same place in {100 * same:.1f} % of them"
    return difference, f"{sentence}."


def _operators(whole: IntegerNet, tensor: str) -> str:
    """Return what an activation has become."""
    layer = next((each for each in whole.layers if each.output == tensor), None)
    if isinstance(layer, MaxPool):
        return _operators(whole, layer.inputs[0])
    ending = layer.ending if isinstance(layer, (Affine, Product, Multiply)) else None
    if isinstance(ending, Threshold):
        return "a threshold"
    if isinstance(layer, Multiply):
        return "a table of 256 codes and a product"
    if isinstance(layer, Lookup) or (isinstance(ending, Requantize) and ending.table is not None):
        return "a table of 256 codes"
    return "a clamp" if ending is not None else "whole numbers"


def _activations(net: Net, whole: IntegerNet) -> tuple[ExportedActivation, ...]:
    return tuple(
        ExportedActivation(
            site=layer.name, spec=str(layer.spec), nodes=1, operators=_operators(whole, layer.output), dtype="int8"
        )
        for layer in net.layers
        if isinstance(layer, Activation)
    )
