"""Name and direction of the metric that a script reports, read from the script's text."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from actlab.errors import TaskError
from actlab.system.name_list import listed
from actlab.tasks.metrics.metric_direction import Direction, direction_of, first_known

__all__ = ["find_metric", "reported_names"]

_HINT: Final = (
    "name it and its direction: --metric NAME --direction max (or min), or Script(..., metric='NAME', direction='max')"
)


def reported_names(text: str) -> list[str]:
    """Return the names that a script's calls of ``report`` have, in order.

    Example:
        >>> reported_names("actlab.report(step=1, loss=x, accuracy=y)")
        ['loss', 'accuracy']
    """
    return list(dict.fromkeys(name for name in _keywords(text) if name is not None))


def _keywords(text: str) -> Iterator[str | None]:
    """Yield the names of reported values; None for a mapping, as in ``report(**metrics)``."""
    for call in _calls_of_report(text):
        yield from (keyword.arg for keyword in call.keywords if keyword.arg != "step")


def _calls_of_report(text: str) -> list[ast.Call]:
    """Return the calls in order; none if the text is no Python."""
    try:
        tree = ast.parse(text) if "report" in text else ast.Module([], [])
    except (SyntaxError, ValueError):
        return []
    found = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node.func) == "report")
    return sorted(found, key=lambda call: (call.lineno, call.col_offset))


def _name(function: ast.expr) -> str | None:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)


def find_metric(text: str, metric: str | None, direction: str | None) -> tuple[str, Direction]:
    """Return name and direction of the metric.

    Args:
        text: of the script.
        metric: the name, or None for the first reported one whose direction is known; the training loss only if there is no other.
        direction: "max", "min", or None for that of the name.

    Raises:
        TaskError: they cannot be known, or are no name and no direction.

    Example:
        >>> find_metric("actlab.report(step=1, loss=x, accuracy=y)", None, None)
        ('accuracy', 'max')
    """
    if direction not in {None, "max", "min"}:
        raise TaskError(
            f"The direction of the metric is {direction!r}; allowed are 'max' (larger is better) and 'min'."
        )
    if metric is not None and not (isinstance(metric, str) and metric.strip() and metric.isprintable()):
        raise TaskError(f"The metric is {metric!r}; the name under which the script reports it is needed.")
    name = metric or _chosen(text, is_known=direction is not None)
    known = direction or direction_of(name)
    if known is None:
        raise TaskError(
            f"Whether a larger {name} is better is not known; say it: --direction max (or min), or Script(..., direction='max')."
        )
    return name, known  # type: ignore[return-value] # checked above


def _chosen(text: str, *, is_known: bool) -> str:
    names, is_all = reported_names(text), None not in list(_keywords(text))
    chosen = first_known(names, any_direction=is_known, is_all=is_all)
    if chosen is not None:
        return chosen
    found = f"it reports {listed(names)}" if names else "no name can be read from its calls of actlab.report"
    found += "" if is_all or not names else ", and names that cannot be read (**)"
    raise TaskError(f"Which metric of the script is compared is not known: {found}. Please {_HINT}.")
