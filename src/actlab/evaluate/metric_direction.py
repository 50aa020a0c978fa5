"""Direction of the metric that is computed from a model's outputs."""

from __future__ import annotations

from actlab.tasks.task import Direction, Task, accuracy

__all__ = ["metric_direction"]


def metric_direction(task: Task) -> Direction | None:
    """Return whether a larger or a smaller value of what a task computes from outputs is better; None where nothing says it.

    That is the direction of the task, unless its result is made of the training losses (``curve_metric``).

    Example:
        >>> from actlab.tasks import resolve
        >>> task = resolve("mnist1d")
        >>> task.metric_name, task.direction, task.evaluated_name, metric_direction(task)
        ('mean training loss', 'min', 'accuracy', 'max')
    """
    if task.curve_metric is None:
        return task.direction
    return "max" if task.result_metric is accuracy else None
