"""Importance: which activations of trained nets could be lines, and whether that was the right choice, tried by fine-tuning.

    python benchmarks/importance.py                        # 3 seeds of two nets, about a quarter of an hour on one core
    python benchmarks/importance.py --seeds 1 --quick      # one minute; the numbers mean nothing

A CNN (six convolutions with BatchNorm and ReLU) on 12,000 images of Fashion-MNIST, and a transformer of six blocks with GELU that predicts
the next letter of the help texts that come with Python. Each is trained, `actlab.importance` measures its sites on held-out samples (lines
fitted to training samples), and half of the sites become lines: those of the least importance, those of the most, or those of the largest
or smallest R^2, which needs no exchange at all. Then each net, and the one that was left as it is, is trained on for a tenth of the steps
and judged on samples that nothing was chosen on. Rows are kept in a file: the same command goes on where it was.
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
CONTEXT = 64  # letters
WIDTH, BLOCKS, HEADS = 48, 6, 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A net and its data.

    Attributes:
        model: makes the net.
        train, chosen, test: inputs and targets: to train and fit, to choose sites, to judge.
        steps: of the training; a tenth of them of the fine-tuning.
        rate: of Adam.
        batch: samples in a step.
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
    """Causal attention and an MLP with GELU, norms before each."""

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
    """Predicts the next letter at every place."""

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
    """Return the transformer on Python's help texts; the places of training, choosing and judging lie apart."""
    whole = "\n".join(pydoc_data.topics.topics[name] for name in sorted(pydoc_data.topics.topics))
    alphabet = sorted({letter for letter in whole if letter.isascii()})
    index = {letter: number for number, letter in enumerate(alphabet)}
    numbers = torch.tensor([index[letter] for letter in whole if letter in index])
    rows = numbers[: len(numbers) // (CONTEXT + 1) * (CONTEXT + 1)].view(-1, CONTEXT + 1)
    pairs = rows[:, :-1].contiguous(), rows[:, 1:].contiguous()
    ends = (len(rows) * 7 // 10, len(rows) * 7 // 10 + 500, len(rows) * 7 // 10 + 1500)
    parts = [tuple(side[a:b] for side in pairs) for a, b in zip((0, *ends[:2]), ends, strict=True)]
    model = lambda: Letters(len(alphabet))  # noqa: E731 # the size of the alphabet is known here only
    return Case(
        model=model, train=parts[0], chosen=parts[1], test=parts[2], steps=60 if quick else 900, rate=2e-3, batch=32
    )


CASES = {"relu cnn": images, "gelu transformer": text}


def batches(pair: Pair, size: int) -> list[Pair]:
    """Cut samples into batches."""
    return list(zip(pair[0].split(size), pair[1].split(size), strict=True))


def fit(model: nn.Module, case: Case, steps: int, rate: float, seed: int) -> None:
    """Train with Adam and a rate that falls to zero as a cosine does."""
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
def judged(model: nn.Module, case: Case) -> tuple[float, float]:
    """Return loss and error on the test samples."""
    model.eval()
    sums = torch.zeros(2, dtype=torch.float64)
    for x, y in batches(case.test, 250):
        output = model(x)
        sums += len(x) * torch.tensor([loss_of(output, y), (output.argmax(-1) != y).float().mean()])
    loss, error = (sums / len(case.test[0])).tolist()
    return loss, error


def groups(found: Importance) -> dict[str, list[str]]:
    """Return which half of the sites become lines, by what they are chosen by."""
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
    """Train a net, measure its sites, and try the choices."""
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
        one = copy.deepcopy(model)
        if paths:
            actlab.linearise_(one, paths, calibration)
        before = judged(one, case)
        fit(one, case, case.steps // 10, case.rate / 5, seed + 1000)
        row["trials"][choice] = {"paths": paths, "before": before, "after": judged(one, case)}
    return row


def shown(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the tables."""
    for name in dict.fromkeys(row["case"] for row in rows):
        mine = [row for row in rows if row["case"] == name]
        yield f"\n{name}, {len(mine)} seeds; cross entropy on the samples that choose: " + ", ".join(
            f"{r['baseline']:.3f}" for r in mine
        )
        yield f"  {'site':<14}{'R2':>22}{'lost as a line':>28}{'as a constant':>24}   said (of the line)"
        for number, first in enumerate(mine[0]["rows"]):
            each = [row["rows"][number] for row in mine]
            r2 = " ".join(f"{one['r2']:.3f}" for one in each)
            lines, constants = (
                " ".join(f"{one[kind]['mean']:+.4f}" for one in each) for kind in ("linearised", "ablated")
            )
            states = ", ".join(dict.fromkeys(one["linearised"]["state"] for one in each))
            yield f"  {first['path']:<14}{r2:>22}{lines:>28}{constants:>24}   {states}"
        together = ", ".join(f"{len(row['together'])} of {len(row['rows'])}" for row in mine)
        yield f"  lines together within 5 % of the loss: {together}"
        ranks = [
            spearmanr([1 - r["r2"] for r in row["rows"]], [r["linearised"]["mean"] for r in row["rows"]])[0]
            for row in mine
        ]
        yield "  rank correlation of 1 - R2 and what is lost: " + ", ".join(f"{rank:+.2f}" for rank in ranks)
        yield f"  {'half of the sites as lines':<28}{'loss at once':>22}{'loss, trained on':>24}{'error, trained on':>24}"
        for choice in mine[0]["trials"]:
            tried = [row["trials"][choice] for row in mine]
            cells = [[t["before"][0] for t in tried], [t["after"][0] for t in tried], [t["after"][1] for t in tried]]
            texts = [" ".join(f"{value:.4f}" for value in cell) for cell in cells]
            yield f"  {choice:<28}{texts[0]:>22}{texts[1]:>24}{texts[2]:>24}"
        after = {choice: [row["trials"][choice]["after"][0] for row in mine] for choice in mine[0]["trials"]}
        gaps = [most - least for most, least in zip(after["most important"], after["least important"], strict=True)]
        each = " ".join(f"{gap:+.4f}" for gap in gaps)
        yield f"  most minus least important, trained on: mean {statistics.mean(gaps):+.4f}, single seeds {each}"
        yield f"  actlab.importance took {statistics.median(row['seconds'] for row in mine):.0f} s of CPU time"


def main() -> None:
    """Run what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rows", type=Path, default=Path("importance.json"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = json.loads(asked.rows.read_text()) if asked.rows.exists() else []
    for seed in range(asked.seeds):
        for name in CASES:
            if not any((row["case"], row["seed"], row["quick"]) == (name, seed, asked.quick) for row in rows):
                rows.append(rows_of(name, seed, quick=asked.quick))
                asked.rows.write_text(json.dumps(rows))
    print("\n".join(shown([row for row in rows if row["quick"] == asked.quick and row["seed"] < asked.seeds])))


if __name__ == "__main__":
    main()
