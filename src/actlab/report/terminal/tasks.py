"""Terminal table of the registered tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType

from actlab.report.terminal.text_table import text_table

if TYPE_CHECKING:
    from actlab.tasks.registry import TaskSummary

__all__ = ["tasks_table"]


def tasks_table(tasks: Sequence[TaskSummary]) -> RenderableType:
    """Return the tasks; descriptions continue on further lines where the terminal is narrow."""
    better = {"max": "higher is better", "min": "lower is better"}
    rows = [(task.name, f"{task.metric}, {better[task.direction]}", task.description) for task in tasks]
    table = text_table(("task", "metric", "description"), rows)
    for column in table.columns[:2]:
        column.no_wrap = True
    return table
