"""Whether the baseline arm of a study is the user's model to the bit, for a model with gates and for every task that ships.

    python benchmarks/unchanged_baseline.py --seeds 6

The first part is a study of a model with squeeze-excitation and a bounded output, whose rows are held against the same training written out
by hand; once with the default sites and once with ``--sites '*'``, which swaps gates as well. The second trains the baseline arm of every
task that ships for a few steps, and the task's model without ActLab's swaps, and compares all weights. The third is the CPU time of
building the model of an arm, for the first seed of a process, for which the swap is tried, and for later ones.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

import actlab
from actlab.studies.arm import MAIN_FUNCTION, parse_arm
from actlab.studies.arm_model import build_model
from actlab.studies.prepare import draft
from actlab.tasks import resolve
from actlab.tasks.isolation import isolated, one_thread
from actlab.tasks.registry import names
from actlab.tasks.task import Task, load_data
from actlab.tasks.training.batches import batches

TASK = '''
import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    """A convolution whose channels are scaled by squeeze-excitation, and an output between -2 and 4."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.squeeze, self.excite = nn.Linear(16, 4), nn.Linear(4, 16)
        self.hidden, self.head = nn.Linear(16, 32), nn.Linear(32, 1)

    def forward(self, x):
        x = F.relu(self.norm(self.stem(x)))
        scale = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3))))))
        x = F.relu(self.hidden((x * scale[:, :, None, None]).mean((2, 3))))
        return 1 + 3 * torch.tanh(self.head(x))[:, 0]


def model(seed):
    return Net()


def data(seed):
    x = torch.randn(600, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    y = 1 + 2 * torch.tanh(10 * x[:, 0, :4].mean((1, 2)) * x[:, 0, 4:].mean((1, 2)) + x[:, 0].std((1, 2)) - 1)
    return {"train": (x[:400], y[:400]), "test": (x[400:], y[400:])}


def metric(output, target):
    return F.mse_loss(output, target).item()


loss, direction, metric_name = F.mse_loss, "min", "mean squared error"
batch_size, epochs, learning_rate = 32, 6, 0.003
'''


def trained(task: Task, model: nn.Module, seed: int) -> list[Tensor]:
    """Train by a plain loop, and return parameters and buffers."""
    optimizer, data = task.optimizer(model.parameters(), task.learning_rate), load_data(task, seed)
    torch.manual_seed(seed)
    for step, (x, y) in enumerate(batches(task, data.train, seed)):
        if step == task.steps:
            break
        task.loss(model(x), y).backward()  # type: ignore[no-untyped-call] # torch's own
        optimizer.step()
        optimizer.zero_grad()
    return [*model.parameters(), *model.buffers()]


def metric_by_hand(task: Task, seed: int) -> float:
    """Return the test metric of the task's own model after training."""
    with one_thread(), isolated(seed):
        model = task.model(seed).train()
        trained(task, model, seed)
        test = load_data(task, seed).test
        with torch.no_grad():
            return float(task.metric(model.eval()(test.x), test.y))


def study(seeds: int) -> None:
    """Print the study of the gated model."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gated.py"
        file.write_text(TASK, encoding="utf-8")
        task = resolve(file)
        by_hand = {seed: metric_by_hand(task, seed) for seed in range(seeds)}
        for sites in (None, "*"):
            result = actlab.compare(
                file,
                ["relu", "gelu"],
                sites=sites,
                baseline="relu",
                seeds=seeds,
                eliminate=False,
                store=f"{folder}/s.db",
            )
            rows = {row["seed"]: row["metric"] for row in result.rows() if row["arm"] == "relu"}
            equal = sum(rows[seed] == by_hand[seed] for seed in by_hand)
            largest = max(abs(rows[seed] - by_hand[seed]) for seed in by_hand)
            print(
                f"sites {sites or 'by default'}: the arm relu equals the untouched model on {equal} of {seeds} seeds",
                end="",
            )
            print(f", largest difference of the {task.metric_name} {largest:.3g}")
            for site in result.verdict().sites:
                print(
                    f"    {site['path']:26}{site['function']:10}{site['role']:16}{', '.join(site['swapped_by']) or 'left'}"
                )


def shipped(steps: int) -> None:
    """Print the baseline arm of every task, and whether all its weights are those of the task's model."""
    for name in names():
        if resolve(name).door != "loop":
            print(f"{name:20}left out: it trains by itself")
            continue
        try:
            task = replace(resolve(name), steps=steps)
            plan = draft(task, ["relu", "gelu"]).plan
        except actlab.ActlabError as error:
            print(f"{name:20}left out: {str(error)[:90]}")
            continue
        arm, equal = plan.arm(plan.baseline), []
        for seed in range(3):
            batch = load_data(task, seed).train.x[: task.batch_size]
            with one_thread(), isolated(seed):
                untouched = trained(task, task.model(seed).train(), seed)
            with one_thread(), isolated(seed):
                model = build_model(task, arm, seed, init="fixed", batch=batch)
                weights = trained(task, model, seed)
            equal.append(all(torch.equal(a, b) for a, b in zip(untouched, weights, strict=True)))
        print(f"{name:20}baseline {plan.baseline:12}weights equal after {steps} steps on {sum(equal)} of 3 seeds")


def building(seeds: int) -> None:
    """Print the CPU time of building the models of six arms of ``digits``."""
    task = resolve("digits")
    arms = [parse_arm(spec, MAIN_FUNCTION) for spec in ("relu", "gelu", "mish", "elu", "tanh", "sigmoid")]
    batch, times = load_data(task, 0).train.x[: task.batch_size], []
    with one_thread():
        for seed in range(1 + seeds):
            start = time.process_time()
            for arm in arms:
                with isolated(seed):
                    build_model(task, arm, seed, init="fixed", batch=batch)
            times.append((time.process_time() - start) / len(arms) * 1e3)
    later = statistics.median(times[1:])
    print(
        f"digits: building the model of an arm takes {times[0]:.1f} ms on the first seed, {later:.1f} ms on later ones"
    )


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    study(options.seeds)
    shipped(options.steps)
    building(16)


if __name__ == "__main__":
    main()
