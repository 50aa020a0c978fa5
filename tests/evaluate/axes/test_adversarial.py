"""Axis of adversarial robustness, with nets that hide their gradients."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from actlab import layer
from actlab.errors import ActlabError
from actlab.evaluate.attacks.attack_settings import AttackSettings
from actlab.evaluate.attacks.smoothed_gradients import SmoothedLayer
from actlab.evaluate.axes.adversarial import ADVERSARIAL, adversarial_axis
from actlab.evaluate.axis_run import run_axis
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.tasks import resolve
from actlab.tasks.data import Data, Split
from actlab.tasks.task import Task, load_data

QUICK = adversarial_axis(AttackSettings(eps=0.5, queries=40, numbers=9_000))


class Net(nn.Module):
    """A small net whose last layer can be scaled."""

    def __init__(self, act: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(64, 48), nn.Linear(48, 32), nn.Linear(32, 10)
        self.act, self.other_act = act(), act()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(self.other_act(self.second(self.act(self.first(x)))))
        return found

    @torch.no_grad()
    def scale(self, factor: float) -> Net:
        self.last.weight.mul_(factor)
        self.last.bias.mul_(factor)
        return self


@lru_cache
def digits() -> Data:
    return load_data(resolve("digits"), 0)


def trained(act: Callable[[], nn.Module], epochs: int = 12, seed: int = 0) -> Net:
    torch.manual_seed(seed)
    model = Net(act)
    made = torch.optim.Adam(model.parameters(), 3e-3)
    split = digits().train
    assert isinstance(split, Split)
    for _ in range(epochs):
        for rows in torch.split(torch.randperm(len(split.x)), 128):
            made.zero_grad()
            torch.autograd.backward(functional.cross_entropy(model(split.x[rows]), split.y[rows]))
            made.step()
    return model.eval()


def measured(model: nn.Module, axis: Any = QUICK, **changes: Any) -> dict[str, Any]:
    task = dataclasses.replace(resolve("digits"), **changes)
    return run_axis(axis, model, EvaluationData(task, model.eval(), digits(), seed=0))


def test_an_ordinary_net_is_not_accused_and_a_stronger_attack_breaks_more() -> None:
    found = measured(trained(nn.ReLU))
    numbers = found["numbers"]
    assert found["notes"] == []
    assert numbers["masked"] < 0.05
    assert numbers["linf"] <= numbers["pgd_linf"] <= numbers["fgsm"] <= found["record"]["accuracy"]
    assert numbers["l2"] <= numbers["pgd_l2"]
    curve = found["curves"]["linf"]
    assert curve["y"] == sorted(curve["y"], reverse=True)
    assert curve["y"][0] == found["record"]["accuracy"]
    assert curve["y"][curve["x"].index(0.5)] == pytest.approx(numbers["linf"])
    assert found["record"]["refused"] == 0


def test_a_step_net_that_looks_robust_is_unmasked() -> None:
    model = trained(lambda: layer("step/rect(-0.5, 0.5)"))
    model.act, model.other_act = layer("step"), layer("step")  # as it is used: without the rule that it was trained by
    found = measured(model)
    numbers, accuracy = found["numbers"], found["record"]["accuracy"]
    assert accuracy > 0.8
    assert numbers["fgsm"] == accuracy  # no gradient, no change
    assert numbers["linf"] < accuracy - 0.3
    assert numbers["masked"] > 0.3
    assert "Gradients are masked" in found["notes"][0]
    assert "the gradient is exactly zero for 100% of the correct ones" in found["notes"][0]


def test_a_cut_graph_is_unmasked_without_gradients_alone() -> None:
    class Cut(nn.Module):
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net = net

        @torch.no_grad()
        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.net(x)
            return found

    found = measured(Cut(trained(nn.ReLU)))
    assert found["numbers"]["fgsm"] == found["record"]["accuracy"]
    assert found["record"]["broken_by"]["linf"]["random search"] > 0
    assert found["notes"]


def test_the_scale_of_the_logits_changes_no_robust_accuracy() -> None:
    model = trained(nn.ReLU)
    plain = measured(model)
    scaled = measured(model.scale(1000))
    assert scaled["numbers"]["fgsm"] > plain["numbers"]["fgsm"] + 0.05  # the softmax saturates
    for column in ("linf", "l2"):
        assert scaled["numbers"][column] == pytest.approx(plain["numbers"][column], abs=0.03)
    assert "exactly zero" in scaled["notes"][0]


def test_a_sigmoid_output_that_saturates_is_unmasked_behind_it() -> None:
    found = measured(nn.Sequential(trained(nn.ReLU).scale(1000), nn.Softmax(1)), output_kind="probabilities")
    assert found["record"]["broken_by"]["linf"]["smoothed gradients"] > 0
    assert found["numbers"]["linf"] < found["numbers"]["pgd_linf"] - 0.2
    assert found["notes"]


def test_a_model_that_knows_one_class_has_nothing_to_hide() -> None:
    class One(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.eye(10)[3] + 0 * x.sum(1, keepdim=True)

    found = measured(One())
    assert found["record"]["masking"]["unbounded"] == 0
    assert found["numbers"]["linf"] == found["record"]["accuracy"]
    (note,) = found["notes"]
    assert "a constant answer is robust" in note


def test_the_same_seed_gives_the_same_numbers_and_the_model_is_as_before() -> None:
    model = trained(nn.Tanh, epochs=5).train()
    model.first.weight.grad = torch.ones_like(model.first.weight)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    data = EvaluationData(resolve("digits"), model, digits(), seed=3)
    results = [run_axis(QUICK, model, data) for _ in range(2)]
    for result in results:
        del result["seconds"]
    assert results[0] == results[1]
    assert model.training
    assert float(model.first.weight.grad.mean()) == 1
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def images(seed: int) -> Data:
    made = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 2, (300,), generator=made)
    x = torch.rand((300, 3, 9, 8), generator=made) * torch.tensor([1.0, 255.0, 0.0])[:, None, None]
    x[:, 1] += 100 * y[:, None, None]
    part = Split(x=x, y=y)
    return Data(train=part, validation=None, test=part)


def test_images_are_attacked_in_the_units_of_each_channel_and_inside_its_range() -> None:
    last = nn.Linear(216, 1)
    with torch.no_grad():
        last.weight.copy_(torch.arange(216)[None] // 72 == 1)
        last.bias.fill_(-72 * 177.5)
    model = nn.Sequential(nn.Flatten(), last).eval()
    task = Task(
        name="pictures",
        model=lambda _: model,
        data=images,
        loss=_binary_loss,
        metric=_binary_accuracy,
        output_kind="logits",
    )
    data = EvaluationData(task, model, images(0))
    found = run_axis(adversarial_axis(AttackSettings(eps=0.15, queries=10)), model, data)
    # the mean of the second channel moves by 0.15 of its range of 355: the sum has to be nearer to the boundary than that
    x, y = data.inputs, data.targets
    low, high = float(x[:, 1].min()), float(x[:, 1].max())
    down = (x[:, 1] - 0.15 * (high - low)).clamp_min(low).flatten(1).sum(1) > 72 * 177.5
    up = (x[:, 1] + 0.15 * (high - low)).clamp_max(high).flatten(1).sum(1) > 72 * 177.5
    wanted = torch.where(y == 1, down, ~up)
    assert data.input_kind == "image"
    assert found["numbers"]["linf"] == pytest.approx(float(wanted.double().mean()), abs=1e-9)
    assert 0.05 < found["numbers"]["linf"] < 0.95


def _binary_loss(output: Tensor, target: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(output[:, 0], target.float())


def _binary_accuracy(output: Tensor, target: Tensor) -> float:
    return float(((output[:, 0] > 0) == target).double().mean())


class _Random(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.randn(len(x), 10)


@pytest.mark.parametrize(
    ("model", "changes", "reason"),
    [
        (nn.Linear(64, 10), {"loss": functional.mse_loss, "output_kind": "values"}, "values and no classes"),
        (nn.Linear(64, 10), {"predict": lambda model, batch: (-model(batch[0]), batch[1])}, "predict does more"),
    ],
)
def test_what_cannot_be_attacked_has_a_reason(model: nn.Module, changes: dict[str, Any], reason: str) -> None:
    found = measured(model, **changes)
    assert found["numbers"] == {}
    assert reason in found["undefined"]["linf"]
    assert "error" not in found


def test_a_model_that_no_smoothed_function_fits_into_is_attacked_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: nn.Module, x: Tensor) -> Tensor:
        raise RuntimeError(f"no slope for {tuple(x.shape)}")

    monkeypatch.setattr(SmoothedLayer, "forward", refuse)
    model = trained(nn.ReLU)
    found = measured(model, adversarial_axis(AttackSettings(eps=0.1, queries=5, multiples=())))
    assert found["numbers"]["linf"] <= found["record"]["accuracy"]
    assert "no slope" in found["record"]["smoothed"]["skipped"][-1][1]
    assert isinstance(model.act, nn.ReLU)


def test_a_model_that_is_random_in_evaluation_is_said_to_be() -> None:
    found = measured(_Random())
    assert found["numbers"]["linf"] == 0
    assert any("random in evaluation mode" in note for note in found["notes"])


def test_an_untrained_net_is_not_accused() -> None:
    torch.manual_seed(0)
    assert measured(Net(nn.ReLU), ADVERSARIAL)["record"]["masking"]["signs"] == []


def test_tokens_are_no_numbers_to_be_moved() -> None:
    class Bag(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.EmbeddingBag(20, 2)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.table(x)
            return found

    part = Split(x=torch.randint(0, 20, (50, 6)), y=torch.randint(0, 2, (50,)))
    task = dataclasses.replace(resolve("digits"), name="tokens")
    data = EvaluationData(task, Bag().eval(), Data(train=part, validation=None, test=part))
    assert "integers" in run_axis(ADVERSARIAL, data.model, data)["undefined"]["linf"]


def test_the_axis_travels_to_other_processes_and_its_settings_are_checked() -> None:
    assert pickle.loads(pickle.dumps(QUICK)).columns == ADVERSARIAL.columns
    assert QUICK.source != ADVERSARIAL.source
    with pytest.raises(ActlabError, match=r"eps of the attacks is 0.*8/255"):
        AttackSettings(eps=0)
    with pytest.raises(ActlabError, match="multiples"):
        AttackSettings(multiples=(-1.0,))
