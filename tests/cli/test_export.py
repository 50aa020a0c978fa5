"""Command that exports a model: its settings, its default file name, and what it prints."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from actlab import cli
from actlab.export import front
from actlab.export.report import BatchDifference, ExportedActivation, ExportReport, Latency, Memory, SpecialValue
from actlab.report.terminal.result import text

MODEL = """
import torch
from torch import nn

model = nn.Sequential(nn.Linear(4, 2), nn.Mish())
example_inputs = torch.zeros(3, 4)
"""


@pytest.fixture
def exported(monkeypatch, tmp_path):
    """Put a finished report in the place of the export, and record how it was asked for."""
    seen = {}

    def export(model, example_inputs, path, *, to=None, **options):
        seen.update(path=str(path), to=to, rows=len(example_inputs), **options)
        return ExportReport(
            path=str(path), target="onnx", model=type(model).__name__, opset=18, runtime="onnxruntime 1", bytes=1234, nodes=9,
            activations=(ExportedActivation(site="1", spec="mish", nodes=8, operators="2 Add, Exp", dtype="float32"),),
            differences=(BatchDifference(batch=3, traced=True, largest=1.5e-7, relative=1e-7, share=0.0),),
            special_values=(SpecialValue(spec="mish", input=float("-inf"), model=float("nan"), file=-0.0),),
            latencies=(Latency(spec="mish", runtime="torch", version="2", size=64, milliseconds=0.5),),
        )  # fmt: skip

    monkeypatch.setattr(front, "export", export)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_model.py").write_text(MODEL, encoding="utf-8")
    return seen


def test_the_file_is_called_like_the_model_and_settings_are_passed_on(exported):
    done = CliRunner().invoke(cli.app, ["export", "my_model.py", "--opset", "20", "--prefer", "speed", "--fixed-batch"])
    assert done.exit_code == 0, done.output
    assert exported == {
        "path": "my_model.onnx", "to": "onnx", "rows": 3, "opset": 20, "prefer": "speed", "dynamic_batch": False, "runtime": False,
    }  # fmt: skip


def test_the_report_is_printed(exported):
    done = CliRunner().invoke(cli.app, ["export", "my_model.py", "--out", "net.onnx", "--runtime"])
    assert "net.onnx: Sequential as onnx, opset 18" in done.output
    assert "on a batch of 3 (traced): 1.5e-07" in done.output
    assert "mish(-inf) is -0 in the file, nan in the model" in done.output
    assert "ms for 64 numbers" in done.output
    assert exported["runtime"] is True


def test_the_report_is_json(exported):
    done = CliRunner().invoke(cli.app, ["export", "my_model.py", "--json"])
    assert json.loads(done.stdout)["special_values"] == [
        {"spec": "mish", "input": "-inf", "model": "nan", "file": -0.0}
    ]


def test_the_report_is_written_as_a_page_too(exported, tmp_path):
    done = CliRunner().invoke(cli.app, ["export", "my_model.py", "--html", "report.html"])
    assert done.exit_code == 0, done.output
    assert "mish(-inf) is -0 in the file" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_page_without_a_folder_is_refused_before_the_export(exported):
    done = CliRunner().invoke(cli.app, ["export", "my_model.py", "--html", "missing/report.html"])
    assert done.exit_code == 2
    assert "--html: the folder of missing/report.html does not exist" in done.output
    assert not exported  # nothing was exported


def test_a_c_project_is_asked_for_without_settings_of_onnx(exported):
    done = CliRunner().invoke(cli.app, ["export", "my_model.py", "--to", "c99", "--device", "m3", "--device", "m0"])
    assert done.exit_code == 0, done.output
    assert exported == {"path": "my_model.c", "to": "c99", "rows": 3, "device": ("m3", "m0")}
    refused = CliRunner().invoke(cli.app, ["export", "my_model.py", "--to", "c99", "--runtime"])
    assert refused.exit_code == 2
    assert "--runtime is an option of the format onnx" in refused.output
    refused = CliRunner().invoke(cli.app, ["export", "my_model.py", "--device", "m3"])
    assert "--device is an option of the formats c99 and int8" in refused.output


def test_the_report_of_a_c_project_has_flash_and_memory():
    report = ExportReport(
        path="net", target="c99", model="Net", opset=None, runtime="gcc 12", bytes=1234, nodes=2, activations=(), differences=(),
        memory=Memory(constants=1000, flash=1500, ram=64, needed=48),
    )  # fmt: skip
    assert "net: Net as c99\n2 layers" in text(report)
    assert "flash 1,500 bytes, of which constants 1,000 · RAM 64 bytes (no plan is below 48)" in text(report)
