"""A checkpoint is read back as it was written, or not at all; what is wrong with the file never ends a trial."""

import logging
import random
import signal

import numpy as np
import pytest
import torch

from actlab.tasks.training import checkpoint as module
from actlab.tasks.training.checkpoint import Checkpoint, checkpoint_file, generator_states, restore_generators

STATE = {"step": 3, "weights": torch.arange(6.0), "pair": (1, [2.5, None]), "generators": {"a": torch.zeros(2)}}


def at(folder, *, every=0.0, **key):
    return Checkpoint(folder / "sub" / "trial.pt", key={"seed": 0, **key}, every=every)


def test_what_was_saved_is_read_by_another_process_of_the_trial(tmp_path):
    at(tmp_path).save(STATE)
    found = at(tmp_path).load()
    assert found["step"] == 3
    assert torch.equal(found["weights"], STATE["weights"])
    assert found["pair"] == (1, [2.5, None])
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["trial.pt"]


def test_the_latest_state_counts(tmp_path):
    checkpoint = at(tmp_path)
    for step in range(3):
        checkpoint.save({"step": step})
    assert at(tmp_path).load() == {"step": 2}


def test_a_state_of_other_code_or_data_is_not_read(tmp_path):
    at(tmp_path, code="a").save(STATE)
    assert at(tmp_path, code="b").load() is None
    assert at(tmp_path, code="a").load() is not None


def test_it_is_due_when_the_interval_has_passed_since_the_last_one(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    checkpoint = at(tmp_path, every=60.0)
    due = []
    for seconds in (0, 59, 61, 62, 121, 122):
        now[0] = 100.0 + seconds
        due.append(checkpoint.due)
        if checkpoint.due:
            checkpoint.save({})
    assert due == [False, False, True, False, True, False]


BROKEN = {
    "empty": lambda _: b"",
    "cut off": lambda content: content[: len(content) // 2],
    "without its end": lambda content: content[:-20],
    "a text": lambda _: b"no checkpoint",
    "zeros": lambda content: bytes(len(content)),
}


@pytest.mark.parametrize("damage", BROKEN.values(), ids=BROKEN)
def test_a_damaged_file_is_as_none_and_said_once(tmp_path, damage, caplog):
    at(tmp_path).save(STATE)
    file = tmp_path / "sub" / "trial.pt"
    file.write_bytes(damage(file.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert at(tmp_path).load() is None
        assert at(tmp_path).load() is None
    assert len(caplog.records) == 1
    assert "cannot be read" in caplog.text
    assert "begins anew" in caplog.text
    assert not file.exists()


def test_a_file_that_runs_code_when_it_is_read_is_not_read(tmp_path, caplog):
    file = tmp_path / "sub" / "trial.pt"
    file.parent.mkdir()

    class Evil:
        def __reduce__(self):
            return (eval, ("print('ran')",))

    torch.save({"form": 1, "key": "{}", "spent": [0, 0], "state": Evil()}, file)
    assert at(tmp_path).load() is None
    assert "cannot be read" in caplog.text


class Unreadable:
    """An object of user code, which weights_only does not read."""


UNSTORABLE = {"object of a class": Unreadable(), "function": lambda: None, "generator": (it for it in ())}


@pytest.mark.parametrize("value", UNSTORABLE.values(), ids=UNSTORABLE)
def test_a_state_that_could_not_be_read_again_is_told_when_it_is_written(tmp_path, value, caplog):
    checkpoint = at(tmp_path)
    checkpoint.save({"scheduler": value})
    checkpoint.save({"scheduler": value})
    assert len(caplog.records) == 1
    assert "goes on without checkpoints" in caplog.text
    assert not checkpoint.due
    assert list((tmp_path / "sub").iterdir()) == []


def test_a_full_disk_is_told_once_and_the_state_before_is_kept(tmp_path, monkeypatch, caplog):
    checkpoint = at(tmp_path)
    checkpoint.save({"step": 1})

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(module, "write_atomically", full)
        checkpoint.save({"step": 2})
        checkpoint.save({"step": 3})
    assert len(caplog.records) == 1
    assert "No space left on device" in caplog.text
    assert at(tmp_path).load() == {"step": 1}

    checkpoint.save({"step": 4})  # there is room again
    assert at(tmp_path).load() == {"step": 4}


def test_a_disk_that_is_full_in_the_middle_of_a_file_is_told_in_its_words(tmp_path, caplog):
    resource = pytest.importorskip("resource")
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        at(tmp_path).save({"weights": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert "File too large" in caplog.text
    assert list((tmp_path / "sub").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told_once(tmp_path, caplog):
    (tmp_path / "sub").write_text("a file in its place")
    checkpoint = at(tmp_path)
    checkpoint.save(STATE)
    checkpoint.save(STATE)
    assert len(caplog.records) == 1
    assert "cannot be written" in caplog.text


def test_what_a_process_that_was_killed_while_it_wrote_has_left_is_removed(tmp_path):
    at(tmp_path).save(STATE)
    (tmp_path / "sub" / ".trial.pt.abc.new").write_bytes(b"half")
    (tmp_path / "sub" / ".other.pt.abc.new").write_bytes(b"of another trial")
    assert at(tmp_path).load() is not None
    assert sorted(path.name for path in (tmp_path / "sub").iterdir()) == [".other.pt.abc.new", "trial.pt"]


def test_the_time_of_earlier_attempts_is_added_up(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    first = at(tmp_path)
    now[0] = 5.0
    first.save({})
    second = at(tmp_path)
    second.load()
    assert second.seconds == 5.0
    now[0] = 8.0
    second.save({})
    third = at(tmp_path)
    third.load()
    assert third.seconds == 8.0


def test_trials_have_files_of_their_own():
    trials = [
        {"stage": stage, "arm": arm, "seed": seed, "lr": lr}
        for stage in ("main", "tune0")
        for arm in ("relu", "swish(beta=learned)", "a/b: *")
        for seed in (0, 1)
        for lr in (0.1, 0.3)
    ]
    files = {checkpoint_file("folder", **trial) for trial in trials}
    assert len(files) == len(trials)
    assert {str(file.parent) for file in files} == {"folder"}


def test_generators_go_on_from_their_states(tmp_path):
    def draw():
        return torch.rand(2).tolist(), np.random.rand(), np.random.randn(), random.random(), random.gauss(0, 1)  # noqa: NPY002, S311

    draw()  # numpy and random keep a second normal number for the next call
    checkpoint = at(tmp_path)
    checkpoint.save(generator_states())
    expected = [draw() for _ in range(3)]
    restore_generators(at(tmp_path).load())
    assert [draw() for _ in range(3)] == expected
