"""Robust accuracy of the adversarial axis against secml-torch, nets with masked gradients, and the cost of both robustness axes.

python benchmarks/attacks.py secml       # FGSM and PGD at equal budget, success within 1 point; needs benchmarks/requirements.txt
python benchmarks/attacks.py masking     # ten ReLU nets, step nets, saturated nets: who is accused, and what each attack finds
python benchmarks/attacks.py cost        # passes and CPU seconds of both axes against a training of LeNet-5
python benchmarks/attacks.py effort      # what more steps, restarts and queries still find
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor, nn

import actlab
from actlab.evaluate.attacks.attack_settings import AttackSettings
from actlab.evaluate.attacks.attacked_model import AttackedModel
from actlab.evaluate.attacks.ball import Ball, Norm
from actlab.evaluate.attacks.gradient_attack import fgsm, pgd
from actlab.evaluate.axes.adversarial import ADVERSARIAL, adversarial_axis
from actlab.evaluate.axes.robustness import ROBUSTNESS
from actlab.evaluate.axis_run import run_axis
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.tasks import resolve
from actlab.tasks.data import Split
from actlab.tasks.task import Task, load_data

EPS: dict[Norm, float] = {"linf": 8 / 255, "l2": 0.5}
STEPS, EXAMPLES = 20, 1_000


def train(task: Task, spec: str | None, seed: int, *, epochs: int, examples: int | None = None) -> nn.Module:
    """Return a model trained with Adam, with the activations of a spec."""
    torch.manual_seed(seed)
    model = task.model(seed)
    if spec:
        actlab.swap_(model, spec)
    split = load_data(task, seed).train
    assert isinstance(split, Split)
    x, y = split.x[:examples], split.y[:examples]
    made = torch.optim.Adam(model.parameters(), task.learning_rate)
    for _ in range(epochs):
        for rows in torch.split(torch.randperm(len(x)), task.batch_size):
            made.zero_grad()
            torch.autograd.backward(task.loss(model(x[rows]), y[rows]))
            made.step()
    return model.eval()


@lru_cache
def lenet(seed: int, spec: str | None = None) -> nn.Module:
    """Return LeNet-5 after two epochs of 20,000 images of Fashion-MNIST."""
    return train(resolve("fashion-mnist"), spec, seed, epochs=2, examples=20_000)


def test_split(task: Task, seed: int, count: int) -> tuple[Tensor, Tensor]:
    """Return the first test examples and their classes."""
    split = load_data(task, seed).test
    assert isinstance(split, Split)
    return split.x[:count], split.y[:count]


# Against secml-torch


def secml(seeds: int = 3) -> None:
    """Print robust accuracies of ours and of secml-torch, whose loop ends before its last step is evaluated."""
    from secmlt.adv.evasion.perturbation_models import LpPerturbationModels  # type: ignore[import-not-found] # noqa: PLC0415
    from secmlt.adv.evasion.pgd import PGDNative  # type: ignore[import-not-found] # noqa: PLC0415

    names = {"linf": LpPerturbationModels.LINF, "l2": LpPerturbationModels.L2}
    print("| net | attack | steps | ours | secml-torch 1.5 | difference in points |\n|---|---|---|---|---|---|")
    worst = 0.0
    for seed in range(seeds):
        for spec in (None, "tanh"):
            model = lenet(seed, spec)
            x, y = test_split(resolve("fashion-mnist"), seed, EXAMPLES)
            for norm, eps in EPS.items():
                for steps in (1, STEPS) if norm == "linf" else (STEPS,):  # FGSM is a step in L-inf
                    reach = 1.0 if steps == 1 else 2.5
                    ball = Ball.around(x, scale=torch.ones(1, 1, 1, 1), radius=eps, norm=norm, low=0.0, high=1.0)
                    ours = _ours(model, ball, y, steps, reach)
                    make = partial(PGDNative, perturbation_model=names[norm], epsilon=eps, random_start=False)
                    theirs = _theirs(model, x, y, make(num_steps=steps + 1, step_size=reach * eps / steps))
                    worst = max(worst, abs(ours - theirs))
                    net = f"{spec or 'relu'}, seed {seed}"
                    print(
                        f"| {net} | {norm} {eps:.3f} | {steps} | {ours:.3f} | {theirs:.3f} | {100 * (ours - theirs):+.1f} |"
                    )
    print(f"\nlargest difference: {100 * worst:.1f} points")


def _ours(model: nn.Module, ball: Ball, y: Tensor, steps: int, reach: float) -> float:
    attacked = AttackedModel(model, "logits")
    run = fgsm(attacked, ball, y) if steps == 1 else pgd(attacked, ball, y, steps=steps, reach=reach)
    assert bool(ball.contains(run.inputs).all())
    return 1 - float((run.broken | (attacked.margins(ball.centre, y) <= 0)).double().mean())


def _theirs(model: nn.Module, x: Tensor, y: Tensor, attack: Any) -> float:
    from secmlt.models.pytorch.base_pytorch_nn import BasePyTorchClassifier  # type: ignore[import-not-found] # noqa: PLC0415
    from torch.utils.data import DataLoader, TensorDataset  # noqa: PLC0415

    wrapped = BasePyTorchClassifier(model)
    found = attack(wrapped, DataLoader(TensorDataset(x, y), batch_size=250))
    correct = 0
    for inputs, targets in found:
        with torch.no_grad():
            correct += int((model(inputs).argmax(1) == targets).sum())
    for weight in model.parameters():
        weight.grad = None
    return correct / len(x)


# Masked gradients


def masking(seeds: int = 10) -> None:
    """Print for ordinary and for hiding nets what the axis says."""
    print("| net | accuracy | FGSM | PGD | strongest | L2 | signs |\n|---|---|---|---|---|---|---|")
    accused = 0
    for name, model, data in _nets(seeds):
        found = run_axis(ADVERSARIAL, model, data)
        numbers, signs = found["numbers"], found["record"]["masking"]["signs"]
        accused += "relu, seed" in name and bool(signs)
        shown = [found["record"]["accuracy"], *(numbers[c] for c in ("fgsm", "pgd_linf", "linf", "l2"))]
        shares = found["record"]["masking"]
        short = ", ".join(
            f"{key} {shares[key]:.2f}" for key in ("hidden", "zero_gradients", "single_step", "unbounded", "flat")
        )
        print(
            f"| {name} | {' | '.join(f'{v:.3f}' for v in shown)} | {'MASKED: ' if signs else ''}{short} |", flush=True
        )
    print(f"\nordinary ReLU nets accused: {accused} of {2 * seeds}")


def _nets(seeds: int) -> Iterator[tuple[str, nn.Module, EvaluationData]]:
    fashion, digits = resolve("fashion-mnist"), resolve("digits")
    for seed in range(seeds):
        yield f"relu, seed {seed}", *_with_data(fashion, lenet(seed), seed)
    for seed in range(seeds):
        yield f"digits relu, seed {seed}", *_with_data(digits, train(digits, None, seed, epochs=40), seed)
    for rule in ("rect(-0.5, 0.5)", "arctan", "triangle"):
        net = train(fashion, f"step/{rule}", 0, epochs=2, examples=20_000)
        yield f"step/{rule}", *_with_data(fashion, net, 0)
        actlab.swap_(net, "step")
        yield f"step, trained by {rule}", *_with_data(fashion, net, 0)
    for spec in ("relu", "tanh", "sigmoid"):
        net = train(fashion, spec, 0, epochs=2, examples=20_000)
        yield f"{spec}, as trained", *_with_data(fashion, net, 0)
        yield f"{spec}, logits x 1000", *_with_data(fashion, scaled_(net, 1000), 0)
    net = train(fashion, "tanh", 0, epochs=2, examples=20_000)
    yield "tanh, hidden weights x 30", *_with_data(fashion, scaled_(net, 30, last=False), 0)


def _with_data(task: Task, model: nn.Module, seed: int) -> tuple[nn.Module, EvaluationData]:
    return model, EvaluationData(task, model, load_data(task, seed), seed=seed)


@torch.no_grad()
def scaled_(model: nn.Module, factor: float, *, last: bool = True) -> nn.Module:
    """Scale the weights of the last layer, or of all others."""
    layers = [module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    for layer in layers[-1:] if last else layers[:-1]:
        layer.weight.mul_(factor)
        assert layer.bias is not None
        layer.bias.mul_(factor)
    return model


# Cost and effort


def cost() -> None:
    """Print CPU seconds and counted passes of both axes, and of the training that they follow."""
    task = resolve("fashion-mnist")
    started = time.process_time()
    model = train(task, None, 0, epochs=5)
    seconds = time.process_time() - started
    print(f"training: {seconds:.1f} s CPU, 275,000 examples forward and backward")
    data = EvaluationData(task, model, load_data(task, 0), seed=0)
    _ = data.outputs  # what all axes share
    for axis in (ADVERSARIAL, ROBUSTNESS):
        before, started = data.forward_examples, time.process_time()
        record = run_axis(axis, model, data)["record"]
        own = time.process_time() - started
        forward = record.get("forward_examples", 0) + data.forward_examples - before
        print(
            f"{axis.name}: {own:.1f} s CPU, {100 * own / seconds:.0f} % of the training; {record['examples']} examples, "
            f"{forward:,} forward passes, {record.get('backward_examples', 0):,} of them with a gradient"
        )


def effort() -> None:
    """Print what ten times the effort still finds, for an ordinary and a step net."""
    task = resolve("fashion-mnist")
    more = AttackSettings(steps=100, restarts=5, queries=1000)
    for name, model in (("relu", lenet(0)), ("step/rect(-0.5, 0.5)", lenet(0, "step/rect(-0.5, 0.5)"))):
        data = EvaluationData(task, model, load_data(task, 0), seed=0)
        for label, axis in (("default", ADVERSARIAL), ("100 steps, 5 restarts, 1000 queries", adversarial_axis(more))):
            started = time.process_time()
            numbers = run_axis(axis, model, data)["numbers"]
            print(f"{name}, {label}: {numbers}, {time.process_time() - started:.1f} s CPU", flush=True)


COMMANDS: dict[str, Callable[[], None]] = {"secml": secml, "masking": masking, "cost": cost, "effort": effort}

if __name__ == "__main__":
    torch.set_num_threads(1)
    for command in sys.argv[1:] or COMMANDS:
        COMMANDS[command]()
