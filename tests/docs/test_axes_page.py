"""Reference page of the axes; ``python tests/docs/test_axes_page.py > docs/reference/axes.md`` writes it."""

from __future__ import annotations

import sys
from pathlib import Path

from actlab.evaluate.axis import Axis, Preference
from actlab.evaluate.axis_registry import built_in_axes

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "axes.md"
BETTER: dict[Preference, str] = {"max": "higher", "min": "lower", "metric": "as the metric", None: ""}
HEAD = """# Axes

<!-- Written by `python tests/docs/test_axes_page.py > docs/reference/axes.md`. -->

What `evaluate`, and `compare` with `--evaluate`, measure of a trained model, see [Judge activations beyond the
metric](../how_to/evaluate.md). Columns in bold are compared between arms; the others are recorded and described. Axes that train further,
and those that export the model, are not part of `all`.
"""


def section(axis: Axis) -> str:
    """Return the description of an axis and the table of its columns."""
    rows = [
        f"| {f'**{name}**' if column.headline and column.direction else name} | {column.description} | {column.unit} | "
        f"{BETTER[column.direction]} |"
        for name, column in axis.columns.items()
    ]
    table = "\n".join(["| column | what it is | unit | better |", "|---|---|---|---|", *rows])
    return f"## {axis.name}\n\n{axis.description}\n\n{table}\n"


def page() -> str:
    """Return the text of the page."""
    return "\n".join([HEAD, *map(section, built_in_axes().values())])


def test_the_page_has_every_axis_and_column() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


if __name__ == "__main__":
    sys.stdout.write(page())
