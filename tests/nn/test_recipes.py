"""The binary recipe: what it builds, that it trains, and that it resumes from a checkpoint to the bit."""

from __future__ import annotations

import io
from math import cos, pi

import pytest
import torch
from torch import nn

import actlab
from actlab.errors import LayerError
from actlab.export.packed.pack import pack
from actlab.nn.layers.binary import BinaryConv2d, BinaryLinear
from actlab.nn.layers.custom_gradient import CustomGradientLayer
from actlab.nn.recipes import binary
from actlab.nn.training.recipe import Recipe
from actlab.nn.transforms.init import init_


def rings(n: int = 256) -> tuple[torch.Tensor, torch.Tensor]:
    """Return points and whether they lie in a ring, which no linear unit can separate."""
    x = torch.randn(n, 2, generator=torch.Generator().manual_seed(0))
    return x, (x.norm(dim=1) > 1.15).long()


def run(recipe: Recipe, steps: int) -> list[float]:
    x, y = rings()
    losses = []
    for _ in range(steps):
        loss = nn.functional.cross_entropy(recipe.model(x), y)
        loss.backward()
        recipe.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("weights", ["float", "binary"])
@pytest.mark.parametrize("activation", ["step/arctan", "sign/ede", "sign/reste", "step/triangular"])
def test_it_learns_what_no_linear_unit_can(activation, weights):
    recipe = binary([2, 48, 48, 2], total=120, activation=activation, weights=weights, learning_rate=0.02)
    run(recipe, 120)

    x, y = rings()
    assert (recipe.model.eval()(x).argmax(1) == y).float().mean() > 0.9


def test_a_model_gets_binary_activations_norms_and_binary_layers_in_place():
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 8),
        nn.Tanh(),
        nn.Linear(8, 3),
    )
    x = torch.randn(6, 1, 8, 8)

    recipe = binary(net, total=10, example_inputs=x, activation="step/rect", weights="binary", float_share=0.5)

    assert recipe.model is net
    assert [type(part).__name__ for part in net] == [
        "Conv2d",
        "Sequential",
        "BinaryConv2d",
        "Sequential",
        "Flatten",
        "BinaryLinear",
        "Sequential",
        "Linear",
    ]
    assert all(isinstance(net[i][1], CustomGradientLayer) and str(net[i][1].spec) == "step/rect" for i in (1, 3, 6))
    assert not any(m.is_binary for m in net.modules() if isinstance(m, BinaryConv2d | BinaryLinear))
    for _ in range(5):
        net(x).sum().backward()
        recipe.step()
    assert all(
        m.is_binary and m.weight.abs().max() <= 1 for m in net.modules() if isinstance(m, BinaryConv2d | BinaryLinear)
    )


def test_binary_activations_of_the_model_stay():
    net = nn.Sequential(nn.Linear(2, 4), actlab.layer("sign/clipped"), nn.Linear(4, 2), nn.ReLU())

    binary(net, total=3, example_inputs=torch.zeros(2, 2), activation="step/rect")

    assert str(net[1][1].spec) == "sign/clipped"
    assert isinstance(net[3], nn.ReLU)


def test_weights_are_drawn_at_the_gain_of_the_binary_activation():
    recipe = binary([20, 30, 30, 4], total=1, activation="step/arctan", seed=5)
    drawn = {name: p.clone() for name, p in recipe.model.named_parameters() if p.dim() == 2}

    gains = init_(recipe.model, torch.zeros(2, 20), torch.Generator().manual_seed(5))

    assert [value for _, value in gains] == [1.0, pytest.approx(2**0.5), pytest.approx(2**0.5)]  # E[step^2] = 1/2
    assert all(torch.equal(p, drawn[name]) for name, p in recipe.model.named_parameters() if name in drawn)
    trained = [p.clone() for p in recipe.model.parameters()]
    kept = binary(recipe.model, total=1, example_inputs=torch.zeros(2, 20), init=False)
    assert all(torch.equal(a, b) for a, b in zip(kept.model.parameters(), trained, strict=True))


def test_it_goes_on_from_a_checkpoint_to_the_bit():
    def build() -> Recipe:
        return binary([2, 16, 16, 2], total=20, activation="sign/ede", weights="binary", float_share=0.4)

    whole = build()
    run(whole, 20)

    half = build()
    run(half, 11)
    held = io.BytesIO()
    torch.save({"model": half.model.state_dict(), "recipe": half.state_dict()}, held)
    held.seek(0)
    state = torch.load(held, weights_only=True)
    resumed = build()
    resumed.model.load_state_dict(state["model"])
    resumed.load_state_dict(state["recipe"])
    assert resumed.stages.weights_are_binary
    run(resumed, 9)

    assert all(
        torch.equal(a, b)
        for a, b in zip(resumed.model.state_dict().values(), whole.model.state_dict().values(), strict=True)
    )


def test_the_rate_rises_and_falls():
    recipe = Recipe(nn.Linear(2, 2), total=100, learning_rate=0.5)
    seen = []
    for _ in range(100):
        seen.append(recipe.optimizer.param_groups[0]["lr"])
        recipe.step()

    assert seen[:5] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert seen[5:] == pytest.approx([0.25 * (1 + cos(pi * (step - 5) / 95)) for step in range(5, 100)])


def test_it_clips_and_clears_gradients():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    (net(torch.full((4, 2), 100.0)) * 100).sum().backward()

    assert min(Recipe(net, total=5).step().values()) > 1.0
    assert all(p.grad is None for p in net.parameters())
    assert Recipe(net, total=5, max_norm=None).step() == {}


def test_sharpness_is_warmed_up_where_asked_for():
    recipe = binary([2, 8, 8, 2], total=4, activation="step/arctan(alpha=2)", sharpen_from=0.25)
    act = recipe.model[3]
    assert act.rule_parameters == {"alpha": 0.5}
    run(recipe, 4)
    assert act.rule_parameters == {"alpha": 2.0}


def test_a_net_of_the_recipe_can_be_packed():
    recipe = binary([2, 16, 16, 2], total=20, weights="binary", scale="mean")
    run(recipe, 20)
    x = rings()[0]

    packed = pack(recipe.model, x)

    assert torch.equal(packed(x), recipe.model.eval()(x))


def test_what_makes_no_sense_is_refused():
    for arguments, message in (
        ({"activation": "relu"}, "relu is no binary activation with a gradient rule"),
        ({"activation": "step"}, "step is no binary activation with a gradient rule"),
        ({"weights": "ternary"}, "'float', 'binary'; got 'ternary'"),
        ({"float_share": 0.5}, "is for weights='binary'"),
        ({"total": 0}, "from 1 up; got 0"),
        ({"activation": "step/rect", "sharpen_from": 0.5}, "sharpen_from is for rules with a sharpness"),
    ):
        with pytest.raises(LayerError, match=message):
            binary([2, 4, 2], **{"total": 5} | arguments)
    with pytest.raises(LayerError, match=r"such as \[784, 1024, 10\]; got \[2, 2\]"):
        binary([2, 2], total=5)
    with pytest.raises(LayerError, match="needs example_inputs"):
        binary(nn.Linear(2, 2), total=5)
    with pytest.raises(LayerError, match="The state has 1 schedules and no stages, this recipe 0 and no stages"):
        binary([2, 4, 2], total=5).load_state_dict(binary([2, 4, 2], total=5, activation="sign/ede").state_dict())


def test_it_is_found_where_the_documents_say():
    assert actlab.recipes.binary is binary
