"""What an activation is, on one screen: formula, parameters, claims beside measured facts, cost, traps, relatives, and its graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from actlab.functions.activation import names
from actlab.functions.analysis.query import QueryResult
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.nn.probes.response_curves import picture
from actlab.report.content.activation import _facts, _json, _number, entry, fact_rows, known
from actlab.report.content.function import nothing_found
from actlab.report.terminal.plot import graphs
from actlab.report.terminal.rule import backward_rows
from actlab.report.terminal.verdict import grid

__all__ = ["answer", "card", "entries", "overview"]

NO_NATIVE = ("none; computed from the formula", "none; computed by several torch operations")

RELATIVES = 8  # that fit beside the rest on one screen


def entries(kind: str | None = None) -> list[dict[str, Any]]:
    """Return :func:`entry` for all activations of a kind, or for all there are.

    Raises:
        UnknownNameError: there is no such kind.
    """
    return [entry(name) for name in names(kind)]


def overview(found: Iterable[Mapping[str, Any]]) -> RenderableType:
    """Return the list of activations as a table."""
    rows = [
        (one["name"], one["kind"], one["formula"] or "(tensor code)", _defaults(one["parameters"]), one["paper"])
        for one in found
    ]
    return grid(("name", "kind", "formula", "parameters", "paper"), rows)


def answer(found: QueryResult) -> tuple[dict[str, Any], RenderableType]:
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
    return told if len(same) <= RELATIVES else [*told, f"and {len(same) - RELATIVES} more (docs/reference/same.md has all)"]


def _described(parameter: Mapping[str, Any]) -> str:
    how = "learned, starts at " if parameter["learned"] else ""
    return f"{parameter['name']}={how}{parameter['default']:g} ({parameter['domain']})"


def _facts_table(data: Mapping[str, Any]) -> Table:
    return grid(("fact", "measured", "claimed"), fact_rows(data), right=("measured", "claimed"))
