"""ONNX nodes of a formula or a spec.

Example:
    >>> from actlab.functions.grammar import parse
    >>> print(program_of_spec(parse("mish")))
    7 nodes: 2 Add, Div, Exp, Min, 2 Mul
    >>> program_of_spec(parse("gelu"), Settings(opset=20)).operators
    ('Gelu',)
"""

from __future__ import annotations

from functools import cache

import sympy

from actlab.codegen.forward_backward import passes
from actlab.codegen.onnx.branches import without_choices
from actlab.codegen.onnx.elementary import NAMES
from actlab.codegen.onnx.node import Program
from actlab.codegen.onnx.recorder import Recorder, Settings
from actlab.codegen.pytorch import native
from actlab.functions.formula import Expr, clamped, normal_cdf, sigmoid
from actlab.functions.formula.printer import compile_source, function_source, print_expression
from actlab.functions.spec import Spec

__all__ = ["Program", "Settings", "program", "program_of_spec", "with_limits_of_layer"]

TANH_GELU = 0.7978845608028654  # sqrt(2 / pi)
CUBIC = 0.044715


def program_of_spec(spec: Spec, settings: Settings | None = None) -> Program:
    """Return the nodes of the forward pass of an elementwise or gated activation.

    Args:
        spec: the function; a gradient rule has no part in the forward pass.
        settings: opset, dtype, and what to prefer.

    Raises:
        TypeError: the activation is tensor code, not a formula.
    """
    both = passes(spec.forward)
    names = tuple(symbol.name for symbol in both.arguments)
    return program(with_limits_of_layer(both.value, spec.forward), tuple(both.inputs), names, settings)


def with_limits_of_layer(expression: Expr, spec: Spec) -> Expr:
    """Return a formula without its clamps at infinity where the layer is torch's own kernel, which gives NaN there.

    Args:
        expression: stabilised form of the formula.
        spec: that it is of.

    Example:
        >>> from actlab.functions.grammar import parse
        >>> with_limits_of_layer(passes(parse("silu")).value, parse("silu"))
        x*sigmoid(x)
    """
    return expression if native(spec) is None else expression.replace(clamped, lambda inner, _side: inner)


@cache
def program(
    expression: Expr,
    inputs: tuple[sympy.Symbol, ...],
    arguments: tuple[str, ...],
    settings: Settings | None = None,
) -> Program:
    """Return the nodes of a formula.

    Args:
        expression: stabilised form of a formula over the primitives.
        inputs: symbols of the inputs.
        arguments: names of the inputs and of the learned parameters, in order.
        settings: opset, dtype, and what to prefer.
    """
    settings = settings or Settings()
    symbols = [sympy.Symbol(name, real=True) for name in arguments]
    source = function_source("formula", symbols, _with_operators(without_choices(expression, inputs)), "cpu")
    recorder = Recorder(settings)
    result = compile_source(source, "formula", NAMES)(*(recorder.input(name) for name in arguments))
    return recorder.program(arguments, result, settings.dtype)


def _with_operators(expression: Expr) -> Expr:
    """Return the expression with products that have an operator of their own as calls of it."""
    return expression.replace(lambda e: isinstance(e, sympy.Mul) and e.has(normal_cdf, sigmoid), _with_gelu)


def _with_gelu(product: sympy.Mul) -> Expr:
    factors = list(product.args)
    for gate in factors:
        u, approximate = _gate_of_gelu(gate)
        if u is None:
            continue
        for factor in factors:
            if factor == u or (isinstance(factor, clamped) and factor.args[0] == u):
                factors.remove(gate)
                factors.remove(factor)
                # alone it is torch's own function, which is NaN at minus infinity, too
                inner = factor if factors else factor.args[0] if isinstance(factor, clamped) else factor
                call = sympy.Symbol(f"gelu({print_expression(inner, 'cpu')}, {approximate!r})", real=True)
                return sympy.Mul(call, *factors, evaluate=False)
    return product


def _gate_of_gelu(factor: Expr) -> tuple[Expr | None, str]:
    """Return u for ``Phi(u)`` and for its approximation by a tanh, written as ``sigmoid(2 c u (1 + 0.044715 u^2))``."""
    if isinstance(factor, normal_cdf):
        return factor.args[0], "none"
    if isinstance(factor, sigmoid) and len(factor.free_symbols) == 1:
        for u in {*factor.free_symbols, *factor.atoms(clamped)}:
            expected = 2 * TANH_GELU * u * (1 + CUBIC * u**2)
            if (factor.args[0] - expected).expand().is_zero or _is_near(factor.args[0], expected):
                return u, "tanh"
    return None, ""


def _is_near(a: Expr, b: Expr) -> bool:
    difference = sympy.expand(a - b)
    terms = sympy.Add.make_args(difference)
    return all(abs(float(term.as_coeff_Mul()[0])) < 1e-12 for term in terms)
