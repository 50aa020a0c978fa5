"""Rich console that leaves out unprintable characters of what it draws."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from actlab.system.printable import printable

__all__ = ["PrintableConsole"]


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
