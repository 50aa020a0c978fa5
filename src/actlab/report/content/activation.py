"""Properties of an activation as data, for the terminal, the reference pages and JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from actlab.bench.float32_accuracy import inaccurate_regions
from actlab.bench.operation_cost import cost
from actlab.codegen.latex import latex, plain
from actlab.codegen.saved_for_backward import saved_for_backward
from actlab.errors import SpecError
from actlab.functions.activation import Parameter, get, names
from actlab.functions.analysis.facts import facts, gain
from actlab.functions.analysis.other_libraries import equivalents
from actlab.functions.analysis.query import QueryResult
from actlab.functions.analysis.stored_facts import known_equivalences, known_facts
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.report.content.function import cost_sentences, related, trap_sentences
from actlab.report.content.rule import backward_of
from actlab.studies.claims.citation import claims_about

__all__ = ["activation_data", "activation_entry", "claim_rows", "entries", "fact_rows", "fact_text", "query_data"]

# labels of the measured facts, by attribute; z is drawn from N(0, 1)
MEASURED = {
    "lower": "infimum",
    "upper": "supremum",
    "monotone": "monotone",
    "smoothness": "continuous derivatives",
    "slope_bound": "largest |slope|",
    "zero": "f(0) = 0",
    "at_zero": "f(0)",
    "mean": "E f(z)",
    "second_moment": "E f(z)²",
    "derivative_second_moment": "E f'(z)²",
    "gain": "gain 1/√(E f(z)²)",
    "chi": "gain² E f'(z)²",
}

# labels of claims that are not measured facts
CLAIMED = {
    "simplex": "nonnegative and sums to 1",
    "equivariant": "permutation equivariant",
    "norm": "Euclidean norm",
}

# smaller values of facts are rounding errors of zero
ROUNDING = 1e-12


def entries(kind: str | None = None) -> list[dict[str, Any]]:
    """Return :func:`activation_entry` for all activations, or for those of one kind.

    Raises:
        UnknownNameError: there is no such kind.
    """
    return [activation_entry(name) for name in names(kind)]


def activation_entry(name: str) -> dict[str, Any]:
    """Return name, kind, family, formula, parameters, paper, aliases and description of an activation."""
    record = get(name)
    return {
        "name": record.name,
        "kind": record.kind,
        "family": record.family,
        "formula": plain(record) if record.expression is not None else None,
        "parameters": [_parameter_data(parameter) for parameter in record.parameters],
        "paper": record.source,
        "aliases": list(record.aliases),
        "doc": record.doc,
    }


def _parameter_data(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "default": parameter.default,
        "learned": parameter.learned,
        "domain": parameter.domain,
    }


def activation_data(spec: Spec) -> dict[str, Any]:
    """Return all properties of an activation at the parameter values of a spec, as data for JSON.

    Infinite numbers are the strings ``"inf"`` and ``"-inf"``, because JSON has none.
    """
    record = spec.activation
    is_elementwise = record.kind == "elementwise"
    facts = _fact_data(spec)
    return activation_entry(record.name) | {
        "spec": str(spec),
        "latex": latex(record) if record.expression is not None else None,
        "derivative": plain(record, derivative=True) if is_elementwise else None,
        "claims": {name: _json_value(value) for name, value in record.claims},
        "facts": facts,
        "gain": facts["gain"] if "gain" in facts else _gain(spec),
        "kept": _saved_data(spec),
        "backward": backward_of(spec),
        "cost": cost_sentences(cost(spec.forward)),
        "traps": trap_sentences(inaccurate_regions(spec)) if is_elementwise else None,
        "same": related(known_equivalences(), record.name) if is_elementwise else None,
        "torch": record.torch,
        "module": record.module,
        "elsewhere": equivalents(record.name),
        "literature": [found.to_dict() for found in claims_about(*([name] for name in (record.name, *record.aliases)))],
    }


def _fact_data(spec: Spec) -> dict[str, Any]:
    if spec.activation.kind != "elementwise":
        return {}
    measured = known_facts(spec.activation) if spec.is_default else facts(spec)
    return {name: _json_value(getattr(measured, name)) for name in MEASURED}


def _gain(spec: Spec) -> float | None:
    try:
        return gain(spec)
    except SpecError:  # the gain of a vector function depends on its width
        return None


def _saved_data(spec: Spec) -> dict[str, Any] | None:
    """Return what is saved per element for the backward pass; None for tensor code and for specs with a gradient rule."""
    saved = saved_for_backward(spec)
    if saved is None or spec.backward is not None:
        return None
    return {"form": saved.form, "float32": saved.bytes(4), "bfloat16": saved.bytes(2), "text": str(saved)}


def _json_value(value: float | bool | str) -> float | bool | str:
    return value if isinstance(value, bool | str) or math.isfinite(value) else str(value)


def query_data(result: QueryResult) -> dict[str, Any]:
    """Return the result of a query as data for JSON, with the facts of every activation found."""
    rows = [
        activation_entry(record.name)
        | {"facts": _fact_data(parse(record.name))}
        | ({"distance": result.distance[record.name]} if result.distance else {})
        for record in result.records
    ]
    return {"found": rows, "alone": dict(result.alone), "without": dict(result.without)}


def fact_rows(data: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return name, measured value and claimed value of every measured fact, as text."""
    claims = data["claims"]
    return [
        (MEASURED[name], fact_text(value), fact_text(claims[name]) if name in claims else "")
        for name, value in data["facts"].items()
    ]


def claim_rows(data: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return name, empty text and claimed value of every claim, for activations whose facts are not measured."""
    return [(CLAIMED.get(name) or MEASURED[name], "", fact_text(value)) for name, value in data["claims"].items()]


def fact_text(value: float | bool | str) -> str:
    """Return a fact as text, with five digits.

    Example:
        >>> fact_text(True), fact_text("-inf"), fact_text(1 / 3)
        ('yes', '-∞', '0.33333')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):  # an infinity, or a word
        return value.replace("inf", "∞")
    return "0" if abs(value) < ROUNDING else f"{value:.5g}"
