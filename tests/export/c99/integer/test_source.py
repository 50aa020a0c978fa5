"""Integer nets in C99: the same bits as in NumPy, on each path of the kernels, without a step outside of their memory."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from tests.export.c99.integer.compiled import run_program, write_sources
from tests.export.c99.integer.random_integer_nets import Builder, random_integer_net

from actlab.errors import ExportError
from actlab.export.integer.coding import Bits

NETS = {f"net_{seed}": random_integer_net(seed) for seed in range(20)}


def examples(nets, count=4):
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


@pytest.mark.parametrize("flags", [["-DSHORT_PRODUCTS"], ["-DEMULATED_WORDS"]], ids=["plain C", "words of four codes"])
def test_random_nets_have_the_same_bits_as_in_numpy(folder, flags):
    inputs = examples(NETS)
    assert differing(NETS, inputs, run_program(NETS, inputs, folder, *flags)) == []
