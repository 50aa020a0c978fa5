"""Loads, stores and partial sums of tiles in Triton kernels.

The output is viewed as rows of ``width`` numbers. A program processes a tile of ``ROWS`` times ``COLUMNS`` of them, or ``STEPS`` such tiles
below one another. With ``FLAT``, a flat array is divided into rows of one tile's width, the last of which may be short. A packed input has
rows of twice the width, with the gate where ``GATE`` says: 0 second half (as in torch), 1 first half, 2 even elements. ``CHANNEL`` says
how parameters vary: 0 not at all, 1 over rows (each set for ``repeat`` rows, ``channels`` sets in turn), 2 over columns.

``WIDE`` uses 64-bit indices, for tensors of more than 2^31 numbers.
"""

import triton
import triton.language as tl

__all__ = [
    "parameter",
    "place",
    "read",
    "read_packed",
    "within",
    "write",
    "write_packed",
    "write_sum",
]

FIRST = tl.constexpr(1)
INTERLEAVED = tl.constexpr(2)

BY_ROW = tl.constexpr(1)
BY_COLUMN = tl.constexpr(2)


@triton.jit
def place(
    step, width, ROWS: tl.constexpr, COLUMNS: tl.constexpr, STEPS: tl.constexpr, FLAT: tl.constexpr, WIDE: tl.constexpr
):
    """Return the row indices ``[ROWS, 1]`` and column indices ``[1, COLUMNS]`` of a tile, and its first column; programs run along rows."""
    program = tl.program_id(0)
    first = 0
    if not FLAT:
        across = tl.cdiv(width, COLUMNS)
        first = (program % across) * COLUMNS
        program = program // across
    row = (program * STEPS + step) * ROWS + tl.arange(0, ROWS)[:, None]
    if WIDE:
        row = row.to(tl.int64)
    return row, first + tl.arange(0, COLUMNS)[None, :], first


@triton.jit
def within(row, column, rows, width, size, FLAT: tl.constexpr):
    """Return the mask of the elements of a tile that exist."""
    if FLAT:
        return (row < rows) & (row * width + column < size)
    return (row < rows) & (column < width)


@triton.jit
def read(pointer, row, column, width, inside):
    """Return a tile in float32."""
    return tl.load(pointer + row * width + column, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def write(pointer, row, column, width, inside, tile):
    """Write a tile, rounded to the tensor's dtype."""
    tl.store(pointer + row * width + column, tile.to(pointer.dtype.element_ty), mask=inside)


@triton.jit
def read_packed(
    pointer, row, column, first, rows, width, inside, GATE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    """Return gate and value of a tile in float32."""
    if GATE == INTERLEAVED:
        pairs = 2 * first + tl.arange(0, 2 * COLUMNS)[None, :]
        both = tl.load(pointer + row * (2 * width) + pairs, mask=(row < rows) & (pairs < 2 * width), other=0.0)
        gate, value = tl.split(tl.reshape(both, (ROWS, COLUMNS, 2)))
        return gate.to(tl.float32), value.to(tl.float32)
    start = pointer + row * (2 * width) + column
    former = tl.load(start, mask=inside, other=0.0).to(tl.float32)
    latter = tl.load(start + width, mask=inside, other=0.0).to(tl.float32)
    if GATE == FIRST:
        return former, latter
    return latter, former


@triton.jit
def write_packed(
    pointer,
    row,
    column,
    first,
    rows,
    width,
    inside,
    gate,
    value,
    GATE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Write gate and value of a tile, rounded to the tensor's dtype."""
    gate = gate.to(pointer.dtype.element_ty)
    value = value.to(pointer.dtype.element_ty)
    start = pointer + row * (2 * width)
    if GATE == INTERLEAVED:
        pairs = 2 * first + tl.arange(0, 2 * COLUMNS)[None, :]
        both = tl.reshape(tl.join(gate, value), (ROWS, 2 * COLUMNS))
        tl.store(start + pairs, both, mask=(row < rows) & (pairs < 2 * width))
    elif GATE == FIRST:
        tl.store(start + column, gate, mask=inside)
        tl.store(start + column + width, value, mask=inside)
    else:
        tl.store(start + column, value, mask=inside)
        tl.store(start + column + width, gate, mask=inside)


@triton.jit
def parameter(pointer, spread, row, column, width, repeat, channels, CHANNEL: tl.constexpr):
    """Return a parameter in float32, in a shape that broadcasts to the tile; ``spread`` is 0 for one number, 1 for one per channel."""
    if CHANNEL == BY_ROW:
        return tl.load(pointer + ((row // repeat) % channels) * spread).to(tl.float32)
    if CHANNEL == BY_COLUMN:
        return tl.load(pointer + column * spread, mask=column < width, other=0.0).to(tl.float32)
    return tl.load(pointer).to(tl.float32)


@triton.jit
def write_sum(
    pointer,
    terms,
    rows,
    width,
    CHANNEL: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    FLAT: tl.constexpr,
):
    """Write the sum of a program's terms to its own element, so that the total over programs is the same in every run."""
    program = tl.program_id(0)
    across = 1 if FLAT else tl.cdiv(width, COLUMNS)
    if CHANNEL == BY_ROW:
        row = (program // across) * ROWS + tl.arange(0, ROWS)[:, None]
        place = (program % across) * rows.to(tl.int64) + row
        tl.store(pointer + place, tl.sum(terms, axis=1, keep_dims=True), mask=row < rows)
    elif CHANNEL == BY_COLUMN:
        column = (program % across) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
        place = (program // across).to(tl.int64) * width + column
        tl.store(pointer + place, tl.sum(terms, axis=0, keep_dims=True), mask=column < width)
    else:
        tl.store(pointer + program, tl.sum(tl.sum(terms, axis=1), axis=0))
