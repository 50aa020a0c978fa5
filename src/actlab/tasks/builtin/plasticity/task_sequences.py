"""Sequences of tasks on Fashion-MNIST, with pixels permuted or labels drawn anew for each.

The settings are those of arXiv:2308.11958 (appendix A) and arXiv:2509.22562, shortened: a 784-100-100-10 net with Adam and batches of 16
goes from task to task with its weights and the state of its optimizer. The accuracy is that on each batch before the net learns from it,
so that it shows how fast the net learns; a net that loses its plasticity learns later tasks more slowly than earlier ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from actlab.tasks.builtin import fashion_mnist
from actlab.tasks.builtin.hidden_units import hidden_units
from actlab.tasks.data import tensors_of
from actlab.tasks.task import Task
from actlab.tasks.training.data_cache import cached_data
from actlab.tasks.training.handle import TrialHandle

__all__ = ["Sequence", "permuted_pixels_task", "random_labels_task", "train"]

_BATCH = 16
_COUNTED = 1_000  # images on which the units are counted


@dataclass(frozen=True, kw_only=True)
class Sequence:
    """Tasks, one after the other.

    Attributes:
        changed: what is another one in each task: the order of the "pixels", or all "labels", which are drawn.
        tasks: number of tasks.
        images: of each task.
        epochs: passes over them.
        judged: number of tasks at either end that are compared.
    """

    changed: Literal["pixels", "labels"] = "pixels"
    tasks: int = 10
    images: int = 10_000
    epochs: int = 1
    judged: int = 3


def _model(seed: int) -> nn.Sequential:  # noqa: ARG001 # the generator is seeded before the call
    return nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 10))


class _Tasks:
    """The examples of one task after the other, the same for every arm of a seed."""

    def __init__(self, x: Tensor, y: Tensor, seed: int, sequence: Sequence) -> None:
        self._x, self._y, self._sequence = x, y, sequence
        self._generator = torch.Generator().manual_seed(seed)
        self._same = torch.randperm(len(x), generator=self._generator)[: sequence.images]

    def next(self) -> tuple[Tensor, Tensor]:
        """Return inputs (images, 784) and labels (images,) of the next task."""
        if self._sequence.changed == "labels":
            labels = torch.randint(10, (len(self._same),), generator=self._generator)
            return self._x[self._same], labels
        rows = torch.randperm(len(self._x), generator=self._generator)[: self._sequence.images]
        order = torch.randperm(self._x.shape[1], generator=self._generator)
        return self._x[rows][:, order], self._y[rows]

    def batches(self, x: Tensor, y: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return a pass in a new order."""
        rows = torch.split(torch.randperm(len(x), generator=self._generator), _BATCH)
        return [(x[part], y[part]) for part in rows]


def train(model: nn.Sequential, seed: int, trial: TrialHandle, sequence: Sequence = Sequence()) -> dict[str, float]:
    """Train a net on one task after the other, and return its accuracies while it learns.

    Args:
        model: chain of layers from 784 inputs to 10 logits.
        seed: of images, orders and labels.
        trial: handle of the trial.
        sequence: the tasks.

    Returns:
        By name: the mean accuracy over all batches, each before the net learns from it (``online accuracy``); the same in the last and in
        the first tasks, and their difference (``last tasks``, ``first tasks``, ``change``); the shares of dead, stuck and dormant units on
        images of the last task, and those of the new net on images of the first one (``initial ...``).
    """
    data = tensors_of(cached_data(_FASHION, seed).train, "Fashion-MNIST")
    tasks = _Tasks(data.x.flatten(1), data.y, seed, sequence)
    optimizer = torch.optim.Adam(model.parameters(), lr=trial.lr, fused=True)
    accuracies, step, before = list[float](), 0, dict[str, float]()
    x = data.x[:0].flatten(1)
    for _ in range(max(2, round(sequence.tasks * trial.steps_share))):
        x, y = tasks.next()
        before = before or _states(model, x)
        hits, losses = 0, list[float]()
        for _ in range(sequence.epochs):
            for inputs, labels in tasks.batches(x, y):
                loss, right = _step(model, optimizer, inputs, labels)
                hits, step = hits + right, step + 1
                losses.append(loss)
        accuracies.append(hits / (len(x) * sequence.epochs))
        trial.report(
            step=step, loss=sum(losses) / len(losses), **{"online accuracy": sum(accuracies) / len(accuracies)}
        )
    first, last = (sum(part) / len(part) for part in (accuracies[: sequence.judged], accuracies[-sequence.judged :]))
    return {
        "online accuracy": sum(accuracies) / len(accuracies),
        "last tasks": last,
        "first tasks": first,
        "change": last - first,
        **_states(model, x),
        **{f"initial {name}": share for name, share in before.items()},
    }


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> tuple[float, int]:
    """Learn from a batch, and return the loss and the number of right answers before it."""
    logits = model(x)
    loss = functional.cross_entropy(logits, y)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call] # torch has no annotation for it
    optimizer.step()
    return float(loss.detach()), int((logits.argmax(1) == y).sum())


def _states(model: nn.Sequential, x: Tensor) -> dict[str, float]:
    found = hidden_units(model, x[:_COUNTED])
    return {name: found[name] for name in ("dead", "stuck", "dormant")}


_FASHION = fashion_mnist.lenet_task()


def _task(name: str, sequence: Sequence, what: str) -> Task:
    return Task(
        name=name,
        model=_model,
        train=partial(train, sequence=sequence),
        example_inputs=lambda seed: torch.zeros(2, 784),  # noqa: ARG005
        metric_name="online accuracy",
        direction="max",
        learning_rate=1e-3,
        rope=0.005,
        description=f"Fashion-MNIST (MIT licence), {what}, MLP 784-100-100-10 by Adam; accuracy while it learns",
        source=f"{name}, protocol 1",
    )


def permuted_pixels_task() -> Task:
    """Return ten tasks of 10,000 images, seen once, each with another order of the pixels.

    Example:
        >>> permuted_pixels_task().door
        'function'
    """
    return _task("fashion-mnist:permuted", Sequence(), "ten tasks with another order of the pixels each")


def random_labels_task() -> Task:
    """Return twenty tasks of the same 400 images, seen 30 times in each, with newly drawn labels.

    Example:
        >>> random_labels_task().learning_rate
        0.001
    """
    sequence = Sequence(changed="labels", tasks=20, images=400, epochs=30, judged=5)
    return _task("fashion-mnist:random-labels", sequence, "twenty tasks with newly drawn labels each")
