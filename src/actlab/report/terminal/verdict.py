"""Terminal tables of a verdict, a plan and the studies of a store."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from itertools import compress
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from actlab.report.content.arm_columns import Column, columns
from actlab.report.content.axes import axes_legend, cell_text, column_heading
from actlab.report.content.convergence import convergence_table
from actlab.report.content.format import chance, duration, plain, plural
from actlab.report.content.learning_rate import planned_learning_rates
from actlab.report.content.study_sites import HEADINGS, SIZE, site_rows, site_sentence
from actlab.report.content.verdict import confidence_sentences, region_text, task_name, tie_text
from actlab.report.terminal.text_table import ListTable, below, name_value_table, text_table
from actlab.studies.verdict.region import default_rule
from actlab.studies.verdict.words import all_named

if TYPE_CHECKING:
    from actlab.report.content.arm_table import ArmTable
    from actlab.studies.prepare import Draft
    from actlab.studies.verdict.verdict import ArmSummary, Verdict
    from actlab.tasks.task import Task

__all__ = ["arm_rows", "plan_table", "studies_table", "verdict_table"]

ORDER = ("mean", "difference", "p", "better", "same", "step time", "params", "memory", "status")
# dropped in this order where the terminal is narrow
OPTIONAL = ("memory", "same", "better", "params", "p", "step time")
# an arm's name is folded down to this many characters before a column is dropped
NARROWEST_NAME = 12
STYLES = {"best": "bold green", "diverged": "yellow", "failed": "red"}
TIES_SHOWN = 6


def verdict_table(verdict: Verdict) -> RenderableType:
    """Return a verdict for the terminal; columns of minor importance are dropped where it is narrow."""
    return _VerdictView(verdict)


class _VerdictView:
    """Renderable that is laid out when it is printed, because the width is not known before."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        verdict = self.verdict
        yield Text(verdict.recommendation, style="bold")
        if verdict.reason:
            yield Text(verdict.reason)
        yield Text(" ".join(confidence_sentences(verdict)), style="dim")
        visible = _visible_columns(verdict, options.max_width)
        yield Padding(_arm_table(verdict, visible, options.max_width), (1, 0, 0, 0))
        yield Text(_legend(verdict, {column.name for column in visible}), style="dim")
        if left := site_sentence(verdict.sites):
            yield Text(left, style="dim")
        reasons = [Text(f"{arm.spec}: {arm.reason}") for arm in verdict.arms if arm.reason]
        yield from _section("Notes on arms", reasons)
        yield from _convergence(verdict)
        yield from _axes(verdict, options.max_width)
        yield from _section("Ties", _tie_lines(verdict))
        yield from _section("Warnings", [Text(warning, style="yellow") for warning in verdict.warnings])


def _section(title: str, lines: Sequence[Text]) -> Iterator[RenderableType]:
    if lines:
        yield below(title, style="bold")
        yield Group(*(Padding(line, (0, 0, 0, 2)) for line in lines))


CONVERGENCE = ("steps to target", "epochs to target", "seconds to target", "best step")


def _convergence(verdict: Verdict) -> Iterator[RenderableType]:
    """Return how fast the arms train, in words and as a table of its own, which the page has in full."""
    if verdict.convergence is None:
        return
    yield from _section("Convergence", [Text(sentence) for sentence in verdict.convergence.sentences])
    headings, rows = convergence_table(verdict, names=CONVERGENCE)
    if len(headings) > 1:
        yield Padding(text_table(headings, rows, right=headings[1:]), (1, 0, 0, 2))


def _axes(verdict: Verdict, width: int) -> Iterator[RenderableType]:
    """Return how the arms compare on axes: a table with a row for each column, then the findings in words."""
    if verdict.axes is None:
        return
    yield below(f"Beyond the {verdict.metric}", style="bold")
    shown = _arms_shown(verdict, width)
    rows = [
        [column_heading(column), *(cell_text(column, column.of(arm)) for arm in shown)]
        for column in verdict.axes.columns
    ]
    if rows:
        yield Padding(text_table(["", *shown], rows, right=shown), (0, 0, 0, 2))
        left = len(verdict.arms) - len(shown)
        more = f" · {left} more {'arm' if left == 1 else 'arms'} with --json and in the report" if left else ""
        yield Padding(Text(f"{axes_legend(verdict)}{more}", style="dim"), (0, 0, 0, 2))
    yield Group(*(Padding(Text(sentence), (0, 0, 0, 2)) for sentence in verdict.axes.sentences))


def _arms_shown(verdict: Verdict, width: int) -> list[str]:
    """Return the arms for which the table of axes has room: the baseline, then the others, best first."""
    found, gap = verdict.axes, 2
    assert found is not None  # noqa: S101 # for the type checker; the caller has looked
    room = width - gap - max((cell_len(column_heading(column)) for column in found.columns), default=0)
    shown: list[str] = []
    for arm in sorted(verdict.arms, key=lambda summary: summary.spec != verdict.baseline):
        cells = (cell_len(cell_text(column, column.of(arm.spec))) for column in found.columns)
        room -= gap + max(cell_len(arm.spec), max(cells, default=0))
        if shown and room < 0:
            break
        shown.append(arm.spec)
    return shown


EXPLAINED = {
    "p": "p: corrected, valid at any time",
    "better": "better: share of seeds better than the baseline",
    "same": "same: estimated probability of practical equivalence",
    "step time": "time: of a training step over the baseline's, 95% interval",
}


def _legend(verdict: Verdict, visible: AbstractSet[str]) -> str:
    """Return what the mark, the study and the visible columns are."""
    better = "higher" if verdict.direction == "max" else "lower"
    trials = f"{verdict.trials_run} of {plural(verdict.trials_full_grid, 'trial')}"
    parts = [
        f"● best set · {task_name(verdict.task)}, {verdict.metric}, {better} is better",
        f"{plural(len(verdict.seeds), 'seed')}, {trials}",
        *(text for name, text in EXPLAINED.items() if name in visible),
        *([f"times: on {verdict.times_on}"] if verdict.times_on and "step time" in visible else []),
        region_text(verdict),
    ]
    return " · ".join(parts)


def _tie_lines(verdict: Verdict) -> list[Text]:
    ties = sorted(verdict.ties, key=lambda tie: (tie != verdict.closest, tie.kind == "equivalent"))
    lines = [
        Text(f"{all_named(tie.arms)}: {tie_text(tie, verdict)}{_equivalence(tie.prob_equivalent)}")
        for tie in ties[:TIES_SHOWN]
    ]
    more = len(ties) - TIES_SHOWN
    return [*lines, Text(f"and {more} more; --json and the report list all", style="dim")] if more > 0 else lines


def _equivalence(probability: float | None) -> str:
    return "" if probability is None else f" ({chance(probability)} probability of equivalence)"


def _visible_columns(verdict: Verdict, width: int) -> list[Column]:
    """Return the columns for which a terminal has room."""
    by_name = {column.name: column for column in columns(verdict)}
    visible = [by_name[name] for name in ORDER if name in by_name]
    longest = max((cell_len(arm.spec) for arm in verdict.arms), default=0)
    for column in (by_name[name] for name in OPTIONAL if name in by_name):
        if _needed(visible, verdict) + min(NARROWEST_NAME, longest) <= width:
            break
        visible.remove(column)
    return visible


def _arm_table(verdict: Verdict, visible: Sequence[Column], width: int) -> Table:
    room = max(4, width - _needed(visible, verdict))
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True, style="green")
    table.add_column("arm", overflow="fold", max_width=room)
    for column in visible:
        table.add_column(_heading(column), justify="left" if column.text else "right", no_wrap=True)
    for arm in verdict.arms:
        best = arm.spec in verdict.best_set
        name = Text(folded(arm.spec, room), style="bold" if best else "")
        table.add_row(
            "●" if best else "", name, *(_cell(column, arm) for column in visible), style="" if best else "dim"
        )
    return table


def folded(name: str, room: int) -> str:
    r"""Return a spec in lines of at most ``room`` characters if possible, broken after a parenthesis, comma or equals sign.

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
    if column.name == "step time":
        return Text(column.small(arm) or shown)
    return Text(shown, style=STYLES.get(shown, "") if column.name == "status" else "")


def _needed(visible: Sequence[Column], verdict: Verdict) -> int:
    """Return the width of the table without the names (the mark, and each column's widest cell with a space)."""
    cells = ([_heading(column), *(_cell(column, arm).plain for arm in verdict.arms)] for column in visible)
    return 2 + sum(1 + max(map(cell_len, texts)) for texts in cells)


def arm_rows(table: ArmTable) -> RenderableType:
    """Return the arms of several studies, one row each."""
    headings, rows = table.cells()
    texts = ("study", "task", "metric", "arm", "status")
    return text_table(headings, rows, right=[heading for heading in headings if heading not in texts])


def studies_table(studies: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Return the studies of a store, as from :func:`actlab.list_studies`."""
    if not studies:
        return Text("This store contains no studies.")
    headings = ("study", "task", "arms", "seeds", "trials", "created")
    rows = [
        (
            study["study"],
            task_name(study["task"]),
            ", ".join(study["arms"]),
            study["seeds"],
            study["trials"],
            datetime.fromtimestamp(study["created"]).astimezone().strftime("%Y-%m-%d %H:%M"),
        )
        for study in studies
    ]
    return ListTable(headings=headings, rows=rows, right=("seeds", "trials"), end=("arms",), middle=("study", "task"))


def plan_table(draft: Draft) -> RenderableType:
    """Return the plan of a study that has not started, and what becomes of every site of the model."""
    rows = site_rows([site.to_dict() for site in draft.sites])
    is_shown = [heading != SIZE or any(site.elements for site in draft.sites) for heading in HEADINGS]
    table = text_table(
        list(compress(HEADINGS, is_shown)), [list(compress(row, is_shown)) for row in rows], right=[SIZE]
    )
    return Group(_plan_settings(draft), Padding(table, (1, 0, 0, 0)))


_TRAINS_ITSELF = "its own function, which is not run here; the first trial shows whether it returns its result"


def _length(task: Task) -> str:
    if task.door != "loop":
        return ""
    length = plural(task.steps, "step") if task.steps else plural(task.epochs, "epoch")
    return f" of {length} with batch size {task.batch_size}"


def _planned_target(draft: Draft) -> str:
    choice = draft.target
    if choice.target is not None:
        return f"{choice.target} ({choice.target.rule})"
    if choice.by_pilot:
        return f"from {'the tuning trials' if draft.plan.tune else 'one trial'} of the baseline on another seed, before all others"
    return f"none: {choice.reason}"


def _plan_settings(draft: Draft) -> Table:
    plan, task = draft.plan, draft.task
    main = len(plan.labels) * len(plan.seeds)
    tuning = f", and {draft.trials - main} for the learning rates" if plan.tune else ""
    return name_value_table(
        {
            "study": draft.name,
            "task": f"{task_name(plan.task)}, {plan.metric}, {'higher' if plan.direction == 'max' else 'lower'} is better",
            **({"script": task.script} if task.script else {}),
            **({"training": _TRAINS_ITSELF} if task.train else {}),
            "arms": ", ".join(f"{arm} (baseline)" if arm == plan.baseline else arm for arm in plan.labels),
            "seeds": f"{len(plan.seeds)}",
            "trials": f"at most {plural(main, 'trial')}{_length(task)}{tuning}; {draft.jobs} at a time",
            "stacks": draft.stacking,
            "budget": "none" if draft.budget is None else duration(draft.budget),
            "init": plan.init,
            "learning rate": planned_learning_rates(plan, task.learning_rate),
            "target": _planned_target(draft),
            "error rate": chance(plan.alpha),
            "equivalence": default_rule(plan.metric, plan.baseline)
            if plan.rope is None
            else f"within ±{plain(plan.rope)} {plan.metric}",
        }
    )
