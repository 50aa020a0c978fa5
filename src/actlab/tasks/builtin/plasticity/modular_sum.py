"""Modular addition, learned from a share of all pairs, with the steps until the net generalises.

The net memorises its pairs within some hundred steps, and generalises much later, if at all (grokking, arXiv:2201.02177). A short version
of arXiv:2603.25009, which has p = 97 and up to 400,000 steps: a smaller p, two layers, AdamW, a cap on the steps. A net that has not
generalised at the cap counts with the cap: its steps are censored, and a mean without it would favour functions that often fail.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from actlab.errors import TaskError
from actlab.tasks.task import Task
from actlab.tasks.training.handle import TrialHandle

__all__ = ["ModularSum", "modular_sum_task", "pairs", "train"]


@dataclass(frozen=True, kw_only=True)
class ModularSum:
    """Problem and training.

    Attributes:
        modulus: p of (a + b) mod p.
        share: of the pairs from which the net learns.
        width: of the hidden layers.
        decay: weight decay.
        cap: largest number of steps.
        every: steps between two evaluations.
        threshold: accuracy from which a net has memorised, and has generalised.
    """

    modulus: int = 31
    share: float = 0.7
    width: int = 128
    decay: float = 1.0
    cap: int = 6_000
    every: int = 25
    threshold: float = 0.95

    def model(self, seed: int) -> nn.Sequential:  # noqa: ARG002 # the generator is seeded before the call
        """Return a new net with two hidden layers."""
        p, width = self.modulus, self.width
        return nn.Sequential(
            nn.Linear(2 * p, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, p)
        )

    def inputs(self, seed: int) -> Tensor:
        """Return the pairs from which the net learns."""
        return pairs(self, seed)[0]


def pairs(problem: ModularSum, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return inputs (n, 2p), two hot numbers each, and sums (n,) of the training pairs, then of all others.

    Example:
        >>> x, y, unseen, _ = pairs(ModularSum(modulus=5), 0)
        >>> len(x), len(unseen), x.sum(1).unique().tolist(), y.dtype
        (17, 8, [2.0], torch.int64)
    """
    p = problem.modulus
    number = torch.arange(p * p)
    a, b = number // p, number % p
    x = torch.cat((functional.one_hot(a, p), functional.one_hot(b, p)), 1).float()
    order = torch.randperm(p * p, generator=torch.Generator().manual_seed(seed))
    learned, unseen = order[: int(problem.share * p * p)], order[int(problem.share * p * p) :]
    sums = (a + b) % p
    return x[learned], sums[learned], x[unseen], sums[unseen]


def train(model: nn.Module, seed: int, trial: TrialHandle, problem: ModularSum = ModularSum()) -> dict[str, float]:
    """Train a net on the whole of its pairs at each step, until it generalises or the cap is reached.

    Args:
        model: from 2p inputs to p logits.
        seed: of the pairs.
        trial: handle of the trial.
        problem: its settings.

    Returns:
        By name: ``steps`` until the accuracy on unseen pairs reaches the threshold, ``memorised`` until that on the training pairs does,
        and ``delay`` between the two, all at most the cap; ``generalised``, 1 or 0; and the accuracy on unseen pairs at the end.

    Example:
        >>> found = train(ModularSum(modulus=5).model(0), 0, TrialHandle(lr=1e-3), ModularSum(modulus=5, cap=50))
        >>> found["steps"], found["generalised"]
        (50.0, 0.0)
    """
    x, y, unseen, sums = pairs(problem, seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=trial.lr, weight_decay=problem.decay, fused=True)
    cap = max(problem.every, round(problem.cap * trial.steps_share))
    memorised, reached, step, known = cap, 0.0, 0, False
    while step < cap and reached < problem.threshold:
        step += 1
        logits = model(x)
        loss = functional.cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch has no annotation for it
        optimizer.step()
        if step % problem.every == 0:
            if not known and _share(logits, y) >= problem.threshold:
                memorised, known = step, True
            with torch.no_grad():
                reached = _share(model(unseen), sums)
            trial.report(step=step, loss=loss.detach(), accuracy=reached)
    has_generalised = reached >= problem.threshold
    steps = step if has_generalised else cap
    return {
        "steps": float(steps),
        "memorised": float(memorised),
        "delay": float(max(0, steps - memorised) if has_generalised else cap),
        "generalised": float(has_generalised),
        "accuracy": reached,
    }


def _share(logits: Tensor, sums: Tensor) -> float:
    return float((logits.argmax(1) == sums).double().mean())


def modular_sum_task(decay: float = 1) -> Task:
    """Return the task with p = 31, 70 % of the pairs, two hidden layers of 128 and AdamW at 0.003.

    Args:
        decay: weight decay, from 0 to 10, on which it depends whether a net generalises before the cap.

    Raises:
        TaskError: the number is no such one.

    Example:
        >>> modular_sum_task(0.3).name, modular_sum_task().direction
        ('modular-sum:decay-0.3', 'min')
    """
    if not 0 <= decay <= 10:
        raise TaskError(
            f"The number of modular-sum:decay-{decay:g} is the weight decay, from 0 to 10; try modular-sum:decay-1."
        )
    problem = ModularSum(decay=float(decay))
    return Task(
        name=f"modular-sum:decay-{decay:g}",
        model=problem.model,
        train=partial(train, problem=problem),
        example_inputs=problem.inputs,
        metric_name="steps",
        direction="min",
        learning_rate=3e-3,
        rope=100.0,
        description=f"Sums modulo 31 from 70 % of all pairs, weight decay {decay:g}: steps until it generalises, at most {problem.cap}",
        source=f"modular-sum:decay-{decay:g}, protocol 1",
    )
