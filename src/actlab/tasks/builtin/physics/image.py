"""Implicit representation of an image by a net of coordinates, with sines or Fourier features.

Source: 128 x 128 pixels of ``china.jpg`` of scikit-learn, by danielbuechele, licence CC BY 2.0, reduced three times, gray. Half of the
pixels train, a quarter validates and a quarter tests, so that the net is to fill in what it has not seen; PSNR in decibels. Reference:
the mean of all pixels has 10.5 dB, and the mean of the neighbours that are known (``neighbour_psnr``) 23.2 dB.

The sine net is SIREN (arXiv:2006.09661) with its factor 30 and initial weights; the other has ReLU behind fixed random Fourier features
(arXiv:2006.10739).
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from actlab.nn.layers.layer import layer
from actlab.tasks.builtin.extracts import extract
from actlab.tasks.builtin.physics.burgers import burgers_task
from actlab.tasks.data import Data, Split
from actlab.tasks.task import Task

__all__ = ["fourier_task", "neighbour_psnr", "psnr", "siren_task"]

_SIDE = 128


@lru_cache(maxsize=1)
def _pixels() -> tuple[Tensor, Tensor]:
    """Return coordinates from -1 to 1, (16384, 2), and gray levels from -1 to 1, (16384,)."""
    gray = torch.from_numpy(extract("image")["pixels"].astype(np.float32)) / 127.5 - 1
    axis = (torch.arange(_SIDE) + 0.5) / (_SIDE / 2) - 1
    return torch.cartesian_prod(axis, axis), gray.flatten()


def _parts(seed: int) -> dict[str, Tensor]:
    order = torch.randperm(_SIDE**2, generator=torch.Generator().manual_seed(seed))
    half, quarter = _SIDE**2 // 2, _SIDE**2 // 4
    return {"train": order[:half], "validation": order[half : half + quarter], "test": order[half + quarter :]}


def _data(seed: int) -> Data:
    x, y = _pixels()
    return Data(**{name: Split(x=x[rows], y=y[rows]) for name, rows in _parts(seed).items()})


def psnr(output: Tensor, target: Tensor) -> float:
    """Return the peak signal-to-noise ratio in decibels, of values from -1 to 1.

    Example:
        >>> round(psnr(torch.tensor([0.2]), torch.tensor([0.0])), 3)
        20.0
    """
    return -10 * math.log10(float((output - target).double().square().mean()) / 4)


def neighbour_psnr(seed: int) -> float:
    """Return the metric of the mean of the eight neighbours that are in the training split of a seed, or of all its pixels without any.

    Example:
        >>> 20 < neighbour_psnr(0) < 30
        True
    """
    y = _pixels()[1]
    parts = _parts(seed)
    known = torch.zeros(_SIDE**2)
    known[parts["train"]] = 1
    kernel = torch.ones(1, 1, 3, 3)
    total, count = (
        functional.conv2d(values.view(1, 1, _SIDE, _SIDE), kernel, padding=1).flatten() for values in (y * known, known)
    )
    guess = torch.where(count > 0, total / count.clamp(min=1), y[parts["train"]].mean())
    return psnr(guess[parts["test"]], y[parts["test"]])


class _Scaled(nn.Linear):
    """Linear map times 30, with the initial weights of SIREN."""

    def __init__(self, inputs: int, outputs: int, *, is_first: bool) -> None:
        super().__init__(inputs, outputs)
        bound = 1 / inputs if is_first else math.sqrt(6 / inputs) / 30
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        return 30 * super().forward(x)


def _siren(seed: int) -> nn.Module:  # noqa: ARG001 # the generator is seeded before the call
    last = nn.Linear(64, 1)
    nn.init.uniform_(last.weight, -math.sqrt(6 / 64) / 30, math.sqrt(6 / 64) / 30)
    hidden = [part for _ in range(2) for part in (_Scaled(64, 64, is_first=False), layer("sine"))]
    return nn.Sequential(_Scaled(2, 64, is_first=True), layer("sine"), *hidden, last, nn.Flatten(0))


class _FourierFeatures(nn.Module):
    """Sines and cosines of fixed random frequencies of standard deviation 8 / 2 pi."""

    frequencies: Tensor

    def __init__(self, count: int = 32) -> None:
        super().__init__()
        self.register_buffer("frequencies", 8 * torch.randn(2, count))

    def forward(self, x: Tensor) -> Tensor:
        angles = x @ self.frequencies
        return torch.cat((torch.sin(angles), torch.cos(angles)), 1)


def _fourier(seed: int) -> nn.Module:  # noqa: ARG001 # the generator is seeded before the call
    hidden = [part for _ in range(3) for part in (nn.Linear(64, 64), nn.ReLU())]
    return nn.Sequential(_FourierFeatures(), *hidden, nn.Linear(64, 1), nn.Flatten(0))


def siren_task() -> Task:
    """Return the task with three hidden layers of 64 sines.

    Example:
        >>> siren_task().model(0)(torch.zeros(3, 2)).shape
        torch.Size([3])
    """
    return Task(
        name="image:siren",
        model=_siren,
        data=_data,
        loss=functional.mse_loss,
        metric=psnr,
        metric_name="PSNR",
        direction="max",
        scheduler=burgers_task().scheduler,
        learning_rate=1e-3,
        batch_size=1024,
        epochs=150,
        rope=0.1,
        output_kind="values",
        description="Unseen pixels of an image (china.jpg, CC BY 2.0), SIREN; mean of the neighbours: 23.2",
        source="image, siren, protocol 1",
    )


def fourier_task() -> Task:
    """Return the task with three hidden layers of 64 behind Fourier features.

    Example:
        >>> fourier_task().model(0)(torch.zeros(3, 2)).shape
        torch.Size([3])
    """
    return replace(
        siren_task(),
        name="image:fourier",
        model=_fourier,
        learning_rate=3e-3,
        description="Unseen pixels of an image (china.jpg, CC BY 2.0), MLP of Fourier features; mean of the neighbours: 23.2",
        source="image, fourier, protocol 1",
    )
