"""A study whose processes are killed in the middle of long trials has the rows of one that was not, and repeats little."""

import os
import signal
import time
import traceback

import pytest
from tests.studies.tiny import FILE, model, numbers, tiny
from torch import nn
from torch.nn import functional as F

from actlab.errors import PlanError
from actlab.studies.execution.checkpoint_folder import CHECKPOINTS_VARIABLE, CheckpointFolder, store_folder
from actlab.studies.store.store import Store, TrialKey
from actlab.study import compare
from actlab.tasks.training.checkpoint import checkpoint_file

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

STEPS = 90  # of a trial of the tasks here
EVERY_STEP = "0.0001s"


def is_in_trial():
    """Whether a trial has called, rather than the checks or the measurement of costs."""
    return any(frame.name == "run_trial" for frame in traceback.extract_stack())


class Fatal:
    """Loss that ends its process at some of its calls, counted over all processes in a file."""

    def __init__(self, file, at, end):
        self.file, self.at, self.end = file, at, end

    def __call__(self, output, target):
        if is_in_trial():
            with self.file.open("ab") as stream:
                stream.write(b"x")
            if self.file.stat().st_size in self.at:
                self.end()
        return F.cross_entropy(output, target)

    @property
    def calls(self):
        return self.file.stat().st_size


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def drawing(seed):
    """A model that draws numbers, and is trained by itself rather than in a stack."""
    return nn.Sequential(*model(seed)[:2], nn.RReLU(), nn.Dropout(0.1), model(seed)[2])


def run(folder, loss, **settings):
    options = {"seeds": 2, "jobs": 1, "checkpoint_every": EVERY_STEP, **settings}
    task = tiny(loss=loss, model=drawing, epochs=30)
    return compare(task, ["relu", "gelu"], store=folder / "actlab.db", name="mine", progress=False, **options)


def without_code(rows):
    return [{**row, "inputs": {**row["inputs"], "code": None}} for row in numbers(rows)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return without_code(run(tmp_path_factory.mktemp("undisturbed"), F.cross_entropy, checkpoint_every=0).rows())


def files(folder):
    found = folder / "actlab.db.checkpoints"
    return sorted(str(path.relative_to(found)) for path in found.rglob("*")) if found.exists() else None


@pytest.mark.parametrize("jobs", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_kills_of_single_processes_leave_no_trace_but_the_steps_they_repeat(tmp_path, jobs, undisturbed):
    kills = {20, 75, 150, 260}
    loss = Fatal(tmp_path / "calls", kills, kill)

    rows = run(tmp_path, loss, jobs=jobs).rows()

    assert without_code(rows) == undisturbed
    assert loss.calls - 4 * STEPS <= 3 * len(
        kills
    )  # the step of the kill, and those of a checkpoint that was not finished
    assert files(tmp_path) is None


def test_kills_of_everything_leave_no_trace_either(tmp_path, undisturbed):
    kills, first = {30, 130, 131}, tmp_path / "first"

    def kill_everything():
        os.killpg(int(first.read_text()), signal.SIGKILL)
        os.killpg(0, signal.SIGKILL)  # the runner is in a session of its own

    loss = Fatal(tmp_path / "calls", kills, kill_everything)
    for number in range(len(kills) + 1):
        pid = os.fork()
        if pid == 0:
            os.setsid()
            first.write_text(str(os.getpid()))
            run(tmp_path, loss)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        if number < len(kills):
            assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
            assert len(files(tmp_path)) == 2  # the folder of the study, and the file of the trial
        else:
            assert os.waitstatus_to_exitcode(status) == 0

    store = Store(tmp_path / "actlab.db")
    assert without_code(store.rows(store.study("mine").id)) == undisturbed
    assert loss.calls - 4 * STEPS <= 3 * len(kills)
    assert files(tmp_path) is None


@pytest.mark.slow  # 3 s, of what tests of bad endings show as well
def test_without_checkpoints_a_killed_trial_begins_anew(tmp_path, undisturbed):
    loss = Fatal(tmp_path / "calls", {80}, kill)
    assert without_code(run(tmp_path, loss, checkpoint_every=0).rows()) == undisturbed
    assert loss.calls == 4 * STEPS + 80


@pytest.mark.slow  # twice the limit, which must be long enough for a whole trial on a busy machine
def test_a_trial_that_hangs_is_ended_at_its_limit_though_it_has_checkpoints(tmp_path):
    hangs = {50, 50 + STEPS + 50}  # of one arm: the other's trial comes before its second attempt, which runs alone
    loss = Fatal(tmp_path / "calls", hangs, lambda: time.sleep(60))
    rows = run(tmp_path, loss, seeds=1, trial_limit="5s").rows()
    assert sorted(row["status"] for row in rows) == ["completed", "failed"]
    assert loss.calls == max(hangs)  # the second attempt has begun anew: the limit is that of a whole trial
    assert files(tmp_path) is None


def test_checkpoints_that_no_trial_needs_are_removed_and_nothing_else(tmp_path):
    folder = tmp_path / "actlab.db.checkpoints"
    study = compare(
        tiny(), ["relu", "gelu"], seeds=1, jobs=1, store=tmp_path / "actlab.db", name="mine", progress=False
    )
    own = folder / f"1-{study.plan.fingerprint[:12]}"
    of_a_finished_trial = checkpoint_file(own, stage="main", arm="relu", seed=0, lr=0.01)
    of_an_open_one = checkpoint_file(own, stage="main", arm="relu", seed=7, lr=0.01)
    of_no_study = folder / "9-0123456789ab" / "main-0-0.pt"
    foreign = folder / "notes" / "mine.txt"
    for file in (of_a_finished_trial, of_an_open_one, of_no_study, foreign):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()

    compare(tiny(), ["relu", "gelu"], seeds=1, jobs=1, store=tmp_path / "actlab.db", name="mine", progress=False)

    assert files(tmp_path) == [own.name, f"{own.name}/{of_an_open_one.name}", "notes", "notes/mine.txt"]


def test_a_trial_may_have_a_folder_in_the_place_of_a_file(tmp_path):
    key = TrialKey("main", "relu", 0, 0.01)
    file = checkpoint_file(tmp_path, **key._asdict())
    file.with_suffix("").mkdir()
    (file.with_suffix("") / "last.ckpt").touch()
    CheckpointFolder(tmp_path).remove([key])
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_beside_the_store_in_the_cache_or_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.delenv(CHECKPOINTS_VARIABLE, raising=False)
    monkeypatch.setenv("ACTLAB_CACHE", str(tmp_path / "cache"))
    assert store_folder(f"sqlite:///{tmp_path}/runs.db") == tmp_path / "runs.db.checkpoints"
    server = store_folder("postgresql://host/name")
    assert server.parent == tmp_path / "cache" / "checkpoints"
    assert server != store_folder("postgresql://host/other")
    monkeypatch.setenv(CHECKPOINTS_VARIABLE, str(tmp_path / "large disk"))
    for url in ("postgresql://host/name", f"sqlite:///{tmp_path}/runs.db"):
        assert store_folder(url).parent == tmp_path / "large disk"


@pytest.mark.parametrize("interval", ["soon", -1, True, "10 parsecs", "inf"])
def test_an_interval_that_is_no_time_is_refused(tmp_path, interval):
    (tmp_path / "task.py").write_text(FILE)
    with pytest.raises(PlanError, match=r"checkpoint_every.*0 or 'none' turns it off"):
        compare(str(tmp_path / "task.py"), ["relu", "gelu"], checkpoint_every=interval, store=tmp_path / "actlab.db")
