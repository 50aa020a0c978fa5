"""Progress displays for studies and other long work, live on a terminal and as lines in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from actlab.report.content.format import duration
from actlab.report.content.verdict import progress_text

if TYPE_CHECKING:
    from actlab.studies.execution.progress import Progress

__all__ = ["progress_view", "show_count", "show_progress"]

# a log file stays short; eliminations are written at once
SECONDS_BETWEEN_LINES = 10.0


class ProgressCallback(Protocol):
    """Callback of :func:`actlab.compare`."""

    def __call__(self, progress: Progress, /) -> None:
        """Show the progress."""


@contextmanager
def show_progress(console: Console, title: str) -> Iterator[ProgressCallback]:
    """Show the progress of a study during the block, as a live display on a terminal and as lines elsewhere.

    Args:
        console: for the display; use stderr, so that stdout contains only results.
        title: name of what is running.
    """
    if not console.is_terminal:
        yield _ProgressLines(console, title)
        return
    with Live(Text(f"{title}: starting"), console=console, refresh_per_second=8, transient=True) as live:
        yield lambda progress: live.update(progress_view(progress, title))


@contextmanager
def show_count(console: Console, what: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show a count during the block, as a bar on a terminal and as a line every few seconds elsewhere.

    Args:
        console: for the display; use stderr.
        what: plural noun of what is counted, such as "pages".

    Yields:
        Callback with the number done, the total, and the name of the current item.
    """
    if not console.is_terminal:
        written = [-SECONDS_BETWEEN_LINES]

        def line(done: int, total: int, name: str) -> None:
            if done == total or time.monotonic() - written[0] >= SECONDS_BETWEEN_LINES:
                console.print(Text(f"{done} of {total} {what}: {name}"), soft_wrap=True)
                written[0] = time.monotonic()

        yield line
        return
    with Live(Text(f"{what}: starting"), console=console, refresh_per_second=8, transient=True) as live:
        began = time.monotonic()

        def bar(done: int, total: int, name: str) -> None:
            left = f"{duration((time.monotonic() - began) / done * (total - done))} left, " if done else ""
            live.update(_bar(what, done, total, f"{left}{name}"))

        yield bar


class _ProgressLines:
    """Writes a line when an arm is ruled out, at the end, and otherwise every few seconds."""

    def __init__(self, console: Console, title: str) -> None:
        self.console, self.title = console, title
        self.written, self.out = -SECONDS_BETWEEN_LINES, -1

    def __call__(self, progress: Progress, /) -> None:
        now, out = time.monotonic(), len(progress.eliminated)
        changed = out != self.out or progress.done >= progress.total
        if changed or now - self.written >= SECONDS_BETWEEN_LINES:
            self.console.print(Text(f"{self.title}: {_line(progress)}"), soft_wrap=True)
            self.written, self.out = now, out


def _line(progress: Progress) -> str:
    return progress_text(
        progress.done,
        progress.total,
        leader=progress.leader,
        out=progress.eliminated,
        seconds_left=progress.seconds_left,
    )


def progress_view(progress: Progress, title: str) -> RenderableType:
    """Return the live display, a bar with count and time left above the leading and the eliminated arms."""
    left = "" if progress.seconds_left is None else f"{duration(progress.seconds_left)} left"
    bar = _bar(title, progress.done, progress.total, left, unit=" trials")
    arms = [f"leading: {progress.leader}"] if progress.leader else []
    arms += [f"ruled out: {', '.join(progress.eliminated)}"] if progress.eliminated else []
    return Group(bar, Text("  ·  ".join(arms), style="dim", overflow="ellipsis", no_wrap=True))


def _bar(title: str, done: int, total: int, note: str, *, unit: str = "") -> Table:
    bar = Table.grid(padding=(0, 1))
    for _ in range(4):
        bar.add_column(no_wrap=True)
    filled = ProgressBar(total=max(total, 1), completed=done, width=28)
    bar.add_row(Text(title, style="bold"), filled, Text(f"{done}/{total}{unit}"), Text(note, style="dim"))
    return bar
