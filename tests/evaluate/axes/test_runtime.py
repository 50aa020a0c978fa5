"""Axis of the latency in runtimes, measured once for each arm beside the costs."""

from __future__ import annotations

from typing import Any

import pytest
from tests.studies.tiny import tiny

from actlab.errors import ExportError
from actlab.evaluate.axes.runtime import RUNTIME
from actlab.evaluate.axis_registry import axes_named
from actlab.export.onnx import net_runs
from actlab.export.onnx.runtimes import RUNTIMES
from actlab.studies.arm import parse_arm
from actlab.studies.arm_cost import measure_costs
from actlab.tasks.training.conditions import Conditions

ARMS = [parse_arm("relu"), parse_arm("mish")]


def measured() -> dict[str, dict[str, Any]]:
    costs = measure_costs(tiny(), ARMS, baseline="relu", conditions=Conditions(axes=(RUNTIME,)))
    return {label: cost["axes"]["runtime"] for label, cost in costs.items()}


def test_arms_have_times_in_the_installed_runtimes_as_ratios_to_the_baseline_and_reasons_for_the_others(monkeypatch):
    exports = []
    real = net_runs.write

    def counted(*arguments, **options):
        exports.append(arguments)
        return real(*arguments, **options)

    monkeypatch.setattr(net_runs, "write", counted)
    monkeypatch.setattr(net_runs, "installed_runtimes", lambda: ["onnxruntime"])
    found = measured()
    assert len(exports) == len(ARMS)  # once each, though every arm is measured nine times
    for result in found.values():
        assert set(result["numbers"]) == {"onnxruntime", "onnxruntime_1", "difference"}
        assert all(0 < result["numbers"][name] < 1 for name in ("onnxruntime", "onnxruntime_1"))
        assert result["undefined"]["openvino"] == "openvino is not installed"
        assert len(result["ratios"]["onnxruntime"]) == 9
    assert set(found["relu"]["ratios"]["onnxruntime"]) == {1.0}


def test_a_model_that_cannot_be_exported_has_the_reason_in_every_column(monkeypatch):
    def refused(*_: Any) -> None:
        raise ExportError("Net cannot be exported to onnx.\n- Counter in 1: it updates a buffer.")

    monkeypatch.setattr(net_runs, "net_runs", refused)
    for result in measured().values():
        assert result["numbers"] == {}
        assert set(result["undefined"].values()) == {
            "Net cannot be exported to onnx. - Counter in 1: it updates a buffer."
        }


def test_every_runtime_has_columns_and_the_axis_is_measured_only_where_it_is_named():
    assert [name for name in RUNTIME.columns if name in RUNTIMES] == list(RUNTIMES)
    assert "runtime" not in [axis.name for axis in axes_named("all")]
    assert [axis.name for axis in axes_named("runtime")] == ["runtime"]


@pytest.mark.parametrize("column", ["onnxruntime", "openvino_1", "executorch"])
def test_less_time_is_better(column):
    assert (RUNTIME.columns[column].direction, RUNTIME.columns[column].unit) == ("min", "s")
