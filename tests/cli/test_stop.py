"""Signals end the command line with one message and their exit code, and with --json standard output is one document."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from tests.studies.tiny import FILE

from actlab.cli import stop
from actlab.system import interrupts

NOISE = """
import atexit, ctypes, os
print("import")
atexit.register(lambda: os.write(1, b"exit"))

def noisy(make):
    def model(seed):
        print("model")
        os.write(1, b"descriptor")
        ctypes.CDLL(None).puts(b"C")
        os.system("echo child")
        return make(seed)
    return model

model = noisy(model)
"""


def command(folder, *options, source=FILE):
    file = folder / "my_task.py"
    file.write_text(source)
    arguments = ["compare", str(file), "relu", "gelu", "--seeds", "2", "--jobs", "1", "--store", str(folder / "a.db")]
    return [sys.executable, "-m", "actlab", *arguments, *options]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_while_the_command_imports_is_answered_with_one_message(tmp_path, number, code):
    process = subprocess.Popen(command(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    status = f"/proc/{process.pid}/status"
    while not _catches(status, number):  # until the program answers it; before that it is the interpreter's
        assert process.poll() is None
        time.sleep(0.005)

    process.send_signal(number)
    out, err = process.communicate(timeout=60)

    assert process.returncode == code
    assert out == ""
    assert err.startswith("Stopped. Finished trials are stored; the same command resumes:\n  actlab compare ")
    assert "Traceback" not in err


STOPPED_IN_USER_CODE = """
import os, signal, time
from actlab.system import interrupts
from actlab.tasks.isolation import isolated
interrupts.install(lambda: "Stopped.")
with isolated(0):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)
"""


def test_a_signal_while_user_code_runs_is_answered_like_any_other():
    done = subprocess.run([sys.executable, "-c", STOPPED_IN_USER_CODE], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (143, "", "Stopped.\n")


def _catches(status, number):
    with open(status) as file:  # noqa: PTH123 # read again and again
        caught = next(int(line.split()[1], 16) for line in file if line.startswith("SigCgt"))
    return caught >> (signal.SIGTERM - 1) & 1 and caught >> (number - 1) & 1


def test_with_json_standard_output_is_one_document_whatever_the_task_prints(tmp_path):
    done = subprocess.run(
        command(tmp_path, "--json", source=FILE + NOISE),
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )

    assert json.loads(done.stdout)["arms"]
    assert all(word in done.stderr for word in ("import", "model", "descriptor", "C", "child", "exit"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["/usr/bin/actlab", "list"], True),
        (["/x/actlab/__main__.py"], True),
        (["/usr/bin/pytest"], False),
        (["-c"], False),
    ],
)
def test_signals_are_answered_in_the_program_only(monkeypatch, words, expected):
    monkeypatch.setattr(sys, "argv", words)

    assert stop.is_program() == expected


def test_a_keyboard_interrupt_of_user_code_is_told_from_ctrl_c():
    before = signal.getsignal(signal.SIGINT)
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        assert interrupts.may_raise()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        assert not interrupts.may_raise()
    finally:
        signal.signal(signal.SIGINT, before)
