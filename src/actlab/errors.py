"""Errors of ActLab. Every message says what was asked, what was got, what is allowed and what to try.

The family::

    ActlabError                 anything a user can put right; the command line shows it without a traceback, exit code 2
    ├── UnknownNameError        a name that is not registered (carries the nearest ones)
    ├── DuplicateNameError      a name that is registered already
    ├── SpecError               an activation spec that cannot be read
    ├── QueryError              a question about the catalogue that makes no sense
    ├── KernelError             tensors or functions that a kernel does not take
    ├── LayerError              a layer that cannot be built or does not fit its input
    ├── SiteError               a model in which a site cannot be found or replaced
    ├── TaskError               a task that cannot be used for training
    ├── PlanError               settings of a study that make no sense
    ├── BenchError              something that cannot be timed
    ├── PackError               a net that cannot be packed, or a packed net's file that cannot be read
    ├── StoreError              a store that cannot be opened, read or written
    └── IntegrationError        another library that is not there, or an activation that cannot be had by name in it
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "ActlabError",
    "BenchError",
    "DuplicateNameError",
    "IntegrationError",
    "KernelError",
    "LayerError",
    "PackError",
    "PlanError",
    "QueryError",
    "SiteError",
    "SpecError",
    "StoreError",
    "TaskError",
    "UnknownNameError",
    "did_you_mean",
]


class ActlabError(Exception):
    """Something the caller can put right; the message says how."""


class UnknownNameError(ActlabError):
    """A name that is not registered.

    Attributes:
        name: what was asked.
        near: registered names close to it, best first.
    """

    def __init__(self, what: str, name: str, known: Iterable[str], hint: str = "") -> None:
        known = sorted(known)
        self.name = name
        self.near = get_close_matches(name, known, n=3, cutoff=0.6)
        super().__init__(f"There is no {what} {name!r}.{did_you_mean(name, known)}{' ' + hint if hint else ''}")


class DuplicateNameError(ActlabError):
    """A name that is registered already."""


class SpecError(ActlabError):
    """An activation spec that cannot be read."""


class QueryError(ActlabError):
    """A question about the catalogue that makes no sense."""


class KernelError(ActlabError):
    """Tensors or functions that a kernel does not take."""


class LayerError(ActlabError):
    """A layer that cannot be built, or an input that does not fit it."""


class SiteError(ActlabError):
    """A model in which a site cannot be found or replaced."""


class TaskError(ActlabError):
    """A task that cannot be used for training."""


class PlanError(ActlabError):
    """Settings of a study that make no sense."""


class BenchError(ActlabError):
    """Something that cannot be timed, or not here."""


class PackError(ActlabError):
    """A net that cannot be packed, or a file of a packed net that cannot be read."""


class StoreError(ActlabError):
    """A store that cannot be opened, read or written."""


class IntegrationError(ActlabError):
    """Another library that is not there, or an activation that cannot be had by name in it."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'gelu'?`` for the nearest of ``known``, or the empty string when none is near.

    Example:
        >>> did_you_mean("gleu", ["gelu", "relu"])
        " Did you mean 'gelu'?"
    """
    lowered = {name.lower(): name for name in known}
    near = [lowered[match] for match in get_close_matches(word.lower(), list(lowered), n=3, cutoff=0.6)]
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
