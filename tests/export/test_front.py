"""Choice of the format of an export, and the messages where there is none."""

from __future__ import annotations

import builtins
from pathlib import Path

import pytest
import torch
from torch import nn

import actlab
from actlab.errors import ExportError, SiteError
from actlab.export.front import TARGETS, target_of
from actlab.export.onnx.settings import OnnxSettings, needed

NET = nn.Sequential(nn.Linear(4, 2), nn.ReLU())
X = torch.zeros(3, 4)


def test_the_format_follows_the_ending_of_the_file_or_the_option():
    assert target_of(Path("net.ONNX")) == "onnx"
    assert target_of(Path("net.bin"), "onnx") == "onnx"


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("net.pt", {}, "belongs to no format"),
        ("net", {"to": "onx"}, "Did you mean 'onnx'"),
        ("net", {"to": "int8", "calibration": "entropy"}, "'minmax', 'percentile', 'mse'"),
        ("net", {"to": "int8", "vectors": 0}, "from 1 to 10000"),
        ("missing/net.onnx", {}, "folder of"),
        ("net.onnx", {"opset": 13}, "from 18 to"),
        ("net.onnx", {"prefer": "size"}, "'accuracy' or 'speed'"),
        ("net.onnx", {"tolerance": 0.0}, "positive number"),
    ],
)
def test_what_cannot_be_done_is_said_before_the_model_is_traced(tmp_path, path, options, message):
    with pytest.raises(ExportError, match=message):
        actlab.export(NET, X, tmp_path / path, **options)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_option_names_the_allowed_ones(tmp_path):
    with pytest.raises(TypeError, match="Did you mean 'opset'"):
        actlab.export(NET, X, tmp_path / "net.onnx", opsets=18)


def test_something_else_than_a_model_is_refused_with_a_hint(tmp_path):
    with pytest.raises(SiteError, match="is a class"):
        actlab.export(nn.ReLU, X, tmp_path / "net.onnx")


def test_a_missing_package_prints_the_install_line(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith("onnx"):
            raise ImportError(f"No module named {name!r}")
        return real(name, *arguments, **options)

    monkeypatch.setattr("actlab.export.onnx.settings.import_module", without)
    with pytest.raises(ExportError, match=r"pip install 'actlab\[onnx\]'"):
        needed("onnxruntime")
    with pytest.raises(ExportError, match=r"pip install 'actlab\[onnx\]'"):
        OnnxSettings()


def test_the_formats_are_onnx_and_two_kinds_of_c_project():
    assert set(TARGETS) == {"onnx", "c99", "int8"}


def test_the_package_is_a_function_and_has_its_modules():
    import actlab.export.packed.pack

    assert callable(actlab.export)
    assert actlab.export.packed.pack.pack is not None
