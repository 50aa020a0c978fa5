"""Calibration of the sizes from which kernels are faster than torch."""

from __future__ import annotations

import json
from math import inf

import pytest
import torch

import actlab
from actlab.bench import crossover as calibration
from actlab.bench import speed as bench
from actlab.bench.crossover import COMPOSED, SIZES, calibrate
from actlab.codegen.cpu import kernel as cpu
from actlab.codegen.dispatch import crossover as table
from actlab.codegen.dispatch.crossover import crossover
from actlab.errors import BenchError, UnknownNameError


@pytest.fixture(autouse=True)
def _apart(monkeypatch, tmp_path):
    monkeypatch.setenv("ACTLAB_CACHE", str(tmp_path))
    table._table.cache_clear()
    yield
    table._table.cache_clear()


@pytest.fixture
def timed(monkeypatch):
    """Replace measured speedups by given ones, and record the measurements."""
    ratios, looks = {}, []

    def times(name, device, dtype, size, rounds):
        looks.append((name, dtype, size, rounds))
        found = ratios[name]
        return found(size, sum(look[2] == size for look in looks)) if callable(found) else found.get(size, 0.5)

    monkeypatch.setattr(calibration, "_speedup", times)
    return ratios, looks


def test_the_kernel_runs_from_the_smallest_size_from_which_all_are_won(timed):
    timed[0].update(gelu=dict.fromkeys(SIZES[3:], 2.0) | {SIZES[1]: 1.2}, silu={}, mish=dict.fromkeys(SIZES, 9.0))

    found = calibrate(["gelu", "silu", "mish"], dtypes=["float32"])

    assert [one.fewest for one in found.crossings] == [SIZES[3], inf, SIZES[0]]
    assert crossover("gelu", "cpu", torch.float32, native=True) == SIZES[3]
    assert crossover("silu", "cpu", torch.float32, native=True) == inf
    assert found.file.exists()


def test_a_size_that_is_lost_above_one_that_is_won_is_looked_at_again(timed):
    ratios, looks = timed
    ratios["gelu"] = lambda size, look: 0.9 if size == SIZES[5] and look == 1 else 2.0

    found = calibrate(["gelu"], dtypes=["float32"], rounds=3, keep=False)

    assert found.crossings[0].fewest == SIZES[0]
    assert [look for look in looks if look[2] == SIZES[5]] == [
        ("gelu", "float32", SIZES[5], 3),
        ("gelu", "float32", SIZES[5], 6),
    ]


def test_composed_functions_share_the_size_at_which_none_of_those_in_use_is_slower(timed):
    timed[0].update({name: dict.fromkeys(SIZES[2:], 1.02) | dict.fromkeys(SIZES[4:], 3.0) for name in COMPOSED})
    timed[0]["snake"] = dict.fromkeys(SIZES[6:], 3.0)

    sizes = calibrate(COMPOSED, dtypes=["float32"], keep=False).sizes["composed"]

    assert sizes["float32"] == SIZES[6]
    assert sizes["telu"] == {"float32": SIZES[4]}
    assert "float32" not in calibrate(["telu", "snake"], dtypes=["float32"], keep=False).sizes["composed"]


def test_large_tensors_of_wide_numbers_are_not_made(timed):
    timed[0]["gelu"] = {}
    found = calibrate(["gelu"], dtypes=["float64", "bfloat16"], keep=False)

    assert [max(one.times) for one in found.crossings] == [2**22, 2**24]


def test_nothing_is_kept_when_nothing_is_to_be(timed, tmp_path):
    timed[0]["gelu"] = {}
    found = calibrate(["gelu"], keep=False)

    assert found.file is None
    assert not list(tmp_path.rglob("crossover*"))
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["crossings"][0]["fewest"] is None


def test_who_stops_it_keeps_what_was_found_so_far(timed, monkeypatch):
    timed[0].update(gelu=dict.fromkeys(SIZES, 2.0), silu=lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))

    with pytest.raises(KeyboardInterrupt):
        calibrate(["gelu", "silu"], dtypes=["float32"])

    assert crossover("gelu", "cpu", torch.float32, native=True) == SIZES[0]


def test_a_folder_that_cannot_be_written_to_is_said_at_once(timed, monkeypatch, tmp_path):
    timed[0]["gelu"] = {}
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ACTLAB_CACHE", str(tmp_path / "file"))

    with pytest.raises(BenchError, match="ACTLAB_CACHE"):
        calibrate(["gelu"])
    assert len({look[:2] for look in timed[1]}) == 1


def test_every_native_and_what_is_used_most_is_measured_by_default(timed):
    timed[0].update({name: {} for name in actlab.names()})
    found = calibrate(dtypes=["float32"], keep=False)

    assert len(found.crossings) > 35
    assert {"relu", "gelu", "swiglu", "snake"} <= {one.name for one in found.crossings}
    assert {one.native for one in found.crossings if one.name in COMPOSED} == {False}


def test_it_really_measures_the_kernel_whatever_the_table_says(monkeypatch):
    monkeypatch.setattr(calibration, "SIZES", (256,))
    monkeypatch.setattr(bench, "tune_allocator", lambda: False)
    table.store_measured("cpu", torch.get_num_threads(), {"composed": {"telu": {"float32": inf}}})
    ran = []
    forward = cpu.CpuKernel.forward
    monkeypatch.setattr(
        cpu.CpuKernel, "forward", lambda self, *a, **k: ran.append(a[0].numel()) or forward(self, *a, **k)
    )

    (one,) = calibrate(["telu"], dtypes=["float32"], rounds=1, keep=False).crossings

    assert set(ran) >= {256}
    assert one.times[256] > 0
    assert not one.native


def test_wrong_names_are_refused_with_advice():
    with pytest.raises(UnknownNameError, match="mish"):
        calibrate(["mihs"], keep=False)
    with pytest.raises(UnknownNameError, match="float32"):
        calibrate(["mish"], dtypes=["flaot32"], keep=False)
    with pytest.raises(BenchError, match="softmax"):
        calibrate(["softmax"], keep=False)
    with pytest.raises(BenchError, match="cpu or cuda"):
        calibrate(["mish"], device="tpu", keep=False)
