"""Integer nets in C99: the same bits as in NumPy, on each path of the kernels, without a step outside of their memory."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from tests.export.c99.integer.compiled import SANITIZED, run_program, write_sources
from tests.export.c99.integer.random_integer_nets import Builder, random_convolutions, random_integer_net

from actlab.errors import ExportError
from actlab.export.c99.integer.endings import normalised
from actlab.export.c99.integer.memory_order import Transpose, in_memory_order
from actlab.export.c99.integer.source import print_integer_net
from actlab.export.integer.coding import Codes
from actlab.export.integer.layers import ArgMax, Softmax

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
NETS = {f"net_{seed}": random_integer_net(seed) for seed in range(9)}
NETS |= {f"conv_{seed}": random_convolutions(seed) for seed in (0, 1, 2, 4, 8, 9, 10, 11, 13)}


def examples(nets, count=3):
    random = np.random.default_rng(0)
    return {
        name: [random.integers(-128, 128, (count, *net.shapes[tensor])).astype(np.int8) for tensor in net.inputs]
        for name, net in nets.items()
    }


def differing(nets, inputs, outputs):
    wanted = {name: net.run_codes(inputs[name]) for name, net in nets.items()}
    return [
        name for name in nets if not all(np.array_equal(a, b) for a, b in zip(wanted[name], outputs[name], strict=True))
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nets")
    write_sources(NETS, folder)
    return folder


@pytest.mark.parametrize(
    "flag",
    ["-DSHORT_PRODUCTS", "-DEMULATED_WORDS"],
    ids=["plain C with products of 32 bits", "words of four codes"],
)
def test_random_nets_have_the_same_bits_as_in_numpy(folder, flag):
    inputs = examples(NETS)
    assert differing(NETS, inputs, run_program(NETS, inputs, folder, *SANITIZED, flag)) == []


@pytest.mark.slow
@pytest.mark.parametrize("start", range(100, 300, 50))
def test_many_random_nets_have_the_same_bits_as_in_numpy(tmp_path, start):
    nets = {f"net_{seed}": random_integer_net(seed, layers=10) for seed in range(start, start + 50)}
    nets |= {
        f"conv_{seed}": random_convolutions(seed)
        for seed in range(start, start + 50)
        if seed % 9 in {0, 1, 2, 3, 4, 5, 8}
    }
    write_sources(nets, tmp_path)
    inputs = examples(nets)
    for flag in ("-DSHORT_PRODUCTS", "-DEMULATED_WORDS"):
        assert differing(nets, inputs, run_program(nets, inputs, tmp_path, *SANITIZED, flag)) == []


@pytest.mark.skipif(shutil.which("clang") is None, reason="needs clang")
def test_an_optimising_compiler_of_another_maker_gives_the_same_bits(tmp_path):
    nets = {name: NETS[name] for name in list(NETS)[:4]}
    write_sources(nets, tmp_path)
    inputs = examples(nets)
    assert differing(nets, inputs, run_program(nets, inputs, tmp_path, "-O2", compiler="clang")) == []


def one_layer(kind):
    builder = Builder(0)
    getattr(builder, kind)()
    return {"net": builder.net()}


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("product", "fours = inputs / 4", "fours = inputs / 8"),
        ("conv", "2 * ending->zero + 1", "2 * ending->zero"),
        ("affine", "(x[start + i] - zero)", "(x[start + i] + zero)"),
    ],
)
def test_a_planted_fault_is_found(tmp_path, kind, old, new):
    nets = one_layer(kind)
    write_sources(nets, tmp_path)
    text = (tmp_path / "net.c").read_text()
    assert old in text
    (tmp_path / "net.c").write_text(text.replace(old, new))
    inputs = examples(nets, count=20)
    assert differing(nets, inputs, run_program(nets, inputs, tmp_path, *SANITIZED)) == ["net"]


def test_a_step_outside_of_the_arena_is_found(tmp_path):
    nets = {"net": random_integer_net(1)}
    write_sources(nets, tmp_path)
    text = (tmp_path / "net.c").read_text()
    (tmp_path / "net.c").write_text(text.replace("NET_ARENA_BYTES / 4]", "NET_ARENA_BYTES / 4 - 1]"))
    with pytest.raises(AssertionError, match="AddressSanitizer"):
        run_program(nets, examples(nets), tmp_path, *SANITIZED)


def test_nets_in_memory_order_compute_the_same_and_one_channel_is_not_copied():
    for name, net in NETS.items():
        ordered = in_memory_order(net)
        assert [net.size(tensor) for tensor in net.outputs] == [ordered.size(tensor) for tensor in ordered.outputs], (
            name
        )
    builder = Builder(0)  # a single channel
    builder.conv()
    ordered = in_memory_order(builder.net())
    assert not [layer for layer in ordered.layers[:2] if isinstance(layer, Transpose)]


def test_a_longer_shift_stands_for_the_same_factor():
    random = np.random.default_rng(1)
    multiplier, shift = random.integers(0, 2**31, 500) >> random.integers(0, 31, 500), random.integers(1, 63, 500)
    longer, shifts = normalised(multiplier, shift)
    assert longer.max() < 2**31
    assert shifts.max() <= 62
    for old, new in zip(zip(multiplier, shift, strict=True), zip(longer, shifts, strict=True), strict=True):
        assert int(old[0]) << int(new[1]) == int(new[0]) << int(old[1]) or not old[0]


def test_layers_without_a_form_are_all_named():
    builder = Builder(6)
    builder.add(Softmax, builder.shape, dimension=0, table=np.zeros(256, np.int32), coding=Codes(scale=1.0, width=32))
    builder.add(Softmax, builder.shape, dimension=0, table=np.zeros(256, np.int32))
    builder.add(ArgMax, (), dimension=0)
    layers = [replace(layer, name=f"layer {i}") for i, layer in enumerate(builder.layers)]
    net = replace(builder.net(), layers=tuple(layers))
    with pytest.raises(ExportError, match=r"layer 1: Softmax has no C99 form for tensors of 32-bit codes, 8-bit codes"):
        print_integer_net(net, "net")
