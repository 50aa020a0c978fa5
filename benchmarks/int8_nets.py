"""Figures of int8 nets in C99: instructions, flash and memory on emulated cores, bits on a whole test set, time on the host.

    python benchmarks/int8_nets.py [--weights FOLDER] [--cores m0 m3 m4f m33] [--out docs/evidence/int8_nets.md]

Nets of digits and Fashion-MNIST are trained for a few epochs (once: their weights are kept in FOLDER, see int8_accuracy.py), those of
MLPerf Tiny are untrained. Each is exported with 512 training examples for the ranges. The compiled C runs all test examples, and its codes
are compared with NumPy's. Times are medians of interleaved rounds of one thread, int8 against the float project of the same net.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from int8_accuracy import CASES, trained
from torch import nn

import actlab
from actlab.export.device.measurement import measure
from actlab.export.integer.quantize import quantize
from actlab.export.net.read import read_net
from actlab.tasks.builtin.microcontroller import tiny_nets

CALIBRATION = 512  # examples
ROUNDS = 9
MAIN = """#include <stdio.h>
#include <time.h>
#include "net.h"

static {kind} in[NET_INPUT_SIZE];
static {kind} out[NET_OUTPUT_SIZE];

int main(void)
{{
    clock_t used = 0;
    while (fread(in, sizeof in, 1, stdin) == 1) {{
        const clock_t start = clock();
        int i;
        for (i = 0; i < REPEATS; ++i)
            net_run(in, out);
        used += clock() - start;
        fwrite(out, sizeof out, 1, stdout);
    }}
    fprintf(stderr, "%.9f\\n", (double)used / CLOCKS_PER_SEC);
    return 0;
}}
"""


def program(folder: Path, kind: str, repeats: int = 1) -> Path:
    """Return a compiled program that runs a project on examples from the standard input, each several times."""
    (folder / "main.c").write_text(MAIN.format(kind=kind), encoding="utf-8")
    path = folder / f"main_{repeats}"
    command = [
        "gcc",
        "-std=gnu99",
        "-O2",
        "-ffp-contract=off",
        f"-DREPEATS={repeats}",
        str(folder / "main.c"),
        str(folder / "net.c"),
    ]
    subprocess.run([*command, "-o", str(path)], check=True)  # noqa: S603 our own project
    return path


def outputs(path: Path, examples: Any) -> tuple[bytes, float]:
    """Return what a program makes of examples, and the seconds that it took for one."""
    done = subprocess.run([str(path)], input=examples.tobytes(), capture_output=True, check=True)  # noqa: S603 likewise
    return done.stdout, float(done.stderr) / len(examples)


def nets(weights: Path) -> Iterator[tuple[str, str, nn.Module, torch.Tensor, torch.Tensor, Any]]:
    """Yield name, activation, model, examples for the ranges, test examples and classes, which are None for an untrained net."""
    for case in CASES:
        data = case.data(0)
        for spec in ("relu", "gelu"):
            yield case.name, spec, trained(case, spec, weights), data.train.x[:CALIBRATION], data.test.x, data.test.y
    for name, model, shape in (
        ("DS-CNN of MLPerf Tiny", tiny_nets._ds_cnn(0), (1, 49, 10)),
        ("autoencoder of MLPerf Tiny", tiny_nets._autoencoder(0), (640,)),
    ):
        x = torch.randn(CALIBRATION, *shape, generator=torch.Generator().manual_seed(0))
        yield name, "relu", model, x, x, None


def measured(model: nn.Module, ranges: torch.Tensor, x: torch.Tensor, y: Any, cores: list[str]) -> list[str]:
    """Return the cells of a net."""
    with tempfile.TemporaryDirectory() as temporary:
        whole_folder, float_folder = Path(temporary) / "int8", Path(temporary) / "float"
        report = actlab.export(model, ranges, whole_folder, to="int8", name="net", vectors=2)
        actlab.export(model, ranges[:4], float_folder, to="c99", name="net", vectors=2)
        whole = quantize(read_net(model, ranges), ranges.numpy())
        on_cores = [measure(whole_folder, core, vectors=1) for core in cores]
        (codes,) = whole.encode(x.numpy())
        printed, _ = outputs(program(whole_folder, "int8_t"), codes)
        repeated = [program(whole_folder, "int8_t", 100), program(float_folder, "float", 100)]
        few = list(zip(repeated, (codes[:20], x[:20].numpy()), strict=True))
        times = np.array([[outputs(*each)[1] for each in few] for _ in range(ROUNDS)])
    memory = report.memory
    assert memory is not None
    cells = [f"{each.instructions:,}" for each in on_cores]
    flash = max(each.flash or 0 for each in on_cores)
    (wanted,) = whole.run_codes([codes])
    got = np.frombuffer(printed, np.int8).reshape(wanted.shape)
    same = f"{int((got == wanted).sum()):,} of {wanted.size:,}"
    cells += [f"{flash:,}", f"{memory.ram:,}", same, *_accuracies(model, x, y, got)]
    return [*cells, f"{np.median(times[:, 1] / times[:, 0]):.1f}"]


def _accuracies(model: nn.Module, x: torch.Tensor, y: Any, codes: Any) -> tuple[str, str]:
    """Return the accuracy in float and of the codes that the compiled C has computed, in per cent."""
    if y is None:
        return "", ""
    with torch.no_grad():
        right = (model(x).argmax(1) == y).double().mean().item()
    return f"{100 * right:.2f}", f"{100 * np.mean(codes.argmax(1) == y.numpy()):.2f}"


def main() -> None:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--cores", nargs="+", default=["m0", "m3", "m4f", "m33"])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    weights = options.weights or Path(tempfile.mkdtemp())
    columns = ["net", "activation", *options.cores, "flash", "RAM", "equal to NumPy", "float", "C", "times faster"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name, spec, model, ranges, x, y in nets(weights):
        lines.append(f"| {name} | {spec} | {' | '.join(measured(model, ranges, x, y, options.cores))} |")
        print(lines[-1], flush=True)
    if options.out:
        text = options.out.read_text(encoding="utf-8").partition("| net |")[0]
        options.out.write_text(text + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
