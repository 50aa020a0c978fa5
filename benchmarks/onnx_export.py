"""Latency of all entries in onnxruntime, as ActLab prints them and as torch's exporter writes them.

    python benchmarks/onnx_export.py [--size 262144] [--rounds 7] [--out docs/evidence/onnx.md]

torch's exporter writes all elementwise and gated entries of a kind in one model, of which each is cut out. Vector and stochastic
entries are exported one by one; vector entries are tensor code, for which both give the same nodes. Per entry and round, torch's layer, the
exporter's rendering and ActLab's two run in turn, on one thread, each twice, of which the second run counts; medians of CPU time, which a
busy machine does not change much. An entry is composed if the exporter writes more than one node for it.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import torch
from torch import nn

import actlab
from actlab.codegen.onnx.program import Program, Settings, program_of_spec
from actlab.codegen.pytorch import text
from actlab.export.capture.quiet import quietly
from actlab.export.onnx.check import session
from actlab.export.onnx.settings import needed
from actlab.export.onnx.single import model_of
from actlab.functions.activation import names
from actlab.functions.grammar import parse

CHUNK = 24
# Entries whose stabilised formula takes a hypot, of which torch's exporter has no form.
UNWRITTEN = {name for kind in ("elementwise", "gated") for name in names(kind) if "hypot" in text(actlab.get(name))}
POINTS = np.concatenate([np.linspace(-12, 12, 4001), np.geomspace(1e-9, 1e3, 100), -np.geomspace(1e-9, 1e3, 100)])


class Entries(nn.Module):
    """Layers side by side."""

    def __init__(self, chosen: list[str]) -> None:
        super().__init__()
        self.acts = nn.ModuleDict({name: actlab.layer(name) for name in chosen})

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return one output for each layer."""
        return tuple(act(*inputs) for act in self.acts.values())


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was measured of an entry; milliseconds. NaN where the exporter has no form of it."""

    name: str
    kind: str
    nodes: int
    theirs: int
    difference: float
    torch: float
    exporter: float
    accuracy: float
    speed: float

    @property
    def gain(self) -> float:
        """The exporter's time over ours."""
        return self.exporter / self.accuracy


def renderings(kind: str, part: slice) -> dict[str, bytes]:
    """Return a model of each entry as torch's exporter writes it, of those that it can write."""
    found: dict[str, bytes] = {}
    chosen = [name for name in names(kind)[part] if name not in UNWRITTEN]
    for first in range(0, len(chosen), CHUNK):
        found |= _those_it_can(kind, chosen[first : first + CHUNK])
        print(f"{len(found)} of {len(chosen)} {kind} entries rendered", flush=True)
    return found


def _those_it_can(kind: str, chosen: list[str]) -> dict[str, bytes]:
    """Return the renderings of those entries that the exporter can write, by halving."""
    try:
        return _renderings(kind, chosen)
    except Exception as error:
        if len(chosen) == 1:
            UNWRITTEN.update(chosen)
            print(f"{chosen[0]}: {str(error.__cause__ or error)[:150]}", flush=True)
            return {}
    half = len(chosen) // 2
    return _those_it_can(kind, chosen[:half]) | _those_it_can(kind, chosen[half:])


def _renderings(kind: str, chosen: list[str]) -> dict[str, bytes]:
    model = Entries(chosen).eval()
    inputs = (torch.randn(4, 8),) * (1 if kind == "elementwise" else 2)
    named = [f"out_{name}" for name in chosen]
    ins = ["x"] if kind == "elementwise" else ["gate", "value"]
    shapes = {"inputs": ({0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC},) * len(inputs)}
    with quietly(), torch.no_grad():
        exported = torch.onnx.export(
            model,
            inputs,
            dynamo=True,
            opset_version=18,
            verbose=False,
            dynamic_shapes=shapes,
            input_names=ins,
            output_names=named,
        )
    whole = exported.model_proto
    extractor = onnx.utils.Extractor(whole)
    return {
        name: extractor.extract_model(ins, [out]).SerializeToString() for name, out in zip(chosen, named, strict=True)
    }


def nodes_of(content: bytes) -> int:
    """Return the number of nodes without constants."""
    return sum(node.op_type != "Constant" for node in onnx.load_from_string(content).graph.node)


def measure(name: str, kind: str, theirs: bytes | None, size: int, rounds: int) -> Row:
    """Return the row of an entry."""
    act = actlab.layer(name).eval()
    learned = [parameter.detach().numpy() for parameter in act.parameters()]
    programs = {prefer: program_of_spec(parse(name), Settings(prefer=prefer)) for prefer in ("accuracy", "speed")}
    inputs = [
        np.random.default_rng(i).standard_normal((1, size), dtype=np.float32) * 3 for i in range(1 + (kind == "gated"))
    ]
    tensors = [torch.from_numpy(each) for each in inputs]
    runs: dict[str, Callable[[], object]] = {"torch": lambda: act(*tensors)}
    if theirs is not None:
        runs["exporter"] = _running(theirs, inputs)
    for prefer, program in programs.items():
        runs[prefer] = _runner(program, inputs, learned)
    return Row(
        name=name,
        kind=kind,
        nodes=len(programs["accuracy"].nodes),
        theirs=nodes_of(theirs) if theirs is not None else 0,
        difference=_difference(act, programs["accuracy"], learned, kind),
        **{"exporter": float("nan")} | _in_turn(runs, rounds),
    )


def _in_turn(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median milliseconds of each run."""
    times: dict[str, list[float]] = {key: [] for key in runs}
    with torch.no_grad():
        for _ in range(rounds):
            for key, call in runs.items():
                call()  # the one before it has left its own data in the caches
                start = time.thread_time()
                call()
                times[key].append(1e3 * (time.thread_time() - start))
    return {key: float(np.median(each)) for key, each in times.items()}


def _running(content: bytes, inputs: Sequence[np.ndarray]) -> Callable[[], object]:
    running = session(content, threads=1)
    feed = dict(zip((each.name for each in running.get_inputs()), inputs, strict=True))
    return lambda: running.run(None, feed)


def measure_tensor_code(name: str, kind: str, size: int, rounds: int) -> Row:
    """Return the row of a vector or stochastic entry, exported as a model of its own."""
    record = actlab.get(name)
    act = actlab.layer(name, channels=256).eval() if record.parameters else actlab.layer(name).eval()
    x = torch.randn(max(1, size // (64 * 256)), 64, 256, generator=torch.Generator().manual_seed(0)) * 3
    tensors = (x, x.flip(-1), 2 * x, x - 1)[: len(record.inputs) if record.mixes_tokens else 1]
    inputs = [each.contiguous().numpy() for each in tensors]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        report = actlab.export(act, tensors, path)
        ours = path.read_bytes()
    runs = {"torch": lambda: act(*tensors), "accuracy": _running(ours, inputs)}
    theirs = 0
    try:
        with quietly(), torch.no_grad():
            written = torch.onnx.export(
                act, tensors, dynamo=True, opset_version=18, verbose=False
            ).model_proto.SerializeToString()
        runs["exporter"], theirs = _running(written, inputs), nodes_of(written)
    except Exception as error:
        print(f"{name}: {str(error.__cause__ or error)[:150]}", flush=True)
    times = {"exporter": float("nan")} | _in_turn(runs, rounds)
    times["speed"] = times["accuracy"]
    relative = max(each.relative for each in report.differences)
    nodes = nodes_of(ours)
    return Row(name=name, kind=kind, nodes=nodes, theirs=theirs, difference=relative, **times)


def _runner(program: Program, inputs: list[np.ndarray], learned: list[np.ndarray]):
    running = session(model_of(program, 18).SerializeToString(), threads=1)
    feed = dict(zip(program.inputs, [*inputs, *learned], strict=True))
    return lambda: running.run(None, feed)


def _difference(act: nn.Module, program: Program, learned: list[np.ndarray], kind: str) -> float:
    """Return the largest difference from the layer in float64, over 1 + the magnitude."""
    points = POINTS.astype(np.float32)
    inputs = [points, np.roll(points, 7)][: 1 + (kind == "gated")]
    got = _runner(program, inputs, learned)()[0]
    with torch.no_grad():
        exact = act.double()(*(torch.from_numpy(each).double() for each in inputs)).numpy()
    with np.errstate(over="ignore", invalid="ignore"):
        same = got == exact.astype(np.float32)  # both infinite, where the result is beyond float32
        return float(np.where(same, 0.0, np.abs(got - exact) / (1 + np.abs(exact))).max())


def geometric(values: list[float]) -> float:
    """Return the geometric mean."""
    return float(np.exp(np.mean(np.log(values))))


def _cell(value: float, places: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{places}f}"


def _unlisted(rows: list[Row]) -> str:
    """Return how many entries were not timed, and where they are checked."""
    listed = {row.name for row in rows}
    left = [
        name for kind in ("elementwise", "gated", "vector", "stochastic") for name in names(kind) if name not in listed
    ]
    return (
        f"; {len(left)} vector entries are checked in `pytest -m slow tests/export/onnx` and not timed here"
        if left
        else ""
    )


def page(rows: list[Row], size: int, rounds: int) -> str:
    """Return the evidence page."""
    printed = [row for row in rows if row.kind in {"elementwise", "gated"}]
    composed = [row for row in printed if row.theirs > 1]
    alone = [row.name for row in rows if math.isnan(row.exporter)]
    mish = next((row for row in rows if row.name == "mish"), None)
    speed = geometric([row.exporter / row.speed for row in composed])
    runtime = needed("onnxruntime").__version__
    worst = max(row.difference for row in printed if row.name not in {"finer", "siren"})
    gain = geometric([row.gain for row in composed])
    slower = sum(row.gain < 1 for row in composed)
    lines = [
        "# ONNX: latency of all entries",
        "",
        (
            f"`python benchmarks/onnx_export.py --size {size} --rounds {rounds}`, 2026-12-01; torch {torch.__version__}, "
            f"onnxruntime {runtime}, opset 18, one thread, CPU time, medians of interleaved runs, "
            f"milliseconds for {size:,} float32 numbers. "
            "The ratios are of runs side by side; other work ran on the machine."
        ),
        "",
        (
            f"- All entries of the catalogue are exported, {len(rows)} are listed{_unlisted(rows)}. torch's exporter has no form of "
            f"{', '.join(alone) or 'none of them'}. Of elementwise and gated entries the largest difference from float64, over 1 + "
            f"the magnitude, is {worst:.1e}, but for `finer` and `siren`, sines of large numbers, whose float32 layers differ as much."
        ),
        (
            f"- Geometric mean over the {len(composed)} composed functions, the exporter's rendering over ActLab's: **{gain:.2f}x**; "
            f'with `prefer="speed"` {speed:.2f}x. {slower} are slower, most for the exact tail of a sigmoid or a log1p.'
        ),
        f'- mish: **{mish.gain:.1f}x**, with `prefer="speed"` {mish.exporter / mish.speed:.1f}x.'
        if mish is not None
        else "",
        "",
        "| function | kind | nodes | exporter's nodes | difference | torch | exporter | ActLab | for speed | exporter / ActLab |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.name} | {row.kind} | {row.nodes} | {row.theirs or '-'} | {row.difference:.1e} | {row.torch:.2f} | "
        f"{_cell(row.exporter, 2)} | {row.accuracy:.2f} | {row.speed:.2f} | {_cell(row.gain, 1)} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def _measured(kinds: Sequence[str], part: slice, size: int, rounds: int) -> Iterator[Row]:
    for kind in (kind for kind in ("elementwise", "gated") if kind in kinds):
        found = renderings(kind, part)
        for name in names(kind)[part]:
            yield measure(name, kind, found.get(name), size, rounds)
    for kind in (kind for kind in ("vector", "stochastic") if kind in kinds):
        for name in names(kind)[part]:
            yield measure_tensor_code(name, kind, size, rounds)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2**18)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--rows", type=Path, help="also write the rows, or without entries to measure read them, one JSON record a line"
    )
    parser.add_argument("--kinds", nargs="+", default=["elementwise", "gated", "vector", "stochastic"])
    parser.add_argument("--part", type=int, default=0, help="measure every PARTS-th entry from this one on")
    parser.add_argument("--parts", type=int, default=1, help="0 to measure nothing, and write the page of the rows")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    if not options.parts:
        rows = [Row(**json.loads(line)) for line in options.rows.read_text(encoding="utf-8").splitlines()]
        rows.sort(key=lambda row: (row.kind, row.name))
    for row in (
        _measured(options.kinds, slice(options.part, None, options.parts), options.size, options.rounds)
        if options.parts
        else ()
    ):
        rows.append(row)
        if options.rows is not None:
            with options.rows.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(row)) + "\n")
        print(f"{row.name}: exporter {row.exporter:.2f} ms, ActLab {row.accuracy:.2f} ms", flush=True)
    text = page(rows, options.size, options.rounds)
    print(text[:1500])
    if options.out is not None:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
