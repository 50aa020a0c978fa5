"""Contenders, speedups over torch, and share of memory bandwidth in the benchmark."""

from __future__ import annotations

import json
import math

import pytest
import torch

from actlab.bench import speed as module
from actlab.bench.speed import Bench, Measurement, bench, size_of
from actlab.errors import BenchError, SpecError, UnknownNameError
from actlab.functions.grammar import parse


@pytest.fixture(scope="module")
def small():
    return bench(["gelu", "swiglu", "prelu(weight=learned_per_channel)"], size=2048, rounds=3, as_shipped=True)


def test_every_contender_is_timed_on_every_function_both_ways(small):
    seen = {(m.spec, m.contender, m.passes) for m in small.measurements}

    assert len(seen) == len(small.measurements) == 3 * 3 * 2
    assert all(m.seconds > 0 and m.times > 0 and m.roofline > 0 for m in small.measurements)


def test_torch_is_held_against_itself(small):
    assert {m.times for m in small.measurements if m.contender == "torch"} == {1.0}
    assert small.geometric_mean("torch", "forward") == pytest.approx(1.0)


def test_where_it_ran_is_told(small):
    assert small.threads == torch.get_num_threads()
    assert small.allocator == "as shipped"
    assert small.versions["torch"] == torch.__version__
    assert small.size == 2048
    json.dumps(small.to_dict(), allow_nan=False)


def test_the_floor_counts_reads_and_writes():
    def clock(call):
        call()
        return 1.0

    spec, x = parse("gelu"), torch.ones(1000)
    found, bandwidth = module._measure(spec, x, ["torch"], 1, clock)
    assert bandwidth == 2 * 4 * 1000  # a copy of 1,000 numbers in a second
    assert [m.roofline for m in found] == [1.0, 2.5]  # 2 and 5 passes in the time of a copy's 2

    spec, x = parse("swiglu"), torch.ones(1, 2000)
    found, _ = module._measure(spec, x, ["torch"], 1, clock)
    assert [m.roofline for m in found] == [1.5, 4.0]


def test_a_slower_contender_is_seen(monkeypatch):
    seconds = {"torch": 1.0, "formula": 4.0, "copy": 1.0}
    monkeypatch.setattr(module, "_call", lambda contender, *_: contender)
    monkeypatch.setattr(module, "interleaved_times", lambda calls, *_: {key: [seconds[key[0]]] for key in calls})

    found, _ = module._measure(parse("gelu"), torch.ones(8), ["torch", "formula"], 1, lambda _: 1.0)

    assert {m.contender: m.times for m in found} == {"torch": 1.0, "formula": 0.25}


def test_the_geometric_mean_is_over_functions_both_have():
    def timed(spec, contender, seconds):
        return Measurement(spec=spec, contender=contender, passes="forward", seconds=seconds, times=1.0, roofline=1.0)

    rows = [timed("a", "actlab", 1.0), timed("a", "torch", 2.0), timed("b", "actlab", 1.0), timed("b", "torch", 8.0)]
    rows.append(timed("c", "actlab", 1.0))
    made = Bench(
        device="d", dtype="float32", size=1, threads=1, load=(0, 0), allocator="kept", copy=1.0, rounds=1, versions={},
        measurements=tuple(rows),
    )  # fmt: skip

    assert made.geometric_mean("actlab", "forward") == pytest.approx(4.0)
    assert math.isnan(made.geometric_mean("compile", "forward"))


def test_a_gradient_is_made_anew_in_every_call():
    call = module._call("torch", "forward+backward", parse("gelu"), torch.ones(4), torch.ones(4))

    call()
    call()  # would double the gradient if it were kept


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"specs": ["softmax"]}, "softmax.* is a vector function"),
        ({"device": "tpu"}, "cpu or cuda, got 'tpu'"),
        ({"size": "16G"}, "such as 1000, 64k or 16M, got '16G'"),
        ({"size": 0}, "such as 1000"),
        ({"rounds": 0}, "At least one round"),
    ],
)
def test_what_cannot_be_timed_is_refused(wrong, message):
    with pytest.raises(BenchError, match=message):
        bench(**({"specs": ["gelu"], "size": 10} | wrong))


def test_unknown_names_are_answered_with_near_ones():
    with pytest.raises(UnknownNameError, match="bfloat16"):
        bench(["gelu"], dtype="bfloat", size=10)
    with pytest.raises(UnknownNameError, match="compile"):
        bench(["gelu"], contenders=["compil"], size=10)
    with pytest.raises(UnknownNameError, match="gelu"):
        bench(["gellu"], size=10)
    with pytest.raises(SpecError):
        bench(["gelu(1, 2)"], size=10)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_card_is_told():
    with pytest.raises(BenchError, match="no CUDA device"):
        bench(["gelu"], device="cuda", size=10)


@pytest.mark.parametrize(("text", "size"), [("64k", 65536), ("16M", 2**24), ("7", 7), (12, 12)])
def test_sizes_are_read(text, size):
    assert size_of(text) == size
