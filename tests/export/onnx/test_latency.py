"""Latencies of activations in the installed runtimes."""

from __future__ import annotations

import numpy as np
import pytest

from actlab.errors import ExportError
from actlab.export.onnx import latency
from actlab.export.onnx.latency import latencies
from actlab.export.onnx.runtimes import installed_runtimes


def test_every_activation_is_measured_in_torch_and_in_each_runtime():
    found = latencies(["relu", "prelu", "swiglu"], size=64, rounds=1)
    assert {each.spec for each in found} == {"relu", "prelu", "swiglu"}
    assert [each.runtime for each in found[:2]] == ["torch", installed_runtimes()[0]]
    assert all(each.milliseconds > 0 for each in found)


def test_inputs_have_no_last_dimension_of_one_on_which_onnxruntime_is_slow(monkeypatch):
    shapes = set()

    def recorded(exported):
        return lambda: shapes.update(np.shape(value) for value in exported.feed.values())

    monkeypatch.setattr(latency, "RUNTIMES", {"onnxruntime": recorded})
    latencies(["relu"], size=64, rounds=1)
    assert {shape[-1] for shape in shapes} == {64}


def test_a_runtime_that_is_not_installed_is_refused_with_those_that_are():
    with pytest.raises(ExportError, match="installed: onnxruntime"):
        latencies(["relu"], runtimes=["tflite"])
