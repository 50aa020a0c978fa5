"""What an activation is, on one screen: formula, parameters, claims beside measured facts, and its graph."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

import actlab
from actlab.errors import SpecError
from actlab.functions.activation import Activation, Parameter, get
from actlab.functions.evaluate import numeric
from actlab.functions.formula import derivative
from actlab.functions.kept import kept
from actlab.functions.spec import Spec, parse
from actlab.readings.latex import latex, plain
from actlab.report.braille import curve
from actlab.report.tables import grid

__all__ = ["card", "entries", "entry", "overview"]

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
ROUNDING = 1e-12  # a fact of order one that is this small is zero
INPUTS = np.linspace(-4.0, 4.0, 73)
PLOT_WIDTH, PLOT_HEIGHT = 36, 9  # two graphs side by side in 80 columns


def entry(name: str) -> dict[str, Any]:
    """Return what the list of activations shows of one: name, kind, formula, parameters, paper, aliases, description."""
    record = get(name)
    return {
        "name": record.name,
        "kind": record.kind,
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


def _defaults(parameters: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{p['name']}={'learned' if p['learned'] else format(p['default'], 'g')}" for p in parameters)


def card(text: str) -> tuple[dict[str, Any], RenderableType]:
    """Return all that is known of the activation that a spec names: as data for JSON, and as a terminal shows it.

    In the data an infinite number is the text ``"inf"`` or ``"-inf"``, because JSON has none.

    Raises:
        UnknownNameError: there is no such activation.
        SpecError: the spec cannot be read.
    """
    spec = parse(text)
    record = spec.activation
    facts = _facts(spec)
    data = entry(record.name) | {
        "spec": str(spec),
        "latex": latex(record) if record.expression is not None else None,
        "derivative": plain(record, derivative=True) if record.kind == "elementwise" else None,
        "claims": {name: _json(value) for name, value in record.claims},
        "facts": {name: _json(value) for name, value in facts.items()},
        "gain": _json(facts["gain"]) if "gain" in facts else _gain(spec),
        "kept": _kept(spec),
        "torch": record.torch,
        "module": record.module,
    }
    return data, _drawn(spec, data, facts)


def _facts(spec: Spec) -> dict[str, Any]:
    if spec.activation.kind != "elementwise":
        return {}
    measured = actlab.facts(spec)
    return {name: getattr(measured, name) for name in MEASURED}


def _gain(spec: Spec) -> float | None:
    try:
        return actlab.gain(spec)
    except SpecError:  # a vector function has one at each width
        return None


def _kept(spec: Spec) -> dict[str, Any] | None:
    """Return what a backward pass must keep of each element; None for tensor code."""
    found = kept(spec)
    if found is None:
        return None
    return {"form": found.form, "float32": found.bytes(4), "bfloat16": found.bytes(2), "text": str(found)}


def _json(value: float | bool | str) -> float | bool | str:
    return value if isinstance(value, bool | str) or math.isfinite(value) else str(value)


def _drawn(spec: Spec, data: Mapping[str, Any], facts: Mapping[str, Any]) -> RenderableType:
    record = spec.activation
    parts: list[RenderableType] = [
        Text.assemble((str(spec), "bold"), f"  {record.kind}"),
        Text(record.doc),
        Padding(_lines(data), (1, 0, 0, 0)),
    ]
    if facts:
        parts += [Padding(_facts_table(record, facts), (1, 0, 0, 0)), Padding(_plots(spec), (1, 0, 0, 0))]
    return Group(*parts)


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
        "torch": ", ".join(filter(None, (data["torch"], data["module"]))) or "none; computed from the formula",
        "aliases": ", ".join(data["aliases"]),
        "paper": data["paper"],
    }
    for name, value in shown.items():
        if value:
            table.add_row(name, Text(value))
    return table


def _described(parameter: Mapping[str, Any]) -> str:
    how = "learned, starts at " if parameter["learned"] else ""
    return f"{parameter['name']}={how}{parameter['default']:g} ({parameter['domain']})"


def _facts_table(record: Activation, facts: Mapping[str, Any]) -> Table:
    claims = dict(record.claims)
    rows = [
        (MEASURED[name], _number(value), _number(claims[name]) if name in claims else "")
        for name, value in facts.items()
    ]
    return grid(("fact", "measured", "claimed"), rows, right=("measured", "claimed"))


def _number(value: float | bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "0" if abs(value) < ROUNDING else f"{value:.5g}"


def _plots(spec: Spec) -> Table:
    x = spec.activation.inputs[0]
    formula: Any = spec.activation.expression
    numbers = {p.symbol: spec.numbers[p.name] for p in spec.activation.parameters}
    table = Table(box=None, show_header=False, padding=(0, 4, 0, 0), pad_edge=False)
    graphs = [numeric(part.xreplace(numbers), [x])(INPUTS).tolist() for part in (formula, derivative(formula, x))]
    table.add_row(*(_graph(name, values) for name, values in zip(("f", "f'"), graphs, strict=True)))
    return table


def _graph(name: str, values: Sequence[float]) -> Group:
    known = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(*known, 0.0), max(*known, 0.0)
    drawn = curve(values, width=PLOT_WIDTH, height=PLOT_HEIGHT, low=low, high=high)
    title = f"{name}(x), {low:.3g} to {high:.3g}"
    return Group(Text(title, style="dim"), Text("\n".join(drawn)), Text(f"-4{'0':^{PLOT_WIDTH - 4}}+4", style="dim"))
