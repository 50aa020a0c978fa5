"""Attacks along the gradient, against closed forms of linear models."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from actlab.errors import ActlabError
from actlab.evaluate.attacks.attacked_model import AttackedModel, Loss, margins
from actlab.evaluate.attacks.ball import NORMS, Ball, Norm
from actlab.evaluate.attacks.gradient_attack import fgsm, pgd
from actlab.evaluate.undefined_axis import UndefinedAxisError

ENTRIES, EPS = 10, 0.2


def linear(classes: int = 2) -> tuple[nn.Linear, Tensor, Tensor]:
    made = torch.Generator().manual_seed(0)
    model = nn.Linear(ENTRIES, classes).double().eval()
    with torch.no_grad():
        model.weight.copy_(torch.randn(model.weight.shape, generator=made))
    x = torch.randn((30, ENTRIES), generator=made, dtype=torch.float64)
    return model, x, model(x).argmax(1)


def ball_around(x: Tensor, norm: Norm, radius: float = EPS) -> Ball:
    return Ball.around(x, scale=torch.ones(1, *x.shape[1:]), radius=radius, norm=norm, low=-99.0, high=99.0)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
def test_on_a_linear_model_one_step_and_many_reach_the_closed_form(norm: Norm, loss: Loss) -> None:
    model, x, labels = linear()
    attacked = AttackedModel(model, "logits")
    difference = (model.weight[1] - model.weight[0]).detach()  # margin of class 1; of class 0 with the other sign
    sign = 1 - 2 * labels[:, None].double()
    steepest = difference.sign() if norm == "linf" else difference / difference.norm()
    loss_of_margin = EPS * (difference.abs().sum() if norm == "linf" else difference.norm())
    clean = margins(model(x).detach(), labels)
    for found in (
        fgsm(attacked, ball_around(x, norm), labels, loss),
        pgd(attacked, ball_around(x, norm), labels, steps=20, loss=loss),
    ):
        left = found.margins > 0  # those that broke on the way were left alone
        assert torch.allclose(found.inputs[left], (x + EPS * sign * steepest)[left], atol=1e-9)
        assert torch.allclose(found.margins[left], (clean - loss_of_margin)[left], atol=1e-9)
        assert torch.equal(found.broken, clean <= loss_of_margin)


@pytest.mark.parametrize("norm", NORMS)
def test_of_several_classes_the_nearest_boundary_is_reached(norm: Norm) -> None:
    model, x, labels = linear(classes=4)
    found = pgd(AttackedModel(model, "logits"), ball_around(x, norm), labels, steps=60, loss="margin")
    logits, order = model(x).detach(), 1 if norm == "linf" else 2
    gaps = torch.stack(
        [
            logits.gather(1, labels[:, None])[:, 0]
            - logits[:, other]
            - EPS * (model.weight[labels] - model.weight[other]).norm(p=order, dim=1).detach()
            for other in range(4)
        ],
        dim=1,
    ).scatter(1, labels[:, None], torch.inf)
    assert torch.equal(found.broken, gaps.amin(1) <= 0)


@pytest.mark.parametrize("steps", [3, 10, 40])
def test_fewer_steps_search_the_same_ball(steps: int) -> None:
    model, x, labels = linear()
    ball = ball_around(x, "linf", radius=1e-3)
    found = pgd(AttackedModel(model, "logits"), ball, labels, steps=steps)
    resisting = found.margins > 0
    assert torch.allclose(ball.distance(found.inputs)[resisting], torch.tensor(1e-3).double(), atol=1e-9)


def test_steps_of_a_thirtieth_would_be_seen() -> None:
    """What foolbox 3.3.4 does whatever the number of steps: ten of them go a third of the way."""
    model, x, labels = linear()
    ball = ball_around(x, "linf", radius=1e-3)
    found = pgd(AttackedModel(model, "logits"), ball, labels, steps=10, reach=10 / 30)
    assert float(ball.distance(found.inputs).max()) == pytest.approx(1e-3 / 3, abs=1e-9)


def test_one_step_of_pgd_is_fgsm_and_moves() -> None:
    """With secml-torch 1.5 it moves nothing: findings/secml_pgd_loses_its_last_step.sh."""
    model, x, labels = linear(classes=3)
    ball, attacked = ball_around(x, "linf", radius=1e-3), AttackedModel(model, "logits")
    one = pgd(attacked, ball, labels, steps=1, reach=1.0)
    assert torch.equal(one.inputs, fgsm(attacked, ball, labels).inputs)
    assert float(ball.distance(one.inputs).min()) == pytest.approx(1e-3)


def test_random_starts_find_what_the_clean_start_does_not() -> None:
    """A valley around the clean input, which every gradient step leaves on the wrong side."""

    class Valley(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            height = torch.where(x > 0.05, 4 - 40 * x, 1 + x)[
                :, 0
            ]  # rises to the left of 0, falls to the right of 0.05
            return torch.stack((height, torch.zeros_like(height)), dim=1)

    x, labels = torch.zeros(50, 1), torch.zeros(50, dtype=torch.int64)
    ball, attacked = ball_around(x, "linf"), AttackedModel(Valley().eval(), "logits")
    made = torch.Generator().manual_seed(0)
    clean = pgd(attacked, ball, labels, steps=5)
    drawn = pgd(attacked, ball, labels, steps=5, generator=made)
    assert not bool(clean.broken.any())
    assert 0.2 < float(drawn.broken.double().mean()) < 0.6


class Norms(nn.Module):
    """A net with everything that an attack could disturb."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(8, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.net(x.add_(1))  # overwrites its input
        return found


def test_gradients_statistics_modes_and_inputs_are_untouched() -> None:
    torch.manual_seed(0)
    model = Norms().eval()
    model(torch.zeros(2, 4)).sum().backward()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    held = [weight.grad for weight in model.parameters()]
    grads = [None if grad is None else grad.clone() for grad in held]
    x = torch.randn(20, 4)
    before, labels = x.clone(), torch.zeros(20, dtype=torch.int64)
    pgd(AttackedModel(model, "logits"), ball_around(x, "l2"), labels, steps=3)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    for weight, grad, copy in zip(model.parameters(), held, grads, strict=True):
        assert weight.grad is grad
        assert grad is None or (copy is not None and torch.equal(grad, copy))
        assert weight.requires_grad
    assert not any(module.training for module in model.modules())
    assert torch.equal(x, before)


def test_a_model_in_training_mode_is_refused() -> None:
    model = Norms().eval()
    model.net[1].train()
    with pytest.raises(ActlabError, match=r"training mode.*model\.eval\(\)"):
        AttackedModel(model, "logits")


def test_dropout_that_stays_on_in_evaluation_is_allowed() -> None:
    model = Norms().eval()
    model.net[3].train()
    assert AttackedModel(model, "logits").logits(torch.zeros(3, 4)).shape == (3, 3)


def test_a_model_whose_output_does_not_depend_on_its_input_has_gradients_of_zero() -> None:
    class Cut(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack(((x > 0).double().sum(1), torch.zeros(len(x)).double()), dim=1)

    gradient, logits = AttackedModel(Cut().eval(), "logits").gradients(
        torch.ones(3, 2), torch.zeros(3, dtype=torch.int64), "margin"
    )
    assert gradient.abs().max() == 0
    assert logits.tolist() == [[2.0, 0.0]] * 3


def test_probabilities_and_their_logarithms_are_attacked_as_logits_are() -> None:
    model, x, labels = linear(classes=3)
    ball = ball_around(x, "l2")
    results = [
        pgd(AttackedModel(net.eval(), kind), ball, labels, steps=9)  # type: ignore[arg-type]
        for net, kind in (
            (model, "logits"),
            (nn.Sequential(model, nn.Softmax(1)), "probabilities"),
            (nn.Sequential(model, nn.LogSoftmax(1)), "log_probabilities"),
        )
    ]
    for other in results[1:]:
        assert torch.allclose(other.inputs, results[0].inputs, atol=1e-6)


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_one_logit_of_two_classes_is_attacked_on_both_sides(kind: str) -> None:
    model = nn.Sequential(nn.Linear(3, 1), *([nn.Sigmoid()] if kind == "probabilities" else [])).double().eval()
    x = torch.randn(40, 3, dtype=torch.float64)
    labels = (model(x)[:, 0] > (0.5 if kind == "probabilities" else 0)).long()
    found = fgsm(AttackedModel(model, kind), ball_around(x, "linf"), labels)  # type: ignore[arg-type]
    raw = nn.functional.linear(x, model[0].weight, model[0].bias)[:, 0].detach().abs()  # type: ignore[arg-type]
    assert torch.equal(found.broken, raw <= EPS * model[0].weight.abs().sum())  # type: ignore[operator]


def test_saturated_probabilities_have_finite_gradients() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Softmax(1)).eval()
    with torch.no_grad():
        model[0].weight.mul_(1e4)  # type: ignore[operator]
    gradient, _ = AttackedModel(model, "probabilities").gradients(
        torch.randn(50, 2), torch.zeros(50, dtype=torch.int64), "cross_entropy"
    )
    assert bool(gradient.isfinite().all())


def test_several_answers_for_an_input_are_refused() -> None:
    with pytest.raises(UndefinedAxisError, match="one answer for each input"):
        AttackedModel(nn.Conv2d(1, 3, 3).eval(), "logits").logits(torch.zeros(2, 1, 8, 8))


def test_passes_are_counted_by_example() -> None:
    attacked = AttackedModel(nn.Linear(2, 2).eval(), "logits")
    x, labels = torch.zeros(300, 2), torch.zeros(300, dtype=torch.int64)
    attacked.logits(x)
    attacked.gradients(x, labels, "margin")
    assert (attacked.forward_examples, attacked.backward_examples) == (600, 300)
