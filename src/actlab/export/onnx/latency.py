"""Latency of activations in the runtimes that are installed, measured in turn.

Each activation is a model of its own, printed as an export prints it. Every round runs all models in all runtimes once, on one thread; the
median over rounds of the process's time, which other processes do not lengthen, is reported. torch is measured beside them, as the model
ran it before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from actlab.codegen.onnx.program import Settings, program_of_spec
from actlab.errors import ExportError
from actlab.export.onnx.runtimes import RUNTIMES, Exported, installed_runtimes
from actlab.export.onnx.single import model_of
from actlab.export.report import Latency
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.nn.layers.layer import layer

__all__ = ["latencies"]

SIZE = 2**18
ROUNDS = 15


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
        One record for each activation and runtime, and one for torch. Where a runtime cannot run an activation, its record says why.

    Raises:
        ExportError: a runtime is unknown or not installed.
        TypeError: an activation is tensor code, not a formula.

    Example:
        >>> [each.runtime for each in latencies(["relu"], runtimes=["onnxruntime"], size=1024, rounds=1)]
        ['torch', 'onnxruntime']
    """
    chosen = installed_runtimes() if runtimes is None else list(runtimes)
    for name in chosen:
        if name not in installed_runtimes():
            raise ExportError(f"The runtime {name!r} is not installed; installed: {', '.join(installed_runtimes())}.")
    runs: dict[tuple[str, str], Callable[[], Any]] = {}
    missing: dict[tuple[str, str], str] = {}  # why, by activation and runtime; "" where it runs
    for spec in map(parse, specs):
        for runtime, call in _calls(spec, chosen, size, settings):
            missing[str(spec), runtime] = ""
            try:
                runs[str(spec), runtime] = _warm(call())
            except Exception as error:  # runtimes raise anything
                missing[str(spec), runtime] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    times = _in_turn(runs, rounds)
    return tuple(
        Latency(
            spec=spec,
            runtime=runtime,
            version=version(runtime),
            size=size,
            milliseconds=None if reason else 1e3 * float(np.median(times[spec, runtime])),
            missing=reason,
        )
        for (spec, runtime), reason in missing.items()
    )


def _warm(call: Callable[[], Any]) -> Callable[[], Any]:
    call()
    return call


def _in_turn(runs: dict[tuple[str, str], Callable[[], Any]], rounds: int) -> dict[tuple[str, str], list[float]]:
    """Return the seconds of each call in every round."""
    times: dict[tuple[str, str], list[float]] = {key: [] for key in runs}
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        for _ in range(rounds):
            for key, call in runs.items():
                start = time.process_time()
                call()
                times[key].append(time.process_time() - start)
    finally:
        torch.set_num_threads(threads)
    return times


def _calls(
    spec: Spec, runtimes: list[str], size: int, settings: Settings | None
) -> Iterable[tuple[str, Callable[[], Callable[[], Any]]]]:
    """Yield for torch and each runtime what makes its call."""
    settings = settings or Settings()
    program = program_of_spec(spec, settings)
    act = layer(spec.forward, channels=1).eval()
    generator = np.random.default_rng(0)
    # not (size, 1): onnxruntime adds numbers to a last dimension of one element 100 times slower
    inputs = [generator.standard_normal((1, 1, size), dtype=np.float32) * 3 for _ in spec.activation.inputs]
    learned = [parameter.detach().numpy() for parameter in act.parameters()]
    feed = dict(zip(program.inputs, [*inputs, *learned], strict=True))
    tensors = tuple(torch.from_numpy(each) for each in inputs)
    content = model_of(program, settings.opset, [each.shape for each in feed.values()]).SerializeToString()
    exported = Exported(content=content, feed=feed, model=act, arguments=tensors, keywords={})
    yield "torch", lambda: lambda: _without_gradients(act, tensors)
    for name in runtimes:
        yield name, partial(RUNTIMES[name], exported)


def _without_gradients(act: torch.nn.Module, tensors: tuple[torch.Tensor, ...]) -> None:
    with torch.no_grad():
        act(*tensors)
