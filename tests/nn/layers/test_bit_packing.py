"""Packing and unpacking of bit planes, by NumPy and by arithmetic."""

from __future__ import annotations

import pytest
import torch

from actlab.nn.layers import bit_packing as module
from actlab.nn.layers.bit_packing import pack, unpack


@pytest.mark.parametrize("count", [1, 7, 8, 9, 64, 1001])
@pytest.mark.parametrize("bits", [1, 2, 3])
def test_what_was_packed_comes_out_again(bits, count):
    codes = torch.randint(2**bits, (count,), generator=torch.Generator().manual_seed(count)).to(torch.uint8)

    packed = pack(codes, bits)

    assert packed.shape == (bits, -(-count // 8))
    assert torch.equal(unpack(packed, bits, codes.shape).to(torch.uint8), codes)


def test_shapes_come_back():
    codes = torch.rand(3, 5, 2, generator=torch.Generator().manual_seed(0)) > 0.5

    assert torch.equal(unpack(pack(codes, 1), 1, codes.shape), codes)
    assert unpack(pack(codes[:0], 1), 1, torch.Size([0, 5, 2])).shape == (0, 5, 2)


def test_other_devices_pack_as_numpy_does(monkeypatch):
    codes = torch.randint(4, (77,), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    by_numpy = pack(codes, 2)

    monkeypatch.setattr(module, "_is_cpu", lambda _: False)
    by_arithmetic = pack(codes, 2)

    assert torch.equal(by_numpy, by_arithmetic)
    assert torch.equal(unpack(by_arithmetic, 2, codes.shape), codes)
