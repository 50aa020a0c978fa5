"""Built-in tasks (digits, MNIST-1D, Fashion-MNIST, GAN, gradient jamming), registered on import."""

from collections.abc import Callable
from functools import partial

from actlab.tasks.builtin import digits, fashion_mnist, gan, jamming, mnist1d
from actlab.tasks.builtin.language import gpt, plays
from actlab.tasks.registry import register
from actlab.tasks.task import Task

_BUILDERS: dict[str, Callable[[], Task]] = {
    "digits": digits.mlp_task,
    "digits:cnn": digits.cnn_task,
    "mnist1d": mnist1d.training_loss_task,
    "mnist1d:accuracy": mnist1d.accuracy_task,
    "fashion-mnist": fashion_mnist.lenet_task,
    "fashion-mnist:mlp": fashion_mnist.mlp_task,
    "gan": gan.frechet_task,
    "gan:precision": gan.precision_task,
    "gan:recall": gan.recall_task,
    "jamming:ones": jamming.ones_task,
    "jamming:ones-0.5": partial(jamming.ones_task, 0.5),
    "jamming:step": jamming.step_task,
    "jamming:digits": jamming.digits_task,
    "jamming:lenet": jamming.lenet_task,
    "shakespeare": gpt.task,
    "shakespeare:plays": plays.task,
}
_EARLIER: dict[str, Callable[[], Task]] = {
    "digits:protocol-1": digits.earlier_mlp_task,
    "digits:cnn:protocol-1": digits.earlier_cnn_task,
}
for _name, _build in _BUILDERS.items():
    register(_name, _build)
for _name, _build in _EARLIER.items():
    register(_name, _build, listed=False)
