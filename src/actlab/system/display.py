"""Display of results as text and HTML, by functions that the package binds when it is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar

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


_LONGEST = 60  # characters of a text, and elements of a list of names, that a repr shows
_FEWEST = 8


class Displayed:
    """A result that is printed as the table of the command line, and shown as an HTML table in notebooks.

    The ``repr`` of a record is one line: texts, numbers and names, and of longer parts their lengths.
    """

    __slots__ = ()
    #: Fields that the ``repr`` shows; all of them where none is named.
    _in_repr: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        """Keep ``dataclass`` from making a ``repr`` of everything, which takes pages."""
        if "__repr__" not in cls.__dict__ and not issubclass(cls, list):
            cls.__repr__ = _short_repr  # type: ignore[method-assign, assignment] # typed for this class

    def __str__(self) -> str:
        return str(rendered(self, "text"))

    def _repr_html_(self) -> str:
        return str(rendered(self, "html"))


def _short_repr(record: Displayed) -> str:
    names = record._in_repr or getattr(record, "__dataclass_fields__", {})
    shown = {name: _brief(getattr(record, name)) for name in names}
    return f"{type(record).__name__}({', '.join(f'{name}={text}' for name, text in shown.items() if text)})"


def _brief(value: Any) -> str:
    """Return a short text of a field, or none where it has nothing to say."""
    if value is None or isinstance(value, str):
        return repr(value) if value and len(value) <= _LONGEST else ""
    if isinstance(value, bool | int):
        return repr(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if not isinstance(value, Sequence | Mapping):
        return ""
    labels = [name if isinstance(name, str) else getattr(name, "spec", None) for name in value]
    is_names = labels and len(labels) <= _FEWEST and all(isinstance(it, str) and len(it) <= _LONGEST for it in labels)
    return repr(labels) if is_names and not isinstance(value, Mapping) else str(len(value))


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
