"""Gradient rules of arXiv 2509.07236 on Ones and digits, with ten seeds as one batched net.

The tasks are those of ``actlab compare jamming:ones`` and so on, with the same data, weights and order of batches for a seed; but the
nets of all seeds are one batched net, which takes a tenth of the time. ``check`` shows that this changes nothing where the rule is
deterministic; noise is drawn for all seeds at once, so that noisy arms agree in distribution only. The verdict is the house's own.

    python benchmarks/jamming_small.py run [--only step,ones,digits] [--rows FILE.csv]
    python benchmarks/jamming_small.py table --rows FILE.csv
    python benchmarks/jamming_small.py check

A claim holds for a rule when it is as good as the true derivative ("tied"): when the 95 % interval of the paired difference of test
accuracy lies above -0.01. It fails when the interval lies below 0; anything else is open. This was fixed before the results.
Below 6 seeds there is no answer,
which was added after the first look at LeNet-5.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from actlab.nn.layers.layer import layer
from actlab.studies.arm import parse_arm
from actlab.studies.settings import LR_FACTORS, TUNING_SEEDS
from actlab.studies.trials.trial import run_trial
from actlab.studies.verdict.arm_summary import ArmSummary
from actlab.studies.verdict.verdict import StudyFacts, Verdict, make_verdict
from actlab.tasks import resolve
from actlab.tasks.data import Data, Split
from actlab.tasks.isolation import isolated
from actlab.tasks.task import Task, load_data

MARGIN = 0.01  # of accuracy, the region in which two rules count as equal
FEWEST = 6  # seeds, for an answer
SEEDS = tuple(range(10))
JAMMING = ("1", "jam", "positive_jam", "rectangular_jam", "half")
SIGNAL = ("signal_jam", "signal_positive_jam", "signal_rectangular_jam")
EVERY = (*JAMMING, *SIGNAL, "shuffled")
SIGNAL_FACTORS = tuple(
    3.0**power for power in range(-6, 2)
)  # its steps are a batch's size longer than the error's: lower rates, for all arms
ADAM_RATE = {"jamming:ones": 0.01, "jamming:digits": 1e-3}
COLUMNS = ("study", "arm", "seed", "lr", "status", "metric", "validation", "train_loss")


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One study: a forward function under several rules, the first of them what the others are held against."""

    name: str
    task: Task
    arms: tuple[str, ...]
    adam: bool = False
    tune: bool = False
    factors: tuple[float, ...] = LR_FACTORS

    @property
    def learning_rate(self) -> float:
        """The rate in the middle of the grid."""
        return ADAM_RATE[self.task.name] if self.adam else self.task.learning_rate


def experiments() -> Iterator[Experiment]:
    """Yield all studies."""
    step = ("step/1", "step/jam", "step/rect", "step/signal_jam", "step/half", "step/shuffled")
    yield Experiment(name="step", task=resolve("jamming:step"), arms=step)
    yield Experiment(name="ones-0.7", task=resolve("jamming:ones"), arms=_arms("sigmoid", EVERY))
    yield Experiment(name="ones-0.5", task=resolve("jamming:ones-0.5"), arms=_arms("sigmoid", JAMMING))
    for forward in ("sigmoid", "relu", "identity"):
        task = resolve("jamming:digits")
        yield Experiment(name=f"digits-{forward}", task=task, arms=_arms(forward, EVERY))
    for name, task, forward in (
        ("ones-0.7", resolve("jamming:ones"), "sigmoid"),
        *((f"digits-{forward}", resolve("jamming:digits"), forward) for forward in ("sigmoid", "relu", "identity")),
    ):
        yield Experiment(name=f"{name}-tuned", task=task, arms=_arms(forward, JAMMING), tune=True)
        yield Experiment(name=f"{name}-adam", task=task, arms=_arms(forward, JAMMING), tune=True, adam=True)
        for adam in (False, True):
            kind = {"adam": adam, "tune": True, "factors": SIGNAL_FACTORS}
            yield Experiment(name=f"{name}-signal{'-adam' * adam}", task=task, arms=_arms(forward, SIGNAL), **kind)


def _arms(forward: str, rules: Sequence[str]) -> tuple[str, ...]:
    """Return the specs, tied first; the identity's derivative is 1, so that two rules are no arms of their own."""
    apart = [rule for rule in rules if not (forward == "identity" and rule in {"1", "shuffled"})]
    return (forward, *(f"{forward}/{rule}" for rule in apart))


class Nets(nn.Module):
    """The nets of several seeds as one: every weight has the seed as its first dimension."""

    def __init__(self, task: Task, spec: str, seeds: Sequence[int]) -> None:
        super().__init__()
        models = [_built(task, seed) for seed in seeds]
        linears = [[part for part in model.modules() if isinstance(part, nn.Linear)] for model in models]
        self.weights = nn.ParameterList(
            torch.stack([one.weight.detach() for one in same]) for same in zip(*linears, strict=True)
        )
        self.biases = nn.ParameterList(
            torch.stack([one.bias.detach()[None] for one in same]) for same in zip(*linears, strict=True)
        )
        self.activation = layer(spec)

    def forward(self, x: Tensor) -> Tensor:
        """Map (seeds, n, inputs) to (seeds, n, classes)."""
        hidden = self.activation(torch.baddbmm(self.biases[0], x, self.weights[0].mT))
        if len(self.weights) == 1:  # the unit, whose activation is the probability of the second class
            return torch.cat((1 - hidden, hidden), 2)
        return torch.baddbmm(self.biases[1], hidden, self.weights[1].mT)


def _built(task: Task, seed: int) -> nn.Module:
    with isolated(seed):
        return task.model(seed)


class Optimizer:
    """SGD or Adam in which every seed may have a learning rate of its own."""

    def __init__(self, parameters: Sequence[nn.Parameter], rates: Sequence[float], *, adam: bool) -> None:
        self._parameters, self._adam, self._steps = list(parameters), adam, 0
        self._rates = torch.tensor(rates).reshape(-1, 1, 1)
        self._moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in self._parameters]

    @torch.no_grad()
    def step(self) -> None:
        """Take a step, and forget the gradients."""
        self._steps += 1
        for parameter, (first, second) in zip(self._parameters, self._moments, strict=True):
            grad = parameter.grad
            assert grad is not None
            if self._adam:
                first.lerp_(grad, 0.1)
                second.mul_(0.999).addcmul_(grad, grad, value=0.001)
                grad = (first / (1 - 0.9**self._steps)) / ((second / (1 - 0.999**self._steps)).sqrt_() + 1e-8)
            parameter.sub_(self._rates * grad)
            parameter.grad = None


def train(one: Experiment, spec: str, seeds: Sequence[int], rates: Sequence[float]) -> list[dict[str, Any]]:
    """Train a spec on several seeds at once; return a row for each."""
    task = one.task
    data = [_data(task, seed) for seed in seeds]
    nets = Nets(task, spec, seeds)
    optimizer = Optimizer(list(nets.parameters()), rates, adam=one.adam)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    torch.manual_seed(seeds[0])  # of the noise
    losses = torch.zeros(())
    for _ in range(task.epochs):
        losses = _epoch(task, nets, optimizer, [part.train for part in data], generators)
    test, validation = (_judged(task, nets, [getattr(part, name) for part in data]) for name in ("test", "validation"))
    return [
        {"study": one.name, "arm": spec, "seed": seed, "lr": rate, "status": "completed", "metric": test[place]}
        | {"validation": validation[place], "train_loss": float(losses)}
        for place, (seed, rate) in enumerate(zip(seeds, rates, strict=True))
    ]


def _data(task: Task, seed: int) -> Data:
    with isolated(seed):
        return load_data(task, seed)


def _epoch(
    task: Task, nets: Nets, optimizer: Optimizer, splits: Sequence[Split], generators: Sequence[torch.Generator]
) -> Tensor:
    """Go over the training data once, each seed in its own order; return the last loss, its mean over the seeds."""
    count = len(splits[0])
    orders = [torch.randperm(count, generator=generator) for generator in generators]
    x = torch.stack([split.x[order] for split, order in zip(splits, orders, strict=True)])
    y = torch.stack([split.y[order] for split, order in zip(splits, orders, strict=True)])
    loss = torch.zeros(())
    for start in range(0, count, task.batch_size):
        part = slice(start, start + task.batch_size)
        loss = task.loss(nets(x[:, part]).flatten(0, 1), y[:, part].flatten())
        (loss * len(splits)).backward()  # the mean over all rows of all seeds, made each seed's own mean
        optimizer.step()
    return loss.detach()


@torch.no_grad()
def _judged(task: Task, nets: Nets, splits: Sequence[Split]) -> list[float]:
    outputs = nets(torch.stack([split.x for split in splits]))
    return [task.metric(output, split.y) for output, split in zip(outputs, splits, strict=True)]


def tuned(one: Experiment, spec: str) -> tuple[float, list[dict[str, Any]]]:
    """Choose a learning rate as a study does: best on the validation splits of the tuning seeds; return it, and the rows."""
    grid = [(one.learning_rate * factor, seed) for factor in one.factors for seed in TUNING_SEEDS]
    rows = train(one, spec, [seed for _, seed in grid], [rate for rate, _ in grid])
    means = {
        rate: sum(row["validation"] for row in rows if row["lr"] == rate) / len(TUNING_SEEDS)
        for rate in dict.fromkeys(rate for rate, _ in grid)
    }
    middle = list(means)[len(means) // 2]
    return max(means, key=lambda rate: (means[rate], -abs(rate / middle - 1))), rows


def run(options: argparse.Namespace) -> None:
    """Train what is asked for and is not in the file, and write a row per trial."""
    path = Path(options.rows)
    fresh = not path.exists()
    done = set()
    if not fresh:
        with path.open(newline="") as file:
            done = {(row["study"], row["arm"]) for row in csv.DictReader(file)}
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if fresh:
            writer.writeheader()
        for one in experiments():
            if one.name.startswith(tuple(options.only.split(","))):
                for spec in (spec for spec in one.arms if (one.name, spec) not in done):
                    writer.writerows(map(_short, _trials(one, spec)))
                    file.flush()
                print(one.name, flush=True)


def _trials(one: Experiment, spec: str) -> list[dict[str, Any]]:
    rate, rows = tuned(one, spec) if one.tune else (one.learning_rate, [])
    return [*rows, *train(one, spec, SEEDS, [rate] * len(SEEDS))]


def _short(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: f"{value:.5g}" if isinstance(value, float) else value for name, value in row.items()}


def table(options: argparse.Namespace) -> None:
    """Print every study of the file as Markdown, with the house's verdict."""
    with Path(options.rows).open(newline="") as file:
        rows = list(csv.DictReader(file))
    for one in experiments():
        own = [_read(row) for row in rows if row["study"] == one.name and int(row["seed"]) in SEEDS]
        if own:
            print("\n".join(_lines(one, make_verdict(own, _facts(one), {}))), "\n")


def _read(row: Mapping[str, str]) -> dict[str, Any]:
    numbers = {name: float(row[name]) for name in ("metric", "lr")}
    return {"stage": "main", "arm": row["arm"], "seed": int(row["seed"]), "status": row["status"], **numbers}


def _facts(one: Experiment) -> StudyFacts:
    return StudyFacts(
        name=one.name,
        task=one.task.name,
        metric="accuracy",
        arms=one.arms,
        baseline=one.arms[0],
        seeds=SEEDS,
        rope=MARGIN,
        fingerprint=one.name,
        tune="lr" if one.tune else None,
    )


def _lines(one: Experiment, verdict: Verdict) -> Iterator[str]:
    best = ", ".join(f"`{arm}`" for arm in verdict.best_set)
    yield f"**{one.name}**: {verdict.recommendation} May be the best: {best}."
    yield ""
    yield "| spec | lr | accuracy | SD | difference to the first, 95 % interval | p | as good? | paper |"
    yield "|---|---|---|---|---|---|---|---|"
    for arm in sorted((arm for arm in verdict.arms if arm.n), key=lambda arm: one.arms.index(arm.spec)):
        lr = "-" if arm.lr is None else f"{arm.lr:.3g}"
        yield f"| `{arm.spec}` | {lr} | {arm.mean or 0:.4f} | {arm.sd or 0:.4f} | {difference(arm)} | {answer(arm)} | |"


def difference(arm: ArmSummary) -> str:
    """Return the paired difference, its interval and the corrected p value as two cells of a table."""
    if arm.diff is None:
        return "- | -"
    low, high = arm.diff.ci
    interval = "-" if low is None else f"[{low:+.4f}, {high:+.4f}]"
    return f"{arm.diff.mean:+.4f} {interval} | {arm.diff.p_corrected:.2g}"


def answer(arm: ArmSummary) -> str:
    """Return the pass rule of the module's last lines, in a word."""
    if arm.diff is None:
        return "-"
    low, high = arm.diff.ci
    if low is None or high is None or arm.n < FEWEST:
        return "few seeds"
    if low > -MARGIN:
        return "better" if low > MARGIN else "yes"
    return "no" if high < 0 else "open"


def check(options: argparse.Namespace) -> None:  # noqa: ARG001 # the actions take the same
    """Hold the batched nets against single trials: deterministic rules must give the same test accuracy, seed by seed."""
    for name, specs in (("jamming:ones", ("sigmoid", "sigmoid/1")), ("jamming:digits", ("relu", "sigmoid/1"))):
        task = replace(resolve(name), epochs=10)
        one = Experiment(name=name, task=task, arms=specs)
        for spec in specs:
            batched = train(one, spec, SEEDS[:3], [task.learning_rate] * 3)
            single = [run_trial(task, parse_arm(spec), seed).metric for seed in SEEDS[:3]]
            print(name, spec, [row["metric"] for row in batched], single, flush=True)


def main() -> int:
    """Do what is asked for."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("run", "table", "check"))
    parser.add_argument("--only", default="step,ones,digits", help="beginnings of the studies' names")
    parser.add_argument("--rows", default="jamming.csv")
    options = parser.parse_args()
    {"run": run, "table": table, "check": check}[options.action](options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
