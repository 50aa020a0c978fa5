"""Chains of layers have the values and gradients of single models, whatever else is in the stack."""

import copy
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from actlab.codegen.cpu import jit
from actlab.studies.stacked.compiled import layer_chain
from actlab.studies.stacked.compiled.layer_chain import LayerChain
from actlab.studies.stacked.model_stack import ModelStack
from actlab.studies.stacked.stacked_tensor import StackedTensor, StackError

pytestmark = pytest.mark.skipif(not jit.writes_lines(), reason="the code is for vectors of 512 bits")

ARMS = [nn.ReLU, nn.ReLU, nn.Tanh, nn.Mish]


def nets(*widths, bias=True, dtype=torch.float64, arms=ARMS):
    """Return a net of each arm, an activation behind every layer but the last."""
    torch.manual_seed(0)
    pairs = list(pairwise(widths))
    return [
        nn.Sequential(*[it for pair in pairs for it in (nn.Linear(*pair, bias=bias, dtype=dtype), arm())][:-1])
        for arm in arms
    ]


def inputs(*shape, dtype=torch.float64, models=4):
    return torch.randn(models, *shape, dtype=dtype, generator=torch.Generator().manual_seed(1))


def stacked(models):
    names = [type(model[1]).__name__ for model in models]
    return ModelStack(models, names)


def gradients(stack, loss):
    loss.backward()
    return [leaf.tensor.grad for leaf in stack.parameters]


@pytest.fixture
def chains(monkeypatch):
    """Return the number of layers of each chain that is computed."""
    lengths, computed = [], LayerChain.computed
    monkeypatch.setattr(LayerChain, "computed", lambda self: lengths.append(len(self.layers)) or computed(self))
    return lengths


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(32, 6), (9, 6), (2, 5, 6)])
def test_a_chain_has_the_values_and_gradients_of_single_models(shape, bias, chains):
    models, x = nets(6, 33, 16, 3, bias=bias), inputs(*shape)
    stack, own, alone = stacked(copy.deepcopy(models)), x.clone().requires_grad_(), x.clone().requires_grad_()

    together = stack.module(StackedTensor(own)).stacked
    single = torch.stack([model(one) for model, one in zip(models, alone, strict=True)])

    assert chains == [5]
    torch.testing.assert_close(together, single, rtol=1e-12, atol=1e-13)
    found = gradients(stack, together.square().sum())
    single.square().sum().backward()
    torch.testing.assert_close(own.grad, alone.grad, rtol=1e-11, atol=1e-12)
    for leaf, grad in zip(stack.parameters, found, strict=True):
        expected = [dict(model.named_parameters()) for model in models]
        name = next(name for name, it in stack.module.named_parameters() if it.stacked is leaf.tensor)
        torch.testing.assert_close(grad, torch.stack([it[name].grad for it in expected]), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("threads", [1, 2])
def test_numbers_of_a_model_are_equal_to_the_bit_in_every_stack(threads):
    def run(models, x):
        stack = stacked(copy.deepcopy(models))
        y = stack.module(StackedTensor(x)).stacked
        return [y.detach(), *gradients(stack, y.square().sum())]

    models, x = nets(37, 70, 70, 5, dtype=torch.float32), inputs(300, 37, dtype=torch.float32)
    whole = run(models, x)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for part in (slice(0, 4), slice(1, 3), slice(3, 4)):
            assert all(torch.equal(a[part], b) for a, b in zip(whole, run(models[part], x[part]), strict=True))
    finally:
        torch.set_num_threads(before)


def test_evaluation_without_gradients_gives_the_same_numbers():
    models, x = nets(6, 33, 16, 3), inputs(32, 6)
    stack = stacked(models)

    with torch.no_grad():
        later = stack.module(StackedTensor(x))
    assert not later.stacked.requires_grad
    assert torch.equal(later.stacked, stack.module(StackedTensor(x)).stacked.detach())


def test_a_tensor_that_was_asked_for_outside_of_no_grad_has_its_gradient():
    later = stacked(nets(6, 33, 3)).module(StackedTensor(inputs(32, 6)))

    with torch.no_grad():
        assert later.stacked.requires_grad


def test_gradients_of_gradients_are_those_of_single_models():
    models, x = nets(2, 17, 16, 1, arms=[nn.Tanh, nn.Tanh, nn.Softplus]), inputs(12, 2, models=3)

    def loss(model, x):
        y = model(x)
        (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        return (slope.sum(-1) - y.squeeze(-1)).square().mean()

    stack = stacked(copy.deepcopy(models))
    together = loss(stack.module, StackedTensor(x.clone().requires_grad_())).stacked
    single = [loss(model, one.clone().requires_grad_()) for model, one in zip(models, x, strict=True)]

    torch.testing.assert_close(together, torch.stack(single), rtol=1e-11, atol=1e-12)
    found = gradients(stack, together.sum())
    torch.stack(single).sum().backward()
    for leaf, grad in zip(stack.parameters, found, strict=True):
        name = next(name for name, it in stack.module.named_parameters() if it.stacked is leaf.tensor)
        torch.testing.assert_close(
            grad, torch.stack([model.get_parameter(name).grad for model in models]), rtol=1e-10, atol=1e-11
        )


def test_an_output_between_layers_that_is_used_twice_has_the_right_gradient():
    x, (weight, head) = inputs(16, 6), (inputs(6, 6) / 3, inputs(6, 6) / 5)

    def run(x, weight, head):
        hidden = F.linear(x, weight)
        return hidden + F.linear(F.linear(hidden, head), weight)

    leaves = [it.clone().requires_grad_() for it in (x, weight, head)]
    again = [it.clone().requires_grad_() for it in (x, weight, head)]
    together = run(*map(StackedTensor, leaves)).stacked
    single = torch.stack([run(*(it[model] for it in again)) for model in range(4)])

    torch.testing.assert_close(together, single, rtol=1e-12, atol=1e-13)
    for a, b in zip(
        *(torch.autograd.grad(y.square().sum(), it) for y, it in ((together, leaves), (single, again))), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("what", ["input", "weight"])
def test_a_change_in_place_behind_a_layer_is_refused(what):
    x, weight = StackedTensor(inputs(16, 6)), StackedTensor(inputs(5, 6))
    later = F.linear(x, weight)

    (x if what == "input" else weight).stacked.mul_(2)

    with pytest.raises(StackError, match="changed in place"):
        later.sum()


@pytest.mark.parametrize(
    "shapes", [((7, 6), (5, 6)), ((16, 600), (5, 600)), ((16, 6), (600, 6)), ((6,), (5, 6))],
    ids=["few rows", "many inputs", "many outputs", "one example"],
)  # fmt: skip
def test_other_layers_are_left_to_torch(shapes, chains):
    x, weight = map(StackedTensor, (inputs(*shapes[0]), inputs(*shapes[1])))

    y = F.linear(x, weight).stacked

    assert chains == []
    torch.testing.assert_close(y, torch.einsum("m...i,moi->m...o", x.stacked, weight.stacked))


def test_without_a_compiler_or_with_short_vectors_torch_computes_the_layers(monkeypatch, chains):
    monkeypatch.setattr(layer_chain, "has_compiler", lambda: False)

    stacked(nets(6, 33, 3)).module(StackedTensor(inputs(32, 6))).sum()

    assert chains == []


def test_a_planted_layer_of_another_model_is_seen():
    models, x = nets(6, 33, 3), inputs(32, 6)
    stack = stacked(copy.deepcopy(models))
    with torch.no_grad():
        stack.parameters[0].tensor[[0, 1]] = stack.parameters[0].tensor[[1, 0]].clone()

    together = stack.module(StackedTensor(x)).stacked

    single = torch.stack([model(one) for model, one in zip(models, x, strict=True)])
    is_equal = [torch.allclose(a, b, rtol=1e-12, atol=1e-13) for a, b in zip(together, single, strict=True)]
    assert is_equal == [False, False, True, True]
