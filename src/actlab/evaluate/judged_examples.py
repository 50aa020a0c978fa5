"""Some test examples of a task, and the metric of a changed model or of changed inputs on them."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

from actlab.evaluate.evaluation_data import EvaluationData
from actlab.evaluate.undefined_axis import UndefinedAxisError
from actlab.tasks.data import Split
from actlab.tasks.loading.nested import mapped
from actlab.tasks.training.evaluation import predictions_of

__all__ = ["JudgedExamples"]


class JudgedExamples:
    """Test examples with their targets, as batches have them.

    Args:
        data: of the model.
        rows: indices of test examples, int64, shape (m,).

    Raises:
        UndefinedAxisError: the inputs are not one tensor, or the targets are not one for each of them.

    Example:
        >>> import torch
        >>> from actlab.tasks import resolve
        >>> from actlab.tasks.task import load_data
        >>> digits = resolve("digits")
        >>> data = EvaluationData(digits, digits.model(0).eval(), load_data(digits, 0))
        >>> examples = JudgedExamples(data, torch.arange(100))
        >>> examples.metric(examples.inputs) == data.metric(data.outputs[:100], data.targets[:100])
        True
    """

    def __init__(self, data: EvaluationData, rows: Tensor) -> None:
        given = data.targets if data.task.predict is None else data.given_targets
        self._data, self.inputs = data, data.inputs[rows]
        self.targets = mapped(given, partial(_rows, rows=rows, of=len(data.inputs)))

    def metric(self, inputs: Tensor, model: nn.Module | None = None) -> float:
        """Return the metric of the task for inputs with the targets of these examples, by the task's ``predict`` where it has one.

        Args:
            inputs: in the place of those of the examples.
            model: another model in the place of that of the data.
        """
        data, task = self._data, self._data.task
        if task.predict is None:
            return data.metric(data.outputs_for(inputs, model), self.targets)
        if not isinstance(self.targets, Tensor):
            raise UndefinedAxisError("the task's predict takes batches that are no pair of inputs and targets")
        data.forward_examples += len(inputs)
        found = predictions_of(task, data.model if model is None else model, Split(x=inputs, y=self.targets))
        return data.metric(found.output, found.target)


def _rows(leaf: Any, *, rows: Tensor, of: int) -> Any:
    """Return the targets of some examples, of a tensor or array with one for each."""
    if isinstance(leaf, Tensor) and leaf.ndim and len(leaf) == of:
        return leaf[rows]
    if hasattr(leaf, "shape") and len(getattr(leaf, "shape", ())) and len(leaf) == of:
        return leaf[rows.numpy()]
    raise UndefinedAxisError("the targets are not one for each input")
