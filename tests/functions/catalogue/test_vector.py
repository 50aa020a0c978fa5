"""Vector functions agree with independent definitions, row by row, along any dimension."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import check_grad
from tests.functions.references import rows, tokens

from actlab.errors import LayerError, SpecError
from actlab.functions.activation import get, names
from actlab.functions.grammar import parse
from actlab.nn.layers.layer import layer

X = torch.randn(40, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 2


def test_every_vector_function_has_an_independent_reference():
    assert {*rows.ROWS, *tokens.WEIGHTED, *tokens.OTHERS, "lif", "dice"} == set(names("vector"))


@pytest.mark.parametrize("name", sorted(rows.ROWS))
def test_every_row_agrees_with_the_paper(name):
    got = layer(name, dtype=torch.float64)(X).detach().numpy()

    for x, y in zip(X.numpy(), got, strict=True):
        np.testing.assert_allclose(y, rows.ROWS[name](x), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", sorted(rows.ROWS))
def test_the_dimension_can_be_chosen(name):
    x = torch.randn(3, 8, 5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    last = layer(name, dtype=torch.float64)(x.movedim(1, -1)).movedim(-1, 1)

    for dim in (1, -3):
        torch.testing.assert_close(layer(f"{name}(dim={dim})", dtype=torch.float64)(x), last)


@pytest.mark.parametrize("name", [name for name in sorted(rows.ROWS) if get(name).claims.simplex])
def test_weights_are_kept_by_adding_a_constant_where_they_are_of_differences(name):
    invariant = {
        "softmax",
        "softmin",
        "sparsemax",
        "entmax15",
        "alpha_entmax",
        "scalable_softmax",
        "ev_softmax",
        "topk_softmax",
        "hardmax",
        "normmax",
    }
    y, moved = (layer(name, dtype=torch.float64)(x) for x in (X, X + 3))

    assert torch.allclose(y, moved, atol=1e-12) == (name in invariant)


def test_sparsemax_solves_its_optimisation_problem():
    got = layer("sparsemax")(X[:10]).numpy()

    for x, y in zip(X[:10].numpy(), got, strict=True):
        np.testing.assert_allclose(y, rows.sparsemax_by_optimisation(x), atol=1e-6)


def test_the_jacobian_of_sparsemax_is_the_one_of_the_paper():
    x = X[0]
    jacobian = torch.autograd.functional.jacobian(layer("sparsemax"), x)
    support = (layer("sparsemax")(x) > 0).double()

    torch.testing.assert_close(jacobian, torch.diag(support) - torch.outer(support, support) / support.sum())


def test_group_sort_is_torch_sort_of_each_group():
    got = layer("group_sort(group_size=4)")(X)

    assert torch.equal(got, torch.cat([X[:, :4].sort(-1).values, X[:, 4:].sort(-1).values], 1))


@pytest.mark.parametrize("alpha", [1.05, 1.2, 1.7, 2.0])
def test_alpha_entmax_sums_to_one_and_meets_its_ends(alpha):
    big = torch.randn(4, 5000, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 4
    weights = layer(f"alpha_entmax({alpha})")(big)

    torch.testing.assert_close(weights.sum(-1), torch.ones(4, dtype=torch.float64), rtol=0, atol=1e-12)
    if alpha == 2.0:
        torch.testing.assert_close(weights, layer("sparsemax")(big), rtol=0, atol=1e-12)


def test_entmax_near_one_is_softmax():
    torch.testing.assert_close(layer("alpha_entmax(1.00001)")(X), layer("softmax")(X), rtol=0, atol=1e-4)


def test_alpha_can_be_learned_and_its_gradient_is_right():
    def loss(alpha):
        return float((layer(f"alpha_entmax({float(alpha[0])!r})")(X[0]) ** 2).sum())

    module = layer("alpha_entmax(alpha=learned(1.4))", dtype=torch.float64)
    (module(X[0]) ** 2).sum().backward()

    assert check_grad(loss, lambda _: [module.alpha.grad.item()], [1.4]) < 1e-6


def test_softpick_is_accurate_near_zero_and_far_out():
    x = torch.tensor([[1e-9, -1e-9, 2e-9], [-400.0, -300.0, -200.0], [500.0, 0.0, 499.0]], dtype=torch.float64)
    got = layer("softpick(eps=1e-18)")(x)

    torch.testing.assert_close(got[0], torch.tensor([0.25, 0.0, 0.5], dtype=torch.float64), rtol=1e-8, atol=0)
    assert got[1].tolist() == [0.0, 0.0, 0.0]
    torch.testing.assert_close(got[2, 0].item(), 1 / (1 + math.exp(-1)), rtol=1e-12, atol=0)


@pytest.mark.parametrize("alpha", [1.3, 2.0, 3.5, 40.0])
def test_normmax_solves_its_optimisation_problem(alpha):
    got = layer(f"normmax({alpha})")(X[:6]).numpy()

    for x, y in zip(X[:6].numpy(), got, strict=True):
        np.testing.assert_allclose(y, rows.normmax_by_optimisation(x, alpha), atol=2e-5)


@pytest.mark.parametrize("total", [1, 3, 8, 9])
def test_a_budget_is_kept_by_weights_between_zero_and_one(total):
    weights = layer(f"budget({total})")(X)

    torch.testing.assert_close(weights.sum(-1), torch.full((40,), float(min(total, 8)), dtype=torch.float64))
    assert (weights >= 0).all()
    assert (weights <= 1).all()
    if total == 1:
        torch.testing.assert_close(weights, layer("sparsemax")(X))


def test_a_sink_takes_weight_that_no_element_gets():
    x, sinks = X[:6].view(2, 3, 8), torch.tensor([-1.0, 0.5, 30.0], dtype=torch.float64)
    module = layer("sink_softmax(sink=learned_per_channel)", channels=3, dtype=torch.float64)
    with torch.no_grad():
        module.sink.copy_(sinks)

    joined = torch.cat([x, sinks.view(1, 3, 1).expand(2, 3, 1)], -1).softmax(-1)
    torch.testing.assert_close(module(x), joined[..., :-1])


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_the_sparse_geglu_takes_the_first_half_as_its_gate_and_tanh_if_it_is_told(approximate):
    spec = f"gaussian_topk_geglu(0.6, gate_first=1, approximate={int(approximate == 'tanh')})"
    gate, value = X.chunk(2, -1)
    cut = gate.mean(-1, keepdim=True) + torch.special.ndtri(torch.tensor(0.6, dtype=torch.float64)) * gate.std(
        -1, correction=0, keepdim=True
    )

    torch.testing.assert_close(
        layer(spec)(X), torch.nn.functional.gelu((gate - cut).relu(), approximate=approximate) * value
    )


def test_dice_is_batch_normalised_prelu():
    got = layer("dice(alpha=0.3, eps=0.001)")(X)

    p = torch.nn.functional.batch_norm(X, None, None, training=True, eps=0.001).sigmoid()
    torch.testing.assert_close(got, p * X + 0.3 * (1 - p) * X)


def test_norm_relu_shortens_vectors_by_its_bias_and_commutes_with_rotations():
    module = layer("norm_relu(bias=-1)")
    rotation = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).Q
    x = torch.cat([X, X[:3] / 100])

    torch.testing.assert_close(module(x).norm(dim=-1), (x.norm(dim=-1) - 1).clamp_min(0))
    torch.testing.assert_close(module(x @ rotation), module(x) @ rotation)


def test_householder_at_another_angle_keeps_norms_and_is_continuous():
    module = layer("householder(theta=1.0)")
    angle = torch.tensor(0.5, dtype=torch.float64)
    edge = torch.stack([angle.cos(), angle.sin()])

    torch.testing.assert_close(module(X).norm(dim=-1), X.norm(dim=-1))
    torch.testing.assert_close(module(edge + 1e-9), module(edge - 1e-9), rtol=0, atol=1e-8)


def test_lif_spikes_as_its_recurrence_says():
    x = torch.rand(3, 20, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    got = layer("lif(beta=0.8, threshold=0.9)")(x)

    voltage = spike = np.zeros((3, 4))
    for t in range(20):
        voltage = 0.8 * voltage + x[:, t].numpy() - 0.9 * spike
        spike = (voltage > 0.9).astype(float)
        np.testing.assert_array_equal(got[:, t].numpy(), spike)
    assert 0.1 < got.mean() < 0.9


@pytest.mark.parametrize(
    ("spec", "size", "width"), [("maxout(k=4)", 8, 2), ("crelu", 8, 16), ("swiglu", 8, 4), ("gelu", 7, 7)]
)
def test_the_spec_says_the_width_of_the_output(spec, size, width):
    assert parse(spec).width(size) == width
    assert layer(spec)(torch.zeros(2, size)).shape[-1] == width


def test_what_cannot_be_divided_is_refused():
    with pytest.raises(SpecError, match=r"returns n/k elements for n; n = 7 is not divisible"):
        parse("maxout").width(7)
    with pytest.raises(LayerError, match="Dimension -1 has 7 elements, which is not divisible into groups of 2"):
        layer("maxout")(torch.zeros(7))
    with pytest.raises(LayerError, match="an even number is needed"):
        layer("maxmin")(torch.zeros(7))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("maxout(k=2.5)", "a whole number from 1 to 65536"),
        ("maxout(k=0)", "a whole number from 1 to 65536"),
        ("maxout(k=learned)", "which has no gradient"),
        ("softmax(dim=0.5)", "a dimension from -64 to 63, such as -1"),
        ("softmax(dim=learned)", "which has no gradient"),
        ("kwta(sparse_ratio=1.5)", "above 0 and up to 1"),
        ("alpha_entmax(1)", "above 1 and up to 2"),
        ("softmax_attention(causal=2)", "0 .no. or 1 .yes."),
        ("softmax(dim=inf)", "a dimension"),
    ],
)
def test_sizes_and_dimensions_are_checked(spec, words):
    with pytest.raises(SpecError, match=words):
        parse(spec)


def test_whole_numbers_are_written_as_such():
    assert str(parse("softmax(dim=1)")) == "softmax(dim=1)"
    assert str(parse("softmax(dim=-1.0)")) == "softmax"
    assert parse("maxout(k=4)").values == {"k": 4, "dim": -1}
