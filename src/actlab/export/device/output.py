"""Output of the harness, read as counts of instructions and the test program's own text."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from actlab.errors import ExportError

__all__ = ["FAULT", "Output", "read_output"]

CONVERSION = re.compile(r"%[-+ 0-9.]*l*([diuxcefg%])")
FAULT = 99  # exit code of the harness
CALIBRATIONS = 2  # counts of functions of known length, before the runs of the net
ONE_INSTRUCTION = 1  # of the function that returns at once, and in front of the first layer


@dataclass(frozen=True, kw_only=True)
class Output:
    """What a program printed.

    Attributes:
        text: of the test program.
        right: whether it ended without a difference above the tolerance.
        stack: bytes of stack that the net took in its first run.
        runs: instructions of each run of the net.
        calls: ticks between the calls behind the layers, a row for each count.
        ticks: of the timer in one instruction.
    """

    text: str
    right: bool
    stack: int
    runs: tuple[int, ...]
    calls: tuple[tuple[int, ...], ...]
    ticks: float

    def layers(self, indices: Sequence[int]) -> list[dict[int, int]]:
        """Return the instructions of each layer in each run, without what the counting costs.

        Args:
            indices: of the layers that make a call, in their order.
        """
        first, next_ = self.calls[1][0], self.calls[1][1]
        overhead = dict.fromkeys(indices, next_) | dict.fromkeys(indices[:1], first - ONE_INSTRUCTION)
        return [{index: row[index] - overhead[index] for index in indices} for row in self.calls[CALIBRATIONS:]]


def read_output(text: str, ticks: float) -> Output:
    """Return what a program of the harness printed.

    Args:
        text: its output.
        ticks: of its timer in one instruction.

    Raises:
        ExportError: the program did not end as it should.
    """
    lines = [line.split() for line in text.splitlines()]
    if ["fault"] in lines:
        raise ExportError(
            "The emulated program stopped with a fault of the core, as at an address outside of its memory."
        )
    rows = [[_instructions(word, ticks) for word in line[1:]] for line in lines if line[:1] == ["run"]]
    stack = [int(line[1], 16) for line in lines if line[:1] == ["stack"]]
    if len(rows) <= CALIBRATIONS or not stack:
        raise ExportError(f"The emulated program printed {text[:300]!r} instead of its counts.")
    printed = _printed(lines)
    overhead = rows[0][0] - ONE_INSTRUCTION
    return Output(
        text=printed,
        right=[line for line in lines if line[:1] == ["exit"]] == [["exit", "00000000"]],
        stack=stack[0],
        runs=tuple(row[0] - overhead for row in rows[CALIBRATIONS:]),
        calls=tuple(tuple(row[1:]) for row in rows),
        ticks=ticks,
    )


def _instructions(word: str, ticks: float) -> int:
    return round(int(word, 16) / ticks)


def _printed(lines: Sequence[Sequence[str]]) -> str:
    """Return the text of the test program, from its formats and their arguments."""
    parts = []
    for line, following in pairwise(lines):
        if line[:1] == ["printf"] and following[:1] == ["arguments"]:
            template = "".join(chr(int(word, 16)) for word in line[1:])
            words = [int(word, 16) for word in following[1:] if word != "?"]
            parts.append(_formatted(template, words))
    return "".join(parts).strip()


def _formatted(template: str, words: list[int]) -> str:
    values: list[object] = []
    for kind in CONVERSION.findall(template):
        if kind in "efg":
            values.append(struct.unpack("<d", struct.pack("<II", words.pop(0), words.pop(0)))[0])
        elif kind in "di":
            value = words.pop(0)
            values.append(value - (1 << 32) if value >> 31 else value)
        elif kind != "%":
            values.append(words.pop(0))
    return template % tuple(values)
