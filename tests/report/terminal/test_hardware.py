"""Table and page of what activations gain or lose on a machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actlab.bench.hardware import Hardware, Ratio, Timing, Untimed
from actlab.bench.machine import Machine
from actlab.report.charts.hardware import ratio_plot
from actlab.report.charts.svg import WIDE
from actlab.report.content.format import MISSING
from actlab.report.content.hardware import dtype_sentences, hardware_headline, ratio_text
from actlab.report.html.hardware import html, write
from actlab.report.terminal.hardware import hardware_table
from actlab.report.terminal.plain_text import plain_text
from actlab.report.terminal.result import text


def known(ratio: float) -> Ratio:
    return Ratio(ratio=ratio, low=0.99 * ratio, high=1.01 * ratio)


@pytest.fixture
def found() -> Hardware:
    machine = Machine(
        device="cpu", name="A <processor>", instructions=("avx2", "avx512_bf16"), capability="AVX512", cores=2, threads=1, memory=None,
        versions={"python": "3.11", "torch": "2.13", "system": "Linux"},
    )  # fmt: skip
    ratios = {"gelu": (2.5, 0.6), "relu": (1.0, 1.002), "tanh": (3.0, 1.4)}
    timings = [
        Timing(
            spec=spec, dtype=dtype, passes=passes, seconds=0.002, over_relu=known(over_relu),
            over_float32=None if dtype == "float32" else known(over_float32),
        )
        for spec, (over_relu, over_float32) in ratios.items()
        for dtype in ("float32", "bfloat16")
        for passes in ("forward", "forward+backward")
    ]  # fmt: skip
    return Hardware(
        machine=machine, specs=("gelu", "relu", "tanh", "cardioid"), dtypes=("float32", "bfloat16"), size=2**20, rounds=9, fast=False,
        load=(0.5, 1.5), timings=tuple(timings),
        untimed=(Untimed(spec="cardioid", dtypes=("float32", "bfloat16"), passes="forward", reason="it computes on <complex> tensors."),),
    )  # fmt: skip


def test_the_table_has_ratios_of_both_passes_machine_and_method(found: Hardware) -> None:
    shown = plain_text(hardware_table(found))
    for part in (
        "Processor: A <processor>", "avx2, avx512_bf16", "torch: 2.13", "Forward and backward", "f32/relu", "bf16/f32", "bf16: bfloat16",
        "2.50x", "0.60x", "≈1.00x", "2 ms", "1,048,576 elements", "cardioid in float32 and bfloat16: it computes on <complex> tensors.",
        "median of 9 rounds",
    ):  # fmt: skip
        assert part in shown, part
    assert "2.50x" in text(found)


def test_dtypes_are_counted_by_intervals_that_exclude_one(found: Hardware) -> None:
    assert dtype_sentences(found) == [
        "In bfloat16, 1 of 3 functions is faster than in float32 and 1 slower; on average they take 0.94 times as long."
    ]
    assert hardware_headline(found) == dtype_sentences(found)[0]


def test_a_ratio_that_is_not_known_is_marked() -> None:
    assert ratio_text(Ratio(ratio=1.2, low=0.9, high=1.4)) == "≈1.20x"
    assert ratio_text(Ratio(ratio=1.2, low=None, high=None)) == "≈1.20x"
    assert ratio_text(None) == MISSING


def test_the_page_escapes_names_and_has_every_number(found: Hardware, tmp_path) -> None:
    page = html(found)
    for part in (
        "A &lt;processor&gt;",
        "2.48-2.52x",
        "0.60x of float32",
        "on &lt;complex&gt; tensors",
        "avx512_bf16",
        "Not timed",
    ):
        assert part in page, part
    assert "<processor>" not in page
    assert write(found, tmp_path / "hardware.html").read_text(encoding="utf-8") == page
    assert write(found, tmp_path / "hardware.html").exists()


def test_the_page_has_a_chart_of_the_ratios_with_its_ends_in_words(found: Hardware) -> None:
    page = html(found)
    assert "Time over ReLU&#39;s, forward and backward. float32: gelu 2.50x to tanh 3.00x; bfloat16: gelu 2.50x" in page
    assert "<svg" in page[page.index('id="ratios"') :]
    points = ratio_plot(found, WIDE).layer[2].data.values
    assert [(point["spec"], point["dtype"], point["ratio"]) for point in points] == [
        (spec, dtype, ratio) for spec, ratio in (("gelu", 2.5), ("tanh", 3.0)) for dtype in ("float32", "bfloat16")
    ]
    only = replace(found, timings=tuple(one for one in found.timings if one.spec == "relu"))
    assert ratio_plot(only, WIDE) is None
    assert 'id="ratios"' not in html(only)


def test_an_interval_far_from_all_ratios_is_cut_off(found: Hardware) -> None:
    wide = replace(found.timings[0], over_relu=Ratio(ratio=2.5, low=0.01, high=900.0))
    rows = ratio_plot(replace(found, timings=(wide,)), WIDE, wide.passes).layer[1].data.values
    assert [(row["low"], row["high"]) for row in rows] == [(pytest.approx(1 / 1.5), 2.5 * 1.5)]


def test_a_stopped_measurement_says_so_and_one_dtype_is_held_against_relu(found: Hardware) -> None:
    only = [one for one in found.timings if one.dtype == "float32"]
    alone = replace(found, stopped=True, dtypes=("float32",), timings=tuple(only), untimed=())
    assert "Stopped after 3 of 4 functions." in html(alone)
    assert hardware_headline(alone) == "2 of 2 functions take longer than ReLU."
    assert "Not timed" not in html(alone)
