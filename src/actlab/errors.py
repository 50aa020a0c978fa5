"""Exception classes of ActLab, derived from ``ActlabError``, and suggestion of the most similar name.

Every message says what was asked, what was got, what is allowed and what to try::

    ActlabError                 any error that the user can fix; the command line prints it without a traceback, exit code 2
    ├── UnknownNameError        a name that is not registered (with the nearest registered names)
    ├── DuplicateNameError      a name that is already registered
    ├── SpecError               an invalid activation spec
    ├── FormulaError            a function that returns no formula
    ├── QueryError              an invalid query of the catalogue
    ├── KernelError             tensors or functions that a kernel does not support
    ├── LayerError              a layer that cannot be built, or an input it does not accept
    ├── SiteError               a site that cannot be found or replaced in a model
    ├── TaskError               an invalid task
    ├── PlanError               invalid settings of a study
    ├── BenchError              something that cannot be timed
    ├── ExportError             a model that cannot be exported, with all obstacles
    ├── PackError               a net that cannot be packed, or a packed file that cannot be read
    ├── TableError              a published table that cannot be read
    ├── StoreError              a store that cannot be opened, read or written
    └── IntegrationError        a library that is not installed, or lacks what is needed
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "ActlabError",
    "BenchError",
    "DuplicateNameError",
    "ExportError",
    "FormulaError",
    "IntegrationError",
    "KernelError",
    "LayerError",
    "PackError",
    "PlanError",
    "QueryError",
    "SiteError",
    "SpecError",
    "StoreError",
    "TableError",
    "TaskError",
    "UnknownNameError",
    "did_you_mean",
]


class ActlabError(Exception):
    """An error that the caller can fix; the message says how."""


class UnknownNameError(ActlabError):
    """A name that is not registered.

    Attributes:
        name: the unknown name.
        near: similar registered names, best first.
    """

    def __init__(self, what: str, name: str, known: Iterable[str], hint: str = "") -> None:
        known = sorted(known)
        self.name = name
        self.near = _near(name, known)
        super().__init__(f"There is no {what} {name!r}.{did_you_mean(name, known)}{' ' + hint if hint else ''}")


class DuplicateNameError(ActlabError):
    """A name that is already registered."""


class SpecError(ActlabError):
    """An invalid activation spec."""


class FormulaError(ActlabError):
    """A function that was to be registered as an activation and returns no formula."""


class QueryError(ActlabError):
    """An invalid query of the catalogue."""


class KernelError(ActlabError):
    """Tensors or functions that a kernel does not support."""


class LayerError(ActlabError):
    """A layer that cannot be built, or an input that it does not accept."""


class SiteError(ActlabError):
    """A site that cannot be found or replaced in a model."""


class TaskError(ActlabError):
    """An invalid task."""


class PlanError(ActlabError):
    """Invalid settings of a study."""


class BenchError(ActlabError):
    """Something that cannot be timed, or not on this machine."""


class ExportError(ActlabError):
    """A model that cannot be exported; the message lists all obstacles."""


class PackError(ActlabError):
    """A net that cannot be packed, or a packed file that cannot be read."""


class TableError(ActlabError):
    """A published table that cannot be read; the message names the line."""


class StoreError(ActlabError):
    """A store that cannot be opened, read or written."""


class IntegrationError(ActlabError):
    """A library that is not installed, or an activation that cannot be registered with it."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'gelu'?`` for the most similar of ``known``, or the empty string if none is similar.

    Example:
        >>> did_you_mean("gleu", ["gelu", "relu"])
        " Did you mean 'gelu'?"
    """
    near = _near(word, known)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""


def _near(word: str, known: Iterable[str]) -> list[str]:
    """Return up to three of ``known`` that are similar, best first.

    A name that differs only in case and underscores is the only one, and names with the same letters in another order are the first.
    """
    word, lowered = str(word), {name.lower(): name for name in known}
    squeezed = _squeezed(word)
    same = [name for name in lowered if _squeezed(name) == squeezed]
    found = same or get_close_matches(word.lower(), list(lowered), n=3, cutoff=0.6)
    letters = sorted(word.lower())
    return [lowered[match] for match in sorted(found, key=lambda match: sorted(match) != letters)]


def _squeezed(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")
