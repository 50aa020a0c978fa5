"""Quantile sketches, compared with NumPy's quantiles of all numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from actlab.nn.probes.quantile_sketch import BUCKETS, ERROR, QuantileSketch

SHARES = [0.001, 0.01, 0.25, 0.5, 0.75, 0.99, 0.999]


def sketched(*parts):
    sketch = QuantileSketch()
    for part in parts:
        sketch.add(part)
    return sketch


@pytest.mark.parametrize("seed", range(3))
def test_quantiles_of_twenty_orders_of_magnitude_are_within_the_error(seed):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(50_000, generator=generator) * torch.rand(50_000, generator=generator).mul(40).sub(20).exp()
    exact = np.quantile(values.double().numpy(), SHARES, method="lower")  # the number in whose bucket the answer lies

    np.testing.assert_allclose(sketched(*values.split(777)).quantiles(SHARES), exact, rtol=ERROR)


def test_a_point_mass_is_found_exactly_enough():
    assert sketched(torch.zeros(10)).quantiles([0.0, 0.5, 1.0]) == [0.0, 0.0, 0.0]
    for value in (1.0, -3.7, 1e-30, 6e4):
        (median,) = sketched(torch.full((9,), value)).quantiles([0.5])
        assert median == pytest.approx(value, rel=ERROR)


def test_merging_is_adding():
    a, b = torch.randn(100), torch.randn(50)
    merged = sketched(a)
    merged.merge(sketched(b))
    merged.merge(QuantileSketch())

    assert torch.equal(merged.counts, sketched(a, b).counts)
    assert merged.counts.numel() == BUCKETS


def test_infinities_count_in_quantiles_and_nan_does_not():
    sketch = sketched(torch.tensor([math.nan, math.inf, -math.inf, 1.0, -math.nan]))
    assert sketch.nonfinite == 4
    assert sketch.quantiles([0.0, 1.0]) == [-math.inf, math.inf]
    assert math.isnan(sketched(torch.tensor([math.nan])).quantiles([0.5])[0])
    assert math.isnan(QuantileSketch().quantiles([0.5])[0])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_floating_dtype_is_taken(dtype):
    assert sketched(torch.full((3,), 2.0, dtype=dtype)).quantiles([0.5])[0] == pytest.approx(2.0, rel=ERROR)
