"""Compare designs of successive halving over learning rates with the full grid, on a table of trainings computed once.

    python benchmarks/tuning.py                    # simulate the designs on the stored table, and print docs/evidence/tuning.md's tables
    nice -n 10 python benchmarks/tuning.py --table # compute the table anew, an hour on one core

The table holds, for every task, activation, learning rate and seed, the validation and the test result after eight shares of the training.
A training without a schedule of its learning rate passes through all shorter ones, so that one training gives all of them. All rates and
seeds of an activation are trained as one stack. A design sees the validation results of two tuning seeds and chooses a rate per
activation. Costs are steps of training, in trials of full length. Printed for every task: mean shortfall from the best of the thirteen
rates, in units of the region of practical equivalence, and that of ReLU alone; share of choices not worse than those of the full grid, by
more than that region; share of choices equal to those; share at the edge of the grid. A second table shows what the choice does to the
comparison with ReLU: mean shift of the difference to it over the other activations, the worst one, and the share of those as good as ReLU,
each at its best rate, that come out worse by more than the region.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn import functional

import actlab
from actlab.tasks import resolve
from actlab.tasks.builtin.mnist1d import PublishedRMSprop
from actlab.tasks.data import Data, Split
from actlab.tasks.task import Task, load_data

Floats = npt.NDArray[np.float64]

TABLE = Path(__file__).parent.parent / "docs" / "evidence" / "data" / "tuning.npz"
SEEDS = tuple(range(1_000_000, 1_000_008))
SHARES = (1 / 16, 1 / 9, 1 / 8, 1 / 6, 1 / 4, 1 / 3, 1 / 2, 1.0)
# Exponents of 3: factors of the task's own rate, from 1/27 to 27.
EXPONENTS = tuple(number / 2 for number in range(-6, 7))
ARMS = ("relu", "gelu", "tanh", "sigmoid", "silu", "elu", "selu", "softplus", "mish", "sin", "leaky_relu", "softsign")


def deep() -> Task:
    """Return a task whose best rates differ most between activations, ten hidden layers on the digits."""

    def model(seed: int) -> nn.Module:  # noqa: ARG001 # the generator is seeded before the call
        hidden = [layer for _ in range(9) for layer in (nn.Linear(48, 48), nn.ReLU())]
        return nn.Sequential(nn.Linear(64, 48), nn.ReLU(), *hidden, nn.Linear(48, 10))

    return replace(resolve("digits"), name="deep", model=model, epochs=20)


def regression() -> Task:
    """Return a regression with noise (Friedman's first function), whose metric is to be minimised."""
    from sklearn.datasets import make_friedman1  # noqa: PLC0415 # only this task needs it

    def data(seed: int) -> Data:
        x, y = make_friedman1(1500, noise=1.0, random_state=seed)
        inputs, targets = torch.from_numpy(x).float() - 0.5, torch.from_numpy(y).float()[:, None] / 5 - 3
        parts = [Split(x=inputs[a:b], y=targets[a:b]) for a, b in ((0, 900), (900, 1200), (1200, 1500))]
        return Data(train=parts[0], validation=parts[1], test=parts[2])

    def model(seed: int) -> nn.Module:  # noqa: ARG001 # as above
        return nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))

    def mse(output: Tensor, target: Tensor) -> float:
        return functional.mse_loss(output, target).item()

    return Task(
        name="regression", model=model, data=data, loss=functional.mse_loss, metric=mse, direction="min", epochs=30
    )


TASKS: dict[str, Callable[[], Task]] = {
    "digits": lambda: resolve("digits"),
    "digits:cnn": lambda: resolve("digits:cnn"),
    "mnist1d": lambda: resolve("mnist1d"),
    "regression": regression,
    "deep": deep,
}


class Stack:
    """All rates and seeds of one activation, trained as one computation: parameters, state of the optimizer, step."""

    def __init__(self, task: Task, arm: str, rates: Sequence[float]) -> None:
        self.task, self.step = task, 0
        self.data = [load_data(task, seed) for seed in SEEDS]
        self.training = [data.train for data in self.data if isinstance(data.train, Split)]
        models = [self._model(seed, arm) for _ in rates for seed in SEEDS]
        parameters, self.buffers = stack_module_state(models)
        self.parameters = {name: value.detach().clone() for name, value in parameters.items()}
        self.skeleton, self.rates = models[0], torch.tensor([rate for rate in rates for _ in SEEDS])
        self.is_adam = not isinstance(task.optimizer(models[0].parameters(), 1.0), PublishedRMSprop)
        start = torch.zeros_like if self.is_adam else torch.ones_like
        self.squares = {name: start(value) for name, value in self.parameters.items()}
        self.means = {name: torch.zeros_like(value) for name, value in self.parameters.items()}
        self.losses = torch.zeros(len(models), dtype=torch.float64)
        self._gradients = vmap(grad_and_value(self._loss), randomness="different")
        self._outputs = vmap(self._output, randomness="different")

    def _model(self, seed: int, arm: str) -> nn.Module:
        torch.manual_seed(seed)
        model = self.task.model(seed)
        actlab.swap_(model, arm)
        return model.train()

    def _output(self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Tensor:
        output: Tensor = functional_call(self.skeleton, (parameters, buffers), (x,))
        return output

    def _loss(self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return self.task.loss(self._output(parameters, buffers, x), y)

    def train_step(self, rows: Sequence[Tensor]) -> None:
        """Take one step; ``rows`` are the rows of the batch of each seed."""
        x = torch.stack([split.x[row] for split, row in zip(self.training, rows, strict=True)])
        y = torch.stack([split.y[row] for split, row in zip(self.training, rows, strict=True)])
        gradients, losses = self._gradients(self.parameters, self.buffers, self._repeat(x), self._repeat(y))
        self.losses += losses.double()
        self.step += 1
        for name, weight in self.parameters.items():
            self._update(weight, gradients[name], self.means[name], self.squares[name])

    def _repeat(self, of_seeds: Tensor) -> Tensor:
        return of_seeds.repeat(len(self.rates) // len(SEEDS), *[1] * (of_seeds.dim() - 1))

    def _update(self, weight: Tensor, gradient: Tensor, mean: Tensor, square: Tensor) -> None:
        rate = self.rates.view(-1, *[1] * (weight.dim() - 1))
        if not self.is_adam:
            square.mul_(0.4).addcmul_(gradient, gradient, value=0.6)
            weight -= rate * gradient / (square.sqrt() + 1e-8)
            return
        mean.lerp_(gradient, 0.1)
        square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        first, second = 1 - 0.9**self.step, 1 - 0.999**self.step
        weight -= rate * (mean / first) / ((square / second).sqrt() + 1e-8)

    def result(self) -> Floats:
        """Return validation and test result, shape (rates, seeds, 2); NaN where they are not finite."""
        if self.task.curve_metric is not None:
            means = (self.losses / self.step).view(-1, len(SEEDS), 1).expand(-1, -1, 2)
            return np.where(np.isfinite(means), means, np.nan)
        return np.stack([self._metric("validation"), self._metric("test")], axis=-1)

    @torch.no_grad()
    def _metric(self, part: str) -> Floats:
        splits = [getattr(data, part) for data in self.data]
        self.skeleton.eval()
        outputs = self._outputs(self.parameters, self.buffers, self._repeat(torch.stack([split.x for split in splits])))
        self.skeleton.train()
        pairs = outputs.view(-1, len(SEEDS), *outputs.shape[1:])
        return np.array(
            [
                [
                    self.task.metric(output, split.y) if output.isfinite().all() else np.nan
                    for output, split in zip(row, splits, strict=True)
                ]
                for row in pairs
            ]
        )


def trained(task: Task, arm: str) -> Floats:
    """Return the results of an activation, shape (shares, rates, seeds, 2)."""
    stack = Stack(task, arm, [task.learning_rate * 3**exponent for exponent in EXPONENTS])
    generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    count = len(stack.training[0])
    total = min(task.steps or 10**9, task.epochs * -(-count // task.batch_size))
    marks = {max(1, round(total * share)): number for number, share in enumerate(SHARES)}
    results = np.full((len(SHARES), len(EXPONENTS), len(SEEDS), 2), np.nan)
    while True:
        orders = [torch.randperm(count, generator=each) if task.shuffle else torch.arange(count) for each in generators]
        for batch in zip(*(torch.split(order, task.batch_size) for order in orders), strict=True):
            stack.train_step(batch)
            if stack.step in marks:
                results[marks[stack.step]] = stack.result()
            if stack.step == total:
                return results


def write_table(names: Sequence[str]) -> None:
    """Compute the table of these tasks, and write it with the other tasks as they are."""
    torch.set_num_threads(1)
    for name in names:
        task, begin = TASKS[name](), time.process_time()
        table = np.stack([trained(task, arm) for arm in ARMS])
        known = dict(np.load(TABLE)) if TABLE.exists() else {}
        np.savez_compressed(TABLE, **{**known, name: table.astype(np.float32)})
        print(f"{name}: {time.process_time() - begin:.0f} s of CPU time", flush=True)


@dataclass(frozen=True, kw_only=True)
class Design:
    """Rungs of a tuning on two seeds: share of the steps, and number of rates that are left after it.

    Attributes:
        name: for the table.
        exponents: of the rates on the first rung.
        rungs: pairs of share and number of rates left.
        smooth: whether rates on the first rung are judged with their neighbours.
        with_own: whether the task's own rate is always among those that are left.
    """

    name: str
    exponents: tuple[float, ...]
    rungs: tuple[tuple[float, int], ...]
    smooth: bool = False
    with_own: bool = False

    @property
    def cost(self) -> float:
        """Trials of full length per activation."""
        sizes = [len(self.exponents), *(left for _, left in self.rungs[:-1])]
        return 2 * sum(share * size for (share, _), size in zip(self.rungs, sizes, strict=True))

    def choose(self, table: Floats, pair: Sequence[int]) -> int:
        """Return the number of the rate that is chosen, from a table of shape (shares, rates, seeds), larger is better."""
        left = [EXPONENTS.index(exponent) for exponent in self.exponents]
        for number, (share, count) in enumerate(self.rungs):
            nearest = int(np.abs(np.array(SHARES) - share).argmin())
            means = table[nearest][left][:, list(pair)].mean(1)
            scores = smoothed(means) if self.smooth and number == 0 else means
            distances = np.abs(np.array(EXPONENTS)[left])
            order = np.lexsort((distances, -np.nan_to_num(scores, nan=-np.inf)))
            kept, own = [left[place] for place in order[:count]], EXPONENTS.index(0.0)
            if self.with_own and count > 1 and own not in kept and np.isfinite(scores[left.index(own)]):
                kept[-1] = own
            left = sorted(kept)
        return left[0]


def smoothed(means: Floats) -> Floats:
    """Return half of each value and a quarter of each neighbour, where those are finite."""
    sides = np.r_[np.nan, means[:-1]], np.r_[means[1:], np.nan]
    parts = [np.where(np.isnan(side), means, side) for side in sides]
    return means / 2 + (parts[0] + parts[1]) / 4


_FIVE, _SEVEN = tuple(map(float, range(-2, 3))), tuple(map(float, range(-3, 4)))
_NINE, _ALL = tuple(number / 2 for number in range(-4, 5)), EXPONENTS
FULL = Design(name="5 rates by 3, to the end (`lr-grid`)", exponents=_FIVE, rungs=((1, 1),))
CHOSEN = Design(
    name="**13 by √3 at 1/8, smoothed; own and best other to the end**",
    exponents=_ALL,
    rungs=((1 / 8, 2), (1, 1)),
    smooth=True,
    with_own=True,
)
DESIGNS = (
    FULL,
    Design(name="13 by √3, to the end", exponents=_ALL, rungs=((1, 1),)),
    Design(name="5 by 3 at 1/8; 2 at 1/2", exponents=_FIVE, rungs=((1 / 8, 2), (1 / 2, 1))),
    Design(name="7 by 3 at 1/8; 3 to the end", exponents=_SEVEN, rungs=((1 / 8, 3), (1, 1))),
    Design(name="9 by √3 at 1/8; 4 at 1/4; 2 at 1/2", exponents=_NINE, rungs=((1 / 8, 4), (1 / 4, 2), (1 / 2, 1))),
    Design(name="9 by √3 at 1/8; 2 to the end", exponents=_NINE, rungs=((1 / 8, 2), (1, 1))),
    Design(name="13 by √3 at 1/8, smoothed", exponents=_ALL, rungs=((1 / 8, 1),), smooth=True),
    Design(name="13 by √3 at 1/16; 4 at 1/4; 2 at 1/2", exponents=_ALL, rungs=((1 / 16, 4), (1 / 4, 2), (1 / 2, 1))),
    Design(name="13 by √3 at 1/8, smoothed; 3 at 1/2", exponents=_ALL, rungs=((1 / 8, 3), (1 / 2, 1)), smooth=True),
    Design(name="13 by √3 at 1/16, smoothed; 2 to the end", exponents=_ALL, rungs=((1 / 16, 2), (1, 1)), smooth=True),
    Design(name="13 by √3 at 1/8; 2 to the end", exponents=_ALL, rungs=((1 / 8, 2), (1, 1))),
    Design(name="13 by √3 at 1/8, smoothed; 2 to the end", exponents=_ALL, rungs=((1 / 8, 2), (1, 1)), smooth=True),
    CHOSEN,
    Design(
        name="13 by √3 at 1/8, smoothed; own and best 2 others to the end",
        exponents=_ALL,
        rungs=((1 / 8, 3), (1, 1)),
        smooth=True,
        with_own=True,
    ),
    Design(name="13 by √3 at 1/8, smoothed; 3 to the end", exponents=_ALL, rungs=((1 / 8, 3), (1, 1)), smooth=True),
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a design chose on all activations and pairs of tuning seeds of one task.

    Attributes:
        same: share of choices that are those of the full grid.
        not_worse: share whose results are not worse than those of the full grid's choice by more than the region of equivalence.
        short: mean shortfall from the best of all thirteen rates, in that region's units; one choice counts 30 at most.
        at_edge: share of choices at the edge of the design's grid.
        relu: mean shortfall of ReLU alone.
    """

    same: float
    not_worse: float
    short: float
    at_edge: float
    relu: float


def outcome(choose: Callable[[Floats, Sequence[int]], int], edges: set[int], table: Floats, rope: float) -> Outcome:
    """Return the outcome of a way to choose on a table of shape (arms, shares, rates, seeds, 2), larger is better.

    A choice is judged by the validation and test results of full trainings on the six seeds that it has not seen.
    """
    rows = []
    for arm in table:
        for pair in combinations(range(len(SEEDS)), 2):
            others = [seed for seed in range(len(SEEDS)) if seed not in pair]
            results = np.nan_to_num(arm[-1][:, others].mean((1, 2)), nan=-np.inf)
            best = np.nan_to_num(
                arm[-1].mean((1, 2)), nan=-np.inf
            )  # over all seeds: the best of the six is best by chance, too
            chosen, full = choose(arm[..., 0], pair), FULL.choose(arm[..., 0], pair)
            short = min(30.0, (best.max() - best[chosen]) / rope)
            rows.append((chosen == full, results[chosen] >= results[full] - rope, short, chosen in edges))
    means = np.mean(rows, axis=0).tolist()
    relu = float(
        np.mean([short for _, _, short, _ in rows[: len(rows) // len(table)]])
    )  # the first activation of the table
    return Outcome(same=means[0], not_worse=means[1], short=means[2], at_edge=means[3], relu=relu)


def errors(choose: Callable[[Floats, Sequence[int]], int], table: Floats, rope: float) -> tuple[Floats, float]:
    """Return by how much a way to choose shifts the difference of every other arm to ReLU, and how often that shows a loss.

    Args:
        choose: the way, as for :func:`outcome`.
        table: of one task, larger is better.
        rope: half width of the region of practical equivalence.

    Returns:
        The mean shift of each arm, in the region's units; and the share of arms as good as ReLU, each at its best rate, that come out worse
        than ReLU by more than the region.
    """
    ended = np.nan_to_num(table[:, -1].mean((2, 3)), nan=-np.inf)
    true = (ended.max(1) - ended.max(1)[0])[1:]
    shown = []
    for pair in combinations(range(len(SEEDS)), 2):
        results = np.array([row[choose(arm[..., 0], pair)] for arm, row in zip(table, ended, strict=True)])
        shown.append(results[1:] - results[0])
    differences = np.array(shown)
    is_wrong = (differences < -rope) & (true >= 0)
    return (differences - true).mean(0) / rope, float(is_wrong[:, true >= 0].mean()) if (true >= 0).any() else 0.0


def print_errors(tables: dict[str, tuple[Floats, float]]) -> None:
    """Print what the choice of rates does to the comparison with ReLU."""
    own = EXPONENTS.index(0.0)
    ways = {"the task's own rate": lambda *_: own, FULL.name: FULL.choose, CHOSEN.name: CHOSEN.choose}
    print(f"| rates | {' | '.join(tables)} |\n|---|{'---|' * len(tables)}")
    for name, choose in ways.items():
        cells = []
        for table, rope in tables.values():
            shifts, wrong = errors(choose, table, rope)
            worst = int(shifts.argmin())
            cells.append(f"{shifts.mean():+.2f}, {shifts[worst]:+.2f} ({ARMS[1 + worst]}), {wrong:.0%}")
        print(f"| {name} | {' | '.join(cells)} |")


def simulate() -> None:
    """Print one row for every design, with a column for every task, and what the choice does to the comparison with ReLU."""
    own = EXPONENTS.index(0.0)
    ways = {"the task's own rate": (0.0, lambda *_: own, set[int]())}
    for design in DESIGNS:
        edges = {EXPONENTS.index(design.exponents[end]) for end in (0, -1)}
        ways[design.name] = (design.cost, design.choose, edges)
    columns, tables = {}, {}
    for name, table in np.load(TABLE).items():
        is_max = TASKS[name]().direction == "max"
        signed = table.astype(float) * (1 if is_max else -1)
        best = np.nan_to_num(signed[:, -1].mean((2, 3)), nan=-np.inf).max(1)
        rope = 0.005 if is_max else 0.01 * abs(float(np.median(best)))
        tables[name] = signed, rope
        columns[name] = [outcome(choose, edges, signed, rope) for _, choose, edges in ways.values()]
    print(f"| design | cost | {' | '.join(columns)} |\n|---|---|{'---|' * len(columns)}")
    for number, (name, (cost, _, _)) in enumerate(ways.items()):
        found = [column[number] for column in columns.values()]
        cells = [
            f"{one.short:.2f}, {one.relu:.2f}, {one.not_worse:.0%}, {one.same:.0%}, {one.at_edge:.0%}" for one in found
        ]
        print(f"| {name} | {cost:.2f} | {' | '.join(cells)} |")
    print_errors(tables)


def main() -> None:
    """Simulate the designs on the table; with ``--table`` compute it before."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--table", nargs="*", metavar="TASK", help="compute the table of these tasks, by default of all"
    )
    options = parser.parse_args()
    if options.table is not None:
        write_table(options.table or list(TASKS))
    simulate()


if __name__ == "__main__":
    main()
