"""Optimizer, scheduler and gradient clipping of a training, as the task gives them."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from actlab.errors import TaskError
from actlab.nn.training.parameter_groups import exempt_learned_numbers_
from actlab.tasks.task import Task
from actlab.tasks.training.precision import Precision

__all__ = ["Optimization", "make_optimizer", "make_scheduler", "takes_model"]


def takes_model(optimizer: Callable[..., Any]) -> bool:
    """Return whether a function that makes optimizers is called with the model: its first parameter is named ``model``.

    Example:
        >>> takes_model(lambda model, lr: None), takes_model(torch.optim.AdamW)
        (True, False)
    """
    try:
        names = list(inspect.signature(optimizer).parameters)
    except (TypeError, ValueError):  # of a function in C
        return False
    return names[:1] == ["model"]


def make_optimizer(task: Task, model: nn.Module, lr: float) -> torch.optim.Optimizer:
    """Return the task's optimizer of a model: of ``optimizer(model, lr)``, or of ``optimizer(parameters, lr)``.

    Example:
        >>> from actlab.tasks import resolve
        >>> type(make_optimizer(resolve("digits"), nn.Linear(2, 2), 0.1)).__name__
        'Adam'
    """
    function: Callable[..., torch.optim.Optimizer] = task.optimizer
    return function(model if takes_model(function) else model.parameters(), lr)


def make_scheduler(task: Task, optimizer: torch.optim.Optimizer, total: int) -> Any:
    """Return the task's scheduler of the learning rate; None where the task has none.

    Args:
        task: gives ``scheduler(optimizer, total_steps)``.
        optimizer: of a training.
        total: steps of the optimizer in the training.

    Raises:
        TaskError: the function returned no scheduler, or one of a plateau for the other direction of the metric.
    """
    if task.scheduler is None:
        return None
    scheduler = task.scheduler(optimizer, total)
    if not callable(getattr(scheduler, "step", None)):
        raise TaskError(
            f"scheduler of the task {task.name} returned a {type(scheduler).__name__}; it must return a torch scheduler, such as "
            "torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=..., total_steps=total_steps). Is a `return` missing?"
        )
    if isinstance(scheduler, ReduceLROnPlateau) and scheduler.mode != task.direction:
        raise TaskError(
            f"scheduler of the task {task.name} returned a ReduceLROnPlateau(mode={scheduler.mode!r}); it is stepped with the metric on "
            f"the validation split, whose direction is {task.direction!r}. Write ReduceLROnPlateau(optimizer, mode={task.direction!r})."
        )
    return scheduler


@contextmanager
def _first_step_may_be_left_out() -> Iterator[None]:
    """Silence torch's warning of a scheduler that is stepped before the optimizer: the gradient scaler has left out the first step."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Detected call of `lr_scheduler\.step\(\)` before")
        yield


class Optimization:
    """Optimizer of a training with what goes with it: scheduler, gradient clipping and gradient scaler.

    The scheduler is stepped after every step of the optimizer; a :class:`torch.optim.lr_scheduler.ReduceLROnPlateau` after every evaluation
    on the validation split instead. A step that the gradient scaler leaves out, because a gradient overflowed, is a step for the scheduler.

    Args:
        task: gives optimizer, scheduler and largest norm of the gradient.
        model: the model, with its activations swapped.
        lr: learning rate.
        total: steps of the optimizer in the training.
        precision: of the training; has the gradient scaler.
        decay_learned: whether weight decay acts on the learned numbers of activations.

    Example:
        >>> from actlab.tasks import resolve
        >>> model = nn.Linear(1, 1)
        >>> optimization = Optimization(resolve("digits"), model, 0.1, total=1, precision=Precision(None), decay_learned=True)
        >>> optimization.backward(model(torch.ones(1, 1)).sum())
        >>> optimization.step()
    """

    def __init__(
        self, task: Task, model: nn.Module, lr: float, *, total: int, precision: Precision, decay_learned: bool
    ) -> None:
        self.optimizer = make_optimizer(task, model, lr)
        if not decay_learned:
            exempt_learned_numbers_(self.optimizer, model)
        scheduler = make_scheduler(task, self.optimizer, total)
        is_plateau = isinstance(scheduler, ReduceLROnPlateau)
        self._scheduler: Any = None if is_plateau else scheduler
        self._plateau: Any = scheduler if is_plateau else None
        self._scaler, self._clip_norm = precision.scaler, task.clip_norm
        self._parameters = list(model.parameters())
        is_plain = self._scheduler is None and self._scaler is None and self._clip_norm is None
        #: Steps the optimizer with the gradients so far, and clears them.
        self.step: Callable[[], None] = self._plain_step if is_plain else self._step

    def backward(self, loss: torch.Tensor) -> None:
        """Add the gradients of a loss to those so far."""
        scaled = loss if self._scaler is None else self._scaler.scale(loss)
        scaled.backward()  # type: ignore[no-untyped-call] # torch has no annotation for it

    def _plain_step(self) -> None:
        self.optimizer.step()
        self.optimizer.zero_grad()

    def _step(self) -> None:
        scaler = self._scaler
        if self._clip_norm is not None:
            if scaler is not None:
                scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self._parameters, self._clip_norm)
        if scaler is None:
            self.optimizer.step()
        else:
            scaler.step(self.optimizer)
            scaler.update()
        self.optimizer.zero_grad()
        if self._scheduler is not None:
            with nullcontext() if scaler is None else _first_step_may_be_left_out():
                self._scheduler.step()

    def observe(self, value: float | None) -> None:
        """Step a scheduler of a plateau with an evaluation on the validation split."""
        if self._plateau is not None and value is not None:
            self._plateau.step(value)

    def state(self) -> dict[str, Any]:
        """Return the states of optimizer, scheduler and gradient scaler, for a checkpoint."""
        parts = {"optimizer": self.optimizer, "scheduler": self._scheduler or self._plateau, "scaler": self._scaler}
        return {name: part.state_dict() for name, part in parts.items() if part is not None}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` returned."""
        scheduler = self._scheduler or self._plateau
        if scheduler is not None:
            scheduler.load_state_dict(state["scheduler"])
        if self._scaler is not None:
            self._scaler.load_state_dict(state["scaler"])
        self.optimizer.load_state_dict(state["optimizer"])  # last: some schedulers set rates when they are loaded
