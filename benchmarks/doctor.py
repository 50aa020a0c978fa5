"""False alarms, planted faults and learning rates that kill units, as found by the doctor.

Run: OMP_NUM_THREADS=1 python benchmarks/doctor.py [healthy] [faults] [rates] [--quick]       (about 20 minutes on one core)

healthy  eleven architectures that train well, each diagnosed at five seeds: number of diagnoses with a finding.
faults   nets with a planted fault: whether it is found, at which layer, which remedies helped in their paired trial, and whether the
         best of them helps on six seeds that the doctor has not used.
rates    ten nets for each of three learning rates that are too large: the step from which on half of a layer is dead, from the doctor and
         from a plain loop; accuracy on the test split after the task's full training, with the task's rate and with the recommended one.

The exit code is 1 if a healthy model has a finding, a fault is missed, a recommended remedy does not help on new seeds, or a step is wrong.
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
from actlab.diagnostics.short_training import REFERENCE, first_steps, safe_learning_rate, short_trial
from actlab.studies.arm import parse_arm
from actlab.studies.trials.trial import run_trial
from actlab.tasks import Task, resolve
from actlab.tasks.isolation import isolated, seed_all
from actlab.tasks.task import load_data
from actlab.tasks.training.batches import batches

DIGITS = resolve("digits")
# seeds that no diagnosis uses
FRESH = range(100, 106)
# share of the units active at initialization; not imported from actlab.diagnostics.training_record, as an independent count
RISE = 0.5


# ------------------------------------------------------------------------------------------- the nets


def mlp(
    function: Callable[[], nn.Module], depth: int, *, gain: float | None = None, dropout: float = 0.0
) -> nn.Sequential:
    """Return ``depth`` hidden layers of width 64 and an output layer, with torch's init or normal weights of a gain."""
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
    """Residual blocks of LayerNorm, two layers and GELU."""

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
    """Two encoder layers with the eight rows of an image as tokens."""

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
    """Return twelve layers with He's init, the seventh scaled by 1000."""
    net = mlp(nn.ReLU, 12, gain=2**0.5)
    with torch.no_grad():
        net[12].weight.mul_(1000)  # type: ignore[operator,union-attr]  # nn.Sequential says nothing of its parts: it is a Linear
    return net


def autoencoder() -> nn.Sequential:
    """Return a net with a sigmoid output, for a loss on probabilities."""
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 64), nn.Sigmoid())


def images(seed: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the images of digits as inputs and targets."""
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
    """Planted fault with the expected diagnosis.

    Attributes:
        task: with the fault.
        rule: name of the check that must find it.
        layer: where it must be found.
        helps: whether a remedy must help.
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
    """Print the findings in healthy models; return whether there were none."""
    print(f"healthy models, {seeds} diagnoses each: with findings / hints without effect / mean seconds")
    alarms = 0
    for healthy_task in HEALTHY:
        start = time.perf_counter()
        diagnoses = [actlab.doctor(healthy_task, seed=10 * seed) for seed in range(seeds)]
        false = [diagnosis.sentence for diagnosis in diagnoses if not diagnosis.healthy]
        alarms += len(false)
        hints = sorted({hint.rule for diagnosis in diagnoses for hint in diagnosis.hints})
        seconds = (time.perf_counter() - start) / seeds
        print(
            f"  {healthy_task.name:34} {len(false)} of {seeds}   {', '.join(hints) or '-':30} {seconds:5.1f}",
            flush=True,
        )
        for sentence in dict.fromkeys(false):
            print(f"      {sentence}")
    print(f"{alarms} false alarms in {seeds * len(HEALTHY)} diagnoses\n", flush=True)
    return alarms == 0


def gain_on_new_seeds(planted: Planted, diagnosis: Diagnosis) -> float:
    """Return the mean improvement by the best remedy on new seeds."""
    best, sign = diagnosis.recommended[0].prescription, 1 if planted.task.direction == "max" else -1
    values = [
        [short_trial(planted.task, seed, remedy, steps=200).value for remedy in (Remedy(), best)] for seed in FRESH
    ]
    return sign * statistics.mean(after - before for before, after in values)


def faults(planted_faults: Sequence[Planted] = FAULTS) -> bool:
    """Print the diagnosis of every planted fault; return whether all are as expected."""
    holds = True
    for planted in planted_faults:
        diagnosis = actlab.doctor(planted.task)
        finding = next((finding for finding in diagnosis.all_findings if finding.rule == planted.rule), None)
        right = finding is not None and finding.layer == planted.layer and diagnosis.healthy == (not planted.helps)
        print(
            f"{planted.task.name}: {planted.rule} at {planted.layer or 'the output'}: {'found' if right else 'NOT as planted'}"
        )
        for trial in diagnosis.trials:
            before, after = statistics.mean(trial.before), statistics.mean(trial.after)
            low, high = trial.interval or (0, 0)
            difference = f"{trial.difference:+.3f} [{low:+.3f}, {high:+.3f}]"
            print(f"    {trial.prescription.name:48} {before:.3f} to {after:.3f}, {difference} {trial.verdict}")
        gain = gain_on_new_seeds(planted, diagnosis) if diagnosis.recommended else 0.0
        if diagnosis.recommended:
            print(f"    on six new seeds {diagnosis.recommended[0].prescription.name}: {gain:+.3f}")
        holds &= right and (gain > 0) == planted.helps
        sys.stdout.flush()
    print()
    return holds


def step_of_death(killed: Task, seed: int, steps: int) -> int | None:
    """Return the step from which on half of a layer's units active at initialization are dead, counted in a plain loop."""
    with isolated(seed):
        train = load_data(killed, seed).train
        seed_all(seed)
        net = killed.model(seed)
        seed_all(seed)
        shares: list[list[float]] = []
        optimizer = killed.optimizer(net.parameters(), killed.learning_rate)
        for number, (x, y) in enumerate(batches(killed, train, seed)):
            shares.append(_dead_shares(net, train.x[:REFERENCE]))
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
def _dead_shares(net: nn.Module, x: Tensor) -> list[float]:
    shares = []
    for part in net.children():
        x = part(x)
        if isinstance(part, nn.ReLU):
            shares.append(float((x == 0).all(0).double().mean()))
    return shares


def sgd(parameters: object, lr: float) -> torch.optim.Optimizer:
    """Return SGD with momentum."""
    return torch.optim.SGD(list(parameters), lr=lr, momentum=0.9)  # type: ignore[call-overload] # an iterable of parameters


RATES = (
    ("Adam, 0.1", replace(DIGITS, learning_rate=0.1)),
    ("Adam, 0.5", replace(DIGITS, learning_rate=0.5)),
    ("SGD with momentum, 1.0", replace(DIGITS, optimizer=sgd, learning_rate=1.0)),
)


def rates(seeds: int, settings: Sequence[tuple[str, Task]] = RATES, steps: int = 200) -> bool:
    """Print the steps at which units die and accuracies before and after; return whether steps agree and all nets train afterwards."""
    holds = True
    for name, killed in settings:
        rows = []
        for seed in range(seeds):
            record = first_steps(killed, seed, steps=steps)
            diagnosed = record.deaths[0].step if record.deaths else None
            counted = step_of_death(killed, seed, steps)
            rate = (safe_learning_rate(killed, seed, steps=steps, killing=killed.learning_rate) or 0.0) / 2
            arm = parse_arm("relu")
            before = run_trial(killed, arm, seed).metric
            after = run_trial(killed, arm, seed, lr=rate).metric if rate else None
            rows.append((diagnosed, counted, rate, before, after))
            holds &= diagnosed is not None and diagnosed == counted and after is not None and after > 0.9
        print(
            f"killed by {name}: step of death from the doctor and counted; recommended rate; test accuracy before, after"
        )
        for seed, (diagnosed, counted, rate, before, after) in enumerate(rows):
            texts = ["diverged" if value is None else f"{value:.3f}" for value in (before, after)]
            print(f"  seed {seed}: {diagnosed!s:>4} {counted!s:>4}   {rate:.3g}   {texts[0]:>8} {texts[1]:>8}")
        finished_before = [before for *_, before, _ in rows if before is not None]
        finished_after = [after for *_, after in rows if after is not None]
        print(
            f"  mean accuracy: {statistics.mean(finished_before):.3f} before ({len(rows) - len(finished_before)} diverged), "
            f"{statistics.mean(finished_after):.3f} after\n",
            flush=True,
        )
    return holds


def main() -> int:
    """Print the requested tables; return the exit code."""
    torch.set_num_threads(1)
    quick = "--quick" in sys.argv
    tables = [word for word in ("healthy", "faults", "rates") if word in sys.argv] or ["healthy", "faults", "rates"]
    holds = True
    if "healthy" in tables:
        holds &= healthy(2 if quick else 5)
    if "faults" in tables:
        holds &= faults()
    if "rates" in tables:
        holds &= rates(3 if quick else 10)
    print("all checks passed" if holds else "NOT all checks passed")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
