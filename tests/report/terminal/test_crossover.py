"""Terminal table of a calibration, with the sizes from which kernels run."""

from __future__ import annotations

import io
from math import inf
from pathlib import Path

from rich.console import Console

from actlab.bench.crossover import Calibration, Crossing
from actlab.report.terminal.crossover import crossover_table


def shown(**changes):
    crossings = (
        Crossing(name="gelu", dtype="float32", native=True, times={256: 0.5, 4096: 0.9, 65536: 1.234}, fewest=65536),
        Crossing(name="relu", dtype="bfloat16", native=True, times={4096: 0.4, 65536: 0.9}, fewest=inf),
    )
    console = Console(file=io.StringIO(), width=100)
    console.print(crossover_table(Calibration(device="cpu", threads=1, crossings=crossings, **changes)))
    return console.file.getvalue()


def test_the_size_and_the_ratios_are_there():
    lines = shown(file=Path("kept.toml")).splitlines()

    assert lines[1].split() == ["gelu", "float32", "64k", "0.90", "1.23"]
    assert lines[2].split() == ["relu", "bfloat16", "never", "0.40", "0.90"]
    assert "kept.toml" in " ".join(lines)


def test_what_is_not_kept_is_said():
    assert "Not stored" in shown()
