"""Text of the results of public functions, as the command line prints them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from rich.console import RenderableType

from actlab.report.terminal.plain_text import fixed_width, plain_text

__all__ = ["renderable", "text"]

# module of this folder and function, by class of the result; a module is imported with the first result of its kind
VIEWS = {
    "ArmTable": ("verdict", "arm_rows"),
    "Appraisal": ("model.importance", "appraisal_table"),
    "Bench": ("bench", "speed_table"),
    "Calibration": ("crossover", "crossover_table"),
    "ConformReport": ("model.conform", "conform_view"),
    "Costs": ("bench", "cost_table"),
    "DataAudit": ("audit", "audit_view"),
    "Diagnosis": ("model.doctor", "diagnosis_view"),
    "Draft": ("verdict", "plan_table"),
    "Evaluation": ("model.evaluation", "evaluation_view"),
    "ExportReport": ("model.export", "export_view"),
    "Hardware": ("hardware", "hardware_table"),
    "Importance": ("model.importance", "importance_table"),
    "LearnedShapes": ("model.importance", "shapes_table"),
    "ProbeReport": ("model.probe", "probe_table"),
    "Propagation": ("model.probe", "propagation_table"),
    "QueryResult": ("activation", "query_table"),
    "Sites": ("model.sites", "model_sites_table"),
    "Studies": ("verdict", "studies_table"),
    "Support": ("model.support", "support_view"),
    "TableLint": ("lint", "lint_view"),
    "Verdict": ("verdict", "verdict_table"),
    "WinsLint": ("lint", "lint_view"),
}


def renderable(value: Any) -> RenderableType:
    """Return the view of a result for a terminal.

    Raises:
        TypeError: the value is no result of a public function.
    """
    for cls in type(value).__mro__:
        if cls.__name__ in VIEWS:
            module, function = VIEWS[cls.__name__]
            view: RenderableType = getattr(import_module(f"actlab.report.terminal.{module}"), function)(value)
            return view
    raise TypeError(f"There is no view of a {type(value).__name__}.")


def text(value: Any) -> str:
    """Return a result as plain text, in the width of the terminal if there is one."""
    return plain_text(renderable(value), fixed_width()).rstrip("\n")
