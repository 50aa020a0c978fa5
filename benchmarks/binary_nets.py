"""Binary and event-driven nets for microcontrollers on Fashion-MNIST, in accuracy, kilobytes and instructions.

Run: python benchmarks/binary_nets.py [train] [save] [measure] [activity] [write] [--names NAME ...]

All layers are on the device: the inputs are whole pixels from 0 to 255, and nothing is computed in floats. Nets, with a BatchNorm before
every activation and behind the last layer:

bits:   784 bits (one learned threshold for all pixels)-256-256-10, all weights binary.
levels: the same with three learned thresholds, 2352 bits.
pixels: 784 pixels of 8 bits-256-256-10, all weights binary.
wide:   784 pixels of 8 bits-512-512-10, all weights binary.
cnn:    three binary convolutions of 3 x 3 (32, 64, 64 channels), maxima of 2 x 2 behind the first two, one binary linear layer.
event:  784-256-256-10 with float weights, which become int8, and activations of 0 and 1, of which a term of the loss leaves few active.
relu:   784-256-256-10 with ReLU and float weights, the baseline in float and int8.
relu_cnn: the convolutional net with ReLU and float weights.

train:    with `actlab.nn.recipes.binary`: Adam, warm-up, cosine to zero, cross-entropy, gradients clipped, no augmentation, 55,000 images;
          about 20 minutes of one core for all nets, resumes after each epoch; the nets lie in build/binary_nets.
save:     the bits and norms of the binary nets into benchmarks/binary_nets.npz, from which the other stages read what was not trained here.
measure:  accuracy on the 10,000 test images by the integer net in NumPy, whose bits the C has, and against PyTorch; bytes; instructions.
activity: instructions of a dense layer of 784 inputs and 256 outputs against the share of inputs that are 1.
write:    tables into docs/evidence/binary_nets.md.

Rates and lengths were chosen by accuracy on 5,000 validation images; the test images are read in `measure` alone, once for each chosen net.
Rows are kept in benchmarks/binary_nets.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import actlab
from actlab.export.c99.integer.source import print_integer_net
from actlab.export.c99.integer.vectors import test_program
from actlab.export.c99.project import makefile
from actlab.export.device.measurement import measure
from actlab.export.integer.coding import Bits, Codes
from actlab.export.integer.layers import Product, Requantize, Reshape, Threshold
from actlab.export.integer.net import IntegerNet
from actlab.export.integer.quantize import quantize
from actlab.export.net.layers import Window
from actlab.export.net.read import read_net
from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.layers.binary import BinaryConv2d, BinaryLinear, BinaryWeight
from actlab.nn.layers.layer import layer
from actlab.nn.recipes import binary
from actlab.nn.training.recipe import Recipe
from actlab.tasks.builtin.fashion_mnist import lenet_task
from actlab.tasks.task import accuracy

ROOT = Path(__file__).resolve().parent.parent
NETS, SAVED, ROWS, DOCUMENT = (
    ROOT / "build" / "binary_nets",
    ROOT / "benchmarks" / "binary_nets.npz",
    ROOT / "benchmarks" / "binary_nets.json",
    ROOT / "docs" / "evidence" / "binary_nets.md",
)
NORM = ("weight", "bias", "running_mean", "running_var")
BINARY = ("bits", "pixels", "wide", "cnn")
CORES = ("m0", "m3", "m4f", "m33")
NAMES = {"m0": "M0", "m3": "M3", "m4f": "M4F", "m33": "M33"}
SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a net is trained.

    Attributes:
        spec: its activation.
        rate: highest learning rate.
        epochs: of 55,000 images.
        batch: images of a step.
        activity: wanted share of active units in each hidden layer; None for no term of the loss.
    """

    spec: str = "sign/clipped"
    rate: float = 5e-3
    epochs: int = 30
    batch: int = 128
    activity: float | None = None


TRAININGS = {
    "pixels": Training(rate=3e-3, epochs=40),
    "wide": Training(rate=3e-3, epochs=25),
    "levels": Training(),
    "cnn": Training(epochs=24),
    "event": Training(spec="step/rect", rate=1e-3, epochs=12, activity=0.1),
    "bits": Training(),
    "relu": Training(spec="relu", rate=1e-3, epochs=12),
    "relu_cnn": Training(spec="relu", rate=3e-3, epochs=4),
}


def model(name: str) -> nn.Sequential:
    """Return a net, drawn by torch's global generator."""
    spec = TRAININGS[name].spec
    if name == "relu_cnn":
        return nn.Sequential(
            *(nn.Conv2d(1, 32, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(32), layer(spec)),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(64), layer(spec)),
            *(nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), layer(spec)),
            *(nn.Flatten(), nn.Linear(64 * 49, 10)),
        )
    if name == "cnn":
        return nn.Sequential(
            *(BinaryConv2d(1, 32, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(32), layer(spec)),
            *(BinaryConv2d(32, 64, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(64), layer(spec)),
            *(BinaryConv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), layer(spec)),
            nn.Flatten(),
            *(BinaryLinear(64 * 49, 10), nn.BatchNorm1d(10)),
        )
    if name in {"event", "relu"}:
        hidden = [
            *(nn.Linear(784, 256, bias=False), nn.BatchNorm1d(256), layer(spec)),
            *(nn.Linear(256, 256, bias=False), nn.BatchNorm1d(256), layer(spec)),
        ]
        return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(256, 10))
    levels, width = (3 if name == "levels" else 1), (512 if name == "wide" else 256)
    first = [BinaryConv2d(1, levels, 1), nn.BatchNorm2d(levels), layer(spec), nn.Flatten()]
    if name in {"pixels", "wide"}:
        first = [nn.Flatten()]
    hidden = [
        *(BinaryLinear(784 * levels, width), nn.BatchNorm1d(width), layer(spec)),
        *(BinaryLinear(width, width), nn.BatchNorm1d(width), layer(spec)),
    ]
    return nn.Sequential(*first, *hidden, BinaryLinear(width, 10), nn.BatchNorm1d(10))


def begin(name: str, total: int) -> Recipe:
    """Return the training of a net, with the thresholds of the pixels spread over their range."""
    training = TRAININGS[name]
    torch.manual_seed(0)
    made = model(name)
    example = torch.zeros(2, 1, 28, 28)
    if training.spec == "relu":
        return Recipe(made, total=total, learning_rate=training.rate)
    run = binary(made, example_inputs=example, activation=training.spec, total=total, learning_rate=training.rate)
    if isinstance(made[0], BinaryConv2d) and made[0].kernel_size == (1, 1):
        with torch.no_grad():
            made[0].weight.fill_(0.5)
            made[1].bias.copy_(torch.tensor([0.6, -0.2, -0.9])[: len(made[1].bias)])
    return run


def loss_of(net: nn.Sequential, x: Tensor, y: Tensor, training: Training) -> Tensor:
    """Return the cross-entropy, with a term for units that are active too often."""
    if training.activity is None:
        return functional.cross_entropy(net(x), y)
    extra = x.new_zeros(())
    for module in net:
        x = module(x)
        if isinstance(module, nn.BatchNorm1d):
            expected = torch.sigmoid(4 * x).mean()  # a smooth count of the units above their threshold
            extra = extra + (expected - training.activity).clamp(min=0)
    return functional.cross_entropy(x, y) + 3 * extra


def saved_as(name: str) -> Path:
    """Return the file of a trained net, one for each of its settings."""
    training = TRAININGS[name]
    return NETS / f"{name}_{training.rate:g}_{training.epochs}.pt"


def train(name: str) -> None:
    """Train a net, or go on where a training was cut, and write its row."""
    training, saved = TRAININGS[name], saved_as(name)
    data = lenet_task().data(0)
    x, y = (data.train.x * 255).round(), data.train.y
    held = (data.validation.x * 255).round(), data.validation.y
    steps = len(x) // training.batch
    run = begin(name, training.epochs * steps)
    curve: list[float] = []
    seconds = 0.0
    if saved.exists():
        state = torch.load(saved, weights_only=True)
        run.model.load_state_dict(state["model"])
        run.load_state_dict(state["recipe"])
        curve, seconds = state["curve"], state["seconds"]
    for epoch in range(len(curve), training.epochs):
        start = time.process_time()
        run.model.train()
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(epoch))
        for chosen in order[: steps * training.batch].view(steps, training.batch):
            loss_of(run.model, x[chosen], y[chosen], training).backward()
            run.step()
        curve.append(accuracy_of(run.model, *held))
        seconds += time.process_time() - start
        state = {"model": run.model.state_dict(), "recipe": run.state_dict(), "curve": curve, "seconds": seconds}
        torch.save(state, saved.with_suffix(".part"))
        saved.with_suffix(".part").replace(saved)
        print(f"{name} epoch {epoch + 1}: validation {curve[-1]:.4f}, {seconds:.0f} s", flush=True)


@torch.no_grad()
def accuracy_of(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """Return the accuracy on images, in batches of 500."""
    net.eval()
    return accuracy(torch.cat([net(part) for part in x.split(500)]), y)


# ---------------------------------------------------------------------------------------------- saved nets


def save() -> None:
    """Write the bits and norms of the trained binary nets."""
    arrays: dict[str, Any] = {}
    for name in BINARY:
        for module_name, module in trained(name).named_modules():
            key = f"{name}/{module_name}"
            if isinstance(module, BinaryWeight):
                arrays[f"{key}.bits"] = np.packbits((module.weight >= 0).numpy().reshape(-1))
            elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                arrays[f"{key}.norm"] = np.stack([module.state_dict()[part].numpy() for part in NORM])
    np.savez_compressed(SAVED, **arrays)


def trained(name: str) -> nn.Sequential:
    """Return a trained net in eval mode, from this machine or from the saved bits."""
    torch.manual_seed(0)
    net = model(name).eval()
    if saved_as(name).exists():
        net.load_state_dict(torch.load(saved_as(name), weights_only=True)["model"])
        return net.eval()
    with np.load(SAVED) as found, torch.no_grad():
        for module_name, module in net.named_modules():
            key = f"{name}/{module_name}"
            if isinstance(module, BinaryWeight):
                bits = np.unpackbits(found[f"{key}.bits"])[: module.weight.numel()]
                module.weight.copy_(torch.from_numpy(bits).reshape(module.weight.shape) - 0.5)
            elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                parts = dict(zip(NORM, torch.from_numpy(found[f"{key}.norm"]), strict=True))
                module.load_state_dict(parts, strict=False)  # without the count of batches
    return net


# ---------------------------------------------------------------------------------------------- figures


def rows() -> list[dict[str, Any]]:
    """Return what has been measured so far."""
    return json.loads(ROWS.read_text(encoding="utf-8")) if ROWS.exists() else []


def put_row(row: dict[str, Any]) -> None:
    """Write a row in the place of the one with the same stage, net and form."""
    key = ("stage", "net", "form")
    others = [each for each in rows() if [each[name] for name in key] != [row[name] for name in key]]
    lines = ",\n".join(json.dumps(each) for each in [*others, row])
    draft = ROWS.with_suffix(".part")
    draft.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    draft.replace(ROWS)


def cores_of(folder: Path, vectors: int) -> dict[str, Any]:
    """Return instructions, and those by layer, on each core; all vectors are right or this raises."""
    found: dict[str, Any] = {}
    for core in CORES:
        figures = measure(folder, core, vectors=vectors, seconds=300)
        if not figures.right:
            raise SystemExit(f"{folder}, {core}: {figures.result}")
        layers = [(each.layer, each.instructions) for each in figures.layers]
        found[core] = {"instructions": figures.instructions, "fewest": figures.fewest, "most": figures.most}
        found[core] |= {"layers": layers, "flash": figures.flash, "ram": figures.ram, "stack": figures.stack}
        found["tools"] = f"{figures.compiler}, {figures.emulator.partition(',')[0]}"
    return found


@torch.no_grad()
def figures_of(name: str) -> None:
    """Measure a net in int8 or bits, and the baselines in float too."""
    net, data = trained(name), lenet_task().data(0)
    x, y = (data.test.x * 255).round(), data.test.y
    calibration = (data.train.x[:512] * 255).round()
    wanted = torch.cat([net(part) for part in x.split(500)])
    whole = quantize(read_net(net, x[:2]), calibration.numpy())
    got = np.concatenate([whole.numbers(part.numpy())[0] for part in x.split(500)])
    same = got.argmax(1) == wanted.argmax(1).numpy()
    accuracies = {"float": accuracy(wanted, y), "device": float((got.argmax(1) == y.numpy()).mean())}
    seconds = torch.load(saved_as(name), weights_only=True)["seconds"] if saved_as(name).exists() else None
    forms = {"int8": {"calibration_inputs": calibration}}
    if name.startswith("relu"):
        forms["c99"] = {}
    for form, settings in forms.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "net"
            report = actlab.export(net, x[:8], path, to=form, **settings)
            row = {"stage": "net", "net": name, "form": form, "constants": report.memory.constants}
            row |= {"arena": report.memory.ram, "same": int(same.sum()), "seconds": seconds}
            row["validation"] = accuracy_of(net, (data.validation.x * 255).round(), data.validation.y)
            row |= {"test": accuracies["device" if form == "int8" else "float"], "test_float": accuracies["float"]}
            row |= {"activity": activity_of(net, x[:500])} | cores_of(
                path, 1 if (name, form) == ("relu_cnn", "c99") else 8
            )
        put_row(row)
        print({key: row[key] for key in ("net", "form", "test", "same", "constants")}, row["m4f"]["instructions"])


def activity_of(net: nn.Sequential, x: Tensor) -> list[float]:
    """Return the share of units above zero behind each activation with two values."""
    shares = []
    for module in net:
        x = module(x)
        if isinstance(module, ActivationLayer):
            shares.append(round(float((x > 0).float().mean()), 4))
    return shares


def dense_net(weights: str, low: int) -> IntegerNet:
    """Return thresholds of 784 codes and a dense layer behind them to 256 bits; or the layer alone, from codes to codes."""
    random = np.random.default_rng(0)
    choices: dict[str, Any] = {"binary": [-1, 1], "ternary": [-1, 0, 1]}
    weight = random.choice(choices.get(weights, np.arange(-127, 128)), (256, 784)).astype(np.int8)
    bias, whole = np.zeros(256, np.int32), Codes(scale=1.0)
    if weights == "int8, from codes":
        ending: Any = Requantize(multiplier=np.full(256, 2**30, np.int32), shift=np.full(256, 42, np.int32), low=0)
        only = Product(name="dense", inputs=("x",), output="y", weight=weight, bias=bias, ending=ending)
        return _net({"x": ((784,), whole), "y": ((256,), whole)}, only)
    bits: Any = Bits(low=low)  # type: ignore[arg-type] # one of the two
    one = Window(size=(1,), stride=(1,), before=(0,), after=(0,), dilation=(1,))
    tensors: dict[str, Any] = {"x": ((1, 784), whole), "b": ((1, 784), bits), "f": ((784,), bits), "y": ((256,), bits)}
    first = Threshold(value=np.array([1], np.int32), above=np.array([True]))
    second = Threshold(value=random.integers(-99, 99, 256).astype(np.int32), above=np.ones(256, bool))
    ones, zero = np.ones((1, 1, 1), np.int8), np.zeros(1, np.int32)
    return _net(
        tensors,
        Product(name="bits", inputs=("x",), output="b", weight=ones, bias=zero, window=one, ending=first),
        Reshape(name="flat", inputs=("b",), output="f"),
        Product(name="dense", inputs=("f",), output="y", weight=weight, bias=bias, ending=second),
    )


def _net(tensors: dict[str, Any], *layers: Any) -> IntegerNet:
    shapes, codings = ({name: each[i] for name, each in tensors.items()} for i in range(2))
    return IntegerNet(name="Layer", inputs=("x",), outputs=("y",), shapes=shapes, codings=codings, layers=layers)


def measure_activity() -> None:
    """Count instructions of dense layers at several shares of active inputs."""
    for weights, low in (("int8, from codes", 0), ("int8", 0), ("ternary", 0), ("binary", 0), ("binary", -1)):
        net = dense_net(weights, low)
        for share in SHARES if weights != "int8, from codes" else (0.5,):
            x = (np.random.default_rng(1).random((8, 784)) < share).astype(np.int8)
            codes = [x.reshape(8, *net.shapes["x"])]
            with tempfile.TemporaryDirectory() as folder:
                source = print_integer_net(net, "net")
                texts = {"net.c": source.source, "net.h": source.header, "Makefile": makefile("net")}
                texts["net_test.c"] = test_program(net, "net", codes, net.run_codes(codes))
                for file, text in texts.items():
                    (Path(folder) / file).write_text(text, encoding="utf-8")
                found = cores_of(Path(folder), 8)
            row = {"stage": "activity", "net": f"{weights} {low}", "form": str(share), "share": float(x.mean())}
            row |= {core: found[core]["layers"][-1][1] for core in CORES}
            put_row(row)
            print(row, flush=True)


# ---------------------------------------------------------------------------------------------- tables

LABELS = {
    "bits": "784 bits-256-256-10, binary",
    "levels": "2352 bits-256-256-10, binary",
    "pixels": "784 pixels-256-256-10, binary",
    "wide": "784 pixels-512-512-10, binary",
    "cnn": "CNN 32-64-64, binary",
    "event": "784-256-256-10, activations 0 and 1",
    "relu": "784-256-256-10, ReLU",
    "relu_cnn": "CNN 32-64-64, ReLU",
}


def net_table() -> str:
    """Return accuracy, kilobytes and instructions of all nets."""
    cores = " | ".join(NAMES[core] for core in CORES)
    lines = [
        f"| net | form | validation | test | class as in PyTorch | weights and tables | flash on M4F | RAM | {cores} |",
        "|---|---|---|---|---|---|---|---|" + "---|" * len(CORES),
    ]
    order = list(LABELS)
    found = sorted(
        (r for r in rows() if r["stage"] == "net"), key=lambda r: (order.index(r["net"]), r["form"] == "int8")
    )
    for row in found:
        binary_form = "float" if row["form"] == "c99" else "int8" if "relu" in row["net"] else "bits"
        form = "bits, int8 weights" if row["net"] == "event" else binary_form
        same = "" if row["form"] == "c99" else f"{row['same']:,} of 10,000"
        counts = " | ".join(f"{row[core]['instructions']:,}" for core in CORES)
        flash, ram = row["m4f"]["flash"] / 1000, row["arena"] / 1000
        lines.append(
            f"| {LABELS[row['net']]} | {form} | {row['validation']:.2%} | {row['test']:.2%} | {same} | {row['constants'] / 1000:.1f} kB | "
            f"{flash:.1f} kB | {ram:.1f} kB | {counts} |"
        )
    return "\n".join(lines)


def layer_table() -> str:
    """Return the instructions of the layers of all nets on one core with the extension for signals and one without."""
    lines = ["| net | layer | M3 | M4F |", "|---|---|---|---|"]
    for name, label in LABELS.items():
        for row in rows():
            if row["stage"] == "net" and row["net"] == name and row["form"] == "int8":
                for (layer_name, m3), (_, m4f) in zip(row["m3"]["layers"], row["m4f"]["layers"], strict=True):
                    lines.append(f"| {label} | {layer_name} | {m3:,} | {m4f:,} |")
    return "\n".join(lines)


def activity_table() -> str:
    """Return instructions of dense layers by activity, and their ratio to the int8 layer."""
    found = [row for row in rows() if row["stage"] == "activity"]
    base = next(row for row in found if row["net"].startswith("int8, from codes"))
    lines = [
        "| weights | inputs | active | " + " | ".join(NAMES[core] for core in CORES) + " |",
        "|---|---|---|" + "---|" * len(CORES),
    ]
    for row in found:
        weights, _, low = row["net"].rpartition(" ")
        is_base = row is base
        kind = "int8 codes" if is_base else f"bits of {low} and 1"
        cells = " | ".join(f"{row[core]:,}" + ("" if is_base else f" ({row[core] / base[core]:.3f})") for core in CORES)
        lines.append(
            f"| {'int8' if is_base else weights} | {kind} | {'any' if is_base else format(row['share'], '.1%')} | {cells} |"
        )
    return "\n".join(lines)


def write() -> None:
    """Put the tables into the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, table in (("nets", net_table()), ("activity", activity_table()), ("layers", layer_table())):
        begin, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
        text = text[: text.index(begin) + len(begin)] + table + text[text.index(end) :]
    DOCUMENT.write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the named stages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*", default=["train", "save", "measure", "activity", "write"])
    parser.add_argument("--names", nargs="*", default=list(TRAININGS))
    parser.add_argument("--rate", type=float, help="another highest learning rate, to choose one")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    NETS.mkdir(parents=True, exist_ok=True)
    if given.rate:
        TRAININGS.update({name: replace(TRAININGS[name], rate=given.rate) for name in given.names})
    for stage in given.stages:
        if stage in {"train", "measure"}:
            for name in given.names:
                {"train": train, "measure": figures_of}[stage](name)
        else:
            {"save": save, "activity": measure_activity, "write": write}[stage]()


if __name__ == "__main__":
    main()
