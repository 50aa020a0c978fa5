"""Choice of the format of an export, and the messages where there is none."""

from __future__ import annotations

import builtins
import os
import subprocess
import sys
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


def _files(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("path", ["net.onnx", "net.c", "net_int8"])
def test_a_full_disk_leaves_what_was_there_and_says_so(tmp_path, monkeypatch, path):
    to = "int8" if path == "net_int8" else None
    actlab.export(NET, X, tmp_path / path, to=to)
    before = _files(tmp_path)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        patch.setattr("os.fdopen", full)
        with pytest.raises(ExportError, match="cannot be written: No space left on device"):
            actlab.export(NET, X + 1, tmp_path / path, to=to)
    assert _files(tmp_path) == before


def test_a_folder_or_a_pipe_is_not_replaced_by_a_file(tmp_path):
    (tmp_path / "net.onnx").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for path in ("net.onnx", "pipe"):
        with pytest.raises(ExportError, match="exists and is no file"):
            actlab.export(NET, X, tmp_path / path, to="onnx")


KILLED = """
import os, signal, sys
from pathlib import Path

import torch
from torch import nn

import actlab

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(Path, "replace" if sys.argv[1].endswith("onnx") else "rename", die)
actlab.export(nn.Sequential(nn.Linear(4, 2), nn.ReLU()), torch.ones(3, 4), sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize("path", ["net.onnx", "net.c"])
def test_a_process_that_is_killed_just_before_the_end_leaves_what_was_there(tmp_path, path):
    actlab.export(NET, X, tmp_path / path)
    before = _files(tmp_path)
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / path)], check=False, capture_output=True)
    assert done.returncode == -9
    after = _files(tmp_path)
    assert {name: content for name, content in after.items() if not name.startswith(".")} == before


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
