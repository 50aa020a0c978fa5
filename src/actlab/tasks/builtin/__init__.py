"""The tasks that ship; importing this room registers them."""

from collections.abc import Callable
from functools import partial

from actlab.tasks.builtin import digits, fashion_mnist, gan, jamming, mnist1d
from actlab.tasks.registry import register
from actlab.tasks.task import Task

_TASKS: dict[str, Callable[[], Task]] = {
    "digits": digits.by_mlp,
    "digits:cnn": digits.by_cnn,
    "mnist1d": mnist1d.by_training_loss,
    "mnist1d:accuracy": mnist1d.by_accuracy,
    "fashion-mnist": fashion_mnist.by_lenet,
    "fashion-mnist:mlp": fashion_mnist.by_mlp,
    "gan": gan.by_frechet,
    "gan:precision": gan.by_precision,
    "gan:recall": gan.by_recall,
    "jamming:ones": jamming.by_ones,
    "jamming:ones-0.5": partial(jamming.by_ones, 0.5),
    "jamming:step": jamming.by_step,
    "jamming:digits": jamming.by_digits,
    "jamming:lenet": jamming.by_lenet,
}
for _name, _build in _TASKS.items():
    register(_name, _build)
