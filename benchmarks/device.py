r"""Instructions, flash, RAM and accuracy of one trained net on emulated Cortex-M cores, ours beside other libraries.

    pip install --no-deps --target PACKAGES bakenn==1.0.0 emlearn==0.23.2
    python benchmarks/device.py --weights FOLDER [--packages PACKAGES] [--onnx2c PROGRAM] [--cmsis-nn CHECKOUT] \
        [--out docs/evidence/device.md]

The net is the Fashion-MNIST MLP 784-256-256-10 of ``benchmarks/int8_accuracy.py``; its weights are trained once and kept in FOLDER. Peers
that are not given are left out. Ours is compiled as its Makefile says, with -O2; of a peer the better of -O2 and -O3 is shown.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from int8_accuracy import CALIBRATION, CASES, trained

import actlab
from actlab.export.c99.text import array_rows
from actlab.export.device import measure
from actlab.export.integer.layers import Product, Requantize
from actlab.export.integer.net import IntegerNet
from actlab.export.integer.quantize import quantize
from actlab.export.net.read import read_net
from actlab.export.report import DeviceFigures

HERE = Path(__file__).parent
CORES = ("m0", "m3", "m4f", "m33")
SPECS = ("relu", "gelu", "mish", "serf")
VECTORS = 4
FUSED = "-ffp-contract=fast"  # fused multiply-adds, which change bits
COMMAND = """python benchmarks/device.py --weights FOLDER --packages PACKAGES \\
    --onnx2c PROGRAM --cmsis-nn CHECKOUT --out docs/evidence/device.md"""
ARGUMENTS = "| net | accuracy | flash | RAM | " + " | ".join(f"instructions on {core.upper()}" for core in CORES) + " |"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table: figures by core."""

    name: str
    accuracy: float | None
    figures: Sequence[DeviceFigures]

    def __str__(self) -> str:
        wrong = [each.name for each in self.figures if not each.right]
        assert not wrong, f"{self.name} is wrong on {wrong}"
        m4f = self.figures[CORES.index("m4f")]
        cells = [f"{each.instructions:,}" for each in self.figures]
        accuracy = "-" if self.accuracy is None else f"{100 * self.accuracy:.2f} %"
        return f"| {self.name} | {accuracy} | {m4f.flash:,} | {m4f.ram:,} | {' | '.join(cells)} |"


def ours(name: str, folder: Path, accuracy: float | None, flags: tuple[str, ...] = ()) -> Row:
    """Return the row of an exported project."""
    figures = [measure(folder, core, vectors=VECTORS, flags=flags) for core in CORES]
    return Row(name=name, accuracy=accuracy, figures=figures)


def layers_of(net: torch.nn.Module, whole: IntegerNet, calibration: Any, file: Path) -> None:
    """Write the float weights and those of our int8 net, for the peers."""
    arrays: dict[str, Any] = {"calibration": calibration.flatten(1).numpy()}
    linears = [module for module in net.modules() if isinstance(module, torch.nn.Linear)]
    products = [layer for layer in whole.layers if isinstance(layer, Product)]
    for i, (linear, product) in enumerate(zip(linears, products, strict=True)):
        arrays |= {f"weight_{i}": linear.weight.detach().numpy(), f"bias_{i}": linear.bias.detach().numpy()}
        ending, coding = product.ending, whole.codings[product.inputs[0]]
        assert isinstance(ending, Requantize)
        assert ending.table is None
        arrays |= {f"code_{i}": product.weight, f"sum_{i}": product.bias, f"multiplier_{i}": ending.multiplier}
        arrays |= {f"shift_{i}": ending.shift, f"zero_{i}": coding.zero, f"out_{i}": ending.zero}  # type: ignore[union-attr] # codes
        arrays |= {f"low_{i}": ending.low, f"high_{i}": ending.high}
    arrays["input_scale"] = whole.codings[whole.inputs[0]].scale  # type: ignore[union-attr] # codes
    np.savez(file, **arrays)


def peer(name: str, layers: Path, folder: Path, options: argparse.Namespace) -> Path:
    """Return the folder of a peer's project."""
    source = {"onnx2c": options.onnx2c, "cmsis-nn": options.cmsis_nn}.get(name)
    command = [sys.executable, str(HERE / "device_peers.py"), name, str(layers), str(folder)]
    environment = dict(os.environ) | {"PYTHONPATH": str(options.packages)}
    subprocess.run(command + (["--source", str(source)] if source else []), check=True, env=environment)  # noqa: S603 # our own script
    return folder


def on_host(folder: Path, x: Any) -> tuple[Any, Any]:
    """Return the inputs and outputs of a peer's project in its own numbers, computed on the host."""
    with np.load(folder / "codes.npz") as codes:
        kind = str(codes["kind"])
        inputs = x.astype(np.float32)
        if kind == "int8_t":
            inputs = np.clip(np.rint(x / codes["scale"]) + codes["zero"], -128, 127).astype(np.int8)
    command = ["gcc", "-std=c99", "-O2", "-fPIC", "-shared", "peer.c", "-o", "peer.so", "-lm"]
    subprocess.run(command, cwd=folder, check=True)  # noqa: S603 # the compiler
    run = ctypes.CDLL(str(folder / "peer.so")).peer_run
    outputs = np.empty((len(x), 10), inputs.dtype)
    for row, output in zip(np.ascontiguousarray(inputs), outputs, strict=True):
        run(ctypes.c_void_p(row.ctypes.data), ctypes.c_void_p(output.ctypes.data))
    return inputs, outputs


def test_program(inputs: Any, outputs: Any) -> str:
    """Return a test program with the first vectors and the host's outputs."""
    kind = "float" if inputs.dtype == np.float32 else "int8_t"
    tolerance = "1e-4f" if kind == "float" else "0"
    arrays = [array_rows(name, rows, kind=kind) for name, rows in (("inputs", inputs), ("wanted", outputs))]
    return f"""#include "peer.h"
#include <stdio.h>
#ifndef VECTORS
#define VECTORS {len(inputs)}
#endif
{chr(10).join(arrays)}
int main(void)
{{
    static {kind} got[10];
    int v, i, wrong = 0;
    for (v = 0; v < VECTORS; ++v) {{
        peer_run(inputs[v], got);
        for (i = 0; i < 10; ++i)
            wrong += got[i] - wanted[v][i] > {tolerance} || wanted[v][i] - got[i] > {tolerance};
    }}
    printf("%d wrong\\n", wrong);
    return wrong > 0;
}}
"""


def peer_row(name: str, folder: Path, x: Any, y: Any) -> tuple[Row, Any]:
    """Return the row of a peer, and its outputs for the test images."""
    inputs, outputs = on_host(folder, x)
    (folder / "peer_test.c").write_text(test_program(inputs[:VECTORS], outputs[:VECTORS]))
    figures = []
    for core in CORES:
        found = [measure(folder, core, vectors=VECTORS, flags=(level, FUSED)) for level in ("-O2", "-O3")]
        figures.append(min(found, key=lambda each: each.instructions or 0))
    return Row(name=name, accuracy=float((outputs.argmax(1) == y).mean()), figures=figures), outputs


def commit(path: Path | None) -> str:
    """Return the commit of the checkout in which a file or folder lies, with a space before it; nothing where there is none."""
    if path is None:
        return ""
    command = ["git", "-C", str(path if path.is_dir() else path.parent), "rev-parse", "--short=8", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 # git
    return f" {done.stdout.strip()}" if done.returncode == 0 else ""


def rows(options: argparse.Namespace, temporary: Path) -> Iterator[str]:
    """Yield the table, line by line."""
    case, data = CASES[1], CASES[1].data(0)
    x, y, calibration = data.test.x, data.test.y.numpy(), data.train.x[:CALIBRATION]
    flat = x.flatten(1).numpy()
    nets, wholes = {}, {}
    for spec in SPECS:
        nets[spec] = net = trained(case, spec, options.weights)
        wholes[spec] = quantize(read_net(net, x[:2]), [calibration.numpy()])
        with torch.no_grad():
            accuracy = float((net(x).argmax(1).numpy() == y).mean())
        if spec in SPECS[:2]:
            actlab.export(net, x[:VECTORS], temporary / f"float_{spec}", to="c99", vectors=VECTORS)
            yield str(ours(f"ActLab, float32, {spec}", temporary / f"float_{spec}", accuracy))
        if spec == "relu":
            yield str(ours("ActLab, float32, relu, fused multiply-adds", temporary / f"float_{spec}", None, (FUSED,)))
        settings = {"vectors": VECTORS, "calibration_inputs": calibration}
        actlab.export(net, x[:VECTORS], temporary / f"int8_{spec}", to="int8", **settings)
        exact = float((wholes[spec].run(x.numpy())[0].argmax(1) == y).mean())
        yield str(ours(f"ActLab, int8, {spec}", temporary / f"int8_{spec}", exact))
    layers = temporary / "layers.npz"
    layers_of(nets["relu"], wholes["relu"], calibration, layers)
    for name, given, what in (
        ("emlearn", options.packages, "emlearn 0.23.2, float32, relu"),
        ("onnx2c", options.onnx2c, f"onnx2c{commit(options.onnx2c)}, float32, relu"),
        ("bakenn", options.packages, "BakeNN 1.0.0, int8 portable, relu"),
        ("cmsis-nn", options.cmsis_nn, f"CMSIS-NN{commit(options.cmsis_nn)}, int8 per channel, relu, our codes"),
    ):
        if given is None:
            yield f"| {what}: not installed" + " | -" * (3 + len(CORES)) + " |"
            continue
        folder = temporary / name
        folder.mkdir()
        if name == "onnx2c":
            actlab.export(nets["relu"][1:], x[:1].flatten(1), folder / "net.onnx", dynamic_batch=False)
        row, outputs = peer_row(what, peer(name, layers, folder, options), flat, y)
        yield str(row)
        if name == "cmsis-nn":
            same = (outputs == wholes["relu"].run(x.numpy())[0]).all(1).mean()
            yield f"\nCMSIS-NN's outputs are ours to the bit for {100 * same:.2f} % of the {len(y):,} test images."


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--packages", type=Path, help="folder with the packages bakenn and emlearn")
    parser.add_argument("--onnx2c", type=Path, help="program, built from its sources")
    parser.add_argument("--cmsis-nn", type=Path, help="checkout of its sources")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.weights.mkdir(parents=True, exist_ok=True)
    lines = [ARGUMENTS, "|---|" + "---|" * (3 + len(CORES))]
    with tempfile.TemporaryDirectory() as temporary:
        for line in rows(options, Path(temporary)):
            print(line, flush=True)
            lines.append(line)
        tools = measure(Path(temporary) / "int8_relu", "m4f", vectors=1)
    method = (
        f"2026-12-01. Fashion-MNIST MLP 784-256-256-10, the same trained weights for all with relu, {tools.compiler}, {tools.emulator}. "
        f"Instructions of one inference, the mean of {VECTORS} test images, the same in each run; counted, and no cycles. Ours "
        "is compiled with -O2, without fused multiply-adds, for equal bits on all cores; the others with them, and the better of -O2 and "
        "-O3 is shown for each core. Flash and RAM are bytes on the M4F: code and constants with the compiler's library functions, and "
        "static memory without the stack. Accuracy of 10,000 test images: the C code of the peers on the host, and of ours in PyTorch "
        "(float32) and NumPy (int8), whose bits the C code has. The M0's code runs on an M3, which has all of its instructions and more "
        "memory."
    )
    head = [
        "# Cortex-M: instructions, flash and RAM beside other libraries",
        "",
        f"```bash\n{COMMAND}\n```",
        "",
        method,
        "",
    ]
    text = "\n".join([*head, *lines])
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
