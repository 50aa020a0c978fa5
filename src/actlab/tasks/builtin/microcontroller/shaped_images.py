"""Fashion-MNIST in the input shapes of MLPerf Tiny, whose own data sets cannot be shipped."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from actlab.tasks.builtin import fashion_mnist
from actlab.tasks.data import Data, Split, tensors_of
from actlab.tasks.task import load_data

__all__ = ["colour_images", "feature_maps", "normal_and_other", "shaped"]

_EXAMPLES = {"train": 10_000, "validation": 1_000, "test": 2_000}
NORMAL = 8  # bags
_ANOMALY_EXAMPLES = {"train": 5_000, "validation": 400, "test": 2_000}


def colour_images(images: Tensor) -> Tensor:
    """Return images of 32 x 32 pixels and three equal channels, shape (n, 3, 32, 32), with a margin of zeros.

    Args:
        images: shape (n, 1, 28, 28).

    Example:
        >>> colour_images(torch.ones(2, 1, 28, 28)).sum().item() == 2 * 3 * 28 * 28
        True
    """
    return functional.pad(images, (2, 2, 2, 2)).expand(-1, 3, -1, -1).contiguous()


def feature_maps(images: Tensor) -> Tensor:
    """Return images in the shape of 49 frames of 10 cepstral coefficients, shape (n, 1, 49, 10), by bilinear interpolation.

    Args:
        images: shape (n, 1, 28, 28).

    Example:
        >>> feature_maps(torch.ones(2, 1, 28, 28)).shape
        torch.Size([2, 1, 49, 10])
    """
    return functional.interpolate(images, size=(49, 10), mode="bilinear", antialias=True)


def shaped(seed: int, *, as_features: bool) -> Data:
    """Return 10,000 training images of a seed, 1,000 of its validation split and the first 2,000 of the test split, and their classes.

    Args:
        seed: of the split.
        as_features: whether in the shape of :func:`feature_maps`; else in that of :func:`colour_images`.
    """
    shape = feature_maps if as_features else colour_images
    parts = {}
    for name, split in load_data(fashion_mnist.lenet_task(), seed).splits.items():
        images, count = tensors_of(split, "the images"), _EXAMPLES[name]
        parts[name] = Split(x=shape(images.x[:count]), y=images.y[:count])
    return Data(**parts)


@lru_cache(maxsize=1)
def normal_and_other(seed: int) -> Data:
    """Return images of 20 x 32 pixels, shape (n, 640): bags alone for training, bags and as many others (label 1) in the other splits.

    Example:
        >>> data = normal_and_other(0)
        >>> data.train.y.sum().item(), data.test.y.float().mean().item()
        (0, 0.5)
    """
    parts = {}
    for name, split in load_data(fashion_mnist.lenet_task(), seed).splits.items():
        images = tensors_of(split, "the images")
        is_other = images.y != NORMAL
        normal, other = (torch.where(chosen)[0] for chosen in (~is_other, is_other))
        half = min(len(normal), _ANOMALY_EXAMPLES[name] // (1 if name == "train" else 2))
        chosen = normal[:half] if name == "train" else torch.cat((normal[:half], other[:half]))
        small = functional.interpolate(images.x[chosen], size=(20, 32), mode="bilinear", antialias=True)
        parts[name] = Split(x=small.flatten(1), y=is_other[chosen].long())
    return Data(**parts)
