"""Both nets of the GAN train on their own loss with their own activations, and are evaluated on generated images."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

import actlab
from actlab.errors import TaskError
from actlab.nn.transforms.swap import swap_
from actlab.studies.arm import parse_arm
from actlab.studies.trials.trial import run_trial
from actlab.tasks import resolve
from actlab.tasks.builtin.fashion_mnist import FOLDER_VARIABLE
from actlab.tasks.builtin.gan import LATENT, Gan, arm, make
from actlab.tasks.checks.check import check

needs_images = pytest.mark.skipif(
    not Path("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz").exists(),
    reason="Fashion-MNIST is not installed (apt install dataset-fashion-mnist)",
)


@pytest.fixture(scope="module")
def small():
    return make(images=512, epochs=4, judged=200, classifier_steps=20)


def test_each_net_gets_the_gradient_of_its_own_loss_alone():
    torch.manual_seed(0)
    net = Gan(nn.Linear(2, 3), nn.Linear(3, 1), nn.Identity(), latent=2)
    x = torch.randn(8, 5)

    torch.manual_seed(1)
    make().loss(net(x), x).backward()

    torch.manual_seed(1)
    generated = torch.sigmoid(net.generator(torch.randn_like(x[:, 3:])))
    discriminator = net.discriminator
    # The gradient of a linear discriminator is its weight, at every image; the penalty is half of gamma, 10, times its square.
    slope = discriminator.weight.square().sum()
    discriminator_loss = (
        functional.softplus(-discriminator(x[:, :3])) + functional.softplus(discriminator(generated.detach()))
    ).mean() + 5 * slope
    generator_loss = functional.softplus(-discriminator(generated)).mean()
    for loss, part in ((discriminator_loss, discriminator), (generator_loss, net.generator)):
        wanted = torch.autograd.grad(loss, list(part.parameters()), retain_graph=True)
        for weight, gradient in zip(part.parameters(), wanted, strict=True):
            torch.testing.assert_close(weight.grad, gradient)


@needs_images
def test_generator_and_discriminator_take_specs_apart(small):
    model = small.model(0)

    swap_(
        model,
        dict(arm(generator="gelu", discriminator="step/rect")),
        example_inputs=torch.rand(4, 28 * 28 + LATENT),
    )

    specs = {name: str(part.spec) for name, part in model.named_modules() if hasattr(part, "spec")}
    assert {name: spec for name, spec in specs.items() if name.startswith("generator")} == {
        "generator.2": "gelu",
        "generator.5": "gelu",
    }
    assert [spec for name, spec in specs.items() if name.startswith("discriminator")] == ["step/rect"] * 2


@needs_images
def test_one_spec_for_all_leaves_the_pixels_alone(small):
    model = small.model(0)

    changes = swap_(model, "gelu", example_inputs=torch.rand(4, 28 * 28 + LATENT))

    assert sorted(change.path for change in changes) == [
        "discriminator.1",
        "discriminator.3",
        "generator.2",
        "generator.5",
    ]


@pytest.mark.parametrize("spec", ["step/rect", "relu/jam", "tanh"])
def test_the_penalised_gradient_is_the_one_that_the_generator_gets(spec):
    torch.manual_seed(0)
    discriminator = nn.Sequential(nn.Linear(3, 16), actlab.layer(spec), nn.Linear(16, 1))
    net = Gan(nn.Linear(2, 3), discriminator, nn.Identity(), latent=2)
    x = torch.randn(8, 5)

    slope = net(x)[:, 3]

    if "jam" not in spec:  # noise is drawn anew by every pass
        inputs = x[:, :3].clone().requires_grad_()
        discriminator(inputs).sum().backward()
        torch.testing.assert_close(slope, inputs.grad.square().sum(1))
    slope.sum().backward()
    assert discriminator[0].weight.grad.abs().sum() > 0
    with torch.no_grad():
        assert net(x)[:, 3].eq(0).all()


@needs_images
def test_the_classifier_of_the_metric_is_no_part_of_the_net(small):
    model = small.model(0)

    assert {name.split(".")[0] for name, _ in model.named_parameters()} == {"generator", "discriminator"}


@needs_images
def test_the_task_passes_the_check(small):
    check(small)


@needs_images
def test_training_brings_the_images_nearer(small):
    least = dataclasses.replace(small, steps=1)
    first, last = (
        run_trial(task, parse_arm(arm(generator="relu", discriminator="relu/jam")), 0) for task in (least, small)
    )

    assert (first.status, last.status) == ("completed", "completed")
    assert last.metric < first.metric


@pytest.mark.parametrize("measure", ["precision", "recall"])
def test_the_shares_are_larger_when_better(measure):
    task = make(measure)

    assert (task.name, task.direction) == (f"gan:{measure}", "max")
    assert task.metric(torch.rand(10, 4), torch.rand(10, 4)) <= 1


def test_the_short_task_is_the_same_with_fewer_steps():
    short, whole = resolve("gan:short"), resolve("gan")

    assert (short.metric, short.loss, short.learning_rate) == (whole.metric, whole.loss, whole.learning_rate)
    assert (short.epochs, whole.epochs) == (2, 10)


@needs_images
def test_the_real_images_themselves_are_a_perfect_result(small):
    features = small.data(0).test.y

    assert small.metric(features, features) == pytest.approx(0, abs=1e-6)


def test_without_the_files_the_error_says_where_to_get_them(monkeypatch, tmp_path):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(TaskError, match="dataset-fashion-mnist"):
        resolve("gan").data(0)
