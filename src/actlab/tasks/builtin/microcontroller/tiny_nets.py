"""Nets of MLPerf Tiny for microcontrollers, on Fashion-MNIST in the shapes of their inputs.

Source: Banbury et al., "MLPerf Tiny Benchmark", arXiv:2106.07597, https://github.com/mlcommons/tiny (Apache-2.0 licence): ResNet-8 of image
classification, DS-CNN of keyword spotting, and the autoencoder of anomaly detection. CIFAR-10, Speech Commands and ToyADMOS cannot be
shipped; Fashion-MNIST (MIT licence) takes their place, so the published scores (accuracy 0.85 and 0.90, AUROC 0.85) are of other data.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from actlab.tasks.builtin.microcontroller.shaped_images import normal_and_other, shaped
from actlab.tasks.builtin.vision.fashion_resnet import resnet
from actlab.tasks.builtin.vision.schedules import cosine
from actlab.tasks.metrics.classification import auroc
from actlab.tasks.task import Task, accuracy

__all__ = ["anomaly_task", "ds_cnn_task", "resnet_task"]

_CHANNELS = 64
_CODE = 8


def _resnet(seed: int) -> nn.Module:  # noqa: ARG001 # the generator is seeded before the call
    """Build ResNet-8, without the biases of convolutions that a batch norm takes away again."""
    return resnet(channels=3, stem_stride=1)


def _ds_cnn(seed: int) -> nn.Module:  # noqa: ARG001 # the generator is seeded before the call
    """Build a convolution and four depthwise separable ones of 64 channels (Zhang et al., arXiv:1711.07128)."""

    def normed(*layers: nn.Module) -> list[nn.Module]:
        return [*layers, nn.BatchNorm2d(_CHANNELS), nn.ReLU()]

    stem = normed(nn.ZeroPad2d((1, 1, 4, 5)), nn.Conv2d(1, _CHANNELS, (10, 4), stride=2))
    blocks = [
        layer
        for _ in range(4)
        for layer in (
            *normed(nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1, groups=_CHANNELS)),
            *normed(nn.Conv2d(_CHANNELS, _CHANNELS, 1)),
        )
    ]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(_CHANNELS, 10))


def _autoencoder(seed: int) -> nn.Module:  # noqa: ARG001 # the generator is seeded before the call
    """Build 640-[128]x4-8-[128]x4-640 with a batch norm before every activation."""
    sizes = [640, *[128] * 4, _CODE, *[128] * 4]
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(128, 640))


def _reconstruction_loss(model: nn.Module, batch: Any) -> Tensor:
    return functional.mse_loss(model(batch[0]), batch[0])


def _reconstruction_errors(model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
    """Return the mean squared error of each example, shape (n,), and whether it is an anomaly."""
    x, is_anomaly = batch
    return (model(x) - x).square().mean(1), is_anomaly


def resnet_task() -> Task:
    """Return ResNet-8 on 10,000 images of 32 x 32 pixels in three equal channels, 3 epochs.

    Example:
        >>> import torch
        >>> resnet_task().model(0)(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])
    """
    return Task(
        name="tiny:resnet-8",
        model=_resnet,
        data=partial(shaped, as_features=False),
        loss=functional.cross_entropy,
        metric=accuracy,
        scheduler=cosine,
        learning_rate=3e-3,
        batch_size=64,
        epochs=3,
        rope=0.005,
        description="ResNet-8 of MLPerf Tiny on Fashion-MNIST (MIT licence) at 32 x 32; logistic regression: 0.85",
        source="tiny:resnet-8, protocol 1",
    )


def ds_cnn_task() -> Task:
    """Return the DS-CNN on 10,000 images of 49 x 10 pixels, the shape of keyword spotting, 6 epochs.

    Example:
        >>> import torch
        >>> ds_cnn_task().model(0)(torch.zeros(2, 1, 49, 10)).shape
        torch.Size([2, 10])
    """
    return replace(
        resnet_task(),
        name="tiny:ds-cnn",
        model=_ds_cnn,
        data=partial(shaped, as_features=True),
        epochs=6,
        input_kind="image",
        description="DS-CNN of MLPerf Tiny on Fashion-MNIST (MIT licence) at 49 x 10; logistic regression: 0.83",
        source="tiny:ds-cnn, protocol 1",
    )


def anomaly_task() -> Task:
    """Return the autoencoder, trained on bags alone, 30 epochs; the result is the AUROC of its error between bags and other images.

    Example:
        >>> import torch
        >>> anomaly_task().model(0)(torch.zeros(2, 640)).shape
        torch.Size([2, 640])
    """
    return Task(
        name="tiny:anomaly",
        model=_autoencoder,
        data=normal_and_other,
        step=_reconstruction_loss,
        predict=_reconstruction_errors,
        metrics={"AUROC": auroc},
        direction="max",
        output_kind="values",
        scheduler=cosine,
        learning_rate=2e-3,
        batch_size=128,
        epochs=30,
        rope=0.005,
        description="Autoencoder of MLPerf Tiny, bags of Fashion-MNIST (MIT licence) against the rest; PCA: 0.86",
        source="tiny:anomaly, protocol 1",
    )
