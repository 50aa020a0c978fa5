"""Nets of bits in C99: the same bits as in NumPy, with few instructions and small constants."""

from __future__ import annotations

import numpy as np
import pytest
from tests.export.c99.bits.random_bit_nets import Builder, random_bit_net
from tests.export.c99.integer.compiled import SANITIZED, run_program, write_sources

from actlab.export.c99.bits.columns import Sums, bit_columns, pack_bits
from actlab.export.c99.integer.source import print_integer_net
from actlab.export.c99.integer.vectors import packed
from actlab.export.integer.coding import Codes
from actlab.export.integer.layers import Product, Threshold
from actlab.export.net.layers import Window

NETS = {f"net_{seed}": random_bit_net(seed) for seed in range(16)}


def wanted(net, codes):
    return [packed(rows, net.codings[name]) for rows, name in zip(net.run_codes(codes), net.outputs, strict=True)]


def differs(outputs, right):
    return any(not np.array_equal(a.reshape(len(b), -1), b) for a, b in zip(outputs, right, strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nets")
    write_sources(NETS, folder)
    return folder


@pytest.mark.parametrize("flags", [SANITIZED, ["-O1", "-DNO_BIT_SCAN"]], ids=["bit scan", "plain C"])
def test_random_nets_of_bits_have_the_same_bits_as_in_numpy(folder, flags):
    random = np.random.default_rng(0)
    inputs = {name: [random.integers(-128, 128, (4, *net.shapes["x"])).astype(np.int8)] for name, net in NETS.items()}
    outputs = run_program(NETS, inputs, folder, *flags)
    for name, net in NETS.items():
        assert not differs(outputs[name], wanted(net, inputs[name])), name


@pytest.mark.slow
@pytest.mark.parametrize("start", [100, 150, 200, 250])
def test_many_random_nets_of_bits_have_the_same_bits_as_in_numpy(tmp_path, start):
    nets = {f"net_{seed}": random_bit_net(seed, layers=7) for seed in range(start, start + 50)}
    random = np.random.default_rng(start)
    inputs = {name: [random.integers(-128, 128, (4, *net.shapes["x"])).astype(np.int8)] for name, net in nets.items()}
    write_sources(nets, tmp_path)
    outputs = run_program(nets, inputs, tmp_path, *SANITIZED)
    assert [name for name, net in nets.items() if differs(outputs[name], wanted(net, inputs[name]))] == []


def test_all_kernels_of_bits_are_among_the_random_nets():
    text = "".join(print_integer_net(net, "net").source for net in NETS.values())
    for kernel in ("columns_of_bits", "columns_of_codes", "bytes_of_bits", "signs_of_bits", "repack"):
        assert f"    {kernel}(" in text, kernel
    for kernel in ("max_pool_of_bits", "unpack", "pack"):
        assert f"    {kernel}(" in text, kernel
    assert "planes = 2" in text
    assert "planes = 1" in text


def flat_net(seed):
    """Return thresholds of single codes, 600 bits in one row, and two dense layers."""
    builder = Builder(seed)
    builder.shapes["x"], builder.codings["x"] = (1, 5, 120), Codes(scale=1.0)
    window = Window(size=(1, 1), stride=(1, 1), before=(0, 0), after=(0, 0), dilation=(1, 1))
    one, zero = np.ones((1, 1, 1, 1), np.int8), np.zeros(1, np.int32)
    ending = Threshold(value=np.int32([1]), above=np.array([seed % 2 == 0]))
    builder.add(Product, (1, 5, 120), weight=one, bias=zero, window=window, ending=ending)
    builder.flatten()
    builder.dense()
    middle = builder.last
    builder.dense(sums=True)
    return builder.net(middle, builder.last)


def test_rows_of_few_of_hundreds_and_of_nearly_all_inputs_are_summed_rightly(tmp_path):
    nets = {f"net_{seed}": flat_net(seed) for seed in range(6)}
    shares = np.array([0, 0.02, 0.49, 0.55, 0.98, 1]).reshape(-1, 1, 1, 1)
    codes = (np.random.default_rng(0).random((6, 1, 5, 120)) < shares).astype(np.int8)
    inputs = {name: [codes] for name in nets}
    write_sources(nets, tmp_path)
    outputs = run_program(nets, inputs, tmp_path, "-O1")
    for name, net in nets.items():
        assert not differs(outputs[name], wanted(net, inputs[name])), name
    assert "levels_of_codes(product_1_level" in (tmp_path / "net_0.c").read_text()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("carry = both;", "carry = both & 0u;"),
        ("count < 256 ? count : 256", "count"),
        ("above ^= flipped;", "above ^= flipped & 0u;"),
        ("word &= (1u << count) - 1u;", ""),
    ],
    ids=["no carry", "halves of a word that overflow", "zeros counted as ones", "bits behind the last one"],
)
def test_a_planted_fault_is_found(tmp_path, old, new):
    nets = {f"net_{seed}": flat_net(seed) for seed in (0, 2)}
    write_sources(nets, tmp_path)
    found = 0
    for name in nets:
        text = (tmp_path / f"{name}.c").read_text()
        found += old in text
        (tmp_path / f"{name}.c").write_text(text.replace(old, new))
    assert found
    shares = np.array([0.49, 0.6, 0.98]).reshape(-1, 1, 1, 1)
    inputs = {name: [(np.random.default_rng(0).random((3, 1, 5, 120)) < shares).astype(np.int8)] for name in nets}
    outputs = run_program(nets, inputs, tmp_path, "-O1")
    assert any(differs(outputs[name], wanted(net, inputs[name])) for name, net in nets.items())


def test_flattened_rows_that_end_within_words_are_joined_though_they_take_as_many_words(tmp_path):
    builder = Builder(0)
    builder.shapes["x"] = (12, 64)
    builder.product((12, 31), builder.weight((31, 64)))
    builder.flatten()
    builder.dense(sums=True)
    nets = {"net": builder.net(builder.last)}
    inputs = {"net": [np.random.default_rng(0).integers(-128, 128, (4, 12, 64)).astype(np.int8)]}
    write_sources(nets, tmp_path)
    assert not differs(run_program(nets, inputs, tmp_path, "-O1")["net"], wanted(nets["net"], inputs["net"]))


def test_bits_are_packed_with_the_first_one_lowest():
    bits = np.zeros((1, 33), bool)
    bits[0, [0, 31, 32]] = True
    assert pack_bits(bits).tolist() == [[2**31 + 1, 1]]


def test_a_binary_layer_takes_one_bit_a_weight():
    weight = np.random.default_rng(0).choice([-1, 1], (64, 100))
    thresholds = Threshold(value=np.zeros(64, np.int32), above=np.ones(64, bool))
    columns = bit_columns(Sums(weight=weight, constants=np.zeros((1, 64), np.int64)), thresholds)
    assert columns.weight.shape == (2, 1, 101)
    weight[3, 5] = 0
    ternary = bit_columns(Sums(weight=weight, constants=np.zeros((1, 64), np.int64)), thresholds)
    assert ternary.weight.shape == (2, 2, 101)
