"""The small language models differ in their norms and their optimizer only, and learn."""

import math
from itertools import pairwise

import pytest
import torch

import actlab
from actlab.tasks import resolve
from actlab.tasks.builtin.language.gpt import text_parts
from actlab.tasks.task import load_data

NAMES = ["shakespeare:small", "shakespeare:small-sgd", "shakespeare:norm-free", "shakespeare:norm-free-sgd"]
NORMS = ["blocks.0.attention_norm", "blocks.0.mlp_norm", "blocks.1.attention_norm", "blocks.1.mlp_norm", "final_norm"]


def built(name, seed=0):
    torch.manual_seed(seed)
    return resolve(name).model(seed)


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def test_no_output_depends_on_a_later_character():
    model, x = built("shakespeare:norm-free"), torch.randint(65, (1, 32), generator=torch.Generator().manual_seed(0))
    changed = x.clone()
    changed[0, 20:] = (x[0, 20:] + 1) % 65

    with torch.no_grad():
        before, after = model(x), model(changed)

    assert torch.allclose(before[..., :20], after[..., :20], atol=1e-6)
    assert not torch.allclose(before[..., 20:], after[..., 20:], atol=1e-2)


def test_the_norm_free_form_has_the_initial_matrices_of_the_other_one():
    normalised, free = built("shakespeare:small"), built("shakespeare:norm-free")
    matrices = [{n: p for n, p in m.named_parameters() if p.dim() > 1} for m in (normalised, free)]

    assert matrices[0].keys() == matrices[1].keys()
    assert all(torch.equal(p, matrices[1][name]) for name, p in matrices[0].items())
    assert [n for n, m in normalised.named_modules() if isinstance(m, torch.nn.LayerNorm)] == NORMS
    assert not any(isinstance(m, torch.nn.LayerNorm) for m in free.modules())


@pytest.mark.parametrize("function", ["derf(weight=1, bias=0)", "dynamic_tanh(weight=1, bias=0)", "identity"])
def test_an_arm_by_site_replaces_the_functions_in_the_place_of_norms_and_no_other(function):
    model = built("shakespeare:norm-free")
    found = actlab.swap_(model, {"*norm.function": function}, torch.zeros(2, 32, dtype=torch.int64))

    sites = {site.path: str(site.spec) for site in actlab.find(model)}
    assert {path for path, name in sites.items() if name == function} == {f"{n}.function" for n in NORMS}
    assert sites["blocks.0.activation"] == "gelu", found


def test_a_dynamic_tanh_block_computes_its_formula():
    norm = built("shakespeare:norm-free").final_norm
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.uniform_(-1, 1)
    x = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))

    assert torch.allclose(norm(x), norm.weight * torch.tanh(0.5 * x) + norm.bias, atol=1e-6)


@pytest.mark.parametrize("gated", ["swiglu", "bilinear"])
def test_a_gated_arm_has_equal_parameters_and_the_initial_weights_of_a_scalar_one(gated):
    scalar, model = built("shakespeare:small"), built("shakespeare:small")
    actlab.swap_(model, gated, torch.zeros(2, 32, dtype=torch.int64))

    inner, outer = model.blocks[0].inner.weight, model.blocks[0].outer.weight
    assert inner.shape[0] == 2 * outer.shape[1]
    assert parameters(model) == pytest.approx(parameters(scalar), rel=2e-3)
    # Uniform from -1 / sqrt(inputs) to that, whose standard deviation is its bound over sqrt(3)
    for weight in (inner, outer, scalar.blocks[0].inner.weight, scalar.blocks[0].outer.weight):
        assert weight.std().item() == pytest.approx(1 / math.sqrt(3 * weight.shape[1]), rel=0.03)


def test_the_evaluated_windows_are_of_the_parts_of_the_text_that_are_held_out():
    data, (train, validation, test) = load_data(resolve("shakespeare:small"), 0), text_parts()

    assert torch.equal(data.test.x[1], test[96:128])
    assert torch.equal(data.test.y[1], test[97:129])
    assert torch.equal(data.validation.x.flatten(), validation[: data.validation.x.numel()])
    text, rows = bytes(train.tolist()), torch.cat((data.train.x, data.train.y[:, -1:]), 1)
    assert all(bytes(row) in text for row in rows[::101].tolist())
    assert torch.equal(data.train.x[:, 1:], data.train.y[:, :-1])


def test_a_seed_draws_the_same_windows_again_and_another_seed_others():
    one, again, other = (load_data(resolve("shakespeare:small"), seed).train.x for seed in (1, 1, 2))

    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("name", ["shakespeare:small", "shakespeare:norm-free-sgd"])
def test_the_loss_falls_within_a_few_steps(name):
    task, model = resolve(name), built(name)
    train, optimizer, losses = load_data(task, 0).train, task.optimizer(model, task.learning_rate), []
    for start in range(0, 320, 8):
        loss = task.loss(model(train.x[start : start + 8]), train.y[start : start + 8])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())

    assert losses[0] == pytest.approx(math.log(65), abs=0.4)
    assert sum(losses[-5:]) / 5 < losses[0] - 0.5


@pytest.mark.parametrize(("one", "other"), list(pairwise(NAMES)))
def test_the_tasks_have_different_fingerprints(one, other):
    assert resolve(one).source != resolve(other).source
