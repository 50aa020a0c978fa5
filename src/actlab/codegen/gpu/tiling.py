"""Division of a tensor into tiles and programs of a Triton kernel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["BLOCK", "BY_COLUMN", "BY_ROW", "Tiling", "needs_wide", "tiling"]

NOWHERE, BY_ROW, BY_COLUMN = 0, 1, 2  # constants of triton_tiles
BLOCK = 2048  # numbers per tile: two 16-byte loads of bfloat16 in flight per thread
# Programs with learned parameters: enough to fill a GPU of 132 multiprocessors; more would only add sums.
PROGRAMS = 2048
MOST_STEPS = 64


def needs_wide(numbers: int) -> bool:
    """Whether indices into so many numbers need 64 bits; a tile may extend beyond the end.

    Example:
        >>> needs_wide(2**31 - 2**20), needs_wide(2**31)
        (False, True)
    """
    return numbers > 2**31 - 1 - 4 * BLOCK


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """Division of an output among the programs of a kernel.

    Attributes:
        rows: number of rows.
        width: numbers per row.
        size: numbers in total; less than rows times width if a flat array was divided into rows.
        channel: direction in which parameters vary: 0 none, 1 rows, 2 columns.
        repeat: consecutive rows that share parameters.
        channels: number of different sets of parameters.
        tall: rows per tile.
        wide: columns per tile.
        steps: tiles per program.
        is_flat: whether a flat array was divided into rows.
    """

    rows: int
    width: int
    size: int
    channel: int = NOWHERE
    repeat: int = 1
    channels: int = 1
    tall: int = 1
    wide: int = BLOCK
    steps: int = 1
    is_flat: bool = False

    @property
    def across(self) -> int:
        """Programs side by side."""
        return -(-self.width // self.wide)

    @property
    def down(self) -> int:
        """Programs below one another."""
        return -(-self.rows // (self.tall * self.steps))

    @property
    def shape_of_sums(self) -> tuple[int, int]:
        """Shape of the partial sums of a learned parameter."""
        if self.channel == BY_ROW:
            return self.across, self.rows
        return self.down, self.width if self.channel == BY_COLUMN else self.across


def tiling(shape: Sequence[int], *, packed: bool, channels: int = 1, sums: bool = False, block: int = BLOCK) -> Tiling:
    """Return the tiling for an input.

    Args:
        shape: shape of the input, which is not empty.
        packed: whether gate and value are packed in the last dimension.
        channels: size of dimension 1 if a parameter varies along it, else 1.
        sums: whether gradients of parameters are summed.
        block: numbers per tile.

    Example:
        >>> tiling((4, 100), packed=True)
        Tiling(rows=4, width=50, size=200, channel=0, repeat=1, channels=1, tall=32, wide=64, steps=1, is_flat=False)
    """
    size = math.prod(shape) // (2 if packed else 1)
    inner = math.prod(shape[2:])
    if packed:
        width = shape[-1] // 2
        repeat = inner // shape[-1] if channels > 1 else 1
        plan = Tiling(rows=size // width, width=width, size=size, repeat=repeat, channels=channels)
        channel = BY_ROW if channels > 1 else NOWHERE
    elif channels == 1:
        plan = Tiling(rows=-(-size // block), width=block, size=size, is_flat=True)
        channel = NOWHERE
    elif inner == 1:
        plan, channel = Tiling(rows=size // channels, width=channels, size=size, channels=channels), BY_COLUMN
    else:
        plan, channel = Tiling(rows=size // inner, width=inner, size=size, channels=channels), BY_ROW
    wide = _columns(plan.width, block)
    tall = block // wide
    tiles = -(-plan.width // wide) * -(-plan.rows // tall)
    enough = min(MOST_STEPS, max(1, tiles // PROGRAMS)) if sums and channel != BY_ROW else 1
    steps = 1 << (enough.bit_length() - 1)  # a kernel is compiled for each number of steps: a power of 2 keeps them few
    return Tiling(**{**vars(plan), "channel": channel, "wide": wide, "tall": tall, "steps": steps})


def _columns(width: int, block: int) -> int:
    """Return the columns of a tile: the most with at most a sixteenth of the lanes idle, but at least 64 if a row has as many."""
    columns = min(block, 1 << (width - 1).bit_length())
    while columns > 64 and -(-width // columns) * columns > width * 17 // 16:
        columns //= 2
    return columns
