"""Processes of a command: how they end, what is kept of their output, and that none of them is left."""

import os
import resource
import signal
import sys
import time
from pathlib import Path

import pytest

from actlab.errors import TaskError
from actlab.tasks.scripts.process import CommandProcess

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs fork")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="descendants that left the group are found on Linux only")


def run(code, seconds=20.0):
    with CommandProcess([sys.executable, "-c", code], os.environ) as process:
        return process.wait(seconds)


def gone(pid, seconds=5.0):
    """Return whether a process has ended, or ends soon."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize(("code", "expected"), [("0", 0), ("3", 3), ("'text'", 1)])
def test_the_exit_code_is_known(code, expected):
    assert run(f"import sys; sys.exit({code})").code == expected


def test_a_signal_is_a_negative_exit_code():
    assert run("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)").code == -signal.SIGSEGV


def test_what_was_written_last_is_kept_of_a_hundred_megabytes_in_bounded_memory():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ended = run("import sys\nfor _ in range(100): sys.stdout.write('x' * 1_000_000)\nprint('the end', file=sys.stderr)")
    assert ended.code == 0
    assert ended.stderr == "the end\n"
    assert 0 < len(ended.stdout) <= 16384
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kilobytes


def test_a_command_that_reads_from_the_keyboard_finds_no_input():
    ended = run("input('yes or no? ')")
    assert ended.code == 1
    assert "EOFError" in ended.stderr


def test_a_program_that_cannot_be_started_says_why():
    with pytest.raises(TaskError, match="No such file"), CommandProcess(["/no/such/program"], os.environ) as process:
        process.wait(20)


def test_times_are_those_of_all_processes():
    ended = run("import subprocess, sys; subprocess.run([sys.executable, '-c', 'sum(range(5_000_000))'])")
    assert ended.cpu_seconds > 0.05
    assert ended.seconds > 0.05


@LINUX
def test_a_child_that_keeps_the_output_open_delays_nothing_and_is_ended(tmp_path):
    file = tmp_path / "pid"
    code = f"""
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open({str(file)!r}, 'w').write(str(os.getpid()))
        time.sleep(100)
    os._exit(0)
while not os.path.exists({str(file)!r}) or not open({str(file)!r}).read(): time.sleep(0.01)
print('done')
"""
    began = time.monotonic()
    assert run(code).stdout == "done\n"
    assert time.monotonic() - began < 10
    assert gone(int(file.read_text()))


SLEEPING_FAMILY = """
import os, time
file = {file!r}
if os.fork() == 0:
    os.setsid()
open(file, 'a').write(str(os.getpid()) + '\\n')
time.sleep(100)
"""


def wait_for_pids(file, count=2, seconds=10.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = file.read_text().split() if file.exists() else []
        if len(found) == count:
            return list(map(int, found))
        time.sleep(0.01)
    raise AssertionError("the command has not started")


@LINUX
def test_the_end_of_the_context_ends_a_command_with_its_children(tmp_path):
    file = tmp_path / "pids"
    code = SLEEPING_FAMILY.format(file=str(file))
    with CommandProcess([sys.executable, "-c", code], os.environ) as process:
        pids = wait_for_pids(file)
        assert process.wait(0.01) is None
    assert all(map(gone, pids))


@LINUX
@pytest.mark.parametrize("group", [False, True], ids=["process", "its group"])
def test_a_kill_of_the_process_that_asked_ends_a_command_with_its_children(group, tmp_path):
    file, code = tmp_path / "pids", SLEEPING_FAMILY.format(file=str(tmp_path / "pids"))
    asking = os.fork()
    if asking == 0:
        os.setsid()
        with CommandProcess([sys.executable, "-c", code], os.environ) as process:
            process.wait(100)
        os._exit(0)
    pids = wait_for_pids(file)
    os.killpg(asking, signal.SIGKILL) if group else os.kill(asking, signal.SIGKILL)
    os.waitpid(asking, 0)
    assert all(map(gone, pids))


@LINUX
def test_a_command_stops_while_the_process_that_asked_is_stopped(tmp_path):
    file, code = tmp_path / "pids", SLEEPING_FAMILY.format(file=str(tmp_path / "pids"))
    asking = os.fork()
    if asking == 0:
        with CommandProcess([sys.executable, "-c", code], os.environ) as process:
            process.wait(100)
        os._exit(0)
    pids = wait_for_pids(file)
    os.kill(asking, signal.SIGSTOP)
    assert all(has_state(pid, "T") for pid in pids)
    os.kill(asking, signal.SIGCONT)
    assert all(has_state(pid, "S") for pid in pids)
    os.kill(asking, signal.SIGKILL)
    os.waitpid(asking, 0)
    assert all(map(gone, pids))


def has_state(pid, state, seconds=5.0):
    """Return whether a process gets into a state soon."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == state:
            return True
        time.sleep(0.01)
    return False


@LINUX
def test_a_kill_of_the_supervisor_ends_the_command_with_the_children_of_its_session(tmp_path):
    file = tmp_path / "pids"
    code = SLEEPING_FAMILY.format(file=str(file)).replace("os.setsid()", "os.setpgid(0, 0)")
    with CommandProcess([sys.executable, "-c", code], os.environ) as process:
        pids = wait_for_pids(file)
        os.kill(process._supervisor.pid, signal.SIGKILL)
        assert process.wait(20).code is None
        assert all(gone(pid) for pid in pids)


@LINUX
def test_a_supervisor_that_was_killed_before_the_end_of_the_context_leaves_nothing(tmp_path):
    file = tmp_path / "pids"
    code = SLEEPING_FAMILY.format(file=str(file)).replace("os.setsid()", "pass")
    with CommandProcess([sys.executable, "-c", code], os.environ) as process:
        pids = wait_for_pids(file)
        os.kill(process._supervisor.pid, signal.SIGKILL)
    assert all(gone(pid) for pid in pids)
