"""A running study in the terminal: trials done, time left, who leads, who is out. Plain lines where there is no terminal."""

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
from actlab.report.content.verdict import progress_words

if TYPE_CHECKING:
    from actlab.studies.execution.progress import Progress

__all__ = ["drawn", "shown"]

SECONDS_BETWEEN_LINES = 10.0  # a log file stays readable; what changes the race is written at once


class Report(Protocol):
    """What `actlab.compare` calls with every piece of news."""

    def __call__(self, progress: Progress, /) -> None:
        """Show it."""


@contextmanager
def shown(console: Console, title: str) -> Iterator[Report]:
    """Show the progress of a study while the block runs: a live display on a terminal, plain lines elsewhere.

    Args:
        console: where to; give one on stderr, so that results on stdout stay clean.
        title: what is running.
    """
    if not console.is_terminal:
        yield _Lines(console, title)
        return
    with Live(Text(f"{title}: starting"), console=console, refresh_per_second=8, transient=True) as live:
        yield lambda progress: live.update(drawn(progress, title))


@contextmanager
def counted(console: Console, what: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show how many of something are done while the block runs: a bar on a terminal, a line every few seconds elsewhere.

    Args:
        console: where to; give one on stderr.
        what: what is counted, "pages".

    Yields:
        What to call after each: how many are done, of how many, and which was the last.
    """
    if not console.is_terminal:
        written = [-SECONDS_BETWEEN_LINES]

        def line(done: int, total: int, name: str) -> None:
            if done == total or time.monotonic() - written[0] >= SECONDS_BETWEEN_LINES:
                console.print(Text(f"{done}/{total} {what}, last {name}"), soft_wrap=True)
                written[0] = time.monotonic()

        yield line
        return
    with Live(Text(f"{what}: starting"), console=console, refresh_per_second=8, transient=True) as live:
        began = time.monotonic()

        def bar(done: int, total: int, name: str) -> None:
            left = f"{duration((time.monotonic() - began) / done * (total - done))} left, " if done else ""
            live.update(_bar(what, done, total, f"{left}{name}"))

        yield bar


class _Lines:
    """Writes a line when an arm leaves, when all is done, and otherwise every few seconds."""

    def __init__(self, console: Console, title: str) -> None:
        self.console, self.title = console, title
        self.written, self.out = -SECONDS_BETWEEN_LINES, -1

    def __call__(self, progress: Progress, /) -> None:
        now, out = time.monotonic(), len(progress.eliminated)
        news = out != self.out or progress.done >= progress.total
        if news or now - self.written >= SECONDS_BETWEEN_LINES:
            self.console.print(Text(f"{self.title}: {_words(progress)}"), soft_wrap=True)
            self.written, self.out = now, out


def _words(progress: Progress) -> str:
    return progress_words(
        progress.done,
        progress.total,
        leader=progress.leader,
        out=progress.eliminated,
        seconds_left=progress.seconds_left,
    )


def drawn(progress: Progress, title: str) -> RenderableType:
    """Return the live display: a bar with the count and the time left, and below it the state of the race."""
    left = "" if progress.seconds_left is None else f"{duration(progress.seconds_left)} left"
    bar = _bar(title, progress.done, progress.total, left, unit=" trials")
    race = [f"leading: {progress.leader}"] if progress.leader else []
    race += [f"out: {', '.join(progress.eliminated)}"] if progress.eliminated else []
    return Group(bar, Text("  ·  ".join(race), style="dim", overflow="ellipsis", no_wrap=True))


def _bar(title: str, done: int, total: int, note: str, *, unit: str = "") -> Table:
    bar = Table.grid(padding=(0, 1))
    for _ in range(4):
        bar.add_column(no_wrap=True)
    filled = ProgressBar(total=max(total, 1), completed=done, width=28)
    bar.add_row(Text(title, style="bold"), filled, Text(f"{done}/{total}{unit}"), Text(note, style="dim"))
    return bar
