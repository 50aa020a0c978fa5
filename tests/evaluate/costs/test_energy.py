"""Energy of processors and cards, with counters of known readings."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from actlab.evaluate.costs import energy, inference
from actlab.evaluate.costs.energy import CardCounter, energy_counters, interleaved_joules, rapl_counters
from actlab.evaluate.costs.inference import inference_costs
from actlab.tasks.training.conditions import Conditions


class Meter:
    """Counter that an action moves."""

    seconds = 0.0

    def __init__(self) -> None:
        self.now = 0.0

    def read(self) -> float:
        return self.now

    def joules(self, before: float, after: float) -> float:
        return after - before

    def action(self, joules: float) -> Any:
        def run() -> None:
            self.now += joules

        return run


def _zone(folder: Path, name: str, value: int, largest: int = 1000) -> Path:
    zone = folder / name
    zone.mkdir()
    (zone / "energy_uj").write_text(str(value))
    (zone / "max_energy_range_uj").write_text(str(largest))
    return zone


def test_energy_is_that_of_the_packages_and_counters_start_again(tmp_path: Path) -> None:
    package = _zone(tmp_path, "intel-rapl:0", 900)
    _zone(tmp_path, "intel-rapl:0:0", 5)
    counters = rapl_counters(tmp_path)
    assert len(counters) == 1
    assert counters[0].joules(900, 200) == pytest.approx(300e-6)
    (package / "energy_uj").write_text("950")
    readings = iter(range(960, 990))

    def move() -> None:
        (package / "energy_uj").write_text(str(next(readings)))

    blocks = interleaved_joules({"a": move}, counters, seconds=0)
    assert [block["a"].tolist() for block in blocks] == [[pytest.approx(10e-6)], *[[pytest.approx(1e-6)]] * 8]


def test_a_machine_without_counters_has_no_energy_and_says_so(tmp_path: Path) -> None:
    assert "RAPL" in energy_counters("cpu", folder=tmp_path / "none")
    _zone(tmp_path, "intel-rapl:0", 1)
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("unreadable")
    assert rapl_counters(tmp_path) == []
    assert "the kind mps" in energy_counters("mps")


def test_every_block_has_the_joules_of_one_run_of_every_action() -> None:
    meter = Meter()
    blocks = interleaved_joules({"a": meter.action(3.0), "b": meter.action(1.5)}, [meter, meter], seconds=0)
    assert len(blocks) == 9
    assert {name: float(joules[0]) for name, joules in blocks[0].items()} == {"a": 6.0, "b": 3.0}


def _nvml(reading: Any = lambda _: 5000, name: str = "") -> SimpleNamespace:
    asked: list[str] = []

    def handle(identity: str) -> str:
        asked.append(identity)
        return identity

    return SimpleNamespace(
        asked=asked,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=handle,
        nvmlDeviceGetTotalEnergyConsumption=reading,
    )


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid=f"uuid-of-{device}"))


@pytest.mark.usefixtures("card")
def test_the_counter_of_a_card_is_found_by_its_identity_and_counts_millijoules(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = _nvml()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    counters = energy_counters("cuda:1")
    assert nvml.asked == ["GPU-uuid-of-cuda:1"]
    assert isinstance(counters[0], CardCounter)
    assert (counters[0].read(), counters[0].joules(5000, 7500)) == (5000.0, 2.5)


@pytest.mark.usefixtures("card")
def test_a_card_without_counter_or_package_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def old(_: str) -> int:
        raise RuntimeError("Not Supported")

    monkeypatch.setitem(sys.modules, "pynvml", _nvml(old))
    assert energy_counters("cuda") == "the energy counter of the card cannot be read (NVML: Not Supported)"
    monkeypatch.setitem(sys.modules, "pynvml", None)  # as if it were not installed
    assert "nvidia-ml-py" in energy_counters("cuda")


MODELS = {"relu": nn.Sequential(nn.Linear(4, 4), nn.ReLU()), "gelu": nn.Sequential(nn.Linear(4, 4), nn.GELU())}


def _costs(monkeypatch: pytest.MonkeyPatch, counters: Any) -> Any:
    monkeypatch.setattr(inference, "_SECONDS", 0.0)
    monkeypatch.setattr(inference, "energy_counters", lambda _: counters)
    return inference_costs(MODELS, torch.zeros(8, 4), where=Conditions(), baseline="relu")


def test_energy_is_of_one_example_and_has_nine_ratios(monkeypatch: pytest.MonkeyPatch) -> None:
    meter = Meter()
    spent = {id(MODELS["relu"]): 8.0, id(MODELS["gelu"]): 24.0}
    forward = inference._forward

    def metered(model: nn.Module, inputs: Any) -> Any:
        meter.now += spent[id(model)]
        return forward(model, inputs)

    monkeypatch.setattr(inference, "_forward", metered)
    found = _costs(monkeypatch, [meter])
    assert [found[name]["numbers"]["energy"] for name in MODELS] == [1.0, 3.0]
    assert found["gelu"]["ratios"]["energy"] == [3.0] * 9
    assert "energy" not in found["gelu"]["undefined"]


def test_absent_energy_is_named_and_never_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _costs(monkeypatch, "no counter here")["gelu"]["undefined"] == {"energy": "no counter here"}
    still = _costs(monkeypatch, [Meter()])["gelu"]
    assert "did not move" in still["undefined"]["energy"]
    assert "energy" not in still["numbers"]
    assert np.isfinite(still["ratios"]["latency"]).all()
    assert energy.__all__
