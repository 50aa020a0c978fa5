"""Trials of a plan that are trained as one stack, each with the row that it would have alone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from actlab.studies.arm import Arm
from actlab.studies.arm_model import build_model
from actlab.studies.plan import Plan
from actlab.studies.stacked.stacked_training import StackedTrial, StackTraining
from actlab.studies.trial_inputs import input_digests
from actlab.studies.trials.loop_trial import evaluate_trained, held_out_of, untrained_model
from actlab.studies.trials.measurements import Measurements, TrialSettings
from actlab.studies.trials.stage import staged
from actlab.studies.trials.trial import Trial, ending_of
from actlab.studies.trials.trial_key import TrialKey
from actlab.tasks.data import Data, Split
from actlab.tasks.isolation import isolated, seed_all, torch_threads
from actlab.tasks.task import Task
from actlab.tasks.training.batches import first_inputs, step_count
from actlab.tasks.training.conditions import Conditions
from actlab.tasks.training.data_cache import cached_data
from actlab.tasks.training.evaluation import as_number
from actlab.tasks.training.held_out import HeldOut
from actlab.tasks.training.loop import DivergedError

__all__ = ["run_stack", "stacked_trial"]


@dataclass(kw_only=True, eq=False)
class _Member:
    """A trial of a stack, and what is recorded of it."""

    key: TrialKey
    arm: Arm
    settings: TrialSettings
    trial: StackedTrial
    measured: Measurements
    held_out: HeldOut | None
    values: list[tuple[int, float, float]] = field(
        default_factory=list
    )  # step, result on the validation split, seconds


def run_stack(task: Task, plan: Plan, keys: Sequence[TrialKey], conditions: Conditions) -> Iterator[Trial]:
    """Train the trials of a plan as one stack, and yield the result of each when it is evaluated.

    The numbers of a row are those of :func:`actlab.studies.trials.trial.run_trial` to the tolerance that is stated in
    ``docs/concepts/stacked.md``, whatever else is in the stack. Its seconds are its share of those of the stack.

    Args:
        task: of which :func:`actlab.studies.stackable.obstacle` is None.
        plan: gives the arms and the settings.
        keys: of the trials, all of one stage.
        conditions: under which they are executed.

    Raises:
        Exception: the trials cannot be trained together; those that were not yielded run singly.
    """
    began = time.time(), time.perf_counter(), time.process_time()
    order = sorted(keys, key=lambda key: plan.labels.index(key.arm))  # stable: those of one arm become adjacent
    with torch_threads(conditions.threads):
        members = _members(task, plan, order, conditions)
        own = staged(task, order[0].stage, step_count(task, members[0].trial.data.train))
        with isolated(order[0].seed):
            for member in members:
                member.held_out = held_out_of(own, member.trial.data, member.measured.recorder)
            training = _train(own, plan, members)
        spent = time.perf_counter() - began[1], time.process_time() - began[2]
        first_bad = training.first_not_finite()
        for place, member in enumerate(members):
            wall, cpu = time.perf_counter(), time.process_time()
            ending = ending_of(partial(_finish, own, training, member, place, first_bad[place]))
            yield Trial(
                **member.key._asdict(),
                status=ending.status,
                metric=member.measured.metric if ending.status == "completed" else None,
                seconds=spent[0] / len(members) + time.perf_counter() - wall,
                cpu_seconds=spent[1] / len(members) + time.process_time() - cpu,
                error=ending.reason,
                started=began[0],
                **member.measured.to_fields(),
            )


def _members(task: Task, plan: Plan, keys: Sequence[TrialKey], conditions: Conditions) -> list[_Member]:
    """Build the models, seed by seed, as the data of one seed are held at a time."""
    found: dict[TrialKey, _Member] = {}
    for seed in dict.fromkeys(key.seed for key in keys):
        data = cached_data(task, seed)
        digests = input_digests(task, data)
        for key in keys:
            if key.seed == seed:
                settings = TrialSettings(
                    seed=seed, lr=key.lr, stage=key.stage, init=plan.init, decay_learned=plan.decay_learned, conditions=conditions
                )  # fmt: skip
                found[key] = _member(task, plan, settings, key.arm, (data, digests))
    return [found[key] for key in keys]


def _member(task: Task, plan: Plan, settings: TrialSettings, arm: str, given: tuple[Data, dict[str, str]]) -> _Member:
    data, digests = given
    key = TrialKey(settings.stage, arm, settings.seed, settings.lr)
    measured = Measurements()
    measured.inputs |= digests
    measured.versions |= {"device": "cpu", "threads": str(torch.get_num_threads()), "trainer": "stacked"}
    trial = stacked_trial(task, plan, key, data, measured.inputs)
    measured.parameters = sum(weight.numel() for weight in trial.model.parameters() if weight.requires_grad)
    return _Member(key=key, arm=plan.arm(arm), settings=settings, trial=trial, measured=measured, held_out=None)


def stacked_trial(
    task: Task, plan: Plan, key: TrialKey, data: Data, digests: dict[str, str] | None = None
) -> StackedTrial:
    """Return a trial for a stack, with its model built as in a trial of its own."""
    with isolated(key.seed):
        batch = first_inputs(task, data.train, key.seed)
        model = build_model(task, plan.arm(key.arm), key.seed, init=plan.init, batch=batch, digests=digests)
    return StackedTrial(arm=key.arm, seed=key.seed, lr=key.lr, model=model, data=data)


def _train(task: Task, plan: Plan, members: Sequence[_Member]) -> StackTraining:
    """Train the stack, and evaluate it on the validation split when its trials would be evaluated."""
    training = StackTraining(task=task, trials=[member.trial for member in members], decay_learned=plan.decay_learned)
    next_evaluation = 0 if members[0].held_out is None else members[0].held_out.next
    paused, began = 0.0, time.perf_counter()

    def after_step(step: int) -> None:
        nonlocal next_evaluation, paused
        if step != next_evaluation:
            return
        now = time.perf_counter()
        _evaluate(task, training, members, step, (now - began - paused) / len(members))
        next_evaluation = members[0].held_out.next  # type: ignore[union-attr] # there are evaluations
        paused += time.perf_counter() - now

    training.run(after_step=after_step)
    seconds = (time.perf_counter() - began - paused) / len(members)
    for member in members:
        member.measured.recorder.tick(len(training.losses), seconds)
    return training


def _evaluate(task: Task, training: StackTraining, members: Sequence[_Member], step: int, seconds: float) -> None:
    outputs = training.outputs(lambda data: data.validation)  # type: ignore[arg-type, return-value] # a Split, as the task has no obstacle
    for member, output in zip(members, outputs.unbind(), strict=True):
        held_out, split = member.held_out, member.trial.data.validation
        if held_out is None or not isinstance(split, Split):
            continue
        member.measured.recorder.tick(step, seconds)
        with suppress(Exception):  # the metric is user code
            value = as_number(task.result_metric(output, split.y), f"metric of {task.name}")
            member.values.append((step, value, seconds))
        held_out.advance(step)


def _finish(task: Task, training: StackTraining, member: _Member, place: int, first_bad: int) -> None:
    """Fill in the measurements of a trained model, and evaluate it as a trial does.

    Raises:
        DivergedError: a loss or metric is not finite.
    """
    recorder, held_out, seed = member.measured.recorder, member.held_out, member.key.seed
    recorder.losses[:] = training.losses_of(place, first_bad)
    for step, value, seconds in member.values:
        if held_out is not None and step < first_bad:
            held_out.record(step, value, seconds=seconds)
    if first_bad <= len(training.losses):
        loss = float(training.losses[first_bad - 1][place])
        raise DivergedError(f"the loss is {loss} at step {first_bad}")
    model = training.stack.trained(place)
    with isolated(seed):
        seed_all(seed)
        torch.default_generator.set_state(training.draws.state(place))
        given: dict[str, Any] = {"settings": member.settings, "measured": member.measured, "held_out": held_out}
        build = partial(untrained_model, task, member.arm, member.trial.data, member.settings)
        evaluate_trained(task, model.eval(), member.trial.data, build=build, **given)
