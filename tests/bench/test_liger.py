"""Liger-Kernel in the benchmark, with a substitute for the package, which needs a GPU."""

from __future__ import annotations

import importlib.machinery
import sys
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F

import actlab
from actlab.bench import liger, speed
from actlab.bench.timing import timer_for
from actlab.errors import BenchError
from actlab.functions.grammar import parse
from actlab.report.terminal.bench import speed_table


class SiLUMul:
    """Liger's interface: an autograd function of gate and value."""

    @staticmethod
    def apply(gate, value):
        return F.silu(gate) * value


class GELUMul:
    @staticmethod
    def apply(gate, value):
        return F.gelu(gate, approximate="tanh") * value


class ReLUSquared:
    @staticmethod
    def apply(x):
        return F.relu(x).square()


@pytest.fixture
def installed(monkeypatch):
    for name in ("liger_kernel", "liger_kernel.ops"):
        module = ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        monkeypatch.setitem(sys.modules, name, module)
    for (name, attribute), function in zip(liger.FUNCTIONS.values(), (SiLUMul, GELUMul, ReLUSquared), strict=True):
        module = ModuleType(name)
        setattr(module, attribute, function)
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize("name", liger.FUNCTIONS)
def test_it_computes_what_our_layer_of_that_name_computes(installed, name):
    x = torch.randn(6, 8)

    torch.testing.assert_close(liger.packed(name)(x), actlab.layer(name)(x))


def test_it_is_timed_where_it_has_the_function_and_left_out_elsewhere(installed, monkeypatch):
    found = []
    for name in ("swiglu", "gelu"):
        spec = parse(name)
        x = speed._input(spec, 2048, torch.float32, "cpu")
        measured, _ = speed._measure(spec, x, ["actlab", "liger"], 1, timer_for("cpu"))
        found += measured

    assert {m.spec for m in found if m.contender == "liger"} == {"swiglu"}
    assert {m.spec for m in found if m.contender == "actlab"} == {"swiglu", "gelu"}
    result = speed.bench(["relu"], size=8, rounds=1)
    table = speed_table(speed.Bench(**{**vars(result), "measurements": tuple(found)}))
    assert table is not None


def test_without_it_nothing_is_imported_and_the_message_says_what_to_do():
    if liger.is_installed():
        pytest.skip("Liger-Kernel is installed here")
    assert liger.function("swiglu") is liger.packed("swiglu") is None
    with pytest.raises(BenchError, match="pip install liger-kernel"):
        speed.bench(["swiglu"], size=8, contenders=["liger"])


def test_on_the_cpu_it_is_refused_even_where_it_is_installed(installed):
    with pytest.raises(BenchError, match="--device cuda"):
        speed.bench(["swiglu"], size=8, contenders=["liger"])
