"""A store keeps finished trials, leases each trial to one process, and reports what is wrong with a database."""

import dataclasses
import multiprocessing
import os
import sqlite3
import subprocess
import sys

import pytest
import sqlalchemy as sa
from tests.studies.tiny import attempts, tiny

from actlab.errors import StoreError
from actlab.studies.plan import make_plan
from actlab.studies.store.database_errors import store_errors
from actlab.studies.store.lease_owner import Owner
from actlab.studies.store.schema import VERSION, leases
from actlab.studies.store.store import Store, TrialKey
from actlab.studies.trials.trial import Trial

KEYS = [TrialKey("main", arm, seed, 0.1) for seed in range(3) for arm in ("relu", "gelu")]


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "actlab.db")
    yield opened
    opened.close()


@pytest.fixture
def study(store):
    return store.begin_study("mine", make_plan(tiny(), ["relu", "gelu"], seeds=3)).id


def trial(key, metric=0.5):
    return Trial(**key._asdict(), metric=metric, curve=[{"step": 1, "loss": 0.1}])


def finish(store, study, key, metric=0.5):
    return store.finish(study, store.acquire(study, [key], Owner.of()), trial(key, metric))


def test_a_row_comes_back_to_the_bit(store, study):
    metric = 0.1 + 0.2 + 1e-17

    finish(store, study, KEYS[0], metric)

    [found] = store.rows(study)
    assert found["metric"] == metric
    assert set(found) == set(Trial(**KEYS[0]._asdict()).to_row())
    assert found["curve"] == [{"step": 1, "loss": 0.1}]


def test_a_trial_is_leased_once(store, study):
    leased = [store.acquire(study, KEYS, Owner.of()).key for _ in KEYS]

    assert leased == KEYS
    assert store.acquire(study, KEYS, Owner.of()) is None


def test_a_trial_that_has_a_row_is_not_leased_again(store, study):
    finish(store, study, KEYS[0])

    assert store.acquire(study, KEYS, Owner.of()).key == KEYS[1]


def dead_owner():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = Owner.of(child.pid)
    child.communicate(b"\n")
    return owner


def test_the_lease_of_a_dead_process_of_this_host_is_taken_at_once(store, study):
    store.acquire(study, KEYS[:1], dead_owner())

    assert store.acquire(study, KEYS[:1], Owner.of()).key == KEYS[0]
    assert attempts(store, study) == {KEYS[0]: 2}


def test_a_process_with_the_same_number_that_started_later_is_another(store, study):
    me = Owner.of()

    assert Owner(me.host, me.pid, "1").is_dead()
    assert not me.is_dead()


def test_a_process_that_lost_its_lease_cannot_write_the_row(store, study):
    lost = store.acquire(study, KEYS[:1], dead_owner())
    taken = store.acquire(study, KEYS[:1], Owner.of())

    assert store.finish(study, taken, trial(KEYS[0], 0.7))
    assert not store.finish(study, lost, trial(KEYS[0], 0.2))
    assert [found["metric"] for found in store.rows(study)] == [0.7]


def test_a_provisional_row_is_replaced_by_a_later_attempt_with_a_higher_number(store, study):
    killed = dataclasses.replace(trial(KEYS[0]), status="failed", metric=None, provisional=True)
    store.finish(study, store.acquire(study, KEYS[:1], Owner.of()), killed)
    [before] = store.results(study)
    assert before.provisional

    finish(store, study, KEYS[0], 0.7)

    [after] = store.results(study)
    assert (after.metric, after.provisional) == (0.7, False)
    assert after.row > before.row
    assert store.acquire(study, KEYS[:1], Owner.of()) is None


def test_a_store_of_an_earlier_build_gets_the_new_columns_when_it_is_opened_for_writing(store, study, tmp_path):
    finish(store, study, KEYS[0])
    store.close()
    with sqlite3.connect(tmp_path / "actlab.db") as connection:
        for table, name in (("trials", "provisional"), ("trials", "inputs"), ("claims", "uptime")):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN {name}")

    reading = Store(tmp_path / "actlab.db", create=False)
    assert [(row["provisional"], row["inputs"]) for row in reading.rows(study)] == [(False, None)]
    reading.close()

    writing = Store(tmp_path / "actlab.db")
    assert finish(writing, study, KEYS[1])
    assert [result.provisional for result in writing.results(study)] == [False, False]
    writing.close()


def test_a_released_lease_is_free(store, study):
    store.release(store.acquire(study, KEYS[:1], Owner.of()))

    assert store.acquire(study, KEYS[:1], Owner.of()).key == KEYS[0]


def _run_all(url, study, gate, found):
    store = Store(url, create=False)
    gate.wait()
    while (lease := store.acquire(study, KEYS, Owner.of())) is not None:
        found.put(lease.key)
        store.finish(study, lease, trial(lease.key))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_processes_that_race_for_trials_get_each_of_them_once(store, study):
    context = multiprocessing.get_context("fork")
    gate, found = context.Event(), context.Queue()
    children = [context.Process(target=_run_all, args=(store.url, study, gate, found)) for _ in range(4)]
    for child in children:
        child.start()
    gate.set()
    keys = [found.get(timeout=60) for _ in KEYS]
    for child in children:
        child.join(60)

    assert sorted(keys) == sorted(KEYS)
    assert store.count(study) == len(KEYS)
    assert set(attempts(store, study).values()) == {1}


def test_the_same_name_with_another_plan_is_refused_with_what_differs(store, study):
    with pytest.raises(StoreError, match=r"alpha: 0.05 in the store, 0.01 now.*another --name"):
        store.begin_study("mine", make_plan(tiny(), ["relu", "gelu"], seeds=3, alpha=0.01))


def test_a_study_may_be_extended_by_seeds_and_not_changed_to_others(store, study):
    assert store.begin_study("mine", make_plan(tiny(), ["relu", "gelu"], seeds=5)).plan.seeds == (0, 1, 2, 3, 4)
    assert store.begin_study("mine", make_plan(tiny(), ["relu", "gelu"], seeds=2)).plan.seeds == (0, 1, 2, 3, 4)
    with pytest.raises(StoreError, match="not changed to"):
        store.begin_study("mine", make_plan(tiny(), ["relu", "gelu"], seeds=[7, 8]))


def test_more_seeds_leave_the_region_of_an_earlier_builds_study_as_it_was(store):
    task = dataclasses.replace(tiny(), rope=None)
    store.begin_study(
        "old", make_plan(task, ["relu", "gelu"], seeds=3, rope=0.005)
    )  # the default of that build, in every plan

    extended = store.begin_study("old", make_plan(task, ["relu", "gelu"], seeds=5)).plan

    assert (extended.rope, len(extended.seeds)) == (0.005, 5)
    assert store.study("old").plan == extended


def test_a_region_given_to_a_study_without_one_is_refused(store):
    task = dataclasses.replace(tiny(), rope=None)
    store.begin_study("mine", make_plan(task, ["relu", "gelu"], seeds=3))

    for rope in (0.005, 0.1):
        with pytest.raises(StoreError, match=f"rope: the one that follows from the metric in the store, {rope} now"):
            store.begin_study("mine", make_plan(task, ["relu", "gelu"], seeds=5, rope=rope))


def test_an_unknown_study_is_an_error_that_names_the_nearest(store, study):
    with pytest.raises(StoreError, match=r"no study 'mnie'.*it contains mine. Did you mean 'mine'"):
        store.study("mnie")


def test_costs_stay_as_first_measured_and_facts_are_replaced(store, study):
    store.add_costs(study, {"relu": {"step_time": 1.0}})
    store.add_costs(study, {"relu": {"step_time": 2.0}, "gelu": {"step_time": 3.0}})
    store.set_fact(study, "budget_hit", True)
    store.set_fact(study, "budget_hit", False)

    assert store.costs(study) == {"relu": {"step_time": 1.0}, "gelu": {"step_time": 3.0}}
    assert store.facts(study) == {"budget_hit": False}


# What can be wrong with a store


def refused(store, *, create=True):
    with pytest.raises(StoreError) as caught:
        Store(store, create=create)
    return str(caught.value)


def test_memory_is_no_store():
    assert "would be lost" in refused("sqlite:///:memory:")


def test_a_folder_is_no_store(tmp_path):
    assert "is a folder" in refused(tmp_path)


def test_a_missing_folder_is_reported(tmp_path):
    assert "there is no folder" in refused(tmp_path / "no" / "actlab.db")


def test_a_missing_store_is_not_created_for_reading(tmp_path):
    assert "There is no store" in refused(tmp_path / "actlab.db", create=False)
    assert not (tmp_path / "actlab.db").exists()


def test_a_file_that_is_no_database_is_reported_and_not_changed(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("these are my notes, and no database at all " * 50)

    assert "is no SQLite database" in refused(file)
    assert file.read_text().startswith("these are my notes")


def test_the_database_of_another_program_is_not_written_to(tmp_path):
    file = tmp_path / "other.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE customers (id INTEGER)")

    assert "belongs to another program: it has the tables customers" in refused(file)


def test_a_newer_schema_is_reported_with_both_versions_and_what_to_do(store, tmp_path):
    with sqlite3.connect(tmp_path / "actlab.db") as connection:
        connection.execute("INSERT INTO actlab_schema VALUES (99)")

    said = refused(tmp_path / "actlab.db")

    assert f"schema is version 99, this one supports up to {VERSION}" in said
    assert "pip install -U actlab" in said


def test_an_unknown_kind_of_database_is_reported():
    assert "is no database URL" in refused("oracel://host/name")


def test_a_missing_driver_is_reported_with_how_to_install_it():
    assert "pip install" in refused("postgresql+psycopg://host/name")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_reported(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)

    assert "permissions" in refused(tmp_path / "locked" / "actlab.db")


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("attempt to write a readonly database", "permissions"),
        ("unable to open database file", "permissions"),
        ("database is locked", "locked by another program"),
        ("database or disk is full", "free some space"),
        ("disk I/O error", "Finished trials are not lost"),
        ("database disk image is malformed", "is damaged"),
        ("something new", "cannot be used"),
    ],
)
def test_errors_of_the_database_come_with_advice(reason, advice):
    error = sa.exc.OperationalError("INSERT", {}, sqlite3.OperationalError(reason))

    with pytest.raises(StoreError, match=advice) as caught, store_errors("sqlite:///x.db"):
        raise error

    assert "sqlite:///x.db" in str(caught.value)


def test_a_store_that_is_full_keeps_what_was_in_it(store, study):
    finish(store, study, KEYS[0])
    lease = store.acquire(study, KEYS, Owner.of())
    with store._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    sa.event.listen(store._engine, "begin", lambda c: c.exec_driver_sql(f"PRAGMA max_page_count={pages}"), insert=True)

    big = dataclasses.replace(trial(lease.key), curve=[{"step": 1, "loss": 0.1}] * 5000)
    with pytest.raises(StoreError, match="no room left: the disk is full"):
        store.finish(study, lease, big)

    assert store.count(study) == 1
    assert store.acquire(study, [lease.key], Owner.of()) is None  # the lease is still open: neither half was written


def test_leases_of_a_finished_study_are_all_closed(store, study):
    for key in KEYS:
        finish(store, study, key)

    with store._engine.connect() as connection:
        outcomes = connection.execute(sa.select(leases.c.outcome)).scalars().all()
    assert outcomes == ["finished"] * len(KEYS)
