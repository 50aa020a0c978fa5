"""A study that was killed or stopped is resumed by the same call, with the rows of an uninterrupted run to the bit."""

import multiprocessing
import os
import resource
import signal
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.studies.tiny import FILE, attempts, model, numbers, tiny

from actlab.errors import StoreError
from actlab.functions.activation import activation, forget
from actlab.functions.formula import tanh
from actlab.studies.execution import runner
from actlab.studies.execution.job import Job
from actlab.studies.execution.run import StudyInterrupted
from actlab.studies.execution.template_process import needs_new_interpreter
from actlab.studies.store.schema import leases
from actlab.studies.store.store import Store
from actlab.study import compare

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

ARMS = ["relu", "gelu", "tanh"]
FORK = multiprocessing.get_context("fork")


def local(make=model, **differences):
    """The tiny task with a closure, so that workers are forked: a new interpreter takes seconds to start."""
    return tiny(model=lambda seed: make(seed), **differences)  # noqa: PLW0108 # the point is that it is a lambda


def slow():
    return local(slow_model)


def slow_model(seed):
    time.sleep(0.3)  # so that trials are left when the workers notice that their parent has ended
    return model(seed)


def run(folder, task=None, *, arms=ARMS, seeds=4, jobs=2, name="mine", **settings):
    return compare(task or local(), arms, seeds=seeds, jobs=jobs, store=folder / "actlab.db", name=name, **settings)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return numbers(run(tmp_path_factory.mktemp("uninterrupted"), jobs=1).rows())


def attempts_in(folder, name="mine"):
    store = Store(folder / "actlab.db")
    return attempts(store, store.study(name).id)


def test_a_study_runs_where_a_thousand_files_are_open(tmp_path, uninterrupted):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        rows = run(tmp_path, jobs=1).rows()
    finally:
        for number in files:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert numbers(rows) == uninterrupted


def test_one_job_and_two_processes_give_the_same_bits(tmp_path):
    rows = numbers(run(tmp_path, tiny(), jobs=2).rows())

    assert rows == numbers(run(tmp_path, tiny(), jobs=1, name="alone").rows())
    assert len(rows) == 12


def test_beside_a_thread_a_task_in_a_file_is_run_by_a_new_interpreter(tmp_path):
    file = tmp_path / "my_task.py"
    file.write_text(FILE)
    alone = run(tmp_path, str(file), jobs=1, name="alone")
    progress, end = [], threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()

    try:
        assert needs_new_interpreter(Job(store="", study=1, plan=None, task=str(file), jobs=2))
        shared = run(tmp_path, str(file), jobs=2, name="shared", progress=progress.append)
    finally:
        end.set()
        thread.join()

    assert numbers(shared.rows()) == numbers(alone.rows())
    assert (progress[-1].done, progress[-1].total, progress[-1].running) == (12, 12, 0)
    assert progress[-1].leader in ARMS


def test_a_task_of_closures_runs_in_forks_of_this_process(tmp_path, uninterrupted):
    here = os.getpid()
    seen = tmp_path / "seen"

    def watched(seed):
        with seen.open("a") as file:
            file.write(f"{os.getpid()}\n")
        return model(seed)

    run(tmp_path, tiny(model=watched))

    workers = set(seen.read_text().split()) - {str(here)}
    assert len(workers) >= 2


def test_an_activation_that_only_this_process_knows_can_be_compared(tmp_path):
    @activation(paper="a test")
    def only_here(x):
        """Twice tanh."""
        return 2 * tanh(x)

    file = tmp_path / "my_task.py"
    file.write_text(FILE)
    try:
        study = run(tmp_path, str(file), arms=["relu", "only_here"], seeds=2)
        assert {row["status"] for row in study.rows()} == {"completed"}
    finally:
        forget("only_here")


def test_the_same_call_again_runs_nothing_twice(tmp_path):
    first = run(tmp_path).rows()

    assert run(tmp_path).rows() == first


def test_a_study_extended_by_seeds_equals_one_that_had_them_from_the_start(tmp_path, uninterrupted):
    run(tmp_path, seeds=2)

    assert numbers(run(tmp_path, seeds=4).rows()) == uninterrupted


def in_a_group(target, *arguments):
    """Start a function in a process that leads a group of its own, as a shell's job does."""

    def lead():
        os.setsid()
        target(*arguments)

    process = FORK.Process(target=lead)
    process.start()
    return process


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def count(folder):
    try:
        store = Store(folder / "actlab.db", create=False)
        return store.count(store.study("mine").id)
    except StoreError:
        return 0


def group_is_gone(leader):
    """Whether no process of the group is left, zombies aside."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[2] == str(leader) and fields[0] not in "ZX":
                return False
    return True


def test_the_next_short_trial_is_ordered_while_one_runs(tmp_path, uninterrupted):
    rows = run(tmp_path, slow(), jobs=1).rows()

    store = Store(tmp_path / "actlab.db")
    with store._engine.connect() as connection:
        claimed = {(row.arm, row.seed): row.claimed for row in connection.execute(sa.select(leases))}
    queued = sum(claimed[row["arm"], row["seed"]] < before["finished"] for before, row in pairwise(rows))
    assert queued >= 8  # of eleven: the costs come first, and the last one of a round is left for whoever ends first
    assert set(attempts_in(tmp_path).values()) == {1}
    assert numbers(rows) == uninterrupted


def test_what_a_process_has_queued_runs_elsewhere_if_it_ends_before(tmp_path, uninterrupted):
    def leaves_a_thread(seed):
        threading.Thread(target=threading.Event().wait, name="left", daemon=False).start()
        return slow().model(seed)

    rows = run(tmp_path, tiny(model=leaves_a_thread), jobs=1).rows()

    assert numbers(rows) == uninterrupted
    assert max(attempts_in(tmp_path).values()) == 2


@pytest.mark.parametrize("whom", ["everything", "the first process only"])
def test_a_study_killed_at_any_moment_resumes_where_it_was(tmp_path, uninterrupted, whom):
    process = in_a_group(run, tmp_path, slow())
    wait_for(lambda: count(tmp_path) >= 3)

    (os.killpg if whom == "everything" else os.kill)(process.pid, signal.SIGKILL)
    process.join(20)
    wait_for(lambda: group_is_gone(process.pid), 10)
    before = count(tmp_path)
    rows = run(tmp_path, slow()).rows()

    assert 3 <= before < 12
    assert numbers(rows) == uninterrupted
    # The workers' trials are begun again, and those that they had queued are leased again.
    assert sum(attempts_in(tmp_path).values()) - 12 <= 4


def _run_and_send(folder, messages):
    try:
        run(folder, slow())
    except StudyInterrupted as error:
        messages.put(str(error))


def test_ctrl_c_ends_the_workers_loses_nothing_and_says_how_to_resume(tmp_path, uninterrupted):
    messages = FORK.Queue()
    process = in_a_group(_run_and_send, tmp_path, messages)
    wait_for(lambda: count(tmp_path) >= 3)

    os.killpg(process.pid, signal.SIGINT)
    message = messages.get(timeout=20)
    process.join(20)

    assert "of 12 trials" in message
    assert "run the same command again to resume" in message
    wait_for(lambda: group_is_gone(process.pid), 10)
    assert numbers(run(tmp_path, slow()).rows()) == uninterrupted


def test_ctrl_c_with_one_job_leaves_the_trial_free(tmp_path):
    def stop(progress):
        if progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(StudyInterrupted, match="Stopped after 2 of 12"):
        run(tmp_path, jobs=1, progress=stop)

    assert len(run(tmp_path, jobs=1).rows()) == 12
    assert set(attempts_in(tmp_path).values()) <= {1, 2}


def test_two_processes_on_one_store_share_the_work(tmp_path, uninterrupted):
    processes = [in_a_group(run, tmp_path, slow()) for _ in range(2)]
    for process in processes:
        process.join(60)

    store = Store(tmp_path / "actlab.db")
    assert numbers(store.rows(store.study("mine").id)) == uninterrupted
    assert set(attempts_in(tmp_path).values()) == {1}


def test_an_error_of_the_store_ends_the_study_with_its_message(tmp_path, monkeypatch):
    def full(*_):
        raise StoreError("the disk is full")

    monkeypatch.setattr(Store, "finish", full)

    with pytest.raises(StoreError, match="the disk is full"):
        run(tmp_path)


def test_an_internal_error_is_raised_with_its_traceback(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "run_trial", lambda *_, **__: 1 / 0)

    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        run(tmp_path)


def test_a_budget_ends_a_study_which_says_so_and_can_go_on(tmp_path, uninterrupted):
    study = run(tmp_path, slow(), budget=1.5)

    some = study.rows()
    assert 0 < len(some) < 12
    assert any("Time-boxed" in warning for warning in study.verdict().warnings)

    rest = run(tmp_path, slow(), jobs=1)

    assert numbers(rest.rows()) == uninterrupted
    assert not any("Time-boxed" in warning for warning in rest.verdict().warnings)
