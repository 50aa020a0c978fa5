"""Files of generated Triton source, and folders that cannot be written."""

from __future__ import annotations

import inspect
import sys

import pytest

from actlab.codegen.gpu import module_cache
from actlab.codegen.gpu.module_cache import load_module


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(module_cache, "kernel_folder", lambda: tmp_path / "kernels")
    return tmp_path / "kernels"


def forget(module):
    """Remove the module from ``sys.modules``, as in a new process."""
    del sys.modules[module.__name__]


def test_the_source_can_be_read_back_from_the_file(folder):
    module = load_module("inspected", "def double(x):\n    return 2 * x\n")

    assert inspect.getsource(module.double) == "def double(x):\n    return 2 * x\n"
    assert [file.suffix for file in folder.glob("*.*")] == [".py"]


def test_a_file_that_somebody_changed_is_written_anew(folder):
    module = load_module("changed", "answer = 42\n")
    (file,) = folder.glob("*.py")
    file.write_text("answer = 'something else entirely'\n")
    forget(module)

    assert load_module("changed", "answer = 42\n").answer == 42
    assert file.read_text() == "answer = 42\n"


def test_another_text_is_another_file(folder):
    assert load_module("twice", "answer = 1\n").answer == 1
    assert load_module("twice", "answer = 2\n").answer == 2
    assert len(list(folder.glob("*.py"))) == 2


def test_where_the_folder_cannot_be_made_one_of_the_process_takes_its_place(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(module_cache, "kernel_folder", lambda: tmp_path / "file" / "kernels")
    module_cache._process_folder.cache_clear()

    module = load_module("elsewhere", "answer = 43\n")

    assert module.answer == 43
    assert str(tmp_path) not in str(module.__file__)


def test_where_there_is_no_home_a_folder_of_the_process_takes_its_place(monkeypatch):
    def without_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(module_cache, "kernel_folder", without_home)

    assert load_module("homeless", "answer = 44\n").answer == 44
