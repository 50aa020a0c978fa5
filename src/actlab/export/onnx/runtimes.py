"""Runtimes in which exported models run, used where they are installed and never asked for.

onnxruntime and OpenVINO read the ONNX file. ExecuTorch takes the model itself, as ``torch.export`` traces it, and lowers what it can to
XNNPACK.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from actlab.export.capture.quiet import quietly
from actlab.export.onnx.check import session

__all__ = ["RUNTIMES", "Exported", "Run", "installed_runtimes"]

Array = np.ndarray[Any, np.dtype[Any]]
#: Runs the model once on its inputs, on one thread, and returns the outputs.
Run = Callable[[], Sequence[Array]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Exported:
    """A model in the forms that runtimes take.

    Attributes:
        content: an ONNX model.
        feed: its inputs by name.
        model: the module, in eval mode.
        arguments: tensors that it is called with, in order; a runtime without names takes these.
        keywords: further ones by name.
    """

    content: bytes
    feed: Mapping[str, Array]
    model: nn.Module
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]


def _onnxruntime(exported: Exported) -> Run:
    running, feed = session(exported.content, threads=1), dict(exported.feed)
    return lambda: list(running.run(None, feed))


def _openvino(exported: Exported) -> Run:
    openvino = import_module("openvino")
    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",  # by default bfloat16, where the processor has it
    }
    model = core.read_model(exported.content)
    model.reshape({name: list(array.shape) for name, array in exported.feed.items()})
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    feed = dict(exported.feed)
    return lambda: list(request.infer(feed, share_inputs=True).values())


def _executorch(exported: Exported) -> Run:
    with quietly(), torch.no_grad():
        lower = import_module("executorch.exir").to_edge_transform_and_lower
        partitioner = import_module("executorch.backends.xnnpack.partition.xnnpack_partitioner").XnnpackPartitioner
        traced = torch.export.export(exported.model, exported.arguments, dict(exported.keywords), strict=False)
        buffer = lower(traced, partitioner=[partitioner()]).to_executorch().buffer
        import_module("executorch.extension.pybindings.portable_lib")._unsafe_reset_threadpool(1)
        program = import_module("executorch.runtime").Runtime.get().load_program(buffer)
        method = program.load_method("forward")
    tensors = [leaf for leaf in tree_leaves((exported.arguments, dict(exported.keywords))) if isinstance(leaf, Tensor)]

    def run() -> Sequence[Array]:
        assert program is not None  # noqa: S101 # the method reads its memory, and does not keep it alive
        return [output.numpy() for output in method.execute(tensors)]

    return run


#: What a runtime's package makes of a model.
RUNTIMES: Mapping[str, Callable[[Exported], Run]] = {
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "executorch": _executorch,
}


def installed_runtimes() -> list[str]:
    """Return the names of the runtimes that can be imported.

    Example:
        >>> set(installed_runtimes()) <= {"onnxruntime", "openvino", "executorch"}
        True
    """
    return [name for name in RUNTIMES if find_spec(name) is not None]
