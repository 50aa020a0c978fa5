"""Training of a stack of models, as each of them would be trained alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from actlab.nn.training.parameter_groups import exempt_learned_numbers_
from actlab.studies.stacked.model_stack import ModelStack
from actlab.studies.stacked.random_draws import RandomDraws
from actlab.studies.stacked.stacked_batches import stacked_batches
from actlab.studies.stacked.stacked_optimizer import StackedOptimizer
from actlab.studies.stacked.stacked_tensor import StackedTensor, StackError
from actlab.tasks.data import Data, Split
from actlab.tasks.task import Task
from actlab.tasks.training.batches import step_count
from actlab.tasks.training.optimization import make_optimizer, make_scheduler

__all__ = ["StackTraining", "StackedTrial"]

_ROWS = (
    128  # examples per forward pass in evaluation: of all models they are as many numbers as a processor's cache holds
)
_ROWS_OF_TRIAL = 1024  # the same for a single model; where the model draws random numbers, they come in such portions


_LOOKED_AT = 2  # steps in which every call is looked at for random numbers


@dataclass(frozen=True, kw_only=True, eq=False)
class StackedTrial:
    """One of the trials of a stack.

    Attributes:
        arm: label of its arm.
        seed: of the trial.
        lr: its learning rate.
        model: untrained, in training mode.
        data: of the seed; one object for all trials of a seed.
    """

    arm: str
    seed: int
    lr: float
    model: nn.Module
    data: Data


@dataclass(kw_only=True, eq=False)
class StackTraining:
    """Training of several trials at once.

    Args:
        task: of the trials; :func:`actlab.studies.stackable.obstacle` has none.
        trials: those of one arm are adjacent.
        decay_learned: whether weight decay acts on the learned numbers of activations.

    Raises:
        StackError: the models cannot be stacked.
    """

    task: Task
    trials: Sequence[StackedTrial]
    decay_learned: bool = True
    stack: ModelStack = field(init=False)
    draws: RandomDraws = field(init=False)
    losses: list[Tensor] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._generator = torch.default_generator.get_state()
        own = [self._own_optimizer(trial) for trial in self.trials]
        self.stack = ModelStack([trial.model for trial in self.trials], [trial.arm for trial in self.trials])
        self._optimizer = StackedOptimizer(own, self.stack.parameters)
        self._scheduler = self._own_scheduler()
        self.draws = RandomDraws([trial.seed for trial in self.trials])
        seeds = list(dict.fromkeys(trial.seed for trial in self.trials))
        self._data = [next(trial.data for trial in self.trials if trial.seed == seed) for seed in seeds]
        self._seeds = seeds
        if len({len(data.train) for data in self._data}) > 1:  # type: ignore[arg-type] # a Split, as the data have no obstacle
            raise StackError("the seeds have other numbers of examples")
        self._of_model = torch.tensor([seeds.index(trial.seed) for trial in self.trials])

    def _own_optimizer(self, trial: StackedTrial) -> torch.optim.Optimizer:
        optimizer = make_optimizer(self.task, trial.model, trial.lr)
        if not self.decay_learned:
            exempt_learned_numbers_(optimizer, trial.model)
        return optimizer

    def _own_scheduler(self) -> Any:
        scheduler = make_scheduler(
            self.task, self._optimizer.optimizer, step_count(self.task, self.trials[0].data.train)
        )
        if isinstance(scheduler, ReduceLROnPlateau):
            raise StackError("its scheduler follows the results of one model")
        return scheduler

    def run(self, steps: int | None = None, after_step: Callable[[int], None] | None = None) -> None:
        """Train, and append the losses of every step, shape (models,), to :attr:`losses`.

        A model whose loss is not finite trains on, which no other is touched by.

        Args:
            steps: largest number of steps; that of the task by default.
            after_step: called with the number of each step.

        Raises:
            StackError: the batches of the seeds differ in shape, or the loss is not one number per model.
        """
        most = self.task.steps if steps is None else steps
        splits = [data.train for data in self._data]
        batches = stacked_batches(self.task, splits, self._seeds, self._of_model)  # type: ignore[arg-type] # Splits, as the data have no obstacle
        with torch.enable_grad():
            for step, (x, y) in enumerate(islice(batches, most), 1):
                self._step(x, y)
                if after_step is not None:
                    after_step(step)
        self._check_generator()

    def _check_generator(self) -> None:
        """Raise if random numbers were drawn for all models at once: where the first steps draw none, no later ones are looked for."""
        if not torch.equal(self._generator, torch.default_generator.get_state()):
            raise StackError("random numbers are drawn that cannot be told apart by model")

    def _drawing(self) -> AbstractContextManager[Any]:
        """Return the mode that draws random numbers; looking at every call costs a tenth of a step of a small net."""
        return self.draws if self.draws.count or len(self.losses) < _LOOKED_AT else nullcontext()

    def _step(self, x: StackedTensor, y: StackedTensor) -> None:
        with self._drawing():
            loss = self.task.loss(self.stack.module(x), y)
        if not isinstance(loss, StackedTensor) or loss.stacked.dim() != 1:
            raise StackError("the loss is not one number for each model")
        self.losses.append(loss.stacked.detach())
        loss.stacked.backward(torch.ones_like(loss.stacked))  # type: ignore[no-untyped-call] # torch has no annotation for it
        self._optimizer.step()
        if self._scheduler is not None:
            self._scheduler.step()
        self.stack.take_buffers()

    def _together(self, of_seeds: list[Tensor]) -> StackedTensor:
        """Return a stacked tensor with the batch of its seed for each model."""
        if any(batch.shape != of_seeds[0].shape for batch in of_seeds):
            raise StackError("the seeds have batches of different shapes")
        return StackedTensor(torch.stack(of_seeds).index_select(0, self._of_model))

    @torch.no_grad()
    def outputs(self, split_of: Callable[[Data], Split]) -> Tensor:
        """Return the outputs of all models on a split of their data, shape (models, n, ...), in evaluation mode.

        Neither the buffers nor what is drawn afterwards are changed.
        """
        inputs = [split_of(data).x for data in self._data]
        buffers, module = self.stack.saved_buffers(), self.stack.module.eval()
        try:
            with self.draws.kept():
                before = self.draws.count
                results = self._in_portions(module, inputs, _ROWS)
                is_random = self.draws.count > before
            if is_random:
                with self.draws.kept():
                    results = self._in_portions(module, inputs, _ROWS_OF_TRIAL)
        finally:
            module.train()
            self.stack.restore_buffers(buffers)
        return results

    def _in_portions(self, module: nn.Module, inputs: list[Tensor], rows: int) -> Tensor:
        results = []
        with self.draws:
            for start in range(0, len(inputs[0]), rows):
                output = module(self._together([x[start : start + rows] for x in inputs]))
                if not isinstance(output, StackedTensor):
                    raise StackError("the output is not one tensor for each model")
                results.append(output.stacked)
        return torch.cat(results, 1)

    def first_not_finite(self) -> list[int]:
        """Return for each model the number of the first step whose loss is not finite; one above the number of steps if there is none."""
        if not self.losses:
            return [1] * len(self.trials)
        bad = ~torch.stack(self.losses).isfinite()
        first = torch.where(bad.any(0), bad.int().argmax(0), torch.tensor(len(self.losses)))
        return [int(step) + 1 for step in first]

    def losses_of(self, model: int, end: int) -> list[float]:
        """Return the losses of a model before a step."""
        return [float(loss) for loss in torch.stack(self.losses)[: end - 1, model].tolist()] if end > 1 else []
