"""Functions that mix tokens agree with loops over pairs of tokens, causal or not, beyond one chunk, and for several heads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.functions.references import tokens

from actlab.errors import LayerError
from actlab.functions.activation import get, names
from actlab.functions.tensor_code import attention
from actlab.nn.layers.layer import layer

TOKENS, DIM = 75, 6  # more than one chunk, and no multiple of it


def draw(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(TOKENS, DIM, generator=generator, dtype=torch.float64) for _ in range(count)]


def agree(got, want):
    np.testing.assert_allclose(got.detach().numpy(), want, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("name", sorted(tokens.WEIGHTED))
def test_attention_agrees_with_a_loop_over_pairs(name, causal):
    inputs = draw(3)
    got = layer(f"{name}(causal={causal})", dtype=torch.float64)(*inputs)

    agree(got, tokens.WEIGHTED[name](*(x.numpy() for x in inputs), causal=bool(causal)))


@pytest.mark.parametrize("causal", [0, 1])
def test_hydra_agrees_with_its_definition(causal):
    inputs = draw(3)

    agree(
        layer(f"hydra_attention(causal={causal})")(*inputs),
        tokens.hydra(*(x.numpy() for x in inputs), causal=bool(causal)),
    )


@pytest.mark.parametrize(
    ("name", "reference", "count"),
    [
        ("efficient_attention", tokens.efficient, 3),
        ("attention_free", tokens.attention_free, 3),
        ("retention", tokens.retention, 3),
        ("gated_linear_attention", tokens.gated_linear, 4),
        ("fourier_mixing", tokens.fourier, 1),
        ("average_attention", tokens.average, 1),
    ],
)
def test_the_others_agree_with_their_definitions(name, reference, count):
    inputs = draw(count)

    agree(layer(name)(*inputs), reference(*(x.numpy() for x in inputs)))


def test_softmax_attention_is_that_of_torch():
    q, k, v = (x.view(1, TOKENS, DIM) for x in draw(3))
    for causal in (0, 1):
        theirs = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=bool(causal))
        torch.testing.assert_close(layer(f"softmax_attention(causal={causal})")(q, k, v), theirs)


WITH_HEADS = [name for name in names("vector") if "heads" in {p.name for p in get(name).parameters}]
CAUSAL = [name for name in names("vector") if "causal" in {p.name for p in get(name).parameters}]


@pytest.mark.parametrize("name", WITH_HEADS)
def test_heads_are_separate(name):
    x = draw(1)[0]
    got = layer(f"{name}(heads=2)", dtype=torch.float64)(x)
    alone = [layer(name, dtype=torch.float64)(half) for half in x.chunk(2, -1)]

    torch.testing.assert_close(got[:, : DIM // 2], alone[0])
    if name != "retention":  # whose second head decays more slowly
        torch.testing.assert_close(got[:, DIM // 2 :], alone[1])


def test_every_head_of_retention_has_its_decay():
    q, k, v = draw(3)
    got = layer("retention(heads=2)")(q, k, v)

    agree(got[:, 3:], tokens.retention(*(x[:, 3:].numpy() for x in (q, k, v)), head=1))


@pytest.mark.parametrize(
    "spec",
    [
        *(f"{name}(causal=1)" for name in CAUSAL if name != "cosformer"),
        "retention",
        "gated_linear_attention",
        "average_attention",
    ],
)
def test_causal_forms_do_not_see_later_tokens(spec):
    x = draw(1)[0]
    changed = x.clone()
    changed[40:] += 1
    module = layer(spec, dtype=torch.float64)

    torch.testing.assert_close(module(x)[:40], module(changed)[:40])
    assert not torch.allclose(module(x)[40:], module(changed)[40:])


@pytest.mark.parametrize(
    "name", [name for name in CAUSAL if name != "cosformer"] + ["efficient_attention", "attention_free"]
)
def test_without_a_mask_permuted_tokens_give_permuted_results(name):
    x = draw(1)[0]
    order = torch.randperm(TOKENS, generator=torch.Generator().manual_seed(1))
    module = layer(name, dtype=torch.float64)

    torch.testing.assert_close(module(x[order]), module(x)[order])


@pytest.mark.parametrize("name", [name for name in names("vector") if get(name).mixes_tokens])
def test_gradients_of_separate_inputs_are_right_beyond_one_chunk(name, monkeypatch):
    monkeypatch.setattr(attention, "CHUNK", 2)
    monkeypatch.setattr(attention, "DECAY_CHUNK", 2)
    inputs = [x[:5, :4].clone().requires_grad_() for x in draw(len(get(name).inputs))]
    causal = "(causal=1)" if name in CAUSAL else ""

    assert torch.autograd.gradcheck(layer(f"{name}{causal}", dtype=torch.float64), inputs)


@pytest.mark.parametrize("name", [name for name in names("vector") if get(name).mixes_tokens])
def test_one_tensor_plays_all_roles_and_a_wrong_number_is_refused(name):
    x = draw(1)[0]
    count = len(get(name).inputs)
    module = layer(name, dtype=torch.float64)

    assert torch.equal(module(x), module(*[x] * count))
    with pytest.raises(LayerError, match=f"{name} takes query, key, value.*; got 2 tensors"):
        module(x, x)


def test_heads_that_do_not_divide_are_refused_with_the_shape():
    with pytest.raises(LayerError, match=r"dim divisible by 4 heads, got \(75, 6\)"):
        layer("linear_attention(heads=4)")(draw(1)[0])


def test_long_decays_do_not_overflow():
    x = torch.randn(2, 500, 8, generator=torch.Generator().manual_seed(0)) * 30

    assert layer("gated_linear_attention(tau=0.05)")(x).isfinite().all()
