"""Gradient rule records, and the decorator that registers a replacement of the true derivative.

A rule is a formula for the factor that multiplies the incoming gradient, registered by its decorator. Its signature lists what it needs;
every argument without a default is one of :data:`INGREDIENTS`::

    @rule(arxiv="1705.11146", surrogate=lambda x, k: x / (1 + k * abs(x)))
    def fast_sigmoid(x, k: Positive = 25.0):
        \"\"\"Slope of x / (1 + k|x|).\"\"\"
        return 1 / (1 + k * abs(x)) ** 2

A rule with the argument ``grad`` returns the outgoing gradient instead of a factor; only such a rule can be nonlinear in it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

import sympy

from actlab.functions.formula import Expr, canonical
from actlab.functions.formula_check import formula_of
from actlab.functions.own_modules import import_own_modules
from actlab.functions.parameter import Parameter, signature
from actlab.functions.registry import Registry, also_bare

__all__ = ["GRAD", "INGREDIENTS", "Rule", "forget_rule", "get_rule", "rule", "rules"]

INGREDIENTS: Final[Mapping[str, str]] = {
    "x": "the input, relative to the center of the function (its threshold, if it has one)",
    "y": "the output",
    "grad": "the incoming gradient",
    "slope": "the true derivative of the function",
    "through": "the derivative with rounding taken as the identity",
    "shuffled": "the true derivative, permuted over the elements at random in every call",
    "other": "the derivative of the activation that the spec names in parentheses",
    "u": "noise, uniform on (0, 1), new in every call",
    "normal": "noise, standard normal, new in every call",
    "unit": "noise, uniform on (0, 1), fixed per unit over calls and samples",
}
GRAD: Final = sympy.Symbol("grad", real=True)

# Names no parameter of a rule may have; scale= belongs to the spec of every rule.
_RESERVED: Final = {*INGREDIENTS, "scale"}


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A gradient rule.

    Attributes:
        name: unique among rules, lower case.
        family: the name of the module that defines it.
        doc: one sentence.
        ingredients: arguments of the formula, see :data:`INGREDIENTS`.
        expression: the factor, or the outgoing gradient if ``grad`` is among the ingredients.
        surrogate: a function of ``x`` whose derivative is the factor, or None. The parameters of a rule with a surrogate can be learned.
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
        return get_rule, (self.name,)  # pickled by name, as activations are

    @property
    def is_linear(self) -> bool:
        """Whether the outgoing gradient is a factor times the incoming one, as with a true derivative."""
        return "grad" not in self.ingredients

    @property
    def takes_activation(self) -> bool:
        """Whether the spec names another activation in parentheses: ``relu/grad(silu)``."""
        return "other" in self.ingredients

    @property
    def source(self) -> str:
        """Citation of the paper."""
        return f"arXiv:{self.arxiv}" if self.arxiv else self.paper or "folklore"


def _load() -> None:
    import_module("actlab.functions.rules")
    import_own_modules()


_registry: Registry[Rule] = Registry("gradient rule", "`actlab rules` shows all of them.", _load)


@also_bare
def rule(
    *,
    arxiv: str | None = None,
    paper: str | None = None,
    surrogate: Callable[..., Any] | None = None,
    aliases: tuple[str, ...] = (),
) -> Callable[[Callable[..., Any]], Rule]:
    """Register the decorated function as a gradient rule under its own name, and return its record.

    Args:
        arxiv: number of the paper.
        paper: the source in words where there is no arXiv number.
        surrogate: the function whose derivative the rule is, of ``x`` and the parameters; the tests compare the two.
        aliases: further names.

    Raises:
        DuplicateNameError: the name or an alias is already registered.
        FormulaError: the function returns no formula.
        TypeError: an argument without a default is not in :data:`INGREDIENTS`, or a parameter has such a name.

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
        _check_arguments(function.__name__, [symbol.name for symbol in inputs], parameters)
        x = sympy.Symbol("x", real=True)
        record = Rule(
            name=function.__name__.rstrip("_"),
            family=function.__module__.rpartition(".")[2],
            doc=inspect.getdoc(function) or "",
            ingredients=tuple(symbol.name for symbol in inputs),
            expression=formula_of(function, [*inputs, *symbols]),
            surrogate=canonical(surrogate(x, *symbols)) if surrogate else None,
            parameters=parameters,
            arxiv=arxiv,
            paper=paper,
            aliases=aliases,
        )
        return _registry.add(record, function.__module__)

    return register


def _check_arguments(name: str, inputs: list[str], parameters: tuple[Parameter, ...]) -> None:
    invalid = [*(n for n in inputs if n not in INGREDIENTS), *(p.name for p in parameters if p.name in _RESERVED)]
    if invalid:
        allowed = ", ".join(INGREDIENTS)
        raise TypeError(
            f"The rule {name} has invalid arguments: {', '.join(invalid)}. Arguments without a default must be among {allowed}; "
            "parameters may have none of these names, nor 'scale'."
        )


def forget_rule(name: str) -> None:
    """Remove a rule from the registry (for tests and notebooks that redefine one)."""
    _registry.forget(name)


def get_rule(name: str) -> Rule:
    """Return the rule of that name or alias.

    Raises:
        UnknownNameError: there is none; the message lists similar names.

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
