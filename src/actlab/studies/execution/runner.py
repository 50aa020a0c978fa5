"""Runner process that trains and evaluates ordered trials, without access to the store.

It has no connection to the store. It receives the key of a trial, runs it and hands in the result. When user code has changed what later
trials depend on (default dtype, working folder, standard streams, a thread left behind), it says so with the result and ends; a new fork
takes its place. Whatever ends the process is seen by the dispatcher, which records it.
"""

from __future__ import annotations

import os
import threading
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import NamedTuple

from actlab.studies.plan import Plan
from actlab.studies.store.store import TrialKey
from actlab.studies.trials.trial import Trial, run_trial
from actlab.tasks.process_state import restorations
from actlab.tasks.task import Task

__all__ = ["DESCRIPTORS_CLOSED", "Answer", "run_orders", "run_planned"]

#: Exit code of a runner whose connection was closed by user code. Any code may be the user's own; this one is only the likely reading.
DESCRIPTORS_CLOSED = 119


class Answer(NamedTuple):
    """What a runner hands in.

    Attributes:
        trial: result of the trial, or None after an error of ActLab itself.
        internal_error: traceback of that error.
        is_last: whether the runner ends now.
    """

    trial: Trial | None
    internal_error: str | None
    is_last: bool


def run_orders(connection: Connection[Answer, TrialKey], task: Task, plan: Plan) -> None:
    """Run the trials that are ordered through a connection, until it ends.

    Args:
        connection: to the dispatcher.
        task: its model, data, loss and metric are user code.
        plan: gives the arms by label.
    """
    process, descriptors, threads = os.getpid(), _identities(connection.fileno()), _threads()
    while True:
        try:
            key = connection.recv()
        except (EOFError, OSError):
            return
        restored = restorations()
        answer = _run(task, plan, key)
        if os.getpid() != process:
            os._exit(0)  # a fork that user code made and let return
        now = _identities(connection.fileno())
        if now[-1] != descriptors[-1]:
            os._exit(DESCRIPTORS_CLOSED)  # writing would reach a file that the user opened under this number
        changed = (now, _threads(), restorations()) != (descriptors, threads, restored)
        connection.send(answer._replace(is_last=changed))
        if changed:
            return


def run_planned(task: Task, plan: Plan, key: TrialKey) -> Trial:
    """Run a trial of a plan in this process.

    Args:
        task: the task.
        plan: gives the arm and the settings.
        key: of the trial.
    """
    arm, decay = plan.arm(key.arm), plan.decay_learned
    return run_trial(task, arm, key.seed, init=plan.init, lr=key.lr, stage=key.stage, decay_learned=decay)


def _run(task: Task, plan: Plan, key: TrialKey) -> Answer:
    try:
        trial = run_planned(task, plan, key)
    except BaseException:  # not of user code, which run_trial catches
        return Answer(None, traceback.format_exc(), is_last=False)
    return Answer(trial, None, is_last=False)


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
