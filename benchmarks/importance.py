"""Importance of activations of trained nets, checked by linearising half of the sites and fine-tuning.

    python benchmarks/importance.py                        # 3 seeds of two nets, about a quarter of an hour on one core
    python benchmarks/importance.py --seeds 1 --quick      # one minute; the numbers mean nothing

A CNN (six convolutions with BatchNorm and ReLU) on 12,000 images of Fashion-MNIST, and a transformer of six blocks with GELU that predicts
the next letter of Python's help texts. Each is trained, `actlab.importance` measures its sites on held-out samples (lines fitted to
training samples), and half of the sites are linearised: the least important, the most important, or those of the largest or smallest R^2,
which needs no replacement. Then each net, and the unchanged one, is fine-tuned for a tenth of the steps and evaluated on samples not used
for the choice. Rows are stored in a file, and the same command resumes.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import pydoc_data.topics
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import Tensor, nn

import actlab
from actlab.diagnostics.importance_result import Importance
from actlab.tasks import resolve

Pair = tuple[Tensor, Tensor]
# letters
CONTEXT = 64
WIDTH, BLOCKS, HEADS = 48, 6, 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """Net with its data and training.

    Attributes:
        model: returns a new net.
        train: inputs and targets to train on and to fit lines to.
        chosen: inputs and targets to choose sites on.
        test: inputs and targets to evaluate on.
        steps: of the training; fine-tuning has a tenth of them.
        rate: learning rate of Adam.
        batch: samples per step.
    """

    model: Callable[[], nn.Module]
    train: Pair
    chosen: Pair
    test: Pair
    steps: int
    rate: float
    batch: int


def convnet() -> nn.Module:
    """Return six convolutions with BatchNorm and ReLU."""
    widths = [(1, 16, 1), (16, 16, 1), (16, 32, 2), (32, 32, 1), (32, 48, 2), (48, 48, 1)]
    parts: list[nn.Module] = []
    for before, after, stride in widths:
        parts += [nn.Conv2d(before, after, 3, stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, 10))


class Block(nn.Module):
    """Pre-norm block of causal attention and an MLP with GELU."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.mix, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.act, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block to (samples, letters, width)."""
        query, key, value = self.mix(self.before(x)).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.down(self.act(self.up(self.between(x))))


class Letters(nn.Module):
    """Transformer that predicts the next letter at every position."""

    def __init__(self, letters: int) -> None:
        super().__init__()
        self.letters, self.places = nn.Embedding(letters, WIDTH), nn.Parameter(0.02 * torch.randn(CONTEXT, WIDTH))
        self.blocks = nn.Sequential(*(Block() for _ in range(BLOCKS)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, letters)

    def forward(self, text: Tensor) -> Tensor:
        """Return scores, shape (samples, letters, alphabet)."""
        return self.head(self.norm(self.blocks(self.letters(text) + self.places)))


def images(*, quick: bool) -> Case:
    """Return the CNN on Fashion-MNIST."""
    data = resolve("fashion-mnist").data(0)
    train, test = data.train, data.test
    shape = (-1, 1, 28, 28)
    x, y = train.x.reshape(shape), train.y
    parts = {
        "train": (x[:12000], y[:12000]),
        "chosen": (x[-500:], y[-500:]),
        "test": (test.x[:2000].reshape(shape), test.y[:2000]),
    }
    return Case(model=convnet, **parts, steps=60 if quick else 700, rate=2e-3, batch=64)


def text(*, quick: bool) -> Case:
    """Return the transformer on Python's help texts; the parts for training, choosing and testing are disjoint."""
    corpus = "\n".join(pydoc_data.topics.topics[name] for name in sorted(pydoc_data.topics.topics))
    alphabet = sorted({letter for letter in corpus if letter.isascii()})
    index = {letter: number for number, letter in enumerate(alphabet)}
    numbers = torch.tensor([index[letter] for letter in corpus if letter in index])
    rows = numbers[: len(numbers) // (CONTEXT + 1) * (CONTEXT + 1)].view(-1, CONTEXT + 1)
    pairs = rows[:, :-1].contiguous(), rows[:, 1:].contiguous()
    ends = (len(rows) * 7 // 10, len(rows) * 7 // 10 + 500, len(rows) * 7 // 10 + 1500)
    parts = [tuple(side[a:b] for side in pairs) for a, b in zip((0, *ends[:2]), ends, strict=True)]
    model = lambda: Letters(len(alphabet))  # noqa: E731 # it needs the size of the alphabet
    return Case(
        model=model, train=parts[0], chosen=parts[1], test=parts[2], steps=60 if quick else 900, rate=2e-3, batch=32
    )


CASES = {"relu cnn": images, "gelu transformer": text}


def batches(pair: Pair, size: int) -> list[Pair]:
    """Cut samples into batches."""
    return list(zip(pair[0].split(size), pair[1].split(size), strict=True))


def fit(model: nn.Module, case: Case, steps: int, rate: float, seed: int) -> None:
    """Train with Adam and cosine decay."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    model.train()
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * (1 + math.cos(math.pi * step / steps)) / 2
        index = torch.randint(len(case.train[0]), (case.batch,), generator=generator)
        loss_of(model(case.train[0][index]), case.train[1][index]).backward()
        optimizer.step()
        optimizer.zero_grad()


def loss_of(output: Tensor, target: Tensor) -> Tensor:
    """Return the mean cross entropy."""
    return F.cross_entropy(output.flatten(0, -2), target.flatten())


@torch.no_grad()
def evaluate(model: nn.Module, case: Case) -> tuple[float, float]:
    """Return loss and error on the test samples."""
    model.eval()
    sums = torch.zeros(2, dtype=torch.float64)
    for x, y in batches(case.test, 250):
        output = model(x)
        sums += len(x) * torch.tensor([loss_of(output, y), (output.argmax(-1) != y).float().mean()])
    loss, error = (sums / len(case.test[0])).tolist()
    return loss, error


def groups(found: Importance) -> dict[str, list[str]]:
    """Return the half of the sites to linearise for each criterion."""
    half = len(found) // 2
    by_loss = [row.path for row in reversed(found.ranked)]
    by_r2 = [row.path for row in sorted(found, key=lambda row: -row.r2)]
    return {
        "none": [],
        "least important": by_loss[:half],
        "most important": by_loss[-half:],
        "largest R2": by_r2[:half],
        "smallest R2": by_r2[-half:],
    }


def rows_of(name: str, seed: int, *, quick: bool) -> dict[str, Any]:
    """Train a net, measure its sites, and try each choice."""
    case = CASES[name](quick=quick)
    torch.manual_seed(seed)
    model = case.model()
    fit(model, case, case.steps, case.rate, seed)
    began = time.process_time()
    calibration = batches(tuple(side[:500] for side in case.train), 250)  # type: ignore[arg-type]  # a pair stays a pair
    found = actlab.importance(model, batches(case.chosen, 250), calibration=calibration)
    row: dict[str, Any] = {
        "case": name,
        "seed": seed,
        "quick": quick,
        "seconds": time.process_time() - began,
        **found.to_dict(),
    }
    row["trials"] = {}
    for choice, paths in groups(found).items():
        net = copy.deepcopy(model)
        if paths:
            actlab.linearise_(net, paths, calibration)
        before = evaluate(net, case)
        fit(net, case, case.steps // 10, case.rate / 5, seed + 1000)
        row["trials"][choice] = {"paths": paths, "before": before, "after": evaluate(net, case)}
    return row


def tables(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the tables."""
    for name in dict.fromkeys(row["case"] for row in rows):
        of_case = [row for row in rows if row["case"] == name]
        yield f"\n{name}, {len(of_case)} seeds; cross entropy on the samples for the choice: " + ", ".join(
            f"{r['baseline']:.3f}" for r in of_case
        )
        yield f"  {'site':<14}{'R2':>22}{'loss, linearised':>28}{'loss, constant':>24}   conclusion (linearised)"
        for number, first in enumerate(of_case[0]["rows"]):
            each = [row["rows"][number] for row in of_case]
            r2 = " ".join(f"{one['r2']:.3f}" for one in each)
            lines, constants = (
                " ".join(f"{one[kind]['mean']:+.4f}" for one in each) for kind in ("linearised", "ablated")
            )
            states = ", ".join(dict.fromkeys(one["linearised"]["state"] for one in each))
            yield f"  {first['path']:<14}{r2:>22}{lines:>28}{constants:>24}   {states}"
        together = ", ".join(f"{len(row['together'])} of {len(row['rows'])}" for row in of_case)
        yield f"  linearised together within 5 % of the loss: {together}"
        ranks = [
            spearmanr([1 - r["r2"] for r in row["rows"]], [r["linearised"]["mean"] for r in row["rows"]])[0]
            for row in of_case
        ]
        yield "  rank correlation of 1 - R2 and the loss: " + ", ".join(f"{rank:+.2f}" for rank in ranks)
        yield f"  {'half of the sites linearised':<28}{'loss before tuning':>22}{'loss, tuned':>24}{'error, tuned':>24}"
        for choice in of_case[0]["trials"]:
            tried = [row["trials"][choice] for row in of_case]
            cells = [[t["before"][0] for t in tried], [t["after"][0] for t in tried], [t["after"][1] for t in tried]]
            texts = [" ".join(f"{value:.4f}" for value in cell) for cell in cells]
            yield f"  {choice:<28}{texts[0]:>22}{texts[1]:>24}{texts[2]:>24}"
        after = {choice: [row["trials"][choice]["after"][0] for row in of_case] for choice in of_case[0]["trials"]}
        gaps = [most - least for most, least in zip(after["most important"], after["least important"], strict=True)]
        each = " ".join(f"{gap:+.4f}" for gap in gaps)
        yield f"  most minus least important, tuned: mean {statistics.mean(gaps):+.4f}, single seeds {each}"
        yield f"  actlab.importance took {statistics.median(row['seconds'] for row in of_case):.0f} s of CPU time"


def main() -> None:
    """Run what is missing in the file, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rows", type=Path, default=Path("importance.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = json.loads(arguments.rows.read_text()) if arguments.rows.exists() else []
    for seed in range(arguments.seeds):
        for name in CASES:
            if not any((row["case"], row["seed"], row["quick"]) == (name, seed, arguments.quick) for row in rows):
                rows.append(rows_of(name, seed, quick=arguments.quick))
                arguments.rows.write_text(json.dumps(rows))
    print("\n".join(tables([row for row in rows if row["quick"] == arguments.quick and row["seed"] < arguments.seeds])))


if __name__ == "__main__":
    main()
