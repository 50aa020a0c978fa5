"""No process that a training starts outlives its trial, however that ends."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.studies.tiny import model, tiny

from actlab.study import compare

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="descendants that left the group are found on Linux only"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]


def plain():
    return subprocess.Popen(["/bin/sleep", "1000"]).pid


def of_a_session_of_its_own():
    return subprocess.Popen(["/bin/sleep", "1000"], start_new_session=True).pid


def of_a_shell():
    command = ["sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!"]
    return int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def daemon():
    command = ["setsid", "sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!"]
    return int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def worker():
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,))
    process.start()
    return process.pid


def deaf():
    command = ["sh", "-c", "trap '' TERM; echo; while :; do sleep 0.05; done"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    process.stdout.readline()
    return process.pid


KINDS = (plain, of_a_session_of_its_own, of_a_shell, daemon, worker, deaf)


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def all_ended(pids, seconds=10.0):
    end = time.monotonic() + seconds
    while any(map(runs, pids)) and time.monotonic() < end:
        time.sleep(0.01)
    return [pid for pid in pids if runs(pid)] == []


def leaving(folder, *, kinds=KINDS, then=lambda: None):
    """The tiny task, whose first trial starts processes that nobody ends, and then does something; later ones note which of them run."""
    file, here = folder / "pids", os.getpid()

    def build(seed):
        if here not in {os.getpid(), os.getppid()} and seed == 1:  # in a process of trials
            if not file.exists():
                pids = [kind() for kind in kinds]
                (folder / "new").write_text(" ".join(map(str, pids)))
                (folder / "first").write_text(str(os.getpid()))
                (folder / "new").rename(file)
                then()
            elif not (folder / "seen").exists() and (folder / "first").read_text() != str(os.getpid()):
                (folder / "seen").write_text(str(sum(map(runs, noted(folder)))))
        return model(seed)

    return tiny(model=build)


def noted(folder, seconds=20.0):
    end, file = time.monotonic() + seconds, folder / "pids"
    while not file.exists() and time.monotonic() < end:
        time.sleep(0.01)
    return list(map(int, file.read_text().split()))


def run(folder, task, **settings):
    options = {
        "seeds": 2,
        "jobs": 1,
        "store": folder / "a.db",
        "progress": False,
        "stack": False,
        "target": "none",
        **settings,
    }
    return compare(task, ["relu", "gelu"], **options)


def test_processes_that_a_trial_leaves_are_ended_before_the_next_one(tmp_path):
    rows = run(tmp_path, leaving(tmp_path)).rows()

    assert {row["status"] for row in rows} == {"completed"}
    assert (tmp_path / "seen").read_text() == "0"
    assert all_ended(noted(tmp_path), 0.0)


def kill_itself():
    os.kill(os.getpid(), signal.SIGKILL)


def kill_the_process_that_forks():
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


def crash():
    os.kill(os.getpid(), signal.SIGSEGV)


@pytest.mark.parametrize(
    ("then", "kinds"),
    [(kill_itself, KINDS), (crash, KINDS), (kill_the_process_that_forks, (plain, of_a_shell, worker, deaf))],
    ids=["the runner is killed", "the runner crashes", "the process that forks is killed"],
)
def test_processes_of_a_killed_runner_are_ended(then, kinds, tmp_path):
    rows = run(tmp_path, leaving(tmp_path, then=then, kinds=kinds)).rows()

    assert {row["status"] for row in rows} == {"completed"}
    assert (tmp_path / "seen").read_text() == "0"
    assert all_ended(noted(tmp_path), 0.0)


def test_processes_of_a_trial_that_is_ended_at_its_limit_are_ended(tmp_path):
    rows = run(tmp_path, leaving(tmp_path, then=lambda: time.sleep(60)), trial_limit=1).rows()

    assert {row["status"] for row in rows} == {"completed"}
    assert all_ended(noted(tmp_path), 0.0)


@pytest.mark.parametrize(("number", "group"), [(signal.SIGKILL, False), (signal.SIGKILL, True), (signal.SIGINT, False)])
def test_processes_of_a_study_that_is_ended_are_ended(number, group, tmp_path):
    first = os.fork()
    if first == 0:
        try:
            os.setpgid(0, 0)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            run(tmp_path, leaving(tmp_path, then=lambda: time.sleep(60)))
        finally:
            os._exit(0)
    pids = noted(tmp_path)
    os.killpg(first, number) if group else os.kill(first, number)
    os.waitpid(first, 0)

    assert all_ended(pids)


def test_what_the_task_starts_for_all_trials_lives_until_the_study_ends(tmp_path):
    here, started = os.getpid(), []

    def build(seed):
        if not started and os.getpid() != here:
            started.append(plain())
            with (tmp_path / "pids").open("a") as file:
                file.write(f"{started[0]} ")
        if started and not runs(started[0]):
            raise RuntimeError("the server of all trials was ended")
        return model(seed)

    rows = run(tmp_path, tiny(model=build)).rows()

    assert {row["status"] for row in rows} == {"completed"}
    assert len(noted(tmp_path)) == 1  # when the functions of the task were run once
    assert all_ended(noted(tmp_path), 0.0)


def has_letter(pids, letter, seconds=10.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if {Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in pids} == {letter}:
            return True
        time.sleep(0.01)
    return False


def test_ctrl_z_stops_the_processes_of_the_trials_and_they_go_on_with_the_first_one(tmp_path):
    first = os.fork()
    if first == 0:
        try:
            os.setpgid(
                0, 0
            )  # the suite may run in an orphaned process group, as under setsid, where SIGTSTP stops nothing
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            run(tmp_path, leaving(tmp_path, kinds=(plain, of_a_shell, os.getpid), then=lambda: time.sleep(60)))
        finally:
            os._exit(0)
    pids = [*noted(tmp_path), first]
    os.kill(first, signal.SIGTSTP)
    assert has_letter(pids, "T")
    os.kill(first, signal.SIGCONT)
    assert has_letter(pids, "S")
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    assert all_ended(pids[:-1])
