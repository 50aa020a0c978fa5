"""GAN on Fashion-MNIST, evaluated by Frechet distance, precision or recall of classifier features.

Generator and discriminator are trained in one step, each on its own loss (non-saturating, arXiv:1406.2661), with the weights from before
the step; each can have its own activation. The discriminator's loss includes the R1 gradient penalty at real images (arXiv:1801.04406),
and the generator has a BatchNorm before every activation; without the two it generated few kinds of images (recall 0.02). The penalty uses
the gradient of the backward pass, under whatever gradient rule, because that is the gradient the generator follows. The metric compares
as many generated images as there are real ones in the test split, by the features of a classifier that is trained once and is the same
for every arm and seed: :func:`~actlab.tasks.metrics.generative.frechet_distance`, precision or recall.

A row of the data is an image and a latent vector. These vectors are used in evaluation, so that every arm is evaluated on the same ones;
training draws new ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, partial

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from actlab.tasks.builtin import fashion_mnist
from actlab.tasks.data import Data, Split, tensors_of
from actlab.tasks.isolation import isolated
from actlab.tasks.loading.loader import Loader
from actlab.tasks.metrics.generative import frechet_distance, precision, recall
from actlab.tasks.task import Parameters, Task, adam, load_data

__all__ = ["Gan", "arm", "frechet_task", "make", "precision_task", "recall_task", "short_task"]

LATENT = 32
_PIXELS = 28 * 28
_FEATURES = 64
_HIDDEN = 256
_PENALTY = 10.0  # gamma of arXiv:1801.04406, not tuned
_JUDGED = 2_000  # real images in the metric, and as many generated ones; precision and recall compare every pair
_CLASSIFIER_SEED = 20_170_625
_CLASSIFIER_STEPS = 1_000


def arm(*, generator: str, discriminator: str) -> Mapping[str, str]:
    """Return an arm with one spec per net, for :func:`actlab.compare`.

    Args:
        generator: spec of the generator's hidden layers.
        discriminator: spec of the discriminator's hidden layers.

    Example:
        >>> arm(generator="relu", discriminator="step/rect")
        {'generator.*': 'relu', 'discriminator.*': 'step/rect'}
    """
    return {"generator.*": generator, "discriminator.*": discriminator}


class Gan(nn.Module):
    """Generator and discriminator. The output is the discriminator's, (n, 4), in training, and features of generated images in evaluation.

    A row of the training output has three logits: of the real image, of a generated one, and of the same generated one with the
    discriminator's weights detached, for the generator's loss. The fourth number is the squared norm of the discriminator's gradient at the
    real image.

    Args:
        generator: maps (n, latent) to (n, pixels), the logits of values between 0 and 1.
        discriminator: maps (n, pixels) to (n, 1), large for real images.
        features: maps (n, pixels) to (n, k); its parameters are not trained.
        latent: size of the latent vector.

    Example:
        >>> net = Gan(nn.Linear(2, 3), nn.Linear(3, 1), nn.Identity(), latent=2)
        >>> net(torch.zeros(5, 3 + 2)).shape, net.eval()(torch.zeros(5, 3 + 2)).shape
        (torch.Size([5, 4]), torch.Size([5, 3]))
    """

    def __init__(self, generator: nn.Module, discriminator: nn.Module, features: nn.Module, *, latent: int) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        self.latent = latent
        # In a tuple, so that it is not a submodule: no arm replaces its activations and no optimizer updates its weights.
        self._features = (features,)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits and squared slopes, shape (n, 4), or features, shape (n, k); ``x`` is of shape (n, pixels + latent)."""
        images, latent = x[:, : -self.latent], x[:, -self.latent :]
        if not self.training:
            features: Tensor = self._features[0](_pixels(self.generator(latent)))
            return features
        generated = _pixels(self.generator(torch.randn_like(latent)))
        real, slope = self._real_logits(images)
        fake = self.discriminator(generated.detach())[:, 0]
        frozen = {name: weight.detach() for name, weight in self.discriminator.named_parameters()}
        fooled = functional_call(self.discriminator, frozen, (generated,))[:, 0]
        return torch.stack((real, fake, fooled, slope), 1)

    def _real_logits(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits of real images and the squared norms of their gradients, zero where gradients are disabled."""
        if not torch.is_grad_enabled():
            logits: Tensor = self.discriminator(images)[:, 0]
            return logits, torch.zeros_like(logits)
        inputs = images.detach().requires_grad_()
        logits = self.discriminator(inputs)[:, 0]
        (slope,) = torch.autograd.grad(logits.sum(), inputs, create_graph=True)
        return logits, slope.square().sum(1)


def _pixels(logits: Tensor) -> Tensor:
    """Return values between 0 and 1. A function outside the modules, so that it is no activation site and the same for every arm."""
    values: Tensor = torch.special.expit(logits)
    return values


def _loss(output: Tensor, target: Tensor) -> Tensor:  # noqa: ARG001 # the real images are in the input
    """Return the sum of both nets' losses from an output of shape (n, 4); no weight contributes to both."""
    real, fake, fooled, slope = output.unbind(1)
    discriminator = functional.softplus(-real) + functional.softplus(fake) + _PENALTY / 2 * slope
    return (discriminator + functional.softplus(-fooled)).mean()


def _frechet(output: Tensor, target: Tensor) -> float:
    return frechet_distance(output, target)


def _precision(output: Tensor, target: Tensor) -> float:
    return precision(output, target)


def _recall(output: Tensor, target: Tensor) -> float:
    return recall(output, target)


def _gan_adam(parameters: Parameters, lr: float) -> torch.optim.Optimizer:
    """Return Adam with the momentum of arXiv:1511.06434, without which GANs oscillate."""
    return torch.optim.Adam(parameters, lr=lr, betas=(0.5, 0.999))


@lru_cache(maxsize=4)
def _features(steps: int, images: int) -> nn.Module:
    """Return a classifier of Fashion-MNIST up to its penultimate layer, (n, 784) to (n, 64), trained once per process."""
    data = tensors_of(load_data(fashion_mnist.lenet_task(), 0).train, "gan")
    x, y = data.x[:images].flatten(1), data.y[:images]
    with isolated(_CLASSIFIER_SEED), torch.enable_grad():
        body = nn.Sequential(nn.Linear(_PIXELS, 256), nn.ReLU(), nn.Linear(256, _FEATURES), nn.ReLU())
        classifier = nn.Sequential(body, nn.Linear(_FEATURES, 10))
        optimizer = adam(classifier.parameters(), 1e-3)
        for _ in range(steps):
            index = torch.randint(len(x), (128,))
            functional.cross_entropy(classifier(x[index]), y[index]).backward()  # type: ignore[no-untyped-call] # torch's own
            optimizer.step()
            optimizer.zero_grad()
    return body.eval().requires_grad_(requires_grad=False)


def _data(steps: int, images: int, judged: int, seed: int) -> Data:
    """Return images with latent vectors, shape (n, 784 + 32), and the features of the images, shape (n, 64)."""
    data = load_data(fashion_mnist.lenet_task(), seed)
    generator = torch.Generator().manual_seed(seed)
    features = _features(steps, images)
    held_out = data.validation
    return Data(
        train=_with_latent(data.train, images, features, generator),
        test=_with_latent(data.test, judged, features, generator),
        validation=None if held_out is None else _with_latent(held_out, judged, features, generator),
    )


def _with_latent(split: Split | Loader, count: int, features: nn.Module, generator: torch.Generator) -> Split:
    pixels = tensors_of(split, "gan").x[:count].flatten(1)
    latent = torch.randn(len(pixels), LATENT, generator=generator)
    with torch.no_grad():
        return Split(x=torch.cat((pixels, latent), 1), y=features(pixels))


def _model(steps: int, images: int, seed: int) -> nn.Module:  # noqa: ARG001 # the generator is seeded before the call
    generator = nn.Sequential(
        nn.Linear(LATENT, _HIDDEN),
        nn.BatchNorm1d(_HIDDEN),
        nn.ReLU(),
        nn.Linear(_HIDDEN, _HIDDEN),
        nn.BatchNorm1d(_HIDDEN),
        nn.ReLU(),
        nn.Linear(_HIDDEN, _PIXELS),
    )
    discriminator = nn.Sequential(
        nn.Linear(_PIXELS, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, 1)
    )
    return Gan(generator, discriminator, _features(steps, images), latent=LATENT)


def make(
    measure: str = "frechet",
    *,
    images: int = 20_000,
    epochs: int = 10,
    judged: int = _JUDGED,
    classifier_steps: int = _CLASSIFIER_STEPS,
) -> Task:
    """Return the GAN task with one of its metrics, trained by Adam at 1e-3 in batches of 64.

    Args:
        measure: "frechet" (smaller is better), "precision" or "recall" (larger is better).
        images: number of training images.
        epochs: passes over them; 3,130 steps with the defaults.
        judged: number of real images, and of generated ones, in the metric.
        classifier_steps: training steps of the metric's classifier.

    Example:
        >>> make("recall").direction, make().metric_name
        ('max', 'Frechet distance')
    """
    metric = {"frechet": _frechet, "precision": _precision, "recall": _recall}[measure]
    return Task(
        name="gan" if measure == "frechet" else f"gan:{measure}",
        model=partial(_model, classifier_steps, images),
        data=partial(_data, classifier_steps, images, judged),
        loss=_loss,
        metric=metric,
        metric_name="Frechet distance" if measure == "frechet" else measure,
        direction="min" if measure == "frechet" else "max",
        optimizer=_gan_adam,
        learning_rate=1e-3,
        batch_size=64,
        epochs=epochs,
        rope=1.0 if measure == "frechet" else 0.01,
        description="Fashion-MNIST, an MLP generator against an MLP discriminator",
        source=f"gan, {images}, {judged}, {classifier_steps}, protocol 2",
    )


def frechet_task() -> Task:
    """Return the task evaluated by the Frechet distance of classifier features (arXiv:1706.08500).

    Example:
        >>> frechet_task().direction
        'min'
    """
    return make("frechet")


def precision_task() -> Task:
    """Return the task evaluated by precision, the share of generated images near real ones (arXiv:1904.06991).

    Example:
        >>> precision_task().name
        'gan:precision'
    """
    return make("precision")


def recall_task() -> Task:
    """Return the task evaluated by recall, the share of real images near generated ones (arXiv:1904.06991).

    Example:
        >>> recall_task().name
        'gan:recall'
    """
    return make("recall")


def short_task() -> Task:
    """Return the task evaluated by the Frechet distance after two epochs, 626 steps, for studies of many seeds.

    With ReLU in both nets the distance is 7 to 11 then, and 4 to 7 after ten epochs; of real images to real ones it is 0.4.

    Example:
        >>> short_task().epochs, short_task().metric_name
        (2, 'Frechet distance')
    """
    return replace(make("frechet", epochs=2), name="gan:short")
