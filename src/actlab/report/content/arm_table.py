"""Table with one row per arm of one or several studies, as a data frame, Markdown, LaTeX or CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from actlab.errors import IntegrationError, PlanError
from actlab.report.content.arm_columns import Column, columns, status
from actlab.report.content.axes import axes_columns, axes_record
from actlab.report.content.convergence import convergence_columns, convergence_record
from actlab.report.content.verdict import task_name
from actlab.system.display import Displayed

if TYPE_CHECKING:
    from actlab.studies.verdict.verdict import ArmSummary, Verdict

__all__ = ["ArmTable", "table"]

LATEX = str.maketrans(
    {
        **{mark: f"\\{mark}" for mark in "&%$#_{}"},
        "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "—": "--", "−": "$-$", "±": r"$\pm$",  # noqa: RUF001
        "<": "$<$", ">": "$>$", "²": "$^2$",
    }
)  # fmt: skip


class HasVerdict(Protocol):
    """A study."""

    def verdict(self) -> Verdict:
        """Return the verdict on the trials so far."""


@dataclass(frozen=True, kw_only=True)
class ArmTable(Displayed):
    """The arms of one or several studies, one row each.

    Attributes:
        verdicts: of the studies, in the order of the rows.
    """

    verdicts: tuple[Verdict, ...]

    def records(self) -> list[dict[str, Any]]:
        """Return the rows as numbers and texts; None where nothing was measured."""
        converges = any(verdict.convergence is not None for verdict in self.verdicts)
        found = [column for verdict in self.verdicts if verdict.axes is not None for column in verdict.axes.columns]
        names = list(dict.fromkeys((column.axis, column.column) for column in found))
        return [
            {
                **_record(verdict, arm),
                **(convergence_record(verdict, arm) if converges else {}),
                **axes_record(verdict, arm, names),
            }
            for verdict in self.verdicts
            for arm in verdict.arms
        ]

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Return headings and rows of formatted text; the first columns name the study, where there are several, and the arm."""
        several = len(self.verdicts) > 1
        shown = [(verdict, _shown(verdict)) for verdict in self.verdicts]
        used = {column.name for _, listed in shown for column in listed}
        ordered = dict.fromkeys(column.name for verdict in self.verdicts for column in _columns(verdict))
        names = [name for name in ordered if name in used]
        headings = [*(["study", "task", "metric"] if several else []), "arm", *names]
        rows = []
        for verdict, listed in shown:
            by_name = {column.name: column for column in listed}
            prefix = [verdict.study, task_name(verdict.task), verdict.metric] if several else []
            rows += [
                [*prefix, arm.spec, *(_text(by_name[name], arm) if name in by_name else "" for name in names)]
                for arm in verdict.arms
            ]
        return headings, rows

    def to_frame(self) -> Any:
        """Return the rows of :meth:`records` as a ``pandas.DataFrame``.

        Raises:
            IntegrationError: pandas is not installed.
        """
        try:
            import pandas as pd  # noqa: PLC0415 # an optional dependency
        except ImportError as error:
            raise IntegrationError(
                "to_frame() returns a pandas.DataFrame, and pandas is not installed: pip install pandas. "
                "Without it: to_csv(), to_markdown(), to_latex(), and to_dict() of a verdict."
            ) from error
        return pd.DataFrame(self.records())

    def to_markdown(self) -> str:
        """Return the rows as a Markdown table."""
        headings, rows = self.cells()
        lines = [headings, ["---"] * len(headings), *rows]
        escaped = ([cell.replace("|", r"\|") for cell in line] for line in lines)
        return "\n".join(f"| {' | '.join(line)} |" for line in escaped)

    def to_latex(self) -> str:
        r"""Return the rows as a LaTeX ``tabular``; its rules are those of the package ``booktabs``."""
        headings, rows = self.cells()
        lines = [" & ".join(cell.translate(LATEX) for cell in line) + r" \\" for line in (headings, *rows)]
        body = "\n".join(lines[1:])
        return f"\\begin{{tabular}}{{{'l' * len(headings)}}}\n\\toprule\n{lines[0]}\n\\midrule\n{body}\n\\bottomrule\n\\end{{tabular}}"

    def to_csv(self, path: str | Path | None = None) -> str:
        """Return the rows of :meth:`records` as CSV, and write them to a file if ``path`` is given."""
        records, out = self.records(), StringIO()
        writer = csv.DictWriter(out, list(records[0]) if records else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        if path is not None:
            Path(path).write_text(out.getvalue(), encoding="utf-8")
        return out.getvalue()


def table(studies: Verdict | HasVerdict | Iterable[Verdict | HasVerdict]) -> ArmTable:
    """Return one table over the arms of studies or verdicts.

    Args:
        studies: one, or several in the order of the rows.

    Raises:
        PlanError: there is none, or a value is neither a study nor a verdict.

    Example:
        >>> table([])
        Traceback (most recent call last):
        actlab.errors.PlanError: There is no study to show...
    """
    listed = list(studies) if isinstance(studies, Iterable) else [studies]
    if not listed:
        raise PlanError("There is no study to show: give a study, a verdict, or a list of them.")
    return ArmTable(verdicts=tuple(map(_verdict, listed)))


def _verdict(value: Any) -> Verdict:
    if hasattr(value, "verdict"):
        value = value.verdict()
    if not hasattr(value, "best_set"):
        raise PlanError(f"A table has studies or verdicts as rows; got {type(value).__name__}: {value!r}.")
    verdict: Verdict = value
    return verdict


def _columns(verdict: Verdict) -> list[Column]:
    return [*columns(verdict), *convergence_columns(verdict), *axes_columns(verdict)]


def _shown(verdict: Verdict) -> list[Column]:
    return [column for column in _columns(verdict) if any(column.value(arm) is not None for arm in verdict.arms)]


def _text(column: Column, arm: ArmSummary) -> str:
    return f"{column.shown(arm)} {column.small(arm)}".strip()


def _record(verdict: Verdict, arm: ArmSummary) -> dict[str, Any]:
    low, high = arm.ci
    gain_low, gain_high = arm.diff.ci if arm.diff else (None, None)
    return {
        "study": verdict.study,
        "task": task_name(verdict.task),
        "metric": verdict.metric,
        "direction": verdict.direction,
        "arm": arm.spec,
        "status": status(arm, verdict),
        "baseline": arm.spec == verdict.baseline,
        "seeds": arm.n,
        "mean": arm.mean,
        "mean_low": low,
        "mean_high": high,
        "iqm": arm.iqm,
        "sd": arm.sd,
        "difference": arm.diff.mean if arm.diff else None,
        "difference_low": gain_low,
        "difference_high": gain_high,
        "p_corrected": arm.diff.p_corrected if arm.diff else None,
        "prob_superior": arm.diff.prob_superior if arm.diff else None,
        "prob_equivalent": arm.diff.prob_equivalent if arm.diff else None,
        "step_time_ratio": arm.step_time_ratio,
        "parameters": arm.parameters,
        "peak_memory": arm.peak_memory,
        "learning_rate": arm.lr,
    }
