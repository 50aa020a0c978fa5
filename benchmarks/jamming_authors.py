"""Losses and noise of gradient rules against the authors' package ``freegrad``, step by step.

    pip install --no-deps --target DIR freegrad==1.0.1
    PYTHONPATH=DIR python benchmarks/jamming_authors.py [--seeds 3] [--epochs 5]

Deterministic rules must give the same losses. For the noisy ones the mean and the deviation of the factor are compared, over 10^6
elements. Last, what the package does where rules of other libraries get lost.
"""

from __future__ import annotations

import argparse
import sys
import threading
from dataclasses import replace

import freegrad
import torch
from torch import nn

from actlab.nn.layers.layer import layer
from actlab.nn.transforms.swap import swap_
from actlab.tasks import resolve
from actlab.tasks.isolation import isolated
from actlab.tasks.task import Task, load_data

#: spec, the package's forward, its rule and the rule's parameters; None is the true derivative
SAME = (
    ("sigmoid", "Logistic", None, {}),
    ("sigmoid/1", "Logistic", "d(Linear)", {}),
    ("sigmoid/rect", "Logistic", "rectangular", {"a": -0.5, "b": 0.5}),
    ("sigmoid/triangular", "Logistic", "triangular", {}),
    ("relu", "ReLU", "d(ReLU)", {}),
)
NOISY = (
    ("sigmoid/jam", "full_jam"),
    ("sigmoid/positive_jam", "positive_jam"),
    ("sigmoid/rectangular_jam", "rectangular_jam"),
)


def losses(
    task: Task, seed: int, model: nn.Module, rule: str | None = None, parameters: dict[str, float] | None = None
) -> list[float]:
    """Train by the task's own settings and return the loss of every step."""
    split = load_data(task, seed).train
    optimizer = task.optimizer(model.parameters(), task.learning_rate)
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(task.epochs):
        for index in torch.randperm(len(split), generator=generator).split(task.batch_size):
            with freegrad.use(rule=rule or "d(Linear)", params=parameters, scope="activations" if rule else "params"):
                loss = task.loss(model(split.x[index]), split.y[index])
                optimizer.zero_grad()
                loss.backward()
            optimizer.step()
            found.append(loss.item())
    return found


def theirs(task: Task, seed: int, forward: str) -> nn.Module:
    """Return the task's model with the package's activation in the place of the first one."""
    with isolated(seed):
        model = task.model(seed)
    for name, part in list(model.named_children()):
        if isinstance(part, nn.ReLU | nn.Sigmoid):
            setattr(model, name, freegrad.Activation(forward=forward))
    return model


def ours(task: Task, seed: int, spec: str) -> nn.Module:
    """Return the task's model with a spec."""
    with isolated(seed):
        model = task.model(seed)
    swap_(model, spec, example_inputs=load_data(task, seed).train.x[:4])
    return model


def same(options: argparse.Namespace) -> None:
    """Compare the losses of deterministic rules."""
    print("| task | spec | steps | seeds | steps of equal loss | largest difference of a loss |")
    print("|---|---|---|---|---|---|")
    for name in ("jamming:ones", "jamming:digits"):
        task = replace(resolve(name), epochs=options.epochs)
        for spec, forward, rule, parameters in SAME:
            if name == "jamming:ones" and spec == "relu":
                continue  # its values are no probabilities
            pairs = [
                pair
                for seed in range(options.seeds)
                for pair in zip(
                    losses(task, seed, ours(task, seed, spec)),
                    losses(task, seed, theirs(task, seed, forward), rule, parameters),
                    strict=True,
                )
            ]
            equal = sum(one == other for one, other in pairs) / len(pairs)
            largest = max(abs(one - other) for one, other in pairs)
            print(f"| {name} | `{spec}` | {len(pairs)} | {options.seeds} | {equal:.1%} | {largest:.2g} |", flush=True)


def noisy() -> None:
    """Compare mean and deviation of the noisy factors, where they are not zero, and the share of zeros."""
    print("\n| spec | mean, ours | theirs | deviation, ours | theirs | zeros, ours | theirs |")
    print("|---|---|---|---|---|---|---|")
    for spec, rule in NOISY:
        cells = []
        for made, name in ((layer(spec), None), (freegrad.Activation(forward="Logistic"), rule)):
            torch.manual_seed(0)
            x = (4 * torch.randn(1_000_000)).requires_grad_()
            with freegrad.use(rule=name or rule, scope="activations"):
                made(x).sum().backward()
            factor = x.grad
            assert factor is not None
            kept = factor[factor != 0]
            cells.append((float(kept.mean()), float(kept.std()), float((factor == 0).float().mean())))
        print(f"| `{spec}` | " + " | ".join(f"{cells[0][k]:.4f} | {cells[1][k]:.4f}" for k in range(3)) + " |")


def kept() -> None:
    """Say whether the package's rule holds after its context has ended, and in another thread."""
    print()
    for where in ("after the context", "in another thread"):
        x = torch.tensor([3.0], requires_grad=True)
        with freegrad.use(rule="d(Linear)", scope="activations"):
            y = freegrad.Activation(forward="Logistic")(x).sum()
            if where == "in another thread":
                thread = threading.Thread(target=y.backward)
                thread.start()
                thread.join()
        if where == "after the context":
            y.backward()
        assert x.grad is not None
        print(
            f"freegrad {freegrad.__version__}: backward {where}: {'the rule' if float(x.grad) == 1 else 'the derivative'}"
        )


def main() -> int:
    """Print the three comparisons."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    same(options)
    noisy()
    kept()
    return 0


if __name__ == "__main__":
    sys.exit(main())
