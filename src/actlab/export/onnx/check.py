"""Checks of an ONNX file against the model, in onnxruntime."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from actlab.codegen.onnx.program import Settings
from actlab.export.capture.capture import batch_size, with_batch
from actlab.export.capture.formulas import Formula
from actlab.export.onnx.settings import needed
from actlab.export.onnx.single import model_of
from actlab.export.report import BatchDifference, SpecialValue
from actlab.nn.layers.layer import layer
from actlab.nn.passes.output_tensors import output_tensors
from actlab.nn.sites.dry_run import Arguments, no_side_effects, run

__all__ = ["TOLERANCES", "differences", "session", "special_values"]

Array = np.ndarray[Any, np.dtype[Any]]
# Over 1 + the magnitude: rounding of a few hundred layers in that dtype.
TOLERANCES = {"float32": 1e-4, "float64": 1e-9, "float16": 1e-2, "bfloat16": 6e-2}
SPECIAL = (float("nan"), float("inf"), float("-inf"), 1e30, -1e30, 100.0, -100.0, 0.0, 1e-8, -1e-8)


def session(content: bytes, *, threads: int = 0) -> Any:
    """Return an ``onnxruntime.InferenceSession`` on the CPU.

    Args:
        content: a model.
        threads: number of threads; 0 for the runtime's own choice.
    """
    runtime = needed("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = 4  # what fails is raised as well
    return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def differences(
    content: bytes, model: nn.Module, arguments: Arguments, *, dynamic_batch: bool, tolerance: float | None
) -> tuple[BatchDifference, ...]:
    """Compare a file with the model on the traced batch, and on one of another size where the batch is free.

    Args:
        content: of the file.
        model: any module; it runs in eval mode and is as it was afterwards.
        arguments: of a call.
        dynamic_batch: whether the first dimension is free.
        tolerance: above which numbers count as different, over 1 + the magnitude.
    """
    running = session(content)
    size = batch_size(arguments)
    found = [_difference(running, model, arguments, size, traced=True, tolerance=tolerance)]
    if dynamic_batch and size is not None:
        other = with_batch(arguments, size + 3)
        found.append(_difference(running, model, other, size + 3, traced=False, tolerance=tolerance))
    return tuple(found)


def _difference(
    running: Any, model: nn.Module, arguments: Arguments, size: int | None, *, traced: bool, tolerance: float | None
) -> BatchDifference:
    with no_side_effects(model):
        wanted = output_tensors(run(model, arguments))
    got = running.run(None, _feed(running, arguments))
    largest, relative, apart, numbers = 0.0, 0.0, 0, 0
    for want, array in zip(wanted, got, strict=True):
        allowed = tolerance or TOLERANCES.get(str(want.dtype).removeprefix("torch."), 1e-9)
        difference, magnitude = _distance(_numpy(want), np.asarray(array))
        largest = max(largest, float(difference.max(initial=0.0)))
        over = difference / (1 + magnitude)
        relative = max(relative, float(over.max(initial=0.0)))
        apart, numbers = apart + int((over > allowed).sum()), numbers + over.size
    share = apart / max(numbers, 1)
    return BatchDifference(batch=size, traced=traced, largest=largest, relative=relative, share=share)


def _feed(running: Any, arguments: Arguments) -> dict[str, Array]:
    tensors = [leaf for leaf in tree_leaves(arguments) if isinstance(leaf, Tensor)]
    return {value.name: _numpy(tensor) for value, tensor in zip(running.get_inputs(), tensors, strict=True)}


def _numpy(tensor: Tensor) -> Array:
    return tensor.detach().cpu().numpy()


def _distance(want: Array, got: Array) -> tuple[Array, Array]:
    """Return the magnitude of the difference, 0 where both are NaN or the same infinity, and that of the wanted value."""
    if want.shape != got.shape:
        return np.array([np.inf]), np.array([0.0])
    wide = np.float64 if want.dtype.kind != "c" else np.complex128
    want, got = want.astype(wide), got.astype(wide)
    with np.errstate(invalid="ignore"):
        difference = np.abs(want - got)
    same = (want == got) | (np.isnan(want) & np.isnan(got))
    difference = np.where(same, 0.0, np.where(np.isnan(difference), np.inf, difference))
    return difference, np.where(np.isfinite(want), np.abs(want), 0.0)


def special_values(formulas: Iterable[Formula], settings: Settings) -> tuple[SpecialValue, ...]:
    """Return where activations in the file differ from their layers at NaN, infinities, and large and small numbers.

    Args:
        formulas: of a file; those that are no activations are left out.
        settings: they were printed with.
    """
    found: list[SpecialValue] = []
    for formula in {each.label: each for each in formulas if each.spec is not None}.values():
        found += _of_one(formula, settings)
    return tuple(found)


def _of_one(formula: Formula, settings: Settings) -> Sequence[SpecialValue]:
    dtype = getattr(torch, settings.dtype)
    act = layer(str(formula.spec), channels=1, dtype=dtype).eval()
    points = torch.tensor(SPECIAL, dtype=dtype).reshape(-1, 1)
    inputs = (points, torch.ones_like(points))[: len(formula.inputs)]
    program = formula.program(settings)
    learned = [parameter.detach() for parameter in act.parameters()]
    feed = dict(zip(program.inputs, map(_numpy, (*inputs, *learned)), strict=True))
    with torch.no_grad():
        want = _numpy(act(*inputs))
    got = session(model_of(program, settings.opset).SerializeToString(), threads=1).run(None, feed)[0]
    difference, magnitude = _distance(want, got)
    apart = (difference > TOLERANCES[settings.dtype] * (1 + magnitude)).reshape(-1)
    return [
        SpecialValue(spec=formula.label, input=point, model=float(a), file=float(b))
        for point, a, b, differs in zip(SPECIAL, want.reshape(-1), got.reshape(-1), apart, strict=True)
        if differs
    ]
