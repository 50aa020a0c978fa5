"""Devices are chosen by name, and what is not there or contradicts itself is refused with what is there. No card is needed."""

import os
import subprocess
import sys
import time

import pytest
import torch

from actlab.errors import PlanError
from actlab.system import cores
from actlab.tasks.training import devices
from actlab.tasks.training.devices import Hardware, choose_hardware, has_unused_card, present_devices


@pytest.fixture
def two_cards(monkeypatch):
    monkeypatch.setattr(devices, "present_devices", lambda: ("cuda:0", "cuda:1"))


@pytest.fixture
def eight_cores(monkeypatch):
    monkeypatch.setattr(cores, "available", lambda: 8)


def test_without_a_setting_trials_run_on_the_cpu_one_per_core(eight_cores):
    assert choose_hardware() == Hardware(devices=("cpu",), jobs=8, threads=1)


@pytest.mark.parametrize(("threads", "jobs"), [(1, 8), (2, 4), (3, 2), (8, 1)])
def test_trials_with_several_threads_share_the_cores(eight_cores, threads, jobs):
    assert choose_hardware(threads=threads).jobs == jobs


@pytest.mark.parametrize(
    ("device", "chosen"),
    [
        ("cuda", ("cuda:0",)),
        ("CUDA:1", ("cuda:1",)),
        ("cuda:0,cuda:1", ("cuda:0", "cuda:1")),
        (" cuda:1 , cuda:0 ", ("cuda:1", "cuda:0")),
        (["cuda:0", "cuda:1"], ("cuda:0", "cuda:1")),
        (torch.device("cuda", 1), ("cuda:1",)),
        ([torch.device("cuda:0"), "cuda:1"], ("cuda:0", "cuda:1")),
        ("auto", ("cuda:0",)),
        ("cpu", ("cpu",)),
    ],
)
def test_devices_are_named_as_in_torch(two_cards, device, chosen):
    assert choose_hardware(device).devices == chosen


@pytest.mark.parametrize(("present", "chosen"), [((), "cpu"), (("mps",), "mps"), (("cuda:0",), "cuda:0")])
def test_auto_takes_the_first_accelerator_there_is(monkeypatch, present, chosen):
    monkeypatch.setattr(devices, "present_devices", lambda: present)

    assert choose_hardware("auto").devices == (chosen,)


def test_the_device_of_the_task_is_the_default_and_a_setting_replaces_it(two_cards):
    assert choose_hardware(default="cuda:1").devices == ("cuda:1",)
    assert choose_hardware("cpu", default="cuda:1").devices == ("cpu",)


def test_places_go_round_the_devices(two_cards):
    hardware = choose_hardware("cuda:0,cuda:1", jobs_per_device=2)

    assert hardware.jobs == 4
    assert [hardware.device_of(slot) for slot in range(4)] == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]


def test_a_card_runs_one_trial_at_a_time_unless_more_are_asked_for(two_cards):
    assert choose_hardware("cuda").jobs == 1
    assert choose_hardware("cuda:0,cuda:1").jobs == 2
    assert choose_hardware("cuda:0,cuda:1", jobs=6).jobs == 6
    assert choose_hardware("cpu", jobs_per_device=3).jobs == 3


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"device": "gpu"},
            ["device is 'gpu'", "auto", "Did you mean 'cuda'?", "Devices of this machine: cpu, cuda:0, cuda:1"],
        ),
        ({"device": "cuad"}, ["Did you mean 'cuda'?"]),
        ({"device": "cuda:7"}, ["there is no cuda:7 here", "cuda:0, cuda:1"]),
        ({"device": "cuda:"}, ["allowed are"]),
        ({"device": "meta"}, ["allowed are"]),
        ({"device": ""}, ["allowed are"]),
        ({"device": []}, ["allowed are"]),
        ({"device": 0}, ["device is 0", "allowed are"]),
        ({"device": "mps"}, ["there is no mps here"]),
        ({"device": "cuda:0,cpu"}, ["cards of one kind"]),
        ({"device": "cuda:0,cuda"}, ["names a card twice", "--jobs-per-device 2"]),
        ({"device": None, "default": "tpu"}, ["device of the task is 'tpu'"]),
        ({"jobs": 0}, ["jobs is 0", "from 1 up"]),
        ({"jobs": True}, ["jobs is True"]),
        ({"jobs_per_device": 0}, ["jobs_per_device is 0"]),
        ({"jobs_per_device": 1.5}, ["jobs_per_device is 1.5"]),
        ({"device": "cuda", "jobs": 3, "jobs_per_device": 2}, ["makes 2 on cuda:0", "one of the two"]),
        ({"threads": 0}, ["threads is 0"]),
        ({"threads": "2"}, ["threads is '2'"]),
        ({"threads": 10_000}, ["threads is 10000", "cores"]),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_is_refused_with_what_can(two_cards, settings, words):
    with pytest.raises(PlanError) as error:
        choose_hardware(**settings)

    for word in words:
        assert word in str(error.value)


def test_a_build_of_torch_without_cards_says_so(monkeypatch):
    monkeypatch.setattr(devices, "present_devices", tuple)
    monkeypatch.setattr(devices, "_is_built_for_cards", lambda: False)

    with pytest.raises(PlanError, match="knows no cards"):
        choose_hardware("cuda")


def test_hidden_cards_are_named_as_hidden(two_cards, monkeypatch):
    monkeypatch.setattr(devices, "_is_built_for_cards", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")

    with pytest.raises(PlanError, match="CUDA_VISIBLE_DEVICES is '0,1', which hides the others"):
        choose_hardware("cuda:2")


def test_on_mps_trials_run_one_after_another(monkeypatch):
    monkeypatch.setattr(devices, "present_devices", lambda: ("mps",))

    assert choose_hardware("mps").jobs == 1
    with pytest.raises(PlanError, match="one after another"):
        choose_hardware("mps", jobs=2)


def test_an_unused_card_is_noticed_only_where_there_is_a_driver(two_cards, monkeypatch, tmp_path):
    monkeypatch.setattr(devices, "_is_built_for_cards", lambda: True)
    monkeypatch.setattr(devices, "_DRIVER_FILES", (str(tmp_path / "driver"),))
    assert not has_unused_card(Hardware())

    (tmp_path / "driver").touch()
    assert has_unused_card(Hardware())
    assert not has_unused_card(Hardware(devices=("cuda:0",)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="without forks the driver is asked directly")
def test_the_driver_is_asked_in_another_process(monkeypatch):
    here = os.getpid()
    monkeypatch.setattr(devices, "_is_built_for_cards", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2 if os.getpid() != here else 1 / 0)

    assert present_devices() == ("cuda:0", "cuda:1")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="without forks the driver is asked directly")
@pytest.mark.parametrize("answer", [lambda: os._exit(3), lambda: os.kill(os.getpid(), 9)], ids=["ends", "is killed"])
def test_a_driver_that_ends_the_process_counts_as_no_card(monkeypatch, answer):
    monkeypatch.setattr(devices, "_is_built_for_cards", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", answer)

    assert present_devices() == (("mps",) if torch.backends.mps.is_available() else ())


def test_a_driver_that_hangs_is_not_waited_for_without_end(monkeypatch):
    monkeypatch.setattr(devices, "_is_built_for_cards", lambda: True)
    monkeypatch.setattr(devices, "_PROBE_LIMIT", 0.1)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: time.sleep(60))

    assert "cuda:0" not in present_devices()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
def test_asking_for_cards_does_not_initialise_cuda():
    code = "from actlab.tasks.training.devices import present_devices as p; import torch; print(p(), torch.cuda.is_initialized())"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.startswith("('cuda:0'")
    assert done.stdout.split()[-1] == "False"
