"""Simulated cart-pole whose sensors and forces change from task to task, with an actor-critic.

The cart-pole is that of Barto, Sutton & Anderson (IEEE Transactions on Systems, Man, and Cybernetics 13, 1983), with the constants
and bounds of Gymnasium's CartPole-v1 and episodes of at most 200 steps. Every 100 updates a new task begins, with another order and other
signs of the four sensors, another direction of the force and another length of the pole; the net goes on with its weights. A net that
keeps its plasticity learns the last task as well as the first one. The metric is the mean length of the episodes in the second half of
the last tasks; 200 is perfect, and random actions reach about 22.

32 carts run in parallel; advantages over 16 steps (A2C, arXiv:1602.01783), Adam.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from actlab.tasks.task import Task
from actlab.tasks.training.handle import TrialHandle

__all__ = ["ActorCritic", "CartPoles", "Lessons", "cart_pole_task", "train"]

_GRAVITY, _CART, _POLE, _FORCE, _SECONDS = 9.8, 1.0, 0.1, 10.0, 0.02
_FARTHEST, _STEEPEST = 2.4, 12 * math.pi / 180
_SCALES = (1.5, 1.5, 0.15, 1.5)  # of position, speed, angle and its speed, so that the sensors are of the order of 1


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """Lengths of the training.

    Attributes:
        tasks: number of tasks, one after the other.
        updates: of the weights in each task.
        carts: that run in parallel.
        steps: of each cart for an update.
        judged: number of last tasks whose second halves are the result.
    """

    tasks: int = 12
    updates: int = 100
    carts: int = 32
    steps: int = 16
    judged: int = 6


class CartPoles:
    """Carts with poles that are pushed to one side or the other at each step; one that falls begins anew.

    Args:
        count: number of carts.
        generator: of the states in which episodes begin.
        longest: steps after which an episode ends.

    Attributes:
        state: position, speed, angle and its speed, shape (count, 4).
        length: half the length of the pole in metres.

    Example:
        >>> carts = CartPoles(2, torch.Generator().manual_seed(0))
        >>> ended, lengths = carts.push(torch.tensor([1.0, -1.0]))
        >>> ended.tolist(), bool(carts.state[0, 1] > 0 > carts.state[1, 1])
        ([False, False], True)
    """

    def __init__(self, count: int, generator: torch.Generator, *, longest: int = 200) -> None:
        self.generator, self.longest, self.length = generator, longest, 0.5
        self.state = self._begin(count)
        self._steps = torch.zeros(count, dtype=torch.int64)

    def _begin(self, count: int) -> Tensor:
        return 0.1 * torch.rand(count, 4, generator=self.generator) - 0.05

    def push(self, direction: Tensor) -> tuple[Tensor, Tensor]:
        """Push each cart, by +1 or -1, shape (count,), and return which episodes have ended and their lengths so far.

        Carts whose episode has ended are in a new one.
        """
        self.state = _moved(self.state, direction * _FORCE, self.length)
        self._steps += 1
        lengths = self._steps.clone()
        has_fallen = (self.state[:, 0].abs() > _FARTHEST) | (self.state[:, 2].abs() > _STEEPEST)
        ended = has_fallen | (lengths >= self.longest)
        if bool(ended.any()):
            self.state[ended] = self._begin(int(ended.sum()))
            self._steps[ended] = 0
        return ended, lengths


def _moved(state: Tensor, force: Tensor, length: float) -> Tensor:
    """Return the states after 0.02 seconds (Euler), as in Gymnasium."""
    place, speed, angle, turn = state.unbind(1)
    total, moment = _CART + _POLE, _POLE * length
    push = (force + moment * turn.square() * angle.sin()) / total
    turning = (_GRAVITY * angle.sin() - angle.cos() * push) / (length * (4 / 3 - _POLE * angle.cos().square() / total))
    speeding = push - moment * turning * angle.cos() / total
    return torch.stack(
        (place + _SECONDS * speed, speed + _SECONDS * speeding, angle + _SECONDS * turn, turn + _SECONDS * turning), 1
    )


@dataclass(frozen=True, kw_only=True)
class _World:
    """What is different from task to task: order and signs of the sensors, direction of the force, length of the pole."""

    order: Tensor
    signs: Tensor
    direction: float
    length: float

    def sensed(self, state: Tensor) -> Tensor:
        return (state / torch.tensor(_SCALES))[:, self.order] * self.signs


def _drawn_world(generator: torch.Generator) -> _World:
    draw = torch.rand(6, generator=generator)
    return _World(
        order=torch.randperm(4, generator=generator),
        signs=(draw[:4] < 0.5).float() * 2 - 1,
        direction=1.0 if draw[4] < 0.5 else -1.0,
        length=0.3 + 0.4 * float(draw[5]),
    )


class ActorCritic(nn.Module):
    """Net of two hidden layers with the logits of two actions and a value.

    Example:
        >>> ActorCritic()(torch.zeros(3, 4)).shape
        torch.Size([3, 3])
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 3)
        )

    def forward(self, sensors: Tensor) -> Tensor:
        """Map sensors, shape (n, 4), to two logits and a value, shape (n, 3)."""
        return self.layers(sensors)  # type: ignore[no-any-return]


class _Learner:
    """An actor-critic with its carts and the random numbers of a trial, which are the same for every arm."""

    def __init__(self, model: nn.Module, seed: int, lr: float, lessons: Lessons) -> None:
        self.model, self.lessons = model, lessons
        self.generator = torch.Generator().manual_seed(seed)
        self.carts = CartPoles(lessons.carts, torch.Generator().manual_seed(seed + 1))
        self.optimizer = torch.optim.Adam(model.parameters(), lr=lr, eps=1e-5)

    def update(self, world: _World) -> tuple[float, list[int]]:
        """Run the carts, take one step of the optimizer, and return the loss and the lengths of episodes that ended."""
        sensors, actions, ends, lengths = self._run(world)
        output = self.model(torch.cat((sensors, world.sensed(self.carts.state)[None])))
        logits, values = output[:-1, :, :2], output[..., 2]
        returns = _returns(ends, values[-1].detach())
        advantage = returns - values[:-1]
        logs = logits.log_softmax(-1)
        chosen = logs.gather(-1, actions[..., None])[..., 0]
        entropy = -(logs.exp() * logs).sum(-1).mean()
        loss = -(advantage.detach() * chosen).mean() + 0.5 * advantage.square().mean() - 0.05 * entropy
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 0.5)
        self.optimizer.step()
        return float(loss.detach()), lengths

    @torch.no_grad()
    def _run(self, world: _World) -> tuple[Tensor, Tensor, Tensor, list[int]]:
        sensors, actions, ends, lengths = list[Tensor](), list[Tensor](), list[Tensor](), list[int]()
        for _ in range(self.lessons.steps):
            seen = world.sensed(self.carts.state)
            logits = self.model(seen)[:, :2]
            action = (torch.rand(len(seen), generator=self.generator) < (logits[:, 1] - logits[:, 0]).sigmoid()).long()
            ended, count = self.carts.push(world.direction * (2.0 * action - 1))
            lengths += count[ended].tolist()
            sensors.append(seen)
            actions.append(action)
            ends.append(ended)
        return torch.stack(sensors), torch.stack(actions), torch.stack(ends), lengths


def _returns(ends: Tensor, last: Tensor, discount: float = 0.98) -> Tensor:
    """Return discounted sums of a reward of 0.1 for each step, shape (steps, carts); ``last`` is the value after the last step."""
    found, ahead = list[Tensor](), last
    for ended in ends.flip(0):
        ahead = 0.1 + discount * ahead * ~ended
        found.append(ahead)
    return torch.stack(found[::-1])


def train(model: nn.Module, seed: int, trial: TrialHandle, lessons: Lessons = Lessons()) -> dict[str, float]:
    """Train an actor-critic on one task after the other, and return mean lengths of episodes.

    Args:
        model: maps sensors, shape (n, 4), to two logits and a value.
        seed: of tasks, starts and actions.
        trial: handle of the trial.
        lessons: lengths of the training.

    Returns:
        The mean length of episodes in the second halves of the last tasks, that of the first task, and the difference of the last one
        and the first one.

    Example:
        >>> found = train(ActorCritic(), 0, TrialHandle(), Lessons(tasks=1, updates=2, judged=1))
        >>> sorted(found)
        ['change', 'episode length', 'first task']
    """
    learner = _Learner(model, seed, trial.lr, lessons)
    worlds = torch.Generator().manual_seed(seed)
    updates = max(2, round(lessons.updates * trial.steps_share))
    means = list[float]()
    for task in range(lessons.tasks):
        world = _drawn_world(worlds)
        learner.carts = CartPoles(lessons.carts, torch.Generator().manual_seed(1000 * seed + task))
        learner.carts.length = world.length
        lengths = list[int]()
        for update in range(updates):
            loss, ended = learner.update(world)
            lengths += ended if update >= updates // 2 else []
            trial.report(step=task * updates + update + 1, loss=loss)
        means.append(sum(lengths) / len(lengths) if lengths else float(learner.carts.longest))
        trial.report(step=(task + 1) * updates, **{"episode length": means[-1]})
    judged = means[-lessons.judged :]
    return {"episode length": sum(judged) / len(judged), "first task": means[0], "change": means[-1] - means[0]}


def cart_pole_task() -> Task:
    """Return the task with an actor-critic of two hidden layers of 64.

    Example:
        >>> cart_pole_task().door
        'function'
    """
    return Task(
        name="cart-pole",
        model=lambda seed: ActorCritic(),  # noqa: ARG005 # the generator is seeded before the call
        train=train,
        example_inputs=lambda seed: torch.zeros(8, 4),  # noqa: ARG005
        metric_name="episode length",
        direction="max",
        learning_rate=2e-3,
        rope=3.0,
        description="Simulated cart-pole, 12 tasks one after the other, actor-critic; random actions: 22, perfect: 200",
        source="cart-pole, protocol 1",
    )
