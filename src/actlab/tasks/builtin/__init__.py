"""Built-in tasks of all domains, registered on import."""

from collections.abc import Callable
from functools import partial

from actlab.tasks.builtin import digits, fashion_mnist, gan, jamming, mnist1d
from actlab.tasks.builtin.control import cart_pole
from actlab.tasks.builtin.graphs import sections
from actlab.tasks.builtin.language import gpt, plays, small_gpt
from actlab.tasks.builtin.microcontroller import tiny_nets
from actlab.tasks.builtin.perception import japanese_vowels
from actlab.tasks.builtin.physics import burgers, helmholtz, image
from actlab.tasks.builtin.plasticity import modular_sum, slow_regression, task_sequences
from actlab.tasks.builtin.propagation import deep_digits, gradient_depth
from actlab.tasks.builtin.recommendation import dependencies, movielens
from actlab.tasks.builtin.reliability import mnist1d_mlp, noisy_digits, retrained_pair
from actlab.tasks.builtin.series import co2, oil
from actlab.tasks.builtin.tables import insurance
from actlab.tasks.builtin.vision import (
    fashion_autoencoder,
    fashion_depth,
    fashion_resnet,
    fashion_vit,
    mlp_dials,
    mnist1d_cnn,
)
from actlab.tasks.registry import register, register_numbered
from actlab.tasks.task import Task

_BUILDERS: dict[str, Callable[[], Task]] = {
    "digits": digits.mlp_task,
    "digits:cnn": digits.cnn_task,
    "digits:noise": noisy_digits.mlp_noise_task,
    "digits:cnn-noise": noisy_digits.cnn_noise_task,
    "fashion-mnist:pair": retrained_pair.fashion_pair_task,
    "mnist1d": mnist1d.training_loss_task,
    "mnist1d:accuracy": mnist1d.accuracy_task,
    "mnist1d:cnn": mnist1d_cnn.task,
    "mnist1d:mlp": mnist1d_mlp.task,
    "mnist1d:pair": retrained_pair.mnist1d_pair_task,
    "fashion-mnist": fashion_mnist.lenet_task,
    "fashion-mnist:mlp": fashion_mnist.mlp_task,
    "fashion-mnist:resnet": fashion_resnet.task,
    "fashion-mnist:vit": fashion_vit.task,
    "fashion-mnist:autoencoder": fashion_autoencoder.task,
    "gan": gan.frechet_task,
    "gan:short": gan.short_task,
    "gan:precision": gan.precision_task,
    "gan:recall": gan.recall_task,
    "jamming:ones": jamming.ones_task,
    "jamming:step": jamming.step_task,
    "jamming:digits": jamming.digits_task,
    "jamming:lenet": jamming.lenet_task,
    "insurance": insurance.mlp_task,
    "insurance:gated": insurance.gated_task,
    "insurance:attention": insurance.attention_task,
    "insurance:linear-attention": insurance.linear_attention_task,
    "oil": oil.mlp_task,
    "oil:causal": oil.causal_task,
    "co2": co2.mlp_task,
    "japanese-vowels": japanese_vowels.cnn_task,
    "sections": sections.gcn_task,
    "sections:mlp": sections.mlp_task,
    "dependencies": dependencies.dependencies_task,
    "movielens": movielens.movielens_task,
    "burgers": burgers.burgers_task,
    "helmholtz": helmholtz.helmholtz_task,
    "image:siren": image.siren_task,
    "image:fourier": image.fourier_task,
    "slow-regression": slow_regression.slow_regression_task,
    "fashion-mnist:permuted": task_sequences.permuted_pixels_task,
    "fashion-mnist:random-labels": task_sequences.random_labels_task,
    "deep-digits:elu-paper": deep_digits.elu_task,
    "cart-pole": cart_pole.cart_pole_task,
    "shakespeare": gpt.task,
    "shakespeare:plays": plays.task,
    "shakespeare:small": small_gpt.task,
    "shakespeare:small-sgd": small_gpt.sgd_task,
    "shakespeare:norm-free": small_gpt.norm_free_task,
    "shakespeare:norm-free-sgd": small_gpt.norm_free_sgd_task,
    "tiny:resnet-8": tiny_nets.resnet_task,
    "tiny:ds-cnn": tiny_nets.ds_cnn_task,
    "tiny:anomaly": tiny_nets.anomaly_task,
}
# The number at the end of the name is another one where another is typed, such as fashion-mnist:depth-40.
_NUMBERED: dict[str, Callable[[float], Task]] = {
    "fashion-mnist:depth-16": fashion_depth.task,
    "jamming:ones-0.5": jamming.ones_task,
    "digits:dropout-0.2": mlp_dials.dropout_task,
    "digits:depth-8": partial(mlp_dials.digits_task, "depth"),
    "mnist1d:depth-8": partial(mlp_dials.mnist1d_task, "depth"),
    "digits:he-init-8": partial(mlp_dials.digits_task, "he-init"),
    "mnist1d:he-init-8": partial(mlp_dials.mnist1d_task, "he-init"),
    "digits:batch-norm-8": partial(mlp_dials.digits_task, "batch-norm"),
    "mnist1d:batch-norm-8": partial(mlp_dials.mnist1d_task, "batch-norm"),
    "digits:layer-norm-8": partial(mlp_dials.digits_task, "layer-norm"),
    "mnist1d:layer-norm-8": partial(mlp_dials.mnist1d_task, "layer-norm"),
    "digits:width-16": partial(mlp_dials.digits_task, "width"),
    "mnist1d:width-16": partial(mlp_dials.mnist1d_task, "width"),
    "deep-digits:depth-32": deep_digits.depth_task,
    "deep-digits:batch-norm-32": deep_digits.batch_norm_task,
    "deep-digits:dropout-8": deep_digits.dropout_task,
    "deep-digits:alpha-dropout-8": deep_digits.alpha_dropout_task,
    "deep-digits:sgd-0.3": deep_digits.sgd_task,
    "deep-digits:adam-0.03": deep_digits.adam_task,
    "gradient:depth-20": gradient_depth.task,
    "modular-sum:decay-1": modular_sum.modular_sum_task,
}
_EARLIER: dict[str, Callable[[], Task]] = {
    "digits:protocol-1": digits.earlier_mlp_task,
    "digits:cnn:protocol-1": digits.earlier_cnn_task,
}
for _name, _build in _BUILDERS.items():
    register(_name, _build)
for _name, _build_of_number in _NUMBERED.items():
    register_numbered(_name, _build_of_number)
for _name, _build in _EARLIER.items():
    register(_name, _build, listed=False)
