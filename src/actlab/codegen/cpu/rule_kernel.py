"""The CPU reading of a gradient rule: one pass forward, which writes a bit per element where that is all the rule needs, and one backward.

A window needs one bit of each element, noise needs none: its numbers are hashed from the place as they are used, the same as
:mod:`actlab.codegen.counter_rng` gives. So the passes move little more than a plain rectifier's do. Tensors are contiguous, on the CPU.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from math import sqrt
from typing import Any, cast

import numpy as np
import sympy
import torch
from torch import Tensor

from actlab.codegen.counter_rng import GOLDEN
from actlab.codegen.cpu import jit, vector_math
from actlab.codegen.cpu import kernel as cpu
from actlab.codegen.cpu import threads as team
from actlab.codegen.cpu.bit_loop import BitLoop, Body
from actlab.codegen.cpu.dtypes import Storage
from actlab.codegen.cpu.ir_builder import IRBuilder, Value
from actlab.codegen.cpu.launch import SHARE
from actlab.codegen.eager_mode import is_eager
from actlab.codegen.rule_passes import SYMBOLS, RulePasses, rule_passes
from actlab.functions.formula import Expr
from actlab.functions.formula.printer import compile_source, function_source
from actlab.functions.spec import Spec, X

__all__ = ["CpuRuleKernel", "rule_kernel", "can_run_rule_kernel"]

STORAGES = {dtype: storage for dtype, storage in cpu.STORAGES.items() if storage != "float16"}  # which stays torch's
# Minimax fits of erfinv(x) / x in w = -log(1 - x^2), constant last: below w = 5 in w - 2.5, from there in sqrt(w) - 3 (Giles 2010).
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
    """The two passes of a spec with a rule. Get it from :func:`rule_kernel`.

    Attributes:
        gradient: what is computed backward.
        keep: what the backward pass needs of each element: nothing, one bit, or the input.
        is_exact: whether the forward pass has torch's values to the bit: it only chooses between the input and constants.
    """

    def __init__(self, passes: RulePasses) -> None:
        self.passes = passes
        self.gradient, self.keep, self.is_exact = passes.gradient, passes.keep, passes.is_exact
        self._functions: dict[tuple[str, Storage], Callable[..., None]] = {}

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the values, and what the backward pass needs: None, uint8 of ``ceil(n / 8)`` rounded up to whole vectors, or the input.

        Args:
            x: contiguous, float32, float64 or bfloat16.
        """
        y = torch.empty_like(x)
        if self.keep != "bits":
            self._run("forward", x, [x.data_ptr(), y.data_ptr()], None)
            return y, x if self.keep == "input" else None
        bits = torch.empty(-(-x.numel() // 64) * 8, dtype=torch.uint8)
        self._run("forward", x, [x.data_ptr(), y.data_ptr(), bits.data_ptr()], None)
        return y, bits

    def backward(self, grad: Tensor, kept: Tensor | None, key: Tensor | None) -> Tensor:
        """Return the gradient of the input.

        Args:
            grad: contiguous, of the output's dtype.
            kept: what :meth:`forward` returned.
            key: of the noise, see :func:`~actlab.codegen.counter_rng.draw_key`; None without noise.
        """
        made = torch.empty_like(grad)
        streams = [grad.data_ptr(), *([] if kept is None else [kept.data_ptr()]), made.data_ptr()]
        self._run("backward", grad, streams, key)
        return made

    def _run(self, which: str, like: Tensor, streams: list[int], key: Tensor | None) -> None:
        function = self._function(which, STORAGES[like.dtype])
        words = [0, 0] if key is None else key.tolist()
        count = like.numel()
        threads = min(torch.get_num_threads(), count // SHARE) if count >= 2 * SHARE else 1
        if threads <= 1:
            if count:
                function(*streams, 0, count, *words)
            return
        length = -(-count // (threads * 64)) * 64  # shares begin at whole bytes of bits
        address = ctypes.cast(cast("Any", function), ctypes.c_void_p).value
        calls = [[address, *streams, first, min(count, first + length), *words] for first in range(0, count, length)]
        team.run(np.array(calls, dtype=np.int64), threads)

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
        value = _printed([passes.x], passes.value)
        mask = _printed([X], passes.mask) if self.keep == "bits" else None

        def body(_: IRBuilder, given: dict[str, Value]) -> dict[str, Value]:
            made = {"y": _number(value(given["x"]), given["x"])}
            if mask is not None:
                made["bits"] = _number(mask(given["x"]), given["x"]) > passes.middle
            return made

        return body

    def _backward_body(self) -> Body:
        sides = [_printed(SYMBOLS, expression) for expression in self.passes.gradients]
        is_noisy, ingredients = self.gradient.is_noisy, self.passes.ingredients

        def body(builder: IRBuilder, given: dict[str, Value]) -> dict[str, Value]:
            grad = given["grad"]
            noise = _noise(builder, grad, ingredients) if is_noisy else grad
            made = [_number(side(grad, given.get("x", grad), noise, noise), grad) for side in sides]
            return {"y": made[0] if len(made) == 1 else given["bits"].chosen(made[1], made[0])}

        return body


def _printed(symbols: list[sympy.Symbol], expression: Expr) -> Callable[..., Any]:
    return compile_source(function_source("part", symbols, expression, "cpu"), "part", vector_math.NAMES)


def _number(made: Any, like: Value) -> Value:
    return made if isinstance(made, Value) else like.builder.constant(float(made), like.precision)


def _noise(builder: IRBuilder, like: Value, ingredients: frozenset[str]) -> Value:
    """Return the noise that a rule asks for, uniform or normal, as :mod:`~actlab.codegen.counter_rng` has it."""
    made = _uniform(builder) if "u" in ingredients else _normal(builder)
    return made.widened() if like.precision == "float64" else made


def _uniform(builder: IRBuilder) -> Value:
    bits = builder.value("float32", "%place", "bits").with_bits("mul", GOLDEN)
    for word in ("%key0", "%key1"):
        bits = _mixed(bits.with_bits("add", builder.value("float32", word, "bits")))
    return (bits.with_bits("lshr", 9).whole() + 0.5) * 2.0**-23


def _normal(builder: IRBuilder) -> Value:
    """Return the inverse of the normal distribution function at uniform numbers, to 4e-7 of its value."""
    u = _uniform(builder)
    w = -vector_math.log(4.0 * u * (1.0 - u))
    far = vector_math.sqrt(vector_math.maximum(w, 5.0)) - 3.0
    near = vector_math.minimum(w, 5.0) - 2.5
    ratio = (w < 5.0).chosen(vector_math.polynomial(NEAR[::-1], near), vector_math.polynomial(FAR[::-1], far))
    return ratio * (2.0 * u - 1.0) * sqrt(2.0)


def _mixed(bits: Value) -> Value:
    for shift, factor in ((16, 0x7FEB352D), (15, -2073254261), (16, None)):
        bits = bits.with_bits("xor", bits.with_bits("lshr", shift))
        bits = bits if factor is None else bits.with_bits("mul", factor)
    return bits


def can_run_rule_kernel(x: Tensor) -> bool:
    """Tell whether a tensor is one for kernels: dense on the CPU, of a dtype that they compute on, and LLVM is there.

    Example:
        >>> can_run_rule_kernel(torch.ones(2)), can_run_rule_kernel(torch.ones(2, device="meta"))
        (True, False)
    """
    return (
        type(x) in {Tensor, torch.nn.Parameter}
        and x.device.type == "cpu"
        and x.dtype in STORAGES
        and is_eager()
        and _compiles()
    )


@cache
def _compiles() -> bool:
    try:
        jit.fingerprint()
    except jit.NoCompilerError:
        return False
    return True


@cache
def rule_kernel(spec: Spec) -> CpuRuleKernel | None:
    """Return the kernel of a spec with a rule, or None where there is none: rules of several noises, or of noise that is tied to units.

    Example:
        >>> from actlab.functions.grammar import parse
        >>> made = rule_kernel(parse("step/rect(-1, 1)"))
        >>> y, kept = made.forward(torch.tensor([-2.0, -0.5, 0.5]))
        >>> y, made.backward(torch.ones(3), kept, None), made.keep
        (tensor([0., 0., 1.]), tensor([0., 1., 1.]), 'bits')
    """
    passes = rule_passes(spec)
    return None if passes is None else CpuRuleKernel(passes)
