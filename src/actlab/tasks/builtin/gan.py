"""The GAN: a generator against a discriminator on Fashion-MNIST, each with activations of its own, judged by a classifier's features.

Both are trained in one step, each on its own loss (non-saturating, arXiv:1406.2661), from weights before the step. The discriminator also
pays for its slope at real images (R1, arXiv:1801.04406) and the generator has a BatchNorm before every activation; without the two it left
out nearly all kinds of images (recall 0.02). The slope is what the backward pass says, under whatever gradient rule: it
is what the generator climbs on. The metric sees as
many generated images as there are real ones in the test split, through the features of a classifier that is trained once and is the
same for every arm and seed: :func:`~actlab.tasks.metrics.generative.frechet_distance`, or precision, or recall.

A row of the data is an image and a latent vector; the vectors serve when the net is judged, so that every arm is judged on the
same ones. Training draws new ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from actlab.tasks.builtin import fashion_mnist
from actlab.tasks.metrics.generative import frechet_distance, precision, recall
from actlab.tasks.task import Data, Parameters, Split, Task, adam, isolated, load_data

__all__ = ["Gan", "arm", "by_frechet", "by_precision", "by_recall", "make"]

LATENT = 32
_PIXELS = 28 * 28
_FEATURES = 64
_HIDDEN = 256
_PENALTY = 10.0  # gamma of arXiv:1801.04406, not tuned
_JUDGED = 2_000  # real images, and as many generated; precision and recall compare every pair
_CLASSIFIER_SEED = 20_170_625
_CLASSIFIER_STEPS = 1_000


def arm(*, generator: str, discriminator: str) -> Mapping[str, str]:
    """Return the arm with these specs in the two nets, for :func:`actlab.compare`.

    Args:
        generator: spec of its hidden layers.
        discriminator: spec of its hidden layers.

    Example:
        >>> arm(generator="relu", discriminator="step/rect")
        {'generator.*': 'relu', 'discriminator.*': 'step/rect'}
    """
    return {"generator.*": generator, "discriminator.*": discriminator}


class Gan(nn.Module):
    """Both nets. In training the output is what the discriminator says, shape (n, 4); in evaluation the features of generated images.

    A row has three logits: of the real image, of a generated one, and of the same again, with the discriminator's weights held fixed for
    the generator to climb on. The fourth number is the squared norm of the discriminator's gradient at the real image.

    Args:
        generator: maps (n, latent) to (n, pixels), the logits of values between 0 and 1.
        discriminator: maps (n, pixels) to (n, 1), large for real images.
        features: maps (n, pixels) to (n, k); its parameters are not trained.
        latent: how many numbers an image is made from.

    Example:
        >>> net = Gan(nn.Linear(2, 3), nn.Linear(3, 1), nn.Identity(), latent=2)
        >>> net(torch.zeros(5, 3 + 2)).shape, net.eval()(torch.zeros(5, 3 + 2)).shape
        (torch.Size([5, 4]), torch.Size([5, 3]))
    """

    def __init__(self, generator: nn.Module, discriminator: nn.Module, features: nn.Module, *, latent: int) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        self.latent = latent
        self._judge = (features,)  # in a tuple: no part of the net, so that no arm changes it and no optimizer sees it

    def forward(self, x: Tensor) -> Tensor:
        """Return logits and squared slopes, shape (n, 4), or features, shape (n, k); ``x`` is of shape (n, pixels + latent)."""
        images, latent = x[:, : -self.latent], x[:, -self.latent :]
        if not self.training:
            features: Tensor = self._judge[0](_pixels(self.generator(latent)))
            return features
        made = _pixels(self.generator(torch.randn_like(latent)))
        real, slope = self._judged(images)
        fake = self.discriminator(made.detach())[:, 0]
        frozen = {name: weight.detach() for name, weight in self.discriminator.named_parameters()}
        fooled = functional_call(self.discriminator, frozen, (made,))[:, 0]
        return torch.stack((real, fake, fooled, slope), 1)

    def _judged(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits of real images and the squared norms of their gradients, which are zero where no gradient is asked for."""
        if not torch.is_grad_enabled():
            logits: Tensor = self.discriminator(images)[:, 0]
            return logits, torch.zeros_like(logits)
        seen = images.detach().requires_grad_()
        logits = self.discriminator(seen)[:, 0]
        (slope,) = torch.autograd.grad(logits.sum(), seen, create_graph=True)
        return logits, slope.square().sum(1)


def _pixels(logits: Tensor) -> Tensor:
    """Return values between 0 and 1. Outside the net, so that it is no activation site: every arm paints with the same range."""
    made: Tensor = torch.special.expit(logits)
    return made


def _loss(output: Tensor, target: Tensor) -> Tensor:  # noqa: ARG001 # the real images are in the input
    """Add both nets' losses, of rows of shape (n, 4); no weight is in both, so that each net follows its own."""
    real, fake, fooled, slope = output.unbind(1)
    judge = functional.softplus(-real) + functional.softplus(fake) + _PENALTY / 2 * slope
    return (judge + functional.softplus(-fooled)).mean()


def _frechet(output: Tensor, target: Tensor) -> float:
    return frechet_distance(output, target)


def _precision(output: Tensor, target: Tensor) -> float:
    return precision(output, target)


def _recall(output: Tensor, target: Tensor) -> float:
    return recall(output, target)


def _gan_adam(parameters: Parameters, lr: float) -> torch.optim.Optimizer:
    """Adam with the momentum of arXiv:1511.06434, without which GANs oscillate."""
    return torch.optim.Adam(parameters, lr=lr, betas=(0.5, 0.999))


@lru_cache(maxsize=4)
def _features(steps: int, images: int) -> nn.Module:
    """Return the penultimate layer of a classifier of Fashion-MNIST, (n, 784) to (n, 64), trained once in a process."""
    data = load_data(fashion_mnist.by_lenet(), 0).train
    x, y = data.x[:images].flatten(1), data.y[:images]
    with isolated(_CLASSIFIER_SEED), torch.enable_grad():
        body = nn.Sequential(nn.Linear(_PIXELS, 256), nn.ReLU(), nn.Linear(256, _FEATURES), nn.ReLU())
        whole = nn.Sequential(body, nn.Linear(_FEATURES, 10))
        optimizer = adam(whole.parameters(), 1e-3)
        for _ in range(steps):
            index = torch.randint(len(x), (128,))
            functional.cross_entropy(whole(x[index]), y[index]).backward()  # type: ignore[no-untyped-call] # torch's own
            optimizer.step()
            optimizer.zero_grad()
    return body.eval().requires_grad_(requires_grad=False)


def _data(steps: int, images: int, judged: int, seed: int) -> Data:
    """Return images with latent vectors, shape (n, 784 + 32), and the features of the images, shape (n, 64)."""
    data = load_data(fashion_mnist.by_lenet(), seed)
    generator = torch.Generator().manual_seed(seed)
    features = _features(steps, images)
    held = data.validation
    return Data(
        train=_with_latent(data.train, images, features, generator),
        test=_with_latent(data.test, judged, features, generator),
        validation=None if held is None else _with_latent(held, judged, features, generator),
    )


def _with_latent(split: Split, count: int, features: nn.Module, generator: torch.Generator) -> Split:
    pixels = split.x[:count].flatten(1)
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
    """Return the task: Adam at 1e-3, batches of 64.

    Args:
        measure: "frechet" (smaller is better), "precision" or "recall" (larger is better).
        images: for training.
        epochs: passes over them; with the defaults 3,130 steps.
        judged: real and generated images that the metric compares.
        classifier_steps: for which the classifier of the metric is trained.

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


def by_frechet() -> Task:
    """Return the task judged by the Frechet distance of a classifier's features (arXiv:1706.08500).

    Example:
        >>> by_frechet().direction
        'min'
    """
    return make("frechet")


def by_precision() -> Task:
    """Return the task judged by the share of generated images that lie among the real ones (arXiv:1904.06991).

    Example:
        >>> by_precision().name
        'gan:precision'
    """
    return make("precision")


def by_recall() -> Task:
    """Return the task judged by the share of real images that lie among the generated ones (arXiv:1904.06991).

    Example:
        >>> by_recall().name
        'gan:recall'
    """
    return make("recall")
