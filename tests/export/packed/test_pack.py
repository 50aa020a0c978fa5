"""Packed nets equal the trained ones to the bit; what cannot be packed is refused."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from actlab.errors import PackError
from actlab.export.packed import pack as module
from actlab.export.packed.bit_words import pack_words
from actlab.export.packed.operations import Bits, SignConv, SignDense, Threshold
from actlab.export.packed.pack import pack
from actlab.nn.layers.binary import BinaryConv2d, BinaryLinear
from actlab.nn.layers.layer import layer


def trained(net: nn.Module, x: torch.Tensor, seed: int = 0) -> nn.Module:
    """Return the net after a few steps of training, with norms that have seen data, some with negative weights."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in net.modules():
            if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d) and part.affine:
                part.weight.copy_(torch.randn(part.weight.shape, generator=generator))
                part.bias.copy_(torch.randn(part.bias.shape, generator=generator))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        net(x).square().mean().backward()
        optimizer.step()
    return net.eval()


def mlp(spec: str, scale, *, sizes=(40, 70, 33, 5), linear=BinaryLinear, bias=False) -> nn.Sequential:
    options = {"scale": scale} if linear is BinaryLinear else {}
    parts: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes[:-1]):
        parts += [linear(inputs, outputs, bias, **options), nn.BatchNorm1d(outputs), layer(spec)]
    return nn.Sequential(*parts, nn.Dropout(0.5), linear(sizes[-2], sizes[-1], True, **options))


def cnn(spec: str, pad: float, *, first=BinaryConv2d) -> nn.Sequential:
    return nn.Sequential(
        nn.Sequential(first(1, 40, 3, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(40), layer(spec)),
        BinaryConv2d(40, 9, 3, stride=(1, 2), padding=(1, 2), dilation=(2, 1), pad_value=pad, scale="mean", bias=True),
        nn.BatchNorm2d(9),
        layer(spec),
        nn.MaxPool2d(2, 1),
        nn.Flatten(),
        nn.Linear(27, 24) if first is nn.Conv2d else BinaryLinear(27, 24),
        nn.BatchNorm1d(24, affine=False),
        layer(spec),
        BinaryLinear(24, 6, scale="mean"),
        nn.BatchNorm1d(6),
    )


def pixels(*shape) -> torch.Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1)).float()


@pytest.mark.parametrize("spec", ["sign/clipped", "step/arctan", "rsign/clipped"])
@pytest.mark.parametrize("scale", [None, "mean"])
@pytest.mark.parametrize("bias", [False, True])
@torch.enable_grad()
def test_a_binary_mlp_is_packed_to_the_bit(spec, scale, bias):
    torch.manual_seed(0)
    x = pixels(64, 40)
    net = trained(mlp(spec, scale, bias=bias), x)

    packed = pack(net, x, largest_input=255)

    assert torch.equal(packed(x), net(x))
    assert [op.value.dtype for op in packed.ops if isinstance(op, Threshold)] == [torch.int32] * 2


@pytest.mark.parametrize(("spec", "pad"), [("sign/clipped", -1.0), ("step/arctan", 0.0)])
@pytest.mark.parametrize("first", [BinaryConv2d, nn.Conv2d])
def test_a_binary_cnn_is_packed_to_the_bit(spec, pad, first):
    torch.manual_seed(0)
    x = pixels(32, 1, 11, 12)
    net = cnn(spec, pad, first=first)
    net.eval()(x)
    net = trained(net.train(), x)

    whole = 255 if first is BinaryConv2d else None
    packed = pack(net, x, largest_input=whole)

    assert torch.equal(packed(x), net(x))
    assert (packed(x) != 0).any()


@pytest.mark.parametrize("spec", ["step/rect", "sign/approxsign"])
def test_nets_with_float_weights_are_packed_too(spec):
    torch.manual_seed(0)
    x = torch.randn(64, 40)
    net = trained(mlp(spec, None, linear=nn.Linear), x)

    packed = pack(net, x)

    assert torch.equal(packed(x), net(x))
    assert packed.ops[1].value.dtype == torch.float32


def test_a_net_that_ends_in_bits_gives_their_numbers():
    net = nn.Sequential(BinaryLinear(8, 4), layer("sign/clipped")).eval()
    x = pixels(9, 8)

    assert torch.equal(pack(net, x, largest_input=255)(x), net(x))


def test_a_norm_before_a_pool_stays_a_norm():
    torch.manual_seed(0)
    net = nn.Sequential(
        BinaryConv2d(1, 4, 3, scale="mean"),
        nn.BatchNorm2d(4),
        nn.MaxPool2d(2),
        layer("sign/clipped"),
        nn.Flatten(),
        BinaryLinear(64, 2),
    )
    x = pixels(20, 1, 10, 10)
    net = trained(net, x)

    packed = pack(net, x, largest_input=255)

    assert [op.name for op in packed.ops] == ["sign_conv", "norm", "max_pool", "threshold", "flatten", "sign_dense"]
    assert torch.equal(packed(x), net(x))


def test_bits_and_numbers_give_the_same_product():
    generator = torch.Generator().manual_seed(0)
    for low in (-1.0, 0.0):
        bits = Bits(values=torch.rand(3, 40, 6, 7, generator=generator) < 0.5, low=low)
        conv = SignConv(
            words=pack_words(torch.rand(5, 3, 2, 40, generator=generator) < 0.5),
            channels=40,
            edges=(1, 2, 0, 1),
            pad_value=low,
            stride=(2, 1),
        )
        assert torch.equal(conv(bits), conv(bits.floats()))
        dense = SignDense(words=pack_words(torch.rand(5, 40, generator=generator) < 0.5), inputs=40)
        rows = Bits(values=bits.values[:, :, 0, 0], low=low)
        assert torch.equal(dense(rows), dense(rows.floats()))


def test_it_is_small():
    torch.manual_seed(0)
    x = pixels(4, 1024)
    net = trained(mlp("sign/clipped", None, sizes=(1024, 512, 512, 10)), x)

    floats = sum(p.numel() * 4 for p in net.parameters())

    assert pack(net, x, largest_input=255).size < floats / 28  # 32 for the weights, less the thresholds


def test_planted_faults_are_found(monkeypatch):
    torch.manual_seed(0)
    x = pixels(64, 40)
    net = trained(mlp("sign/clipped", None), x)
    real = module.pack_words
    monkeypatch.setattr(module, "pack_words", lambda bits: real(bits) ^ 1)  # flips the first weight of every word

    with pytest.raises(PackError, match=r"differs from Sequential on \d+ of 64 inputs"):
        pack(net, x, largest_input=255)


def test_the_model_is_left_as_it_was():
    torch.manual_seed(0)
    x = pixels(8, 40)
    net = trained(mlp("sign/clipped", None), x).train()
    before = {name: t.clone() for name, t in net.state_dict().items()}

    pack(net, x, largest_input=255)

    assert net.training
    assert all(torch.equal(t, before[name]) for name, t in net.state_dict().items())


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([nn.Linear(4, 4), nn.ReLU()], "ReLU cannot be packed"),
        ([nn.Linear(4, 4), layer("relu")], "ActivationLayer cannot be packed"),
        (
            [BinaryLinear(4, 4), nn.BatchNorm1d(4, track_running_stats=False), layer("sign/clipped")],
            "no running statistics",
        ),
        ([nn.Linear(4, 4).double(), layer("sign/clipped").double()], "float32"),
        ([nn.LayerNorm(4), layer("sign/clipped")], "LayerNorm cannot be packed"),
        ([nn.Dropout()], "no layers"),
    ],
)
def test_what_cannot_be_packed_is_named(parts, message):
    with pytest.raises(PackError, match=message):
        pack(nn.Sequential(*parts), torch.zeros(2, 4))


def test_what_cannot_be_one_bit_is_named():
    x = torch.zeros(1, 1, 4, 4)
    signs = [nn.Conv2d(1, 4, 1), layer("sign/clipped")]
    with pytest.raises(PackError, match="give it pad_value=-1"):
        pack(nn.Sequential(*signs, BinaryConv2d(4, 2, 3, padding=1)), x)
    with pytest.raises(PackError, match="has groups"):
        pack(nn.Sequential(*signs, BinaryConv2d(4, 2, 3, groups=2)), x)
    with pytest.raises(PackError, match="more, beyond which float32"):
        pack(nn.Sequential(BinaryLinear(70_000, 2)), torch.zeros(1, 70_000), largest_input=255)
    staged = BinaryLinear(4, 2)
    staged.is_binary = False
    with pytest.raises(PackError, match="first stage"):
        pack(nn.Sequential(staged), torch.zeros(1, 4))


def test_inputs_are_checked():
    net = pack(BinaryLinear(4, 2), torch.zeros(1, 4), largest_input=255)

    with pytest.raises(PackError, match=r"takes float32 of shape \(n, 4\); got torch.float32, \(1, 5\)"):
        net(torch.zeros(1, 5))
    for wrong in (0.5, 256.0, float("nan")):
        with pytest.raises(PackError, match="whole numbers up to 255"):
            net(torch.full((1, 4), wrong))
