"""The spec: what a user types to name an activation, and the one grammar for it.

::

    gelu                                  the function at its defaults
    leaky_relu(0.02)                      parameters by position ...
    leaky_relu(negative_slope=0.02)       ... or by name
    swish(beta=learned)                   learned, one value per layer, starting at the default
    swish(beta=learned(1.5))              learned, starting at 1.5
    elu(alpha=learned_per_channel)        learned, one value per channel (dimension 1)

``str(parse(text))`` is the canonical text; two specs that mean the same have the same canonical text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import sympy

from actlab.errors import SpecError, did_you_mean
from actlab.functions.activation import DOMAINS, Activation, Learned, Parameter, get
from actlab.functions.formula import Expr, canonical

__all__ = ["Spec", "parse"]

Value = float | Learned

_WHOLE = re.compile(r"\s*(?P<name>[A-Za-z_][\w\-]*)\s*(?:\((?P<arguments>.*)\))?\s*", re.DOTALL)
_LEARNED = re.compile(r"(?P<word>learned|learned_per_channel)(?:\((?P<initial>[^()]*)\))?")
_GRAMMAR = (
    "Write a name, with parameters in parentheses if needed: "
    "gelu, leaky_relu(0.02), swish(beta=learned), elu(alpha=learned_per_channel)."
)


@dataclass(frozen=True)
class Spec:
    """An activation with a value for each of its parameters.

    Attributes:
        activation: the record.
        assigned: pairs of parameter name and value, in the record's order; every parameter has one.
    """

    activation: Activation
    assigned: tuple[tuple[str, Value], ...] = ()

    @property
    def values(self) -> Mapping[str, Value]:
        """Value of every parameter by name: a number, or :class:`Learned` with its initial value filled in."""
        return dict(self.assigned)

    @property
    def numbers(self) -> Mapping[str, float]:
        """Number of every parameter by name; a learned one counts with its initial value."""
        return {name: value.initial or 0.0 if isinstance(value, Learned) else value for name, value in self.assigned}

    @property
    def formula(self) -> Expr:
        """The formula with the numbers in the parameters' places.

        Raises:
            TypeError: the activation is tensor code and has none.

        Example:
            >>> parse("dynamic_tanh(alpha=2, weight=1, bias=0)").formula
            1.0*tanh(2.0*x)
        """
        numbers = {p.symbol: sympy.Float(self.numbers[p.name], 17) for p in self.activation.parameters}
        return canonical(
            self.activation.formula.xreplace(numbers)
        )  # the root of x^2 is SymPy's own |x|, once the 2 is known

    @property
    def needs_channels(self) -> bool:
        """Whether a parameter has one value per channel."""
        return any(isinstance(value, Learned) and value.scope == "channel" for _, value in self.assigned)

    def width(self, size: int) -> int:
        """Return the size of the output's dimension where the input's is ``size``: half for gated functions, ``size / k`` for maxout.

        Raises:
            SpecError: that size does not fit, as 7 elements in groups of 2.

        Example:
            >>> parse("swiglu").width(8), parse("maxout(k=4)").width(8), parse("crelu").width(8)
            (4, 2, 16)
        """
        sizes = {name: sympy.Integer(value) for name, value in self.assigned if isinstance(value, int)}
        width = sympy.sympify(self.activation.width, locals=sizes | {"n": sympy.Integer(size)})
        if not width.is_Integer:
            raise SpecError(f"{self} makes {self.activation.width} of n elements; {size} cannot be divided so.")
        return int(width)

    @property
    def is_default(self) -> bool:
        """Whether every parameter stands at its default, so that the name alone says it all."""
        return not self._arguments()

    def _arguments(self) -> list[str]:
        parameters = {parameter.name: parameter for parameter in self.activation.parameters}
        return [
            f"{name}={_text(value, parameters[name])}"
            for name, value in self.assigned
            if value != _default(parameters[name])
        ]

    def __str__(self) -> str:
        arguments = self._arguments()
        return f"{self.activation.name}({', '.join(arguments)})" if arguments else self.activation.name


def _default(parameter: Parameter) -> Value:
    return Learned(parameter.default) if parameter.learned else parameter.default


def _text(value: Value, parameter: Parameter) -> str:
    if not isinstance(value, Learned):
        return f"{value!r}".removesuffix(".0")
    return (
        str(Learned(None, value.scope))
        if value.initial == parameter.default
        else f"{Learned(None, value.scope)}({value.initial!r})"
    )


def parse(text: str | Spec) -> Spec:
    """Read a spec.

    Args:
        text: what the user typed, or a spec (returned as it is).

    Raises:
        SpecError: the text cannot be read, a parameter is unknown, given twice, or out of its range.
        UnknownNameError: there is no such activation.

    Example:
        >>> str(parse("leaky_relu(0.02)")), str(parse("leaky_relu(0.01)"))
        ('leaky_relu(negative_slope=0.02)', 'leaky_relu')
    """
    if isinstance(text, Spec):
        return text
    if not isinstance(text, str):
        raise SpecError(f"An activation spec is a string, got {type(text).__name__}: {text!r}. {_GRAMMAR}")
    match = _WHOLE.fullmatch(text)
    if not match:
        raise SpecError(f"The spec {text!r} cannot be read. {_GRAMMAR}")
    record = get(match["name"].replace("-", "_"))
    given = _read_arguments(match["arguments"] or "", record, text)
    return Spec(record, tuple((p.name, given.get(p.name, _default(p))) for p in record.parameters))


def _read_arguments(arguments: str, record: Activation, text: str) -> dict[str, Value]:
    given: dict[str, Value] = {}
    pieces = [piece.strip() for piece in re.split(r",(?![^()]*\))", arguments) if piece.strip()]
    for position, piece in enumerate(pieces):
        key, equals, word = (part.strip() for part in piece.partition("="))
        parameter = _by_name(key, record, text) if equals else _by_position(position, record, text)
        if parameter.name in given:
            raise SpecError(f"The spec {text!r} gives {parameter.name!r} twice.")
        given[parameter.name] = _read_value(word if equals else key, parameter, text)
    return given


def _by_position(position: int, record: Activation, text: str) -> Parameter:
    if position >= len(record.parameters):
        raise SpecError(f"The spec {text!r} gives too many values: {_signature(record)}.")
    return record.parameters[position]


def _by_name(key: str, record: Activation, text: str) -> Parameter:
    for parameter in record.parameters:
        if parameter.name == key:
            return parameter
    near = did_you_mean(key, (parameter.name for parameter in record.parameters))
    raise SpecError(f"The spec {text!r} sets {key!r}, which {record.name} does not have: {_signature(record)}.{near}")


def _signature(record: Activation) -> str:
    if not record.parameters:
        return f"{record.name} takes no parameters"
    listed = ", ".join(f"{p.name}={'learned' if p.learned else f'{p.default:g}'}" for p in record.parameters)
    return f"it is {record.name}({listed})"


def _read_value(word: str, parameter: Parameter, text: str) -> Value:
    match = _LEARNED.fullmatch(word)
    if match and not parameter.learnable:
        allowed = DOMAINS[parameter.domain][0]
        raise SpecError(f"The spec {text!r} learns {parameter.name}, which has no gradient; give it {allowed}.")
    if match:
        initial = parameter.default if match["initial"] is None else _number(match["initial"], parameter, text)
        return Learned(initial, "layer" if match["word"] == "learned" else "channel")
    return _number(word, parameter, text)


def _number(word: str, parameter: Parameter, text: str) -> float:
    try:
        value = float(word)
    except ValueError:
        near = did_you_mean(word, ("learned", "learned_per_channel"))
        allowed = "a number, learned, learned(0.5) and learned_per_channel"
        raise SpecError(f"The spec {text!r} gives {parameter.name}={word!r}; allowed are {allowed}.{near}") from None
    return parameter.check(value, text)
