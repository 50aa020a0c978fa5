"""The table: where another library looks activations up by name, and the changes made to it, each with its way back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any

from actlab.functions.spec import Spec
from actlab.integrations.entry import is_ours, refusal

__all__ = ["Change", "Table"]

_ABSENT: Any = object()


@dataclass(frozen=True, kw_only=True, eq=False)
class Change:
    """One name in one table, and what stood there before."""

    entries: MutableMapping[str, Any]
    name: str
    before: Any

    def undo(self) -> None:
        """Put back what stood there, unless somebody else has put something there since."""
        if not is_ours(self.entries.get(self.name)):
            return
        if self.before is _ABSENT:
            del self.entries[self.name]
        else:
            self.entries[self.name] = self.before


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """A table of a library.

    Attributes:
        entries: the library's own dict.
        make: what it keeps for a spec.
        refuses: why a spec cannot be an entry, or the empty string.
        shadows: it is looked at first, before another table that has all names; nothing is added to it, only replaced.
    """

    entries: MutableMapping[str, Any]
    make: Callable[[str], Any]
    refuses: Callable[[Spec], str] = refusal
    shadows: bool = False

    def theirs(self) -> set[str]:
        """Return the names that are the library's, or somebody else's."""
        return {name for name, content in self.entries.items() if not is_ours(content)}

    def has_ours(self) -> bool:
        """Whether a name is ours."""
        return any(is_ours(content) for content in self.entries.values())

    def add(self, specs: dict[str, Spec], *, override: bool) -> Iterator[Change]:
        """Put in what fits, and yield the changes; names that are ours already stay."""
        for name, spec in specs.items():
            before = self.entries.get(name, _ABSENT)
            free = not self.shadows if before is _ABSENT else override and not is_ours(before)
            if free and not self.refuses(spec):
                self.entries[name] = self.make(name)
                yield Change(entries=self.entries, name=name, before=before)
