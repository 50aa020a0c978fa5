"""Four models in C99, in float, int8, bits and event-driven form, built by two compilers and run five times on emulated cores.

    python benchmarks/c99_models.py [--cores m0 m3 m4f m33] [--only TEXT] [--out docs/evidence/c99_models.md]

For each project: gcc and clang with all warnings as errors build it, and its test vectors run under the sanitizers of addresses and
undefined behaviour (clang: the latter). On each core a test vector runs five times, and the counts of instructions are compared. A last
table has int8 nets with one activation after another, against relu. Weights are random, apart from the binary MLP of Fashion-MNIST
(benchmarks/binary_nets.npz): sizes and counts do not depend on them, except where few units are active.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import binary_nets
import torch
from c99_nets import lenet, mlp
from torch import nn

import actlab
from actlab.export.device import qemu
from actlab.export.device.build import Build, build_program, build_size, read_project
from actlab.export.device.compiler import find_compiler
from actlab.export.device.cores import core_of
from actlab.export.device.output import read_output
from actlab.nn.layers.binary import BinaryConv2d, BinaryLinear
from actlab.tasks.builtin import fashion_mnist
from actlab.tasks.builtin.microcontroller import tiny_nets

RUNS, SECONDS = 5, 600.0
COMPILERS = {  # with sanitizers; clang's traps need no library, which not every installation has
    "gcc": "-fsanitize=address,undefined -fno-sanitize-recover=all",
    "clang": "-fsanitize=undefined -fsanitize-trap=all",
}
FLAGS = "-std=c99 -O1 -Wall -Wextra -Wconversion -Werror -ffp-contract=off"
ACTIVATIONS = (
    *("relu", "relu6", "leaky_relu(0.01)", "gelu", "gelu_tanh", "silu", "swish(beta=1.5)", "mish", "serf", "tanh"),
    *("sigmoid", "softplus", "elu", "selu", "hard_swish", "softsign", "sine"),
)
Make = Callable[[], tuple[nn.Module, torch.Tensor]]


def pixels(count: int, *shape: int) -> torch.Tensor:
    """Return random whole numbers from 0 to 255."""
    return torch.randint(0, 256, (count, *shape), generator=torch.Generator().manual_seed(0)).float()


def normal(*shape: int) -> torch.Tensor:
    """Return 64 examples of random numbers."""
    return torch.randn(64, *shape, generator=torch.Generator().manual_seed(0))


def small(spec: str, *, binary: bool) -> nn.Module:
    """Return the net of digits with a norm before its activation of two values."""
    linear = BinaryLinear if binary else nn.Linear
    return nn.Sequential(linear(64, 64), nn.BatchNorm1d(64), actlab.layer(spec), linear(64, 10), nn.BatchNorm1d(10))


def small_cnn(spec: str) -> nn.Module:
    """Return LeNet-5 with weights of one bit, maxima and norms."""
    return nn.Sequential(
        *(BinaryConv2d(1, 6, 5, padding=2), nn.MaxPool2d(2), nn.BatchNorm2d(6), actlab.layer(spec)),
        *(BinaryConv2d(6, 16, 5), nn.MaxPool2d(2), nn.BatchNorm2d(16), actlab.layer(spec), nn.Flatten()),
        *(BinaryLinear(400, 120), nn.BatchNorm1d(120), actlab.layer(spec)),
        *(BinaryLinear(120, 84), nn.BatchNorm1d(84), actlab.layer(spec), BinaryLinear(84, 10), nn.BatchNorm1d(10)),
    )


def images() -> torch.Tensor:
    """Return 64 images of Fashion-MNIST with whole pixels."""
    return (fashion_mnist.lenet_task().data(0).test.x[:64] * 255).round()


def sparse(share: float = 0.1) -> nn.Module:
    """Return the event-driven MLP of Fashion-MNIST whose norms make about that share of random units active."""
    net = binary_nets.model("event")
    x, threshold = images(), torch.distributions.Normal(0, 1).icdf(torch.tensor(1 - share))
    with torch.no_grad():
        for part in net:
            if isinstance(part, nn.BatchNorm1d):
                part.running_mean.copy_(x.mean(0))
                part.running_var.copy_(x.var(0) + 1e-3)
                part.bias.fill_(-float(threshold))
            x = part.eval()(x)
    return net


CASES: dict[tuple[str, str], Make] = {
    ("digits MLP 64-64-10", "float"): lambda: (mlp((64, 64, 10), "relu"), normal(64)),
    ("digits MLP 64-64-10", "int8"): lambda: (mlp((64, 64, 10), "relu"), normal(64)),
    ("digits MLP 64-64-10", "binary"): lambda: (small("sign/clipped", binary=True), pixels(64, 64)),
    ("digits MLP 64-64-10", "event-driven"): lambda: (small("step/rect", binary=False), pixels(64, 64)),
    ("MLP 784-256-256-10", "float"): lambda: (mlp((784, 256, 256, 10), "relu"), normal(784)),
    ("MLP 784-256-256-10", "int8"): lambda: (mlp((784, 256, 256, 10), "relu"), normal(784)),
    ("MLP 784-256-256-10", "binary, trained"): lambda: (binary_nets.trained("bits"), images()),
    ("MLP 784-256-256-10", "event-driven, 10 % active"): lambda: (sparse(), images()),
    ("LeNet-5", "float"): lambda: (lenet("relu"), normal(1, 28, 28)),
    ("LeNet-5", "int8"): lambda: (lenet("relu"), normal(1, 28, 28)),
    ("LeNet-5", "binary"): lambda: (small_cnn("sign/clipped"), pixels(64, 1, 28, 28)),
    ("DS-CNN of MLPerf Tiny", "float"): lambda: (tiny_nets._ds_cnn(0), normal(1, 49, 10)),
    ("DS-CNN of MLPerf Tiny", "int8"): lambda: (tiny_nets._ds_cnn(0), normal(1, 49, 10)),
    ("autoencoder of MLPerf Tiny", "float"): lambda: (tiny_nets._autoencoder(0), normal(640)),
    ("autoencoder of MLPerf Tiny", "int8"): lambda: (tiny_nets._autoencoder(0), normal(640)),
}


def exported(make: Make, form: str, folder: Path) -> Any:
    """Write a project, and return the report."""
    torch.manual_seed(0)
    model, x = make()
    to = "c99" if form == "float" else "int8"
    return actlab.export(model.eval(), x, folder, to=to, name="net", vectors=2)


def clean(folder: Path, compiler: str) -> str:
    """Return what the test program prints under the sanitizers; warnings, errors and differences raise."""
    program = folder.parent / "program"
    files = [str(folder / "net.c"), str(folder / "net_test.c")]
    subprocess.run([compiler, *FLAGS.split(), *COMPILERS[compiler].split(), *files, "-o", str(program)], check=True)  # noqa: S603 our own project
    return subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 likewise


def on_core(folder: Path, core: str, runs: int = RUNS) -> tuple[int, int, int]:
    """Return instructions, flash and RAM; outputs that are wrong, or other counts in another run, end the program."""
    project, found = read_project(folder), core_of(core)
    with tempfile.TemporaryDirectory() as temporary:
        build = Build(compiler=find_compiler(None), core=found, folder=Path(temporary), flags=(), seconds=SECONDS)
        size = build_size(project, build)
        program = build_program(project, build, 1, by_layer=False)
        outputs = [read_output(qemu.run_in_qemu(program, found, SECONDS), qemu.ticks(found)) for _ in range(runs)]
    counts = {output.runs for output in outputs}
    if len(counts) != 1 or not all(output.right for output in outputs):
        raise SystemExit(f"{folder}, {core}: {counts}, {outputs[0].text}")
    return outputs[0].runs[0], size.flash, size.ram


def rows(cores: Sequence[str], only: str) -> Iterator[str]:
    """Yield the rows of the first table."""
    for (name, form), make in CASES.items():
        if only not in f"{name}, {form}":
            continue
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "net"
            exported(make, form, folder)
            for compiler in COMPILERS:
                clean(folder, compiler)
            found = [on_core(folder, core) for core in cores]
        counts = " | ".join(f"{each[0]:,}" for each in found)
        flash, ram = max(each[1] for each in found), max(each[2] for each in found)
        yield f"| {name} | {form} | {counts} | {flash:,} | {ram:,} |"


def by_activation(cores: Sequence[str], only: str) -> Iterator[str]:
    """Yield the rows of the second table: instructions over those of relu, in per cent."""
    nets: dict[str, tuple[Callable[[str], nn.Module], torch.Tensor]] = {
        "digits MLP 64-64-10": (lambda spec: mlp((64, 64, 10), spec), normal(64)),
        "MLP 784-256-256-10": (lambda spec: mlp((784, 256, 256, 10), spec), normal(784)),
        "LeNet-5": (lenet, normal(1, 28, 28)),
    }
    for name, (make, x) in nets.items():
        if only not in name:
            continue
        relu: list[int] = []
        specs: dict[tuple[int, ...], list[str]] = {}  # by counts
        for spec in ACTIVATIONS:
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary) / "net"
                exported(lambda make=make, spec=spec, x=x: (make(spec), x), "int8", folder)  # type: ignore[misc] # defaults of a lambda
                counts = [on_core(folder, core, 1)[0] for core in cores]
            relu = relu or counts
            specs.setdefault(tuple(counts), []).append(spec)
        for found, alike in specs.items():
            cells = [f"{each:,} ({100 * each / base - 100:+.1f} %)" for each, base in zip(found, relu, strict=True)]
            yield f"| {name} | {', '.join(alike)} | {' | '.join(cells)} |"


def main() -> None:
    """Print the tables and write them behind the text of the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", nargs="+", default=["m0", "m3", "m4f", "m33"])
    parser.add_argument("--only", default="", help="part of the name of a net, or of its form")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines: list[str] = []
    for columns, found in (
        (["net", "form", *options.cores, "flash", "RAM"], rows(options.cores, options.only)),
        (["net in int8", "activation", *options.cores], by_activation(options.cores, options.only)),
    ):
        lines += ["", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        print("\n".join(lines[-2:]), flush=True)
        for row in found:
            lines.append(row)
            print(row, flush=True)
    if options.out:
        text = options.out.read_text(encoding="utf-8").partition("\n| net |")[0]
        options.out.write_text(text + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
