"""However a trial ends, that is its result, and the study goes on; with one job as with several."""

import ctypes
import faulthandler
import os
import re
import signal
import time

import pytest
import torch
from tests.studies.tiny import attempts, model, numbers, tiny

from actlab.studies.execution import ended_trial, time_limits
from actlab.studies.store.store import Store
from actlab.study import compare

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def spoiled(what):
    """The tiny task, in whose trials of seed 1 something happens."""
    here, accidents = os.getpid(), iter(lambda: what, None)  # an object that is no part of the task's digest

    def with_accident(seed):
        if seed == 1 and os.getpid() != here:
            next(accidents)()
        return model(seed)

    return tiny(model=with_accident)


def run(folder, task, *, jobs=2, seeds=2, **settings):
    return compare(task, ["relu", "gelu"], seeds=seeds, jobs=jobs, store=folder / "actlab.db", name="mine", **settings)


def raises(error):
    def do():
        raise error

    return do


def crash():
    faulthandler.disable()  # pytest's, which would print a page
    os.kill(os.getpid(), signal.SIGSEGV)


class Unprintable(BaseException):
    def __str__(self):
        raise KeyboardInterrupt


ENDINGS = {
    "exit with 0": (lambda: os._exit(0), "os._exit(0) was called"),
    "exit with 2": (lambda: os._exit(2), "os._exit(2) was called"),
    "exit with 3 in C": (lambda: ctypes.CDLL(None)._exit(3), "ended the process with exit code 3"),
    "another program": (lambda: os.execvp("true", ["true"]), "ended the process with exit code 0"),  # noqa: S606, S607 # a harmless program
    "KeyboardInterrupt": (raises(KeyboardInterrupt()), "KeyboardInterrupt"),
    "SystemExit": (raises(SystemExit(0)), "SystemExit: 0"),
    "GeneratorExit": (raises(GeneratorExit()), "GeneratorExit"),
    "an exception without a text": (raises(Unprintable()), "its text cannot be had"),
    "closed descriptors": (lambda: os.closerange(3, 5000), "closed file descriptors"),
    "all descriptors closed": (lambda: os.closerange(0, 5000), "closed file descriptors"),
    "a question": (lambda: input("?"), "EOFError"),
    "a crash": (crash, "SIGSEGV 3 times"),
}


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_trial_that_ends_badly_is_a_failure_with_its_reason(tmp_path, ending, jobs):
    what, reason = ENDINGS[ending]

    rows = run(tmp_path, spoiled(what), jobs=jobs).rows()

    fates = {(row["arm"], row["seed"]): row["status"] for row in rows}
    assert fates == {("relu", 0): "completed", ("gelu", 0): "completed", ("relu", 1): "failed", ("gelu", 1): "failed"}
    assert all(reason in row["error"] for row in rows if row["seed"] == 1)
    assert not any(row["provisional"] for row in rows)


def test_a_kill_from_outside_is_tried_again_and_leaves_a_row_that_a_later_run_replaces(tmp_path):
    rows = run(tmp_path, spoiled(lambda: os.kill(os.getpid(), signal.SIGKILL))).rows()

    killed = [row for row in rows if row["seed"] == 1]
    assert [(row["status"], row["provisional"]) for row in killed] == [("failed", True)] * 2
    assert "SIGKILL 5 times, the last 4 while no other trial ran" in killed[0]["error"]
    store = Store(tmp_path / "actlab.db")
    assert {(key.seed, n) for key, n in attempts(store, store.study("mine").id).items()} == {(0, 1), (1, 5)}

    later = run(tmp_path, spoiled(lambda: None)).rows()

    assert {row["status"] for row in later} == {"completed"}
    assert len(later) == 4


def test_a_single_kill_leaves_no_trace_in_the_rows(tmp_path):
    killed = tmp_path / "killed"

    def once():
        if not killed.exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    rows = run(tmp_path, spoiled(once), seeds=3).rows()

    (tmp_path / "other").mkdir()
    assert numbers(rows) == numbers(run(tmp_path / "other", spoiled(lambda: None), seeds=3).rows())


def test_when_the_process_that_forks_is_killed_its_trials_run_again(tmp_path):
    killed = tmp_path / "killed"

    def once():
        if not killed.exists():
            killed.touch()
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)

    rows = run(tmp_path, spoiled(once), seeds=3).rows()

    assert {row["status"] for row in rows} == {"completed"}
    store = Store(tmp_path / "actlab.db")
    assert store.holders(store.study("mine").id) == []


CHANGES = {
    "working folder": lambda: os.chdir("/"),
    "umask": lambda: os.umask(0o777),
    "default dtype": lambda: torch.set_default_dtype(torch.float64),
    "gradients": lambda: torch._C._set_grad_enabled(False),
    "signal handlers": lambda: [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGTERM, signal.SIGHUP)],
    "standard streams": lambda: [os.close(n) for n in (0, 1, 2)],
    "a fork that returns": os.fork,
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_trial_changes_of_its_process_does_not_reach_the_next(tmp_path, change):
    rows = run(tmp_path, spoiled(CHANGES[change]), jobs=1, seeds=3, eliminate=False).rows()

    (tmp_path / "other").mkdir()
    untouched = run(tmp_path / "other", spoiled(lambda: None), jobs=1, seeds=3, eliminate=False).rows()
    assert len(rows) >= 4
    assert [r for r in numbers(untouched) if r["seed"] != 1][:2] == [r for r in numbers(rows) if r["seed"] != 1][:2]
    later = {row["seed"]: row for row in rows if row["seed"] == 2}
    assert all(row["status"] == "completed" for row in later.values())


def test_a_trial_that_hangs_is_ended_at_its_limit_and_run_again_later(tmp_path):
    began = time.monotonic()
    rows = run(tmp_path, spoiled(lambda: time.sleep(600)), trial_limit=1.0).rows()

    assert time.monotonic() - began < 60
    hung = [row for row in rows if row["seed"] == 1]
    assert [(row["status"], row["provisional"]) for row in hung] == [("failed", True)] * 2
    assert "the limit for a trial is 1 s (as asked for)" in hung[0]["error"]
    assert {row["status"] for row in run(tmp_path, spoiled(lambda: None)).rows()} == {"completed"}


def test_a_trial_that_hangs_by_chance_leaves_no_trace_in_the_rows(tmp_path):
    hung = tmp_path / "hung"

    def once():
        if not hung.exists():
            hung.touch()
            time.sleep(600)

    rows = run(tmp_path, spoiled(once), seeds=3, trial_limit=2.0).rows()

    (tmp_path / "other").mkdir()
    assert numbers(rows) == numbers(run(tmp_path / "other", spoiled(lambda: None), seeds=3).rows())


def test_the_default_limit_follows_the_trials_before(tmp_path, monkeypatch):
    monkeypatch.setattr(time_limits, "_FLOOR", 1.0)

    rows = run(tmp_path, spoiled(lambda: time.sleep(600))).rows()

    assert "20 times the longest trial so far" in next(row["error"] for row in rows if row["seed"] == 1)


def test_a_stopped_process_is_ended_at_the_limit_too(tmp_path):
    rows = run(tmp_path, spoiled(lambda: os.kill(os.getpid(), signal.SIGSTOP)), trial_limit=1.0, jobs=1).rows()

    assert [row["provisional"] for row in rows if row["seed"] == 1] == [True] * 2


def test_a_budget_ends_trials_that_run_and_says_so(tmp_path, caplog):
    study = run(tmp_path, spoiled(lambda: time.sleep(600)), budget=1.0)

    assert {row["seed"] for row in study.rows()} == {0}
    assert re.search(r"Trials that still run \([12]\) are ended in 2 s", caplog.text)
    assert any("Time-boxed" in warning for warning in study.verdict().warnings)
    assert len(run(tmp_path, spoiled(lambda: None)).rows()) == 4


def test_the_text_of_an_error_is_stored_short_and_printable(tmp_path):
    error = ValueError("first \ud800\x00 line " + "x" * 10_000_000 + "\nsecond")

    rows = run(tmp_path, spoiled(raises(error)), jobs=1).rows()

    text = next(row["error"] for row in rows if row["seed"] == 1)
    assert text.startswith(r"ValueError: first \ud800\x00 line xxx")
    assert "characters left out" in text
    assert len(text) < 6000


def test_what_a_trial_prints_goes_to_the_standard_error_stream(tmp_path, capfd):
    def noisy():
        print("from Python")  # noqa: T201 # that is the point
        os.write(1, b"from the descriptor\n")
        ctypes.CDLL(None).puts(b"from C")
        ctypes.CDLL(None).fflush(None)

    run(tmp_path, spoiled(noisy), jobs=1)

    out, err = capfd.readouterr()
    assert out == ""
    assert all(f"from {what}" in err for what in ("Python", "the descriptor", "C"))


def test_a_task_that_ends_the_template_process_when_it_is_warmed_up_still_has_results(tmp_path):
    here, mark = os.getpid(), tmp_path / "template"

    def fatal_in_template(seed):
        if os.getpid() != here and not mark.exists():
            mark.touch()
            os.closerange(3, 5000)
        return model(seed)

    rows = run(tmp_path, tiny(model=fatal_in_template)).rows()

    assert [row["status"] for row in rows] == ["completed"] * 4


def test_memory_that_ran_out_is_told_apart_from_a_kill():
    key = ("main", "relu", 0, 0.1)
    trial = ended_trial.killed_trial(ended_trial.TrialKey(*key), 9, 3, out_of_memory=True, seconds=1.0)

    assert (trial.status, trial.provisional) == ("out_of_memory", True)
    assert "because memory ran out" in trial.error
