"""The doctor: healthy models that get nothing to do, planted faults that are found at their layer, and nets killed by their learning rate.

Run: OMP_NUM_THREADS=1 python benchmarks/doctor.py [healthy] [faults] [rates] [--quick]       (about 20 minutes on one core)

healthy  eleven architectures that train well, each examined at five seeds: how often the doctor finds anything to do.
faults   nets with a planted fault: whether it is found, at which layer, which prescriptions won their paired trial, and whether the
         best of them wins again on six seeds that the doctor has not seen.
rates    ten nets for each of three learning rates that are too large: the step from which on half of a layer is dead, as the doctor says
         and as a plain loop with hooks counts it; accuracy on the test split after the task's full training, before and after.

The exit code is 1 where a healthy model gets something to do, a fault is missed, a winner does not win again, or a step is told wrongly.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

import actlab
from actlab.diagnostics.diagnosis import Diagnosis
from actlab.diagnostics.remedy import Remedy
from actlab.diagnostics.short_training import REFERENCE, first_steps, short_trial, safe_learning_rate
from actlab.studies.arm import parse_arm
from actlab.studies.trial import batches, run_trial
from actlab.tasks import Task, resolve
from actlab.tasks.isolation import isolated, seed_all
from actlab.tasks.task import load_data

DIGITS = resolve("digits")
FRESH = range(100, 106)  # seeds that no doctor has seen
RISE = 0.5  # of the units that lived at the init, as in actlab.diagnostics.training_record, written again on purpose


# ------------------------------------------------------------------------------------------- the nets


def mlp(
    function: Callable[[], nn.Module], depth: int, *, gain: float | None = None, dropout: float = 0.0
) -> nn.Sequential:
    """Return ``depth`` hidden layers of 64 and an output; weights as torch draws them, or normal of a gain."""
    hidden = [
        part
        for _ in range(depth)
        for part in (nn.Linear(64, 64), function(), *([nn.Dropout(dropout)] if dropout else []))
    ]
    net = nn.Sequential(*hidden, nn.Linear(64, 10))
    for layer in net if gain else ():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0, (gain or 1) / layer.in_features**0.5)
            nn.init.zeros_(layer.bias)
    return net


class Residual(nn.Module):
    """Blocks of LayerNorm, two layers and GELU around a sum."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(64), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 64)) for _ in range(blocks)
        )
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, 64) to (n, 10)."""
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)


class Transformer(nn.Module):
    """Two encoder layers over the eight rows of an image."""

    def __init__(self, activation: str) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 32)
        self.places = nn.Parameter(0.1 * torch.randn(8, 32))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, activation=activation, batch_first=True)
            for _ in range(2)
        )
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, 64) to (n, 10)."""
        h = self.embed(x.view(-1, 8, 8)) + self.places
        for layer in self.layers:
            h = layer(h)
        return self.head(h.mean(1))


def normed_cnn() -> nn.Sequential:
    """Return six convolutions with BatchNorm."""
    widths = [1, 8, 8, 8, 16, 16, 16]
    blocks = [
        part for a, b in pairwise(widths) for part in (nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU())
    ]
    return nn.Sequential(nn.Unflatten(1, (1, 8, 8)), *blocks, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 10))


def cnn_with_dead(channels: int) -> nn.Module:
    """Return the net of ``digits:cnn`` with dead channels in its second convolution."""
    net = resolve("digits:cnn").model(0)
    with torch.no_grad():
        net[3].bias[:channels] = -100.0  # type: ignore[index,operator]  # nn.Module says nothing of its parts: it is a Sequential
    return net


def with_one_large_layer() -> nn.Sequential:
    """Return twelve layers at He's init, the seventh of which is a thousand times too large."""
    net = mlp(nn.ReLU, 12, gain=2**0.5)
    with torch.no_grad():
        net[12].weight.mul_(1000)  # type: ignore[operator,union-attr]  # nn.Sequential says nothing of its parts: it is a Linear
    return net


def autoencoder() -> nn.Sequential:
    """Return a net that ends in a sigmoid, for a loss on probabilities."""
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 64), nn.Sigmoid())


def images(seed: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the digits as their own targets."""
    data = load_data(DIGITS, seed)
    assert data.validation is not None
    return {
        "train": (data.train.x, data.train.x),
        "validation": (data.validation.x, data.validation.x),
        "test": (data.test.x, data.test.x),
    }


def task(name: str, make: Callable[[], nn.Module], **differences: object) -> Task:
    """Return digits with another net."""
    return replace(DIGITS, name=name, model=lambda _: make(), source=f"benchmark {name}", **differences)  # type: ignore[arg-type] # fields of a Task


HEALTHY = (
    DIGITS,
    resolve("digits:cnn"),
    resolve("mnist1d:accuracy"),
    task("gelu mlp, matched init", lambda: mlp(nn.GELU, 6, gain=1.5335)),
    task("tanh mlp, Glorot's init", lambda: mlp(nn.Tanh, 5, gain=1.0)),
    task("relu mlp of 20 layers, He's init", lambda: mlp(nn.ReLU, 20, gain=2**0.5)),
    task("selu mlp, LeCun's init", lambda: mlp(nn.SELU, 8, gain=1.0)),
    task("residual mlp with LayerNorm", lambda: Residual(8)),
    task("cnn of 6 layers with BatchNorm", normed_cnn),
    task("transformer with gelu", lambda: Transformer("gelu")),
    task(
        "autoencoder, sigmoid and BCELoss",
        autoencoder,
        data=images,
        loss=functional.binary_cross_entropy,
        metric=lambda output, target: float(functional.mse_loss(output, target)),
        metric_name="squared error",
        direction="min",
        rope=0.001,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A fault, and what is to be said of it.

    Attributes:
        task: with the fault.
        rule: that must find it.
        layer: where.
        helps: whether there is something that must win.
    """

    task: Task
    rule: str
    layer: str
    helps: bool = True


FAULTS = (
    Planted(task=task("20 sigmoid layers", lambda: mlp(nn.Sigmoid, 20)), rule="vanishing gradients", layer="36"),
    Planted(task=task("relu, gain 8", lambda: mlp(nn.ReLU, 10, gain=8.0)), rule="exploding gradients", layer="16"),
    Planted(task=task("one layer x 1000", with_one_large_layer), rule="exploding gradients", layer="10"),
    Planted(
        task=task("selu, gain 0.3, Dropout", lambda: mlp(nn.SELU, 12, gain=0.3, dropout=0.2)),
        rule="SELU without its init",
        layer="0",
    ),
    Planted(task=task("3 sigmoid layers", lambda: mlp(nn.Sigmoid, 3)), rule="sigmoid or softmax inside", layer="0"),
    Planted(
        task=task("softmax, then cross-entropy", lambda: nn.Sequential(*mlp(nn.ReLU, 2), nn.Softmax(1))),
        rule="softmax before a loss that has one",
        layer="",
    ),
    Planted(task=task("tanh, gain 40", lambda: mlp(nn.Tanh, 4, gain=40.0)), rule="saturated at the init", layer="0"),
    Planted(
        task=replace(resolve("digits:cnn"), name="cnn, 1 of 16 channels dead", model=lambda _: cnn_with_dead(1)),
        rule="dead channels",
        layer="3",
        helps=False,  # the net does as well without it
    ),
    Planted(
        task=replace(resolve("digits:cnn"), name="cnn, 14 of 16 channels dead", model=lambda _: cnn_with_dead(14)),
        rule="born dead",
        layer="3",
    ),
)


# ------------------------------------------------------------------------------------------- the tables


def healthy(seeds: int) -> bool:
    """Print how often healthy models get something to do; tell whether none did."""
    print(f"healthy models, {seeds} examinations each: something to do / hints that did not win / mean seconds")
    alarms = 0
    for one in HEALTHY:
        start = time.perf_counter()
        found = [actlab.doctor(one, seed=10 * seed) for seed in range(seeds)]
        bad = [diagnosis.sentence for diagnosis in found if not diagnosis.healthy]
        alarms += len(bad)
        hints = sorted({hint.rule for diagnosis in found for hint in diagnosis.hints})
        took = (time.perf_counter() - start) / seeds
        print(f"  {one.name:34} {len(bad)} of {seeds}   {', '.join(hints) or '-':30} {took:5.1f}", flush=True)
        for sentence in dict.fromkeys(bad):
            print(f"      {sentence}")
    print(f"{alarms} false alarms in {seeds * len(HEALTHY)} examinations\n", flush=True)
    return alarms == 0


def wins_again(planted: Planted, diagnosis: Diagnosis) -> float:
    """Return the mean gain of the best prescription on fresh seeds."""
    best, sign = diagnosis.recommended[0].prescription, 1 if planted.task.direction == "max" else -1
    values = [
        [short_trial(planted.task, seed, prescription, steps=200).value for prescription in (Remedy(), best)]
        for seed in FRESH
    ]
    return sign * statistics.mean(after - before for before, after in values)


def faults(planted_ones: Sequence[Planted] = FAULTS) -> bool:
    """Print what is found of every planted fault; tell whether all is as it should be."""
    holds = True
    for planted in planted_ones:
        diagnosis = actlab.doctor(planted.task)
        found = next((one for one in diagnosis.all_findings if one.rule == planted.rule), None)
        right = found is not None and found.layer == planted.layer and diagnosis.healthy == (not planted.helps)
        print(
            f"{planted.task.name}: {planted.rule} at {planted.layer or 'the end'}: {'found' if right else 'NOT as planted'}"
        )
        for trial in diagnosis.trials:
            before, after = statistics.mean(trial.before), statistics.mean(trial.after)
            low, high = trial.interval or (0, 0)
            gained = f"{trial.difference:+.3f} [{low:+.3f}, {high:+.3f}]"
            print(f"    {trial.prescription.name:48} {before:.3f} to {after:.3f}, {gained} {trial.verdict}")
        again = wins_again(planted, diagnosis) if diagnosis.recommended else 0.0
        if diagnosis.recommended:
            print(f"    on six fresh seeds {diagnosis.recommended[0].prescription.name}: {again:+.3f}")
        holds &= right and (again > 0) == planted.helps
        sys.stdout.flush()
    print()
    return holds


def counted_by_hand(killed: Task, seed: int, steps: int) -> int | None:
    """Return the step from which on half of some layer's units that lived at the init are dead, counted in a plain loop."""
    with isolated(seed):
        train = load_data(killed, seed).train
        seed_all(seed)
        net = killed.model(seed)
        seed_all(seed)
        shares: list[list[float]] = []
        optimizer = killed.optimizer(net.parameters(), killed.learning_rate)
        for number, (x, y) in enumerate(batches(killed, train, seed)):
            shares.append(_dead_by_hand(net, train.x[:REFERENCE]))
            if number == steps:
                break
            loss = killed.loss(net(x), y)
            if not bool(torch.isfinite(loss)):
                break
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call] # torch has no annotation for it
            optimizer.step()
    lost = [
        [share >= shares[0][i] + RISE * (1 - shares[0][i]) for share in (row[i] for row in shares)]
        for i in range(len(shares[0]))
    ]
    since = [max((i + 1 for i, bad in enumerate(layer) if not bad), default=0) for layer in lost if layer[-1]]
    return min(since, default=None)


@torch.no_grad()
def _dead_by_hand(net: nn.Module, x: Tensor) -> list[float]:
    shares = []
    for part in net.children():
        x = part(x)
        if isinstance(part, nn.ReLU):
            shares.append(float((x == 0).all(0).double().mean()))
    return shares


def sgd(parameters: object, lr: float) -> torch.optim.Optimizer:
    """SGD with momentum."""
    return torch.optim.SGD(list(parameters), lr=lr, momentum=0.9)  # type: ignore[call-overload] # an iterable of parameters


RATES = (
    ("Adam, 0.1", replace(DIGITS, learning_rate=0.1)),
    ("Adam, 0.5", replace(DIGITS, learning_rate=0.5)),
    ("SGD with momentum, 1.0", replace(DIGITS, optimizer=sgd, learning_rate=1.0)),
)


def rates(seeds: int, settings: Sequence[tuple[str, Task]] = RATES, steps: int = 200) -> bool:
    """Print steps of death and accuracies before and after; tell whether all steps agree and all nets come alive."""
    holds = True
    for name, killed in settings:
        rows = []
        for seed in range(seeds):
            course = first_steps(killed, seed, steps=steps)
            said = course.deaths[0].step if course.deaths else None
            by_hand = counted_by_hand(killed, seed, steps)
            rate = (safe_learning_rate(killed, seed, steps=steps, killing=killed.learning_rate) or 0.0) / 2
            arm = parse_arm("relu")
            before = run_trial(killed, arm, seed).metric
            after = run_trial(killed, arm, seed, lr=rate).metric if rate else None
            rows.append((said, by_hand, rate, before, after))
            holds &= said is not None and said == by_hand and after is not None and after > 0.9
        print(f"killed by {name}: from step, by the doctor and by hand; rate prescribed; test accuracy before, after")
        for seed, (said, by_hand, rate, before, after) in enumerate(rows):
            shown = ["diverged" if value is None else f"{value:.3f}" for value in (before, after)]
            print(f"  seed {seed}: {said!s:>4} {by_hand!s:>4}   {rate:.3g}   {shown[0]:>8} {shown[1]:>8}")
        alive = [after for *_, after in rows if after is not None]
        dead = [before for *_, before, _ in rows if before is not None]
        print(
            f"  mean accuracy: {statistics.mean(dead):.3f} before ({len(rows) - len(dead)} diverged), {statistics.mean(alive):.3f} after\n",
            flush=True,
        )
    return holds


def main() -> int:
    """Print the tables that were asked for; return the exit code."""
    torch.set_num_threads(1)
    quick = "--quick" in sys.argv
    asked = [word for word in ("healthy", "faults", "rates") if word in sys.argv] or ["healthy", "faults", "rates"]
    holds = True
    if "healthy" in asked:
        holds &= healthy(2 if quick else 5)
    if "faults" in asked:
        holds &= faults()
    if "rates" in asked:
        holds &= rates(3 if quick else 10)
    print("all statements hold" if holds else "NOT all statements hold")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
