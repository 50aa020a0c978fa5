"""Sections, lookup and this machine's own measurements in the table of kernel sizes."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from math import inf

import pytest
import torch

import actlab
from actlab.codegen.dispatch import crossover as module
from actlab.codegen.dispatch.crossover import crossover, load_measured, section, sections, store_measured
from actlab.codegen.dispatch.route import DEVICES
from actlab.codegen.gpu import kernel as gpu
from actlab.codegen.pytorch import native
from actlab.functions.grammar import parse


@pytest.fixture(autouse=True)
def _apart(monkeypatch, tmp_path):
    """Use an empty cache folder instead of this machine's measurements."""
    monkeypatch.setenv("ACTLAB_CACHE", str(tmp_path))
    clear_cache = module._table.cache_clear  # tests replace the function
    clear_cache()
    yield
    clear_cache()


def shipped():
    return tomllib.loads((files("actlab.codegen.dispatch") / "crossover.toml").read_text(encoding="utf-8"))


def test_the_table_names_what_exists():
    def check(name, sizes):
        assert name == "composed" or parse(name)
        for dtype, size in sizes.items():
            if isinstance(size, dict):
                assert name == "composed"
                check(dtype, size)
            else:
                assert isinstance(getattr(torch, dtype), torch.dtype)
                assert size > 0

    for name_of, entries in shipped().items():
        assert name_of.removesuffix(f"_{module.SEVERAL}").removesuffix(f"_{module.WIDE}") in DEVICES
        for name, sizes in entries.items():
            check(name, sizes)


@pytest.mark.parametrize("part", ["cpu", "cpu_avx512"])
def test_every_native_was_measured(part):
    natives = {name for name in actlab.names() if actlab.get(name).expression is not None and native(parse(name))}
    assert len(natives) > 30

    table = shipped()[part]
    assert all(set(table[name]) == {"float32", "bfloat16", "float64", "float16"} for name in natives)
    few = shipped()[f"{part}_{module.SEVERAL}"]
    assert all(set(few[name]) == {"float32", "bfloat16"} for name in natives)


def test_a_composed_function_has_its_own_size_or_the_shared_one(monkeypatch):
    table = {"cpu": {"elu": {"float32": 7}, "composed": {"float32": 5, "telu": {"float32": 3}}}}
    monkeypatch.setattr(module, "_table", lambda *_: table)

    assert crossover("telu", "cpu", torch.float32, native=False) == 3
    assert crossover("serf", "cpu", torch.float32, native=False) == 5
    assert crossover("elu", "cpu", torch.float32, native=False) == 5  # a learned alpha: torch has no kernel for that
    assert crossover("elu", "cpu", torch.float32, native=True) == 7
    assert crossover("telu", "cpu", torch.float64, native=False) == float("inf")


def test_with_several_threads_their_part_of_the_table_is_read_and_for_others_the_part_for_one(monkeypatch):
    table = {
        "cpu": {"elu": {"float32": 7}, "relu": {"float32": 8}, "composed": {"float32": 5}, "tanh": {"float32": 9}},
        "cpu_threads": {"elu": {"float32": 70}, "relu": {"float32": inf}, "composed": {"float32": 50}},
    }
    monkeypatch.setattr(module, "_table", lambda *_: table)

    def sizes(name, *, native):
        return [crossover(name, "cpu", torch.float32, native=native, threads=count) for count in (1, 2, 16)]

    assert sizes("elu", native=True) == [7, 70, 70]
    assert sizes("telu", native=False) == [5, 50, 50]
    assert sizes("relu", native=True) == [8, inf, inf]
    assert sizes("tanh", native=True) == [9, 9, 9]


def test_processors_with_wider_vectors_have_parts_of_their_own(monkeypatch):
    table = {
        "cpu": {"elu": {"float32": 7}, "tanh": {"float32": 9}, "relu": {"float32": 11}},
        "cpu_threads": {"elu": {"float32": 70}},
        "cpu_avx512": {"elu": {"float32": 5}, "tanh": {"float32": 3}},
        "cpu_avx512_threads": {"elu": {"float32": 50}},
    }
    monkeypatch.setattr(module, "_table", lambda *_: table)

    def sizes(capability):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
        return [
            crossover(name, "cpu", torch.float32, native=True, threads=threads)
            for name in ("elu", "tanh", "relu")
            for threads in (1, 2)
        ]

    assert sizes("AVX512") == [5, 50, 3, 3, 11, 11]
    assert sizes("AVX2") == sizes("NEON") == [7, 70, 9, 9, 11, 11]


def test_without_an_entry_the_kernel_never_runs():
    assert crossover("relu", "tpu", torch.float32, native=True) == float("inf")


def test_on_a_card_large_composed_functions_run_kernels_and_float64_never_does():
    for dtype in gpu.DTYPES:
        assert crossover("telu", "cuda", dtype, native=False) <= 2**23
        assert crossover("gelu", "cuda", dtype, native=True) == float("inf")
    assert crossover("telu", "cuda", torch.float64, native=False) == float("inf")


def test_what_was_measured_here_comes_first_and_what_was_not_stays():
    before = {name: crossover(name, "cpu", torch.float32, native=True) for name in ("gelu", "silu")}
    file = store_measured("cpu", 1, {"gelu": {"float32": 12345}, "composed": {"telu": {"float32": inf}}})

    assert file.exists()
    assert crossover("gelu", "cpu", torch.float32, native=True) == 12345
    assert crossover("silu", "cpu", torch.float32, native=True) == before["silu"]
    assert crossover("telu", "cpu", torch.float32, native=False) == inf
    assert crossover("serf", "cpu", torch.float32, native=False) < inf
    assert (
        crossover("gelu", "cpu", torch.float32, native=True, threads=2) == 12345
    )  # measured here with one thread, before tables of other machines


def test_a_second_measurement_adds_to_the_first_and_the_last_word_counts():
    store_measured("cpu", 1, {"gelu": {"float32": 1, "bfloat16": 2}})
    store_measured("cpu", 1, {"gelu": {"float32": 3}, "silu": {"float32": 4}})
    store_measured("cpu", 2, {"gelu": {"float32": 5}})

    assert load_measured("cpu") == {
        "cpu_here": {"gelu": {"float32": 3, "bfloat16": 2}, "silu": {"float32": 4}},
        "cpu_here_threads": {"gelu": {"float32": 5}},
    }
    assert [crossover("gelu", "cpu", torch.float32, native=True, threads=n) for n in (1, 2)] == [3, 5]


@pytest.mark.parametrize("content", [b"", b"[cpu_here", b"\xff\xfe", b"cpu_here = 3"])
def test_a_damaged_file_is_as_good_as_none(content):
    before = crossover("gelu", "cpu", torch.float32, native=True)
    store_measured("cpu", 1, {"gelu": {"float32": 1}}).write_bytes(content)
    module._table.cache_clear()

    assert crossover("gelu", "cpu", torch.float32, native=True) == before
    store_measured("cpu", 1, {"gelu": {"float32": 7}})
    assert crossover("gelu", "cpu", torch.float32, native=True) == 7


def test_another_processor_does_not_read_it(monkeypatch):
    store_measured("cpu", 1, {"gelu": {"float32": 1}})
    monkeypatch.setattr(module.jit, "fingerprint", lambda: "another")

    assert load_measured("cpu") == {}


def test_a_card_has_a_table_of_its_own_and_is_not_woken_to_be_asked(monkeypatch):
    def asked():
        raise AssertionError("this would occupy the card")

    monkeypatch.setattr(torch.cuda, "get_device_name", asked)
    assert crossover("telu", "cuda", torch.float32, native=False) == 2**22

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H1")
    store_measured("cuda", 1, {"composed": {"float32": 99}})
    assert crossover("telu", "cuda", torch.float32, native=False) == 99
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H2")
    assert crossover("telu", "cuda", torch.float32, native=False) == 2**22


def test_sections_to_write_are_the_closest_of_here_or_of_everywhere(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    assert sections("cpu", 2) == [
        "cpu_here_threads", "cpu_here", "cpu_avx512_threads", "cpu_avx512", "cpu_threads", "cpu",
    ]  # fmt: skip
    assert [section("cpu", threads, here=here) for threads in (1, 2) for here in (True, False)] == [
        "cpu_here", "cpu_avx512", "cpu_here_threads", "cpu_avx512_threads",
    ]  # fmt: skip
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert section("cpu", 2, here=False) == "cpu_threads"
