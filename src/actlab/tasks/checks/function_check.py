"""Validate a training function before any trial by signature and model, without running it."""

from __future__ import annotations

from torch import nn

from actlab.errors import PlanError, TaskError
from actlab.nn.sites.dry_run import Inputs
from actlab.tasks.checks.check import check_settings, warn_of_unread_constants
from actlab.tasks.checks.repeatability import check_outputs_repeat, check_weights_repeat
from actlab.tasks.isolation import isolated, one_thread
from actlab.tasks.task import Task
from actlab.tasks.training_function.arguments import bound_arguments, takes
from actlab.tasks.training_function.function_file import FUNCTION_SETTINGS
from actlab.tasks.training_function.model_inputs import model_inputs
from actlab.tasks.training_function.user_functions import names_read
from actlab.tasks.user_code import user_code

__all__ = ["check_function", "check_takes_rate"]


def check_function(task: Task, *, seed: int = 0) -> Inputs | None:
    """Validate a task with a training function, and return inputs of its model, where it has them.

    The model is built twice, and must be the same: differences between arms are paired by seed. Where there are inputs, it is run on them.
    What the training returns is only known from the first trial.

    Args:
        task: whose ``door`` is "function".
        seed: of model and inputs.

    Raises:
        TaskError: the task cannot be trained; the message says what to change.

    Example:
        >>> def train(model, seed): return {"accuracy": 0.5}
        >>> from actlab.tasks.training_function.function_task import function_task
        >>> check_function(function_task(train, model=lambda seed: nn.Linear(2, 2))) is None
        True
    """
    if not callable(task.train):
        raise TaskError(
            f"train of the task {task.name} must be a function, got {type(task.train).__name__}: {task.train!r}."
        )
    check_settings(task)
    warn_of_unread_constants(task, FUNCTION_SETTINGS)
    bound_arguments(task.train, dict.fromkeys(("model", "seed", "trial")), of=f"train of the task {task.name}")
    with one_thread(), isolated(seed):
        with user_code(f"model({seed}) of the task {task.name}"):
            model = task.model(seed)
        if not isinstance(model, nn.Module):
            raise TaskError(
                f"model(seed) of the task {task.name} returned a {type(model).__name__}; a torch.nn.Module is needed."
            )
        del model  # one that is large need not be in memory three times
        models = check_weights_repeat(task, seed)
        inputs = model_inputs(task, seed)
        if inputs is not None:
            check_outputs_repeat(task, models, inputs, seed)
    return inputs


def check_takes_rate(task: Task) -> None:
    """Check that a training function takes its learning rate from the trial, and can do without the test split, so that rates can be tried.

    Raises:
        PlanError: nothing in its code reads them.
    """
    read = names_read(task.train) if task.train is not None else None
    if read is None:
        return
    if task.train is None or not takes(task.train, "trial") or "lr" not in read:
        raise PlanError(
            f"tune='lr' needs a training function that takes its learning rate from the trial, and train of {task.name} does not read "
            "trial.lr. Write train(model, seed, trial), and give trial.lr to the optimizer; or omit tune."
        )
    if not read & {"stage", "report"}:
        raise PlanError(
            f"tune='lr' needs results that are not from the test split: where trial.stage is not 'main', train of {task.name} must return "
            f"{task.metric_name} on a validation split, or report it while it trains. It reads neither trial.stage nor trial.report."
        )
