"""Run of ONNX programs in onnxruntime."""

from __future__ import annotations

import numpy as np
import torch

import actlab
from actlab.codegen.onnx.program import program_of_spec
from actlab.export.onnx.check import session
from actlab.export.onnx.single import model_of


def run(program, feed, opset=18):
    """Return the output of a program for its inputs by name."""
    kind = np.dtype(program.dtype)
    content = model_of(program, opset).SerializeToString()
    return session(content, threads=1).run(None, {name: np.asarray(value, kind) for name, value in feed.items()})[0]


def run_spec(spec, points, settings, value=None):
    """Return the values of an activation at points; of a gated one with the given values; learned parameters at their start."""
    program = program_of_spec(spec, settings)
    layer = actlab.layer(spec, channels=1, dtype=getattr(torch, settings.dtype))
    arrays = [points, *([] if value is None else [value]), *(p.detach().numpy() for p in layer.parameters())]
    return run(program, dict(zip(program.inputs, arrays, strict=True)), settings.opset)
