"""Judgement of a model's sites on a target, and what can take the place of functions it lacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import sympy
from torch import nn

from actlab.errors import ActlabError
from actlab.export.support.target import Target, target
from actlab.functions.activation import names
from actlab.functions.formula.evaluate import numeric
from actlab.functions.formula.quadrature import normal_quadrature
from actlab.functions.grammar import parse
from actlab.functions.mean_formula import mean_formula
from actlab.functions.parameter import Learned
from actlab.functions.spec import Spec
from actlab.nn.passes.model_argument import takes_model
from actlab.nn.sites.dry_run import Inputs
from actlab.nn.sites.find import find
from actlab.nn.sites.site import Site
from actlab.system.display import Displayed

__all__ = ["Replacement", "SiteSupport", "Support", "site_support", "support"]

Ways = Literal["operator", "operators", "another function", "none"]
GRID = np.linspace(-8.0, 8.0, 1601)
NEAREST = 2
UNKNOWN = "its function is not known"


@dataclass(frozen=True, kw_only=True)
class Replacement:
    """What can take the place of a function on a target.

    Attributes:
        way: "table" of 256 codes, "operators", or "morph" to another function.
        spec: the function that runs then.
        how: in words, or the call that makes the change.
        largest: largest difference for inputs from -8 to 8; 0 where the function is the same.
        rms: root mean square difference for N(0, 1) inputs.
    """

    way: Literal["table", "operators", "morph"]
    spec: str
    how: str
    largest: float = 0.0
    rms: float = 0.0


@dataclass(frozen=True, kw_only=True)
class SiteSupport:
    """A site on a target.

    Attributes:
        site: path.
        spec: the function that runs there in the model; None where it is not known.
        way: whether it is one operator of the target, several, "another function" without a word, or "none".
        how: the operator, or the function that runs in its place with the source.
        replacements: the best first; empty where the function runs as it is.
    """

    site: str
    spec: str | None
    way: Ways
    how: str
    replacements: tuple[Replacement, ...] = ()

    @property
    def runs(self) -> bool:
        """Whether the target computes this function."""
        return self.way in {"operator", "operators"}


@dataclass(frozen=True, kw_only=True)
class Support(Displayed):
    """What a target runs of a model.

    Attributes:
        model: name of the model's class.
        target: its name.
        version: for which this holds.
        arithmetic: "int8" or "float32".
        source: of the facts.
        sites: those of the model.
        notes: what else to know about the target.
    """

    _in_repr = ("model", "target", "missing")

    model: str
    target: str
    version: str
    arithmetic: str
    source: str
    sites: tuple[SiteSupport, ...]
    notes: tuple[str, ...] = ()

    @property
    def missing(self) -> list[str]:
        """Paths of the sites whose function the target does not run."""
        return [site.site for site in self.sites if not site.runs]

    def to_dict(self) -> dict[str, Any]:
        """Return the support as plain data, for JSON."""
        return asdict(self) | {"missing": self.missing}


@takes_model
def support(model: nn.Module, on: str, example_inputs: Inputs | None = None) -> Support:
    """Return which activation sites of a model a target cannot run as they are, and what takes their place.

    Args:
        model: any module.
        on: name of the target, see :func:`actlab.export.support.target.targets`.
        example_inputs: as for :func:`actlab.find`.

    Raises:
        UnknownNameError: there is no such target.
        SiteError: the model raises on the inputs.

    Example:
        >>> found = support(nn.Sequential(nn.Linear(2, 2), nn.Mish()), "ethos-u")
        >>> found.missing, [(each.way, each.spec) for each in found.sites[0].replacements][:2]
        (['1'], [('table', 'mish'), ('morph', 'hardswish')])
    """
    there = target(on)
    sites = [site for site in find(model, example_inputs) if site.calls != 0]
    return Support(
        model=type(model).__name__,
        target=there.name,
        version=there.version,
        arithmetic=there.arithmetic,
        source=there.source,
        sites=tuple(site_support(site, there) for site in sites),
        notes=there.notes,
    )


def site_support(site: Site, on: Target) -> SiteSupport:
    """Return what a target does at a site.

    Args:
        site: of a model.
        on: the target.
    """
    if site.spec is None:
        return SiteSupport(site=site.path, spec=None, way="none", how=UNKNOWN)
    spec = parse(site.spec).forward
    text = str(spec)
    if text in on.differs:
        runs, source = on.differs[text]
        others = tuple(_replacements(site.path, spec, on))
        return SiteSupport(
            site=site.path, spec=text, way="another function", how=f"{runs}: {source}", replacements=others
        )
    operator = on.operator(spec) or _same_function(spec, on)
    if operator is not None:
        return SiteSupport(site=site.path, spec=text, way="operator", how=operator)
    gate = _gate(spec, on)
    if gate is not None:
        return SiteSupport(site=site.path, spec=text, way="operators", how=f"{gate} and {on.products}")
    if on.composed and spec.activation.kind != "complex":
        return SiteSupport(site=site.path, spec=text, way="operators", how=on.composed)
    return SiteSupport(
        site=site.path, spec=text, way="none", how="", replacements=tuple(_replacements(site.path, spec, on))
    )


def _same_function(spec: Spec, on: Target) -> str | None:
    """Return the operator of a function of another name that computes the same."""
    values = None if _is_learned(spec) else _values(str(spec))
    if values is None:
        return None
    for text, operator in on.runs.items():
        other = _values(text)
        if other is not None and np.allclose(values, other, rtol=1e-12, atol=1e-13):
            return f"{operator}, as {text}"
    return None


@cache
def _values(text: str) -> Any:
    """Return an elementwise function on the grid; None for others, and where numbers are learned."""
    curve = _curve(parse(text))
    return None if curve is None else curve(GRID)


def _curve(spec: Spec) -> Any:
    record = spec.activation
    if record.kind not in {"elementwise", "stochastic"} or spec.needs_channels:
        return None
    try:
        formula = spec.formula if record.tensor_code is None else mean_formula(spec)
    except (ActlabError, TypeError):
        return None
    return numeric(formula, record.inputs)


def _gate(spec: Spec, on: Target) -> str | None:
    """Return the operator of a gate, for a gated function that is the gate times the value."""
    curve = _gate_curve(spec)
    if curve is None or not on.products:
        return None
    values = curve(GRID)
    for text, operator in on.runs.items():
        other = _values(text)
        if other is not None and np.allclose(values, other, rtol=1e-12, atol=1e-13):
            return operator
    return None


def _gate_curve(spec: Spec) -> Any:
    """Return the function of the gate alone, where the value is only multiplied by it."""
    record = spec.activation
    if record.kind != "gated" or record.expression is None or spec.needs_channels:
        return None
    gate, value = record.inputs
    formula = spec.formula.xreplace({value: sympy.Integer(1)})
    twice = spec.formula.xreplace({value: sympy.Integer(2)})
    first, second = (numeric(each, (gate,)) for each in (formula, twice))
    return first if np.allclose(2 * first(GRID), second(GRID), rtol=1e-9, atol=1e-12) else None


def _replacements(path: str, spec: Spec, on: Target) -> Iterator[Replacement]:
    """Yield a table, operators, then the nearest functions that the target runs."""
    curve, gate = _curve(spec), _gate_curve(spec)
    if on.table and on.arithmetic == "int8" and curve is not None:
        numbers = ", one for each layer or channel with its trained numbers" if _is_learned(spec) else ""
        yield Replacement(way="table", spec=str(spec), how=f"a table of 256 codes, exact in int8{numbers}")
    if on.table and on.arithmetic == "int8" and gate is not None and on.products:
        how = f"the gate as a table of 256 codes, and {on.products}"
        yield Replacement(way="table", spec=str(spec), how=how)
    if on.composed:
        yield Replacement(way="operators", spec=str(spec), how=on.composed)
    if curve is not None:
        yield from _nearest(path, str(spec), curve, {other: _curve(parse(other)) for other in on.runs})
    if gate is not None:
        gated = [parse(name) for name in names("gated")]
        yield from _nearest(path, str(spec), gate, {str(g): _gate_curve(g) for g in gated if _gate(g, on)})


def _is_learned(spec: Spec) -> bool:
    return any(isinstance(value, Learned) for _, value in spec.assigned)


def _nearest(path: str, text: str, curve: Any, others: Mapping[str, Any]) -> Iterator[Replacement]:
    """Yield the functions whose curves are nearest to one; those of gates are compared as the gates alone."""
    points, weights = normal_quadrature(())
    wanted, expected = curve(GRID), curve(points)
    measured = []
    for other, its in others.items():
        if its is None or other == text or _is_learned(parse(other)):
            continue
        largest = float(np.abs(its(GRID) - wanted).max())
        rms = float(np.sqrt(np.sum(weights * (its(points) - expected) ** 2)))
        measured.append((rms, largest, other))
    for rms, largest, other in sorted(measured)[:NEAREST]:
        how = f'actlab.morph_(model, {{"{path}": "{other}"}}, loader, loss)'
        yield Replacement(way="morph", spec=other, how=how, largest=largest, rms=rms)
