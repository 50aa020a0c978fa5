"""Table and chart of a speed benchmark."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET

import pytest
from rich.console import Console

from actlab.bench.speed import Bench, Measurement
from actlab.report.charts.bench import write_speed_plot
from actlab.report.terminal.bench import speed_table

SECONDS = {("mish", "actlab"): 0.010, ("mish", "torch"): 0.080, ("relu<", "actlab"): 0.012, ("relu<", "torch"): 0.012}


@pytest.fixture
def measured():
    rows = [
        Measurement(
            spec=spec, contender=contender, passes=passes, seconds=seconds, times=SECONDS[spec, "torch"] / seconds, roofline=0.008 / seconds
        )
        for (spec, contender), seconds in SECONDS.items()
        for passes in ("forward", "forward+backward")
    ]  # fmt: skip
    return Bench(
        device="a processor", dtype="float32", size=2**24, threads=1, load=(0.5, 1.5), allocator="kept", copy=2e10, rounds=9, versions={},
        measurements=tuple(rows),
    )  # fmt: skip


def test_the_table_shows_ratios_floor_and_where_it_ran(measured):
    console = Console(width=120, file=io.StringIO())
    console.print(speed_table(measured))
    shown = console.file.getvalue()

    assert "8.00" in shown
    assert "80 ms" in shown
    assert "80%" in shown
    assert "16,777,216 elements of float32 on a processor, 1 thread, memory allocator tuned, load 0.5 to 1.5" in shown
    assert "20.0 GB/s" in shown
    assert "actlab 2.83x" in shown  # the root of 8 and 1


def test_the_drawing_is_a_file_of_its_own(measured, tmp_path):
    path = write_speed_plot(measured, tmp_path / "speeds.svg")
    text = path.read_text()

    ET.fromstring(text)  # noqa: S314 # our own
    assert "var(--" not in text
    assert "mish" in text
    assert "relu&lt;" in text
    assert "actlab" in text
