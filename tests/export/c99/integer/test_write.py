"""C99 projects in int8: their files, their test program, and what the report says of them."""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest
import torch
from torch import nn

import actlab
from actlab.errors import ExportError
from actlab.export.c99.host import Built
from actlab.export.c99.integer import write

pytestmark = pytest.mark.skipif(
    shutil.which("gcc") is None or shutil.which("make") is None, reason="needs gcc and make"
)


def make(folder, *arguments):
    return subprocess.run(["make", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)  # noqa: S607


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("projects") / "kws"
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8), actlab.layer("gelu"), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(8 * 4 * 4, 12), nn.ReLU(), nn.Linear(12, 5),
    )  # fmt: skip
    inputs = torch.randn(40, 2, 8, 8)
    return folder, actlab.export(model, inputs, folder, to="int8", vectors=4), model


def test_a_project_has_five_files_and_a_report(project):
    folder, report, _ = project
    names = ["Makefile", "README.md", "kws.c", "kws.h", "kws_test.c"]
    assert sorted(file.name for file in folder.iterdir()) == names
    assert report.target == "int8"
    assert [(each.spec, each.operators) for each in report.activations] == [
        ("gelu", "a table of 256 codes"),
        ("relu", "a clamp"),
    ]
    assert any("same bits in all 40 numbers" in note for note in report.notes)
    assert 0 < report.largest < 0.1
    assert report.memory.flash > report.memory.constants > 8 * 4 * 4 * 12
    assert report.memory.ram >= report.memory.needed


def test_the_net_has_no_heap_no_stdio_no_libm_and_no_floats(project):
    folder, report, _ = project
    source = (folder / "kws.c").read_text()
    assert set(re.findall(r"#include [<\"](.+)[>\"]", source)) == {"kws.h"}
    assert not re.search(r"\b(malloc|calloc|free|printf|double|float)\b", source)
    assert re.findall(r"^static (?!const |struct )\w+ \w+\[", source, re.MULTILINE) == ["static uint32_t arena["]
    assert f"#define KWS_ARENA_BYTES {report.memory.ram}\n" in (folder / "kws.h").read_text()
    shown = subprocess.run(
        ["gcc", "-c", "-O2", str(folder / "kws.c"), "-o", str(folder.parent / "kws.o")],  # noqa: S607
        check=False, capture_output=True,
    )  # fmt: skip
    assert shown.returncode == 0
    symbols = subprocess.run(
        ["nm", "-u", str(folder.parent / "kws.o")],  # noqa: S607
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert set(symbols) - {"U"} <= {"memcpy", "memset", "memmove", "__stack_chk_fail", "_GLOBAL_OFFSET_TABLE_"}


def test_make_test_finds_every_wrong_number(project, tmp_path):
    folder, _, _ = project
    copied = shutil.copytree(folder, tmp_path / "kws")
    assert make(copied, "test").returncode == 0
    source = (copied / "kws.c").read_text()
    (copied / "kws.c").write_text(source.replace("2 * ending->zero + 1", "2 * ending->zero + 3"))
    done = make(copied, "test")
    assert done.returncode != 0
    assert re.search(r"8 vectors, 40 numbers, [1-9]\d* differing", done.stdout)


def test_the_functions_of_the_header_convert_as_numpy_does(project, tmp_path):
    folder, _, _ = project
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "kws.h"\n'
        "int main(void)\n{\n    float x;\n    while (fread(&x, sizeof x, 1, stdin) == 1) {\n"
        '        const int8_t code = kws_input_code(x);\n        printf("%d %.9g\\n", code, (double)kws_output_number(code));\n'
        "    }\n    return 0;\n}\n"
    )
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-fsanitize=undefined"]
    command = ["gcc", *flags, f"-I{folder}", str(tmp_path / "main.c"), "-o", str(tmp_path / "main")]
    subprocess.run(command, check=True)
    header = (folder / "kws.h").read_text()
    scale, zero, out_scale, out_zero = (
        float(re.search(rf"KWS_{name} \(?([^\s)]+)", header)[1].rstrip("f"))
        for name in ("INPUT_SCALE", "INPUT_ZERO", "OUTPUT_SCALE", "OUTPUT_ZERO")
    )
    x = np.float32([*np.random.default_rng(0).normal(0, 3, 50), np.inf, -np.inf, np.nan, 1e30, 0])
    printed = subprocess.run([str(tmp_path / "main")], input=x.tobytes(), capture_output=True, check=True).stdout
    got = np.array([line.split() for line in printed.decode().splitlines()], float)
    steps = np.rint(np.nan_to_num(x.astype(float) / scale, nan=0, posinf=1e30, neginf=-1e30))
    assert np.array_equal(got[:, 0], np.clip(steps + zero, -128, 127))
    np.testing.assert_allclose(got[:, 1], out_scale * (got[:, 0] - out_zero), rtol=1e-6)


def test_ranges_follow_from_the_calibration_inputs(tmp_path):
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    small, large = torch.linspace(-1, 1, 30).reshape(10, 3), torch.linspace(-9, 9, 30).reshape(10, 3)
    scales = []
    for name, batch in (("a", None), ("b", large)):
        actlab.export(
            model, small, tmp_path / name, to="int8", calibration_inputs=batch, calibration="minmax", name="n"
        )
        scales.append(float(re.search(r"INPUT_SCALE (\S+)f", (tmp_path / name / "n.h").read_text())[1]))
    assert scales[1] == pytest.approx(9 * scales[0], rel=1e-3)


def test_a_project_that_computes_other_bits_is_refused_and_nothing_is_written(tmp_path, monkeypatch):
    built = Built(compiler="cc 1.0", text=1, data=1, printed="8 vectors, 40 numbers, 3 differing\n")
    monkeypatch.setattr(write, "build", lambda *_: built)
    with pytest.raises(ExportError, match=r"other bits than NumPy .*3 differing"):
        actlab.export(nn.Linear(2, 3), torch.randn(9, 2), tmp_path / "net", to="int8")
    assert list(tmp_path.iterdir()) == []


def test_without_a_compiler_the_outputs_are_those_of_numpy_and_the_report_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "compiler", lambda: None)
    report = actlab.export(nn.Linear(2, 3), torch.randn(9, 2), tmp_path / "net", to="int8")
    assert report.runtime == "NumPy"
    assert report.memory.flash is None
    assert any("No C compiler" in note for note in report.notes)


def test_the_report_has_the_accuracy_in_int8_beside_the_models(tmp_path):
    torch.manual_seed(0)
    model, x = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.GELU(), torch.nn.Linear(16, 3)), torch.randn(200, 4)
    targets = model(x).argmax(1)
    targets[:20] = (targets[:20] + 1) % 3  # a tenth is wrong
    report = actlab.export(model, x, tmp_path / "net", to="int8", targets=targets)
    cost = report.costs[0]
    assert (cost.metric, cost.model) == ("accuracy", 0.9)
    assert 0.85 < cost.engine < 0.95
    assert any("accuracy is" in note for note in report.notes)
    assert "accuracy is" in (tmp_path / "net" / "README.md").read_text()
    without = actlab.export(model, x, tmp_path / "bare", to="int8", metric=nn.functional.cross_entropy)
    assert without.costs == ()  # the metric takes targets, of which there are none
    with pytest.raises(ExportError, match="targets have the shape"):
        actlab.export(model, x, tmp_path / "other", to="int8", targets=targets[:7])
    assert not (tmp_path / "other").exists()
