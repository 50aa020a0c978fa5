"""Which functions of the catalogue `actlab.conform` identifies from the outputs of an engine that runs them.

    python benchmarks/conform.py [--every 1] [--out docs/evidence/conform.md]

A net of two hidden layers was trained with one function (relu; swiglu for gated ones), and the engine runs another entry of the
catalogue, as ActLab's layer in float32 or with every tensor rounded to 255 codes. An entry is named where it is what the report says, told
with ties where the report lists it among those that the examples cannot tell apart, and missed otherwise.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import actlab
from actlab.export.conform.report import ConformReport
from actlab.functions.activation import names
from actlab.functions.formula.evaluate import numeric
from actlab.functions.grammar import parse

EXAMPLES = 96
GRID = np.linspace(-12, 12, 241) + 0.0137


class Rounded(nn.Module):
    """A net whose tensors are rounded to 255 codes, each with a scale of its own."""

    def __init__(self, model: nn.Sequential) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Return the rounded outputs."""
        for part in self.model:
            x = part(x)
            step = max(float(x.abs().max()), 1e-9) / 127
            x = torch.round(x / step) * step
        return x


def net(spec: str) -> nn.Sequential:
    """Return the net with a function; its weights are the same for all of them."""
    torch.manual_seed(1)
    half = 8 if parse(spec).activation.kind == "gated" else 16
    layers: list[nn.Module] = []
    for size in (8, half):
        layers += [nn.Linear(size, 16), actlab.layer(spec, channels=16, channel_dim=-1)]
    return nn.Sequential(*layers, nn.Linear(half, 3)).eval()


def same(found: str, name: str) -> bool:
    """Whether two specs are the same function of one number."""
    try:
        first, second = parse(found), parse(name)
    except actlab.ActlabError:
        return False
    if first.activation.kind != "elementwise" or second.activation.kind != "elementwise":
        return str(first) == str(second)
    curves = [numeric(each.formula, each.activation.inputs)(GRID) for each in (first, second)]
    return bool(np.allclose(*curves, rtol=1e-6, atol=1e-9, equal_nan=True))


def outcome(report: ConformReport, name: str) -> str:
    """Return how a report names what the engine runs."""
    inner = [site for site in report.sites if not site.site.startswith("output")]
    found = {site.found for site in inner}
    if all(same(each, name) for each in found):
        return "named"
    ties = [{site.found, *(each.spec for each in site.undecided)} for site in inner]
    return "told with ties" if all(any(same(each, name) for each in tie) for tie in ties) else "missed"


def measured(kind: str, trained: str, every: int, *, rounded: bool) -> tuple[Counter[str], list[str], float]:
    """Return counts of outcomes, the entries that were missed, and the median of seconds."""
    x = 2 * torch.randn(EXAMPLES, 8, generator=torch.Generator().manual_seed(0))
    counts: Counter[str] = Counter()
    missed, seconds = [], []
    for name in names(kind)[::every]:
        if name == trained:
            continue
        engine = net(name)
        begun = time.perf_counter()
        report = actlab.conform(net(trained), Rounded(engine) if rounded else engine, x)
        seconds.append(time.perf_counter() - begun)
        result = outcome(report, name)
        counts[result] += 1
        if result == "missed":
            missed.append(f"{name} (as {', '.join(sorted({site.found for site in report.sites}))}, {report.verdict})")
    return counts, missed, float(np.median(seconds))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "| functions | engine | entries | named | told with ties | missed | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    notes = []
    for kind, trained in (("elementwise", "relu"), ("gated", "swiglu")):
        for rounded in (False, True):
            counts, missed, seconds = measured(kind, trained, arguments.every, rounded=rounded)
            engine = "255 codes" if rounded else "float32"
            row = [counts[each] for each in ("named", "told with ties", "missed")]
            lines.append(f"| {kind} | {engine} | {sum(row)} | {row[0]} | {row[1]} | {row[2]} | {seconds:.2f} |")
            notes.append(f"Missed, {kind}, {engine}: {', '.join(missed) or 'none'}.")
            print(lines[-1], notes[-1], sep="\n", flush=True)
    if arguments.out is not None:
        arguments.out.write_text("\n".join([*lines, "", *notes]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
