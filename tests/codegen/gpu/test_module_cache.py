"""Modules of generated Triton source, which are what was generated and nothing that lies on a disk."""

from __future__ import annotations

import inspect
import linecache

from actlab.codegen.gpu.module_cache import load_module


def test_the_source_can_be_read_back():
    module = load_module("inspected", "def double(x):\n    return 2 * x\n")
    linecache.checkcache()

    assert inspect.getsource(module.double) == "def double(x):\n    return 2 * x\n"
    assert module.double(21) == 42


def test_another_text_is_another_module():
    assert load_module("twice", "answer = 1\n").answer == 1
    assert load_module("twice", "answer = 2\n").answer == 2
    assert load_module("twice", "answer = 1\n") is load_module("twice", "answer = 1\n")


def test_nothing_is_written_or_read(tmp_path, monkeypatch):
    monkeypatch.setenv("ACTLAB_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    module = load_module("memory", "def half(x):\n    return x / 2\n")
    (tmp_path / module.__file__).write_text("def half(x):\n    return 'something else entirely'\n")

    assert "x / 2" in inspect.getsource(module.half)
    assert [file.name for file in tmp_path.iterdir()] == [module.__file__]
