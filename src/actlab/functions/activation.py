"""Activation records, and the decorator that registers a function as an activation.

The decorated function is called once with SymPy symbols and returns the formula; its signature gives the parameters, their defaults and
domains; its docstring is the description::

    @activation(arxiv="1908.08681", torch="torch.nn.functional.mish", claims=Claims(lower=-0.3089, monotone=False))
    def mish(x):
        \"\"\"Gates its input by the tanh of its softplus.\"\"\"
        return x * tanh(softplus(x))

Functions without a scalar formula (softmax, attention, random slopes, moduli of complex numbers) use the same decorator with tensor code
and ``kind="vector"``, ``kind="stochastic"`` or ``kind="complex"``; their parameters may be learned, integers (:data:`Count`), flags, or the
dimension they work along (:data:`Dim`).
Gated functions are a formula in two symbols, ``(gate, value)``. A vector function of several inputs, ``(query, key, value)``, mixes tokens.

A :data:`Cutoff` is the number from which on a formula is replaced by its limit, such as the threshold of torch's softplus. At its default
the two agree up to rounding, and the formula is the one without the cutoff.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, Literal, get_args

import sympy

from actlab.errors import UnknownNameError
from actlab.functions.formula import Expr, canonical, where
from actlab.functions.formula_check import formula_of
from actlab.functions.own_modules import import_own_modules
from actlab.functions.parameter import (
    DOMAINS,
    AboveOne,
    Bits,
    Constant,
    Count,
    Cutoff,
    Dim,
    Entropic,
    Flag,
    Fraction,
    Learned,
    NonNegative,
    NonZero,
    Parameter,
    Positive,
    Share,
    learned,
    signature,
)
from actlab.functions.registry import Registry, also_bare

__all__ = [
    "DOMAINS",
    "KINDS",
    "AboveOne",
    "Activation",
    "Bits",
    "Claims",
    "Constant",
    "Count",
    "Cutoff",
    "Dim",
    "Entropic",
    "Flag",
    "Fraction",
    "Kind",
    "Learned",
    "NonNegative",
    "NonZero",
    "Parameter",
    "Positive",
    "Share",
    "activation",
    "get",
    "learned",
    "names",
    "registry_version",
]

Kind = Literal["elementwise", "gated", "vector", "stochastic", "complex"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, kw_only=True)
class Claims:
    """Properties that the paper or the literature states of a function, tested against measurements; None states nothing.

    Attributes:
        lower: infimum of the range.
        upper: supremum of the range.
        monotone: whether it is nondecreasing.
        smoothness: number of continuous derivatives: -1 for a jump, 0 for a kink, ``inf`` for smooth.
        slope_bound: supremum of ``|f'|``.
        zero: whether f(0) = 0.
        simplex: whether the output along the dimension is nonnegative and sums to 1 (vector functions).
        equivariant: whether permuting the input along the dimension permutes the output in the same way (vector functions).
        norm: "kept" if the output has the Euclidean norm of the input, "shrunk" if it is never larger (vector functions).

    For vector and stochastic functions ``lower`` and ``upper`` are bounds of the range, not necessarily attained.
    """

    lower: float | None = None
    upper: float | None = None
    monotone: bool | None = None
    smoothness: float | None = None
    slope_bound: float | None = None
    zero: bool | None = None
    simplex: bool | None = None
    equivariant: bool | None = None
    norm: Literal["kept", "shrunk"] | None = None

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Iterate over the claims that are made: pairs of name and value."""
        return ((name, value) for name, value in vars(self).items() if value is not None)


@dataclass(frozen=True, kw_only=True)
class Activation:
    """One activation function; everything else is derived from it.

    Attributes:
        name: unique, lower case.
        kind: "elementwise", "gated" (two inputs), "vector" (mixes elements), "stochastic" or "complex" (of complex numbers).
        family: the name of the module that defines it, such as "exponential" or "shrinkage".
        doc: one sentence.
        expression: the formula over ``inputs`` and the parameters' symbols, without cutoffs; None for tensor code.
        cut: the formula with its cutoffs, which holds where one differs from its default; None where there are none.
        tensor_code: function of tensors, ``code(x, training, **parameters)``, for kinds without a scalar formula; else None.
        inputs: ``(x,)``, ``(gate, value)``, or ``(query, key, value)`` for functions that mix tokens.
        width: size of the output along the dimension: a formula in ``n``, the size of the input, and the parameters.
        parameters: in the order of the spec.
        arxiv: number of the paper, or None.
        paper: the source in words, where there is no arXiv number.
        torch: torch's own implementation: a dotted name, called with the parameters by keyword, or a call template over ``x`` and the
            parameters.
        module: the ``torch.nn`` class whose attributes have the parameters' names, as ``torch.nn.GELU(approximate='tanh')``.
        claims: properties that the paper states.
        aliases: other names of the function.
    """

    name: str
    kind: Kind
    family: str
    doc: str
    expression: Expr | None
    cut: Expr | None = field(default=None, repr=False)
    tensor_code: Callable[..., Any] | None = field(default=None, repr=False)
    inputs: tuple[sympy.Symbol, ...] = field(compare=False, repr=False)
    width: str = "n"
    parameters: tuple[Parameter, ...] = ()
    arxiv: str | None = None
    paper: str | None = None
    torch: str | None = None
    module: str | None = None
    claims: Claims = Claims()
    aliases: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Activation({self.name!r}, {self.kind}, {self.source!r})"

    def __reduce__(self) -> tuple[Callable[[str, bool], Activation], tuple[str, bool]]:
        return _look_up, (self.name, self.is_cut)  # pickled by name: workers and checkpoints look the record up

    @property
    def is_cut(self) -> bool:
        """Whether the expression has the cutoffs."""
        return self.cut is not None and self.expression == self.cut

    def at(self, numbers: Mapping[str, object]) -> Activation:
        """Return the record for these values of the parameters: the one with cutoffs where one of them is not at its default."""
        if self.cut is None or all(numbers[p.name] == p.default for p in self.parameters if p.domain == "cutoff"):
            return self
        return replace(self, expression=self.cut)

    @property
    def formula(self) -> Expr:
        """The expression.

        Raises:
            TypeError: the activation is tensor code and has none.
        """
        if self.expression is None:
            raise TypeError(f"{self.name} is a {self.kind} function, which is tensor code and has no formula.")
        return self.expression

    @property
    def mixes_tokens(self) -> bool:
        """Whether it takes tensors of tokens, ``(..., tokens, dim)``, and an output token depends on other tokens."""
        return self.kind == "vector" and len(self.inputs) > 1

    @property
    def source(self) -> str:
        """Citation of the paper."""
        return f"arXiv:{self.arxiv}" if self.arxiv else self.paper or "folklore"


def _look_up(name: str, is_cut: bool = False) -> Activation:
    record = get(name)
    return replace(record, expression=record.cut) if is_cut else record


def _load() -> None:
    import_module("actlab.functions.catalogue")
    import_own_modules()


_registry: Registry[Activation] = Registry("activation", "`actlab list` shows all of them.", _load)


@also_bare
def activation(
    *,
    kind: Kind = "elementwise",
    arxiv: str | None = None,
    paper: str | None = None,
    torch: str | None = None,
    module: str | None = None,
    claims: Claims | None = None,
    aliases: tuple[str, ...] = (),
    width: str | None = None,
) -> Callable[[Callable[..., Any]], Activation]:
    """Register the decorated function as an activation under its own name, and return its record.

    Without options no parentheses are needed.

    Args:
        kind: "elementwise" and "gated" functions return a formula; "vector", "stochastic" and "complex" ones are tensor code.
        arxiv: number of the paper, e.g. "1908.08681".
        paper: the source in words, where there is no arXiv number.
        torch: torch's own implementation, see :class:`Activation`.
        module: the class of ``torch.nn``, see :class:`Activation`.
        claims: properties that the paper states, checked by the tests.
        aliases: other names.
        width: size of the output, see :class:`Activation`; by default "n", and "n/2" for gated functions.

    Raises:
        DuplicateNameError: the name or an alias is already registered, by another module.
        FormulaError: the function returns no formula.

    Example:
        >>> from actlab.functions.formula import sigmoid
        >>> @activation(paper="an example")
        ... def doubled_silu(x):
        ...     \"\"\"Twice SiLU.\"\"\"
        ...     return 2 * x * sigmoid(x)
        >>> doubled_silu.expression
        2*x*sigmoid(x)
        >>> forget("doubled_silu")
    """

    def register(function: Callable[..., Any]) -> Activation:
        record = _record(
            function,
            kind=kind,
            arxiv=arxiv,
            paper=paper,
            torch=torch,
            module=module,
            claims=claims or Claims(),
            aliases=aliases,
            width=width or ("n/2" if kind == "gated" else "n"),
        )
        return _registry.add(record, function.__module__)

    return register


def _record(function: Callable[..., Any], *, kind: Kind, **fields: Any) -> Activation:
    """Return the record of a function, with formula, parameters and description from the function itself."""
    inputs, parameters = signature(function)
    is_formula = kind in {"elementwise", "gated"}
    symbols = [parameter.symbol for parameter in parameters]
    cutoffs = {parameter.symbol for parameter in parameters if parameter.domain == "cutoff"}
    expression = formula_of(function, [*inputs, *symbols]) if is_formula else None
    return Activation(
        name=function.__name__.rstrip("_"),
        kind=kind,
        family=function.__module__.rpartition(".")[2],
        doc=inspect.getdoc(function) or "",
        expression=_without(cutoffs, expression) if cutoffs and expression is not None else expression,
        cut=expression if cutoffs else None,
        tensor_code=None if is_formula else function,
        inputs=inputs,
        parameters=parameters,
        **fields,
    )


def _without(cutoffs: set[sympy.Symbol], expression: Expr) -> Expr:
    """Return a formula in which no input lies beyond a cutoff: the second branch of each choice whose condition has one."""
    return canonical(
        expression.replace(lambda e: isinstance(e, where) and e.args[0].free_symbols & cutoffs, lambda e: e.args[2])
    )


def register(record: Activation, origin: str) -> Activation:
    """Register a record that was made without the decorator; one of the same name and from the same module of a user is replaced.

    Raises:
        DuplicateNameError: the name is already registered, by another module.
    """
    return _registry.add(record, origin)


def forget(name: str) -> None:
    """Remove an activation from the registry (for tests and notebooks that redefine one)."""
    _registry.forget(name)


def get(name: str) -> Activation:
    """Return the activation of that name or alias.

    Raises:
        UnknownNameError: there is none; the message lists similar names.

    Example:
        >>> get("swish").parameters[0].name
        'beta'
    """
    return _registry[name]


def registry_version() -> int:
    """Return the number of changes of the registry so far: a key for caches of what is derived from all activations."""
    return _registry.version


def names(kind: str | None = None) -> list[str]:
    """Return the registered names, sorted.

    Args:
        kind: "elementwise", "gated", "vector", "stochastic" or "complex"; None for all.

    Raises:
        UnknownNameError: there is no such kind.

    Example:
        >>> "swiglu" in names("gated"), "gelu" in names("gated")
        (True, False)
    """
    if kind is not None and kind not in KINDS:
        raise UnknownNameError("kind of activation", kind, KINDS, f"The kinds are {', '.join(KINDS)}.")
    return [record.name for record in _registry if kind in {None, record.kind}]
