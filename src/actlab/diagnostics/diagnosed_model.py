"""Load the model that the doctor examines, with its inputs and, if there is one, its task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from torch import nn
from torch.nn.utils.rnn import PackedSequence

from actlab.errors import TaskError
from actlab.nn.passes.model_argument import check_model
from actlab.nn.sites.dry_run import Inputs
from actlab.tasks import registry, task_file
from actlab.tasks.checks.check import check
from actlab.tasks.data import Split
from actlab.tasks.isolation import isolated
from actlab.tasks.loading.batch_parts import inputs_of_call, parts_of
from actlab.tasks.loading.loader import Loader
from actlab.tasks.loading.nested import joined, leaves, mapped, row_count
from actlab.tasks.model_source import load_model
from actlab.tasks.task import Task
from actlab.tasks.training.batches import first_inputs
from actlab.tasks.training_function.function_file import is_function_file
from actlab.tasks.training_function.model_inputs import model_inputs
from actlab.tasks.user_code import user_code

__all__ = ["DiagnosedModel", "ReferenceBatch", "load_diagnosed_model", "reference_batch", "required_inputs"]

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
        missing = [] if registry.is_registered(str(source)) else list(_missing_definitions(source))
        if missing:
            loaded = load_model(source, seed)
            note = (
                f"No remedy was tried: {source} does not define {', '.join(missing)}. A task defines model(seed), data(seed), "
                "loss, metric and direction."
            )
            return DiagnosedModel(name=loaded.name, model=loaded.model, inputs=loaded.example_inputs, notes=(note,))
    task = registry.resolve(source)
    if task.door == "script":
        raise TaskError(
            f"{task.name} is a script, whose model is not built here. Give the model itself: actlab.doctor(model, example_inputs)."
        )
    if task.door == "function":
        note = f"No remedy was tried: {task.name} trains by its own function, and the doctor takes steps of its own."
        with isolated(seed), user_code(f"model({seed}) of the task {task.name}"):
            return DiagnosedModel(
                name=task.name, model=task.model(seed), inputs=model_inputs(task, seed), notes=(note,)
            )
    data = check(replace(task, learning_rate=_NO_STEP), seed=seed)
    with isolated(seed), user_code(f"model({seed}) of the task {task.name}"):
        model = task.model(seed)
    return DiagnosedModel(name=task.name, model=model, inputs=required_inputs(task, data.train, seed), task=task)


def _missing_definitions(source: str | Path) -> Iterator[str]:
    """Yield the names that a file lacks to be a task; raise for what is neither a file nor a task's name."""
    if not task_file.is_file(source):
        registry.resolve(source)
    defined = task_file.run_file(Path(source).expanduser())
    if is_function_file(defined):
        return
    needed = {"data": "data", "loss": "step", "metric": "metrics", "direction": "direction"}
    yield from (name for name, instead in needed.items() if name not in defined and instead not in defined)


class ReferenceBatch(NamedTuple):
    """Inputs of a model, and the targets for the loss.

    Attributes:
        inputs: as the model takes them.
        target: of the loss; None for a task with a ``step``.
    """

    inputs: Inputs
    target: Any


def reference_batch(task: Task, model: nn.Module, split: Split | Loader, count: int, seed: int) -> ReferenceBatch:
    """Return about ``count`` examples of a training split, of a loader those of its first batches.

    Where the batches do not fit together, as sequences of several lengths, it is the first one.

    Raises:
        TaskError: the inputs of the model are not known.

    Example:
        >>> from actlab.tasks import resolve
        >>> from actlab.tasks.task import load_data
        >>> digits = resolve("digits")
        >>> reference_batch(digits, digits.model(0), load_data(digits, 0).train, 10, seed=0).inputs.shape
        torch.Size([10, 64])
    """
    if isinstance(split, Split) and task.step is None:
        return ReferenceBatch(*split.first(count))
    found = [_parts(task, model, batch, split, seed) for batch in _first_batches(split, count)]
    inputs, targets = zip(*found, strict=True)
    if any(isinstance(leaf, PackedSequence) for leaf in leaves(inputs[0])):
        return found[0]
    try:
        together = joined(inputs, "inputs"), None if task.step is not None else joined(targets, "targets")
    except TaskError:
        return found[0]
    return ReferenceBatch(*together)


def _first_batches(split: Split | Loader, count: int) -> Iterator[Any]:
    if isinstance(split, Split):
        yield split.first(count)
        return
    left = count
    for batch in split.evaluation():
        yield mapped(batch, lambda leaf: leaf)
        left -= row_count(batch)
        if left <= 0:
            return


def _parts(task: Task, model: nn.Module, batch: Any, split: Split | Loader, seed: int) -> ReferenceBatch:
    step = task.step
    if step is None:
        parts = parts_of(batch, split.of if isinstance(split, Loader) else task.name)
        return ReferenceBatch(parts.inputs, parts.target)
    inputs = inputs_of_call(model, lambda: step(model, batch))
    return ReferenceBatch(_known(task, model_inputs(task, seed) if inputs is None else inputs), None)


def required_inputs(task: Task, split: Split | Loader, seed: int) -> Inputs:
    """Return the inputs of the model in the first batch of the training.

    Raises:
        TaskError: they are not known.
    """
    return _known(task, first_inputs(task, split, seed))


def _known(task: Task, inputs: Inputs | None) -> Inputs:
    if inputs is None:
        raise TaskError(
            f"step of {task.name} does not call the model itself, so that the inputs on which it can be measured are not known. Call "
            "model(...) in step, or define example_inputs(seed), which returns what the model takes."
        )
    return inputs
