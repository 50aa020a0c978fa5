"""Times in every dtype are held against ReLU and float32 of the same round; what does not run is named."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from actlab.bench import hardware as module
from actlab.bench.hardware import BEST_KNOWN, DTYPES, PASSES, Hardware, measure_hardware
from actlab.errors import BenchError, UnknownNameError
from actlab.functions.activation import get
from actlab.functions.grammar import parse
from actlab.stats.median_interval import median_interval


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def clocked(monkeypatch):
    """Give every call known times in nine rounds: a function takes twice, bfloat16 a half, float64 three times as long."""
    noise = np.random.default_rng(0).uniform(1, 1.01, size=9)
    factors = {"gelu": 2.0, "relu": 1.0, "mish": 4.0}
    dtypes = {"float32": 1.0, "bfloat16": 0.5, "float64": 3.0, "float16": 1.0}

    def times(calls, rounds, _):
        return {key: list(factors[key[0]] * dtypes[key[1]] * noise[:rounds]) for key in calls}

    monkeypatch.setattr(module, "interleaved_times", times)


def measured(*specs: str, **settings: Any) -> Hardware:
    return measure_hardware(specs, **{"size": 256, **settings})


@pytest.mark.usefixtures("clocked")
def test_ratios_are_over_relu_in_the_same_dtype_and_over_float32():
    found = measured("gelu", "relu")
    assert len(found.timings) == 2 * len(DTYPES) * len(PASSES)
    half = found.of("gelu", "bfloat16", "forward")
    assert (half.over_relu.ratio, half.over_float32.ratio) == (2.0, 0.5)
    assert (half.over_float32.low, half.over_float32.is_known) == (0.5, True)
    assert found.of("gelu", "float32").over_float32 is None
    assert found.of("relu", "float64").over_relu.is_known is False
    assert found.geometric_mean("float64") == pytest.approx(3.0)
    assert found.geometric_mean("float16", over="over_relu") == pytest.approx(np.sqrt(2))
    assert found.geometric_mean("float32") is None


def test_intervals_are_those_of_the_rounds_and_few_rounds_have_none():
    own, other = [2.0, 2.2, 1.8, 2.1, 1.9, 2.0, 2.3, 1.7, 2.0], [1.0] * 9
    found = module._ratio(own, other)
    assert (found.low, found.high) == median_interval(own)
    assert module._ratio(own[:5], other[:5]).low is None
    assert not module._ratio(own[:5], other[:5]).is_known


@pytest.mark.parametrize(
    "spec", ["gelu", "prelu", "prelu(weight=learned_per_channel)", "swiglu", "softmax", "rrelu", "step"]
)
def test_every_kind_of_function_is_timed_or_named_with_what_it_raises(spec):
    found = measured(spec, rounds=1, dtypes=["float32", "bfloat16"])
    timed = {(one.dtype, one.passes) for one in found.timings}
    missing = {(dtype, one.passes) for one in found.untimed for dtype in one.dtypes}
    assert timed | missing == {(dtype, passes) for dtype in ("float32", "bfloat16") for passes in PASSES}
    assert all(one.seconds > 0 and one.over_relu.ratio > 0 for one in found.timings)
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_function_that_runs_in_no_real_dtype_is_named_once_with_all_dtypes():
    found = measured("cardioid", rounds=1)
    assert [one.dtypes for one in found.untimed] == [tuple(DTYPES)]
    assert "complex" in found.untimed[0].reason
    assert found.timings == ()


def test_a_dtype_in_which_only_the_backward_pass_is_missing_is_named(monkeypatch):
    class OneWay(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.dtype = x.dtype
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            if ctx.dtype == torch.float16:
                raise RuntimeError("no gradient in half precision")
            return grad

    class Planted(nn.Module):
        def forward(self, x):
            return OneWay.apply(x)

    made = module.layer
    monkeypatch.setattr(
        module, "layer", lambda spec, **given: Planted() if str(spec) == "mish" else made(spec, **given)
    )
    found = measured("mish", rounds=1)
    assert [(one.dtypes, one.passes) for one in found.untimed] == [(("float16",), "forward+backward")]
    assert "no gradient in half precision" in found.untimed[0].reason
    assert found.of("mish", "float16", "forward") is not None


def test_a_stop_keeps_what_has_been_measured(monkeypatch):
    measure = module._measure

    def stopping(spec, settings):
        if str(spec) == "tanh":
            raise KeyboardInterrupt
        return measure(spec, settings)

    monkeypatch.setattr(module, "_measure", stopping)
    found = measured("relu", "tanh", "gelu", rounds=1, dtypes=["float32"])
    assert (found.stopped, {one.spec for one in found.timings}, found.specs) == (
        True,
        {"relu"},
        ("relu", "tanh", "gelu"),
    )
    with pytest.raises(KeyboardInterrupt, match="before the first function"):
        measured("tanh", rounds=1)


def test_progress_counts_the_functions():
    seen = []
    measured("relu", "tanh", rounds=1, dtypes=["float32"], progress=lambda *told: seen.append(told))
    assert seen == [(0, 2, "relu"), (1, 2, "tanh"), (2, 2, "")]


def test_parameters_are_of_the_dtype_that_is_timed(monkeypatch):
    seen = set()
    call = module.pass_call
    monkeypatch.setattr(
        module,
        "pass_call",
        lambda layer, *rest: (seen.update(w.dtype for w in layer.parameters()), call(layer, *rest))[1],
    )
    measured("prelu", rounds=1, dtypes=["bfloat16"])
    assert seen == {torch.bfloat16}


@pytest.mark.parametrize(("size", "shape"), [(256, (1, 256)), (4096, (4, 1024))])
def test_gated_functions_get_twice_the_width_of_their_output(size, shape):
    assert module._input(parse("gelu"), size, torch.float32, "cpu").shape == shape
    assert module._input(parse("swiglu"), size, torch.float32, "cpu").shape == (shape[0], 2 * shape[1])


def test_the_best_known_are_in_the_catalogue():
    assert len(BEST_KNOWN) == 25
    assert all(get(name).name == name for name in BEST_KNOWN)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"dtypes": ["float8"]}, UnknownNameError, "float32, float64"),
        ({"dtypes": []}, UnknownNameError, "The dtypes are"),
        ({"device": "tpu"}, BenchError, "cpu or cuda"),
        ({"rounds": 0}, BenchError, "At least one round"),
        ({"size": "1G"}, BenchError, "such as 1000"),
        ({"specs": ["gleu"]}, UnknownNameError, "gelu"),
    ],
)
def test_what_cannot_be_timed_is_refused(wrong, error, message):
    with pytest.raises(error, match=message):
        measure_hardware(**{"specs": ["relu"], "size": 64, **wrong})
