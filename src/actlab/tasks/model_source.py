"""Load a model and example inputs from a task or a Python file.

A file defines ``model``: an ``nn.Module``, or a function ``model()`` or ``model(seed)`` that returns one. It may define
``example_inputs``: a tensor, a tuple of positional arguments, a dict of keyword arguments, or a function that returns one of these.
Without it, inputs are taken from the ``data(seed)`` of a task file. It may also define ``targets`` of these examples, and ``metric``, a
function of outputs, or of outputs and targets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from actlab.errors import TaskError, did_you_mean
from actlab.system.name_list import check_is_no_saved_model
from actlab.tasks import registry, task_file
from actlab.tasks.data import Data, Split, as_data
from actlab.tasks.isolation import isolated
from actlab.tasks.loading.batch_parts import inputs_of_call, parts_of
from actlab.tasks.loading.nested import mapped
from actlab.tasks.task import Task, load_data
from actlab.tasks.user_code import call_with_seed

__all__ = ["LoadedModel", "load_function", "load_model"]

BATCH = 32
"""Number of examples taken from the data of a task."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedModel:
    """A model with example inputs.

    Attributes:
        name: of the task, or of the file without its suffix.
        model: a new model.
        example_inputs: its inputs, as :func:`actlab.find` takes them; None where the file defines none.
        targets: of these examples; None where the file defines none.
        metric: a function of outputs, or of outputs and targets; None where the file defines none.
        names: what the file defines.
    """

    name: str
    model: nn.Module
    example_inputs: Any
    targets: Any = None
    metric: Callable[..., Any] | None = None
    names: Mapping[str, Any] = field(default_factory=dict)


def load_model(source: str | Path, seed: int = 0) -> LoadedModel:
    """Return the model of a task or a Python file, with example inputs.

    Args:
        source: name of a task, or path of a Python file that defines ``model``.
        seed: of model and data; torch's global generators are restored afterwards.

    Raises:
        UnknownNameError: no task has this name.
        TaskError: the file does not exist, raises, or defines no model.

    Example:
        >>> loaded = load_model("mnist1d")
        >>> type(loaded.model).__name__, tuple(loaded.example_inputs.shape)
        ('NoisyMLP', (32, 40))
    """
    check_is_no_saved_model(source)
    if isinstance(source, str) and registry.is_registered(source):
        return _from_task(registry.resolve(source), seed)
    if not task_file.is_file(source):
        registry.resolve(source)  # raises, and suggests similar names
    file = Path(source).expanduser()
    namespace = task_file.run_file(file)
    with isolated(seed):
        model = _model(namespace, file, seed)
        metric = namespace.get("metric")
        return LoadedModel(
            name=file.stem,
            model=model,
            example_inputs=_example_inputs(namespace, model, file, seed),
            targets=_targets(namespace, file, seed),
            metric=metric if callable(metric) else None,
            names=namespace,
        )


def load_function(source: str, loaded: LoadedModel, model_file: str | Path) -> Callable[..., Any]:
    """Return a function of a Python file.

    Args:
        source: ``file.py:function``.
        loaded: a model; where the function is in its file, it is the one beside this very model.
        model_file: of the model.

    Raises:
        TaskError: the file does not exist, raises, or defines no such function.

    Example:
        >>> load_function("nowhere.py:engine", LoadedModel(name="net", model=nn.ReLU(), example_inputs=None), "net.py")
        Traceback (most recent call last):
        actlab.errors.TaskError: There is no file nowhere.py. ...
    """
    path, _, name = source.rpartition(":")
    file = Path(path).expanduser()
    is_same = loaded.names and file.exists() and file.resolve() == Path(model_file).expanduser().resolve()
    names = loaded.names if is_same else task_file.run_file(file)
    function = names.get(name)
    if not callable(function):
        near = did_you_mean(
            name, [each for each, value in names.items() if callable(value) and not each.startswith("_")]
        )
        raise TaskError(
            f"{file} defines no function {name!r}, which takes the model's inputs and returns its outputs.{near}"
        )
    called: Callable[..., Any] = function
    return called


def _from_task(task: Task, seed: int) -> LoadedModel:
    with isolated(seed):
        model = task.model(seed)
        return LoadedModel(name=task.name, model=model, example_inputs=_inputs(load_data(task, seed), model, task.step))


def _inputs(data: Data, model: nn.Module, step: Callable[[nn.Module, Any], Any] | None) -> Any:
    """Return the model's inputs of the first training examples; those with which a step calls it, or None where it does not."""
    split = data.train
    batch = split.first(BATCH) if isinstance(split, Split) else mapped(split.first(), lambda leaf: leaf)
    if step is not None:
        return inputs_of_call(model, lambda: step(model, batch))
    return batch[0] if isinstance(split, Split) else parts_of(batch, split.of).inputs


def _model(namespace: Mapping[str, Any], file: Path, seed: int) -> nn.Module:
    if "model" not in namespace:
        near = did_you_mean("model", [name for name in namespace if not name.startswith("_")])
        raise TaskError(
            f"{file} does not define model: an nn.Module, or a function model() or model(seed) that returns one.{near}"
        )
    model = _evaluated(namespace["model"], f"model in {file}", seed)
    if not isinstance(model, nn.Module):
        raise TaskError(f"model in {file} gives a {type(model).__name__}; it must give a torch.nn.Module.")
    return model


def _example_inputs(namespace: Mapping[str, Any], model: nn.Module, file: Path, seed: int) -> Any:
    if "example_inputs" in namespace:
        inputs = _evaluated(namespace["example_inputs"], f"example_inputs in {file}", seed)
        if not isinstance(inputs, (Tensor, tuple, Mapping)):
            raise TaskError(
                f"example_inputs in {file} gives a {type(inputs).__name__}; allowed are a tensor, a tuple of positional arguments, "
                "a dict of keyword arguments, and a function that returns one of these."
            )
        return inputs
    if "data" not in namespace:
        return None
    data = as_data(_evaluated(namespace["data"], f"data in {file}", seed), of=str(file), seed=seed)
    step = namespace.get("step")
    return _inputs(data, model, step if callable(step) else None)


def _targets(namespace: Mapping[str, Any], file: Path, seed: int) -> Any:
    """Return the targets of the example inputs: those of the file, or of its data where the inputs are taken from there."""
    if "targets" in namespace or "example_inputs" in namespace or "data" not in namespace:
        return _evaluated(namespace.get("targets"), f"targets in {file}", seed)
    data = as_data(_evaluated(namespace["data"], f"data in {file}", seed), of=str(file), seed=seed)
    batch = data.train.first(BATCH) if isinstance(data.train, Split) and "step" not in namespace else ()
    return batch[1] if len(batch) == 2 else None


def _evaluated(value: Any, what: str, seed: int) -> Any:
    """Return the result of a function; a module, a tensor or another value is returned unchanged."""
    if isinstance(value, (nn.Module, Tensor)) or not callable(value):
        return value
    return call_with_seed(value, what, seed)
