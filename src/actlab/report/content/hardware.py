"""Sentences and cells of what activations gain or lose on a machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from actlab.bench.hardware import PASSES
from actlab.report.content.format import MISSING, plural, ratio, short_time, size
from actlab.system.name_list import listed

if TYPE_CHECKING:
    from actlab.bench.hardware import Hardware, Ratio, Timing
    from actlab.bench.machine import Machine

__all__ = [
    "BOTH_PASSES",
    "dtype_sentences",
    "function_rows",
    "hardware_headline",
    "hardware_notes",
    "machine_rows",
    "ratio_alternative",
    "ratio_range",
    "ratio_text",
    "untimed_sentences",
]

FORWARD, BOTH_PASSES = PASSES
PASS_TITLES: Final[Mapping[str, str]] = {BOTH_PASSES: "Forward and backward", FORWARD: "Forward"}

_SHOWN: Final = {"python": "Python", "system": "System"}


def ratio_text(found: Ratio | None) -> str:
    """Return a ratio, with ≈ where its interval does not exclude 1.

    Example:
        >>> from actlab.bench.hardware import Ratio
        >>> ratio_text(Ratio(ratio=1.31, low=1.28, high=1.4)), ratio_text(Ratio(ratio=1.01, low=0.97, high=1.04))
        ('1.31x', '≈1.01x')
    """
    if found is None:
        return MISSING
    return ratio(found.ratio) if found.is_known else f"≈{ratio(found.ratio)}"


def ratio_range(found: Ratio | None) -> str:
    """Return the interval of a ratio; empty where there is none."""
    return "" if found is None or found.low is None else f"{found.low:.2f}-{found.high:.2f}x"


def machine_rows(machine: Machine) -> list[tuple[str, str]]:
    """Return what the machine is, by name."""
    what = "Card" if machine.device == "cuda" else "Processor"
    rows = [(what, machine.name)]
    if machine.instructions:
        rows.append(("Instructions", ", ".join(machine.instructions)))
    if machine.device == "cuda":
        rows.append(("Compute capability", machine.capability))
        rows.append(("Memory", size(machine.memory)))
    else:
        rows.append(("torch's kernels are for", machine.capability))
        rows.append(("Threads", f"{machine.threads}, on {plural(machine.cores, 'core')}"))
    return [*rows, *((_SHOWN.get(name, name), text) for name, text in machine.versions.items())]


def dtype_sentences(found: Hardware) -> list[str]:
    """Return for each dtype beside float32 how many functions are shown to be faster or slower in it, and the mean ratio."""
    sentences = []
    for dtype in found.dtypes:
        ratios = [
            one.over_float32
            for one in found.timings
            if (one.dtype, one.passes) == (dtype, BOTH_PASSES) and one.over_float32 is not None
        ]
        mean = found.geometric_mean(dtype)
        if not ratios or mean is None:
            continue
        faster = sum(one.is_known and one.ratio < 1 for one in ratios)
        slower = sum(one.is_known and one.ratio > 1 for one in ratios)
        sentences.append(
            f"In {dtype}, {faster} of {plural(len(ratios), 'function')} {'is' if faster == 1 else 'are'} faster than in float32 and "
            f"{slower} slower; on average they take {mean:.2f} times as long."
        )
    return sentences


def hardware_headline(found: Hardware) -> str:
    """Return the answer in one sentence: what the first dtype beside float32 gains, or how many functions cost more than ReLU."""
    sentences = dtype_sentences(found)
    half = next((text for text in sentences if text.startswith("In bfloat16")), None)
    if half or sentences:
        return half or sentences[0]
    ratios = [one.over_relu for one in found.timings if one.passes == BOTH_PASSES and one.spec != "relu"]
    slower = sum(one.is_known and one.ratio > 1 for one in ratios)
    return f"{slower} of {plural(len(ratios), 'function')} take longer than ReLU."


def hardware_notes(found: Hardware) -> list[str]:
    """Return how the times were taken, and what the columns are."""
    machine, (before, after) = found.machine, found.load
    clock = "CUDA events" if machine.device == "cuda" else "CPU time" if machine.threads == 1 else "wall clock time"
    layers = "ActLab's kernels where these are faster" if found.fast else "torch's functions or torch operations"
    where = f"{found.size:,} elements of an output, {layers}, {plural(machine.threads, 'thread')}, {clock}"
    turns = f"median of {plural(found.rounds, 'round')}; in a round all dtypes of a function and ReLU run in turn."
    columns = (
        "Over ReLU: time over that of ReLU in the same dtype on a tensor of the output's size. Over float32: time over the function's own "
        "in float32. Ranges are 95% intervals of the median over rounds, each by itself, in this process; ≈: the interval contains 1."
    )
    return [
        *(
            [f"Stopped after {len({one.spec for one in found.timings})} of {plural(len(found.specs), 'function')}."]
            if found.stopped
            else []
        ),
        f"{where}, load {before:.1f} to {after:.1f}, {turns}",
        columns,
    ]


def ratio_alternative(found: Hardware) -> str:
    """Return the alternative text of the chart: for each dtype the functions that take the least and the most time over ReLU's."""
    parts = []
    for dtype in found.dtypes:
        both = [one for one in found.timings if (one.dtype, one.passes) == (dtype, BOTH_PASSES) and one.spec != "relu"]
        if both:
            ends = [choose(both, key=lambda one: one.over_relu.ratio) for choose in (min, max)]
            parts.append(f"{dtype}: {' to '.join(f'{one.spec} {ratio(one.over_relu.ratio)}' for one in ends)}")
    return f"Time over ReLU's, forward and backward. {'; '.join(parts)}."


def untimed_sentences(found: Hardware) -> list[str]:
    """Return which functions do not run in which dtypes, and why."""
    return [
        f"{one.spec} in {listed(one.dtypes)}{'' if one.passes == FORWARD else ', backward'}: {one.reason.rstrip('.')}."
        for one in found.untimed
    ]


def function_rows(found: Hardware, passes: str) -> list[dict[str, Any]]:
    """Return the rows of a table: ``{"spec", "cells"}`` with one cell for each dtype, as texts.

    Returns:
        Cells have ``time``, ``relu`` and ``float32`` (ratios), and ``relu_range`` and ``float32_range``.
    """
    return [
        {"spec": spec, "cells": [_cell(found.of(spec, dtype, passes)) for dtype in found.dtypes]}
        for spec in dict.fromkeys(one.spec for one in found.timings if one.passes == passes)
    ]


def _cell(one: Timing | None) -> dict[str, str]:
    if one is None:
        return {"time": MISSING, "relu": MISSING, "relu_range": "", "float32": MISSING, "float32_range": ""}
    is_itself = one.spec == "relu"
    return {
        "time": short_time(one.seconds),
        "relu": "1" if is_itself else ratio_text(one.over_relu),
        "relu_range": "" if is_itself else ratio_range(one.over_relu),
        "float32": "" if one.over_float32 is None else ratio_text(one.over_float32),
        "float32_range": ratio_range(one.over_float32),
    }
