"""Operation cost, against counts by hand and torch's profiler."""

from __future__ import annotations

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

import actlab
from actlab.bench.operation_cost import cost, kernels
from actlab.functions.activation import names


@pytest.mark.parametrize(
    ("spec", "forward", "backward"),
    [
        ("relu", (), ()),
        ("squareplus", (), ()),  # a root is an instruction
        ("sigmoid", ("sigmoid",), ("sigmoid", "sigmoid")),
        ("softplus", ("exp", "log1p"), ("sigmoid",)),
        ("gelu", ("erfc",), ("erfc", "exp")),
        ("mish", ("exp", "log1p", "tanh"), ("exp", "log1p", "sigmoid", "sigmoid", "sigmoid", "tanh")),
        ("sine", ("sin",), ("cos",)),
        ("swiglu", ("sigmoid",), ("sigmoid", "sigmoid")),
        ("softmax", ("exp",), ()),
    ],
)
def test_the_calls_are_those_of_the_formula(spec, forward, backward):
    found = cost(spec)

    assert tuple(sorted(found.forward)) == forward
    assert found.backward == backward


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("relu", "arithmetic only"),
        ("tanh", "one transcendental (tanh)"),
        ("mish", "three transcendentals (exp, log1p, tanh)"),
        ("sparsemax", "no transcendentals, a running sum, a sort"),
        ("softmax_attention", "one transcendental (exp), a matrix product"),
        ("fourier_mixing", "no transcendentals, a Fourier transform"),
    ],
)
def test_the_class_is_a_plain_phrase(spec, words):
    assert cost(spec).words == words


@pytest.mark.parametrize(
    ("spec", "traffic"),
    [
        ("gelu", (2, 3)),  # x, y; x, dy, dx
        ("identity", (2, 2)),  # the slope is 1: dy, dx
        ("step", (2, 1)),  # the slope is 0: dx
        ("swiglu", (3, 5)),  # gate, value, y; gate, value, dy, and two gradients
        ("softmax", (2, 3)),
        ("maxout", (1.5, 2.5)),  # half as wide
        ("crelu", (3, 4)),  # twice as wide
        ("softmax_attention", (4, 7)),  # query, key, value, y
    ],
)
def test_the_least_traffic_counts_every_tensor_once(spec, traffic):
    assert cost(spec).traffic == traffic
    assert cost(spec).bytes == 4 * sum(traffic)


@pytest.mark.parametrize("spec", ["gelu", "gelu_tanh", "golu", "swiglu", "softmax", "entmax15", "squash", "lisht"])
def test_the_kernels_are_those_that_the_profiler_of_torch_sees(spec):
    with profile(activities=[ProfilerActivity.CPU]) as seen, torch.no_grad():
        actlab.layer(spec)(torch.randn(2, 8, 64))
    launched = {event.name.removeprefix("aten::").rstrip("_") for event in seen.events()}

    ran = {"pow" if name == "square" else name for name in kernels(spec)[0]}
    assert ran <= launched
    assert not ran & {
        "view",
        "chunk",
        "split",
        "select",
        "slice",
        "expand",
        "transpose",
        "detach",
        "unsqueeze",
        "permute",
    }


def test_a_chain_of_torch_operations_costs_as_many_kernels_as_it_has():
    forward, backward = kernels("elliott_sigmoid")
    native_forward, native_backward = kernels("gelu")

    assert (native_forward, native_backward) == (["gelu"], ["gelu_backward"])
    assert len(forward) > 1 < len(backward)


@pytest.mark.parametrize("name", [*names("elementwise")[::15], *names("gated"), *names("vector"), *names("stochastic")])
def test_every_kind_has_a_cost(name):
    found = cost(name)

    assert found.words
    assert found.kernels[0] >= (0 if name == "identity" else 1)
    assert found.bytes >= 12
