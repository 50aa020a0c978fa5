"""The wheel holds every file that the package reads, and works where the checkout cannot be imported."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TESTS = (  # of code that reads the package's data files
    "tests/bench/test_crossover.py",
    "tests/codegen/dispatch/test_crossover.py",
    "tests/functions/analysis/test_other_libraries.py",
    "tests/functions/analysis/test_stored_facts.py",
)
TASK = """
import torch
from torch.nn.functional import cross_entropy as loss

direction, epochs = "max", 1


def model(seed):
    return torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))


def data(seed):
    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(seed))
    y = (x.sum(1) > 0).long()
    return (x[:32], y[:32]), (x[32:], y[32:])


def metric(output, target):
    return (output.argmax(1) == target).float().mean()
"""
# Runs all commands in one process, as importing torch takes longer than each of them.
SESSION = """
import json, sys
import torch, actlab
from actlab.cli import app

def run(*words, exits=0):
    try:
        app([str(word) for word in words], prog_name="actlab")
    except SystemExit as ended:
        assert (ended.code or 0) == exits, (words, ended.code)

torch.manual_seed(0)
x = torch.randn(1 << 18)
for name in actlab.names(kind="elementwise")[:3] + ["telu", "gelu"]:
    assert torch.allclose(actlab.layer(name, fast=True)(x), actlab.layer(name)(x), atol=1e-5)
run("show", "gelu"), run("list"), run("rules"), run("find", "--monotone")
run("bench", "telu", "--size", "4k", "--rounds", "2")
run("compare", "task.py", "relu", "gelu", "--seeds", "2", "--jobs", "2", "--store", "s.db", "--name", "s")
run("report", "s", "--store", "s.db", "--out", "s.html")
run("sites", "task.py"), run("importance", "task.py")
from actlab.report.html import function_reference
function_reference.write("reference", ["gelu"])
print("loaded:" + json.dumps(sorted(str(m.__file__) for n, m in sys.modules.items() if n.split(".")[0] == "actlab")))
"""


def tracked(*folders: str) -> list[str]:
    """Return the files in folders of the checkout that are not ignored by git."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("needs a git checkout")
    return sorted(file for file in listed.stdout.splitlines() if (ROOT / file).is_file())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel from a copy of the checkout's files, without a network and without an older ``build`` folder."""
    folder = tmp_path_factory.mktemp("wheel")
    for file in tracked("src", "pyproject.toml", "README.md", "LICENSE"):
        (folder / "source" / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, folder / "source" / file)
    build = ["wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", ".", "./source"]
    pip(*build, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel):
    """Install the wheel into a folder of its own, and return an environment in which that is what is imported."""
    target = wheel.parent / "installed"
    pip("install", "--quiet", "--no-index", "--no-deps", "--no-compile", "--target", target, wheel, cwd=wheel.parent)
    return target


def pip(*words: object, cwd: Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, words)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def run_outside(target: Path, *arguments: object, cwd: Path) -> str:
    """Run Python where ActLab is the installed one; ``-S`` leaves out the files that put the checkout on the path."""
    path = os.pathsep.join([str(target), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "ACTLAB_CACHE": str(cwd / "cache")}
    command = [sys.executable, "-S", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_the_wheel_holds_every_file_of_the_package(wheel):
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("actlab/")}

    assert sorted(held) == [file.removeprefix("src/") for file in tracked("src/actlab")]


def test_the_installed_command_answers(installed, tmp_path):
    assert run_outside(installed, installed / "bin" / "actlab", "--version", cwd=tmp_path).startswith("actlab ")


def test_functions_kernels_studies_and_pages_work_from_the_wheel(installed, tmp_path):
    (tmp_path / "task.py").write_text(TASK, encoding="utf-8")
    (tmp_path / "session.py").write_text(SESSION, encoding="utf-8")

    printed = run_outside(installed, "session.py", cwd=tmp_path)

    loaded = json.loads(printed.rpartition("loaded:")[2])
    assert len(loaded) > 200
    assert all(file.startswith(str(installed)) for file in loaded)
    assert "</html>" in (tmp_path / "s.html").read_text(encoding="utf-8")


def test_tests_of_code_that_reads_data_files_pass_on_the_wheel(installed, tmp_path):
    where = tmp_path / "test_where.py"
    where.write_text(
        f"def test_where():\n    import actlab\n    assert actlab.__file__.startswith({str(installed)!r})\n"
    )
    options = ["-q", "-p", "no:cacheprovider", "-c", ROOT / "pyproject.toml", "--rootdir", ROOT]

    run_outside(installed, "-m", "pytest", *options, where, *(ROOT / file for file in TESTS), cwd=tmp_path)
