"""Nets with binary activations against the same nets with ReLU, on Fashion-MNIST: accuracy, robustness to corrupted inputs, active units.

Run: python benchmarks/step_nets.py [screen] [train] [probe] [write]     (all four, if none is named; about 25 minutes of one core)
     --epochs 5 --seeds 3 --batch 128                                    (of the trainings; rows of other settings are kept beside)

Two nets with a BatchNorm before every activation: an MLP 784-1024-1024-10, and LeNet-5 (61,932 parameters with the norms). Arms: ReLU;
the best rule for a Heaviside step and the best rule for a sign, with float weights; and W1A1 (the MLP with all weights and activations
binary, whole-number pixels, a BatchNorm behind the last layer). All train by `actlab.models.recipes.Recipe`: Adam, warm-up, cosine to
zero, cross-entropy, no augmentation. Seed s fixes split, order and initial weights of every arm.

screen: every rule, and ReLU, at two learning rates: three epochs of 11,000 images, one seed that is used for nothing else; the best by
        accuracy on 5,000 validation images goes on with its learning rate. The test images are not touched.
train:  55,000 images, seeds 0, 1, ...; one test accuracy at the end, and the validation accuracy after each epoch.
probe:  the trained nets on corrupted test images, and the share of units that are above zero; packed W1A1 nets against the trained ones.
write:  tables and curves into docs/step_nets.md.

Rows are appended to benchmarks/step_nets.json after each run, and found again: stop it at any time, or ask for more seeds or epochs later.
The trained nets lie in build/step_nets; a probe trains those that are missing again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from actlab.models.binary import BinaryLinear
from actlab.models.layer import layer
from actlab.models.recipes import Recipe, binary
from actlab.tasks.fashion_mnist import by_lenet
from actlab.tasks.task import Data, Split, accuracy

ROOT = Path(__file__).resolve().parent.parent
ROWS, NETS, DOCUMENT = (
    ROOT / "benchmarks" / "step_nets.json",
    ROOT / "build" / "step_nets",
    ROOT / "docs" / "step_nets.md",
)
STEPS = ("step/1", "step/rect", "step/triangular", "step/sigmoid", "step/arctan")
SIGNS = ("sign/clipped", "sign/approxsign", "sign/ede", "sign/arctan")
RATES = (1e-3, 3e-3)
SCREENED = {"images": 11_000, "epochs": 3, "seed": 1000}
MEAN, DEVIATION = 0.2860, 0.3530  # of the training pixels


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What is trained.

    Attributes:
        net: "mlp", "lenet", or "lenet_max", which pools before the norm, as nets to be packed do.
        spec: the activation.
        weights: "float" or "binary".
    """

    net: str
    spec: str
    weights: str = "float"

    @property
    def group(self) -> str:
        """Whom it is screened against: relu, step, sign or w1a1."""
        return "w1a1" if self.weights == "binary" else self.spec.split("/")[0]


def model(arm: Arm) -> nn.Sequential:
    """Return the net of an arm, drawn by torch's global generator."""
    if arm.net != "mlp":
        return nn.Sequential(
            *_block(nn.Conv2d(1, 6, 5, padding=2, bias=False), 6, arm),
            *_block(nn.Conv2d(6, 16, 5, bias=False), 16, arm),
            nn.Flatten(),
            *_block(nn.Linear(400, 120, bias=False), 120, arm),
            *_block(nn.Linear(120, 84, bias=False), 84, arm),
            nn.Linear(84, 10),
        )
    linear: Any = BinaryLinear if arm.weights == "binary" else nn.Linear
    last = [linear(1024, 10, bias=False), nn.BatchNorm1d(10)] if arm.weights == "binary" else [nn.Linear(1024, 10)]
    hidden = (*_block(linear(784, 1024, bias=False), 1024, arm), *_block(linear(1024, 1024, bias=False), 1024, arm))
    return nn.Sequential(nn.Flatten(), *hidden, *last)


def _block(weights: nn.Module, channels: int, arm: Arm) -> list[nn.Module]:
    """Return weights, norm and activation; a convolution's activation is pooled by means, as in LeNet-5, or its sums by maxima."""
    if not isinstance(weights, nn.Conv2d):
        return [weights, nn.BatchNorm1d(channels), layer(arm.spec)]
    if arm.net == "lenet_max":
        return [weights, nn.MaxPool2d(2), nn.BatchNorm2d(channels), layer(arm.spec)]
    return [weights, nn.BatchNorm2d(channels), layer(arm.spec), nn.AvgPool2d(2)]


def seen(arm: Arm, images: Tensor) -> Tensor:
    """Return images in [0, 1] as the arm sees them: standardised, or as whole numbers from 0 to 255."""
    return (images * 255).round() if arm.weights == "binary" else (images - MEAN) / DEVIATION


def recipe(arm: Arm, rate: float, total: int, seed: int) -> Recipe:
    """Return the training of an arm: the same recipe for all, ReLU too."""
    made = model(arm)
    if arm.spec == "relu":
        from actlab.models.init import init_  # noqa: PLC0415 only the baseline draws by itself

        init_(made, torch.zeros(2, 1, 28, 28), torch.Generator().manual_seed(seed))
        return Recipe(made, total=total, learning_rate=rate)
    options = {"activation": arm.spec, "total": total, "learning_rate": rate, "seed": seed}
    return binary(made, example_inputs=torch.zeros(2, 1, 28, 28), **options)


def trained(
    arm: Arm, data: Data, *, rate: float, epochs: int, batch: int, seed: int
) -> tuple[nn.Module, dict[str, Any]]:
    """Train an arm; return the net, and the columns of its row."""
    x, y = seen(arm, data.train.x), data.train.y
    steps = len(x) // batch
    run = recipe(arm, rate, epochs * steps, seed)
    order = torch.Generator().manual_seed(seed)
    curve, losses, start = [], [], time.process_time()
    for _ in range(epochs):
        run.model.train()
        drawn = torch.randperm(len(x), generator=order)[: steps * batch].view(steps, batch)
        for chosen in drawn:
            loss = functional.cross_entropy(run.model(x[chosen]), y[chosen])
            loss.backward()
            run.step()
            losses.append(loss.item())
        curve.append(right(run.model, seen(arm, data.validation.x), data.validation.y))
        print(f"    {arm.net} {arm.spec} {arm.weights} seed {seed}: validation {curve[-1]:.4f}", flush=True)
    seconds = time.process_time() - start
    return run.model, {
        "validation": curve,
        "loss": round(sum(losses[-steps:]) / steps, 4),
        "seconds": round(seconds, 1),
    }


@torch.no_grad()
def right(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """Return the accuracy on images, in batches of 500."""
    net.eval()
    return accuracy(torch.cat([net(part) for part in x.split(500)]), y)


# ----------------------------------------------------------------------------------------------- rows


def rows() -> list[dict[str, Any]]:
    """Return what has been measured so far."""
    return json.loads(ROWS.read_text(encoding="utf-8")) if ROWS.exists() else []


def found(**key: Any) -> dict[str, Any] | None:
    """Return the row with these columns, if there is one."""
    return next((row for row in rows() if all(row.get(name) == value for name, value in key.items())), None)


def keep(row: dict[str, Any]) -> None:
    """Append a row, so that a kill at any moment leaves a whole file."""
    lines = ",\n".join(json.dumps(one) for one in (*rows(), row))
    draft = ROWS.with_suffix(".part")
    draft.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    draft.replace(ROWS)


# ---------------------------------------------------------------------------------------------- stages


def data(seed: int) -> Data:
    """Return Fashion-MNIST, split by the seed: 55,000, 5,000 and the 10,000 test images."""
    return by_lenet().data(seed)


def candidates(wide: bool) -> Iterator[tuple[Arm, float]]:
    """Yield what is screened, with its learning rate: few by default, all rules at all rates if wide."""
    if wide:
        for net in ("mlp", "lenet", "lenet_max"):
            yield from ((Arm(net=net, spec=spec), rate) for spec in ("relu", *STEPS, *SIGNS) for rate in (*RATES, 1e-2))
        yield from ((Arm(net="mlp", spec=spec, weights="binary"), rate) for spec in SIGNS for rate in RATES)
        return
    for spec in ("relu", "step/1"):
        yield from ((Arm(net="mlp", spec=spec), rate) for rate in RATES)
    for spec in ("relu", "step/rect", "step/arctan"):
        yield from ((Arm(net="lenet_max", spec=spec), rate) for rate in RATES)
    yield from ((Arm(net="lenet", spec="relu"), rate) for rate in (3e-3, 1e-2))
    yield from ((Arm(net="lenet", spec=spec), 1e-2) for spec in ("step/arctan", "step/triangular"))
    for spec in ("step/rect", "step/triangular", "step/arctan"):
        yield Arm(net="mlp", spec=spec), RATES[0]
    for spec in ("sign/clipped", "sign/approxsign"):
        yield Arm(net="mlp", spec=spec, weights="binary"), RATES[0]


def screen(batch: int, wide: bool) -> None:
    """Run rules for a short time."""
    whole = data(SCREENED["seed"])
    some = Split(x=whole.train.x[: SCREENED["images"]], y=whole.train.y[: SCREENED["images"]])
    part = Data(train=some, test=whole.test, validation=whole.validation)
    for arm, rate in candidates(wide):
        key = {"stage": "screen", **asdict(arm), "rate": rate, **SCREENED, "batch": batch}
        if found(**key) is None:
            options = {"rate": rate, "epochs": SCREENED["epochs"], "batch": batch, "seed": SCREENED["seed"]}
            keep(key | trained(arm, part, **options)[1])


def winners() -> list[tuple[Arm, float]]:
    """Return the best arm of each group with its learning rate, by validation accuracy in the screening."""
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for row in (row for row in rows() if row["stage"] == "screen"):
        arm = Arm(net=row["net"], spec=row["spec"], weights=row["weights"])
        held = best.get((arm.net, arm.group))
        if held is None or row["validation"][-1] > held["validation"][-1]:
            best[arm.net, arm.group] = row
    return [(Arm(net=r["net"], spec=r["spec"], weights=r["weights"]), r["rate"]) for r in best.values()]


def name_of(key: dict[str, Any]) -> Path:
    """Return where the trained net of a row lies."""
    return NETS / ("_".join(str(value).replace("/", "-") for value in key.values()) + ".pt")


def train_all(epochs: int, seeds: int, batch: int) -> None:
    """Train the best arm of each group on all training images, seed by seed, so that seeds stay paired whenever it is stopped."""
    chosen = [(arm, rate) for arm, rate in winners() if arm.net != "lenet_max"]
    for binary_weights in (False, True):  # the costliest arm last
        for arm, rate, seed in ((*one, seed) for seed in range(seeds) for one in chosen):
            if (arm.weights == "binary") != binary_weights:
                continue
            key = {"stage": "train", **asdict(arm), "rate": rate, "epochs": epochs, "seed": seed, "batch": batch}
            if found(**key) is not None:
                continue
            whole = data(seed)
            net, columns = trained(arm, whole, rate=rate, epochs=epochs, batch=batch, seed=seed)
            columns["test"] = right(net, seen(arm, whole.test.x), whole.test.y)
            NETS.mkdir(parents=True, exist_ok=True)
            torch.save(net.state_dict(), name_of(key))
            keep(key | columns)
            print(f"{arm.net} {arm.spec} {arm.weights} seed {seed}: test {columns['test']:.4f}", flush=True)


def main() -> int:
    """Run the stages that are named."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*", choices=["screen", "train", "probe", "write", []])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--wide", action="store_true")
    parser.add_argument("--batch", type=int, default=128)
    asked = parser.parse_args()
    stages = asked.stages or ["screen", "train", "probe", "write"]
    if "screen" in stages:
        screen(asked.batch, asked.wide)
    if "train" in stages:
        train_all(asked.epochs, asked.seeds, asked.batch)
    return 0


if __name__ == "__main__":
    sys.exit(main())
