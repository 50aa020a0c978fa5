"""Accuracy of trained nets in float, in int8 with three calibrations, and in int8 by onnxruntime.

    python benchmarks/int8_accuracy.py [--weights FOLDER] [--out docs/evidence/int8.md]

Nets of three tasks with five activations are trained for a few epochs (once: their weights are kept in FOLDER) and quantised after training
with 512 training examples. onnxruntime quantises what torch's exporter writes, statically, in QDQ form, weights per channel, activations
in 8 bits without a sign, the smallest and largest value. All accuracies are of the task's test data, all of it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import actlab
from actlab.export.integer.fine_tune import FineTuneSettings, fine_tune
from actlab.export.integer.quantize import quantize
from actlab.export.net.net import Net
from actlab.export.net.read import read_net
from actlab.tasks.builtin import digits, fashion_mnist

SPECS = ("relu", "gelu", "mish", "serf", "swiglu")
CALIBRATION = 512  # examples
BATCHES = 400  # of the fine-tune
HEADER = (
    "| task | activation | float | min-max | percentile | MSE | min-max, 32-bit outputs | onnxruntime | decided otherwise: min-max | "
    "32-bit outputs | onnxruntime |\n" + "|---" * 11 + "|"
)
TUNED = "| task | activation | float | int8 | trained on in float, int8 | fine-tuned, int8 |\n" + "|---" * 6 + "|"


class Gated(nn.Module):
    """Gated unit along the channels."""

    def __init__(self, spec: str) -> None:
        super().__init__()
        self.act = actlab.layer(spec)

    def forward(self, x: Tensor) -> Tensor:
        """Return the product of both halves, gated."""
        value, gate = x.chunk(2, 1)
        return self.act(gate, value)  # type: ignore[no-any-return] # a module returns Any


def act(spec: str) -> tuple[int, nn.Module]:
    """Return how many times as wide its input is as its output, and the layer."""
    return (2, Gated(spec)) if spec.endswith("glu") else (1, actlab.layer(spec))


def mlp(sizes: tuple[int, ...], spec: str) -> nn.Module:
    """Return a multilayer perceptron without an activation at its end."""
    parts: list[nn.Module] = [nn.Flatten()]
    for a, b in pairwise(sizes[:-1]):
        times, layer = act(spec)
        parts += [nn.Linear(a, times * b), layer]
    return nn.Sequential(*parts, nn.Linear(sizes[-2], sizes[-1]))


def lenet(spec: str) -> nn.Module:
    """Return LeNet-5 for images of 28 x 28."""
    times = act(spec)[0]
    layers = [act(spec)[1] for _ in range(4)]
    first = [nn.Conv2d(1, 6 * times, 5, padding=2), layers[0], nn.AvgPool2d(2)]
    second = [nn.Conv2d(6, 16 * times, 5), layers[1], nn.AvgPool2d(2), nn.Flatten()]
    last = [nn.Linear(400, 120 * times), layers[2], nn.Linear(120, 84 * times), layers[3], nn.Linear(84, 10)]
    return nn.Sequential(*first, *second, *last)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A task."""

    name: str
    data: Callable[[int], Any]
    model: Callable[[str], nn.Module]
    epochs: int


CASES = (
    Case(name="digits, MLP 64-64-10", data=digits.splits, model=lambda spec: mlp((64, 64, 10), spec), epochs=60),
    Case(
        name="Fashion-MNIST, MLP 784-256-256-10",
        data=fashion_mnist.mlp_task().data,
        model=lambda spec: mlp((784, 256, 256, 10), spec),
        epochs=3,
    ),
    Case(name="Fashion-MNIST, LeNet-5", data=fashion_mnist.lenet_task().data, model=lenet, epochs=3),
)


def trained(case: Case, spec: str, folder: Path) -> nn.Module:
    """Return a trained net in eval mode, from the folder where it is there."""
    torch.manual_seed(0)
    net = case.model(spec)
    path = folder / f"{case.name.replace(',', '').replace(' ', '_')}_{spec}.pt"
    if path.exists():
        net.load_state_dict(torch.load(path, weights_only=True))
        return net.eval()
    x, y = case.data(0).train.x, case.data(0).train.y
    steps = case.epochs * (len(x) // 128)
    optimizer = torch.optim.Adam(net.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps + 1)
    for _ in range(case.epochs):
        for batch in torch.randperm(len(x))[: len(x) // 128 * 128].split(128):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
            optimizer.step()
            schedule.step()
    torch.save(net.state_dict(), path)
    return net.eval()


def by_onnxruntime(net: nn.Module, calibration: Tensor, x: Tensor, folder: Path) -> Any:
    """Return the outputs of the net that onnxruntime quantises."""
    # slow to import, and needed by this column alone
    import onnxruntime  # noqa: PLC0415 # as above
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static  # noqa: PLC0415 # as above
    from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: PLC0415 # as above

    class Reader(CalibrationDataReader):  # type: ignore[misc] # untyped
        def __init__(self) -> None:
            self.batches: Iterator[Any] = iter([{"x": part.numpy()} for part in calibration.split(64)])

        def get_next(self) -> Any:
            return next(self.batches, None)

    files = [str(folder / name) for name in ("float.onnx", "prepared.onnx", "int8.onnx")]
    batch = torch.export.Dim.DYNAMIC
    program = torch.onnx.export(net, (calibration[:4],), input_names=["x"], dynamic_shapes=({0: batch},), dynamo=True)
    assert program is not None
    program.save(files[0])
    quant_pre_process(files[0], files[1])
    options = {"quant_format": QuantFormat.QDQ, "per_channel": True}
    quantize_static(
        files[1], files[2], Reader(), activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, **options
    )
    session = onnxruntime.InferenceSession(files[2], providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"x": part.numpy()})[0] for part in x.split(500)])


def row(case: Case, spec: str, weights: Path) -> str:
    """Return the table's row of a net."""
    net, data = trained(case, spec, weights), case.data(0)
    calibration, x, y = data.train.x[:CALIBRATION], data.test.x, data.test.y.numpy()
    with torch.no_grad():
        exact = net(x).numpy().argmax(1)
    read = read_net(net, calibration[:4])
    found = {"float": exact}
    for name in ("minmax", "percentile", "mse"):
        found[name] = quantize(read, calibration.numpy(), calibration=name).run(x.numpy())[0].argmax(1)
    wide = quantize(read, calibration.numpy(), output_width=32)
    found["wide"] = wide.run(x.numpy())[0].argmax(1)
    with tempfile.TemporaryDirectory() as folder:
        found["onnxruntime"] = by_onnxruntime(net, calibration, x, Path(folder)).argmax(1)
    figures = [f"{100 * (each == y).mean():.2f}" for each in found.values()]
    others = [f"{100 * (found[each] != exact).mean():.2f}" for each in ("minmax", "wide", "onnxruntime")]
    return f"| {case.name} | {spec} | {' | '.join([*figures, *others])} |"


def tuned_row(case: Case, spec: str, weights: Path) -> str:
    """Return the row of a net that is trained on, in float and with rounding, on the same batches."""
    net, data = trained(case, spec, weights), case.data(0)
    calibration, x, y = data.train.x[:CALIBRATION], data.test.x.numpy(), data.test.y.numpy()
    order = torch.randperm(len(data.train.x), generator=torch.Generator().manual_seed(0))[: 128 * BATCHES].split(128)
    batches = [(data.train.x[i], data.train.y[i]) for i in order]

    def accuracy(some: Net) -> str:
        codes = quantize(some, calibration.numpy()).run(x)[0]
        return f"{100 * (codes.argmax(1) == y).mean():.2f}"

    read = read_net(net, calibration[:4])
    in_float = f"{100 * (read.run(x)[0].argmax(1) == y).mean():.2f}"
    tuned = fine_tune(read, calibration.numpy(), batches, nn.functional.cross_entropy)
    optimizer = torch.optim.Adam(net.parameters(), FineTuneSettings().learning_rate)
    for inputs, targets in batches:
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(inputs), targets).backward()
        optimizer.step()
    control = accuracy(read_net(net, calibration[:4]))
    return f"| {case.name} | {spec} | {in_float} | {accuracy(read)} | {control} | {accuracy(tuned)} |"


def main() -> None:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=Path(tempfile.gettempdir()) / "int8_accuracy")
    parser.add_argument("--specs", nargs="+", default=SPECS)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    options.weights.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    lines = []
    for case in CASES:
        for spec in options.specs:
            start = time.perf_counter()
            lines.append(row(case, spec, options.weights))
            print(lines[-1], f"{time.perf_counter() - start:.0f} s", flush=True)
    tuned = [tuned_row(case, "swiglu", options.weights) for case in CASES[1:]]
    print("\n".join(tuned), flush=True)
    if options.out:
        text = options.out.read_text(encoding="utf-8")
        for header, rows in ((HEADER, lines), (TUNED, tuned)):
            before, found, rest = text.partition(header)
            if not found:
                raise SystemExit(f"{options.out} has no table with the header {header}")
            text = before + header + "\n" + "\n".join(rows) + "\n\n" + rest.partition("\n\n")[2]
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
