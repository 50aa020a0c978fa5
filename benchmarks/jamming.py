"""LeNet-5 under the gradient rules of arXiv 2509.07236, in accuracy and gradient direction by layer.

Each study holds the rules of one forward function against its true derivative ("tied"), on the same seeds; when a claim holds is said in
``jamming_small.py``, which has the small experiments.

    python benchmarks/jamming.py run --store FILE [--only lenet-relu,lenet-sigmoid-adam] [--seeds 10] [--full] [--minutes N]
    python benchmarks/jamming.py table --store FILE [--rows FILE.csv]
    python benchmarks/jamming.py direction

``run`` goes on where it was stopped. Without ``--full`` LeNet-5 sees 4,800 images for 4 epochs (300 steps) instead of 55,000 for 20
(17,200 steps).
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jamming_small import MARGIN, answer, difference

import actlab
from actlab.errors import ActlabError
from actlab.nn.transforms.swap import swap_
from actlab.study import Study, list_studies, load_study
from actlab.tasks import resolve
from actlab.tasks.data import Data, Split
from actlab.tasks.task import Task, adam

RULES = ("1", "jam", "positive_jam", "rectangular_jam", "half", "signal_jam")
SHORT_IMAGES, SHORT_EPOCHS = 4_800, 4


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One study: a forward function under several rules, the derivative first."""

    name: str
    task: Task
    forward: str
    rules: tuple[str, ...]

    @property
    def arms(self) -> list[str]:
        """The specs; the identity's derivative is 1, so that rule is no arm of its own."""
        apart = [rule for rule in self.rules if not (self.forward == "identity" and rule in {"1", "shuffled"})]
        return [self.forward, *(f"{self.forward}/{rule}" for rule in apart)]


def experiments(*, full: bool) -> list[Experiment]:
    """Return all studies: three optimizers for each of three forward functions."""
    task = resolve("jamming:lenet")
    if not full:
        task = replace(
            task,
            name="jamming:lenet, short",
            data=_Part(task.data, SHORT_IMAGES),
            epochs=SHORT_EPOCHS,
            source=f"{task.source}, {SHORT_IMAGES} images",
        )
    suffix = "-full" if full else ""
    kinds = {
        "sgd-0.1": replace(task, name=f"{task.name}, SGD 0.1", learning_rate=0.1),
        "adam": replace(task, name=f"{task.name}, Adam", optimizer=adam, learning_rate=1e-3),
        "sgd-0.01": task,
    }
    return [
        Experiment(
            name=f"lenet-{forward}-{kind}{suffix}",
            task=made,
            forward=forward,
            rules=RULES,
        )
        for kind, made in kinds.items()
        for forward in ("relu", "identity", "sigmoid")
    ]


@dataclass(frozen=True)
class _Part:
    """Data of which a seed sees the first so many training images of its own split; nothing is tuned on a validation split."""

    whole: Callable[[int], Data]
    images: int

    def __call__(self, seed: int) -> Data:
        data = self.whole(seed)
        return Data(train=Split(x=data.train.x[: self.images], y=data.train.y[: self.images]), test=data.test)


def run(options: argparse.Namespace) -> int:
    """Work the studies off, all of them on a few seeds before any gets more."""
    wanted = tuple(options.only.split(","))
    chosen = [one for one in experiments(full=options.full) if one.name.startswith(wanted)]
    end = time.monotonic() + 60 * options.minutes
    for seeds in sorted({*range(options.stride, options.seeds, options.stride), options.seeds}):
        for one in chosen:
            left = end - time.monotonic()
            if left <= 1:
                return 0
            begin = time.perf_counter()
            study = _compare(one, seeds, options.store, left)
            print(f"{one.name}: {len(study.rows())} rows, {time.perf_counter() - begin:.0f} s", flush=True)
    return 0


def _compare(one: Experiment, seeds: int, store: str, left: float) -> Study:
    return actlab.compare(
        one.task,
        one.arms,
        baseline=one.arms[0],
        seeds=seeds,
        budget=left,
        jobs=1,
        name=one.name,
        store=store,
        rope=MARGIN,
        eliminate=False,
    )


def table(options: argparse.Namespace) -> int:
    """Print every study that is in the store, as Markdown, with its sentence; write the rows if asked for."""
    done = _stored(options.store)
    for study in done:
        print("\n".join(_lines(study)), "\n")
    if options.rows:
        _write(done, Path(options.rows))
    return 0


def _stored(store: str) -> list[Study]:
    return [load_study(store, entry["study"]) for entry in list_studies(store)]


def _lines(study: Study) -> Iterator[str]:
    verdict = study.verdict()
    best = ", ".join(f"`{arm}`" for arm in verdict.best_set)
    yield f"**{study.name}** ({verdict.task}). May be the best: {best}. {verdict.recommendation}"
    yield ""
    yield "| spec | seeds | diverged | accuracy | difference to tied, 95 % interval | p | as good? | paper |"
    yield "|---|---|---|---|---|---|---|---|"
    order = {label: place for place, label in enumerate(study.plan.labels)}
    diverged = Counter(row["arm"] for row in study.rows() if row["status"] == "diverged")
    for arm in sorted(verdict.arms, key=lambda arm: order[arm.spec]):
        mean = "-" if arm.mean is None else f"{arm.mean:.4f}"
        yield f"| `{arm.spec}` | {arm.n} | {diverged[arm.spec]} | {mean} | {difference(arm)} | {answer(arm)} | |"


def _write(studies: Iterable[Study], path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ("study", "stage", "arm", "seed", "lr", "status", "accuracy", "validation", "train_loss", "steps")
        )
        for study in studies:
            for row in sorted(study.rows(), key=lambda row: (row["stage"], row["arm"], row["lr"], row["seed"])):
                numbers = (
                    "" if row[name] is None else f"{row[name]:.5g}" for name in ("metric", "validation", "train_loss")
                )
                lr = f"{row['lr']:.5g}"
                writer.writerow(
                    (study.name, row["stage"], row["arm"], row["seed"], lr, row["status"], *numbers, row["steps"])
                )


def direction(options: argparse.Namespace) -> int:
    """Print, per layer, what is left of the derivative's gradient under each rule: cosine, and share of units of equal sign."""
    print("| net | steps | spec | layer | cosine of the error | equal signs | cosine of the weights' gradient |")
    print("|---|---|---|---|---|---|---|")
    for name, steps in (("jamming:digits", 0), ("jamming:digits", 500), ("jamming:lenet", 0), ("jamming:lenet", 300)):
        task = resolve(name)
        for forward in ("relu", "sigmoid", "identity"):
            state, batch = _trained(task, forward, steps)
            true = _gradients(task, forward, state, batch, 0)
            for rule in ("1", "jam", "signal_jam", "shuffled"):
                if forward == "identity" and rule in {"1", "shuffled"}:
                    continue
                runs = [_gradients(task, f"{forward}/{rule}", state, batch, seed) for seed in range(options.repeats)]
                for line in _agreement(true, runs):
                    print(f"| {name} | {steps} | `{forward}/{rule}` | {line}", flush=True)
    return 0


State = dict[str, torch.Tensor]
Gradients = tuple[list[torch.Tensor], list[torch.Tensor]]


def _trained(task: Task, forward: str, steps: int) -> tuple[State, tuple[torch.Tensor, torch.Tensor]]:
    """Return the weights after some steps with the derivative, by Adam so that every forward learns, and a batch."""
    torch.manual_seed(0)
    data = task.data(0).train
    model = task.model(0)
    swap_(model, forward, example_inputs=data.x[:64])
    optimizer = adam(model.parameters(), 1e-3)
    for step in range(steps):
        part = slice(64 * step % (len(data) - 64), 64 * step % (len(data) - 64) + 64)
        optimizer.zero_grad()
        task.loss(model(data.x[part]), data.y[part]).backward()
        optimizer.step()
    return model.state_dict(), (data.x[-256:], data.y[-256:])


def _gradients(task: Task, spec: str, state: State, batch: tuple[torch.Tensor, torch.Tensor], seed: int) -> Gradients:
    """Return the error before each activation and the gradient of each weight matrix, the first layer first."""
    model = task.model(0)
    swap_(model, spec, example_inputs=batch[0][:2])
    model.load_state_dict(state)
    seen: list[torch.Tensor] = []
    layers = list(model)
    torch.manual_seed(seed)
    x = batch[0]
    for place, layer in enumerate(layers):
        if place and layers[place - 1].__class__.__name__ in {"Conv2d", "Linear"} and place < len(layers) - 1:
            x.retain_grad()
            seen.append(x)
        x = layer(x)
    task.loss(x, batch[1]).backward()
    weights = [weight.grad for weight in model.parameters() if weight.ndim > 1 and weight.grad is not None]
    return [tensor.grad for tensor in seen if tensor.grad is not None], weights


def _agreement(true: Gradients, runs: list[Gradients]) -> Iterator[str]:
    for layer in range(len(true[0])):
        error = [_cosine(run[0][layer], true[0][layer]) for run in runs]
        signs = [_equal_signs(run[0][layer], true[0][layer]) for run in runs]
        weight = [_cosine(run[1][layer], true[1][layer]) for run in runs]
        means = [sum(values) / len(values) for values in (error, signs, weight)]
        yield f"{layer + 1} of {len(true[0])} | {means[0]:.3f} | {means[1]:.1%} | {means[2]:.3f} |"


def _cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(one.flatten(), other.flatten(), dim=0))


def _equal_signs(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the share of equal signs among the places where neither gradient is zero."""
    both = (one != 0) & (other != 0)
    return float((one.sign() == other.sign())[both].float().mean()) if bool(both.any()) else float("nan")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("run", "table", "direction"))
    parser.add_argument("--store", default="jamming.db")
    parser.add_argument("--only", default="lenet", help="beginnings of the studies' names")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--stride", type=int, default=2, help="seeds that every study gets before any gets more")
    parser.add_argument("--minutes", type=float, default=1e6)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--rows", default=None, help="a CSV file for every trial")
    parser.add_argument("--repeats", type=int, default=5, help="draws of the noise, for direction")
    return parser.parse_args()


def main() -> int:
    """Do what is asked for; return the exit code."""
    torch.set_num_threads(1)
    options = _options()
    try:
        return {"run": run, "table": table, "direction": direction}[options.action](options)
    except ActlabError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
