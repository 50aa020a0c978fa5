"""Template process that loads a study's task once and forks the processes that run its trials.

It is a new interpreter, which inherits no threads and no locks, or a fork of the first process, and serves the first process only:
requests come through a socket, and each gets one reply. It has no connection to the store. It ends with the first process, and the
runners end with it. It has a session of its own, and ends what a runner's user code has started when the runner has ended.
"""

from __future__ import annotations

import gc
import json
import os
import pickle
import signal
import socket
import struct
import sys
import time
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, NoReturn

import torch

from actlab.errors import ActlabError, UnknownNameError
from actlab.studies.arm_cost import measure_costs
from actlab.studies.arm_model import try_arms
from actlab.studies.execution.job import Job
from actlab.studies.execution.parent_process import end_with
from actlab.studies.execution.runner import run_orders
from actlab.studies.plan import make_plan
from actlab.studies.source_files import source_digests
from actlab.studies.store.lease_owner import Owner
from actlab.system import native_threads
from actlab.system.allocator import tune_allocator
from actlab.system.processes.process_tree import adopt_orphans, children, end_descendants, killed_with_parent
from actlab.tasks.isolation import isolated
from actlab.tasks.registry import resolve
from actlab.tasks.task import Task
from actlab.tasks.training.batches import first_inputs, step_count
from actlab.tasks.training.data_cache import cached_data
from actlab.tasks.training.optimization import make_optimizer
from actlab.tasks.training.reproducibility import make_repeatable
from actlab.tasks.training_function.model_inputs import model_inputs
from actlab.tasks.user_code import one_line

__all__ = ["HAS_THREADS", "REQUEST", "WRONG_DEFINITIONS", "Request", "main", "serve"]

#: A request, as a letter, the number of a runner, and the place of the study's hardware at which it runs.
REQUEST = struct.Struct("<cIH")
WRONG_DEFINITIONS = "wrong definitions"
HAS_THREADS = "threads"
_CLOSING = 2.0  # seconds in which a runner whose connection has ended is expected to end
_GRACE = 1.0  # seconds in which a process is expected to end that is left of a trial, before it is killed


class Request:
    """Letters of the requests."""

    START = b"s"  # with the runner's end of a connection; the reply is its process id
    COSTS = b"c"  # as START, for a process that sends the arms' costs
    END = b"e"  # the reply is its exit code, negative for a signal, None if it had to be killed
    KILL = b"k"  # as END, without waiting
    POLL = b"p"  # the reply lists numbers and exit codes of the runners that have ended


def main() -> None:
    """Serve a job that is pickled on stdin, in a new interpreter; the descriptor of the socket is the first argument."""
    job, parent, warm = pickle.load(sys.stdin.buffer)  # noqa: S301 # written by the process that started this one
    serve(job, socket.socket(fileno=int(sys.argv[1])), parent, warm=warm)


def serve(job: Job, control: socket.socket, parent: Owner, *, warm: bool, task: Task | None = None) -> NoReturn:
    """Load the task, say so, and fork runners as requested until the first process ends.

    Args:
        job: the study.
        control: socket to the first process.
        parent: the first process.
        warm: whether to run the task's functions once before runners are forked.
        task: the job's task in a fork of the first process; a new interpreter loads it, and may find another definition.
    """
    try:
        end_with(parent)
        _use_own_session()
        _use_default_signals()
        _redirect_output()
        torch.set_num_threads(1)
        tune_allocator()
        task, greeting = _load(job) if task is None else (task, {})
        if task is not None:
            greeting = {"steps": _warm_up(task, job) if warm else None}
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call] # cannot be used in a fork
            task, greeting = None, {"problem": "accelerator"}
        elif job.hardware.threads > 1 and native_threads.count_after_pools() not in {None, 1}:
            task, greeting = (
                None,
                {"problem": HAS_THREADS},
            )  # if they are torch's, a fork would wait for them without end
        _reply(control, greeting)
        if task is not None:
            gc.freeze()  # a collection in a runner would copy every page that it shares with the others
            _Runners(job, task, control, parent.pid).serve()
    finally:
        os._exit(0)  # no exit handler or test runner of a forked process may run


def _use_own_session() -> None:
    """Have what this process starts end with it: the first process finds it by the session, and this one as its descendants."""
    with suppress(PermissionError):  # it leads a group already
        os.setsid()
    adopt_orphans()


def _use_default_signals() -> None:
    """Ignore Ctrl-C, which the first process handles for all, and end by other signals as a process without handlers does."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())


def _redirect_output() -> None:
    """Send what user code prints, also from C, to the standard error stream, and let it read nothing."""
    with suppress(OSError):
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
    with suppress(OSError):
        os.dup2(2, 1)
    with suppress(OSError):
        # New objects: those of a forked process may hold a lock of a thread that does not exist here.
        sys.stdout = sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115 # stays open


def _load(job: Job) -> tuple[Task | None, dict[str, Any]]:
    """Return the task, or none and what is wrong with it, such as that it or an activation has another definition here."""
    try:
        task = resolve(job.task)
        plan = make_plan(task, job.plan.arms, baseline=job.plan.baseline)
        same_modules = not isinstance(job.task, str) or source_digests(task) == dict(job.modules)
    except UnknownNameError:
        return None, {"problem": WRONG_DEFINITIONS}
    except ActlabError as error:
        return None, {"error": str(error)}
    except BaseException:  # an error of ActLab itself
        return None, {"internal_error": traceback.format_exc()}
    if (plan.definitions, plan.task_source) != (job.plan.definitions, job.plan.task_source) or not same_modules:
        return None, {"problem": WRONG_DEFINITIONS}
    return task, {}


def _warm_up(task: Task, job: Job) -> int | None:
    """Fill the task's caches and trigger torch's late imports (1.1 s for optimizers) once; return the steps of a trial if known."""
    seed, plan, steps = job.plan.seeds[0], job.plan, None
    if task.door == "script":  # which runs in processes of its own
        return None
    with suppress(BaseException), isolated(seed):  # user code may raise anything; the trials will record it
        if task.door == "function":
            batch = model_inputs(task, seed)
        else:
            data = cached_data(task, seed)  # the runners share it
            steps, batch = step_count(task, data.train), first_inputs(task, data.train, seed)
        model = try_arms(task, plan.arms, seed, batch=batch)
        make_optimizer(task, model, task.learning_rate).zero_grad()
    return steps


def _reply(control: socket.socket, message: Any) -> None:
    """Send one line of JSON."""
    control.sendall(json.dumps(message).encode() + b"\n")


class _Runners:
    """Runners of a template process, by their number."""

    def __init__(self, job: Job, task: Task, control: socket.socket, parent: int) -> None:
        self._job, self._task, self._control, self._parent = job, task, control, parent
        self._here, self._pids = Owner.of(), dict[int, int]()
        self._own = frozenset(children())  # of the task's functions, for all runners
        self._terminate: Any = signal.SIG_DFL

    def serve(self) -> None:
        """Answer requests until the first process has ended, and end all descendants then."""
        self._terminate = signal.signal(signal.SIGTERM, self._terminated)
        killed_with_parent(signal.SIGTERM)  # only code of ActLab runs here from now on, so that the handler does
        if os.getppid() == self._parent:
            self._serve()
        self._end_all()

    def _terminated(self, number: int, _frame: Any) -> None:
        self._end_all()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def _end_all(self) -> None:
        """End all descendants: the runners, and what they and the task's functions have left."""
        for pid in self._pids.values():
            os.kill(pid, signal.SIGKILL)
        for pid in self._pids.values():
            with suppress(ChildProcessError):  # a signal has interrupted this function
                os.waitpid(pid, 0)
        end_descendants()

    def _serve(self) -> None:
        while True:
            request, descriptors, *_ = socket.recv_fds(self._control, REQUEST.size, 1)
            if len(request) < REQUEST.size:
                return
            letter, number, slot = REQUEST.unpack(request)
            if letter in {Request.START, Request.COSTS}:
                reply: Any = self._start(letter, number, slot, descriptors[0])
            elif letter == Request.POLL:
                reply = [(number, code) for number in list(self._pids) if (code := self._exit_code(number)) is not None]
            else:
                reply = self._end(number, wait=0.0 if letter == Request.KILL else _CLOSING)
            _reply(self._control, reply)

    def _start(self, letter: bytes, number: int, slot: int, descriptor: int) -> int:
        pid = os.fork()
        if pid:
            os.close(descriptor)
            self._pids[number] = pid
            return pid
        try:
            signal.signal(signal.SIGTERM, self._terminate)
            self._control.close()
            end_with(self._here)
            adopt_orphans()
            if self._task.door != "script":  # which runs in a process of its own
                make_repeatable(self._job.conditions_at(slot).device)
            if letter == Request.COSTS:
                self._send_costs(Connection(descriptor), slot)
            else:
                run_orders(Connection(descriptor), self._task, self._job.plan, self._job.conditions_at(slot))
        finally:
            os._exit(0)

    def _send_costs(self, connection: Connection[Any, Any], slot: int) -> None:
        """Send the costs of the arms, or in words why they cannot be measured."""
        try:
            costs: Any = measure_costs(self._task, self._job.plan.arms, **self._job.cost_settings(slot))
        except BaseException as error:  # user code may raise anything
            costs = one_line(error)
        connection.send(costs)

    def _exit_code(self, number: int) -> int | None:
        """Return the exit code of a runner that has ended, and forget it."""
        pid, status = os.waitpid(self._pids[number], os.WNOHANG)
        if pid == 0:
            return None
        del self._pids[number]
        self._end_orphans(_GRACE)
        return os.waitstatus_to_exitcode(status)

    def _end_orphans(self, grace: float) -> None:
        """End what ended runners have left."""
        spared = {*self._own, *self._pids.values()}
        if not spared.issuperset(children()):
            end_descendants(spared=spared, grace=grace)

    def _end(self, number: int, *, wait: float) -> int | None:
        end = time.monotonic() + wait
        while number in self._pids and time.monotonic() < end:
            if (code := self._exit_code(number)) is not None:
                return code
            time.sleep(0.002)
        if number in self._pids:
            pid = self._pids.pop(number)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            self._end_orphans(0.0)
        return None
