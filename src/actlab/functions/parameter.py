"""Parameters of activations and rules, with default, domain, and whether training learns them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from math import isnan
from typing import Annotated, Any, Literal

import sympy

from actlab.errors import SpecError

__all__ = [
    "DOMAINS",
    "LARGEST",
    "SMALLEST",
    "AboveOne",
    "Bits",
    "Constant",
    "Count",
    "Cutoff",
    "Dim",
    "Entropic",
    "Flag",
    "Fraction",
    "Learned",
    "NonNegative",
    "NonZero",
    "Parameter",
    "Positive",
    "Share",
    "is_usable",
    "learned",
    "signature",
]

Scope = Literal["layer", "channel"]

Positive = Annotated[float, "positive"]
NonNegative = Annotated[float, "nonnegative"]
NonZero = Annotated[float, "nonzero"]
Fraction = Annotated[float, "fraction"]
Entropic = Annotated[float, "entropic"]
AboveOne = Annotated[float, "above_one"]
Share = Annotated[float, "share"]
Count = Annotated[int, "count"]
Dim = Annotated[int, "dim"]
Flag = Annotated[int, "flag"]
Constant = Annotated[float, "constant"]  # a number without a gradient almost everywhere
Cutoff = Annotated[float, "cutoff"]  # of the input; at its default the formula leaves it out
Bits = Annotated[int, "bits"]
INTEGER_DOMAINS = {"bits", "count", "dim", "flag"}
LARGEST, SMALLEST = 1e18, 1e-18  # magnitudes of a number but 0, whose square and its reciprocal are finite in float32
UNLEARNABLE = {*INTEGER_DOMAINS, "share", "cutoff", "constant"}
DOMAINS: dict[str, tuple[str, Callable[[float], bool]]] = {
    "real": ("any number", lambda value: not isnan(value)),
    "positive": ("a number above 0", lambda value: value > 0),
    "nonnegative": ("a number from 0 up", lambda value: value >= 0),
    "nonzero": ("any number but 0", lambda value: value != 0),
    "fraction": ("a number above 0 and below 1", lambda value: 0 < value < 1),
    "entropic": ("a number above 1 and up to 2", lambda value: 1 < value <= 2),
    "above_one": ("a number above 1", lambda value: value > 1),
    "share": ("a number above 0 and up to 1", lambda value: 0 < value <= 1),
    "cutoff": ("any number", lambda value: not isnan(value)),
    "constant": ("any number", lambda value: not isnan(value)),
    "bits": ("a whole number from 1 to 24", lambda value: 1 <= value <= 24 and value == int(value)),
    "count": ("a whole number from 1 to 65536", lambda value: 1 <= value <= 65536 and value == int(value)),
    "dim": ("a dimension from -64 to 63, such as -1", lambda value: -64 <= value <= 63 and value == int(value)),
    "flag": ("0 (no) or 1 (yes)", lambda value: value in {0, 1}),
}


@dataclass(frozen=True)
class Learned:
    """A parameter that training learns, per layer or per channel.

    Attributes:
        initial: initial value; None takes the parameter's default.
        scope: "layer" (shape ``(1,)``) or "channel" (shape ``(channels,)``, acting on dimension 1).
    """

    initial: float | None = None
    scope: Scope = "layer"

    def __str__(self) -> str:
        word = "learned" if self.scope == "layer" else "learned_per_channel"
        return word if self.initial is None else f"{word}({self.initial:g})"


def learned(initial: float) -> Learned:
    """Mark a parameter as learned by default: ``def prelu(x, weight=learned(0.25))``."""
    return Learned(initial)


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter of an activation or a rule.

    Attributes:
        name: as in the spec, ``leaky_relu(negative_slope=0.02)``.
        default: value if the spec gives none.
        learned: whether training learns it unless the spec gives a number.
        domain: a key of ``DOMAINS``.
    """

    name: str
    default: float
    learned: bool = False
    domain: str = "real"

    @property
    def whole(self) -> bool:
        """Whether it is an integer: a size, a dimension or a flag."""
        return self.domain in INTEGER_DOMAINS

    @property
    def learnable(self) -> bool:
        """Whether training can learn it: not an integer, a share, from which a number of elements is computed, a cutoff or a constant."""
        return self.domain not in UNLEARNABLE

    @property
    def default_value(self) -> float | Learned:
        """Value if the spec gives none: the default, or :class:`Learned` starting there."""
        return Learned(self.default) if self.learned else self.default

    @property
    def symbol(self) -> sympy.Symbol:
        """The symbol that stands for it in the formula."""
        return sympy.Symbol(self.name, real=True)

    def check(self, value: float, of: str) -> float:
        """Return ``value``, as an integer where the domain asks for one.

        Args:
            value: the number to check.
            of: the spec that gives it, for the message.

        Raises:
            SpecError: it is outside the domain.
        """
        allowed, holds = DOMAINS[self.domain]
        if not (is_usable(value) and holds(value)):
            size = "" if self.whole or is_usable(value) else f", of a magnitude from {SMALLEST:g} to {LARGEST:g}"
            size += " or 0" if size and holds(0.0) else ""
            raise SpecError(
                f"{of}: {self.name}={value:g} is out of range; allowed is {allowed}{size} (default {self.default:g})."
            )
        return int(value) if self.whole else value


def is_usable(value: float) -> bool:
    """Whether a number is 0 or has a magnitude with which formulas stay finite in float32.

    Example:
        >>> is_usable(-1e6), is_usable(1e308), is_usable(float("nan"))
        (True, False, False)
    """
    return value == 0 or SMALLEST <= abs(value) <= LARGEST


def signature(function: Callable[..., Any]) -> tuple[tuple[sympy.Symbol, ...], tuple[Parameter, ...]]:
    """Return the inputs (arguments without a default) and parameters (those with one) of a function."""
    inputs, parameters = [], []
    for argument in inspect.signature(function, eval_str=True).parameters.values():
        if argument.name == "training":  # a flag passed to tensor code by the layer, not a parameter
            continue
        if argument.default is argument.empty:
            inputs.append(sympy.Symbol(argument.name, real=True))
        else:
            domain = getattr(argument.annotation, "__metadata__", ("real",))[0]
            is_learned = isinstance(argument.default, Learned)
            default = float(argument.default.initial if is_learned else argument.default)
            default = int(default) if domain in INTEGER_DOMAINS else default
            parameters.append(Parameter(name=argument.name, default=default, learned=is_learned, domain=domain))
    return tuple(inputs), tuple(parameters)
