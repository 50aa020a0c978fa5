"""Rounding to formats of 4 and 8 bits, against torch's own kernels."""

from __future__ import annotations

import pytest
import torch

from actlab.evaluate.rounding.formats import affine_int8, float8, mxfp4, symmetric_int


def values(shape: tuple[int, ...] = (6, 40), seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", range(5))
def test_one_scale_a_tensor_is_that_of_torch(seed: int) -> None:
    x = values(seed=seed)
    wanted = torch.fake_quantize_per_tensor_affine(x, float(x.abs().max() / 127), 0, -127, 127)
    torch.testing.assert_close(symmetric_int(x), wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("bits", [4, 8])
def test_one_scale_a_channel_is_that_of_torch(bits: int) -> None:
    x, largest = values((5, 3, 3, 3)), 2 ** (bits - 1) - 1
    scale = x.flatten(1).abs().amax(1) / largest
    zero = torch.zeros(5, dtype=torch.int32)
    wanted = torch.fake_quantize_per_channel_affine(x, scale, zero, 0, -largest, largest)
    torch.testing.assert_close(symmetric_int(x, bits, per_channel=True), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("low", "high"), [(-1.3, 2.2), (0.0, 3.0), (0.5, 3.0), (-2.0, -1.0)])
def test_ranges_from_calibration_are_those_of_torch(low: float, high: float) -> None:
    x, bottom, top = 2 * values(), min(low, 0.0), max(high, 0.0)
    scale = (top - bottom) / 255
    wanted = torch.fake_quantize_per_tensor_affine(x, scale, round(-bottom / scale), 0, 255)
    torch.testing.assert_close(affine_int8(x, low, high), wanted, rtol=1e-5, atol=1e-6)


def test_zero_stays_zero_in_every_format() -> None:
    x = values()
    x[0] = 0
    for rounded in (symmetric_int(x), affine_int8(x, -1.0, 1.7), float8(x, torch.float8_e4m3fn), mxfp4(x)):
        assert not rounded[0].any()


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_numbers_of_the_format_are_kept_and_others_are_within_half_a_step(dtype: torch.dtype) -> None:
    top = torch.finfo(dtype).max
    codes = torch.arange(256, dtype=torch.uint8).view(dtype).float()
    exact = codes[torch.isfinite(codes)]
    assert torch.equal(float8(exact, dtype), exact)
    x = torch.cat((values().flatten() * top / 4, torch.tensor([top])))
    bound = 2.0 ** -(4 if dtype is torch.float8_e4m3fn else 3)
    normal = x.abs() > 1
    assert bool(((float8(x, dtype) - x).abs()[normal] <= bound * x.abs()[normal] + 1e-9).all())


def test_a_block_of_mxfp4_has_one_power_of_two_as_scale() -> None:
    """The largest magnitude 6.9 has the exponent 2, so that the scale is 1 and the codes are those of E2M1."""
    block = torch.zeros(1, 32)
    block[0, :5] = torch.tensor([6.9, 0.74, -0.76, 2.4, -3.6])
    assert mxfp4(block)[0, :5].tolist() == [6.0, 0.5, -1.0, 2.0, -4.0]
    assert torch.equal(mxfp4(8 * block), 8 * mxfp4(block))


def test_blocks_do_not_share_scales_and_odd_rows_keep_their_shape() -> None:
    x = torch.cat((torch.full((2, 32), 1000.0), torch.full((2, 7), 0.001)), dim=1)
    rounded = mxfp4(x)
    assert rounded.shape == x.shape
    assert float((rounded - x).abs().div(x).max()) < 0.25


def test_one_outlier_costs_all_others_their_digits() -> None:
    x = values().flatten()
    calm = float((symmetric_int(x) - x).square().mean())
    loud = torch.cat((x, torch.tensor([400.0])))
    assert float((symmetric_int(loud) - loud)[:-1].square().mean()) > 1000 * calm
