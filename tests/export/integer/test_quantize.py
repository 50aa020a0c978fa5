"""Quantisation after training against float64 and the published tables."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import actlab
from actlab.codegen.int8 import int8_table
from actlab.errors import ExportError
from actlab.export.integer.coding import Bits, Codes
from actlab.export.integer.layers import AveragePool, Combine, Lookup, MaxPool, Multiply, Product, Requantize, Threshold
from actlab.export.integer.quantize import quantize
from actlab.export.net.read import read_net
from actlab.functions.activation import activation, forget
from actlab.nn.layers.binary import BinaryConv2d, BinaryLinear


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def whole(model, x, **options):
    torch.manual_seed(0)
    return quantize(read_net(model.eval(), torch.as_tensor(x[:2])), x, **options)


def kinds(net):
    return [type(layer).__name__ for layer in net.layers]


def in_float(model, x):
    with torch.no_grad():
        return model(torch.as_tensor(x)).numpy()


class Call(nn.Module):
    """A function as a model, behind a dense layer of 8 numbers where asked."""

    def __init__(self, function, dense=False):
        super().__init__()
        self.function, self.dense = function, nn.Linear(8, 8) if dense else nn.Identity()

    def forward(self, x):
        return self.function(self.dense(x))


@pytest.mark.parametrize("calibration", ["minmax", "percentile", "mse"])
def test_a_dense_layer_is_float64_arithmetic_on_its_rounded_weights(calibration):
    model, x = nn.Linear(40, 9), numbers(300, 40)
    net = whole(model, x, calibration=calibration)
    (layer,) = net.layers
    given, made = (net.codings[name] for name in (net.inputs[0], net.outputs[0]))
    weight, bias = model.weight.detach().double().numpy(), model.bias.detach().double().numpy()
    step = np.abs(weight).max(1) / 127
    assert np.abs(layer.weight * step[:, None] - weight).max() <= step.max() / 2 + 1e-9
    rounded = (np.clip(np.rint(x / given.scale) + given.zero, -128, 127) - given.zero) * given.scale
    exact = (rounded @ (layer.weight * step[:, None]).T + bias) / made.scale + made.zero
    codes = net.run(x)[0]
    assert np.abs(codes - np.clip(exact, -128, 127)).max() <= 0.5 + 0.02  # the bias is rounded to a step of the sums


@pytest.mark.parametrize("spec", ["gelu", "mish", "sine", "leaky_relu(0.3)", "hard_swish"])
def test_an_activation_is_the_exact_table_between_two_codings(spec):
    x = numbers(200, 8)
    net = whole(actlab.layer(spec), x)
    (layer,) = net.layers
    given, made = (net.codings[name] for name in (net.inputs[0], net.outputs[0]))
    scales = {"input_scale": given.scale, "input_zero": given.zero}
    table = int8_table(spec, **scales, output_scale=made.scale, output_zero=made.zero)
    np.testing.assert_array_equal(layer.table, table)


@pytest.mark.parametrize(
    "function",
    [
        nn.ReLU(),
        nn.ReLU6(),
        nn.Hardtanh(-0.5, 0.7),
        lambda x: x.clamp(min=-0.4),
        lambda x: x.clamp(-0.2, 0.9),
        lambda x: torch.maximum(x, x * 0),
        lambda x: (x + x.abs()) / 2,
        actlab.layer("leaky_relu(0)"),
    ],
)
def test_clamps_are_found_by_value_and_need_no_table(function):
    model, x = Call(function, dense=True), 2 * numbers(200, 8)
    net = whole(model, x)
    (layer,) = net.layers
    assert layer.ending.table is None
    assert np.abs(net.numbers(x)[0] - in_float(model, x)).max() < 0.1


@pytest.mark.parametrize(
    ("written", "spec"),
    [
        (lambda x: x * torch.sigmoid(x), "silu"),
        (lambda x: x * torch.tanh(F.softplus(x)), "mish"),
        (lambda x: 0.5 * x * (1 + torch.tanh(0.7978845608 * (x + 0.044715 * x * x * x))), "gelu_tanh"),
    ],
)
def test_an_activation_that_is_written_by_hand_is_one_table(written, spec):
    x = numbers(200, 8)
    net = whole(Call(written, dense=True), x)
    (layer,) = net.layers
    assert isinstance(layer, Product)
    own = whole(Call(actlab.layer(spec), dense=True), x)
    assert np.abs(layer.ending.table.astype(int) - own.layers[0].ending.table).max() <= 1


def test_learned_numbers_of_channels_are_a_table_for_each():
    model = nn.Sequential(nn.Conv2d(2, 3, 3), actlab.layer("prelu(weight=learned_per_channel)", channels=3))
    model[1].weight.data = torch.tensor([0.1, 0.5, -0.4])
    x = numbers(40, 2, 6, 6)
    net = whole(model, x)
    (layer,) = net.layers
    assert layer.ending.table.shape == (3, 256)
    assert np.abs(net.numbers(x)[0] - in_float(model, x)).max() < 0.1


@pytest.mark.parametrize("spec", ["swiglu", "glu", "gtu", "drelu_glu", "swiglu_oai"])
def test_a_gated_unit_is_a_table_of_the_gate_and_a_product(spec):
    model, x = nn.Sequential(nn.Linear(6, 16), actlab.layer(spec), nn.Linear(8, 3)), numbers(300, 6)
    net = whole(model, x)
    assert kinds(net) == ["Product", "Product", "Multiply", "Product"]
    assert np.abs(net.numbers(x)[0] - in_float(model, x)).max() < 0.06


def test_all_that_has_no_integer_form_is_named_at_once():
    @activation(paper="a test", kind="gated")
    def sum_unit(gate, value):
        """Add the square of the gate to a product."""
        return gate * value + gate * gate

    try:
        model = nn.Sequential(nn.Linear(4, 8), actlab.layer("sum_unit"), nn.Linear(4, 4), nn.LogSoftmax(-1))
        model[2].weight.data[0, 0] = np.nan
        with pytest.raises(ExportError) as caught:
            whole(model, numbers(8, 4))
    finally:
        forget("sum_unit")
    text = str(caught.value)
    for part in ("3 obstacles", "sum_unit in 1", "no product", "softmax in 3", "dense in 2", "NaN or infinities"):
        assert part in text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.array([[1.0, np.nan, 0.0]]), "1 of 3 numbers of input"),
        (np.zeros((0, 3)), "no examples"),
        (np.zeros((4, 2)), "shapes"),
        (np.array([[1e38, 1e38, 1e38]]), "output of 0 (dense) holds NaN or infinities"),
    ],
)
def test_calibration_data_that_gives_no_range_is_refused(data, message):
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    model[0].weight.data.fill_(100.0)
    with pytest.raises(ExportError) as caught:
        quantize(read_net(model, torch.zeros(2, 3)), data.astype(np.float32))
    assert message in str(caught.value)


@pytest.mark.parametrize("scale", [1e-44, 1e-30, 1e-3, 1e3, 1e30])
def test_tensors_of_every_size_are_coded_or_vanish(scale):
    model, x = nn.Linear(6, 4, bias=False), (scale * numbers(50, 6)).astype(np.float32)
    net = whole(model, x)
    error = np.abs(net.numbers(x)[0] - in_float(model, x)).max()
    assert error < max(0.05 * scale, 1e-35)


@pytest.mark.parametrize("scale", [1e-20, 1e-6, 1.0, 1e6, 1e20])
def test_a_bias_of_any_size_beside_the_weights_keeps_sums_in_32_bits(scale):
    model, x = nn.Linear(6, 4), numbers(50, 6)
    model.bias.data *= scale
    net = whole(model, x)
    (layer,) = net.layers
    bound = 255 * np.abs(layer.weight.astype(np.int64)).sum(1) + np.abs(layer.bias.astype(np.int64))
    assert bound.max() < 2**31
    exact = in_float(model, x)
    assert np.abs(net.numbers(x)[0] - exact).max() < 0.02 * np.abs(exact).max()


def test_dead_channels_constants_and_a_single_example_are_coded():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    model[0].weight.data[1] = 0
    model[0].bias.data[1] = -1
    model[2].weight.data[0] = 0
    x = numbers(1, 3)
    net = whole(model, x)
    assert np.abs(net.numbers(x)[0] - in_float(model, x)).max() < 0.02
    zero = whole(model, np.zeros((1, 3), np.float32))
    assert (
        np.abs(zero.numbers(np.zeros((1, 3), np.float32))[0] - in_float(model, np.zeros((1, 3), np.float32))).max()
        < 0.02
    )


def test_pixels_are_exact_with_a_scale_of_one_and_others_are_refused():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 5)).astype(np.float32)
    model = nn.Linear(5, 2)
    net = whole(model, pixels, input_scale=1.0)
    assert net.codings[net.inputs[0]] == Codes(scale=1.0, zero=-128)
    np.testing.assert_array_equal(net.encode(pixels)[0].astype(int) + 128, pixels)
    signed = whole(model, pixels - 128, input_scale={net.inputs[0]: 1.0})
    assert signed.codings[signed.inputs[0]] == Codes(scale=1.0, zero=0)
    with pytest.raises(ExportError, match="Give a larger scale"):
        whole(model, 2 * pixels, input_scale=1.0)


def test_a_clamp_behind_a_maximum_is_part_of_the_convolution():
    net = whole(nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.ReLU()), numbers(20, 1, 8, 8))
    assert kinds(net) == ["Product", "MaxPool"]
    assert net.layers[0].ending.low == -128


def test_residual_sums_means_and_pads_are_near_the_float_net():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.conv = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1, groups=4)

        def forward(self, x):
            x = F.gelu(self.first(x))
            return F.adaptive_avg_pool2d(
                torch.relu(x - 2 * self.conv(F.pad(x, (1, 1, 1, 1)))[..., 1:-1, 1:-1]), 1
            ).flatten(1)

    model, x = Block(), numbers(30, 2, 6, 6)
    net = whole(model, x)
    assert {Combine, AveragePool} <= {type(layer) for layer in net.layers}
    assert np.abs(net.numbers(x)[0] - in_float(model, x)).max() < 0.03


def test_a_softmax_is_within_a_step_of_the_probabilities_of_its_codes():
    x = 3 * numbers(200, 10)
    net = whole(nn.Softmax(-1), x)
    coding = net.codings[net.inputs[0]]
    rounded = (net.encode(x)[0].astype(float) - coding.zero) * coding.scale
    exact = np.exp(rounded) / np.exp(rounded).sum(1, keepdims=True)
    assert np.abs(net.numbers(x)[0] - np.minimum(exact, 255 / 256)).max() < 0.5 / 256 + 1e-4


def binary_net():
    """Return a net with binary weights, all of whose sums before a sign are far from it."""
    torch.manual_seed(3)
    net = nn.Sequential(
        BinaryConv2d(1, 8, 3, padding=1, pad_value=0.0), nn.BatchNorm2d(8), actlab.layer("sign/clipped"), nn.MaxPool2d(2),
        BinaryConv2d(8, 12, 3, padding=1, pad_value=-1.0), nn.BatchNorm2d(12), actlab.layer("sign/clipped"), nn.Flatten(),
        BinaryLinear(108, 16, scale="mean"), nn.BatchNorm1d(16), actlab.layer("step/rect"), nn.Linear(16, 5),
    )  # fmt: skip
    for part in net:
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(part.running_mean, -3.3, 3.1)
            nn.init.uniform_(part.weight, -1, 1)
            nn.init.uniform_(part.bias, -0.3, 0.4)
    return net.eval()


def test_a_binary_net_has_thresholds_and_decides_as_in_float():
    model = binary_net()
    x = np.random.default_rng(0).integers(-128, 128, (300, 1, 6, 6)).astype(np.float32)
    net = whole(model, x, input_scale=1.0)
    products = [layer for layer in net.layers if isinstance(layer, Product)]
    assert [type(layer.ending) for layer in products] == [Threshold, Threshold, Threshold, Requantize]
    assert all(set(np.unique(layer.weight)) == {-1, 1} for layer in products[:3])
    assert [net.codings[layer.output] for layer in products[:3]] == [Bits(low=-1), Bits(low=-1), Bits(low=0)]
    assert net.codings[net.outputs[0]].width == 32
    codes = net.tensors(net.encode(x))
    floats = {}
    value = torch.as_tensor(x)
    for index, part in enumerate(model):
        value = part(value).detach()
        floats[index] = value.numpy()
    for layer, index in zip(products[:3], (2, 6, 10), strict=True):
        np.testing.assert_array_equal(codes[layer.output], floats[index] > 0)
    exact = floats[11]
    assert np.abs(net.numbers(x)[0] - exact).max() < 0.005 * np.abs(exact).max() + 0.01


@pytest.mark.parametrize("others", [[], [[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]]], ids=["all", "with others"])
def test_rows_of_two_or_three_weights_are_exact_with_small_codes_where_all_are_such(others):
    rows = [[0.3, -0.3] * 3, [0.7, 0.0, -0.7] * 2, *others]
    model = nn.Sequential(actlab.layer("sign"), nn.Linear(6, len(rows)))
    model[1].weight.data = torch.tensor(rows)
    x = numbers(100, 6)
    net = whole(model, x)
    weight = next(layer for layer in net.layers if isinstance(layer, Product)).weight
    top = 127 if others else 1
    assert weight[:2].tolist() == [[top, -top] * 3, [top, 0, -top] * 2]
    assert np.abs(net.numbers(x)[0] - in_float(model, x)).max() < 0.01


def test_the_bias_of_a_product_of_bits_is_not_rounded_to_whole_sums():
    model = nn.Sequential(actlab.layer("step"), nn.Linear(6, 2), nn.Identity())
    model[1].weight.data = torch.tensor([[1.0, -1.0] * 3, [-0.25] * 6])
    model[1].bias.data = torch.tensor([0.37, 0.11])
    x = numbers(100, 6)
    net = whole(model, x)
    assert kinds(net) == ["Lookup", "Product", "Affine"]
    assert np.abs(net.numbers(x)[0] - in_float(model, x)).max() < 1e-3


@pytest.mark.parametrize("spec", ["step_at(threshold=0.4)", "sign", "step", "relu"])
def test_a_threshold_is_where_the_function_switches_on_the_sums(spec):
    model, x = nn.Sequential(nn.Linear(5, 7), actlab.layer(spec)), numbers(400, 5)
    net = whole(model, x)
    layer = net.layers[0]
    if spec == "relu":
        assert isinstance(layer.ending, Requantize)
        return
    given = net.codings[net.inputs[0]]
    rounded = (net.encode(x)[0].astype(float) - given.zero) * given.scale
    step = np.abs(model[0].weight.detach().double().numpy()).max(1) / 127
    exact = rounded @ (layer.weight * step[:, None]).T + model[0].bias.detach().double().numpy()
    near = np.abs(exact - (0.4 if "at" in spec else 0.0)) < 1e-9
    np.testing.assert_array_equal(net.run(x)[0][~near], exact[~near] > (0.4 if "at" in spec else 0.0))


def test_a_planted_fault_is_seen_by_these_checks():
    model, x = nn.Sequential(nn.Linear(8, 8), nn.GELU()), numbers(100, 8)
    net = whole(model, x)
    before = net.numbers(x)[0]
    net.layers[0].ending.table[:] = np.roll(net.layers[0].ending.table, 6)
    assert np.abs(net.numbers(x)[0] - in_float(model, x)).max() > 0.05 > np.abs(before - in_float(model, x)).max()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"calibration": "entropy"}, "calibration is one of 'minmax', 'percentile', 'mse'; got 'entropy'"),
        ({"percentile": 30}, "percentile is above 50"),
        ({"input_scale": -1.0}, "input_scale is a finite number above 0"),
        ({"output_width": 16}, "output_width is 8 or 32"),
    ],
)
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(ExportError, match=message):
        whole(nn.ReLU(), numbers(4, 3), **options)


def test_maxima_and_joins_of_tensors_share_a_coding():
    class Net(nn.Module):
        def forward(self, x):
            a, b = torch.tanh(x), F.softplus(x)
            return torch.cat([torch.maximum(a, b), F.max_pool1d(b, 2), torch.softmax(a, -1)], -1)

    x = numbers(100, 3, 8)
    net = whole(Net(), x)
    assert {MaxPool, Lookup} <= {type(layer) for layer in net.layers}
    exact = in_float(Net(), x)
    assert np.abs(net.numbers(x)[0] - exact).max() < 0.7 * net.codings[net.outputs[0]].scale * 2 + 0.05
    assert Multiply not in {type(layer) for layer in net.layers}
