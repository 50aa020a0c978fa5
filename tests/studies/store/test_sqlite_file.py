"""A store that is deleted, moved, replaced or overwritten while it is used is told, and one that cannot be written is read."""

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tests.studies.store.test_store import KEYS, finish, trial
from tests.studies.tiny import FILE, tiny

import actlab
from actlab.errors import StoreError
from actlab.studies.plan import make_plan
from actlab.studies.store.lease_owner import Owner
from actlab.studies.store.store import Store


@pytest.fixture
def file(tmp_path):
    return tmp_path / "actlab.db"


@pytest.fixture
def used(file):
    """A store with a row in its log, held open as by a worker, and the study's number."""
    Store(file).close()
    store = Store(file, create=False, keep_open=True)
    study = store.begin_study("mine", make_plan(tiny(), ["relu", "gelu"], seeds=3)).id
    finish(store, study, KEYS[0])
    yield store, study
    store.close()


def replace_by_a_new_store(file):
    Store(file.with_name("other.db")).close()
    file.with_name("other.db").replace(file)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda file: file.unlink(), "moved or deleted"),
        (lambda file: file.rename(file.with_name("elsewhere.db")), "moved or deleted"),
        (replace_by_a_new_store, "replaced by another file"),
        (lambda file: (file.unlink(), file.write_text("notes")), "replaced by another file"),
        (lambda file: file.with_name("actlab.db-wal").unlink(), "separated from its write-ahead log"),
        (lambda file: shutil.rmtree(file.parent), "moved or deleted"),
    ],
)
def test_a_store_that_is_lost_is_told_at_the_next_transaction_and_saved_where_that_is_possible(
    used, file, change, what
):
    store, study = used
    lease = store.acquire(study, KEYS[1:], Owner.of())
    change(file)
    there = file.exists()

    with pytest.raises(StoreError, match=what) as caught:
        store.finish(study, lease, trial(lease.key))

    assert file.exists() == there
    if not file.parent.exists():
        assert "was not saved" in str(caught.value)
        return
    [saved] = file.parent.glob("actlab.db.rescued-*")
    assert f"saved in {saved}" in str(caught.value)
    assert [row["arm"] for row in actlab.load_study(saved, "mine").rows()] == ["relu"]


def test_a_running_study_whose_store_is_moved_ends_with_its_rows_saved(file, tmp_path):
    (tmp_path / "task.py").write_text(FILE)

    def move(progress):
        if progress.done == 3 and file.exists():
            file.rename(tmp_path / "elsewhere.db")

    with pytest.raises(StoreError, match=r"moved or deleted.*run the same command with --store"):
        actlab.compare(tmp_path / "task.py", ["relu", "gelu"], seeds=6, jobs=2, store=file, name="mine", progress=move)

    [saved] = tmp_path.glob("actlab.db.rescued-*")
    assert len(actlab.load_study(saved, "mine").rows()) >= 3
    assert not file.exists()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files cannot be listed")
@pytest.mark.parametrize("content", ["another store", b"", b"notes" * 1000])
def test_a_store_that_is_overwritten_in_place_is_told_at_the_next_transaction(used, file, content):
    store, study = used
    if content == "another store":
        Store(file.with_name("other.db")).close()
        content = file.with_name("other.db").read_bytes()
    with file.open("wb") as stream:
        stream.write(content)

    with pytest.raises(StoreError, match="was overwritten while a study used it"):
        store.acquire(study, KEYS, Owner.of())


def test_a_deleted_store_is_not_created_again_by_a_reader(file):
    store = Store(file)
    file.unlink()

    with pytest.raises(StoreError, match="moved or deleted"):
        store.studies()

    assert not file.exists()


def test_a_store_in_a_place_that_cannot_be_written_is_read_with_the_rows_in_its_log(used, file, tmp_path):
    place = tmp_path / "locked"
    place.mkdir()
    for name in ("actlab.db", "actlab.db-wal"):
        shutil.copy(file.with_name(name), place)
    before = {part.name: part.read_bytes() for part in place.iterdir()}
    for part in place.iterdir():
        part.chmod(0o444)
    place.chmod(0o555)
    script = """if True:
        import os, sys
        import actlab
        actlab.load_study(sys.argv[2], "mine").verdict()  # imports what is needed, which another user may not be able to read
        if os.geteuid() == 0:
            os.setuid(65534)
        study = actlab.load_study(sys.argv[1], "mine")
        print(len(study.rows()), study.verdict().study, len(actlab.list_studies(sys.argv[1])))
    """
    closed = [
        folder for folder in tmp_path.parents if "pytest-" in str(folder)
    ]  # pytest's folders are closed to other users
    for folder in (tmp_path, *closed):
        folder.chmod(folder.stat().st_mode | 0o055)
    found = subprocess.run(
        [sys.executable, "-c", script, str(place / "actlab.db"), str(file)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    place.chmod(0o755)

    assert found.stdout.split() == ["1", "mine", "1"], found.stderr
    assert {part.name: part.read_bytes() for part in place.iterdir()} == before


def test_what_cannot_be_written_is_not_written_to_a_copy(used, file, monkeypatch):
    monkeypatch.setattr("actlab.studies.store.sqlite_file._is_readable", lambda _: False)
    reading = Store(file, create=False)

    with pytest.raises(StoreError, match="check the permissions"):
        reading.set_fact(1, "budget_hit", True)


def test_stores_of_one_folder_have_numbers_of_their_own(tmp_path):
    numbers = set()
    for name in ("a.db", "b.db"):
        Store(tmp_path / name).close()
        with sqlite3.connect(tmp_path / name) as connection:
            numbers |= {connection.execute("PRAGMA user_version").fetchone()[0]}

    assert len(numbers) == 2
    assert 0 not in numbers
