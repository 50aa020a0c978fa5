"""Trials run on the devices and threads of the study's hardware. Stand-ins take the place of cards, which are not needed."""

import multiprocessing
import os
import subprocess
import sys

import pytest
import torch
from tests.studies.tiny import FILE, model, tiny

from actlab.errors import TaskError
from actlab.studies import arm_cost
from actlab.studies.arm import parse_arm
from actlab.studies.execution import cost_process, template
from actlab.studies.execution.job import Job
from actlab.studies.execution.template import HAS_THREADS
from actlab.studies.execution.template_process import CannotForkError, TemplateError, TemplateStart
from actlab.studies.plan import make_plan
from actlab.studies.settings import StudySettings
from actlab.studies.trials.trial import run_trial
from actlab.study import compare, draft
from actlab.system import cores
from actlab.tasks.training import devices, evaluation, loop
from actlab.tasks.training.devices import Hardware

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture
def two_cards(monkeypatch):
    """Two cards that are the CPU: what is moved to one of them stays where it is. Returns the moves, seen by all processes."""
    moves = multiprocessing.get_context("fork").SimpleQueue()

    def put(kind):
        def moved(value, device, *_rest, **_options):
            if str(device) != "cpu":
                moves.put((kind, str(device), os.getpid()))
            return value

        return moved

    monkeypatch.setattr(devices, "present_devices", lambda: ("cuda:0", "cuda:1"))
    monkeypatch.setattr(template, "make_repeatable", lambda device: moves.put(("process", device, os.getpid())))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.nn.Module, "to", put("model"))
    for module in (loop, evaluation, arm_cost):
        monkeypatch.setattr(module, "placed", put("batch"))
    return moves


def drained(queue):
    found = []
    while not queue.empty():
        found.append(queue.get())
    return found


def local(make=model):
    return tiny(model=lambda seed: make(seed))  # noqa: PLW0108 # a closure, so that processes are forked from this one


def run(folder, task=None, *, name="mine", seeds=4, **settings):
    return compare(task or local(), ["relu", "gelu"], seeds=seeds, store=folder / "actlab.db", name=name, **settings)


def test_trials_are_shared_out_to_the_cards_and_each_process_keeps_to_one(tmp_path, two_cards, monkeypatch):
    monkeypatch.setattr(
        cost_process, "_are_missing", lambda *_: False
    )  # they may keep a card busy until all trials have ended
    study = run(tmp_path, device="cuda:0,cuda:1")

    rows = study.rows()
    assert {row["versions"]["device"] for row in rows} == {"cuda:0", "cuda:1"}
    for row in rows:
        alone = run_trial(tiny(), parse_arm(row["arm"]), row["seed"])
        assert (row["metric"], row["curve"]) == (alone.metric, alone.curve), "weights and batches are those of the CPU"
    assert not [warning for warning in study.verdict().warnings if "devices" in warning]
    moves = drained(two_cards)
    assert {kind for kind, *_ in moves} == {"process", "model", "batch"}
    for process in {pid for *_, pid in moves}:
        assert len({device for _, device, pid in moves if pid == process}) == 1


def test_costs_say_on_what_they_were_taken(tmp_path, two_cards):
    on_card = run(tmp_path, device="cuda:1", seeds=1).costs()
    on_cpu = run(tmp_path, name="cpu", jobs=1, seeds=1).costs()

    assert on_card["relu"]["on"] == {"device": "cuda:1", "threads": "1"}
    assert on_cpu["gelu"]["on"] == {"device": "cpu", "threads": "1"}


def test_a_trial_that_runs_out_of_a_cards_memory_is_a_result_and_its_process_ends(tmp_path, two_cards):
    def hungry(seed):
        if seed == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return model(seed)

    rows = run(tmp_path, local(hungry), device="cuda", seeds=3).rows()

    assert [row["status"] for row in rows if row["seed"] == 1] == ["out_of_memory"] * 2
    assert {row["status"] for row in rows if row["seed"] == 0} == {"completed"}
    runners = {pid for kind, _, pid in drained(two_cards) if kind == "process"}
    assert len(runners) >= 3, (
        "one for the costs, one for the first trials, and another after each that ran out of memory"
    )


def test_a_study_that_is_resumed_on_another_device_warns(tmp_path, two_cards):
    run(tmp_path, seeds=2, jobs=1)

    warnings = run(tmp_path, seeds=4, device="cuda").verdict().warnings

    assert any("the devices cpu and cuda" in warning for warning in warnings)


def test_the_tasks_own_device_is_used_unless_another_is_asked_for(two_cards):
    task = tiny(device="cuda:1")

    assert draft(task, ["relu", "gelu"]).hardware.devices == ("cuda:1",)
    assert draft(task, ["relu", "gelu"], device="cpu").hardware.devices == ("cpu",)


def test_a_card_that_nobody_uses_is_named_in_one_line(two_cards, monkeypatch, caplog):
    monkeypatch.setattr("actlab.studies.prepare.has_unused_card", lambda hardware: hardware.is_cpu)

    draft(tiny(), ["relu", "gelu"])
    assert [record.message for record in caplog.records].count(
        "The trials run on the CPU. This machine has a card: --device auto (device='auto') uses it."
    ) == 1

    caplog.clear()
    draft(tiny(), ["relu", "gelu"], device="cpu")
    assert not caplog.records


@pytest.mark.skipif(cores.available() < 2, reason="needs two cores")
def test_a_trial_has_the_threads_that_are_asked_for(tmp_path):
    file = tmp_path / "my_task.py"
    file.write_text(FILE)

    study = run(tmp_path, str(file), threads=2, seeds=1, jobs=1)

    assert {row["versions"]["threads"] for row in study.rows()} == {"2"}


def refused(start, **greeting):
    with pytest.raises((TemplateError, CannotForkError, TaskError)) as error:
        start.refuse(greeting)
    return error.type, start.warm


def test_trials_on_several_threads_are_not_forked_from_a_process_that_has_threads():
    plan = make_plan(tiny(), ["relu", "gelu"], baseline="relu", settings=StudySettings(seeds=2))
    start = TemplateStart(Job(store="", study=1, plan=plan, task=tiny(), jobs=1, hardware=Hardware(threads=2)), tiny())

    assert refused(start, problem=HAS_THREADS) == (TemplateError, False)  # of the task's functions, perhaps
    assert refused(start, problem=HAS_THREADS) == (CannotForkError, False)
    assert refused(start, error="no data") == (TaskError, False)


@pytest.mark.slow
@pytest.mark.skipif(cores.available() < 2, reason="needs two cores")
def test_a_task_that_starts_threads_for_good_when_it_is_loaded_does_not_hang(tmp_path, caplog):
    file = tmp_path / "my_task.py"
    file.write_text(f"{FILE}\nimport threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n")

    study = run(tmp_path, str(file), threads=2, seeds=1, jobs=1, trial_limit="20s")

    assert {row["status"] for row in study.rows()} == {"completed"}
    assert "The trials run in this process, one after another" in caplog.text


@pytest.mark.slow
@pytest.mark.skipif(cores.available() < 2, reason="needs two cores")
def test_a_task_that_uses_the_threads_of_pools_when_it_is_loaded_is_forked_without_these(tmp_path):
    (tmp_path / "my_task.py").write_text(f"{FILE}\ntorch.randn(800, 800) @ torch.randn(800, 800)\n")
    code = (
        "from actlab.study import compare\n"
        "study = compare('my_task.py', ['relu', 'gelu'], threads=2, seeds=1, jobs=1, trial_limit='20s', store='study.db')\n"
        "print({(row['status'], row['versions']['threads']) for row in study.rows()})"
    )
    variables = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
    )

    assert "{('completed', '2')}" in done.stdout, done.stderr
    assert "The trials run in this process" not in done.stderr


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
def test_a_study_on_a_card_gives_the_same_result_as_on_the_cpu(tmp_path):
    study = compare("digits", ["relu", "gelu"], seeds=3, device="cuda", store=tmp_path / "actlab.db", name="card")
    beside = compare("digits", ["relu", "gelu"], seeds=3, device="cpu", store=tmp_path / "actlab.db", name="cpu")

    rows = study.rows()
    assert {row["status"] for row in rows} == {"completed"}
    assert {row["versions"]["device"] for row in rows} == {"cuda:0"}
    assert {row["versions"]["card"] for row in rows} == {torch.cuda.get_device_name(0)}
    assert study.costs()["relu"]["on"]["device"] == "cuda:0"
    means = [sum(row["metric"] for row in part.rows() if row["stage"] == "main") / 6 for part in (study, beside)]
    assert means[0] == pytest.approx(means[1], abs=0.02)
