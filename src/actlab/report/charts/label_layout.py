"""Label placement in charts without overlaps, in pixels with y pointing down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Box", "beside", "shortened", "spread", "text_width"]

# mean width of a character of a sans-serif font, in font sizes; measured 0.50 to 0.56 on names of activations
CHARACTER = 0.56


@dataclass(frozen=True, kw_only=True)
class Box:
    """Rectangle of a label.

    Attributes:
        x: left edge.
        y: vertical middle.
        width: of the rectangle.
        height: of the rectangle.
    """

    x: float
    y: float
    width: float
    height: float

    def overlap(self, other: Box) -> float:
        """Return the common area of two boxes, in square pixels."""
        across = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        down = min(self.y + self.height / 2, other.y + other.height / 2) - max(
            self.y - self.height / 2, other.y - other.height / 2
        )
        return max(0.0, across) * max(0.0, down)


def text_width(text: str, font_size: float) -> float:
    """Return the estimated width of ``text`` in pixels."""
    return CHARACTER * font_size * len(text)


def shortened(text: str, longest: int) -> str:
    """Return ``text``, without its middle if it has more than ``longest`` characters.

    Example:
        >>> shortened("swish(beta=learned_per_channel)", 15)
        'swish(b…hannel)'
    """
    if len(text) <= longest:
        return text
    head = longest // 2
    return f"{text[:head]}…{text[len(text) - (longest - head - 1) :]}"


def spread(wanted: Sequence[float], *, gap: float, low: float, high: float) -> list[float]:
    """Return positions close to ``wanted``, in the same order, at least ``gap`` apart and between ``low`` and ``high``.

    Labels that would overlap form a block centred on their wanted positions (pool adjacent violators). If there is not enough room, the
    gap shrinks so that all fit.

    Example:
        >>> spread([10.0, 11.0, 50.0], gap=4, low=0, high=100)
        [8.5, 12.5, 50.0]
    """
    if not wanted:
        return []
    gap = min(gap, (high - low) / max(1, len(wanted) - 1))
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    blocks: list[list[float]] = []  # [sum of (wanted - offset), members]
    for rank, index in enumerate(order):
        blocks.append([wanted[index] - rank * gap, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, members = blocks.pop()
            blocks[-1] = [blocks[-1][0] + total, blocks[-1][1] + members]
    starts = [total / members for total, members in blocks for _ in range(int(members))]
    top = high - (len(wanted) - 1) * gap
    placed = [0.0] * len(wanted)
    for rank, index in enumerate(order):
        placed[index] = min(max(starts[rank], low), top) + rank * gap
    return placed


def beside(
    points: Sequence[tuple[float, float]],
    labels: Sequence[str],
    *,
    font_size: float,
    frame: tuple[float, float],
    lines: Sequence[Box] = (),
) -> list[Box]:
    """Return a box for each label next to its point, at the position of eight that overlaps least.

    Args:
        points: pixel positions, ``(x, y)``.
        labels: one text per point.
        font_size: in pixels.
        frame: width and height of the chart; parts of boxes outside it count as overlaps.
        lines: other marks to avoid.
    """
    drawn = [*(Box(x=x - 6, y=y, width=12, height=12) for x, y in points), *lines]
    placed: list[Box] = []
    for (x, y), label in zip(points, labels, strict=True):
        width, height = text_width(label, font_size), 1.25 * font_size
        spots = [(x + 9, y), (x - 9 - width, y), (x - width / 2, y - 15), (x - width / 2, y + 15)]
        spots += [(x + 7, y - 13), (x + 7, y + 13), (x - 7 - width, y - 13), (x - 7 - width, y + 13)]
        boxes = [Box(x=left, y=middle, width=width, height=height) for left, middle in spots]
        placed.append(min(boxes, key=lambda box: _overlap(box, placed, drawn, frame)))
    return placed


def _overlap(box: Box, placed: Sequence[Box], drawn: Sequence[Box], frame: tuple[float, float]) -> float:
    inside = Box(x=0, y=frame[1] / 2, width=frame[0], height=frame[1])
    outside = box.width * box.height - box.overlap(inside)
    return 4 * outside + sum(box.overlap(other) for other in (*placed, *drawn))
