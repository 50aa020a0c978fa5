"""Terminal views of one activation, of the list of activations and of query results."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from actlab.functions.analysis.query import QueryResult
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.nn.probes.response_curves import picture
from actlab.report.content.activation import activation_data, fact_rows, fact_text, query_data
from actlab.report.content.claims import claim_lines
from actlab.report.content.format import plural
from actlab.report.content.function import nothing_found
from actlab.report.terminal.plot import graphs
from actlab.report.terminal.rule import backward_rows
from actlab.report.terminal.text_table import ListTable, below, name_value_table, text_table

__all__ = ["activation_table", "activation_view", "query_table", "query_view"]

NO_KERNEL = ("none; computed from the formula", "none; computed by several torch operations")

# equations shown, so that the view fits on one screen
EQUATIONS = 8


def activation_table(activations: Iterable[Mapping[str, Any]]) -> RenderableType:
    """Return a list of activations, as from :func:`actlab.report.content.activation.entries`, as a table."""
    rows = [
        (
            entry["name"],
            entry["kind"],
            _with_short_numbers(entry["formula"] or "(tensor code)"),
            _defaults(entry["parameters"]),
            entry["paper"],
        )
        for entry in activations
    ]
    table = ListTable(
        headings=("name", "kind", "formula", "parameters", "paper"),
        rows=rows,
        end=("formula", "parameters", "paper"),
        longest=48,
    )
    return Group(
        table, below(f"{plural(len(rows), 'activation')}. `actlab show NAME` shows one in full; --json prints all.")
    )


def _with_short_numbers(formula: str) -> str:
    """Return a formula whose numbers have at most six digits, for a list; a view of one function shows all."""
    return re.sub(r"\d+\.\d{7,}(?:e[-+]?\d+)?", lambda number: f"{float(number[0]):.6g}", formula)


def query_view(result: QueryResult) -> tuple[dict[str, Any], RenderableType]:
    """Return the result of a query as data for JSON, and as a table or, if it is empty, a sentence that explains why."""
    data = query_data(result)
    return data, _query_table(data["found"]) if data["found"] else Text(nothing_found(result))


def query_table(result: QueryResult) -> RenderableType:
    """Return the result of a query as a table, or as a sentence if it is empty."""
    return query_view(result)[1]


def _query_table(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    facts = ["lower", "upper", "monotone", "smoothness", "slope_bound", "zero"]
    headings = ["name", "family", "from", "to", "monotone", "smooth", "slope", "f(0) = 0"]
    cells = [
        [row["name"], row["family"], *(fact_text(row["facts"][name]) if row["facts"] else "" for name in facts)]
        for row in rows
    ]
    if "distance" in rows[0]:
        headings.insert(1, "distance")
        for texts, row in zip(cells, rows, strict=True):
            texts.insert(1, f"{row['distance']:.3g}")
    return ListTable(
        headings=headings, rows=cells, right=("distance", "from", "to", "smooth", "slope"), end=("family",)
    )


def _defaults(parameters: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{p['name']}={'learned' if p['learned'] else format(p['default'], 'g')}" for p in parameters)


def activation_view(text: str) -> tuple[dict[str, Any], RenderableType]:
    """Return the properties of the activation of a spec, as data for JSON and for the terminal.

    Raises:
        UnknownNameError: there is no such activation.
        SpecError: the spec cannot be parsed.
    """
    spec = parse(text)
    data = activation_data(spec)
    return data, _view(spec, data)


def _view(spec: Spec, data: Mapping[str, Any]) -> RenderableType:
    family = data["family"].replace("_", " ")
    parts: list[RenderableType] = [
        Text.assemble((str(spec), "bold"), f"  {', '.join(dict.fromkeys((data['kind'], family)))}"),
        Text(data["doc"]),
        name_value_table(_properties(data)),
    ]
    if data["facts"]:
        parts.append(text_table(("property", "measured", "claimed"), fact_rows(data), right=("measured", "claimed")))
    parts.append(graphs(picture(spec)))
    return Group(*parts[:2], *(Padding(part, (1, 0, 0, 0)) for part in parts[2:]))


def _properties(data: Mapping[str, Any]) -> dict[str, str | None]:
    properties = {
        "formula": data["formula"] or "(tensor code)",
        "LaTeX": data["latex"],
        "derivative": data["derivative"],
        "parameters": ", ".join(map(_parameter_text, data["parameters"])),
        "gain": None if data["gain"] is None else f"{data['gain']:.4f}",
        "saved for backward": data["kept"] and data["kept"]["text"],
        "cost": "; ".join(data["cost"]),
        "float32 accuracy": None if data["traps"] is None else _accuracy(data["traps"]),
        "equal to": "\n".join(_equations(data["same"] or ())),
        "torch kernel": ", ".join(filter(None, (data["torch"], data["module"]))) or NO_KERNEL[data["formula"] is None],
        "other libraries": "\n".join(_elsewhere(data["elsewhere"])),
        "aliases": ", ".join(data["aliases"]),
        "paper": data["paper"],
        "claims tried": "\n".join(claim_lines(data["literature"])),
    }
    return {**backward_rows(data["backward"]), **properties} if data["backward"] else properties


def _elsewhere(names: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a line per set of names, with the libraries that have these: ``keras, burn: softplus``."""
    libraries: dict[tuple[str, ...], list[str]] = {}
    for library, listed in names.items():
        libraries.setdefault(tuple(listed), []).append(library)
    return [f"{', '.join(those)}: {', '.join(listed)}" for listed, those in libraries.items()]


def _accuracy(sentences: Sequence[str]) -> str:
    if not sentences:
        return "the textbook formula is accurate"
    return "\n".join(["textbook formula inaccurate:", *sentences])


def _equations(same: Sequence[Mapping[str, str]]) -> list[str]:
    shown = [entry["equation"] for entry in same[:EQUATIONS]]
    more = len(same) - EQUATIONS
    return [*shown, f"and {more} more (docs/reference/same.md lists all)"] if more > 0 else shown


def _parameter_text(parameter: Mapping[str, Any]) -> str:
    how = "learned, initially " if parameter["learned"] else ""
    return f"{parameter['name']}={how}{parameter['default']:g} ({parameter['domain']})"
