"""Corruptions of images of any size and number of channels, inside the range of each channel.

After ImageNet-C and CIFAR-10-C (arXiv:1903.12261), with strengths as shares of the range and of the side.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from actlab.evaluate.corruptions.corruption import Corruption, Reference, drawn
from actlab.evaluate.input_kind import FLAT_IMAGES, as_images
from actlab.evaluate.undefined_axis import UndefinedAxisError

__all__ = ["IMAGE_CORRUPTIONS"]

#: Function of images in [0, 1], shape (n, channels, height, width), of a severity from 0 to 1 and a generator.
_Change: TypeAlias = Callable[[Tensor, float, torch.Generator], Tensor]


def _image(name: str, description: str, change: _Change) -> Corruption:
    return Corruption(name=name, corrupt=_InUnits(change), description=description)


class _InUnits:
    """A change of images in [0, 1] as one of images in the range of their channels, of any dtype."""

    def __init__(self, change: _Change) -> None:
        self.change = change

    def __call__(self, inputs: Tensor, severity: float, reference: Reference, generator: torch.Generator) -> Tensor:
        low, high = reference.range
        span = torch.where(high > low, high - low, torch.ones_like(high))
        units = ((inputs.double() - low) / span).float()
        pictures = as_images(units)
        if pictures is None:
            raise UndefinedAxisError(FLAT_IMAGES.format(units[0].numel()))
        changed = self.change(pictures, severity, generator).view_as(units)
        changed = changed.maximum(units.clamp_max(0)).minimum(
            units.clamp_min(1)
        )  # a clean value outside may stay there
        found = torch.where(high > low, changed.double() * span + low, inputs.double())
        if not inputs.is_floating_point():
            return found.round()
        # rounding may leave the range by a unit in the last place
        return (
            found.to(inputs.dtype)
            .maximum(low.to(inputs.dtype).minimum(inputs))
            .minimum(high.to(inputs.dtype).maximum(inputs))
        )


def _gaussian_noise(x: Tensor, severity: float, generator: torch.Generator) -> Tensor:
    return x + 0.38 * severity * torch.randn(x.shape, generator=generator)


def _shot_noise(x: Tensor, severity: float, generator: torch.Generator) -> Tensor:
    photons = 3 / severity**2
    return torch.poisson(x.clamp_min(0) * photons, generator=generator) / photons


def _impulse_noise(x: Tensor, severity: float, generator: torch.Generator) -> Tensor:
    is_hit = drawn(x.shape, generator) < 0.27 * severity
    return torch.where(is_hit, (drawn(x.shape, generator) < 0.5).float(), x)


def _gaussian_blur(x: Tensor, severity: float, _: torch.Generator) -> Tensor:
    sigma = 0.07 * severity * min(x.shape[-2:])
    radius = math.ceil(3 * sigma)
    kernel = torch.exp(-(torch.arange(-radius, radius + 1.0) ** 2) / (2 * sigma**2))
    return _filtered(_filtered(x, kernel, dim=-2), kernel, dim=-1)


def _motion_blur(x: Tensor, severity: float, _: torch.Generator) -> Tensor:
    reach = 0.15 * severity * x.shape[-1]  # to either side
    places = torch.arange(-math.ceil(reach), math.ceil(reach) + 1.0)
    return _filtered(x, (reach + 1 - places.abs()).clamp(0, 1), dim=-1)


def _filtered(x: Tensor, kernel: Tensor, *, dim: int) -> Tensor:
    """Return the images filtered along one side; the border is continued."""
    radius = len(kernel) // 2
    pad = (radius, radius, 0, 0) if dim == -1 else (0, 0, radius, radius)
    shape = (1, 1, 1, -1) if dim == -1 else (1, 1, -1, 1)
    single = x.reshape(-1, 1, *x.shape[-2:])
    return functional.conv2d(functional.pad(single, pad, "replicate"), (kernel / kernel.sum()).view(shape)).view_as(x)


def _contrast(x: Tensor, severity: float, _: torch.Generator) -> Tensor:
    mean = x.mean((-2, -1), keepdim=True)
    return torch.lerp(x, mean, 0.9 * severity)


def _brightness(x: Tensor, severity: float, _: torch.Generator) -> Tensor:
    return x + 0.5 * severity


def _darkness(x: Tensor, severity: float, _: torch.Generator) -> Tensor:
    return x * (1 - 0.8 * severity)


def _pixelate(x: Tensor, severity: float, _: torch.Generator) -> Tensor:
    height, width = (max(2, round(side * (1 - 0.75 * severity))) for side in x.shape[-2:])
    return functional.interpolate(functional.adaptive_avg_pool2d(x, (height, width)), x.shape[-2:], mode="nearest")


def _rotation(x: Tensor, severity: float, generator: torch.Generator) -> Tensor:
    angle = math.radians(40) * severity * _sides(len(x), generator)
    ratio = x.shape[-1] / x.shape[-2]
    cos, sin = angle.cos(), angle.sin()
    return _moved(x, torch.stack((cos, -sin / ratio, sin * ratio, cos), dim=1), torch.zeros(len(x), 2))


def _shift(x: Tensor, severity: float, generator: torch.Generator) -> Tensor:
    angle = 2 * math.pi * drawn((len(x),), generator)
    away = 2 * 0.2 * severity * torch.stack((angle.cos(), angle.sin()), dim=1)
    return _moved(x, torch.tensor([[1.0, 0.0, 0.0, 1.0]]).expand(len(x), 4), away)


def _zoom(x: Tensor, severity: float, _: torch.Generator) -> Tensor:
    factor = 1 / (1 + 0.7 * severity)
    return _moved(x, torch.tensor([[factor, 0.0, 0.0, factor]]).expand(len(x), 4), torch.zeros(len(x), 2))


def _moved(x: Tensor, matrix: Tensor, away: Tensor) -> Tensor:
    """Return images seen through an affine map of their coordinates; the border is continued."""
    theta = torch.cat((matrix.view(-1, 2, 2), away[:, :, None]), dim=2)
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _sides(n: int, generator: torch.Generator) -> Tensor:
    return torch.where(drawn((n,), generator) < 0.5, -1.0, 1.0)


def _occlusion(x: Tensor, severity: float, generator: torch.Generator) -> Tensor:
    n = len(x)
    inside = []
    for side in x.shape[-2:]:
        centre = drawn((n, 1), generator) * (side - 1)
        inside.append((torch.arange(side) - centre).abs() <= 0.35 * severity * side)
    patch = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return torch.where(patch, 0.5, x)


_CORRUPTIONS: Final = (
    _image("gaussian noise", "normal noise, standard deviation 0.38 of the range", _gaussian_noise),
    _image("shot noise", "Poisson noise of 3 photons at the top of the range", _shot_noise),
    _image("impulse noise", "27 % of the values at one end of the range", _impulse_noise),
    _image("gaussian blur", "normal kernel, standard deviation 7 % of the shorter side", _gaussian_blur),
    _image("motion blur", "mean along the rows over 30 % of the width", _motion_blur),
    _image("contrast", "a tenth of the distance from the mean of the image is left", _contrast),
    _image("brightness", "half of the range is added", _brightness),
    _image("darkness", "a fifth of the value is left", _darkness),
    _image("pixelate", "a quarter of the rows and columns", _pixelate),
    _image("rotation", "by 40 degrees to either side", _rotation),
    _image("shift", "by a fifth of the side in any direction", _shift),
    _image("zoom", "by 1.7 into the middle", _zoom),
    _image("occlusion", "a patch of the middle of the range, up to 70 % of each side", _occlusion),
)
#: By name.
IMAGE_CORRUPTIONS: Final = {corruption.name: corruption for corruption in _CORRUPTIONS}
