"""Leases expire when their owner is dead, stopped or silent, whatever the clocks of the machines say."""

import multiprocessing
import os
import signal
import time

import pytest
from tests.studies.tiny import attempts, tiny

from actlab.studies.execution.waiting import WaitingNotice, holder_text
from actlab.studies.plan import make_plan
from actlab.studies.store import lease_expiry
from actlab.studies.store.lease_expiry import EXPIRY, STOPPED_EXPIRY
from actlab.studies.store.lease_owner import Owner
from actlab.studies.store.store import Store, TrialKey
from actlab.studies.trials.trial import Trial

KEY = TrialKey("main", "relu", 0, 0.1)
ELSEWHERE = Owner("elsewhere/0123/4", 1, "1")


class Clock:
    """Clocks of this machine as the store sees them."""

    def __init__(self):
        self.uptime, self.date = 1000.0, 1.7e9

    def monotonic(self):
        return self.uptime

    def time(self):
        return self.date

    def pass_by(self, seconds, *, looks=()):
        """Let time pass in steps of a second, with a look at the store after each."""
        for _ in range(round(seconds)):
            self.uptime += 1
            self.date += 1
            for look in looks:
                look()


@pytest.fixture
def clock(monkeypatch):
    own = Clock()
    for name in ("monotonic", "time"):
        monkeypatch.setattr(time, name, getattr(own, name))
    return own


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "actlab.db")
    yield opened
    opened.close()


@pytest.fixture
def study(store):
    return store.begin_study("mine", make_plan(tiny(), ["relu", "gelu"], seeds=3)).id


def acquire(store, study, owner=None):
    return store.acquire(study, [KEY], owner or Owner.of())


def test_the_lease_of_another_machine_expires_when_it_was_not_renewed_while_this_process_watched(store, study, clock):
    acquire(store, study, ELSEWHERE)

    clock.pass_by(EXPIRY - 1, looks=[lambda: acquire(store, study)])
    assert attempts(store, study) == {KEY: 1}
    clock.pass_by(3, looks=[lambda: acquire(store, study)])

    assert attempts(store, study) == {KEY: 2}


def test_a_lease_that_is_renewed_holds(store, study, clock):
    acquire(store, study, ELSEWHERE)

    for _ in range(3):
        clock.pass_by(EXPIRY - 1, looks=[lambda: acquire(store, study)])
        store.renew(ELSEWHERE)

    assert attempts(store, study) == {KEY: 1}


@pytest.mark.parametrize("moved", [-1e6, 1e6])
def test_a_clock_that_was_moved_ends_no_lease_and_keeps_none(store, study, clock, moved):
    acquire(store, study, ELSEWHERE)
    clock.date += moved

    assert acquire(store, study) is None
    clock.pass_by(EXPIRY + 2, looks=[lambda: acquire(store, study)])

    assert attempts(store, study) == {KEY: 2}


def test_time_in_which_the_watching_process_was_stopped_itself_does_not_count(store, study, clock):
    acquire(store, study, ELSEWHERE)
    assert acquire(store, study) is None

    clock.uptime += 1e6

    assert acquire(store, study) is None


def test_the_lease_of_a_living_process_of_this_machine_expires_without_renewals(store, study, clock):
    silent = acquire(store, study)
    clock.uptime += EXPIRY - 1
    assert acquire(store, study) is None

    clock.uptime += 2
    taken = acquire(store, study)

    result = Trial(**KEY._asdict(), metric=0.5)
    assert store.finish(study, taken, result)
    assert not store.finish(study, silent, result)


@pytest.fixture
def stopped():
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    process.start()
    os.kill(process.pid, signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)
    yield Owner.of(process.pid)
    process.kill()
    process.join()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_stopped_process_is_named_with_what_happens_next_and_loses_its_trials_sooner(stopped, store, study, clock):
    acquire(store, study, stopped)
    assert acquire(store, study) is None
    [holder] = store.holders(study)

    text = holder_text(holder)
    clock.uptime += STOPPED_EXPIRY + 1

    assert f"Another process (pid {stopped.pid}) holds 1 trial of this study. It is stopped" in text
    assert f"taken over in {STOPPED_EXPIRY:.0f} s" in text
    assert acquire(store, study) is not None


def test_waiting_is_said_once_for_each_process_and_not_between_two_trials(clock, caplog):
    notice = WaitingNotice()
    holder = lease_expiry.Holder(ELSEWHERE, 2, is_stopped=False, heartbeat=0.0, left=100.0, is_local=False)
    assert not notice.is_due(waiting=True)
    clock.uptime += 5
    assert notice.is_due(waiting=True)

    notice.tell([holder])
    notice.tell([holder])

    assert caplog.text.count("pid 1 on elsewhere") == 1
    assert not notice.is_due(waiting=False)
    assert not notice.is_due(waiting=True)


def test_leases_left_by_an_earlier_run_in_the_same_process_are_closed(store, study):
    acquire(store, study)

    store.release_owned(study, Owner.of())

    assert acquire(store, study) is not None
