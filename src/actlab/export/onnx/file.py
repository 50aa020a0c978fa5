"""Export of a model to an ONNX file, checked in onnxruntime before it is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from actlab.codegen.onnx.program import Settings
from actlab.errors import ExportError
from actlab.export.capture.capture import Captured, capture
from actlab.export.capture.quiet import quietly
from actlab.export.onnx.check import differences, session, special_values
from actlab.export.onnx.graph import print_formulas
from actlab.export.onnx.latency import latencies
from actlab.export.onnx.settings import OnnxSettings, needed
from actlab.export.refusal import Refusal, check_is_no_other_thing, refuse, writing
from actlab.export.report import BatchDifference, ExportedActivation, ExportReport, Latency
from actlab.nn.sites.dry_run import Arguments, Inputs, copy_inputs
from actlab.system.atomic_write import write_atomically
from actlab.system.options import from_options

__all__ = ["write"]

LARGEST_FILE = 2**31 - 1  # of a protocol buffer
FALSE_SHARE = 0.01  # of numbers that may differ, at the jumps of step functions


def write(
    model: nn.Module, example_inputs: Inputs, path: Path, settings: OnnxSettings | None = None, **options: Any
) -> ExportReport:
    """Write a model as an ONNX file; see :func:`actlab.export.front.export`.

    Args:
        model: any module.
        example_inputs: a batch.
        path: of the file.
        settings: how it is exported.
        options: single settings by name.

    Raises:
        ExportError: the model cannot be exported, or a package is missing.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        needed(package)
    settings = from_options(OnnxSettings, settings, options)
    check_is_no_other_thing(path)
    name = type(model).__name__
    arguments = copy_inputs(example_inputs)
    if any(isinstance(leaf, torch.Tensor) and leaf.is_complex() for leaf in tree_leaves(arguments)):
        reason = "it takes complex numbers, for which runtimes have no kernels. Pass real and imaginary parts."
        refuse(name, "onnx", [Refusal(name=name, place="its inputs", reason=reason)])
    captured = capture(model, arguments, dynamic_batch=settings.dynamic_batch)
    refuse(name, "onnx", captured.refusals)
    graph = _translated(model, captured, settings)
    printing = Settings(opset=settings.opset, prefer=settings.prefer, dtype=_dtype(model, arguments))
    activations = print_formulas(graph, captured.formulas, printing)
    content = _checked_content(graph, name)
    found = _compared(content, model, arguments, settings)
    with writing(path):
        write_atomically(path, content, private=False)
    return ExportReport(
        path=str(path),
        target="onnx",
        model=name,
        opset=settings.opset,
        runtime=f"onnxruntime {needed('onnxruntime').__version__}",
        bytes=len(content),
        nodes=sum(1 for _ in graph.graph),
        activations=activations,
        differences=found,
        special_values=special_values(captured.formulas, printing),
        notes=_notes(model, activations, settings),
        latencies=_latencies(captured, printing) if settings.runtime else (),
    )


def _translated(model: nn.Module, captured: Captured, settings: OnnxSettings) -> Any:
    """Return the model in ONNX's operators, but for the formulas.

    Raises:
        ExportError: the exporter fails, or writes another opset than it was asked for.
    """
    assert captured.program is not None  # noqa: S101 # without a program there are refusals
    name = type(model).__name__
    try:
        with quietly(), torch.no_grad():
            exported = torch.onnx.export(
                captured.program, (), dynamo=True, opset_version=settings.opset, verbose=False, optimize=True
            )
    except Exception as error:  # the exporter raises anything
        cause = error.__cause__ or error
        reason = f"torch's exporter cannot translate it: {' '.join(str(cause).split())[:400]}"
        refuse(name, "onnx", [Refusal(name=name, place="the model", reason=reason)])
    graph = exported.model  # type: ignore[union-attr] # a program, as dynamo=True
    if graph.opset_imports[""] != settings.opset:
        raise ExportError(
            f"torch's exporter cannot write opset {settings.opset}: it labels the model {graph.opset_imports['']}. Try opset=18 or 20."
        )
    return graph


def _checked_content(graph: Any, name: str) -> bytes:
    """Return the bytes of a model that onnx's checker accepts and onnxruntime loads.

    Raises:
        ExportError: it does not.
    """
    onnx = needed("onnx")
    proto = needed("onnx_ir").to_proto(graph)
    if proto.ByteSize() > LARGEST_FILE:
        raise ExportError(f"{name} has {proto.ByteSize():,} bytes; one ONNX file holds at most {LARGEST_FILE:,}.")
    content: bytes = proto.SerializeToString()
    try:
        onnx.checker.check_model(content, full_check=True)
        session(content)
    except Exception as error:  # both raise classes of their own
        refuse(name, "onnx", [Refusal(name=name, place="the file", reason=f"it is refused: {_first_line(error)}")])
    return content


def _first_line(error: Exception) -> str:
    text = " ".join(str(error).split())[:400]
    if "NOT_IMPLEMENTED" in text:
        return f"onnxruntime has no kernel for one of its operators in this dtype ({text}). Try another opset, or model.float()."
    return text


def _compared(
    content: bytes, model: nn.Module, arguments: Arguments, settings: OnnxSettings
) -> tuple[BatchDifference, ...]:
    name = type(model).__name__
    try:
        found = differences(
            content, model, arguments, dynamic_batch=settings.dynamic_batch, tolerance=settings.tolerance
        )
    except Exception as error:  # as above
        refuse(name, "onnx", [Refusal(name=name, place="the file", reason=f"it does not run: {_first_line(error)}")])
        raise
    wrong = [each for each in found if each.share > FALSE_SHARE]
    reasons = [
        f"on a batch of {each.batch} its outputs differ from the model's by up to {each.largest:.2g}; {100 * each.share:.0f} % of the "
        "numbers by more than the tolerance. A model that is different in each call, or holds state outside of its buffers, does that."
        for each in wrong
    ]
    refuse(name, "onnx", [Refusal(name=name, place="the file", reason=reason) for reason in reasons])
    return found


def _dtype(model: nn.Module, arguments: Arguments) -> Any:
    tensors = [*model.parameters(), *(value for value in arguments[0] if isinstance(value, torch.Tensor))]
    return "float64" if any(tensor.dtype == torch.float64 for tensor in tensors) else "float32"


def _latencies(captured: Captured, printing: Settings) -> tuple[Latency, ...]:
    specs = dict.fromkeys(formula.spec for formula in captured.formulas if formula.spec is not None)
    return latencies(specs, settings=replace(printing, dtype="float32"))


def _notes(model: nn.Module, activations: tuple[ExportedActivation, ...], settings: OnnxSettings) -> tuple[str, ...]:
    notes = []
    if model.training:
        notes.append("The model is in training mode; the file computes what it does in eval mode.")
    if any(parameter.dtype in {torch.float16, torch.bfloat16} for parameter in model.parameters()) and activations:
        notes.append("Activations of half precision are computed in float32 and rounded once, as ActLab's layers do.")
    if settings.prefer == "speed":
        notes.append("Sigmoids are right in absolute terms: onnxruntime's operator is exactly 0 from -18 on.")
    return tuple(notes)
