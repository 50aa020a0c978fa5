"""Triton's interpreter in a separate process, as it must be chosen before Triton is imported."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch


def _choose() -> None:
    os.environ["TRITON_INTERPRET"] = "1"
    torch.set_num_threads(1)


class Interpreter:
    """Runs kernels in a process with Triton's interpreter."""

    def __enter__(self) -> Interpreter:
        self.pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_choose)
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown()

    def forward(self, spec: str, x: Any, *parameters: Any, gate: str = "second", **options: Any) -> Any:
        return self.pool.submit(_run, "forward", spec, gate, options, (x, *parameters)).result()

    def backward(self, spec: str, grad: Any, x: Any, *parameters: Any, gate: str = "second", **options: Any) -> Any:
        return self.pool.submit(_run, "backward", spec, gate, options, (grad, x, *parameters)).result()

    def call(self, function: Any, *arguments: Any) -> Any:
        return self.pool.submit(function, *arguments).result()


def _run(which: str, spec: str, gate: str, options: dict[str, Any], arguments: tuple[Any, ...]) -> Any:
    import warnings

    from actlab.codegen.gpu import kernel as gpu
    from actlab.functions.grammar import parse

    warnings.simplefilter(
        "ignore", RuntimeWarning
    )  # the interpreter is NumPy, which warns where a GPU gives infinity or NaN
    if options.pop("wide", False):
        gpu.needs_wide = lambda _: True  # tensors of 2^31 numbers are too large for the interpreter
        options["block"] = 512  # compiled separately from the other kernels
    kernel = gpu.GpuKernel(parse(spec), gate, **options)  # type: ignore[arg-type]  # options are the kernel's own
    return getattr(kernel, which)(*arguments)
