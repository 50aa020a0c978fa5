"""Progress displays for studies and other long work, live on a terminal and as lines in a log."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any, Literal, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from actlab.errors import PlanError
from actlab.report.content.format import duration
from actlab.report.content.verdict import progress_text
from actlab.report.terminal.plain_text import PrintableConsole
from actlab.report.terminal.text_table import shortened

if TYPE_CHECKING:
    from actlab.studies.execution.progress import Progress

__all__ = ["chosen_count", "chosen_progress", "progress_view", "show_count", "show_progress"]

# a log file stays short; eliminations are written at once
SECONDS_BETWEEN_LINES = 10.0
_LONGEST_TITLE = 24  # of the bar, such as the command of a script


class ProgressCallback(Protocol):
    """Callback of :func:`actlab.compare`."""

    def __call__(self, progress: Progress, /) -> None:
        """Show the progress."""


@contextmanager
def chosen_progress(chosen: ProgressCallback | bool | None, title: str) -> Iterator[ProgressCallback | None]:
    """Yield the callback of a study for the block.

    Args:
        chosen: a callback; True for a display; None for a display on a terminal and in a notebook; False for nothing.
        title: name of what is running.

    Raises:
        PlanError: the value is none of these.
    """
    if callable(chosen):
        yield chosen
        return
    where = _display(chosen)
    if where is None:
        yield None
    elif where == "notebook":
        output = _NotebookOutput(title)
        yield lambda progress: output.update(progress.done, progress.total, _line(progress))
    else:
        with show_progress(PrintableConsole(stderr=True), title) as callback:
            yield callback


CountCallback = Callable[[int, int, str], None]


@contextmanager
def chosen_count(chosen: CountCallback | bool | None, what: str) -> Iterator[CountCallback | None]:
    """Yield the callback of other long work for the block, chosen as in :func:`chosen_progress`.

    Args:
        chosen: as there; a callback gets the number done, the total, and the name of the current item.
        what: plural noun of what is counted.
    """
    if callable(chosen):
        yield chosen
        return
    where = _display(chosen)
    if where is None:
        yield None
    elif where == "notebook":
        output = _NotebookOutput(what)
        yield lambda done, total, name: output.update(done, total, f"{done} of {total}: {name}")
    else:
        with show_count(PrintableConsole(stderr=True), what) as callback:
            yield callback


def _display(chosen: object) -> Literal["notebook", "stderr"] | None:
    """Return where progress is displayed that was asked for by True, False or None.

    Raises:
        PlanError: the value is none of these.
    """
    if chosen is not None and not isinstance(chosen, bool):
        raise PlanError(
            f"progress is {chosen!r}; allowed are True, False, and a function that is called with the progress after every trial."
        )
    if chosen is False or (chosen is None and not PrintableConsole(stderr=True).is_terminal and _notebook() is None):
        return None
    return "stderr" if _notebook() is None else "notebook"


def _notebook() -> Any:
    """Return the module that displays in the notebook in which this process runs, or None."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return sys.modules.get("IPython.display") if shell is not None and hasattr(shell, "kernel") else None


class _NotebookOutput:
    """Writes the progress into one output of the notebook's cell."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._output = _notebook().display(self._html("starting"), display_id=True)

    def update(self, done: int, total: int, words: str) -> None:
        share = f'<progress value="{done}" max="{max(total, 1)}"></progress> '
        self._output.update(self._html(words, share))

    def _html(self, words: str, share: str = "") -> Any:
        return _notebook().HTML(f"{share}<b>{escape(self.title)}</b>: {escape(words)}")


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
    # drawn when there is news, not by a thread: a process without threads is forked faster, see studies/execution/template_process.py
    shown = _Shown(Text(f"{title}: starting"))
    with Live(shown, console=console, auto_refresh=False, transient=True) as live:
        _shown[:] = [(shown, title)]

        def show(progress: Progress) -> None:
            shown.renderable = progress_view(progress, title)
            live.refresh()

        try:
            yield show
        finally:
            _shown.clear()


class _Shown:
    """Renderable in the place of the one that it holds now."""

    def __init__(self, renderable: RenderableType) -> None:
        self.renderable = renderable

    def __rich__(self) -> RenderableType:
        return self.renderable


_shown: list[tuple[_Shown, str]] = []  # on the terminal by this process, with its title


def _without_numbers() -> None:
    """Leave the numbers out of the display in a process that was forked: what is printed there draws it anew, and they would be old."""
    for shown, title in _shown:
        shown.renderable = Group(Text(f"{title}: running"), Text(""))


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_without_numbers)


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
    for is_text in (True, False, True, True):
        bar.add_column(no_wrap=is_text)  # on a narrow terminal the bar loses width first
    filled = ProgressBar(total=max(total, 1), completed=done, width=28)
    name = Text(shortened(title, _LONGEST_TITLE, middle=True), style="bold")
    bar.add_row(name, filled, Text(f"{done}/{total}{unit}"), Text(note, style="dim"))
    return bar
