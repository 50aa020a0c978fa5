"""Conversion of rich renderables to plain text, in a fixed width or with one line per table row."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import StringIO

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from actlab.system.printable import printable

__all__ = ["Block", "PrintableConsole", "blocks", "fixed_width", "plain_text"]

# width of sentences where the width is free, and one that no row reaches
PROSE, FREE = 100, 100_000


@dataclass(frozen=True, kw_only=True)
class Block:
    """A paragraph, a table or another renderable, with the empty lines above and below it and its indent in characters."""

    body: RenderableType
    above: int = 0
    below: int = 0
    indent: int = 0


def blocks(renderable: RenderableType) -> Iterator[Block]:
    """Yield the paragraphs and tables of nested groups and paddings, in order."""
    if isinstance(renderable, str | Text | Table):
        yield Block(body=renderable)
    elif isinstance(renderable, Group):
        for part in renderable.renderables:
            yield from blocks(part)
    elif isinstance(renderable, Padding):
        inside = list(blocks(renderable.renderable))
        for number, block in enumerate(inside):
            yield Block(
                body=block.body,
                above=block.above + (renderable.top if number == 0 else 0),
                below=block.below + (renderable.bottom if number == len(inside) - 1 else 0),
                indent=block.indent + renderable.left,
            )
    elif hasattr(renderable, "__rich_console__"):
        console = _console(FREE)
        for drawn in renderable.__rich_console__(console, console.options):
            if not isinstance(drawn, Segment):
                yield from blocks(drawn)
    else:
        yield Block(body=renderable)


def plain_text(renderable: RenderableType, width: int | None = None) -> str:
    """Return a renderable as text without colours, and without spaces at the ends of lines.

    Args:
        renderable: what is printed.
        width: in characters; None for free width, where tables are as wide as their rows and sentences have 100 characters a line.
    """
    if width is not None:
        return _printed(renderable, width)
    lines: list[str] = []
    for block in blocks(renderable):
        text = _printed(block.body, FREE if isinstance(block.body, Table) else PROSE - block.indent)
        lines += [""] * block.above
        lines += [f"{' ' * block.indent}{line}".rstrip() for line in text.splitlines()]
        lines += [""] * block.below
    return "\n".join([*lines, ""])


class PrintableConsole(Console):
    r"""A console for text from elsewhere: names and messages cannot move the cursor, set colours or reorder what stands beside them.

    Example:
        >>> console = PrintableConsole(width=40, color_system=None)
        >>> with console.capture() as shown:
        ...     console.print("re\u200blu\x1b[2J")
        >>> shown.get()
        'relu[2J\n'
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render an object to segments, as the console of rich does, without unprintable characters."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(printable(segment.text), segment.style)


def fixed_width() -> int | None:
    """Return the width of the terminal, or that of ``$COLUMNS``; None where stdout is a pipe or a file."""
    if not os.environ.get("COLUMNS", "").isdecimal() and not sys.stdout.isatty():
        return None
    return max(20, shutil.get_terminal_size().columns)


def _console(width: int) -> Console:
    return PrintableConsole(file=StringIO(), width=width, color_system=None, force_terminal=False, legacy_windows=False)


def _printed(renderable: RenderableType, width: int) -> str:
    console = _console(width)
    console.print(renderable, highlight=False)
    assert isinstance(console.file, StringIO)  # noqa: S101 # as it was made above
    return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())
