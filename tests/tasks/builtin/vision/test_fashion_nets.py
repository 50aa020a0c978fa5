"""The nets on Fashion-MNIST have the shapes that their papers describe, and learn."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn

from actlab.studies.arm import parse_arm
from actlab.studies.trials.trial import run_trial
from actlab.tasks import resolve
from actlab.tasks.builtin.vision.fashion_autoencoder import mean_squared_error, psnr
from actlab.tasks.task import load_data

INSTALLED = Path("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz").exists()
NAMES = ("fashion-mnist:resnet", "fashion-mnist:vit", "fashion-mnist:depth-16", "fashion-mnist:autoencoder")
needs_data = pytest.mark.skipif(not INSTALLED, reason="needs Debian's dataset-fashion-mnist")


def losses(task, x, y, steps):
    torch.manual_seed(0)
    model = task.model(0)
    optimizer, found = task.optimizer(model.parameters(), task.learning_rate), []
    for _ in range(steps):
        loss = task.loss(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        found.append(loss.item())
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_of_one_batch_falls(name):
    task, generator = resolve(name), torch.Generator().manual_seed(0)
    x = torch.rand(32, 1, 28, 28, generator=generator)
    y = torch.randint(10, (32,), generator=generator)
    x, y = (x.flatten(1), x.flatten(1)) if name.endswith("autoencoder") else (x, y)
    found = losses(task, x, y, 25)

    assert min(found[-3:]) < 0.9 * found[0]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_generator_builds_the_same_weights(name):
    states = []
    for _ in range(2):
        torch.manual_seed(5)
        states.append(resolve(name).model(5).state_dict())

    assert all(torch.equal(a, b) for a, b in zip(*(state.values() for state in states), strict=True))


def test_the_resnet_has_batch_norm_before_each_activation_and_three_shortcuts_of_which_one_is_free():
    model = resolve("fashion-mnist:resnet").model(0)
    shortcuts = [module.shortcut for module in model.modules() if hasattr(module, "shortcut")]

    assert [type(shortcut).__name__ for shortcut in shortcuts] == ["Identity", "Conv2d", "Conv2d"]
    assert sum(isinstance(module, nn.ReLU) for module in model.modules()) == 7
    assert sum(isinstance(module, nn.BatchNorm2d) for module in model.modules()) == 7


def test_the_transformer_sees_where_a_patch_is():
    model, x = resolve("fashion-mnist:vit").model(0), torch.rand(2, 1, 28, 28)

    assert not torch.allclose(model(x), model(x.roll(7, 3)), atol=1e-4)


@pytest.mark.parametrize("depth", [1, 16, 50])
def test_the_depth_is_the_number_in_the_name_and_the_signal_keeps_its_size_in_a_relu_net(depth):
    torch.manual_seed(0)
    model = resolve(f"fashion-mnist:depth-{depth}").model(0)
    linears = [layer for layer in model if isinstance(layer, nn.Linear)]
    hidden = model[:-1](torch.randn(256, 784))

    assert len(linears) == depth + 1
    assert [layer.in_features for layer in linears] == [784, *[64] * depth]
    assert 0.02 < hidden.square().mean() < 50  # without He's factor 2 it is below 1e-15 in 50 layers


def test_the_autoencoder_is_the_published_one_at_half_its_width_with_incoming_vectors_of_norm_1():
    linears = [layer for layer in resolve("fashion-mnist:autoencoder").model(0) if isinstance(layer, nn.Linear)]
    sizes = [784, 500, 250, 125, 30, 125, 250, 500, 784]

    assert [(layer.in_features, layer.out_features) for layer in linears] == list(pairwise(sizes))
    assert all(torch.allclose(layer.weight.norm(dim=1), torch.ones(layer.out_features)) for layer in linears)


def test_the_peak_signal_to_noise_ratio_follows_from_the_mean_squared_error():
    output, target = torch.rand(4, 784), torch.rand(4, 784)

    assert psnr(output, target) == pytest.approx(
        -10 * torch.tensor(mean_squared_error(output, target)).log10().item(), abs=1e-4
    )


@needs_data
def test_inputs_and_targets_of_the_autoencoder_are_the_images_of_the_same_split():
    data, images = load_data(resolve("fashion-mnist:autoencoder"), 1), load_data(resolve("fashion-mnist"), 1)

    for name, split in data.splits.items():
        assert torch.equal(split.x, images.splits[name].x.flatten(1))
        assert split.y is split.x


@needs_data
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("fashion-mnist:resnet", 0.9),
        ("fashion-mnist:vit", 0.85),
        ("fashion-mnist:depth-16", 0.85),
        ("fashion-mnist:depth-2", 0.845),
    ],
)
def test_a_net_reaches_what_docs_evidence_says(name, least):
    assert run_trial(resolve(name), parse_arm("relu"), 0).metric > least


@needs_data
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_autoencoder_is_better_than_a_principal_component_analysis_of_30_components():
    task = resolve("fashion-mnist:autoencoder")
    data = load_data(task, 0)
    mean = data.train.x.mean(0)
    _, vectors = torch.linalg.eigh((data.train.x - mean).T @ (data.train.x - mean))
    linear = (data.test.x - mean) @ vectors[:, -30:] @ vectors[:, -30:].T + mean

    assert run_trial(task, parse_arm("relu"), 0).metric < mean_squared_error(linear, data.test.x)
