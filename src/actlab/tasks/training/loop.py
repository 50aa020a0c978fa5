"""Training loop of a task."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from torch import Tensor, nn

from actlab.tasks.data import Split
from actlab.tasks.loading.loader import Loader
from actlab.tasks.task import Task
from actlab.tasks.training.batches import epochs, step_count
from actlab.tasks.training.checkpoint import Checkpoint, generator_states, restore_generators
from actlab.tasks.training.evaluation import as_number, loss_function
from actlab.tasks.training.held_out import HeldOut
from actlab.tasks.training.optimization import Optimization
from actlab.tasks.training.placement import placed
from actlab.tasks.training.precision import Precision, compiled
from actlab.tasks.training.recorder import Recorder
from actlab.tasks.training.weights import AveragedWeights, BestWeights

__all__ = ["DivergedError", "TrainingSettings", "UnusableCheckpointError", "finite", "train"]


class DivergedError(Exception):
    """Ends a training whose loss or metric is not finite."""


class UnusableCheckpointError(Exception):
    """A checkpoint does not fit the model or its optimizer, which are no longer in their first state; the file is removed."""


def finite(value: Any, what: str) -> float:
    """Return a value as a finite number.

    Raises:
        DivergedError: it is not finite.
    """
    number = as_number(value, what)
    if not math.isfinite(number):
        raise DivergedError(f"the {what} is {number}")
    return number


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """What tells one training of a task from another.

    Attributes:
        lr: learning rate.
        decay_learned: whether weight decay acts on the learned numbers of activations.
        limit: steps after which the training ends, whatever the task's; a scheduler is still given the task's number.
        device: on which the model is, and to which batches are moved.
        checkpoint: in which the training stores its state, and from which it goes on; None for none.
    """

    lr: float
    decay_learned: bool = True
    limit: int | None = None
    device: str = "cpu"
    checkpoint: Checkpoint | None = None


def train(
    task: Task,
    model: nn.Module,
    split: Split | Loader,
    seed: int,
    *,
    settings: TrainingSettings,
    recorder: Recorder,
    held_out: HeldOut | None = None,
    look: Callable[[int], None] | None = None,
) -> None:
    """Train a model, and append the loss of every step to the recorder. Most of a study's time is spent in this loop.

    A step is one of the optimizer. Where a task averages its weights or ends early, the model has the averaged or the best ones at the end.

    Args:
        task: gives loss, optimizer, number of steps and what else belongs to the training.
        model: in training mode; trained in place.
        split: the training split.
        seed: of the order of the batches.
        settings: of this training.
        recorder: of the losses.
        held_out: evaluations on the validation split during the training, or None; without them no training ends early.
        look: called with the number of steps so far before each step.

    Raises:
        DivergedError: a loss is not finite.
        UnusableCheckpointError: build the model again, and train it again.
    """
    _Training(task, model, split, seed, settings=settings, recorder=recorder, held_out=held_out).run(look)


class _Training:
    """One training; its state is what a checkpoint holds."""

    def __init__(
        self,
        task: Task,
        model: nn.Module,
        split: Split | Loader,
        seed: int,
        *,
        settings: TrainingSettings,
        recorder: Recorder,
        held_out: HeldOut | None,
    ) -> None:
        self._task, self._model, self._split, self._seed = task, model, split, seed
        self._settings, self._recorder, self._held_out = settings, recorder, held_out
        self._total = step_count(task, split)
        self._precision = Precision(task.precision, settings.device)
        self._optimization = Optimization(
            task,
            model,
            settings.lr,
            total=self._total,
            precision=self._precision,
            decay_learned=settings.decay_learned,
        )
        self._average = None if task.ema is None else AveragedWeights(task.ema)
        self._best = None if task.patience is None else BestWeights(task.patience, task.direction)
        self._epoch, self._epoch_began = 0, 0  # the epoch that is read, and the steps before it

    def run(self, look: Callable[[int], None] | None) -> None:
        """Train until the last step, or the end that early stopping finds."""
        settings, losses, held_out = self._settings, self._recorder.losses, self._held_out
        loss_of, backward, step = self._loss_function(), self._optimization.backward, self._optimization.step
        average, checkpoint, precision = self._average, settings.checkpoint, self._precision
        self._recorder.start()
        state = None if checkpoint is None else checkpoint.load()
        if state is not None:
            self._restore(state)
        next_evaluation = 0 if held_out is None else held_out.next
        limit = min(self._total, settings.limit or self._total)
        for group in islice(self._groups(state), max(0, limit - len(losses))):
            if look is not None:
                look(len(losses))
            values = []
            for batch in group:
                loss = loss_of(batch)
                value = loss.item()
                if not math.isfinite(value):
                    raise DivergedError(f"the loss is {value} at step {len(losses) + 1}")
                values.append(value)
                backward(loss if len(group) == 1 else loss / len(group))
            losses.append(values[0] if len(values) == 1 else math.fsum(values) / len(values))
            step()
            if precision.scaler is not None and (overflow := precision.overflow()):
                raise DivergedError(f"{overflow} at step {len(losses)}")
            if average is not None:
                average.update(self._model)
            if held_out is not None and len(losses) == next_evaluation:
                if self._evaluate(held_out):
                    break
                next_evaluation = held_out.next
            if checkpoint is not None and checkpoint.due:
                checkpoint.save(self._state())
        self._recorder.tick(len(losses))
        self._put_final_weights()

    def _loss_function(self) -> Callable[[Any], Tensor]:
        """Return the loss of a batch."""
        task, settings, precision = self._task, self._settings, self._precision
        # of batches of tensors, only the last one of an epoch has another shape
        dynamic = False if isinstance(self._split, Split) else None
        forward = compiled(self._model, dynamic=dynamic) if task.compile else self._model
        loss_of = loss_function(task, self._split)

        plain = partial(loss_of, forward)  # no call more than needed: it is part of every step

        def elsewhere(batch: Any) -> Tensor:
            with precision.forward():
                return plain(placed(batch, settings.device))

        return plain if settings.device == "cpu" and task.precision is None else elsewhere

    def _groups(self, state: dict[str, Any] | None) -> Iterator[tuple[Any, ...]]:
        """Yield the batches of each step of the optimizer, from the position of a checkpoint on.

        The last step of an epoch has the batches that are left.
        """
        size, losses = self._task.accumulate, self._recorder.losses
        begin = (0, 0) if state is None else (state["epoch"], len(losses) - state["epoch_began"])
        for epoch, batches in enumerate(epochs(self._task, self._split, self._seed)):
            if epoch < begin[0]:
                continue
            groups = zip(batches, strict=True) if size == 1 else iter(partial(_next_group, batches, size), ())
            if state is not None and epoch == begin[0]:
                next(islice(groups, begin[1], begin[1]), None)  # read them again, and go on behind them
                restore_generators(state["generators"], self._settings.device)
                self._epoch_began = state["epoch_began"]
            else:
                self._epoch_began = len(losses)
            self._epoch = epoch
            yield from groups

    def _evaluate(self, held_out: HeldOut) -> bool:
        """Evaluate the model, with its averaged weights if there are some; return whether the training is to end."""
        step = len(self._recorder.losses)
        with nullcontext() if self._average is None else self._average.in_place(self._model):
            value = held_out.evaluate(self._model, step)
            ends = self._best is not None and self._best.observe(self._model, value)
        self._optimization.observe(value)
        return ends

    def _put_final_weights(self) -> None:
        if self._best is not None and self._held_out is not None:
            self._best.put(self._model)
        elif self._average is not None:
            self._average.put(self._model)

    def _state(self) -> dict[str, Any]:
        """Return all from which the training goes on as if it had not been interrupted."""
        model = self._model
        kept = set(model.state_dict(keep_vars=True))
        return {
            "epoch": self._epoch,
            "epoch_began": self._epoch_began,
            "model": model.state_dict(),
            "other_buffers": {name: value for name, value in model.named_buffers() if name not in kept},
            "optimization": self._optimization.state(),
            "average": None if self._average is None else self._average.state(),
            "best": None if self._best is None else self._best.state(),
            "held_out": None if self._held_out is None else self._held_out.state(),
            "recorder": self._recorder.state(),
            "generators": generator_states(self._settings.device),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        """Put everything but the generators into the state of a checkpoint; they follow once the batches before it were read again."""
        model, recorder, generators = self._model, self._recorder, generator_states(self._settings.device)
        try:
            state |= {name: int(state[name]) for name in ("epoch", "epoch_began")}
            restore_generators(
                state["generators"], self._settings.device
            )  # a trial of them, while the training can begin anew
            model.load_state_dict(state["model"])
            buffers = dict(model.named_buffers())
            for name, value in state["other_buffers"].items():
                buffers[name].copy_(value)
            self._optimization.restore(state["optimization"])
            if self._average is not None:
                self._average.restore(state["average"], model)
            if self._best is not None:
                self._best.restore(state["best"], model)
            if self._held_out is not None:
                self._held_out.restore(state["held_out"])
            recorder.restore(state["recorder"])
        except Exception as error:
            if self._settings.checkpoint is not None:
                self._settings.checkpoint.discard(error)
            raise UnusableCheckpointError from error
        finally:
            restore_generators(generators, self._settings.device)


def _next_group(batches: Iterator[Any], size: int) -> tuple[Any, ...]:
    return tuple(islice(batches, size))
