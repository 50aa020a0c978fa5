"""Figures of cores in the report, the README and the terminal, and projects that are wrong on a core."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from torch import nn

import actlab
from actlab.errors import ExportError
from actlab.export.c99 import write
from actlab.export.report import DeviceFigures
from actlab.report.terminal.model.export import export_view
from actlab.report.terminal.plain_text import PrintableConsole

NET = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
X = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
needs_qemu = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None or shutil.which("qemu-system-arm") is None,
    reason="needs arm-none-eabi-gcc and qemu-system-arm",
)


def shown(report):
    console = PrintableConsole(width=200)
    with console.capture() as captured:
        console.print(export_view(report))
    return captured.get()


@needs_qemu
@pytest.mark.parametrize("to", ["c99", "int8"])
def test_an_export_has_the_figures_of_the_cores_that_were_asked_for(tmp_path, to):
    report = actlab.export(NET, X, tmp_path / "net", to=to, device=("m3", "m4f"))
    m3, m4f = report.devices
    assert m3.right
    assert m4f.right
    assert m3.layers
    readme, text = (tmp_path / "net" / "README.md").read_text(), shown(report)
    assert f"| instructions | {m3.instructions:,} | {m4f.instructions:,} |" in readme
    assert f"{m3.layers[0].instructions:,}" in text
    assert "all outputs are right on 4 vectors" in text
    assert json.loads(json.dumps(report.to_dict()))["devices"][1]["instructions"] == m4f.instructions


def test_without_tools_the_export_is_kept_and_says_what_is_missing(tmp_path, monkeypatch):
    missing = DeviceFigures(core="m3", name="Cortex-M3", missing="No compiler for Cortex-M is installed.")
    monkeypatch.setattr(write, "figures", lambda *_: (missing,))
    report = actlab.export(NET, X, tmp_path / "net", to="c99", device=("m3",))
    assert report.devices == (missing,)
    assert "Cortex-M3 was not measured: No compiler" in shown(report)
    assert "- Cortex-M3: not measured. No compiler" in (tmp_path / "net" / "README.md").read_text()
    assert report.to_dict()["devices"][0]["instructions"] is None


def test_a_project_that_is_wrong_on_a_core_is_refused(tmp_path, monkeypatch):
    wrong = DeviceFigures(core="m3", name="Cortex-M3", right=False, result="3 above the tolerance", instructions=1)
    monkeypatch.setattr(write, "figures", lambda *_: (wrong,))
    with pytest.raises(ExportError, match=r"Cortex-M3 in the project: its outputs are wrong there \(3 above"):
        actlab.export(NET, X, tmp_path / "net", to="c99", device=("m3",))
    assert not (tmp_path / "net").exists()


@pytest.mark.parametrize(
    ("device", "message"),
    [("m3", r'as \("m3",\); got \'m3\''), (("m5",), "There is no core 'm5'"), (3, "device is a tuple of cores")],
)
@pytest.mark.parametrize("to", ["c99", "int8"])
def test_cores_that_do_not_exist_are_named(tmp_path, to, device, message):
    with pytest.raises(ExportError, match=message):
        actlab.export(NET, X, tmp_path / "net", to=to, device=device)
