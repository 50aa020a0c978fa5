"""Transcendental calls, eager kernels and memory traffic of an activation.

>>> cost("mish").words
'three transcendentals (exp, log1p, tanh)'
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sympy
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from actlab.functions import formula
from actlab.functions.activation import Activation
from actlab.functions.formula import Expr, Primitive, derivative
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.nn.layers.layer import layer

__all__ = ["Cost", "cost", "kernels"]

# Transcendental calls of each primitive.
CALLS: Mapping[type[Primitive], tuple[str, ...]] = {
    formula.exp: ("exp",),
    formula.expm1: ("expm1",),
    formula.log: ("log",),
    formula.log1p: ("log1p",),
    formula.sigmoid: ("sigmoid",),
    formula.tanh: ("tanh",),
    formula.erf: ("erf",),
    formula.sin: ("sin",),
    formula.cos: ("cos",),
    formula.atan: ("atan",),
    formula.asinh: ("asinh",),
    formula.sinc: ("sin",),
    formula.normal_cdf: ("erfc",),
    formula.softplus: ("exp", "log1p"),
    formula.logsigmoid: ("exp", "log1p"),
}
# Transcendental calls of torch's kernels, for tensor code; all other kernels count as arithmetic.
SINGLE = ("exp", "expm1", "log", "log1p", "log2", "sigmoid", "tanh", "erf", "erfc", "sin", "cos", "atan", "pow")
GROUPS = {
    "a matrix product": ("mm", "bmm", "matmul", "addmm", "baddbmm"),
    "a sort": ("sort", "topk", "kthvalue", "median"),
    "a running sum": ("cumsum", "cumprod", "logcumsumexp"),
    "a Fourier transform": ("_fft_r2c", "_fft_c2c", "_fft_c2r"),
    "random draws": ("rand", "randn", "rand_like", "randn_like", "bernoulli", "uniform", "normal", "native_dropout"),
}
KERNELS: Mapping[str, tuple[str, ...]] = {
    **{name: (name,) for name in SINGLE},
    **{name: (group,) for group, names in GROUPS.items() for name in names},
    "_softmax": ("exp",),
    "_log_softmax": ("exp", "log"),
    "logsumexp": ("exp", "log"),
    "softplus": ("exp", "log1p"),
    "log_sigmoid_forward": ("exp", "log1p"),
}
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
FLOAT32 = 4  # bytes


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Cost of a function, per element of its output if it is a formula.

    Attributes:
        forward: transcendental calls of the value, after elimination of common subexpressions; for tensor code those of its kernels.
        backward: transcendental calls of the derivative, computed from the input; empty for tensor code.
        kernels: number of kernels that eager torch runs for the layer, forward and backward (views do not count).
        traffic: elements read and written at least, forward and backward, if each pass is one fused kernel.
    """

    forward: tuple[str, ...]
    backward: tuple[str, ...]
    kernels: tuple[int, int]
    traffic: tuple[float, float]

    @property
    def words(self) -> str:
        """The cost class: "arithmetic only", "one transcendental (exp)", ..."""
        calls = [call for call in self.forward if " " not in call]
        others = sorted({call for call in self.forward if " " in call})
        many = NUMBERS[len(calls)] if len(calls) < len(NUMBERS) else str(len(calls))
        counted = (f"{calls.count(call)} {call}" if calls.count(call) > 1 else call for call in dict.fromkeys(calls))
        first = f"{many} transcendental{'s' * (len(calls) > 1)} ({', '.join(counted)})" if calls else "arithmetic only"
        return ", ".join([first, *others] if calls or not others else ["no transcendentals", *others])

    @property
    def bytes(self) -> float:
        """Minimum memory traffic of a training step in bytes, in float32."""
        return FLOAT32 * sum(self.traffic)


def cost(spec: str | Spec) -> Cost:
    """Return the cost of an activation with the parameter values of its spec.

    Raises:
        SpecError: the spec cannot be read.

    Example:
        >>> cost("relu").words, cost("relu").bytes, cost("swiglu").bytes
        ('arithmetic only', 20, 32)
        >>> cost("entmax15").words
        'no transcendentals, a running sum, a sort'
    """
    spec = parse(spec)
    record, kernel_names = spec.activation, kernels(spec)
    count = len(kernel_names[0]), len(kernel_names[1])
    if record.expression is None:
        forward = tuple(call for name in kernel_names[0] for call in KERNELS.get(name, ()))
        return Cost(forward=forward, backward=(), kernels=count, traffic=_traffic_of_tensors(spec))
    slopes = [derivative(spec.formula, x) for x in record.inputs]
    calls = tuple(sorted(_calls([spec.formula]))), tuple(sorted(_calls(slopes)))
    return Cost(forward=calls[0], backward=calls[1], kernels=count, traffic=_traffic(record, slopes))


def _calls(expressions: list[Expr]) -> list[str]:
    nodes = set().union(*(expression.atoms(Primitive) for expression in expressions))
    powers = set().union(*(expression.atoms(sympy.Pow) for expression in expressions))
    calls = [call for node in nodes if node.free_symbols for call in CALLS.get(type(node), ())]
    return calls + ["pow" for power in powers if power.free_symbols and not _is_half(power.exp)]


def _is_half(exponent: Any) -> bool:
    """Whether an exponent is a multiple of 1/2: such powers are products and square roots, which are instructions and not calls."""
    is_number = exponent.is_number if isinstance(exponent, sympy.Basic) else isinstance(exponent, int | float)
    return bool(is_number and float(2 * exponent).is_integer())


def _traffic(record: Activation, slopes: list[Expr]) -> tuple[float, float]:
    """Return elements per output element: the backward pass reads the gradient and the inputs its slopes need, and writes gradients."""
    inputs = len(record.inputs)
    needed = set().union(*(slope.free_symbols for slope in slopes)) & set(record.inputs)
    reads_gradient = any(slope != 0 for slope in slopes)
    return inputs + 1, len(needed) + reads_gradient + inputs


def _traffic_of_tensors(spec: Spec) -> tuple[float, float]:
    """Return elements per element of the input, with all intermediate results inside one fused kernel."""
    size = 64
    inputs, width = max(1, len(spec.activation.inputs)), spec.width(size) / size
    numbers = 2 if spec.activation.kind == "complex" else 1  # real ones per element
    return numbers * (inputs + width), numbers * (2 * inputs + width)


class _KernelNames(TorchDispatchMode):  # type: ignore[no-untyped-call] # not annotated in torch
    """Records the names of the kernels that run; views do not count."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # not annotated in torch
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        aliases = [result.alias_info for result in func._schema.returns if result.alias_info]
        if not aliases or any(info.is_write for info in aliases):
            name = func._schema.name.partition("::")[2].rstrip("_")
            self.names.append("square" if name == "pow" and _is_half(args[1]) else name)
        return func(*args, **(kwargs or {}))


def kernels(spec: str | Spec) -> tuple[list[str], list[str]]:
    """Return the names of the kernels that eager torch runs for the layer in training, forward and backward.

    Example:
        >>> kernels("gelu")
        (['gelu'], ['gelu_backward'])
    """
    spec = parse(spec)
    module = layer(spec, channels=8)
    dtype = torch.complex64 if spec.activation.kind == "complex" else torch.float32
    x = torch.randn(2, 8, 64, dtype=dtype, generator=torch.Generator().manual_seed(0), requires_grad=True)
    with _KernelNames() as forward:
        y = module(x)
    if not y.requires_grad:
        return forward.names, []
    gradient = torch.ones_like(y)
    with _KernelNames() as backward:
        torch.autograd.grad(y, x, gradient, allow_unused=True)
    return forward.names, backward.names
