"""Page of an export: every figure of the report, escaped, in one file without network."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from actlab.errors import ActlabError
from actlab.export.report import (
    BatchDifference,
    DeviceFigures,
    ExportedActivation,
    ExportReport,
    Latency,
    LayerInstructions,
    Memory,
    SpecialValue,
)
from actlab.report.charts.export import instruction_bars
from actlab.report.charts.svg import NARROW, WIDE
from actlab.report.html.export import html, write
from actlab.report.terminal.result import text

LAYERS = {"0: dense relu of 64": (9000, 5000), "2: dense of 10": (1200, 700)}


def _core(place: int, name: str) -> DeviceFigures:
    return DeviceFigures(
        core=name.lower(), name=f"Cortex-{name}", compiler="gcc 12", emulator="QEMU 7.2, mps2", vectors=4, right=True,
        instructions=10_200 - 4_500 * place, flash=3000 + place, ram=256, stack=120,
        layers=tuple(LayerInstructions(layer=layer, instructions=counts[place]) for layer, counts in LAYERS.items()),
    )  # fmt: skip


@pytest.fixture
def report() -> ExportReport:
    return ExportReport(
        path="kws", target="int8", model="Net<1>", opset=None, runtime="gcc 12", bytes=12_345, nodes=2,
        activations=(ExportedActivation(site="0", spec="relu", nodes=1, operators="a table", dtype="int8"),),
        differences=(BatchDifference(batch=3, traced=True, largest=1.5e-3, relative=1e-3, share=0.0),),
        special_values=(SpecialValue(spec="gelu", input=float("inf"), model=float("nan"), file=float("inf")),),
        notes=("Outputs are <codes>.",), memory=Memory(constants=1000, flash=1500, ram=64, needed=48),
        devices=(_core(0, "M3"), _core(1, "M4F"), DeviceFigures(core="m7", name="Cortex-M7", missing="no emulator")),
        latencies=(
            Latency(spec="relu", runtime="torch", version="2", size=64, milliseconds=0.5),
            Latency(spec="relu", runtime="executorch", version="1", size=64, milliseconds=None, missing="no kernel"),
        ),
    )  # fmt: skip


def test_the_page_has_every_figure_of_the_report(report: ExportReport) -> None:
    page = html(report)
    for part in (
        "kws: Net&lt;1&gt; as int8", "12,345 bytes", "0.0015", "flash 1,500 bytes, of which constants 1,000",
        "gelu(inf) is inf in the file, nan in the model", "Outputs are &lt;codes&gt;.", "10,200", "5,700", "9,000", "3,001", "120",
        "0: dense relu of 64", "Cortex-M7 was not measured: no emulator", "all outputs are right on 4 vectors; counted by gcc 12",
        "relu does not run in executorch: no kernel", "ms for 64 numbers", "a table", "no cycles",
    ):  # fmt: skip
        assert part in page, part


def test_the_page_needs_no_network(report: ExportReport) -> None:
    page = html(report)
    assert "default-src 'none'" in page
    assert not re.findall(r"(?:src|href)=", page)
    assert not re.findall(r"https?://(?!www\.w3\.org/)", page)


def test_the_bars_have_the_instructions_of_every_layer_and_core_in_order(report: ExportReport) -> None:
    measured = report.devices[:2]
    for frame in (WIDE, NARROW):
        chart = instruction_bars(measured, frame)
        rows = chart.layer[0].data.values
        assert [row["instructions"] for row in rows] == [9000, 1200, 5000, 700]
        assert rows[0]["y"] < rows[2]["y"] < rows[1]["y"] < rows[3]["y"]  # a layer's cores are side by side
    assert "On Cortex-M3 most are of 0: dense relu of 64: 9,000." in html(report)


def test_without_devices_layers_and_latencies_those_parts_are_left_out(report: ExportReport) -> None:
    bare = replace(report, devices=(), latencies=(), special_values=(), notes=(), memory=None)
    page = html(bare)
    assert instruction_bars((), WIDE) is None
    for part in ("Instructions", "On devices", "In runtimes", "To know", "<svg aria-hidden"):
        assert part not in page, part
    without_layers = replace(report, devices=(replace(report.devices[0], layers=()),))
    assert "Instructions by layer" not in html(without_layers)


def test_the_page_and_the_terminal_say_the_same_sentences(report: ExportReport) -> None:
    shown = " ".join(text(report).split())
    for sentence in (
        "Largest difference from the model on a batch of 3 (traced): 0.0015",
        "Cortex-M7 was not measured: no emulator",
    ):
        assert sentence in shown
        assert sentence in html(report)


def test_a_page_is_written_over_a_page_and_over_nothing_else(report: ExportReport, tmp_path) -> None:
    path = write(report, tmp_path / "net.html")
    assert write(report, path).read_text(encoding="utf-8") == html(report)
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(ActlabError, match="was not written by ActLab"):
        write(report, path)
    assert path.read_text(encoding="utf-8") == "mine"
