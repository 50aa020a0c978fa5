"""Quality of trained nets after a swap at once, after a gradual morph, and without a swap.

Run: python benchmarks/morph.py [cnn] [text] [show]        (all three, if none is named; about 5 minutes of one quiet core a seed)
     --seeds 3 --steps 200                                  (of the arms; rows of other settings are kept beside)

cnn:   a ReLU net (two convolutions with BatchNorm, three Linears; 56,322 parameters) trained on Fashion-MNIST for 600 steps of batch 64
       goes over to GELU, SiLU, LeakyReLU and tanh; then the nets that the morph has made of it go back to ReLU.
text:  a character-level transformer with GELU (2 layers of 64, context 64), trained for 1,500 steps on the source of Python's standard
       library, goes over to ReLU, and to SwiGLU blocks at equal parameters.
show:  the tables.

Arms, all with the same batches and the same schedule (Adam, warm-up, cosine to zero, 200 steps): "none" trains on without a swap; "blunt"
swaps at once; "matched" swaps at once with the outputs' scales folded into the next layers (for SwiGLU: with fitted first weights);
"morph" goes over in the first fifth of the steps, matched; "learned" is the morph with a pace learned at each site; "long" goes over in
the first half, in a straight line. BatchNorms are recalibrated at the end, in every arm. Values are of the test images (10,000), or of
66 kB of text that no training saw, in nats; "right after" is before any of these steps. The last columns are the first check (every 40
steps, the middle one of the seeds) at which the model, with its new functions alone, is within 0.5 points of the old accuracy on
validation data (characters guessed right, for text); and how many seeds are so on test data in the end.

Rows are appended to benchmarks/morph.json after each run, and found again: stop it at any time, or ask for more seeds later. The trained
nets lie in build/morph, which is not committed; they are trained again where they are not there.
"""

from __future__ import annotations

import argparse
import copy
import fcntl
import json
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from actlab.nn.probes.probe import probe
from actlab.nn.training.recipe import Recipe
from actlab.nn.training.rule_schedule import Straight
from actlab.nn.transforms.batchnorm_statistics import recalibrate_
from actlab.nn.transforms.morph.morph import Morph
from actlab.nn.transforms.morph.output_matching import OutputMatch
from actlab.nn.transforms.swap import swap_
from actlab.stats.bootstrap import bootstrap_interval
from actlab.tasks.builtin.fashion_mnist import lenet_task
from actlab.tasks.isolation import isolated

ROOT = Path(__file__).resolve().parent.parent
ROWS, NETS = ROOT / "benchmarks" / "morph.json", ROOT / "build" / "morph"
MEAN, DEVIATION = 0.2860, 0.3530  # of the training pixels
BATCH, CALIBRATION, EVERY, RATE = 64, 8, 40, 1e-3
ARMS: dict[str, dict[str, Any]] = {
    "none": {},
    "blunt": {"anneal": 0.0, "match": False},
    "matched": {"anneal": 0.0, "match": True},
    "morph": {"anneal": 0.2, "match": True},
    "learned": {"anneal": 0.2, "match": True, "learned": True},
    "long": {"anneal": 0.5, "match": True, "curve": Straight(start=0.0, end=1.0)},
}


@dataclass(frozen=True, kw_only=True)
class Ground:
    """A net, its data and its training.

    Attributes:
        name: "cnn" or "text".
        net: builds the net, by torch's global generator.
        batch: of seed and step, returns input and target.
        first_steps: of the training before any swap.
        checked: of a seed, returns validation and test data: input and target.
        start: its activation before any swap.
    """

    name: str
    net: Callable[[], nn.Module]
    batch: Callable[[int, int], tuple[Tensor, Tensor]]
    first_steps: int
    checked: Callable[[int], tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]]
    start: str


# ---------------------------------------------------------------------------------------------- images


def convolutional() -> nn.Module:
    """Return the ReLU net for images."""
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)),
    )


@lru_cache(maxsize=1)
def images(seed: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Return Fashion-MNIST, split by the seed, standardised."""
    whole = lenet_task().data(seed)
    parts = {"train": whole.train, "validation": whole.validation, "test": whole.test}
    return {name: ((part.x - MEAN) / DEVIATION, part.y) for name, part in parts.items()}


def image_batch(seed: int, step: int) -> tuple[Tensor, Tensor]:
    """Return the batch of a step."""
    x, y = images(seed)["train"]
    chosen = torch.randint(len(x), (BATCH,), generator=torch.Generator().manual_seed(1_000_003 * seed + step))
    return x[chosen], y[chosen]


def image_evaluation(seed: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return 2,000 validation images, and the test images."""
    x, y = images(seed)["validation"]
    return (x[:2000], y[:2000]), images(seed)["test"]


# ------------------------------------------------------------------------------------------------ text

CONTEXT, WIDTH, LAYERS, HEADS, TEXTS = 64, 64, 2, 4, 16


class Block(nn.Module):
    """A transformer block with norms before its parts."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.norm_of_mlp = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.act, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Apply attention, then the MLP; ``(texts, characters, width)``."""
        parts = self.qkv(self.norm(x)).unflatten(-1, (3, HEADS, WIDTH // HEADS)).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2], is_causal=True)
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        return x + self.down(self.act(self.up(self.norm_of_mlp(x))))


class CharacterTransformer(nn.Module):
    """A character-level transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.characters, self.places = nn.Embedding(128, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 128)

    def forward(self, text: Tensor) -> Tensor:
        """Return logits ``(texts, 128, characters)`` of the next character."""
        x = self.characters(text) + self.places.weight[: text.shape[1]]
        return self.head(self.norm(self.blocks(x))).transpose(1, 2)


@lru_cache(maxsize=1)
def characters() -> Tensor:
    """Return two million characters of the standard library of this Python, module by module."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    text = "".join(file.read_text(encoding="utf-8", errors="replace") for file in sorted(folder.glob("*.py")))
    codes = torch.tensor(list(text.encode("ascii", errors="replace")[:2_000_000]))
    assert len(codes) == 2_000_000, f"{folder} has less text than that"
    return codes


def cut(starts: Tensor) -> tuple[Tensor, Tensor]:
    """Return texts from these positions on, and the next character of each."""
    places = starts[:, None] + torch.arange(CONTEXT + 1)
    found = characters()[places]
    return found[:, :-1], found[:, 1:]


def text_batch(seed: int, step: int) -> tuple[Tensor, Tensor]:
    """Return the batch of a step, out of the first 1.8 million characters."""
    generator = torch.Generator().manual_seed(1_000_003 * seed + step)
    return cut(torch.randint(1_800_000 - CONTEXT, (TEXTS,), generator=generator))


def text_evaluation(_: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return 32 kB for checks and 64 kB for the result, which no training saw."""
    starts = 1_800_000 + torch.arange(1536) * (CONTEXT + 1)
    return cut(starts[:512]), cut(starts[512:])


GROUNDS = {
    "cnn": Ground(
        name="cnn", net=convolutional, batch=image_batch, first_steps=600, checked=image_evaluation, start="relu"
    ),
    "text": Ground(
        name="text", net=CharacterTransformer, batch=text_batch, first_steps=1500, checked=text_evaluation, start="gelu"
    ),
}


# ---------------------------------------------------------------------------------------------- trials


@torch.no_grad()
def evaluate(net: nn.Module, part: tuple[Tensor, Tensor]) -> tuple[float, float]:
    """Return accuracy and cross-entropy in nats."""
    net.eval()
    outputs = torch.cat([net(x) for x in part[0].split(256)])
    right = float((outputs.argmax(1) == part[1]).double().mean())
    return right, float(functional.cross_entropy(outputs, part[1]))


def train(net: nn.Module, ground: Ground, seed: int, steps: range, recipe: Recipe) -> Iterator[int]:
    """Train; yield the number of steps done after each."""
    for step in steps:
        net.train()
        x, y = ground.batch(seed, step)
        functional.cross_entropy(net(x), y).backward()
        recipe.step()
        yield step + 1 - steps.start


def first(ground: Ground, seed: int) -> nn.Module:
    """Return the trained net before any swap, from disk or trained now."""
    saved = NETS / f"{ground.name}_{seed}.pt"
    with isolated(seed):
        net = ground.net()
    if saved.exists():
        net.load_state_dict(torch.load(saved, weights_only=True))
        return net
    recipe = Recipe(net, total=ground.first_steps, learning_rate=2 * RATE)
    for _ in train(net, ground, seed, range(ground.first_steps), recipe):
        pass
    NETS.mkdir(parents=True, exist_ok=True)
    torch.save(net.state_dict(), saved)
    return net


def morphed_net(ground: Ground, seed: int, target: str, steps: int) -> nn.Module:
    """Return the net after a morph, from disk or computed now."""
    saved = NETS / f"{ground.name}_{seed}_{target}_{steps}.pt"
    net = first(ground, seed)
    if not saved.exists():
        trial(ground, net, seed=seed, target=target, arm="morph", steps=steps, later=0, saved=saved)
    net = first(ground, seed)
    swap_(net, target, ground.batch(seed, 0)[0])
    net.load_state_dict(torch.load(saved, weights_only=True))
    return net


def trial(
    ground: Ground,
    net: nn.Module,
    *,
    seed: int,
    target: str,
    arm: str,
    steps: int,
    later: int,
    saved: Path | None = None,
) -> dict[str, Any]:
    """Change the activations of a net and train it by one arm; return the columns of its row."""
    start, options = time.process_time(), dict(ARMS[arm])
    validation, test = ground.checked(seed)
    calibration = [ground.batch(seed, 10**6 + index)[0] for index in range(CALIBRATION)]
    before = {
        "validation": evaluate(net, validation),
        "test": evaluate(net, test),
        "sparsity": sparsity(net, calibration),
    }
    morph = None
    if arm != "none":
        data = calibration if options.pop("match") else ()
        wanted = {ground.start if later == 0 else "*": target}
        morph = Morph(net, wanted, calibration[0], total=steps, data=data, **options)
    at_once = evaluate(net, test) if morph and morph.merged else None
    recipe = Recipe(net, total=steps, learning_rate=RATE)
    recovered = None
    offset = ground.first_steps + later * steps
    for done in train(net, ground, seed, range(offset, offset + steps), recipe):
        if morph:
            morph.step()
        is_final = morph is None or morph.merged
        if recovered is None and is_final and done % EVERY == 0:
            recalibrate_(net, calibration)
            recovered = done if evaluate(net, validation)[0] >= before["validation"][0] - 0.005 else None
    recalibrate_(net, calibration)
    if saved:
        torch.save(net.state_dict(), saved)
    return {
        "before": before["test"],
        "at_once": at_once,
        "after": evaluate(net, test),
        "recovered": recovered,
        "sparsity": (before["sparsity"], sparsity(net, calibration)),
        "parameters": sum(p.numel() for p in net.parameters()),
        "scales": [round(match.scale, 3) for match in _matches(morph)],
        "folded": sum(bool(match.folded) for match in _matches(morph)),
        "explained": [round(found.explained, 4) for found in morph.takeovers.values()] if morph else [],
        "seconds": round(time.process_time() - start, 1),
    }


def _matches(morph: Morph | None) -> list[OutputMatch]:
    return list(morph.matches.values()) if morph else []


def sparsity(net: nn.Module, batches: list[Tensor]) -> float:
    """Return the share of zeros over the activations of a net, with equal weights of the sites."""
    rows = [row for row in probe(net, batches[:1], rank=False).rows if row.units]
    return round(sum(row.sparsity for row in rows) / len(rows), 4)


# ----------------------------------------------------------------------------------------------- rows


def rows() -> list[dict[str, Any]]:
    """Return what has been measured so far."""
    return json.loads(ROWS.read_text(encoding="utf-8")) if ROWS.exists() else []


def append_row(row: dict[str, Any]) -> None:
    """Append a row atomically; several processes may do so at once."""
    NETS.mkdir(parents=True, exist_ok=True)
    with (NETS / "lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lines = ",\n".join(json.dumps(one) for one in (*rows(), row))
        draft = ROWS.with_suffix(".part")
        draft.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
        draft.replace(ROWS)


def work(ground: Ground, plans: list[tuple[str, str, tuple[str, ...]]], seeds: int, steps: int) -> None:
    """Run the missing trials, seed by seed; a plan is origin ("" for the first net, or an earlier target), target and arms."""
    for seed, (origin, target, arms) in ((seed, plan) for seed in range(seeds) for plan in plans):
        for arm in arms:
            key = {"ground": ground.name, "origin": origin, "target": target, "arm": arm, "seed": seed, "steps": steps}
            if any(all(row[name] == value for name, value in key.items()) for row in rows()):
                continue
            net = morphed_net(ground, seed, origin, steps) if origin else first(ground, seed)
            NETS.mkdir(parents=True, exist_ok=True)
            is_origin = arm == "morph" and not origin
            saved = NETS / f"{ground.name}_{seed}_{target}_{steps}.pt" if is_origin else None
            options = {
                "seed": seed,
                "target": target,
                "arm": arm,
                "steps": steps,
                "later": int(bool(origin)),
                "saved": saved,
            }
            append_row(key | trial(ground, copy.deepcopy(net), **options))
            print(key, flush=True)


CNN = [
    ("", "none", ("none",)),
    *(("", target, ("blunt", "matched", "morph")) for target in ("gelu", "silu", "leaky_relu")),
    *((origin, "none", ("none",)) for origin in ("gelu", "silu", "leaky_relu")),
    *((origin, "relu", ("blunt", "morph")) for origin in ("gelu", "silu", "leaky_relu")),
    ("", "tanh", ("blunt", "matched", "morph", "learned", "long")),
]
TEXT = [
    ("", "none", ("none",)),
    ("", "relu", ("blunt", "matched", "morph")),
    ("", "swiglu", ("blunt", "matched", "morph")),
    ("", "relu", ("learned", "long")),
]


# ---------------------------------------------------------------------------------------------- tables


def table(ground: str, steps: int) -> str:
    """Return the table of a ground: every swap, its arms, and what they lose against training on without a swap."""
    chosen = [row for row in rows() if row["ground"] == ground and row["steps"] == steps]
    nats = ground == "text"
    heads = ["swap", "arm", "before", "right after", f"after {steps} steps", "against no swap (95 %)"]
    heads += ["against blunt (95 %)", "recovered after", "in the end"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for origin, target, arms in TEXT if nats else CNN:
        for arm in arms:
            mine = by_seed(chosen, origin, target, arm)
            if mine:
                name = f"{origin or GROUNDS[ground].start} to {target}" if arm != "none" else f"{origin or 'none'}"
                lines.append(f"| {name} | {arm} | " + " | ".join(cells(chosen, mine, origin, target, nats)) + " |")
    return "\n".join(lines)


def by_seed(chosen: list[dict[str, Any]], origin: str, target: str, arm: str) -> dict[int, dict[str, Any]]:
    """Return the rows of an arm."""
    key = {"origin": origin, "target": target, "arm": arm}
    return {row["seed"]: row for row in chosen if all(row[name] == value for name, value in key.items())}


def cells(
    chosen: list[dict[str, Any]], mine: dict[int, dict[str, Any]], origin: str, target: str, nats: bool
) -> list[str]:
    """Return the cells of a row of the table."""
    at = 1 if nats else 0
    once = [row["at_once"][at] for row in mine.values() if row["at_once"]]
    recovered = [row["recovered"] for row in mine.values()]
    reached = sorted(value for value in recovered if value is not None)
    if next(iter(mine.values()))["arm"] == "none":
        reached, recovered = [], []
    words = (
        f"{reached[len(reached) // 2]} steps ({len(reached)} of {len(recovered)})"
        if reached
        else "never"
        if recovered
        else ""
    )
    return [
        format_mean([row["before"][at] for row in mine.values()], nats),
        format_mean(once, nats) if once else "",
        format_mean([row["after"][at] for row in mine.values()], nats),
        gap(mine, by_seed(chosen, origin, "none", "none"), at),
        gap(mine, by_seed(chosen, origin, target, "blunt"), at),
        words,
        f"{sum(row['after'][0] >= row['before'][0] - 0.005 for row in mine.values())} of {len(mine)}",
    ]


def format_mean(values: list[float], nats: bool) -> str:
    """Return a mean, as nats or as points."""
    mean = sum(values) / len(values)
    return f"{mean:.3f}" if nats else f"{mean:.2%}"


def gap(mine: dict[int, dict[str, Any]], base: dict[int, dict[str, Any]], at: int) -> str:
    """Return the mean paired difference, in points or nats, and its 95 % interval."""
    factor = 1 if at else 100
    both = [factor * (mine[seed]["after"][at] - base[seed]["after"][at]) for seed in sorted(mine.keys() & base.keys())]
    if not both or all(mine[seed] is base.get(seed) for seed in mine):
        return ""
    digits = 3 if at else 2
    interval = bootstrap_interval(both, seed=0)
    words = f"{sum(both) / len(both):+.{digits}f}"
    return words + (f" ({interval[0]:+.{digits}f} to {interval[1]:+.{digits}f})" if interval else "")


def show(steps: int) -> None:
    """Print the tables and the other measurements."""
    for ground in GROUNDS:
        chosen = [row for row in rows() if row["ground"] == ground and row["steps"] == steps]
        seeds = sorted({row["seed"] for row in chosen})
        print(f"\n{ground}, seeds {seeds}, {sum(row['seconds'] for row in chosen):.0f} s of one core\n")
        print(table(ground, steps))
        for row in (row for row in chosen if row["seed"] == 0 and row["arm"] in {"matched", "morph"}):
            parts = {name: row[name] for name in ("scales", "folded", "explained", "sparsity", "parameters")}
            print(f"  seed 0, {row['origin'] or 'first'} to {row['target']}, {row['arm']}: {parts}")


def main() -> None:
    """Run the stages named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*", default=["cnn", "text", "show"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for stage in options.stages:
        if stage == "show":
            show(options.steps)
        elif stage in GROUNDS:
            work(GROUNDS[stage], CNN if stage == "cnn" else TEXT, options.seeds, options.steps)
        else:
            sys.exit(f"There is no stage {stage!r}; there are cnn, text and show.")


if __name__ == "__main__":
    main()
