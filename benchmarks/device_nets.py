"""Five nets in float and int8 on four emulated Cortex-M cores: outputs, instructions in total and by layer, the same in five runs.

    nice python benchmarks/device_nets.py [--runs 5] [--out docs/evidence/device_nets.md]

The nets have random weights and inputs: what is measured does not depend on their training, but for the float arithmetic of cores without a
floating-point unit, to about 1 %. Every run compiles and counts anew.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from int8_accuracy import CASES
from torch import nn

import actlab
from actlab.export.device import measure
from actlab.export.report import DeviceFigures
from actlab.tasks.builtin.microcontroller import tiny_nets

CORES = ("m0", "m3", "m4f", "m33")
COMMAND = "nice python benchmarks/device_nets.py --out docs/evidence/device_nets.md"
VECTORS = 2
SECONDS = 300


def nets() -> Iterator[tuple[str, nn.Module, tuple[int, ...]]]:
    """Yield name, net and the shape of an example."""
    shapes = {"digits": (64,), "LeNet": (1, 28, 28), "MLP": (784,)}
    for case in CASES:
        shape = next(shape for word, shape in shapes.items() if word in case.name)
        torch.manual_seed(0)
        yield case.name, case.model("gelu"), shape
    for name, task in (
        ("DS-CNN of MLPerf Tiny", tiny_nets.ds_cnn_task()),
        ("autoencoder of MLPerf Tiny", tiny_nets.anomaly_task()),
    ):
        torch.manual_seed(0)
        yield name, task.model(0), (1, 49, 10) if "DS-CNN" in name else (640,)


def measured(folder: Path, runs: int) -> list[DeviceFigures]:
    """Return the figures of a project on the cores.

    Raises:
        AssertionError: an output is wrong, or a run has other figures.
    """
    found = []
    for core in CORES:
        first, *others = (measure(folder, core, vectors=VECTORS, seconds=SECONDS) for _ in range(runs))
        assert first.right, first.result
        assert all(each == first for each in others), f"{core} of {folder.name}: the runs differ"
        found.append(first)
    return found


def row(name: str, figures: Sequence[DeviceFigures]) -> str:
    """Return a line of the table."""
    cells = [f"{each.flash:,} | {each.ram:,} | {each.stack:,}" for each in figures if each.core == "m4f"]
    return f"| {name} | {cells[0]} | {' | '.join(f'{each.instructions:,}' for each in figures)} |"


def by_layer(name: str, figures: Sequence[DeviceFigures]) -> list[str]:
    """Return the table of a net's layers."""
    lines = [
        "",
        f"### {name}",
        "",
        "| layer | " + " | ".join(each.name for each in figures) + " |",
        "|---|" + "---|" * len(figures),
    ]
    lines += [
        f"| {layers[0].layer} | {' | '.join(f'{each.instructions:,}' for each in layers)} |"
        for layers in zip(*(each.layers for each in figures), strict=True)
    ]
    total = [sum(layer.instructions for layer in each.layers) for each in figures]
    return [*lines, f"| sum | {' | '.join(f'{each:,}' for each in total)} |"]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "| net | flash, M4F | RAM | stack | " + " | ".join(core.upper() for core in CORES) + " |",
        "|---|" + "---|" * 7,
    ]
    layers: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        for name, net, shape in nets():
            x = torch.rand(64, *shape, generator=torch.Generator().manual_seed(0))
            for to in ("c99", "int8"):
                folder = Path(temporary) / f"net_{len(lines)}"
                actlab.export(net.eval(), x, folder, to=to, vectors=VECTORS)
                figures = measured(folder, options.runs)
                title = f"{name}, {'float32' if to == 'c99' else 'int8'}"
                lines.append(row(title, figures))
                layers += by_layer(title, figures)
                print(lines[-1], flush=True)
        compiler, emulator = figures[0].compiler, (figures[0].emulator or "").partition(",")[0]
    method = (
        f"2026-12-01, {compiler} with -O2, {emulator}. Instructions of one inference, the mean of {VECTORS} examples. All outputs are "
        f"those of PyTorch to 1e-4 (float32) or of NumPy to the bit (int8), and all figures are the same in {options.runs} runs, each "
        "compiled anew. Instructions are counted, and are no cycles. The M0's code runs on an M3, which has all of its instructions and "
        "more memory."
    )
    head = [
        "# Nets on emulated Cortex-M cores",
        "",
        f"```bash\n{COMMAND}\n```",
        "",
        method,
        "",
        *lines,
        "",
        "## By layer",
    ]
    if options.out is not None:
        options.out.write_text("\n".join([*head, *layers]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
