"""C99 projects: their files, their test program, and folders that are left as they are."""

from __future__ import annotations

import re
import shutil
import subprocess
from itertools import count

import pytest
import torch
from tests.export.net.zoo import build
from torch import nn

import actlab
from actlab.errors import ExportError
from actlab.export.c99 import write

pytestmark = pytest.mark.skipif(
    shutil.which("gcc") is None or shutil.which("make") is None, reason="needs gcc and make"
)
NET = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
X = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
SANITIZED = "CFLAGS=-O0 -fsanitize=address,undefined -fno-sanitize-recover"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("projects") / "kws"
    model, inputs = build("ds_cnn")
    return folder, actlab.export(model, inputs, folder, to="c99", vectors=2), model


def make(folder, *arguments):
    return subprocess.run(["make", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)  # noqa: S607


def test_a_project_has_five_files_and_a_report(project):
    folder, report, _ = project
    names = ["Makefile", "README.md", "kws.c", "kws.h", "kws_test.c"]
    assert sorted(file.name for file in folder.iterdir()) == names
    assert report.target == "c99"
    assert report.largest < 1e-5
    assert report.memory.flash > report.memory.constants > 0
    assert report.memory.ram == report.memory.needed
    assert [each.spec for each in report.activations] == ["relu", "relu6", "relu", "relu6", "relu"]
    readme = (folder / "README.md").read_text()
    assert f"{report.memory.ram:,} bytes" in readme
    assert f"{report.memory.flash:,} bytes" in readme


def test_the_net_has_no_heap_no_stdio_and_no_libm_and_its_weights_are_constant(project):
    folder, report, _ = project
    source = (folder / "kws.c").read_text()
    assert set(re.findall(r"#include [<\"](.+)[>\"]", source)) == {"kws.h", "float.h", "stdint.h"}
    assert not re.search(r"\b(malloc|calloc|free|printf|double)\b", source)
    assert re.findall(r"^static (?!const |struct )\w+ \w+\[", source, re.MULTILINE) == ["static float arena["]
    assert f"#define KWS_ARENA_BYTES {report.memory.ram}\n" in (folder / "kws.h").read_text()


def test_the_test_program_passes_under_sanitizers_and_finds_a_changed_weight(project, tmp_path):
    copy = shutil.copytree(project[0], tmp_path / "copy")
    done = make(copy, "test", SANITIZED)
    assert done.returncode == 0, done.stderr
    assert "4 vectors, 48 numbers" in done.stdout
    source = (copy / "kws.c").read_text()
    changed = re.sub(r"(dense_\d+_bias\[12\] = \{\n    )", r"\g<1>1.0f + ", source)
    assert changed != source
    (copy / "kws.c").write_text(changed)
    assert make(copy, "test", "CFLAGS=-O0").returncode != 0


@pytest.mark.skipif(shutil.which("clang") is None, reason="needs clang")
def test_clang_compiles_it_without_a_warning(project, tmp_path):
    copy = shutil.copytree(project[0], tmp_path / "copy")
    assert make(copy, "test", "CC=clang").returncode == 0


def test_an_export_replaces_its_own_folder_and_what_was_built_in_it(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "compiler", lambda: None)
    report = actlab.export(NET, X, tmp_path / "net.c")
    assert report.path == str(tmp_path / "net")
    assert report.runtime == "NumPy"
    assert report.memory.flash is None
    assert "no C compiler was found" in (tmp_path / "net" / "README.md").read_text()
    (tmp_path / "net" / "net.o").write_bytes(b"built")
    actlab.export(NET, X, tmp_path / "net", to="c99")
    assert not (tmp_path / "net" / "net.o").exists()
    assert [file.name for file in tmp_path.iterdir()] == ["net"]


def test_a_folder_with_other_files_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "README.md").write_text("mine")
    with pytest.raises(ExportError, match=r"holds other files \(README.md\)"):
        actlab.export(NET, X, tmp_path / "net", to="c99")
    assert (tmp_path / "net" / "README.md").read_text() == "mine"
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ExportError, match="is no folder"):
        actlab.export(NET, X, tmp_path / "file", to="c99")


def test_a_failed_export_leaves_the_project_that_was_there(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "compiler", lambda: None)
    actlab.export(NET, X, tmp_path / "net", to="c99")
    before = {file.name: file.read_bytes() for file in (tmp_path / "net").iterdir()}
    monkeypatch.setattr(write, "readme", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        actlab.export(nn.Linear(2, 3), X, tmp_path / "net", to="c99")
    assert {file.name: file.read_bytes() for file in (tmp_path / "net").iterdir()} == before
    assert [file.name for file in tmp_path.iterdir()] == ["net"]


CALLS = count()


class Counter(nn.Module):
    """Output that grows with each call, by a state outside of the model."""

    def forward(self, x):
        return x + next(CALLS)


def test_what_differs_from_the_model_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "compiler", lambda: None)
    with pytest.raises(ExportError, match="differ from the model's by up to"):
        actlab.export(Counter(), X, tmp_path / "net", to="c99")
    with pytest.raises(ExportError, match=r"Dense in 0: its weights hold NaN or infinities"):
        actlab.export(broken(), X, tmp_path / "net", to="c99")
    assert list(tmp_path.iterdir()) == []


def broken():
    model = nn.Sequential(nn.Linear(2, 2))
    nn.init.constant_(model[0].weight, float("nan"))
    return model


@pytest.mark.parametrize(
    ("options", "message"), [({"vectors": 0}, "from 1 to"), ({"tolerance": -1.0}, "positive number")]
)
def test_settings_that_are_not_allowed_are_refused(tmp_path, options, message):
    with pytest.raises(ExportError, match=message):
        actlab.export(NET, X, tmp_path / "net", to="c99", **options)


def test_a_compiler_that_fails_is_reported_and_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("CC", "false")
    with pytest.raises(ExportError, match="false failed with 1"):
        actlab.export(NET, X, tmp_path / "net", to="c99")
    assert list(tmp_path.iterdir()) == []
