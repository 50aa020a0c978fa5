"""What is known of an activation, as data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from actlab.bench.float32_accuracy import inaccurate_regions
from actlab.bench.operation_cost import cost
from actlab.codegen.latex import latex, plain
from actlab.codegen.saved_for_backward import saved_for_backward
from actlab.errors import SpecError
from actlab.functions.activation import Parameter, get
from actlab.functions.analysis.facts import facts, gain
from actlab.functions.analysis.other_libraries import equivalents
from actlab.functions.analysis.stored_facts import known_facts, known_equivalences
from actlab.functions.spec import Spec
from actlab.report.content.function import cost_sentences, related, trap_sentences
from actlab.report.content.rule import backward_of

__all__ = ["claim_rows", "entry", "fact_rows", "known"]

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

CLAIMED = {
    "simplex": "nonnegative, and sums to 1",
    "equivariant": "a permuted input gives the permuted output",
    "norm": "Euclidean norm",
}

ROUNDING = 1e-12  # a fact of order one that is this small is zero


def entry(name: str) -> dict[str, Any]:
    """Return what the list of activations shows of one: name, kind, formula, parameters, paper, aliases, description."""
    record = get(name)
    return {
        "name": record.name,
        "kind": record.kind,
        "family": record.family,
        "formula": plain(record) if record.expression is not None else None,
        "parameters": [_parameter(parameter) for parameter in record.parameters],
        "paper": record.source,
        "aliases": list(record.aliases),
        "doc": record.doc,
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "default": parameter.default,
        "learned": parameter.learned,
        "domain": parameter.domain,
    }


def known(spec: Spec) -> dict[str, Any]:
    """Return all that is known of an activation at the values of a spec, as data for JSON.

    An infinite number is the text ``"inf"`` or ``"-inf"``, because JSON has none.
    """
    record = spec.activation
    is_elementwise = record.kind == "elementwise"
    facts = _facts(spec)
    return entry(record.name) | {
        "spec": str(spec),
        "latex": latex(record) if record.expression is not None else None,
        "derivative": plain(record, derivative=True) if is_elementwise else None,
        "claims": {name: _json(value) for name, value in record.claims},
        "facts": {name: _json(value) for name, value in facts.items()},
        "gain": _json(facts["gain"]) if "gain" in facts else _gain(spec),
        "kept": _kept(spec),
        "backward": backward_of(spec),
        "cost": cost_sentences(cost(spec.forward)),
        "traps": trap_sentences(inaccurate_regions(spec)) if is_elementwise else None,
        "same": related(known_equivalences(), record.name) if is_elementwise else None,
        "torch": record.torch,
        "module": record.module,
        "elsewhere": equivalents(record.name),
    }


def _facts(spec: Spec) -> dict[str, Any]:
    if spec.activation.kind != "elementwise":
        return {}
    measured = known_facts(spec.activation) if spec.is_default else facts(spec)
    return {name: getattr(measured, name) for name in MEASURED}


def _gain(spec: Spec) -> float | None:
    try:
        return gain(spec)
    except SpecError:  # a vector function has one at each width
        return None


def _kept(spec: Spec) -> dict[str, Any] | None:
    """Return what a backward pass must keep of each element; None for tensor code."""
    found = saved_for_backward(spec)
    if found is None or spec.backward is not None:
        return None
    return {"form": found.form, "float32": found.bytes(4), "bfloat16": found.bytes(2), "text": str(found)}


def _json(value: float | bool | str) -> float | bool | str:
    return value if isinstance(value, bool | str) or math.isfinite(value) else str(value)


def fact_rows(data: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return name, measured value and claim of every fact, as texts."""
    claims = data["claims"]
    return [
        (MEASURED[name], _number(value), _number(claims[name]) if name in claims else "")
        for name, value in data["facts"].items()
    ]


def claim_rows(data: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the same of an activation whose facts are not measured: what is claimed."""
    return [(CLAIMED.get(name) or MEASURED[name], "", _number(value)) for name, value in data["claims"].items()]


def _number(value: float | bool | str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):  # an infinity, or a word
        return value.replace("inf", "∞")
    return "0" if abs(value) < ROUNDING else f"{value:.5g}"
