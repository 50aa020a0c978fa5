"""Functions of stacked tensors have the values and gradients of single models."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from actlab.studies.stacked.random_draws import RandomDraws
from actlab.studies.stacked.stacked_functions import evenly
from actlab.studies.stacked.stacked_tensor import StackedTensor, StackError

MODELS = 3


def numbers(*shape):
    return torch.randn(MODELS, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(len(shape)))


def labels(*shape, classes=5):
    return torch.randint(classes, (MODELS, *shape), generator=torch.Generator().manual_seed(1))


CASES = {
    "linear": (F.linear, numbers(4, 6), numbers(5, 6), numbers(5)),
    "linear without bias, on tokens": (F.linear, numbers(4, 2, 6), numbers(5, 6)),
    "linear of one example": (F.linear, numbers(6), numbers(5, 6), numbers(5)),
    "conv1d": (F.conv1d, numbers(4, 2, 9), numbers(5, 2, 3), numbers(5)),
    "batch norm": (lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), numbers(4, 6, 3), numbers(6), numbers(6)),
    "layer norm": (lambda x, w, b: F.layer_norm(x, (6,), w, b), numbers(4, 6), numbers(6), numbers(6)),
    "embedding": (lambda w, i: F.embedding(i.long().abs() % 7, w), numbers(7, 3), numbers(4)),
    "max pool": (lambda x: F.max_pool2d(x, 2), numbers(4, 2, 6, 6)),
    "adaptive pool": (lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1), numbers(4, 2, 6, 6)),
    "mse": (F.mse_loss, numbers(4, 2), numbers(4, 2)),
    "broadcasting": (lambda x, y: (x - y) * 2 / (1 + y.abs()), numbers(4, 6), numbers(6)),
    "a number for each model": (lambda x, y: x * y + y, numbers(4, 6), numbers()),
    "shapes": (lambda x: x.view(x.shape[0], -1).unflatten(1, (3, 4)).transpose(1, 2).flatten(1), numbers(5, 2, 6)),
    "attention": (lambda x: torch.softmax(x @ x.transpose(1, 2) / 6**0.5, -1) @ x, numbers(2, 4, 6)),
    "fused attention": (F.scaled_dot_product_attention, numbers(2, 3, 4, 6), numbers(2, 3, 5, 6), numbers(2, 3, 5, 6)),
    "causal attention without heads": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.2), *[numbers(2, 4, 6)] * 3
    ),
    "attention of one example": (F.scaled_dot_product_attention, *[numbers(4, 6)] * 3),
    "attention with a mask of each example": (
        lambda x, mask: F.scaled_dot_product_attention(x, x, x, mask), numbers(2, 3, 4, 6), numbers(2, 1, 4, 4)
    ),
    "attention with one mask": (
        lambda x: F.scaled_dot_product_attention(x, x, x, torch.ones(4, 4, dtype=bool).tril()), numbers(2, 3, 4, 6)
    ),
    "attention with a mask of examples for all models": (
        lambda x: F.scaled_dot_product_attention(x, x, x, torch.arange(32.0, dtype=x.dtype).view(2, 1, 4, 4)), numbers(2, 3, 4, 6)
    ),
    "attention to the tokens of one example": (
        lambda q, x: F.scaled_dot_product_attention(q, x, x), numbers(2, 3, 4, 6), numbers(1, 3, 4, 6)
    ),
    "attention with its projections": (
        lambda x, w, b, out: F.multi_head_attention_forward(
            x, x, x, 6, 2, w, b, None, None, False, 0.0, out, b[:6], need_weights=False)[0],
        numbers(4, 2, 6), numbers(18, 6), numbers(18), numbers(6, 6),
    ),
    "reductions": (lambda x: x.mean(1, keepdim=True) + x.std() + x.amax(), numbers(4, 6)),
    "cumulative": (lambda x: torch.cumsum(x, 0)[..., 1:3], numbers(4, 6)),
    "concatenated": (lambda x, y: torch.cat([x, y], -1), numbers(4, 6), numbers(4, 2)),
    "second derivative": (
        lambda x: torch.autograd.grad(x.requires_grad_().pow(3).sum(), x, create_graph=True)[0].sin(), numbers(4)
    ),
}  # fmt: skip


def results(function, tensors):
    y = function(*tensors)
    return y.stacked if isinstance(y, StackedTensor) else y


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_those_of_single_models(name):
    function, *tensors = CASES[name]
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    again = [tensor.clone().requires_grad_() for tensor in tensors]

    together = results(function, [StackedTensor(leaf) for leaf in leaves])
    single = torch.stack([function(*(leaf[model] for leaf in again)) for model in range(MODELS)])

    torch.testing.assert_close(together, single, rtol=1e-12, atol=1e-12)
    slopes = [
        torch.autograd.grad(y.square().sum(), x, allow_unused=True) for y, x in ((together, leaves), (single, again))
    ]
    for mine, theirs in zip(*slopes, strict=True):
        assert (mine is None) == (theirs is None)
        if mine is not None:
            torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("batch", [1, 21, 100])
def test_cross_entropy_is_that_of_single_models_also_with_ignored_labels(batch, classes):
    output, target = numbers(batch, classes), labels(batch, classes=classes)
    target[0, 1:2] = -100

    together = F.cross_entropy(StackedTensor(output), StackedTensor(target)).stacked

    torch.testing.assert_close(
        together, torch.stack([F.cross_entropy(o, t) for o, t in zip(output, target, strict=True)])
    )


def test_convolutions_of_data_are_those_of_single_models_with_every_option():
    for stride, padding, dilation, kernel, data in itertools.product(
        (1, 2, (2, 1)), (0, (1, 2), "valid"), (1, 2), ((1, 1), (2, 3)), (True, False)
    ):
        x, weight, bias = numbers(4, 2, 9, 10).requires_grad_(not data), numbers(5, 2, *kernel), numbers(5)
        together = F.conv2d(*map(StackedTensor, (x, weight, bias)), stride, padding, dilation).stacked
        single = [F.conv2d(x[i], weight[i], bias[i], stride, padding, dilation) for i in range(MODELS)]
        torch.testing.assert_close(together, torch.stack(single), rtol=1e-12, atol=1e-12)


def test_control_flow_by_values_is_refused():
    x = StackedTensor(numbers(4))

    with pytest.raises(RuntimeError, match="control flow"):
        bool(x.sum() > 0)
    with pytest.raises(RuntimeError, match="item"):
        x.sum().item()


@pytest.mark.parametrize(
    "draw",
    [
        lambda x: F.dropout(x, 0.4, True), lambda x: x + torch.randn_like(x), lambda x: x * torch.rand(1, 6, dtype=x.dtype),
        lambda x: torch.bernoulli(x.sigmoid()), lambda x: F.alpha_dropout(x, 0.3, True), lambda x: F.dropout1d(x, 0.5, True),
        lambda x: F.dropout(x, 0.4, True) + torch.rand(6, dtype=x.dtype) + F.dropout(x, 0.2, True),
    ],
)  # fmt: skip
def test_random_numbers_are_those_of_each_seed(draw):
    x, seeds = numbers(4, 6), [7, 3, 7]
    before = torch.get_rng_state()

    with RandomDraws(seeds):
        together = draw(StackedTensor(x)).stacked

    assert torch.equal(before, torch.get_rng_state())
    for model, seed in enumerate(seeds):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            torch.testing.assert_close(together[model], draw(x[model]), rtol=1e-14, atol=1e-14)


def test_random_numbers_in_place_are_refused():
    with RandomDraws([1, 2]), pytest.raises(StackError, match="in place"):
        torch.empty(3).normal_()


def test_dropout_inside_of_attention_is_refused():
    x = StackedTensor(numbers(2, 3, 4, 6))

    with pytest.raises(StackError, match="dropout inside of scaled_dot_product_attention"):
        F.scaled_dot_product_attention(x, x, x, dropout_p=0.1)


def test_warnings_of_vmap_are_shown_again_to_code_outside_of_stacks():
    x = numbers(2, 3, 4, 6)

    F.scaled_dot_product_attention(StackedTensor(x), StackedTensor(x[:, :1]), StackedTensor(x[:, :1]))
    with pytest.warns(UserWarning, match="batching rule"):
        torch.vmap(F.scaled_dot_product_attention)(x, x, x)


def test_a_number_does_not_depend_on_its_place_in_the_tensor():
    x = torch.linspace(-4, 4, 70).repeat(5, 1)

    for function in (F.silu, F.mish, F.elu, torch.sigmoid, torch.tanh, F.gelu):
        y = evenly(function, x)
        assert torch.equal(y, y[:1].expand(5, -1))
