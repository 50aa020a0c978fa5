"""The rule: how the gradient passes an activation backward when that is not the true derivative; the record, and the registry.

A rule is written once, as a formula for the factor that multiplies the arriving gradient, and registered by its decorator. Its
signature says what it needs; every argument without a default is one of :data:`INGREDIENTS`::

    @rule(arxiv="1705.11146", surrogate=lambda x, k: x / (1 + k * abs(x)))
    def fast_sigmoid(x, k: Positive = 25.0):
        \"\"\"Slope of x / (1 + k|x|).\"\"\"
        return 1 / (1 + k * abs(x)) ** 2

A rule that asks for ``grad`` returns the whole gradient instead of a factor: only such a rule can be nonlinear in it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

import sympy

from actlab.functions.formula import Expr, canonical
from actlab.functions.parameter import Parameter, signature
from actlab.functions.registry import Registry

__all__ = ["GRAD", "INGREDIENTS", "Rule", "forget_rule", "get_rule", "rule", "rules"]

INGREDIENTS: Final[Mapping[str, str]] = {
    "x": "the input, measured from where the function is centred (its threshold, if it has one)",
    "y": "the output",
    "grad": "the gradient that arrives",
    "slope": "the true derivative of the function",
    "through": "the derivative where rounding counts as the identity",
    "shuffled": "the true derivative, dealt out to the elements anew in every call",
    "other": "the derivative of the activation that the spec names in parentheses",
    "u": "noise, uniform on (0, 1), new in every call",
    "normal": "noise, standard normal, new in every call",
    "unit": "noise, uniform on (0, 1), the same for a unit in every call and for every sample",
}
GRAD: Final = sympy.Symbol("grad", real=True)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How a gradient passes backward.

    Attributes:
        name: unique among rules, lower case.
        family: the name of the module that defines it.
        doc: one sentence.
        ingredients: what the formula is made of, see :data:`INGREDIENTS`.
        expression: the factor, or the gradient itself if ``grad`` is among the ingredients.
        surrogate: a function of ``x`` whose derivative the factor is, or None. With it the rule's own parameters can be learned.
        parameters: in the order of the spec.
        arxiv: number of the paper, or None.
        paper: the source in words, where there is no arXiv number.
        aliases: further names.
    """

    name: str
    family: str
    doc: str
    ingredients: tuple[str, ...]
    expression: Expr
    surrogate: Expr | None = None
    parameters: tuple[Parameter, ...] = ()
    arxiv: str | None = None
    paper: str | None = None
    aliases: tuple[str, ...] = field(default=(), compare=False)

    def __reduce__(self) -> tuple[Callable[[str], Rule], tuple[str]]:
        return get_rule, (self.name,)  # as activations do: a record is its name

    @property
    def is_linear(self) -> bool:
        """Whether the gradient is a factor times the gradient that arrives, as a derivative's would be."""
        return "grad" not in self.ingredients

    @property
    def takes_activation(self) -> bool:
        """Whether the spec names another activation in parentheses: ``relu/grad(silu)``."""
        return "other" in self.ingredients

    @property
    def source(self) -> str:
        """The paper, as a person would cite it."""
        return f"arXiv:{self.arxiv}" if self.arxiv else self.paper or "folklore"


def _load() -> None:
    import_module("actlab.functions.rules")


_registry: Registry[Rule] = Registry("gradient rule", "`actlab rules` shows all of them.", _load)


def rule(
    *,
    arxiv: str | None = None,
    paper: str | None = None,
    surrogate: Callable[..., Any] | None = None,
    aliases: tuple[str, ...] = (),
) -> Callable[[Callable[..., Any]], Rule]:
    """Register the decorated function as a gradient rule under its own name, and replace it by its record.

    Args:
        arxiv: number of the paper.
        paper: the source in words where there is no arXiv number.
        surrogate: the function whose derivative the rule is, of ``x`` and the parameters; the judge holds one against the other.
        aliases: further names.

    Raises:
        DuplicateNameError: the name or an alias is taken.
        TypeError: an argument without a default is no ingredient, or a parameter has the name of one.

    Example:
        >>> @rule(paper="an example")
        ... def third(x):
        ...     \"\"\"A third of the gradient.\"\"\"
        ...     return sympy.Rational(1, 3)
        >>> third.is_linear, third.expression
        (True, 1/3)
        >>> forget_rule("third")
    """

    def register(function: Callable[..., Any]) -> Rule:
        inputs, parameters = signature(function)
        symbols = [parameter.symbol for parameter in parameters]
        _check(function.__name__, [symbol.name for symbol in inputs], parameters)
        x = sympy.Symbol("x", real=True)
        record = Rule(
            name=function.__name__.rstrip("_"),
            family=function.__module__.rpartition(".")[2],
            doc=inspect.getdoc(function) or "",
            ingredients=tuple(symbol.name for symbol in inputs),
            expression=canonical(function(*inputs, *symbols)),
            surrogate=canonical(surrogate(x, *symbols)) if surrogate else None,
            parameters=parameters,
            arxiv=arxiv,
            paper=paper,
            aliases=aliases,
        )
        return _registry.add(record)

    return register


def _check(name: str, inputs: list[str], parameters: tuple[Parameter, ...]) -> None:
    foreign = [*(n for n in inputs if n not in INGREDIENTS), *(p.name for p in parameters if p.name in RESERVED)]
    if foreign:
        allowed = ", ".join(INGREDIENTS)
        raise TypeError(
            f"The rule {name} asks for {', '.join(foreign)}; arguments without a default are {allowed}, and parameters have other names."
        )


RESERVED: Final = {*INGREDIENTS, "scale"}  # scale= is the spec's own, for every rule


def forget_rule(name: str) -> None:
    """Take a rule out of the registry (for tests and notebooks that redefine one)."""
    _registry.forget(name)


def get_rule(name: str) -> Rule:
    """Return the rule of that name or alias.

    Raises:
        UnknownNameError: there is none; the message names the nearest ones.

    Example:
        >>> get_rule("ste").name
        'constant'
    """
    return _registry[name]


def rules() -> list[str]:
    """Return the names of all rules, sorted.

    Example:
        >>> "jam" in rules()
        True
    """
    return [record.name for record in _registry]
