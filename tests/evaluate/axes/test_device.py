"""Axis of flash, RAM and instructions on an emulated core, once for each arm."""

from __future__ import annotations

import dataclasses
import pickle
import shutil
from typing import Any

import pytest
from tests.studies.tiny import data, tiny
from torch import nn

from actlab.errors import ExportError
from actlab.evaluate.axes import device
from actlab.evaluate.axes.device import DEVICE, device_axis
from actlab.evaluate.axis import Axis
from actlab.evaluate.axis_registry import axes_named
from actlab.evaluate.costs.arm_axes import ArmModels, measure_arm_axes
from actlab.export.c99.integer import source
from actlab.export.device import measurement
from actlab.studies.arm import parse_arm
from actlab.studies.arm_cost import measure_costs
from actlab.tasks.training.conditions import Conditions

needs_tools = pytest.mark.skipif(
    not (shutil.which("arm-none-eabi-gcc") and shutil.which("qemu-system-arm")), reason="no compiler or emulator"
)


def measured(axis: Axis, *specs: str) -> dict[str, dict[str, Any]]:
    arms = [parse_arm(spec) for spec in specs]
    costs = measure_costs(tiny(), arms, baseline=specs[0], conditions=Conditions(axes=(axis,)))
    return {label: cost["axes"][axis.name] for label, cost in costs.items()}


@needs_tools
def test_arms_have_figures_of_the_core_which_are_compiled_once_and_have_no_noise(monkeypatch) -> None:
    runs: list[str] = []
    real = measurement.measure

    def counted(folder: str, core: str, **options: Any) -> Any:
        runs.append(core)
        return real(folder, core, **options)

    monkeypatch.setattr(measurement, "measure", counted)
    device._figures.cache_clear()
    found = measured(device_axis("m3"), "relu", "gelu")
    assert runs == ["m3", "m3"]  # one project each, though an axis of arms runs twice
    for result in found.values():
        assert set(result["numbers"]) == set(DEVICE.columns)
        assert result["ratios"] == {}
        assert result["record"]["core"] == "Cortex-M3"
        assert sum(result["record"]["layers"].values()) == pytest.approx(result["numbers"]["instructions"], rel=0.1)
    relu, gelu = found["relu"]["numbers"], found["gelu"]["numbers"]
    assert 256 <= gelu["constants"] - relu["constants"] < 300  # one table of 256 codes, which relu does without
    assert gelu["flash"] > relu["flash"] > relu["constants"]
    assert gelu["ram"] == relu["ram"]


@needs_tools
def test_a_core_whose_outputs_are_wrong_has_no_figures(monkeypatch) -> None:
    real = source.print_integer_net

    def planted(*arguments: Any, **options: Any) -> Any:
        printed = real(*arguments, **options)
        wrong = printed.source.replace(">>", ">> 1 >>")
        assert wrong != printed.source
        return dataclasses.replace(printed, source=wrong)

    monkeypatch.setattr(source, "print_integer_net", planted)
    result = measured(DEVICE, "relu")["relu"]
    assert result["numbers"] == {}
    assert result["undefined"]["flash"].startswith("the outputs on Cortex-M4F are not those of NumPy (2 vectors")


def test_without_a_compiler_the_figures_are_missing_with_what_to_install_and_nothing_is_guessed(monkeypatch) -> None:
    device._figures.cache_clear()
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("actlab.export.device.compiler.find_spec", lambda _: None)
    result = measured(DEVICE, "relu")["relu"]
    assert set(result["numbers"]) == {"constants"}
    assert set(result["undefined"]) == set(DEVICE.columns) - {"constants"}
    assert "Install arm-none-eabi-gcc and qemu-system-arm" in result["undefined"]["instructions"]


def test_an_arm_that_cannot_be_exported_has_the_reason_and_the_others_have_numbers(monkeypatch) -> None:
    def absent(*_: Any) -> None:
        raise ExportError("no compiler")

    monkeypatch.setattr(device, "_figures", absent)
    models = {"relu": tiny().model(0), "attention": nn.Sequential(nn.Linear(4, 2), nn.TransformerEncoderLayer(2, 1, 4))}
    arms = ArmModels(models=models, task=tiny(), data=data(0), inputs=None, seed=0)
    found = {
        arm: axes["device"]
        for arm, axes in measure_arm_axes(arms, where=Conditions(axes=(DEVICE,)), baseline="relu").items()
    }
    assert found["relu"]["numbers"]["constants"] > 0
    assert found["relu"]["undefined"]["flash"] == "no compiler"
    assert found["attention"]["numbers"] == {}
    assert "cannot be exported to int8" in found["attention"]["undefined"]["flash"]


def test_the_name_stands_for_the_core_and_the_metric_there_and_takes_another_core() -> None:
    assert [axis.name for axis in axes_named("device")] == ["device", "int8"]
    assert [axis.name for axis in axes_named("device:m3, device:m0")] == ["device_m3", "int8", "device_m0"]
    assert [axis.source for axis in axes_named("device:m4f,device:m33")] == ["device", "int8", "device:m33"]
    assert not {"device", "int8"} & {axis.name for axis in axes_named("all")}
    again = pickle.loads(pickle.dumps(axes_named("device:m3")[0]))
    assert (again.name, again.source, again.measure.keywords) == ("device_m3", "device:m3", {"core": "m3"})


def test_a_core_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ExportError, match=r"There is no core 'm44f'. Did you mean 'm4f'\? Cores: m0, m3"):
        axes_named("device:m44f")
