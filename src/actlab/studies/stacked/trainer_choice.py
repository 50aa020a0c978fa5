"""Choice between the single and the stacked trainer, by comparing both on a few steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from actlab.studies.plan import Plan
from actlab.studies.settings import TUNING_SEEDS
from actlab.studies.stackable import arm_obstacle, data_obstacle, obstacle
from actlab.studies.stacked.model_stack import can_share_stack
from actlab.studies.stacked.stack_trials import stacked_trial
from actlab.studies.stacked.stacked_training import StackedTrial, StackTraining
from actlab.studies.trials.stage import MAIN
from actlab.studies.trials.trial_key import TrialKey
from actlab.system.plural import plural
from actlab.tasks.data import Data, Split
from actlab.tasks.isolation import isolated, seed_all, torch_threads
from actlab.tasks.task import Task
from actlab.tasks.training.batches import step_count
from actlab.tasks.training.conditions import Conditions
from actlab.tasks.training.data_cache import cached_data
from actlab.tasks.training.loop import TrainingSettings, train
from actlab.tasks.training.recorder import Recorder
from actlab.tasks.user_code import one_line

__all__ = ["TrainerChoice", "choose_trainer", "in_words"]

_COMPARED_STEPS = 3
_TIMED_STEPS = 6
_TOLERANCE = 1e-9  # of a loss of double precision in the first steps, relative
_SHORT = 4.0  # seconds of a core; trials that take less in all are not worth the comparison
_GAIN = 1.1  # from which stacks are used: below, they only delay the first result
_FEWEST = 4  # models of a stack that is worth while
_MOST_MODELS = 64  # in a stack; more take no less time per model
_CACHE: Final = Path("/sys/devices/system/cpu/cpu0/cache/index3/size")
_CACHE_BYTES = 24 * 2**20  # where it is not known
_NUMBERS_PER_PARAMETER = 4  # value, gradient and two averages of Adam
_DATA_BYTES = 2**29  # of the seeds in a stack


@dataclass(frozen=True, kw_only=True)
class TrainerChoice:
    """The trainer of a study, as its facts in the store say.

    Attributes:
        stacked: whether trials are trained as stacks.
        reason: why they are not, or the gain that was measured.
        groups: arms whose trials can be in one stack have the same number here; arms that are not here run singly.
        arms: reasons of arms that run singly.
        models: largest number of trials in a stack.
        seeds: largest number of seeds in a stack.
        seconds: of a trial in a stack, as expected.
    """

    stacked: bool
    reason: str
    groups: Mapping[str, int] = field(default_factory=dict)
    arms: Mapping[str, str] = field(default_factory=dict)
    models: int = 1
    seeds: int = 1
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the choice as plain values, for the store."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainerChoice:
        """Return the choice that :meth:`to_dict` made."""
        return cls(**values)


def in_words(values: Mapping[str, Any] | None) -> str:
    """Return the trainer of a study for people, from its fact in the store; nothing where there is none, as in stores of earlier builds.

    Example:
        >>> in_words({"stacked": False, "reason": "as asked for"})
        'one trial at a time: as asked for'
        >>> in_words(TrainerChoice(stacked=True, reason="a step takes 1/4", models=60, arms={"rrelu": "draws noise"}).to_dict())
        'stacks of up to 60 trials, each with its share of the seconds: a step takes 1/4; rrelu one trial at a time: it draws noise'
    """
    if values is None:
        return ""
    if not values["stacked"]:
        return f"one trial at a time: {values['reason']}"
    stacks = f"stacks of up to {values['models']} trials, each with its share of the seconds: {values['reason']}"
    return "; ".join([stacks, *(f"{arm} one trial at a time: it {why}" for arm, why in values["arms"].items())])


def choose_trainer(task: Task, plan: Plan, conditions: Conditions, *, jobs: int, forced: bool = False) -> TrainerChoice:
    """Compare the trainers on a few steps of the study's first trials, and return which one it uses.

    It takes about as long as a short trial, and is left out where all trials together take a few seconds. The comparison is in double
    precision, where a mistake cannot hide behind rounding: an optimizer that does not act on each element, an attribute of the model that
    depends on the seed, random numbers from elsewhere.

    Args:
        task: the task.
        plan: the study's plan.
        conditions: of its trials.
        jobs: processes between which its trials are divided.
        forced: whether stacks are used where they are possible, whatever they gain.
    """
    reason = obstacle(task, conditions)
    if reason is not None:
        return TrainerChoice(stacked=False, reason=reason)
    try:
        with torch_threads(conditions.threads):
            choice = _measured(task, plan, jobs=jobs, forced=forced)
    except Exception as error:  # of user code, or what vmap says
        return TrainerChoice(stacked=False, reason=one_line(error))
    return choice if conditions.checkpoints is None else _between_checkpoints(choice, conditions.checkpoint_every)


def _between_checkpoints(choice: TrainerChoice, interval: float) -> TrainerChoice:
    """Make stacks so small that they take no longer than the time between two checkpoints, as they make none."""
    if not choice.stacked or choice.seconds <= 0:
        return choice
    most = int(interval / choice.seconds)
    if most >= min(choice.models, _FEWEST):
        return replace(choice, models=min(choice.models, most))
    reason = f"a stack would take longer than the {interval:g} s between two checkpoints, which stacks do not make"
    return TrainerChoice(stacked=False, reason=reason)


def _measured(task: Task, plan: Plan, *, jobs: int, forced: bool) -> TrainerChoice:
    seeds = plan.seeds[:2]
    data = {seed: cached_data(task, seed) for seed in seeds}
    reason = data_obstacle(data[seeds[0]])
    if reason is not None:
        return TrainerChoice(stacked=False, reason=reason)
    refused = {arm.label: why for arm in plan.arms if (why := arm_obstacle(arm)) is not None}
    models = {
        label: stacked_trial(task, plan, TrialKey(MAIN, label, seeds[0], task.learning_rate), data[seeds[0]])
        for label in plan.labels
        if label not in refused
    }
    groups = _groups({label: trial.model for label, trial in models.items()})
    if not groups:
        return TrainerChoice(
            stacked=False, reason="; ".join(f"{arm} {why}" for arm, why in refused.items()), arms=refused
        )
    alone = _step_alone(task, plan, groups, data[seeds[0]])
    total = alone * step_count(task, data[seeds[0]].train) * _trial_count(plan)
    if total < _SHORT and not forced:
        return TrainerChoice(stacked=False, reason=f"all its trials take less than {_SHORT:g} s of a core")
    _compare(task, plan, groups, data)
    trials = len(plan.seeds) * max(list(groups.values()).count(group) for group in set(groups.values()))
    most, by_data = _fitting(task, next(iter(models.values())), plan), _seeds_in_memory(data[seeds[0]])
    size = max(1, min(most, -(-trials // jobs)))
    share = _step_in_stack(task, plan, groups, data[seeds[0]], size)
    gain, seconds = alone / share, share * step_count(task, data[seeds[0]].train)
    is_faster = gain >= _GAIN
    words = f"a step of a trial takes {_ratio(gain)} in a stack of {plural(size, 'trial')}"
    return TrainerChoice(
        stacked=is_faster or forced,
        reason=words,
        groups=groups,
        arms=refused,
        models=most,
        seeds=by_data,
        seconds=seconds,
    )


def _ratio(gain: float) -> str:
    return f"1/{gain:.1f} of the time" if gain >= 1 else f"{1 / gain:.1f} times as long"


def _groups(models: Mapping[str, nn.Module]) -> dict[str, int]:
    """Number the arms by the stacks that they can be in."""
    first: list[nn.Module] = []
    groups = {}
    for label, model in models.items():
        group = next((place for place, other in enumerate(first) if can_share_stack(other, model)), len(first))
        if group == len(first):
            first.append(model)
        groups[label] = group
    return groups


@contextmanager
def _double() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _compare(task: Task, plan: Plan, groups: Mapping[str, int], data: Mapping[int, Data]) -> None:
    """Train every arm for some steps, alone and in a stack.

    Raises:
        ValueError: the losses differ.
    """
    short = replace(task, steps=_COMPARED_STEPS)
    for group in dict.fromkeys(groups.values()):
        labels = [label for label in plan.labels if groups.get(label) == group]
        rate = task.learning_rate
        chosen = [
            TrialKey(MAIN, label, seed, rate)
            for label in labels
            for seed in plan.seeds[: 2 if label == labels[0] else 1]
        ]
        chosen.append(TrialKey(MAIN, labels[-1], plan.seeds[0], rate / 2))  # learning rates differ within a stack
        with _double():
            doubled = {seed: _doubled(it) for seed, it in data.items()}
            trials = [_trial_of(task, plan, key, doubled) for key in chosen]
            alone = [_losses_alone(short, trial, plan) for trial in trials]
            trials = [_trial_of(task, plan, key, doubled) for key in chosen]
            with isolated(plan.seeds[0]):
                stack = StackTraining(task=short, trials=trials, decay_learned=plan.decay_learned)
                stack.run()
        together = torch.stack(stack.losses).T
        for key, one, other in zip(chosen, alone, together.tolist(), strict=True):
            worst = max(abs(a - b) / max(1.0, abs(a)) for a, b in zip(one, other, strict=True))
            if not worst < _TOLERANCE:
                raise ValueError(f"the losses of {key.arm} with seed {key.seed} differ by {worst:.1g} in a stack")


def _trial_of(task: Task, plan: Plan, key: TrialKey, data: Mapping[int, Data]) -> StackedTrial:
    trial = stacked_trial(task, plan, key, data[key.seed])
    return replace(trial, model=trial.model.double())


def _doubled(data: Data) -> Data:
    return Data(
        **{name: Split(x=_double_of(split.x), y=_double_of(split.y)) for name, split in data.splits.items() if isinstance(split, Split)}
    )  # fmt: skip


def _double_of(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def _losses_alone(task: Task, trial: StackedTrial, plan: Plan) -> list[float]:
    recorder, settings = Recorder(), TrainingSettings(lr=trial.lr, decay_learned=plan.decay_learned)
    with isolated(trial.seed):
        seed_all(trial.seed)
        train(task, trial.model, trial.data.train, trial.seed, settings=settings, recorder=recorder)
    return recorder.losses


def _trial_count(plan: Plan) -> float:
    """Return the number of trials of a plan, each counted as its share of the steps of a main one."""
    tuning = len(plan.arms) * len(TUNING_SEEDS) * sum(rung.rates * rung.share for rung in plan.rungs)
    return tuning + len(plan.arms) * len(plan.seeds)


def _largest_group(plan: Plan, groups: Mapping[str, int]) -> list[str]:
    numbers = list(groups.values())
    return [label for label in plan.labels if groups.get(label) == max(set(numbers), key=numbers.count)]


def _step_alone(task: Task, plan: Plan, groups: Mapping[str, int], data: Data) -> float:
    """Return the seconds of a step of a trial of its own, the mean over the arms."""
    rate, times = task.learning_rate, []
    settings = TrainingSettings(lr=rate, decay_learned=plan.decay_learned)
    short = replace(task, steps=_TIMED_STEPS + 1)
    for label in _largest_group(plan, groups):
        trial = stacked_trial(task, plan, TrialKey(MAIN, label, plan.seeds[0], rate), data)

        def run(look: Callable[[int], None], trial: StackedTrial = trial) -> None:
            train(short, trial.model, data.train, trial.seed, settings=settings, recorder=Recorder(), look=look)

        with isolated(trial.seed):
            times.append(_time_per_step(run))
    return sum(times) / len(times)


def _step_in_stack(task: Task, plan: Plan, groups: Mapping[str, int], data: Data, size: int) -> float:
    """Return a trial's share of the seconds of a step of a stack of a size."""
    labels, seed = _largest_group(plan, groups), plan.seeds[0]
    keys = sorted(TrialKey(MAIN, labels[place % len(labels)], seed, task.learning_rate) for place in range(size))
    trials = [stacked_trial(task, plan, key, data) for key in keys]
    with isolated(seed):
        stack = StackTraining(task=task, trials=trials, decay_learned=plan.decay_learned)
        return _time_per_step(lambda look: stack.run(_TIMED_STEPS, after_step=look)) / size


def _time_per_step(run: Callable[[Callable[[int], None]], None]) -> float:
    """Return the median CPU time between two steps."""
    times: list[float] = []
    run(lambda _: times.append(time.thread_time()))
    steps = sorted(b - a for a, b in pairwise(times[1:]))
    return max(steps[len(steps) // 2], 1e-9)


def _fitting(task: Task, trial: StackedTrial, plan: Plan) -> int:
    """Return how many models a stack has at most: what a step of all works on is to fit the processor's cache."""
    saved = 0

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal saved
        saved += tensor.numel() * tensor.element_size()
        return tensor

    model, data = trial.model, trial.data.train
    with isolated(trial.seed), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        settings = TrainingSettings(lr=trial.lr, decay_learned=plan.decay_learned)
        train(replace(task, steps=1), model, data, trial.seed, settings=settings, recorder=Recorder())
    weights = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    return max(2, min(_MOST_MODELS, _cache_bytes() // max(1, _NUMBERS_PER_PARAMETER * weights + saved)))


def _cache_bytes() -> int:
    try:
        text = _CACHE.read_text(encoding="ascii").strip()
        return min(_CACHE_BYTES, int(text.removesuffix("K")) * 1024)
    except (OSError, ValueError):
        return _CACHE_BYTES


def _seeds_in_memory(data: Data) -> int:
    tensors = [tensor for split in data.splits.values() if isinstance(split, Split) for tensor in (split.x, split.y)]
    return max(1, _DATA_BYTES // max(1, sum(tensor.numel() * tensor.element_size() for tensor in tensors)))
