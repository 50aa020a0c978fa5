"""Load the model that the doctor examines, with its inputs and, if there is one, its task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from torch import nn

from actlab.errors import TaskError
from actlab.nn.passes.model_argument import check_model
from actlab.nn.sites.dry_run import Inputs
from actlab.tasks import registry, task_file
from actlab.tasks.checks.check import check
from actlab.tasks.isolation import isolated
from actlab.tasks.model_source import load_model
from actlab.tasks.task import Task
from actlab.tasks.user_code import user_code

__all__ = ["DiagnosedModel", "load_diagnosed_model"]

# learning rate of the step that checks a task: at its own rate the loss may diverge, which is a finding here and no error
_NO_STEP: Final = 1e-30


@dataclass(frozen=True, kw_only=True, eq=False)
class DiagnosedModel:
    """Model to examine.

    Attributes:
        name: of the task or model.
        model: untrained, with the weights of the first seed.
        inputs: a batch as the model takes it.
        task: that trains it; None if only a model was given.
        notes: what is missing for a task.
    """

    name: str
    model: nn.Module
    inputs: Any
    task: Task | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.inputs is None:
            raise TaskError(
                f"{self.name} gives a model but no inputs for it. Add example_inputs: a tensor, a tuple or a dict as the model takes them "
                "(128 samples or more), or data(seed)."
            )


def load_diagnosed_model(
    source: str | Path | Task | nn.Module, example_inputs: Inputs | None, seed: int
) -> DiagnosedModel:
    """Return the model of a module, a file or a task.

    Args:
        source: as for :func:`actlab.doctor`.
        example_inputs: a batch for a module.
        seed: of the task's model and data.

    Raises:
        ActlabError: the task or the model cannot be used, or a model has no inputs.

    Example:
        >>> loaded = load_diagnosed_model("digits", None, 0)
        >>> loaded.name, tuple(loaded.inputs.shape)
        ('digits', (32, 64))
    """
    if isinstance(source, nn.Module):
        note = "No remedy was tried: a module has no data, loss and metric. Give a task, or its file."
        return DiagnosedModel(name=type(source).__name__, model=source, inputs=example_inputs, notes=(note,))
    if not isinstance(source, str | Path | Task):
        check_model(source, "doctor")  # type: ignore[unreachable] # a caller without types
    if not isinstance(source, Task):
        missing = [] if str(source) in registry.names() else list(_missing_definitions(source))
        if missing:
            loaded = load_model(source, seed)
            note = (
                f"No remedy was tried: {source} does not define {', '.join(missing)}. A task defines model(seed), data(seed), "
                "loss, metric and direction."
            )
            return DiagnosedModel(name=loaded.name, model=loaded.model, inputs=loaded.example_inputs, notes=(note,))
    task = registry.resolve(source)
    data = check(replace(task, learning_rate=_NO_STEP), seed=seed)
    with isolated(seed), user_code(f"model({seed}) of the task {task.name}"):
        model = task.model(seed)
    return DiagnosedModel(name=task.name, model=model, inputs=data.train.x[: task.batch_size], task=task)


def _missing_definitions(source: str | Path) -> Iterator[str]:
    """Yield the names that a file lacks to be a task; raise for what is neither a file nor a task's name."""
    if not task_file.is_file(source):
        registry.resolve(source)
    defined = task_file.run_file(Path(source).expanduser())
    yield from (name for name in ("data", "loss", "metric", "direction") if name not in defined)
