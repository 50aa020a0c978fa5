"""Affine fits equal NumPy's least squares, whatever the batches, the layout and the offset."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.nn.nets import Residual
from torch import nn

from actlab.errors import SiteError
from actlab.nn.probes import affine_fit
from actlab.nn.probes.affine_fit import JointMoments, fit_lines
from actlab.nn.sites.find import survey

EXACT = {"rtol": 1e-10, "atol": 1e-10}  # float64 in another order of sums, on numbers of order one


def numpy_line(x, y):
    """Return slope, shift and R^2 of one column each, by numpy's own solver."""
    design = np.stack([x, np.ones_like(x)], axis=1)
    (slope, shift), *_ = np.linalg.lstsq(design, y, rcond=None)
    return slope, shift


def pairs(seed=0, rows=500, width=3):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, width, generator=generator, dtype=torch.float64)
    return x, torch.relu(x * torch.tensor([1.0, 2.0, -1.0][:width])) + 0.3 * torch.randn(
        rows, width, generator=generator, dtype=torch.float64
    )


@pytest.mark.parametrize("cuts", [[500], [1, 499], [7, 200, 293], [100] * 5])
def test_a_streamed_fit_is_the_least_squares_of_numpy_however_the_data_comes(cuts):
    x, y = pairs()
    moments = JointMoments(3)
    for a, b in zip(x.split(cuts), y.split(cuts), strict=True):
        moments.add(a, b)
    line = moments.line(dim=-1)

    wanted = [numpy_line(x[:, i].numpy(), y[:, i].numpy()) for i in range(3)]
    np.testing.assert_allclose(line.slope, [slope for slope, _ in wanted], **EXACT)
    np.testing.assert_allclose(line.shift, [shift for _, shift in wanted], **EXACT)
    np.testing.assert_allclose(line.mean, y.mean(0), **EXACT)


def test_r2_is_the_explained_share_of_the_variance_within_channels():
    x, y = pairs()
    moments = JointMoments(3)
    moments.add(x, y)
    line = moments.line(dim=-1)

    left = ((y - x * line.slope - line.shift) ** 2).sum()
    np.testing.assert_allclose(line.r2, 1 - left / ((y - y.mean(0)) ** 2).sum(), **EXACT)


def test_two_halves_merged_are_the_whole_and_pooled_channels_are_one_long_channel():
    x, y = pairs()
    whole, first, second, long = JointMoments(3), JointMoments(3), JointMoments(3), JointMoments(1)
    whole.add(x, y)
    first.add(x[:100], y[:100])
    second.add(x[100:], y[100:])
    first.merge(second)
    long.add(x.reshape(-1, 1), y.reshape(-1, 1))

    np.testing.assert_allclose(first.line(dim=-1).slope, whole.line(dim=-1).slope, **EXACT)
    np.testing.assert_allclose(whole.pooled().line(dim=-1).slope, long.line(dim=-1).slope, **EXACT)
    np.testing.assert_allclose(whole.pooled().line(dim=-1).shift, long.line(dim=-1).shift, **EXACT)


def test_chunks_change_nothing(monkeypatch):
    x, y = pairs()
    whole, chunked = JointMoments(3), JointMoments(3)
    whole.add(x, y)
    monkeypatch.setattr(affine_fit, "_CHUNK", 10)
    chunked.add(x, y)

    np.testing.assert_allclose(chunked.line(dim=-1).slope, whole.line(dim=-1).slope, **EXACT)


def test_a_large_offset_costs_no_digits():
    """Raw sums of squares would lose all of them: 1e7 squared is 1e14, with 16 digits in a double."""
    x, y = pairs()
    moments = JointMoments(3)
    for a, b in zip(x.split(50), y.split(50), strict=True):
        moments.add(a + 1e7, b)
    centered = JointMoments(3)
    centered.add(x, y)

    np.testing.assert_allclose(moments.line(dim=-1).slope, centered.line(dim=-1).slope, rtol=1e-7)


def test_what_does_not_vary_has_a_flat_line_that_explains_everything():
    moments = JointMoments(1)
    moments.add(torch.full((5, 1), 2.0), torch.full((5, 1), 7.0))
    line = moments.line(dim=-1)

    assert (line.slope.item(), line.shift.item(), line.r2) == (0.0, 7.0, 1.0)


def test_an_identity_is_fitted_exactly():
    """Slope 1 and shift 0 to the bit: where a site is linear on the data, its line changes no output at all."""
    x = torch.rand(1000, 4) + 3
    moments = JointMoments(4)
    moments.add(x, torch.relu(x))
    line = moments.line(dim=-1)

    assert (line.slope.tolist(), line.shift.tolist(), line.r2) == ([1.0] * 4, [0.0] * 4, 1.0)


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Conv2d(1, 3, 3), nn.Linear(3, 2)

    def forward(self, x):
        return self.head(F.gelu(self.stem(x)).mean((2, 3)))


def test_convolutions_have_a_line_for_each_channel_over_all_positions():
    torch.manual_seed(0)
    net, x = Functional(), torch.randn(8, 1, 6, 6)
    (entry,) = survey(net, x).entries
    line = fit_lines(net, [x[:5], x[5:]], [entry.slot.key], inputs=lambda batch: batch)[entry.slot.key]

    with torch.no_grad():
        before = net.stem(x)
    for channel in range(3):
        a = before[:, channel].flatten().double().numpy()
        slope, shift = numpy_line(a, F.gelu(before[:, channel]).flatten().double().numpy())
        np.testing.assert_allclose(
            [line.slope[channel], line.shift[channel]], [slope, shift], rtol=1e-5
        )  # float32 inputs
    assert (line.dim, line.elements) == (-3, 8 * 3 * 16)


def test_a_site_that_runs_behind_two_layers_has_the_line_of_both():
    torch.manual_seed(0)
    net, x = Residual().eval(), torch.randn(8, 4, 5, 5)
    (entry,) = survey(net, x).entries
    seen = []
    hook = net.relu.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
    with torch.no_grad():
        net(x)
    hook.remove()
    line = fit_lines(net, [x], [entry.slot.key], inputs=lambda batch: batch)[entry.slot.key]

    both = torch.cat(seen)[:, 2].flatten().double().numpy()
    np.testing.assert_allclose(line.slope[2], numpy_line(both, np.maximum(both, 0))[0], rtol=1e-5)  # float32 inputs


def test_one_line_for_the_site_where_that_is_asked_for():
    net, x = nn.Sequential(nn.Linear(2, 5), nn.Tanh()), torch.randn(50, 2)
    key = survey(net, x).entries[0].slot.key

    assert len(fit_lines(net, [x], [key], inputs=lambda batch: batch, per_channel=False)[key].slope) == 1


def test_numbers_that_are_not_finite_are_refused_with_the_site():
    net, x = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)), torch.full((3, 2), float("inf"))
    key = survey(net, torch.zeros(1, 2)).entries[0].slot.key

    with pytest.raises(SiteError, match="activation 1 met or made numbers that are not finite"):
        fit_lines(net, [x], [key], inputs=lambda batch: batch)
