"""Display of results as text and HTML, by functions that the package binds when it is imported."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path  # 3 ms to import, which `import actlab` does without

__all__ = ["Displayed", "Tabular", "bind", "rendered", "shown_count"]

Renderer = Callable[..., Any]

_load: Callable[[str], Renderer] | None = None


def bind(load: Callable[[str], Renderer]) -> None:
    """Set the function that returns the renderer of a form: "text", "html", "table" or "count" (of progress).

    The records of results stand below the report rooms in the order of imports, so they name a form and not a module.
    """
    global _load  # noqa: PLW0603 # set once, by actlab/__init__.py
    _load = load


def rendered(value: Any, form: str) -> Any:
    """Return a result in a form; without a bound renderer its ``repr``."""
    return repr(value) if _load is None else _load(form)(value)


def shown_count(chosen: Any, what: str) -> AbstractContextManager[Any]:
    """Return a context manager that shows the progress of long work and has its callback, or None.

    Args:
        chosen: a callback of the number done, the total and the current item; True for a display on stderr, None for one on a terminal and
            in a notebook, False for none.
        what: plural noun of what is counted.
    """
    if _load is None:
        return nullcontext(chosen if callable(chosen) else None)
    shown: AbstractContextManager[Any] = _load("count")(chosen, what)
    return shown


class Displayed:
    """A result that is printed as the table of the command line, and shown as an HTML table in notebooks."""

    __slots__ = ()

    def __str__(self) -> str:
        return str(rendered(self, "text"))

    def _repr_html_(self) -> str:
        return str(rendered(self, "html"))


class Tabular(Displayed):
    """A displayed result with one row per arm, which other programs can read."""

    __slots__ = ()

    def to_frame(self) -> Any:
        """Return the rows as a ``pandas.DataFrame`` of numbers and texts.

        Raises:
            IntegrationError: pandas is not installed.
        """
        return rendered(self, "table").to_frame()

    def to_markdown(self) -> str:
        """Return the rows as a Markdown table, with formatted numbers and intervals."""
        return str(rendered(self, "table").to_markdown())

    def to_latex(self) -> str:
        r"""Return the rows as a LaTeX ``tabular`` with the rules of ``booktabs``."""
        return str(rendered(self, "table").to_latex())

    def to_csv(self, path: str | Path | None = None) -> str:
        """Return the rows as CSV with unrounded numbers; with ``path``, also write them to this file."""
        return str(rendered(self, "table").to_csv(path))
