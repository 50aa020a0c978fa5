"""Latency of activations in the runtimes that are installed, measured in turn.

Each activation is a model of its own, printed as an export prints it. Every round runs all models in all runtimes once, on one thread; the
median over rounds is reported. torch is measured beside them, as the model ran it before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from actlab.codegen.onnx.program import Settings, program_of_spec
from actlab.errors import ExportError
from actlab.export.onnx.check import session
from actlab.export.onnx.single import model_of
from actlab.export.report import Latency
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.nn.layers.layer import layer

__all__ = ["RUNTIMES", "installed_runtimes", "latencies"]

Array = np.ndarray[Any, np.dtype[Any]]
SIZE = 2**18
ROUNDS = 15


def _onnxruntime(content: bytes) -> Callable[[dict[str, Array]], Any]:
    running = session(content, threads=1)
    return lambda feed: running.run(None, feed)


def _openvino(content: bytes) -> Callable[[dict[str, Array]], Any]:
    openvino = import_module("openvino")  # used where it is installed, and never asked for

    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"}
    compiled: Callable[[dict[str, Array]], Any] = core.compile_model(core.read_model(content), "CPU", settings)
    return compiled


RUNTIMES: Mapping[str, Callable[[bytes], Callable[[dict[str, Array]], Any]]] = {
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
}


def installed_runtimes() -> list[str]:
    """Return the names of the runtimes that can be imported."""
    return [name for name in RUNTIMES if find_spec(name) is not None]


def latencies(
    specs: Iterable[str | Spec],
    *,
    runtimes: Iterable[str] | None = None,
    size: int = SIZE,
    rounds: int = ROUNDS,
    settings: Settings | None = None,
) -> tuple[Latency, ...]:
    """Measure what activations take in each runtime.

    Args:
        specs: elementwise or gated activations.
        runtimes: names of :data:`RUNTIMES`; None for those that are installed.
        size: number of float32 inputs.
        rounds: number of runs of each.
        settings: how they are printed.

    Returns:
        One record for each activation and runtime, and one for torch; milliseconds.

    Raises:
        ExportError: a runtime is unknown or not installed.
        TypeError: an activation is tensor code, not a formula.

    Example:
        >>> [each.runtime for each in latencies(["relu"], runtimes=["onnxruntime"], size=1024, rounds=1)]
        ['torch', 'onnxruntime']
    """
    chosen = installed_runtimes() if runtimes is None else list(runtimes)
    for name in chosen:
        if name not in RUNTIMES or find_spec(name) is None:
            raise ExportError(f"The runtime {name!r} is not installed; installed: {', '.join(installed_runtimes())}.")
    runs = {
        (str(spec), runtime): call
        for spec in map(parse, specs)
        for runtime, call in _calls(spec, chosen, size, settings)
    }
    times: dict[tuple[str, str], list[float]] = {key: [] for key in runs}
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        for call in runs.values():
            call()
        for _ in range(rounds):
            for key, call in runs.items():
                start = time.perf_counter()
                call()
                times[key].append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    return tuple(
        Latency(
            spec=spec, runtime=runtime, version=version(runtime), size=size, milliseconds=1e3 * float(np.median(each))
        )
        for (spec, runtime), each in times.items()
    )


def _calls(
    spec: Spec, runtimes: list[str], size: int, settings: Settings | None
) -> Iterable[tuple[str, Callable[[], Any]]]:
    settings = settings or Settings()
    program = program_of_spec(spec, settings)
    act = layer(spec.forward, channels=1).eval()
    generator = np.random.default_rng(0)
    # not (size, 1): onnxruntime adds numbers to a last dimension of one element 100 times slower
    inputs = [generator.standard_normal((1, 1, size), dtype=np.float32) * 3 for _ in spec.activation.inputs]
    learned = [parameter.detach().numpy() for parameter in act.parameters()]
    feed = dict(zip(program.inputs, [*inputs, *learned], strict=True))
    tensors = [torch.from_numpy(each) for each in inputs]
    yield "torch", lambda: _without_gradients(act, tensors)
    content = model_of(program, settings.opset, [each.shape for each in feed.values()]).SerializeToString()
    for name in runtimes:
        run = RUNTIMES[name](content)
        yield name, partial(run, feed)


def _without_gradients(act: torch.nn.Module, tensors: list[torch.Tensor]) -> None:
    with torch.no_grad():
        act(*tensors)
