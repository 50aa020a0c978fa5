"""Units are counted along the axis of the layer that feeds an activation, wherever a model turns it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # the usual name
from torch import Tensor, nn

from actlab.nn.probes.probe import probe
from actlab.nn.sites.find import find
from actlab.nn.transforms.swap import swap_

DEAD = 3  # units that are made dead, the first ones


class Net(nn.Module):
    """A layer, whatever a function does to its output, and ReLU."""

    def __init__(self, layer: nn.Module, turn, *norms: nn.Module) -> None:
        super().__init__()
        self.layer, self.turn, self.act = layer, turn, nn.ReLU()
        self.norms = nn.ModuleList(norms)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.turn(self.layer(x), *self.norms)) + 0


class Split(nn.Module):
    """The product of a weight with tokens, written out."""

    def __init__(self, equation: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 4))
        self.bias = nn.Parameter(torch.zeros(8))
        self.equation = equation

    def forward(self, x: Tensor) -> Tensor:
        if self.equation == "rows":
            return self.weight @ x.transpose(1, 2) + self.bias[:, None]
        out = torch.einsum(self.equation, self.weight, x)
        return out + (self.bias if self.equation.endswith("o") else self.bias[:, None])


IMAGES, SEQUENCES, TOKENS = torch.randn(4, 3, 6, 6), torch.randn(4, 3, 9), torch.randn(4, 7, 4)
LINEAR, CONV1, CONV2 = nn.Linear(4, 8), nn.Conv1d(3, 8, 3), nn.Conv2d(3, 8, 3)
UP = nn.ConvTranspose2d(3, 8, 2, 2)

# The layer, what stands between it and ReLU, the input, and the dimension of its 8 units there.
# fmt: off
CASES = {
    "nothing": (LINEAR, lambda y: y, TOKENS, -1),
    "a transposed convolution": (UP, lambda y: y, IMAGES, -3),
    "transposed for a norm and back": (CONV1, lambda y, n: n(y.transpose(1, 2)).transpose(1, 2), SEQUENCES, -2, nn.LayerNorm(8)),
    "channels last for a norm": (CONV2, lambda y, n: n(y.permute(0, 2, 3, 1)), IMAGES, -1, nn.LayerNorm(8)),
    "channels last and back": (CONV2, lambda y, n: n(y.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), IMAGES, -3, nn.LayerNorm(8)),
    "tokens before batch norm and back": (LINEAR, lambda y, n: n(y.mT).mT, TOKENS, -1, nn.BatchNorm1d(8)),
    "tokens transposed to channels": (LINEAR, lambda y: y.transpose(1, 2), TOKENS, -2),
    "patches": (CONV2, lambda y: y.flatten(2).transpose(1, 2), IMAGES, -1),
    "patches through movedim": (CONV2, lambda y: y.movedim(1, -1).reshape(4, -1, 8), IMAGES, -1),
    "a batch in front": (LINEAR, lambda y: y.reshape(-1, 8), TOKENS, -1),
    "heads": (LINEAR, lambda y: y.view(4, 7, 1, 8).transpose(1, 2), TOKENS, -1),
    "time first": (LINEAR, lambda y: y.transpose(0, 1).contiguous(), TOKENS, -1),
    "a sum and a product": (CONV1, lambda y: 1.0 * y + y * 0.5, SEQUENCES, -2),
    "a broadcast product": (CONV1, lambda y: (y * torch.ones(4, 1, 1)).swapaxes(1, 2), SEQUENCES, -1),
    "pooling": (CONV2, lambda y: F.max_pool2d(y, 2), IMAGES, -3),
    "a mean over positions": (CONV2, lambda y: y.mean((2, 3)), IMAGES, -1),
    "a maximum over time": (CONV1, lambda y: y.max(2).values, SEQUENCES, -1),
    "a mean that keeps dimensions": (CONV2, lambda y: y.permute(0, 2, 3, 1).mean((1, 2), keepdim=True), IMAGES, -1),
    "half of the tokens": (LINEAR, lambda y: y.transpose(1, 2)[:, :, ::2], TOKENS, -2),
    "one token": (LINEAR, lambda y: y[:, 0], TOKENS, -1),
    "unsqueezed": (LINEAR, lambda y: y.unsqueeze(-1), TOKENS, -2),
    "joined with itself": (CONV1, lambda y: torch.cat([y, y], 2).transpose(1, 2), SEQUENCES, -1),
    "padded": (CONV1, lambda y: F.pad(y, (1, 1)).mT, SEQUENCES, -1),
    "dropout and dtype": (CONV1, lambda y: F.dropout(y.double().float(), 0.0).mT, SEQUENCES, -1),
    "a group norm": (CONV2, lambda y, n: n(y).permute(0, 2, 3, 1), IMAGES, -1, nn.GroupNorm(2, 8)),
    "an einsum": (Split("oi,bti->bto"), lambda y: y, TOKENS, -1),
    "an einsum to channels": (Split("oi,bti->bot"), lambda y: y, TOKENS, -2),
    "a weight from the left": (Split("rows"), lambda y: y, TOKENS, -2),
}
# fmt: on
SAME_SIZES = {
    "square, transposed": (nn.Linear(4, 8), lambda y: y.transpose(1, 2), torch.randn(4, 8, 4), -2),
    "square, not transposed": (nn.Linear(4, 8), lambda y: y, torch.randn(4, 8, 4), -1),
    "square images": (nn.Conv2d(3, 8, 3, padding=1), lambda y: y.permute(0, 2, 3, 1), torch.randn(8, 3, 8, 8), -1),
}


def net_of(case: tuple) -> Net:
    layer, turn, _, _, *norms = case
    net = Net(layer, turn, *norms).eval()
    with torch.no_grad():
        layer.bias.fill_(5.0)
        layer.bias[:DEAD] = -1e4
        for norm in norms:
            norm.bias.fill_(5.0)
            norm.bias[:DEAD] = -1e4
    return net


@pytest.mark.parametrize("case", [*CASES.values(), *SAME_SIZES.values()], ids=[*CASES, *SAME_SIZES])
def test_units_and_channels_are_those_of_the_layer(case):
    net, x, dim = net_of(case), case[2], case[3]

    (row,) = probe(net, [x])
    (site,) = find(net, x)

    assert (row.units, row.dead) == (8, DEAD / 8)
    assert (site.channels, site.channel_dim) == (8, dim)


def test_where_heads_are_split_the_last_dimension_counts_until_a_norm_decides():
    heads = Net(nn.Linear(4, 8), lambda y: y.view(4, 7, 2, 4).transpose(1, 2)).eval()
    generator = Net(nn.Linear(4, 8 * 9), lambda y, n: n(y.view(-1, 8, 3, 3)), nn.BatchNorm2d(8)).eval()

    assert [row.units for row in probe(heads, [TOKENS])] == [4]
    assert [row.units for row in probe(generator, [torch.randn(4, 4)])] == [8]


def test_each_activation_belongs_to_the_layer_that_feeds_it_and_not_to_the_one_that_ran_last():
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate, self.value = nn.Linear(4, 8), nn.Linear(4, 8)

        def forward(self, x: Tensor) -> Tensor:
            gate, value = self.gate(x), self.value(x)
            return F.silu(gate) * value

    assert [row.after for row in probe(Gated(), [TOKENS])] == ["gate"]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_parameters_per_channel_lie_along_the_same_axis(case):
    net, x, dim = net_of(case), case[2], case[3]
    y = net.turn(net.layer(x), *net.norms)

    swap_(net, "prelu(weight=learned_per_channel)", x)
    slopes = torch.linspace(-1, 1, 8)
    with torch.no_grad():
        net.act.weight.copy_(slopes)

    assert net.act.weight.shape == (8,)
    want = torch.where(y > 0, y, y * slopes.view(-1, *[1] * (-dim - 1)))
    torch.testing.assert_close(net(x), want)


@pytest.mark.parametrize(
    "spec",
    ["prelu(weight=learned_per_channel)", "swish(beta=learned_per_channel)", "prelu(weight=learned_per_channel)/ste"],
)
def test_a_layer_behind_a_linear_takes_any_length_of_sequence(spec):
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    swap_(net, spec, torch.randn(2, 7, 4))

    shapes = [net(torch.randn(*size, 4)).shape for size in [(3, 7), (2, 9), (5,), (2, 3, 4), ()]]

    assert shapes == [(3, 7, 2), (2, 9, 2), (5, 2), (2, 3, 4, 2), (2,)]


def test_images_with_and_without_a_batch():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 2, 1))

    swap_(net, "prelu(weight=learned_per_channel)", IMAGES[0])

    torch.testing.assert_close(net(IMAGES)[0], net(IMAGES[0]))


def test_where_axes_differ_between_calls_there_is_no_parameter_per_channel():
    act = nn.ReLU()
    net = nn.Sequential(nn.Conv1d(3, 8, 3), act, nn.Conv1d(8, 8, 1), nn.Flatten(1), nn.Linear(56, 8), act)

    sites = find(net, SEQUENCES)

    assert [(site.channels, site.channel_dim) for site in sites] == [(None, None)]
