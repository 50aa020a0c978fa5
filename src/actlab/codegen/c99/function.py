"""C99 functions of specs, one number in and one out, in float32."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

import sympy

from actlab.codegen.c99.elementary import LINE, called, elementary_names
from actlab.codegen.forward_backward import forward_value, stabilized
from actlab.errors import ExportError
from actlab.functions.activation import Activation
from actlab.functions.formula import Expr
from actlab.functions.formula.printer import print_statements
from actlab.functions.grammar import parse
from actlab.functions.mean_formula import mean_formula
from actlab.functions.parameter import Learned
from actlab.functions.spec import Spec

__all__ = ["CFunction", "c_function"]

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
KEYWORDS = """auto break case char const continue default do double else enum extern float for goto if inline int long register
restrict return short signed sizeof static struct switch typedef union unsigned void volatile while _Bool _Complex _Imaginary"""
RESERVED = frozenset(KEYWORDS.split())
REASONS = {
    "vector": "its outputs mix elements, and C functions are printed for one number at a time",
    "complex": "it is a function of complex numbers",
}


@dataclass(frozen=True, kw_only=True)
class CFunction:
    """A C99 function ``static float NAME(float x)``, gated ``static float NAME(float gate, float value)``.

    Attributes:
        name: of the function.
        inputs: names of the inputs: ``("x",)`` or ``("gate", "value")``.
        parameters: names of the learned parameters, further ``float`` arguments after the inputs, in the order of the record; the caller
            passes the number of the layer or of the channel.
        source: text of the function, one definition that ends in a line break.
        needs: names of the elementary functions it calls, for :func:`~actlab.codegen.c99.elementary.elementary_source`.
    """

    name: str
    inputs: tuple[str, ...]
    parameters: tuple[str, ...]
    source: str
    needs: frozenset[str]


def c_function(spec: Spec | Activation | str, name: str) -> CFunction:
    """Return the forward pass of an elementwise, gated or stochastic activation as a C99 function; a stochastic one becomes its mean.

    Args:
        spec: the function, or a record of the catalogue, which stands for its defaults; a gradient rule has no part in the forward pass.
        name: of the C function.

    Raises:
        ExportError: the activation cannot be printed, with the reason, or the name is no C identifier.

    Example:
        >>> swish = c_function("swish(beta=learned)", "swish")
        >>> print(swish.source)
        /* swish(beta=learned) */
        static float swish(float x, float beta)
        {
            return f32_sigmoid((beta*x))*f32_clamped(x, -1.0f);
        }
        <BLANKLINE>
        >>> swish.parameters, sorted(swish.needs)
        (('beta',), ['f32_clamped', 'f32_sigmoid'])
    """
    spec = parse(spec).forward
    if not IDENTIFIER.fullmatch(name) or name in RESERVED or name in elementary_names():
        raise ExportError(
            f"A C function cannot be called {name!r}; give it letters, digits and underscores, as in 'layer_1'."
        )
    record = spec.activation
    if record.kind in REASONS:
        raise ExportError(f"{spec} cannot be printed in C: {REASONS[record.kind]}.")
    value = forward_value(spec) if record.tensor_code is None else stabilized(mean_formula(spec), record.inputs)
    learned = tuple(n for n, assigned in spec.assigned if isinstance(assigned, Learned))
    arguments = [*record.inputs, *(sympy.Symbol(n, real=True) for n in learned)]
    source = _source(f"/* {spec} */", name, arguments, value)
    needs = frozenset(called(source)) - {name}
    if unknown := sorted(needs - elementary_names()):
        raise ExportError(f"{spec} cannot be printed in C: there is no {', '.join(unknown)} in C.")
    return CFunction(
        name=name, inputs=tuple(s.name for s in record.inputs), parameters=learned, source=source, needs=needs
    )


def _source(title: str, name: str, arguments: list[sympy.Symbol], value: Expr) -> str:
    """Return the text of a function that computes an expression."""
    named = {symbol: sympy.Symbol(_c_name(symbol.name), real=True) for symbol in arguments}
    try:
        lines, (result,) = print_statements([value.xreplace(named)], "c99")
    except (OverflowError, TypeError) as error:
        raise ExportError(f"{title.strip('/* ')} cannot be printed in C: {error}") from error
    unused = [f"(void){new.name};" for old, new in named.items() if old not in value.free_symbols]
    shared = [
        f"const float {left} = {_without_parentheses(right)};" for left, _, right in (s.partition(" = ") for s in lines)
    ]
    body = [*shared, *unused, f"return {_without_parentheses(result)};"]
    signature = ", ".join(f"float {symbol.name}" for symbol in named.values())
    wrapped = [part for line in body for part in _wrapped(line)]
    return "\n".join([title, f"static float {name}({signature})", "{", *wrapped, "}"]) + "\n"


def _without_parentheses(text: str) -> str:
    """Return an expression without a pair of parentheses around all of it."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0 and place < len(text) - 1:
            return text
    return text[1:-1] if text.startswith("(") else text


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(
        line, LINE, initial_indent="    ", subsequent_indent="        ", break_long_words=False, break_on_hyphens=False
    )


def _c_name(name: str) -> str:
    """Return a name for an argument that is no keyword, no name of a shared part, and no function."""
    taken = name in RESERVED or name in elementary_names() or re.fullmatch(r"(held_|huge_)?t\d+", name)
    return f"{name}_" if taken else name
