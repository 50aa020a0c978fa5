"""Runner process that trains and evaluates ordered trials, without access to the store.

It has no connection to the store. It receives an order of one or more trials, runs these and hands in a result for each.
When user code has changed what later trials depend on (default dtype, working folder, standard streams, a thread or a process left
behind), it says so with the last result and ends; a new fork takes its place, and the template process ends what it has left.
Whatever ends the process is seen by the dispatcher, which records it.
"""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from actlab.studies.plan import Plan
from actlab.studies.stacked.stack_trials import run_stack
from actlab.studies.stacked.trainer_choice import choose_trainer
from actlab.studies.store.store import TrialKey
from actlab.studies.trials.trial import Trial, run_trial
from actlab.system.processes.process_tree import has_children
from actlab.tasks.process_state import restorations
from actlab.tasks.task import Task
from actlab.tasks.training.conditions import Conditions
from actlab.tasks.user_code import one_line

__all__ = ["DESCRIPTORS_CLOSED", "Answer", "Choice", "Order", "run_orders", "run_planned"]

#: Exit code of a runner whose connection was closed by user code. Any code may be the user's own; this one is only the likely reading.
DESCRIPTORS_CLOSED = 119


class Choice(NamedTuple):
    """What :func:`actlab.studies.stacked.trainer_choice.choose_trainer` is told beside the plan."""

    jobs: int
    forced: bool


class Order(NamedTuple):
    """What a runner is told to run.

    Attributes:
        keys: of the trials; each gets an answer.
        stacked: whether they are trained as one stack.
        choice: to compare the trainers of the study, in the place of trials.
    """

    keys: tuple[TrialKey, ...] = ()
    stacked: bool = False
    choice: Choice | None = None


class Answer(NamedTuple):
    """What a runner hands in for each trial of an order.

    Attributes:
        trial: result of the trial, or None after an error of ActLab itself.
        internal_error: traceback of that error.
        is_last: whether the runner ends now; said with the last answer to an order.
        refused: why the trials of a stack that have no answer yet cannot be trained as a stack; the last answer to the order.
        choice: the trainer that was chosen, as plain values.
    """

    trial: Trial | None
    internal_error: str | None
    is_last: bool
    refused: str | None = None
    choice: Mapping[str, Any] | None = None


def run_orders(connection: Connection[Answer, Order], task: Task, plan: Plan, conditions: Conditions) -> None:
    """Run the trials that are ordered through a connection, until it ends.

    Args:
        connection: to the dispatcher.
        task: its model, data, loss and metric are user code.
        plan: gives the arms by label.
        conditions: of the trials.
    """
    process, descriptors, threads = os.getpid(), _identities(connection.fileno()), _threads()
    while True:
        try:
            order = connection.recv()
        except (EOFError, OSError):
            return
        restored, left, changed = restorations(), len(order.keys), False
        for answer in _run(task, plan, order, conditions):
            if os.getpid() != process:
                os._exit(0)  # a fork that user code made and let return
            now, left = _identities(connection.fileno()), left - 1
            if now[-1] != descriptors[-1]:
                os._exit(DESCRIPTORS_CLOSED)  # writing would reach a file that the user opened under this number
            state = now, _threads(), restorations()
            changed |= (
                _leaves_card_full(answer, conditions) or state != (descriptors, threads, restored) or has_children()
            )
            is_end = left <= 0 or answer.refused is not None
            connection.send(answer._replace(is_last=changed and is_end))
        if changed:
            return


def run_planned(task: Task, plan: Plan, key: TrialKey, conditions: Conditions) -> Trial:
    """Run a trial of a plan in this process.

    Args:
        task: the task.
        plan: gives the arm and the settings.
        key: of the trial.
        conditions: under which it is executed.
    """
    settings: dict[str, Any] = {"init": plan.init, "decay_learned": plan.decay_learned, "conditions": conditions}
    return run_trial(task, plan.arm(key.arm), key.seed, lr=key.lr, stage=key.stage, **settings)


def _run(task: Task, plan: Plan, order: Order, conditions: Conditions) -> Iterator[Answer]:
    if order.choice is not None:
        chosen = choose_trainer(task, plan, conditions, jobs=order.choice.jobs, forced=order.choice.forced)
        yield Answer(None, None, is_last=False, choice=chosen.to_dict())
    elif order.stacked:
        yield from _run_stack(task, plan, order, conditions)
    else:
        yield from _run_singly(task, plan, order, conditions)


def _run_stack(task: Task, plan: Plan, order: Order, conditions: Conditions) -> Iterator[Answer]:
    trials = run_stack(task, plan, order.keys, conditions)
    while True:
        try:
            answer = Answer(next(trials), None, is_last=False)
        except StopIteration:
            return
        except BaseException as error:  # of user code, or of what cannot be stacked
            yield Answer(None, None, is_last=False, refused=one_line(error))
            return
        yield answer


def _run_singly(task: Task, plan: Plan, order: Order, conditions: Conditions) -> Iterator[Answer]:
    for key in order.keys:
        try:
            answer = Answer(run_planned(task, plan, key, conditions), None, is_last=False)
        except BaseException:  # not of user code, which run_trial catches
            answer = Answer(None, traceback.format_exc(), is_last=False)
        yield answer


def _leaves_card_full(answer: Answer, conditions: Conditions) -> bool:
    """Return whether a trial ran out of a card's memory, all of which only the end of its process gives back for certain."""
    return conditions.device != "cpu" and answer.trial is not None and answer.trial.status == "out_of_memory"


def _threads() -> int:
    """Return the number of threads, without daemons: progress bars of libraries start one, which does no harm."""
    return sum(not thread.daemon for thread in threading.enumerate())


def _identities(connection: int) -> list[tuple[int, int] | None]:
    """Return device and file number behind the standard descriptors and the connection; None for a closed one."""
    found: list[tuple[int, int] | None] = []
    for descriptor in (0, 1, 2, connection):
        identity = None
        with suppress(OSError):
            status = os.fstat(descriptor)
            identity = (status.st_dev, status.st_ino)
        found.append(identity)
    return found
