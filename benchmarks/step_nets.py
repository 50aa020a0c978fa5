"""Binary activations against ReLU on Fashion-MNIST, in accuracy, robustness and active units.

Run: python benchmarks/step_nets.py [screen] [train] [probe] [write]     (all four, if none is named; about 25 minutes of one core)
     --epochs 3 --seeds 3 --batch 128                                    (of the trainings; rows of other settings are kept beside)
     --images 2000                                                       (test images of the probes)
     --nets lenet lenet_wide                                             (only these are trained)

Four nets with a BatchNorm before every activation: an MLP 784-1024-1024-10, LeNet-5 (61,932 parameters with the norms), a net of
LeNet-5's size and depth with wider convolutions and a narrower end (16 and 32 channels, 56 units in one hidden layer: 58,778 parameters),
and one with three convolutions and nothing else hidden (32, 48 and 64 channels, 47,818 parameters). Arms: ReLU; the best rule for a
Heaviside step, with float weights; and W1A1 (the MLP with all weights and activations binary, whole- number pixels, a BatchNorm behind
the last layer). All train by `actlab.nn.training.recipe.Recipe`: Adam, warm-up, cosine to zero, cross- entropy, gradients clipped, no
augmentation. Seed s fixes split, order and initial weights of every arm.

screen: rules, and ReLU, at learning rates: three epochs of 11,000 images, one seed that is used for nothing else; the best of each group by
        accuracy on 5,000 validation images goes on with its learning rate. The test images are not touched. --wide takes all rules,
        signs too, at all rates; then the best sign is trained as well.
train:  55,000 images, seeds 0, 1, ...; one test accuracy at the end, and the validation accuracy after each epoch.
probe:  the trained nets on corrupted test images, and the share of units that are above zero; packed W1A1 nets against the trained ones.
write:  tables and curves into docs/evidence/step_nets.md.

Rows are appended to benchmarks/step_nets.json after each run, and found again: stop it at any time, or ask for more seeds or epochs later.
The trained nets lie in build/step_nets, which is not committed: a probe passes over rows whose net is not there.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from actlab.export.packed.file import load_packed, save_packed
from actlab.export.packed.pack import pack
from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.layers.binary import BinaryLinear
from actlab.nn.layers.layer import layer
from actlab.nn.recipes import binary
from actlab.nn.training.recipe import Recipe
from actlab.stats.bootstrap import bootstrap_interval
from actlab.tasks.builtin.fashion_mnist import lenet_task
from actlab.tasks.data import Data, Split
from actlab.tasks.task import accuracy

ROOT = Path(__file__).resolve().parent.parent
ROWS, NETS, DOCUMENT = (
    ROOT / "benchmarks" / "step_nets.json",
    ROOT / "build" / "step_nets",
    ROOT / "docs" / "evidence" / "step_nets.md",
)
BEGIN, END = "<!-- tables -->\n", "<!-- /tables -->"
STEPS = ("step/1", "step/rect", "step/triangular", "step/sigmoid", "step/arctan")
SIGNS = ("sign/clipped", "sign/approxsign", "sign/ede", "sign/arctan")
RATES = (1e-3, 3e-3)
SCREENED = {"images": 11_000, "epochs": 3, "seed": 1000}
MEAN, DEVIATION = 0.2860, 0.3530  # of the training pixels


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A net with an activation and a kind of weights.

    Attributes:
        net: "mlp", "lenet", "lenet_wide", "three", or "lenet_max", which pools before the norm, as nets to be packed do.
        spec: the activation.
        weights: "float" or "binary".
    """

    net: str
    spec: str
    weights: str = "float"

    @property
    def group(self) -> str:
        """Group within which arms are screened: relu, step, sign or w1a1."""
        return "w1a1" if self.weights == "binary" else self.spec.split("/")[0]


def model(arm: Arm) -> nn.Sequential:
    """Return the net of an arm, drawn by torch's global generator."""
    if arm.net == "lenet_wide":
        return nn.Sequential(
            *_block(nn.Conv2d(1, 16, 5, padding=2, bias=False), 16, arm),
            *_block(nn.Conv2d(16, 32, 5, bias=False), 32, arm),
            nn.Flatten(),
            *_block(nn.Linear(800, 56, bias=False), 56, arm),
            nn.Linear(56, 10),
        )
    if arm.net == "three":
        return nn.Sequential(
            *_block(nn.Conv2d(1, 32, 3, padding=1, bias=False), 32, arm),
            *_block(nn.Conv2d(32, 48, 3, padding=1, bias=False), 48, arm),
            *_block(nn.Conv2d(48, 64, 3, padding=1, bias=False), 64, arm),
            nn.Flatten(),
            nn.Linear(576, 10),
        )
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


def preprocess(arm: Arm, images: Tensor) -> Tensor:
    """Return images in [0, 1] as the arm sees them: standardised, or as whole numbers from 0 to 255."""
    return (images * 255).round() if arm.weights == "binary" else (images - MEAN) / DEVIATION


def recipe(arm: Arm, rate: float, total: int, seed: int) -> Recipe:
    """Return the training of an arm: the same recipe for all, ReLU too."""
    made = model(arm)
    if arm.spec == "relu":
        from actlab.nn.transforms.init import init_  # noqa: PLC0415 only the baseline draws by itself

        init_(made, torch.zeros(2, 1, 28, 28), torch.Generator().manual_seed(seed))
        return Recipe(made, total=total, learning_rate=rate)
    options = {"activation": arm.spec, "total": total, "learning_rate": rate, "seed": seed}
    return binary(made, example_inputs=torch.zeros(2, 1, 28, 28), **options)


def train(arm: Arm, data: Data, *, rate: float, epochs: int, batch: int, seed: int) -> tuple[nn.Module, dict[str, Any]]:
    """Train an arm; return the net, and the columns of its row."""
    x, y = preprocess(arm, data.train.x), data.train.y
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
        curve.append(accuracy_of(run.model, preprocess(arm, data.validation.x), data.validation.y))
        print(f"    {arm.net} {arm.spec} {arm.weights} seed {seed}: validation {curve[-1]:.4f}", flush=True)
    seconds = time.process_time() - start
    return run.model, {
        "validation": curve,
        "loss": round(sum(losses[-steps:]) / steps, 4),
        "seconds": round(seconds, 1),
    }


@torch.no_grad()
def accuracy_of(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """Return the accuracy on images, in batches of 500."""
    net.eval()
    return accuracy(torch.cat([net(part) for part in x.split(500)]), y)


# ----------------------------------------------------------------------------------------------- rows


def rows() -> list[dict[str, Any]]:
    """Return what has been measured so far."""
    return json.loads(ROWS.read_text(encoding="utf-8")) if ROWS.exists() else []


def find_row(**key: Any) -> dict[str, Any] | None:
    """Return the row with these columns, if there is one."""
    return next((row for row in rows() if all(row.get(name) == value for name, value in key.items())), None)


def append_row(row: dict[str, Any]) -> None:
    """Append a row atomically."""
    lines = ",\n".join(json.dumps(one) for one in (*rows(), row))
    draft = ROWS.with_suffix(".part")
    draft.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    draft.replace(ROWS)


# ---------------------------------------------------------------------------------------------- stages


def data(seed: int) -> Data:
    """Return Fashion-MNIST, split by the seed: 55,000, 5,000 and the 10,000 test images."""
    return lenet_task().data(seed)


def candidates(wide: bool) -> Iterator[tuple[Arm, float]]:
    """Yield the arms of the screening with their learning rates: few by default, all rules at all rates if wide."""
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
    yield Arm(net="lenet", spec="step/arctan(alpha=1)"), 1e-2
    for spec in ("relu", "step/arctan", "step/arctan(alpha=1)", "step/triangular", "step/rect"):
        yield Arm(net="lenet_wide", spec=spec), 1e-2
    yield from ((Arm(net="three", spec=spec), 1e-2) for spec in ("relu", "step/arctan", "step/arctan(alpha=1)"))
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
        if find_row(**key) is None:
            options = {"rate": rate, "epochs": SCREENED["epochs"], "batch": batch, "seed": SCREENED["seed"]}
            append_row(key | train(arm, part, **options)[1])


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
    """Return the file of the trained net of a row."""
    return NETS / ("_".join(str(value).replace("/", "-") for value in key.values()) + ".pt")


def train_all(epochs: int, seeds: int, batch: int, nets: list[str]) -> None:
    """Train the best arm of each group on all training images, seed by seed, so that seeds stay paired whenever it is stopped."""
    chosen = [(arm, rate) for arm, rate in winners() if arm.net in nets]
    for arm, rate, seed in ((*one, seed) for seed in range(seeds) for one in chosen):
        key = {"stage": "train", **asdict(arm), "rate": rate, "epochs": epochs, "seed": seed, "batch": batch}
        if find_row(**key) is None:
            whole = data(seed)
            net, columns = train(arm, whole, rate=rate, epochs=epochs, batch=batch, seed=seed)
            columns["test"] = accuracy_of(net, preprocess(arm, whole.test.x), whole.test.y)
            NETS.mkdir(parents=True, exist_ok=True)
            torch.save(net.state_dict(), name_of(key))
            append_row(key | columns)
            print(f"{arm.net} {arm.spec} {arm.weights} seed {seed}: test {columns['test']:.4f}", flush=True)


# ---------------------------------------------------------------------------------------------- probes


def corruptions() -> dict[str, Callable[[Tensor], Tensor]]:
    """Return what is done to test images in [0, 1]; noise is the same for every net."""

    def noise(deviation: float) -> Callable[[Tensor], Tensor]:
        return lambda x: (x + deviation * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)

    def pepper(share: float) -> Callable[[Tensor], Tensor]:
        def change(x: Tensor) -> Tensor:
            generator = torch.Generator().manual_seed(2)
            hit, white = (
                torch.rand(x.shape, generator=generator) < share,
                torch.rand(x.shape, generator=generator) < 0.5,
            )
            return torch.where(hit, white.float(), x)

        return change

    def blur(deviation: float) -> Callable[[Tensor], Tensor]:
        taps = torch.exp(-(torch.arange(-4, 5.0) ** 2) / (2 * deviation**2))
        kernel = torch.outer(taps, taps)[None, None] / taps.sum() ** 2
        return lambda x: functional.conv2d(functional.pad(x, (4, 4, 4, 4), mode="replicate"), kernel)

    def contrast(factor: float) -> Callable[[Tensor], Tensor]:
        return lambda x: (x - x.mean((2, 3), keepdim=True)) * factor + x.mean((2, 3), keepdim=True)

    made: dict[str, Callable[[Tensor], Tensor]] = {"none": lambda x: x}
    made |= {f"Gaussian noise {level}": noise(level) for level in (0.1, 0.2, 0.4)}
    made |= {f"salt and pepper {share:.0%}": pepper(share) for share in (0.05, 0.1, 0.2)}
    made |= {f"blur {deviation}": blur(deviation) for deviation in (1.0, 2.0)}
    return made | {f"contrast {factor}": contrast(factor) for factor in (0.5, 0.25)}


@torch.no_grad()
def active(net: nn.Module, x: Tensor) -> float:
    """Return the share of units above zero over all activations and images, with equal weights of the units."""
    counts = [0, 0]

    def count(_: nn.Module, __: object, result: Tensor) -> None:
        counts[0] += int((result > 0).sum())
        counts[1] += result.numel()

    hooks = [part.register_forward_hook(count) for part in net.modules() if isinstance(part, ActivationLayer)]
    for part in x.split(500):
        net(part)
    for hook in hooks:
        hook.remove()
    return counts[0] / counts[1]


def probe(images: int) -> None:
    """Look at every trained net: corrupted test images, active units, and for W1A1 whether the packed net agrees."""
    test = data(0).test
    x, y = test.x[:images], test.y[:images]
    for row in [row for row in rows() if row["stage"] == "train"]:
        key = {name: row[name] for name in ("net", "spec", "weights", "rate", "epochs", "seed", "batch")}
        saved = name_of({"stage": "train"} | key)
        if find_row(stage="probe", images=images, **key) is not None or not saved.exists():
            continue
        arm = Arm(net=row["net"], spec=row["spec"], weights=row["weights"])
        net = model(arm)
        net.load_state_dict(torch.load(saved, weights_only=True))
        net.eval()
        columns: dict[str, Any] = {
            name: accuracy_of(net, preprocess(arm, change(x)), y) for name, change in corruptions().items()
        }
        columns["active"] = round(active(net, preprocess(arm, x)), 4)
        if arm.weights == "binary":
            columns |= packed_columns(net, preprocess(arm, x))
        append_row({"stage": "probe", "images": images} | key | columns)
        print(f"{arm.net} {arm.spec} {arm.weights} seed {row['seed']}: {columns}", flush=True)


@torch.no_grad()
def packed_columns(net: nn.Module, x: Tensor) -> dict[str, Any]:
    """Return how many outputs of the packed net, written and read again, differ in a bit; and its bytes."""
    with tempfile.TemporaryDirectory() as folder:
        packed = load_packed(save_packed(pack(net, x[:100], largest_input=255), Path(folder) / "net.npz"))
    wrong = sum(int((packed(part) != net(part)).sum()) for part in x.split(500))
    floats = sum(p.numel() * 4 for p in net.parameters())
    return {"outputs": 10 * len(x), "wrong": wrong, "bytes": packed.size, "bytes_float": floats}


# ---------------------------------------------------------------------------------------------- tables


def label(row: dict[str, Any]) -> tuple[str, str]:
    """Return what a table calls an arm: its net, and its activation."""
    return row["net"], f"{row['spec']}, W1A1" if row["weights"] == "binary" else row["spec"]


def gap(values: dict[int, float], base: dict[int, float]) -> str:
    """Return the mean paired difference to ReLU in points, and its 95 % interval (Student's)."""
    both = [100 * (values[seed] - base[seed]) for seed in sorted(values.keys() & base.keys())]
    if not both:
        return "-"
    interval = bootstrap_interval(both, seed=0)
    mean = sum(both) / len(both)
    return f"{mean:+.2f}" + (f" ({interval[0]:+.2f} to {interval[1]:+.2f})" if interval else "")


def by_arm(stage: str, epochs: int, column: str) -> dict[tuple[str, str], dict[int, float]]:
    """Return a column by arm and seed."""
    made: dict[tuple[str, str], dict[int, float]] = {}
    for row in rows():
        if row["stage"] == stage and row["epochs"] == epochs and column in row:
            made.setdefault(label(row), {})[row["seed"]] = row[column]
    return dict(sorted(made.items()))


def tables() -> str:
    """Return all tables as text, those of each length of training by themselves."""
    lengths = sorted({row["epochs"] for row in rows() if row["stage"] == "train"})
    kinds = (accuracies, curves, robustness, packing)
    return "\n\n".join(
        [screening_table(), *(text for epochs in lengths for text in (kind(epochs) for kind in kinds) if text)]
    )


def screening_table() -> str:
    """Return the table of the screening."""
    lines = ["| net | activation | learning rate | validation accuracy after each epoch |", "|---|---|---|---|"]
    for row in sorted((r for r in rows() if r["stage"] == "screen"), key=lambda r: (r["net"], -r["validation"][-1])):
        net, spec = label(row)
        lines.append(f"| {net} | {spec} | {row['rate']:g} | {', '.join(f'{v:.2%}' for v in row['validation'])} |")
    return "**Screening** (11,000 images, 3 epochs, one seed).\n\n" + "\n".join(lines)


def accuracies(epochs: int) -> str:
    """Return the table of test accuracies."""
    lines = [
        "| net | activation | test accuracy by seed | mean | gap to ReLU in points (95 %) |",
        "|---|---|---|---|---|",
    ]
    of = by_arm("train", epochs, "test")
    for (net, spec), values in of.items():
        each = ", ".join(f"{values[seed]:.2%}" for seed in sorted(values))
        change = "" if spec == "relu" else gap(values, of.get((net, "relu"), {}))
        lines.append(f"| {net} | {spec} | {each} | {sum(values.values()) / len(values):.2%} | {change} |")
    return f"**Test accuracy** (55,000 images, {epochs} epochs).\n\n" + "\n".join(lines)


def curves(epochs: int) -> str:
    """Return the mean validation accuracy after each epoch, drawn as bars of a tenth of a point from 80 % on."""
    lines = [
        "| net | activation | " + " | ".join(f"epoch {i + 1}" for i in range(epochs)) + " |",
        "|---|---|" + "---|" * epochs,
    ]
    for (net, spec), values in by_arm("train", epochs, "validation").items():
        means = [sum(column) / len(column) for column in zip(*values.values(), strict=True)]
        lines.append(
            f"| {net} | {spec} | " + " | ".join(f"{v:.2%} {'▪' * max(0, round(100 * v - 80))}" for v in means) + " |"
        )
    head = (
        f"**Validation accuracy while training** ({epochs} epochs; mean of the seeds; a square is a point above 80 %)."
    )
    return head + "\n\n" + "\n".join(lines)


def robustness(epochs: int) -> str:
    """Return accuracy on corrupted images and active units, and both against ReLU."""
    arms = list(by_arm("probe", epochs, "active"))
    if not arms:
        return ""
    lines = [
        "| corruption | " + " | ".join(f"{net}, {spec}" for net, spec in arms) + " |",
        "|---|" + "---|" * len(arms),
    ]
    for column in [*corruptions(), "active"]:
        of = by_arm("probe", epochs, column)
        cells = []
        for arm in arms:
            mean = sum(of[arm].values()) / len(of[arm])
            change = "" if arm[1] == "relu" else f"; {gap(of[arm], of.get((arm[0], 'relu'), {}))}"
            cells.append(f"{mean:.1%}{change}")
        lines.append(f"| {'share of active units' if column == 'active' else column} | " + " | ".join(cells) + " |")
    head = f"**Corrupted test images, and active units** ({epochs} epochs; mean of the seeds; difference to ReLU in points, 95 %)."
    return head + "\n\n" + "\n".join(lines)


def packing(epochs: int) -> str:
    """Return the results of packing the W1A1 nets."""
    found_rows = [row for row in rows() if row["stage"] == "probe" and row["epochs"] == epochs and "wrong" in row]
    lines = [
        f"- seed {row['seed']}: {row['wrong']} of {row['outputs']:,} outputs differ in a bit; "
        f"{row['bytes']:,} bytes against {row['bytes_float']:,}"
        for row in found_rows
    ]
    head = "**Packed W1A1 nets**, written to a file and read again, against the trained ones.\n\n"
    return head + "\n".join(lines) if lines else ""


def write() -> None:
    """Put the tables into the document."""
    before, rest = DOCUMENT.read_text(encoding="utf-8").split(BEGIN, 1)
    DOCUMENT.write_text(before + BEGIN + tables() + "\n" + END + rest.split(END, 1)[1], encoding="utf-8")


def main() -> int:
    """Run the stages that are named."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*", choices=["screen", "train", "probe", "write", []])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--wide", action="store_true")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--images", type=int, default=2_000)
    parser.add_argument("--nets", nargs="+", default=["mlp", "lenet", "lenet_wide", "three"])
    arguments = parser.parse_args()
    stages = arguments.stages or ["screen", "train", "probe", "write"]
    if "screen" in stages:
        screen(arguments.batch, arguments.wide)
    if "train" in stages:
        train_all(arguments.epochs, arguments.seeds, arguments.batch, arguments.nets)
    if "probe" in stages:
        probe(arguments.images)
    if "write" in stages:
        write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
