"""The verdict in a terminal: the recommendation, a table of arms that fits the width there is, ties, warnings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from actlab.report.content import verdict as words
from actlab.report.content.arm_columns import Column, columns
from actlab.report.content.format import chance, duration, plain

if TYPE_CHECKING:
    from actlab.studies.prepare import Draft
    from actlab.studies.verdict.verdict import ArmSummary, Verdict

__all__ = ["grid", "plan_table", "studies_table", "verdict_table"]

ORDER = ("mean", "difference", "p", "better", "same", "step time", "params", "memory", "status")
FIRST_TO_GO = (
    "memory",
    "same",
    "better",
    "params",
    "p",
    "step time",
)  # dropped in this order where the terminal is narrow
NARROWEST_NAME = 12  # an arm's name is folded down to this many characters before a column is dropped
STYLES = {"best": "bold green", "diverged": "yellow", "failed": "red"}
TIES_SHOWN = 6


def verdict_table(verdict: Verdict) -> RenderableType:
    """Return the whole verdict for a terminal; columns are dropped, cost of memory first, where it is narrow."""
    return _Whole(verdict)


class _Whole:
    """Lays itself out when it is printed, because only then the width is known."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        verdict = self.verdict
        yield Text(verdict.recommendation, style="bold")
        yield Text(" ".join(words.how_sure(verdict)), style="dim")
        yield Padding(_table(verdict, options.max_width), (1, 0, 0, 0))
        yield Text(_legend(verdict), style="dim")
        yield from _paragraph(
            "What happened", [Text(f"{arm.spec}: {arm.reason}") for arm in verdict.arms if arm.reason]
        )
        yield from _paragraph("Ties", _tie_lines(verdict))
        yield from _paragraph("Warnings", [Text(warning, style="yellow") for warning in verdict.warnings])


def _paragraph(title: str, lines: Sequence[Text]) -> Iterator[RenderableType]:
    if lines:
        yield Padding(Text(title, style="bold"), (1, 0, 0, 0))
        yield Group(*(Padding(line, (0, 0, 0, 2)) for line in lines))


def _legend(verdict: Verdict) -> str:
    better = "higher" if verdict.direction == "max" else "lower"
    seeds = f"{len(verdict.seeds)} seed{'s' if len(verdict.seeds) != 1 else ''}"
    trials = f"{verdict.trials_run} of {verdict.trials_full_grid} trials"
    name = words.task_name(verdict.task)
    return (
        f"● best set · {name}, {verdict.metric}, {better} is better · {seeds}, {trials} · p any-time valid, corrected"
    )


def _tie_lines(verdict: Verdict) -> list[Text]:
    ties = sorted(verdict.ties, key=lambda tie: (tie != verdict.closest, tie.kind == "equivalent"))
    lines = [
        Text(f"{words.listed(tie.arms)}: {words.tie_words(tie, verdict)} ({chance(tie.prob_equivalent)} the same)")
        for tie in ties[:TIES_SHOWN]
    ]
    more = len(ties) - TIES_SHOWN
    return [*lines, Text(f"and {more} more; --json and the page name them all", style="dim")] if more > 0 else lines


def _table(verdict: Verdict, width: int) -> Table:
    found = {column.name: column for column in columns(verdict)}
    kept = [found[name] for name in ORDER]
    longest = max((cell_len(arm.spec) for arm in verdict.arms), default=0)
    for column in map(found.__getitem__, FIRST_TO_GO):
        if _needed(kept, verdict) + min(NARROWEST_NAME, longest) <= width:
            break
        kept.remove(column)
    room = max(4, width - _needed(kept, verdict))
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True, style="green")
    table.add_column("arm", overflow="fold", max_width=room)
    for column in kept:
        table.add_column(_heading(column), justify="left" if column.text else "right", no_wrap=True)
    for arm in verdict.arms:
        best = arm.spec in verdict.best_set
        name = Text(folded(arm.spec, room), style="bold" if best else "")
        table.add_row("●" if best else "", name, *(_cell(column, arm) for column in kept), style="" if best else "dim")
    return table


def folded(name: str, room: int) -> str:
    r"""Return a spec broken into lines of at most ``room`` characters, after a parenthesis, comma or equals sign where it can be.

    Example:
        >>> folded("swish(beta=learned)", 12)
        'swish(beta=\nlearned)'
    """
    lines = [""]
    for piece in re.findall(r"[^(,=]*[(,=]?", name):
        if lines[-1] and len(lines[-1]) + len(piece) > room:
            lines.append("")
        lines[-1] += piece
    return "\n".join(lines)


def _heading(column: Column) -> str:
    return {"step time": "time", "difference": "vs baseline, 95% interval"}.get(column.name, column.name)


def _cell(column: Column, arm: ArmSummary) -> Text:
    shown = column.shown(arm)
    if column.name == "difference":
        return Text(f"{shown} {column.small(arm)}".rstrip())
    return Text(shown, style=STYLES.get(shown, "") if column.name == "status" else "")


def _needed(kept: Sequence[Column], verdict: Verdict) -> int:
    """Return the width of all but the names: the mark, and each column's widest cell with the space before it."""
    cells = ([_heading(column), *(_cell(column, arm).plain for arm in verdict.arms)] for column in kept)
    return 2 + sum(1 + max(map(cell_len, texts)) for texts in cells)


def studies_table(found: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Return the studies of a store, as ``list_studies`` gives them, oldest first."""
    if not found:
        return Text("This store holds no study yet.")
    headings = ("study", "task", "arms", "seeds", "trials", "begun")
    rows = [
        (
            one["study"],
            words.task_name(one["task"]),
            ", ".join(one["arms"]),
            one["seeds"],
            one["trials"],
            datetime.fromtimestamp(one["created"]).astimezone().strftime("%Y-%m-%d %H:%M"),
        )
        for one in found
    ]
    return grid(headings, rows, right=("seeds", "trials"))


def plan_table(draft: Draft) -> RenderableType:
    """Return a study that has not begun: what would be compared, how often, by which rules and with how much work."""
    plan, task = draft.plan, draft.task
    length = f"{task.steps} steps" if task.steps else f"{task.epochs} epochs"
    trial = f"each {length} of batch {task.batch_size}"
    facts = {
        "study": draft.name,
        "task": f"{words.task_name(plan.task)}, {plan.metric}, {'higher' if plan.direction == 'max' else 'lower'} is better",
        "arms": ", ".join(f"{arm} (baseline)" if arm == plan.baseline else arm for arm in plan.labels),
        "seeds": f"{len(plan.seeds)}",
        "work": f"at most {draft.trials} trials, {trial}; {draft.jobs} at a time",
        "budget": "none" if draft.budget is None else duration(draft.budget),
        "init": plan.init,
        "learning rate": "tuned for every arm with the same budget"
        if plan.tune
        else f"the task's own, {plain(task.learning_rate)}",
        "error rate": chance(plan.alpha),
        "same within": f"±{plain(plan.rope)} {plan.metric}",
    }
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, Text(value))
    return table


def grid(headings: Sequence[str], rows: Sequence[Sequence[Any]], *, right: Sequence[str] = ()) -> Table:
    """Return a plain table of texts, as of the list of activations or of studies.

    Args:
        headings: one per column.
        rows: cells as text (markup is not read).
        right: headings of the columns that stand flush right.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for number, heading in enumerate(headings):
        table.add_column(
            heading,
            justify="right" if heading in right else "left",
            overflow="fold",
            style="bold" if number == 0 else "",
        )
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    return table
