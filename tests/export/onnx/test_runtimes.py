"""Runtimes that are installed, the same outputs in each, and what one cannot run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import actlab
from actlab.export.onnx import latency, net_runs, runtimes
from actlab.export.onnx.latency import latencies
from actlab.export.onnx.runtimes import RUNTIMES, installed_runtimes
from actlab.report.terminal.result import text


class Two(nn.Module):
    """Two inputs, one by name."""

    def __init__(self):
        super().__init__()
        self.linear, self.act = nn.Linear(3, 4), actlab.layer("mish")

    def forward(self, x, scale):
        return self.act(self.linear(x)) * scale


@pytest.mark.parametrize("name", RUNTIMES)
def test_every_installed_runtime_gives_the_outputs_of_the_model_for_every_batch(name):
    if name not in installed_runtimes():
        pytest.skip(f"{name} is not installed")
    torch.manual_seed(0)
    model = Two().train()
    batches = {f"{rows}": {"x": torch.randn(rows, 3), "scale": torch.rand(rows, 1)} for rows in (6, 1)}
    found = net_runs.net_runs(model, batches)
    for batch, inputs in batches.items():
        with torch.no_grad():
            want = model.eval()(**inputs).numpy()
        (got,) = found.runs[name, batch]()
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    assert found.largest < 1e-5


def test_a_runtime_that_is_not_installed_has_a_reason_and_no_run(monkeypatch):
    monkeypatch.setattr(net_runs, "installed_runtimes", lambda: ["onnxruntime"])
    found = net_runs.net_runs(nn.ReLU(), {"": torch.zeros(2, 3)})
    assert set(found.runs) == {("onnxruntime", "")}
    assert found.missing["executorch", ""] == "executorch is not installed"


def test_a_runtime_that_fails_on_one_function_has_times_for_the_others(monkeypatch):
    def fails(exported):
        if isinstance(exported.model, actlab.nn.layers.activation_layer.ActivationLayer) and "mish" in str(
            exported.model
        ):
            raise RuntimeError("no kernel")
        return RUNTIMES["onnxruntime"](exported)

    monkeypatch.setattr(runtimes, "RUNTIMES", {**RUNTIMES, "openvino": fails})
    monkeypatch.setattr(latency, "RUNTIMES", runtimes.RUNTIMES)
    monkeypatch.setattr(latency, "installed_runtimes", lambda: ["onnxruntime", "openvino"])
    monkeypatch.setattr(latency, "version", lambda _name: "1")
    found = {(each.spec, each.runtime): each for each in latencies(["relu", "mish"], size=64, rounds=1)}
    assert found["relu", "openvino"].milliseconds > 0
    assert found["mish", "openvino"].milliseconds is None
    assert found["mish", "openvino"].missing == "RuntimeError: no kernel"
    assert found["mish", "onnxruntime"].milliseconds > 0


def test_what_a_runtime_cannot_run_is_in_the_report(tmp_path, monkeypatch):
    failed = latency.Latency(
        spec="mish", runtime="openvino", version="1", size=8, milliseconds=None, missing="no kernel"
    )
    monkeypatch.setattr("actlab.export.onnx.file.latencies", lambda *_, **__: (failed,))
    report = actlab.export(nn.Sequential(actlab.layer("mish")), torch.zeros(2, 3), tmp_path / "net.onnx", runtime=True)
    assert "mish does not run in openvino: no kernel" in text(report)
