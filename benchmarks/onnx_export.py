"""Latency of all elementwise and gated entries in onnxruntime, as ActLab prints them and as torch's exporter writes them.

    python benchmarks/onnx_export.py [--size 262144] [--rounds 7] [--out docs/evidence/onnx.md]

torch's exporter writes all entries of a kind in one model, of which each is cut out. Per entry and round, torch's layer, the exporter's
rendering and ActLab's two run in turn, on one thread; medians of CPU time, which a busy machine does not change much. An entry is composed
if the exporter writes more than one node for it.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

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
    """What was measured of an entry; milliseconds."""

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
    """Return a model of each entry as torch's exporter writes it."""
    found: dict[str, bytes] = {}
    chosen = [name for name in names(kind) if name not in UNWRITTEN][part]
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


def measure(name: str, kind: str, theirs: bytes, size: int, rounds: int) -> Row:
    """Return the row of an entry."""
    act = actlab.layer(name).eval()
    learned = [parameter.detach().numpy() for parameter in act.parameters()]
    programs = {prefer: program_of_spec(parse(name), Settings(prefer=prefer)) for prefer in ("accuracy", "speed")}
    inputs = [
        np.random.default_rng(i).standard_normal((1, size), dtype=np.float32) * 3 for i in range(1 + (kind == "gated"))
    ]
    tensors = [torch.from_numpy(each) for each in inputs]
    runs = {"torch": lambda: act(*tensors)}
    other = session(theirs, threads=1)
    feed = dict(zip((each.name for each in other.get_inputs()), inputs, strict=True))
    runs["exporter"] = lambda: other.run(None, feed)
    for prefer, program in programs.items():
        runs[prefer] = _runner(program, inputs, learned)
    times: dict[str, list[float]] = {key: [] for key in runs}
    with torch.no_grad():
        for number in range(rounds + 1):
            for key, call in runs.items():
                start = time.thread_time()
                call()
                if number:  # the first one warms up
                    times[key].append(1e3 * (time.thread_time() - start))
    medians = {key: float(np.median(each)) for key, each in times.items()}
    return Row(
        name=name,
        kind=kind,
        nodes=len(programs["accuracy"].nodes),
        theirs=nodes_of(theirs),
        difference=_difference(act, programs["accuracy"], learned, kind),
        **medians,
    )


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
    return float((np.abs(got - exact) / (1 + np.abs(exact))).max())


def geometric(values: list[float]) -> float:
    """Return the geometric mean."""
    return float(np.exp(np.mean(np.log(values))))


def page(rows: list[Row], size: int, rounds: int) -> str:
    """Return the evidence page."""
    measured = {row.name for row in rows}
    unwritten = [name for kind in ("elementwise", "gated") for name in names(kind) if name not in measured]
    composed = [row for row in rows if row.theirs > 1]
    mish = next((row for row in rows if row.name == "mish"), None)
    speed = geometric([row.exporter / row.speed for row in composed])
    runtime = needed("onnxruntime").__version__
    worst = sorted(row.difference for row in rows)[-3]
    gain = geometric([row.gain for row in composed])
    slower = sum(row.gain < 1 for row in composed)
    lines = [
        "# ONNX: latency of all entries",
        "",
        (
            f"`python benchmarks/onnx_export.py --size {size} --rounds {rounds}`, 2026-11-30; torch {torch.__version__}, "
            f"onnxruntime {runtime}, opset 18, one thread, CPU time, medians of interleaved runs, "
            f"milliseconds for {size:,} float32 numbers. "
            "The ratios are of runs side by side."
        ),
        "",
        (
            f"- All elementwise and gated entries are exported, {len(rows)} are listed; torch's exporter has no form of "
            f"{', '.join(unwritten)}. The largest difference from float64, over 1 + the magnitude, is {worst:.1e}, but for "
            "`finer` and `siren`, sines of large numbers, whose float32 layers differ as much."
        ),
        (
            f"- Geometric mean over the {len(composed)} composed functions, the exporter's rendering over ActLab's: **{gain:.2f}x**; "
            f'with `prefer="speed"` {speed:.2f}x. {slower} are slower, most for the exact tail of a sigmoid or a log1p.'
        ),
        f"- mish: **{mish.gain:.1f}x**." if mish is not None else "- mish was not measured.",
        "",
        "| function | kind | nodes | exporter's nodes | difference | torch | exporter | ActLab | for speed | exporter / ActLab |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.name} | {row.kind} | {row.nodes} | {row.theirs} | {row.difference:.1e} | {row.torch:.2f} | {row.exporter:.2f} | "
        f"{row.accuracy:.2f} | {row.speed:.2f} | {row.gain:.1f} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2**18)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--rows", type=Path, help="also write the rows, or without entries to measure read them, one JSON record a line"
    )
    parser.add_argument("--part", type=int, default=0, help="measure every PARTS-th entry from this one on")
    parser.add_argument("--parts", type=int, default=1, help="0 to measure nothing, and write the page of the rows")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    if not options.parts:
        rows = [Row(**json.loads(line)) for line in options.rows.read_text(encoding="utf-8").splitlines()]
        rows.sort(key=lambda row: (row.kind, row.name))
    for kind in ("elementwise", "gated") if options.parts else ():
        for name, theirs in renderings(kind, slice(options.part, None, options.parts)).items():
            rows.append(measure(name, kind, theirs, options.size, options.rounds))
            if options.rows is not None:
                with options.rows.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(rows[-1])) + "\n")
            print(f"{name}: exporter {rows[-1].exporter:.2f} ms, ActLab {rows[-1].accuracy:.2f} ms", flush=True)
    text = page(rows, options.size, options.rounds)
    print(text[:1500])
    if options.out is not None:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
