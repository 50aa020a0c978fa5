"""Binary models exported with ``to="int8"``: the outputs of PyTorch to the bit on whole numbers, and of the older packed format."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import actlab
from actlab.export.c99.host import compiler
from actlab.export.c99.integer.source import print_integer_net
from actlab.export.integer.coding import Bits
from actlab.export.integer.layers import Product, Threshold
from actlab.export.integer.quantize import quantize
from actlab.export.net.read import read_net
from actlab.export.packed.pack import pack
from actlab.nn.layers.binary import BinaryConv2d, BinaryLinear
from actlab.nn.layers.layer import layer


def with_random_norms(model, *, low):
    """Return a model whose norms have random numbers, factors from ``low`` up."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            size = module.num_features
            module.running_mean.copy_(5 * torch.randn(size, generator=generator))
            module.running_var.copy_(3 + torch.rand(size, generator=generator))
            module.weight.data.copy_(low + (1.5 - low) * torch.rand(size, generator=generator))
            module.bias.data.copy_(torch.randn(size, generator=generator))
    return model.eval()


def convolutional(spec, pad, low=0.2):
    torch.manual_seed(0)
    model = nn.Sequential(
        *(BinaryConv2d(1, 24, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(24), layer(spec)),
        *(BinaryConv2d(24, 34, 3, padding=1, stride=2, pad_value=pad), nn.BatchNorm2d(34), layer(spec)),
        *(nn.Flatten(), BinaryLinear(34 * 9, 20, bias=True), layer(spec)),
    )
    return with_random_norms(model, low=low)


def dense(spec, last):
    torch.manual_seed(0)
    linear = (BinaryLinear(60, 33), nn.BatchNorm1d(33), layer(spec), BinaryLinear(33, 40, scale="mean"))
    return with_random_norms(nn.Sequential(*linear, nn.BatchNorm1d(40), layer(spec), *last), low=-1.5)


MODELS = {
    "signs, padding of 0": (convolutional("sign/clipped", 0.0), (1, 12, 12)),
    "signs, padding of -1": (convolutional("sign/clipped", -1.0), (1, 12, 12)),
    "steps": (convolutional("step/rect", 0.0), (1, 12, 12)),
    "signs, norms of both signs behind a maximum": (convolutional("sign/clipped", 0.0, -1.5), (1, 12, 12)),
    "dense, norms of both signs": (dense("sign/ede", ()), (60,)),
    "dense, steps": (dense("step/arctan", ()), (60,)),
}


def pixels(shape, count=64):
    return torch.randint(0, 256, (count, *shape), generator=torch.Generator().manual_seed(2)).float()


@pytest.mark.parametrize("name", MODELS)
def test_bits_are_those_of_pytorch_on_whole_numbers(name):
    model, shape = MODELS[name]
    x = pixels(shape)
    x[:2, ..., :2] = torch.tensor([0.0, 255.0])  # the range, so that a step of the codes is 1
    whole = quantize(read_net(model, x), x.numpy())
    products = [each for each in whole.layers if isinstance(each, Product)]
    assert all(isinstance(each.ending, Threshold) and abs(each.weight).max() == 1 for each in products)
    assert all(isinstance(whole.codings[each.output], Bits) for each in products)
    assert torch.equal(torch.from_numpy(whole.numbers(x.numpy())[0]).float(), model(x))


def test_steps_behind_a_maximum_with_negative_factors_are_right_by_codes():
    model, x = convolutional("step/rect", 0.0, -1.5), pixels((1, 12, 12))
    x[:2, ..., :2] = torch.tensor([0.0, 255.0])
    whole = quantize(read_net(model, x), x.numpy())
    assert torch.equal(torch.from_numpy(whole.numbers(x.numpy())[0]).float(), model(x))


def test_outputs_are_those_of_the_packed_format():
    model, shape = MODELS["dense, norms of both signs"]
    x = pixels(shape)
    x[:2, :2] = torch.tensor([0.0, 255.0])
    whole = quantize(read_net(model, x), x.numpy())
    packed = pack(model, x, largest_input=255)
    assert torch.equal(torch.from_numpy(whole.numbers(x.numpy())[0]).float(), packed(x))


@pytest.mark.skipif(compiler() is None, reason="needs a C compiler")
@pytest.mark.parametrize("name", ["signs, padding of 0", "dense, steps"])
def test_a_binary_model_is_exported_as_bits(tmp_path, name):
    model, shape = MODELS[name]
    x = pixels(shape)
    report = actlab.export(model, x, tmp_path / "net", to="int8")
    assert {each.operators for each in report.activations} == {"a threshold"}
    assert any("same bits in all" in note for note in report.notes)
    weights = sum(p.numel() for m in model.modules() if isinstance(m, BinaryConv2d | BinaryLinear) for p in [m.weight])
    assert report.memory.constants < weights / 8 * 3 + 3000  # a third of it would be bits alone


def test_int8_weights_behind_steps_are_summed_for_active_inputs(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(60, 48), layer("step/rect"), nn.Linear(48, 20), nn.ReLU(), nn.Linear(20, 3)).eval()
    actlab.export(model, pixels((60,)), tmp_path / "net", to="int8")
    assert "    bytes_of_bits(" in (tmp_path / "net" / "net.c").read_text()


@pytest.mark.parametrize(
    ("shape", "behind"),
    [
        ((1, 1), nn.Conv1d(1, 2, 1, padding=1)),
        ((5, 3, 4), nn.Sequential(nn.Flatten(2), nn.Unflatten(2, (3, 4)), nn.MaxPool2d(2))),
    ],
)
def test_bits_that_keep_their_shape_are_no_single_row_for_a_window(shape, behind):
    model = nn.Sequential(layer("sign/clipped"), behind, layer("step/rect")).eval()
    x = torch.randn(9, *shape, generator=torch.Generator().manual_seed(0))
    assert "_run(" in print_integer_net(quantize(read_net(model, x), x.numpy()), "net").source
