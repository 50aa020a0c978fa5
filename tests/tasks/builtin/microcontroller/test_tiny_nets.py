"""The nets of MLPerf Tiny have its shapes and parameters, and their data keep the splits of Fashion-MNIST."""

from pathlib import Path

import pytest
import torch
from torch import nn

from actlab.studies.arm import parse_arm
from actlab.studies.trials.trial import run_trial
from actlab.tasks import resolve
from actlab.tasks.builtin.microcontroller.shaped_images import NORMAL, colour_images, feature_maps
from actlab.tasks.task import load_data

INSTALLED = Path("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz").exists()
needs_data = pytest.mark.skipif(not INSTALLED, reason="needs Debian's dataset-fashion-mnist")


def keras_count(model):
    """Return the number that Keras prints, with running statistics and a bias for every convolution."""
    statistics = sum(b.numel() for name, b in model.named_buffers() if name.endswith(("running_mean", "running_var")))
    biases = sum(m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d) and m.bias is None)
    return sum(p.numel() for p in model.parameters()) + statistics + biases


@pytest.mark.parametrize(
    ("name", "published"),
    [("tiny:resnet-8", 78_666), ("tiny:anomaly", 269_992)],
)
def test_a_net_has_the_parameters_that_mlperf_tiny_prints(name, published):
    assert keras_count(resolve(name).model(0)) == published


def test_the_ds_cnn_has_the_published_feature_maps_and_two_classes_less():
    model = resolve("tiny:ds-cnn").model(0)

    assert model[:4](torch.zeros(1, 1, 49, 10)).shape == (1, 64, 25, 5)
    assert keras_count(model) == 24_908 - 2 * 65  # of the output layer
    assert sum(isinstance(module, nn.ReLU) for module in model) == 9


@pytest.mark.parametrize("name", ["tiny:resnet-8", "tiny:ds-cnn", "tiny:anomaly"])
def test_the_loss_of_one_batch_falls(name):
    task, generator = resolve(name), torch.Generator().manual_seed(0)
    images, y = torch.rand(32, 1, 28, 28, generator=generator), torch.randint(10, (32,), generator=generator)
    x = {"tiny:resnet-8": colour_images, "tiny:ds-cnn": feature_maps}.get(name, lambda it: it.flatten(1)[:, :640])(
        images
    )
    torch.manual_seed(0)
    model = task.model(0)
    optimizer, losses = task.optimizer(model.parameters(), task.learning_rate), []
    for _ in range(15):
        loss = task.step(model, (x, y)) if task.step else task.loss(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())

    assert min(losses[-3:]) < 0.95 * losses[0]


@needs_data
@pytest.mark.parametrize(("name", "shape"), [("tiny:resnet-8", colour_images), ("tiny:ds-cnn", feature_maps)])
def test_every_image_comes_from_its_own_split_in_another_shape(name, shape):
    data, images = load_data(resolve(name), 3), load_data(resolve("fashion-mnist"), 3)

    assert [len(split) for split in data.splits.values()] == [10_000, 1_000, 2_000]
    for part, split in data.splits.items():
        assert torch.equal(split.x[:50], shape(images.splits[part].x[:50]))
        assert torch.equal(split.y, images.splits[part].y[: len(split)])


@needs_data
def test_anomalies_are_never_trained_on_and_half_of_what_is_tested():
    data, images = load_data(resolve("tiny:anomaly"), 3), load_data(resolve("fashion-mnist"), 3)

    assert not data.train.y.any()
    assert len(data.train) == min(5_000, int((images.train.y == NORMAL).sum()))
    assert [split.y.float().mean().item() for split in (data.validation, data.test)] == [0.5, 0.5]
    assert dict(zip(*(it.tolist() for it in data.test.y.unique(return_counts=True)), strict=True)) == {
        1: 1_000,
        0: 1_000,
    }


@needs_data
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("name", "least"), [("tiny:resnet-8", 0.845), ("tiny:ds-cnn", 0.83), ("tiny:anomaly", 0.8605)])
def test_a_net_reaches_its_reference(name, least):
    assert run_trial(resolve(name), parse_arm("relu"), 0).metric > least
