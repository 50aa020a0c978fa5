"""Formulas of stochastic activations in evaluation, read from a trace of their tensor code.

In evaluation a stochastic activation is its mean, or its value at the mean noise, and is written as tensor code. The operations that this
code applies to its input are recorded by :mod:`torch.fx` and repeated on symbols.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import sympy
import torch.fx

from actlab.errors import ExportError
from actlab.functions.formula import (
    Expr,
    absolute,
    canonical,
    erf,
    exp,
    expm1,
    log,
    log1p,
    logsigmoid,
    maximum,
    minimum,
    normal_cdf,
    sigmoid,
    sign,
    softplus,
    tanh,
    where,
)
from actlab.functions.parameter import Learned
from actlab.functions.spec import Spec

__all__ = ["mean_formula"]


def _clamp(x: Expr, min: Any = None, max: Any = None) -> Expr:  # noqa: A002 torch's names
    low = x if min is None else maximum(x, min)
    return low if max is None else minimum(low, max)


# What torch's functions and methods of these names are on symbols; Python's operators are themselves.
FUNCTIONS: Mapping[str, Callable[..., Expr]] = {
    function.__name__: function
    for function in (exp, expm1, log, log1p, logsigmoid, sigmoid, sign, softplus, tanh, erf, where)
} | {
    "abs": absolute,
    "clamp": _clamp,
    "clamp_max": minimum,
    "clamp_min": maximum,
    "erfc": lambda x: 2 * normal_cdf(-sympy.sqrt(2) * x),
    "log_sigmoid": logsigmoid,
    "maximum": maximum,
    "minimum": minimum,
    "neg": operator.neg,
    "pow": operator.pow,
    "relu": lambda x: maximum(x, 0),
    "silu": lambda x: x * sigmoid(x),
    "sqrt": sympy.sqrt,
    "square": lambda x: x**2,
}
OPERATORS = {
    getattr(operator, name) for name in ("add", "sub", "mul", "truediv", "neg", "pow", "gt", "ge", "lt", "le", "abs")
}


def mean_formula(spec: Spec) -> Expr:
    """Return the formula of a stochastic activation in evaluation, with numbers for its parameters; learned ones stay symbols.

    Raises:
        ExportError: the tensor code applies an operation that has no formula, such as a softmax.

    Example:
        >>> from actlab.functions.grammar import parse
        >>> mean_formula(parse("rrelu(0, 0.5)"))
        where(x > 0, x, 0.25*x)
    """
    record = spec.activation
    graph = torch.fx.Graph()
    tracer = torch.fx.proxy.GraphAppendingTracer(graph)
    learned = {name for name, value in spec.assigned if isinstance(value, Learned)}
    proxies = {
        name: torch.fx.Proxy(graph.placeholder(name), tracer) for name in (record.inputs[0].name, *sorted(learned))
    }
    arguments = {name: proxies[name] if name in learned else value for name, value in spec.assigned}
    code: Callable[..., Any] = record.tensor_code  # type: ignore[assignment] # stochastic activations are tensor code
    try:
        result = code(proxies[record.inputs[0].name], training=False, **arguments)
    except (TypeError, torch.fx.proxy.TraceError) as error:
        raise ExportError(f"{spec} has no formula in evaluation: {error}") from error
    graph.output(result.node)
    return canonical(_repeated(graph, spec))


def _repeated(graph: torch.fx.Graph, spec: Spec) -> Expr:
    """Return what a graph computes, on symbols."""
    values: dict[torch.fx.Node, Any] = {}
    for node in graph.nodes:
        if node.op == "placeholder":
            values[node] = sympy.Symbol(node.target, real=True)
            continue
        arguments = torch.fx.node.map_arg(node.args, lambda other: values[other])
        if node.op == "output":
            break
        options = torch.fx.node.map_arg(node.kwargs, lambda other: values[other])
        values[node] = _function(node, spec)(*arguments, **options)
    return sympy.sympify(arguments[0])


def _function(node: torch.fx.Node, spec: Spec) -> Callable[..., Any]:
    if node.target in OPERATORS:
        return node.target  # type: ignore[return-value] # of a call of a function the target is one
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    if name not in FUNCTIONS:
        raise ExportError(
            f"{spec} has no formula in evaluation: it applies {name}, and only {', '.join(sorted(FUNCTIONS))} are known."
        )
    return FUNCTIONS[name]
