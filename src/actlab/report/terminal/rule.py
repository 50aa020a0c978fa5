"""What a gradient rule is: formula, parameters, what it keeps and lets through, as data and as a terminal shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import RenderableType

from actlab.report.terminal.verdict import grid

__all__ = ["backward_rows", "rule_overview"]


def rule_overview(found: Iterable[Mapping[str, Any]]) -> RenderableType:
    """Return the list of rules as a table."""
    rows = [
        (
            one["name"],
            one["formula"],
            ", ".join(f"{p['name']}={p['default']:g}" for p in one["parameters"]),
            one["keeps"],
            one["paper"],
        )
        for one in found
    ]
    return grid(("name", "times the gradient", "parameters", "keeps", "paper"), rows)


def backward_rows(data: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the same as rows for a terminal: name and text, None where there is nothing to say."""
    return {
        "backward": f"{data['spec']}: {data['doc']}",
        "gradient": data["gradient"],
        "made of": "; ".join(f"{name}: {text}" for name, text in data["ingredients"].items() if name != "grad"),
        "rule keeps": data["keeps"],
        "lets through": " ".join(
            text
            for text in (
                data["mean"] and f"{data['mean']:.4g} of the gradient on N(0, 1) inputs;",
                data["area"] and f"its area is {data['area']:.4g}",
            )
            if text
        ).rstrip(";")
        or None,
        "rule's paper": data["paper"],
    }
