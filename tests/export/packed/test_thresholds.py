"""Thresholds equal the norm and the activation on every number they can get, above all at the edge."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from actlab.errors import PackError
from actlab.export.packed.thresholds import LARGEST_SUM, Thresholds, find_thresholds
from actlab.nn.layers.layer import layer

CHANNELS = 48


def norm(seed: int, kind=nn.BatchNorm1d) -> nn.Module:
    """Return a norm with random numbers; some of its weights are negative, two are zero."""
    generator = torch.Generator().manual_seed(seed)
    result = kind(CHANNELS).eval()
    with torch.no_grad():
        result.weight.copy_(torch.randn(CHANNELS, generator=generator))
        result.weight[:2] = 0.0
        result.bias.copy_(torch.randn(CHANNELS, generator=generator))
        result.bias[0], result.bias[1] = 0.5, -0.5
        result.running_mean.copy_(torch.randn(CHANNELS, generator=generator) * 20)
        result.running_var.copy_(torch.rand(CHANNELS, generator=generator) * 300 + 0.01)
    return result


@pytest.mark.parametrize("spec", ["sign/clipped", "step/arctan", "rsign(alpha=0.3)/clipped", "rsign/clipped"])
@pytest.mark.parametrize("seed", range(3))
@torch.no_grad()
def test_whole_thresholds_equal_the_modules_on_every_whole_number(spec, seed):
    before, act = norm(seed), layer(spec)
    reachable = torch.arange(-1500, 1501).float()[:, None].expand(-1, CHANNELS).contiguous()

    found = find_thresholds(lambda x: act(before(x)), 1.0, CHANNELS, 2, integers=True).to_integers()

    assert torch.equal(found(reachable), act(before(reachable)) == 1)
    assert found.value.dtype == torch.int32


@pytest.mark.parametrize("seed", range(3))
@torch.no_grad()
def test_float_thresholds_equal_the_modules_next_to_the_edge_and_far_from_it(seed):
    before, act = norm(seed), layer("sign/clipped")
    found = find_thresholds(lambda x: act(before(x)), 1.0, CHANNELS, 2)
    edge = found.value.clamp(-1e30, 1e30)
    near = [edge]
    for direction in (-torch.inf, torch.inf):
        at = edge
        for _ in range(5):
            at = torch.nextafter(at, torch.tensor(direction))
            near.append(at)
    far = torch.randn(200, CHANNELS, generator=torch.Generator().manual_seed(seed)) * 100
    x = torch.cat([torch.stack(near), far])

    assert torch.equal(found(x), act(before(x)) == 1)
    share = found(torch.stack(near)).float().mean(0)[2:]
    assert bool(((share > 0) & (share < 1)).all())  # the edge does lie among them


@torch.no_grad()
def test_images_get_the_same_thresholds():
    before, act = norm(0, nn.BatchNorm2d), layer("sign/clipped")
    sums = torch.randint(-400, 401, (4, CHANNELS, 9, 7), generator=torch.Generator().manual_seed(0)).float()

    found = find_thresholds(lambda x: act(before(x)), 1.0, CHANNELS, 4, integers=True).to_integers()

    assert torch.equal(found(sums), act(before(sums)) == 1)


@torch.no_grad()
def test_a_weight_of_zero_is_always_or_never_and_a_negative_one_turns_round():
    before, act = norm(0), layer("sign/clipped")
    found = find_thresholds(lambda x: act(before(x)), 1.0, CHANNELS, 2)

    assert found.value[0] == -torch.inf
    assert found.value[1] == torch.inf
    assert torch.equal(found.above[2:], before.weight[2:] > 0)
    assert found.to_integers().value[:2].tolist() == [-LARGEST_SUM - 1, LARGEST_SUM + 1]


@torch.no_grad()
def test_the_conventions_at_zero_are_kept():
    step, sign = (find_thresholds(layer(spec), 1.0, 1, 2).value for spec in ("step/rect", "sign/clipped"))

    assert sign == 0.0
    assert step == torch.nextafter(torch.tensor([0.0]), torch.tensor([1.0]))  # above zero, zero not included
    assert Thresholds(value=step, above=torch.tensor([True])).to_integers().value == 1


@torch.no_grad()
def test_a_threshold_off_by_one_would_be_found():
    before, act = norm(0), layer("sign/clipped")
    found = find_thresholds(lambda x: act(before(x)), 1.0, CHANNELS, 2, integers=True).to_integers()
    reachable = torch.arange(-1500, 1501).float()[:, None].expand(-1, CHANNELS).contiguous()
    wrong = Thresholds(value=found.value + torch.eye(CHANNELS, dtype=torch.int32)[5], above=found.above)

    assert not torch.equal(wrong(reachable), act(before(reachable)) == 1)


def test_a_norm_of_nan_is_refused():
    before = norm(0)
    before.running_mean[3] = torch.nan

    with pytest.raises(PackError, match="gives NaN"):
        find_thresholds(before, 1.0, CHANNELS, 2)
