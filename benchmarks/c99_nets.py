"""Figures of float nets in C99: constants, flash, memory and differences from PyTorch, by compiler.

    python benchmarks/c99_nets.py [--compilers gcc "python -m ziglang cc"] [--out docs/evidence/c99_nets.md]

The nets are untrained: sizes do not depend on the weights. Each is exported and its test program run, for each compiler.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn

import actlab
from actlab.tasks.builtin.microcontroller import tiny_nets

COLUMNS = ("net", "activation", "compiler", "layers", "constants", "flash", "RAM", "least RAM", "difference")
HEADER = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|"


def mlp(sizes: tuple[int, ...], spec: str) -> nn.Module:
    """Return a multilayer perceptron without an activation at its end."""
    parts = [part for a, b in pairwise(sizes[:-1]) for part in (nn.Linear(a, b), actlab.layer(spec))]
    return nn.Sequential(*parts, nn.Linear(sizes[-2], sizes[-1]))


def lenet(spec: str) -> nn.Module:
    """Return LeNet-5 for images of 28 x 28."""
    first = [
        nn.Conv2d(1, 6, 5, padding=2),
        actlab.layer(spec),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        actlab.layer(spec),
        nn.AvgPool2d(2),
    ]
    last = [
        nn.Flatten(),
        nn.Linear(400, 120),
        actlab.layer(spec),
        nn.Linear(120, 84),
        actlab.layer(spec),
        nn.Linear(84, 10),
    ]
    return nn.Sequential(*first, *last)


def rows(compiler: str, folder: Path) -> list[str]:
    """Return the table's rows of one compiler."""
    os.environ["CC"] = compiler
    found = []
    for spec in ("relu", "gelu"):
        cases = {
            "digits MLP 64-64-10": (mlp((64, 64, 10), spec), (64,)),
            "Fashion-MNIST MLP 784-256-256-10": (mlp((784, 256, 256, 10), spec), (784,)),
            "LeNet-5": (lenet(spec), (1, 28, 28)),
        }
        if spec == "relu":
            cases["DS-CNN of MLPerf Tiny"] = (tiny_nets._ds_cnn(0), (1, 49, 10))
            cases["autoencoder of MLPerf Tiny"] = (tiny_nets._autoencoder(0), (640,))
            cases["ResNet-8 of MLPerf Tiny"] = (tiny_nets._resnet(0), (3, 32, 32))
        for name, (model, shape) in cases.items():
            torch.manual_seed(0)
            report = actlab.export(model, torch.randn(4, *shape), folder / "net", to="c99", vectors=4)
            memory = report.memory
            assert memory is not None
            figures = [f"{each:,}" for each in (memory.constants, memory.flash or 0, memory.ram, memory.needed)]
            found.append(
                f"| {name} | {spec} | {report.runtime} | {report.nodes} | {' | '.join(figures)} | {report.largest:.1e} |"
            )
            print(found[-1], flush=True)
    return found


def main() -> None:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compilers", nargs="+", default=["gcc"])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lines = [line for compiler in options.compilers for line in rows(compiler, Path(folder))]
    if options.out:
        text = options.out.read_text(encoding="utf-8").partition("| net |")[0]
        options.out.write_text(text + HEADER + "\n" + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
