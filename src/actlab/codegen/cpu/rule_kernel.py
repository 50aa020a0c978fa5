"""CPU kernels of activations with a gradient rule, which save at most one bit per element.

A window rule saves one bit per element and a noise rule nothing: its numbers are hashed from the element index when they are used, equal to
those of :mod:`actlab.codegen.counter_rng`. So both passes move little more memory than those of a plain ReLU. Tensors are contiguous, on
the CPU.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from functools import cache
from typing import Any, cast

import numpy as np
import sympy
import torch
from torch import Tensor

from actlab.codegen.counter_rng import GOLDEN
from actlab.codegen.cpu import jit, threads
from actlab.codegen.cpu.bit_loop import BitLoop, Body
from actlab.codegen.cpu.dtypes import STORAGES, Storage
from actlab.codegen.cpu.ir_builder import IRBuilder, Value
from actlab.codegen.cpu.launch import SHARE
from actlab.codegen.cpu.vector_arithmetic import maximum, minimum, polynomial, sqrt
from actlab.codegen.cpu.vector_math import NAMES, log
from actlab.codegen.eager_mode import is_eager
from actlab.codegen.rule_passes import SYMBOLS, RulePasses, rule_passes
from actlab.functions.formula import Expr
from actlab.functions.formula.printer import compile_source, function_source
from actlab.functions.spec import Spec, X

__all__ = ["CpuRuleKernel", "can_run_rule_kernel", "rule_kernel"]

DTYPES = {dtype: storage for dtype, storage in STORAGES.items() if storage != "float16"}  # float16 is left to torch
# Minimax fits of erfinv(x) / x in w = -log(1 - x^2), constant last: for w < 5 in w - 2.5, else in sqrt(w) - 3 (Giles 2010).
NEAR = (
    2.81022636e-08,
    3.43273939e-07,
    -3.5233877e-06,
    -4.39150654e-06,
    0.00021858087,
    -0.00125372503,
    -0.00417768164,
    0.246640727,
    1.50140941,
)
FAR = (
    -0.000200214257,
    0.000100950558,
    0.00134934322,
    -0.00367342844,
    0.00573950773,
    -0.0076224613,
    0.00943887047,
    1.00167406,
    2.83297682,
)


class CpuRuleKernel:
    """Forward and backward pass of a spec with a gradient rule. Create it with :func:`rule_kernel`.

    Attributes:
        passes: the expressions of both passes.
        gradient: the backward pass.
        keep: what the backward pass needs of each element: nothing, one bit, or the input.
        is_exact: whether the forward pass equals torch's values bit for bit, as it only selects the input or constants.
    """

    def __init__(self, passes: RulePasses) -> None:
        self.passes = passes
        self.gradient, self.keep, self.is_exact = passes.gradient, passes.keep, passes.is_exact
        self._functions: dict[tuple[str, Storage], Callable[..., None]] = {}

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the values, and what the backward pass needs: None, ``8 * ceil(n / 64)`` uint8 with one bit per element, or the input.

        Args:
            x: contiguous tensor of any shape, float32, float64 or bfloat16.
        """
        y = torch.empty_like(x)
        if self.keep != "bits":
            self._run("forward", x, [x.data_ptr(), y.data_ptr()], None)
            return y, x if self.keep == "input" else None
        bits = torch.empty(-(-x.numel() // 64) * 8, dtype=torch.uint8)
        self._run("forward", x, [x.data_ptr(), y.data_ptr(), bits.data_ptr()], None)
        return y, bits

    def backward(self, grad: Tensor, saved: Tensor | None, key: Tensor | None) -> Tensor:
        """Return the gradient of the input.

        Args:
            grad: gradient of the output, contiguous.
            saved: second result of :meth:`forward`.
            key: key of the noise, see :func:`~actlab.codegen.counter_rng.draw_key`; None without noise.
        """
        dx = torch.empty_like(grad)
        streams = [grad.data_ptr(), *([] if saved is None else [saved.data_ptr()]), dx.data_ptr()]
        self._run("backward", grad, streams, key)
        return dx

    def _run(self, which: str, like: Tensor, streams: list[int], key: Tensor | None) -> None:
        function = self._function(which, DTYPES[like.dtype])
        words = [0, 0] if key is None else key.tolist()
        count = like.numel()
        team_size = min(torch.get_num_threads(), count // SHARE) if count >= 2 * SHARE else 1
        if team_size <= 1:
            if count:
                function(*streams, 0, count, *words)
            return
        length = -(-count // (team_size * 64)) * 64  # each share starts at a byte boundary of the bits
        address = ctypes.cast(cast("Any", function), ctypes.c_void_p).value
        calls = [[address, *streams, first, min(count, first + length), *words] for first in range(0, count, length)]
        threads.run(np.array(calls, dtype=np.int64), team_size)

    def _function(self, which: str, storage: Storage) -> Callable[..., None]:
        if (which, storage) not in self._functions:
            loop = BitLoop(
                storage=storage, reads=self._reads(which), writes=self._writes(which), keyed=which == "backward"
            )
            body = self._forward_body() if which == "forward" else self._backward_body()
            address = jit.address(loop.text(body), lambda: loop.text(body))
            of = [ctypes.c_void_p] * len(loop.streams) + [ctypes.c_int64] * 2 + [ctypes.c_int32] * 2
            self._functions[which, storage] = ctypes.CFUNCTYPE(None, *of)(address)
        return self._functions[which, storage]

    def _reads(self, which: str) -> tuple[str, ...]:
        if which == "forward":
            return ("x",)
        return ("grad", *({"nothing": (), "bits": ("bits",), "input": ("x",)}[self.keep]))

    def _writes(self, which: str) -> tuple[str, ...]:
        return ("y", "bits") if which == "forward" and self.keep == "bits" else ("y",)

    def _forward_body(self) -> Body:
        passes = self.passes
        value = _compile([passes.x], passes.value)
        mask = _compile([X], passes.mask) if self.keep == "bits" else None

        def body(_: IRBuilder, inputs: dict[str, Value]) -> dict[str, Value]:
            x = inputs["x"]
            outputs = {"y": _as_vector(value(x), x)}
            if mask is not None:
                outputs["bits"] = _as_vector(mask(x), x) > passes.middle
            return outputs

        return body

    def _backward_body(self) -> Body:
        gradients = [_compile(SYMBOLS, expression) for expression in self.passes.gradients]
        is_noisy, ingredients = self.gradient.is_noisy, self.passes.ingredients

        def body(builder: IRBuilder, inputs: dict[str, Value]) -> dict[str, Value]:
            grad = inputs["grad"]
            noise = _noise(builder, grad, ingredients) if is_noisy else grad
            levels = [_as_vector(part(grad, inputs.get("x", grad), noise, noise), grad) for part in gradients]
            return {"y": levels[0] if len(levels) == 1 else inputs["bits"].select(levels[1], levels[0])}

        return body


def _compile(symbols: list[sympy.Symbol], expression: Expr) -> Callable[..., Any]:
    return compile_source(function_source("part", symbols, expression, "cpu"), "part", NAMES)


def _as_vector(result: Any, like: Value) -> Value:
    return result if isinstance(result, Value) else like.builder.constant(float(result), like.precision)


def _noise(builder: IRBuilder, like: Value, ingredients: frozenset[str]) -> Value:
    """Return the noise of a rule, uniform or normal, equal to that of :mod:`~actlab.codegen.counter_rng`."""
    noise = _uniform(builder) if "u" in ingredients else _normal(builder)
    return noise.widened() if like.precision == "float64" else noise


def _uniform(builder: IRBuilder) -> Value:
    bits = builder.value("float32", "%place", "bits").with_bits("mul", GOLDEN)
    for word in ("%key0", "%key1"):
        bits = _lowbias32(bits.with_bits("add", builder.value("float32", word, "bits")))
    return (bits.with_bits("lshr", 9).int_to_number() + 0.5) * 2.0**-23


def _normal(builder: IRBuilder) -> Value:
    """Return the inverse of the normal distribution function at uniform numbers, to a relative error of 4e-7."""
    u = _uniform(builder)
    w = -log(4.0 * u * (1.0 - u))
    far = sqrt(maximum(w, 5.0)) - 3.0
    near = minimum(w, 5.0) - 2.5
    ratio = (w < 5.0).select(polynomial(NEAR[::-1], near), polynomial(FAR[::-1], far))
    return ratio * (2.0 * u - 1.0) * math.sqrt(2.0)


def _lowbias32(bits: Value) -> Value:
    for shift, factor in ((16, 0x7FEB352D), (15, -2073254261), (16, None)):
        bits = bits.with_bits("xor", bits.with_bits("lshr", shift))
        bits = bits if factor is None else bits.with_bits("mul", factor)
    return bits


def can_run_rule_kernel(x: Tensor) -> bool:
    """Whether rule kernels can run on a tensor: dense, on the CPU, of a supported dtype, in eager mode, with LLVM installed.

    Example:
        >>> can_run_rule_kernel(torch.ones(2)), can_run_rule_kernel(torch.ones(2, device="meta"))
        (True, False)
    """
    return (
        type(x) in {Tensor, torch.nn.Parameter}
        and x.device.type == "cpu"
        and x.dtype in DTYPES
        and not x.is_neg()
        and is_eager()
        and _has_compiler()
    )


@cache
def _has_compiler() -> bool:
    try:
        jit.fingerprint()
    except jit.NoCompilerError:
        return False
    return True


@cache
def rule_kernel(spec: Spec) -> CpuRuleKernel | None:
    """Return the kernel of a spec with a rule, or None if kernels do not support it (see :func:`~actlab.codegen.rule_passes.rule_passes`).

    Example:
        >>> from actlab.functions.grammar import parse
        >>> window = rule_kernel(parse("step/rect(-1, 1)"))
        >>> y, saved = window.forward(torch.tensor([-2.0, -0.5, 0.5]))
        >>> y, window.backward(torch.ones(3), saved, None), window.keep
        (tensor([0., 0., 1.]), tensor([0., 1., 1.]), 'bits')
    """
    passes = rule_passes(spec)
    return None if passes is None else CpuRuleKernel(passes)
