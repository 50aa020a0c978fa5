"""What an activation is, on one screen: formula, parameters, claims beside measured facts, cost, traps, relatives, and its graph."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

import actlab
from actlab.errors import SpecError
from actlab.functions.activation import Parameter, get
from actlab.functions.kept import kept
from actlab.functions.measured import known_facts, known_relatives
from actlab.functions.peers import equivalents
from actlab.functions.query import Answer
from actlab.functions.spec import Spec, parse
from actlab.models.cost import cost
from actlab.models.picture import picture
from actlab.readings.latex import latex, plain
from actlab.readings.traps import traps
from actlab.report.graphs import graphs
from actlab.report.rule_cards import backward_of, backward_rows
from actlab.report.sentences import cost_sentences, nothing_found, related, trap_sentences
from actlab.report.tables import grid

__all__ = ["answer", "card", "claim_rows", "entries", "entry", "fact_rows", "known", "overview"]

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
NO_NATIVE = ("none; computed from the formula", "none; computed by several torch operations")
RELATIVES = 8  # that fit beside the rest on one screen
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


def entries(kind: str | None = None) -> list[dict[str, Any]]:
    """Return :func:`entry` for all activations of a kind, or for all there are.

    Raises:
        UnknownNameError: there is no such kind.
    """
    return [entry(name) for name in actlab.names(kind)]


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "default": parameter.default,
        "learned": parameter.learned,
        "domain": parameter.domain,
    }


def overview(found: Iterable[Mapping[str, Any]]) -> RenderableType:
    """Return the list of activations as a table."""
    rows = [
        (one["name"], one["kind"], one["formula"] or "(tensor code)", _defaults(one["parameters"]), one["paper"])
        for one in found
    ]
    return grid(("name", "kind", "formula", "parameters", "paper"), rows)


def answer(found: Answer) -> tuple[dict[str, Any], RenderableType]:
    """Return what a query found, as data for JSON and as a table with the facts that were measured."""
    rows = [
        entry(record.name)
        | {"facts": {name: _json(value) for name, value in _facts(parse(record.name)).items()}}
        | ({"distance": found.distance[record.name]} if found.distance else {})
        for record in found.records
    ]
    data = {"found": rows, "alone": dict(found.alone), "without": dict(found.without)}
    return data, _answers(rows) if rows else Text(nothing_found(found))


def _answers(rows: Sequence[Mapping[str, Any]]) -> Table:
    shown = ["lower", "upper", "monotone", "smoothness", "slope_bound", "zero"]
    headings = ["name", "family", "from", "to", "monotone", "smooth", "slope", "f(0) = 0"]
    listed = [
        [row["name"], row["family"], *(_number(row["facts"][name]) if row["facts"] else "" for name in shown)]
        for row in rows
    ]
    if "distance" in rows[0]:
        headings.insert(1, "apart")
        for cells, row in zip(listed, rows, strict=True):
            cells.insert(1, f"{row['distance']:.3g}")
    return grid(headings, listed, right=("apart", "from", "to", "smooth", "slope"))


def _defaults(parameters: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{p['name']}={'learned' if p['learned'] else format(p['default'], 'g')}" for p in parameters)


def card(text: str) -> tuple[dict[str, Any], RenderableType]:
    """Return all that is known of the activation that a spec names: as data for JSON, and as a terminal shows it.

    Raises:
        UnknownNameError: there is no such activation.
        SpecError: the spec cannot be read.
    """
    spec = parse(text)
    data = known(spec)
    return data, _drawn(spec, data)


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
        "traps": trap_sentences(traps(spec)) if is_elementwise else None,
        "same": related(known_relatives(), record.name) if is_elementwise else None,
        "torch": record.torch,
        "module": record.module,
        "elsewhere": equivalents(record.name),
    }


def _facts(spec: Spec) -> dict[str, Any]:
    if spec.activation.kind != "elementwise":
        return {}
    measured = known_facts(spec.activation) if spec.is_default else actlab.facts(spec)
    return {name: getattr(measured, name) for name in MEASURED}


def _gain(spec: Spec) -> float | None:
    try:
        return actlab.gain(spec)
    except SpecError:  # a vector function has one at each width
        return None


def _kept(spec: Spec) -> dict[str, Any] | None:
    """Return what a backward pass must keep of each element; None for tensor code."""
    found = kept(spec)
    if found is None or spec.backward is not None:
        return None
    return {"form": found.form, "float32": found.bytes(4), "bfloat16": found.bytes(2), "text": str(found)}


def _json(value: float | bool | str) -> float | bool | str:
    return value if isinstance(value, bool | str) or math.isfinite(value) else str(value)


def _drawn(spec: Spec, data: Mapping[str, Any]) -> RenderableType:
    parts: list[RenderableType] = [
        Text.assemble((str(spec), "bold"), f"  {data['kind']}, {data['family'].replace('_', ' ')}"),
        Text(data["doc"]),
        _lines(data),
    ]
    if data["facts"]:
        parts.append(_facts_table(data))
    parts.append(graphs(picture(spec)))
    return Group(*parts[:2], *(Padding(part, (1, 0, 0, 0)) for part in parts[2:]))


def _lines(data: Mapping[str, Any]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    shown = {
        "formula": data["formula"] or "(tensor code)",
        "LaTeX": data["latex"],
        "derivative": data["derivative"],
        "parameters": ", ".join(map(_described, data["parameters"])),
        "gain": None if data["gain"] is None else f"{data['gain']:.4f}",
        "keeps for backward": data["kept"] and data["kept"]["text"],
        "cost": "; ".join(data["cost"]),
        "traps": None
        if data["traps"] is None
        else "\n".join(data["traps"]) or "none: its textbook form is right in float32, too",
        "same as": "\n".join(_relatives(data["same"] or ())),
        "torch": ", ".join(filter(None, (data["torch"], data["module"]))) or NO_NATIVE[data["formula"] is None],
        "elsewhere": "\n".join(f"{library}: {', '.join(theirs)}" for library, theirs in data["elsewhere"].items()),
        "aliases": ", ".join(data["aliases"]),
        "paper": data["paper"],
    }
    if data["backward"]:
        shown = {**backward_rows(data["backward"]), **shown}
    for name, value in shown.items():
        if value:
            table.add_row(name, Text(value))
    return table


def _relatives(same: Sequence[Mapping[str, str]]) -> list[str]:
    told = [one["equation"] for one in same[:RELATIVES]]
    return told if len(same) <= RELATIVES else [*told, f"and {len(same) - RELATIVES} more (docs/same.md has all)"]


def _described(parameter: Mapping[str, Any]) -> str:
    how = "learned, starts at " if parameter["learned"] else ""
    return f"{parameter['name']}={how}{parameter['default']:g} ({parameter['domain']})"


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


def _facts_table(data: Mapping[str, Any]) -> Table:
    return grid(("fact", "measured", "claimed"), fact_rows(data), right=("measured", "claimed"))


def _number(value: float | bool | str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):  # an infinity, or a word
        return value.replace("inf", "∞")
    return "0" if abs(value) < ROUNDING else f"{value:.5g}"
