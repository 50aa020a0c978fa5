"""Terminal table of the gradient rules, and rows for a spec with a rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import RenderableType

from actlab.report.terminal.text_table import ListTable

__all__ = ["backward_rows", "rule_table"]


def rule_table(rules: Iterable[Mapping[str, Any]]) -> RenderableType:
    """Return the list of rules as a table."""
    rows = [
        (
            rule["name"],
            rule["formula"],
            ", ".join(f"{p['name']}={p['default']:g}" for p in rule["parameters"]),
            rule["keeps"],
            rule["paper"],
        )
        for rule in rules
    ]
    headings = ("name", "gradient factor", "parameters", "saves", "paper")
    return ListTable(headings=headings, rows=rows, end=headings[1:], longest=64)


def backward_rows(data: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the gradient rule of a spec as names and texts, from :func:`actlab.report.content.rule.backward_of`."""
    scale = (
        data["mean"] and f"mean {data['mean']:.4g} for inputs from N(0, 1)",
        data["area"] and f"area {data['area']:.4g}",
    )
    return {
        "rule": f"{data['spec']}: {data['doc']}",
        "gradient": data["gradient"],
        "symbols": "; ".join(f"{name}: {text}" for name, text in data["ingredients"].items() if name != "grad"),
        "rule saves": data["keeps"],
        "scale": ", ".join(text for text in scale if text) or None,
        "rule's paper": data["paper"],
    }
