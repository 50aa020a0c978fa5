"""Terminal table of the evaluation of one trained model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from actlab.report.content.format import duration, plain, plural
from actlab.report.terminal.text_table import below, text_table

if TYPE_CHECKING:
    from actlab.diagnostics.axes.evaluation import Evaluation

__all__ = ["evaluation_view"]

_BETTER = {"max": "higher", "min": "lower", None: ""}
HEADINGS = ("axis", "number", "value", "better", "what it is")


def evaluation_view(found: Evaluation) -> RenderableType:
    """Return an evaluation for the terminal: a table of numbers, then notes and reasons for what is undefined."""
    return Group(*_parts(found))


def _parts(found: Evaluation) -> Iterator[RenderableType]:
    act = "" if found.act is None else f" with {found.act}"
    value = "no number" if found.value is None else plain(found.value)
    trained = f", trained with seed {found.seed}" if found.was_trained else ""
    yield Text(f"{found.name}{act}{trained}: {found.metric} {value}", style="bold")
    examples = "" if found.test_examples is None else f"{plural(found.test_examples, 'test example')} · "
    yield Text(f"{examples}± standard error over examples · {_times(found)}", style="dim")
    yield Padding(text_table(HEADINGS, _rows(found), right=("value",)), (1, 0, 0, 0))
    yield from _section("Data", list(found.warnings))
    notes = [f"{axis}: {note}" for axis, result in found.results.items() for note in result["notes"]]
    yield from _section("Notes", notes)
    yield from _section("Not defined", list(_undefined(found)))


def _times(found: Evaluation) -> str:
    training = f"training {duration(found.seconds['training'])}, " if found.was_trained else ""
    axes = sum(seconds for name, seconds in found.seconds.items() if name != "training")
    return f"{training}axes {duration(axes)}"


def _rows(found: Evaluation) -> list[list[str]]:
    rows, latest = [], ""
    descriptions = {(axis.name, name): column for axis in found.axes for name, column in axis.columns.items()}
    for record in found.records():
        if record["value"] is None:
            continue
        name = "" if record["axis"] == latest else record["axis"]
        latest = record["axis"]
        description = descriptions[record["axis"], record["column"]].description
        rows.append([name, record["column"], _value(record), _BETTER.get(record["direction"], ""), description])
    return rows


def _value(record: dict[str, Any]) -> str:
    unit = f" {record['unit']}" if record["unit"] not in {"", "share"} else ""
    spread = "" if not record["error"] else f" ± {record['error']:.2g}"
    return f"{plain(record['value'])}{spread}{unit}"


def _undefined(found: Evaluation) -> Iterator[str]:
    for axis, result in found.results.items():
        if result.get("error"):
            yield f"{axis} raised: {result['error']}"
            continue
        by_reason: dict[str, list[str]] = {}
        for name, reason in result["undefined"].items():
            by_reason.setdefault(reason, []).append(name)
        for reason, names in by_reason.items():
            yield f"{axis}: {', '.join(names)}: {reason}"


def _section(title: str, lines: list[str]) -> Iterator[RenderableType]:
    if lines:
        yield below(title, style="bold")
        yield Group(*(Padding(Text(line), (0, 0, 0, 2)) for line in lines))
