"""Activation layers: parameters, shapes and errors."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

from actlab.errors import LayerError
from actlab.functions.activation import get, names
from actlab.nn.layers.layer import layer
from actlab.nn.layers.mixed import mixed


def test_learned_parameters_carry_the_names_of_the_spec():
    module = layer("swish(beta=learned(1.5))")

    assert {name: parameter.tolist() for name, parameter in module.named_parameters()} == {"beta": [1.5]}


def test_a_prelu_checkpoint_of_torch_loads():
    theirs = nn.PReLU(3, init=0.1)
    ours = layer("prelu(weight=learned_per_channel)", channels=3)

    ours.load_state_dict(theirs.state_dict())

    x = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(ours(x), theirs(x))


def test_a_parameter_per_channel_acts_on_dimension_one():
    module = layer("leaky_relu(negative_slope=learned_per_channel)", channels=2)
    with torch.no_grad():
        module.negative_slope.copy_(torch.tensor([0.5, 2.0]))

    assert module(-torch.ones(1, 2, 3)).tolist() == [[[-0.5] * 3, [-2.0] * 3]]


def test_parameters_from_the_meta_device_are_set_to_their_initial_values():
    module = layer("pelu(a=learned_per_channel(0.5), b=2)", channels=3, device="meta").to_empty(device="cpu")
    with torch.no_grad():
        module.a.fill_(torch.nan)

    module.reset_parameters()

    assert module.a.tolist() == [0.5] * 3


def test_learned_parameters_train():
    module = layer("swish(beta=learned)")
    module(torch.ones(3)).sum().backward()

    assert module.beta.grad.item() == pytest.approx(3 * 0.19661193, rel=1e-5)  # 3 x^2 s(1 - s) at x = 1


def test_gated_layers_take_the_value_first_as_torch_glu_does():
    x = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))
    value, gate = x.chunk(2, dim=-1)

    torch.testing.assert_close(layer("glu")(x), nn.GLU()(x))
    torch.testing.assert_close(layer("swiglu")(x), value * nn.functional.silu(gate))
    torch.testing.assert_close(layer("glu", native=False)(x), nn.GLU()(x))


@pytest.mark.parametrize("name", names("gated"))
def test_the_gate_can_be_the_first_half_or_interleaved_or_a_tensor_of_its_own(name):
    gate, value = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    packed = {
        "second": torch.cat([value, gate], -1),
        "first": torch.cat([gate, value], -1),
        "interleaved": torch.stack([gate, value], -1).flatten(-2),
    }

    for order, x in packed.items():
        torch.testing.assert_close(layer(name, gate=order)(x), layer(name)(gate, value))
    assert not torch.allclose(layer(name)(packed["first"]), layer(name)(packed["interleaved"]))


def test_gpt_oss_takes_interleaved_weights_as_its_code_does():
    x = torch.randn(4, 10, generator=torch.Generator().manual_seed(0)) * 8
    glu, linear = x[:, 0::2].clamp(max=7.0), x[:, 1::2].clamp(-7.0, 7.0)

    torch.testing.assert_close(
        layer("swiglu_oai", gate="interleaved")(x), glu * torch.sigmoid(1.702 * glu) * (linear + 1)
    )


def test_a_wrong_gate_is_refused():
    with pytest.raises(LayerError, match="'second', 'first', 'interleaved'; got 'third'"):
        layer("swiglu", gate="third")
    with pytest.raises(LayerError, match="relu is no gated function"):
        layer("relu", gate="first")


def test_the_gate_travels_with_copies_and_shows():
    module = layer("glu", gate="first")
    x = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))

    assert torch.equal(copy.deepcopy(module)(x), module(x))
    assert not torch.equal(layer("glu")(x), module(x))
    assert repr(module) == "ActivationLayer(glu, gate='first')"


def test_tensor_code_can_learn_one_value_per_channel():
    module = layer("scalable_softmax(s=learned_per_channel, dim=-1)", channels=2, dtype=torch.float64)
    with torch.no_grad():
        module.s.copy_(torch.tensor([0.0, 1.0]))
    x = torch.tensor([[[1.0, 2.0], [1.0, 2.0]]], dtype=torch.float64)

    torch.testing.assert_close(module(x)[0, 0], torch.tensor([0.5, 0.5], dtype=torch.float64))
    torch.testing.assert_close(module(x)[0, 1], torch.tensor([1 / 3, 2 / 3], dtype=torch.float64))


def test_a_stochastic_layer_draws_in_training_only():
    module, x = layer("rrelu"), -torch.ones(1000)

    with torch.random.fork_rng(devices=[]):
        assert module.train()(x).unique().numel() > 900
    torch.testing.assert_close(module.eval()(x), x * (1 / 8 + 1 / 3) / 2)


@pytest.mark.parametrize(
    ("spec", "x", "words"),
    [
        ("relu", torch.ones(2, dtype=torch.int64), "floating tensors, got torch.int64"),
        ("relu", torch.ones(2, dtype=torch.complex64), "real tensors, got torch.complex64"),
        ("swiglu", torch.ones(2, 3), r"even last dimension, got shape \(2, 3\)"),
        ("swiglu", torch.tensor(1.0), "even last dimension"),
    ],
)
def test_an_input_that_does_not_fit_is_refused_with_its_shape_or_dtype(spec, x, words):
    with pytest.raises(LayerError, match=words):
        layer(spec)(x)


def test_a_wrong_channel_count_is_refused_with_both_numbers():
    with pytest.raises(LayerError, match=r"3 channels in dimension 1, got an input of shape \(2, 4\)"):
        layer("elu(alpha=learned_per_channel)", channels=3)(torch.ones(2, 4))


def test_a_missing_channel_count_is_asked_for():
    with pytest.raises(LayerError, match=r"channels=64"):
        layer("prelu(weight=learned_per_channel)")


def test_the_layer_shows_its_spec():
    assert repr(layer("leaky_relu(0.2)")) == "ActivationLayer(leaky_relu(negative_slope=0.2))"


@pytest.mark.parametrize("name", [name for name in names("elementwise") if get(name).module])
def test_the_named_module_of_torch_computes_the_same(name):
    record = get(name)
    template = record.module if "(" in record.module or name == "threshold" else f"{record.module}()"
    if name == "threshold":
        template = "torch.nn.Threshold(1.0, 0.0)"
    theirs = eval(template, {"torch": torch})  # noqa: S307 a template from our own catalogue
    x = torch.linspace(-5, 5, 101)

    torch.testing.assert_close(layer(name)(x), theirs(x))


@pytest.mark.parametrize("fast", [False, True])
def test_a_layer_and_its_first_call_import_neither_root_finders_nor_rules(fast):
    code = f"""
import sys, torch, actlab
layer = actlab.layer("mish", fast={fast})
x = torch.randn(2**16, requires_grad=True)
layer(x).sum().backward()
print([name for name in ("scipy.optimize", "scipy.integrate", "actlab.nn.layers.custom_gradient") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def along_last(channels: int) -> nn.Module:
    return layer("prelu(weight=learned_per_channel)", channels=channels, channel_dim=-1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: layer("mish"),
        lambda: layer("mish", fast=True),
        lambda: layer("swish(beta=learned)"),
        lambda: layer("step/rect(-0.5,0.5)"),
        lambda: layer("reglu"),
        lambda: layer("softmax"),
        lambda: along_last(8),
        lambda: mixed(["relu", "gelu"]),
        lambda: layer(nn.Hardswish()),
    ],
)
def test_a_layer_is_one_module_of_a_graph_of_torch_fx(make):
    net = nn.Sequential(nn.Linear(4, 8), make())
    x = torch.randn(3, 4)

    graph = torch.fx.symbolic_trace(net)

    assert [node.target for node in graph.graph.nodes if node.op.startswith("call")] == ["0", "1"]
    assert torch.equal(graph(x), net(x))
