"""Lookup table of activations in another library, with changes by name that can be undone."""

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
    """Change of one name in one table.

    Attributes:
        entries: the library's dict.
        name: that was changed.
        before: entry before the change.
    """

    entries: MutableMapping[str, Any]
    name: str
    before: Any

    def undo(self) -> None:
        """Restore the previous entry, unless other code has changed it since."""
        if not is_ours(self.entries.get(self.name)):
            return
        if self.before is _ABSENT:
            del self.entries[self.name]
        else:
            self.entries[self.name] = self.before


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """Lookup table of a library.

    Attributes:
        entries: the library's dict.
        make: returns the entry of a spec.
        refuses: returns why a spec cannot be an entry, or the empty string.
        shadows: whether the table is looked up before another one that has all names, so that entries are only replaced, never added.
    """

    entries: MutableMapping[str, Any]
    make: Callable[[str], Any]
    refuses: Callable[[Spec], str] = refusal
    shadows: bool = False

    def native_names(self) -> set[str]:
        """Return the names of entries that are not ActLab's."""
        return {name for name, content in self.entries.items() if not is_ours(content)}

    def has_ours(self) -> bool:
        """Return whether the table contains entries of ActLab."""
        return any(is_ours(content) for content in self.entries.values())

    def add(self, specs: dict[str, Spec], *, override: bool) -> Iterator[Change]:
        """Add the specs that can be entries, and yield the changes; entries of ActLab are not changed."""
        for name, spec in specs.items():
            before = self.entries.get(name, _ABSENT)
            free = not self.shadows if before is _ABSENT else override and not is_ours(before)
            if free and not self.refuses(spec):
                self.entries[name] = self.make(name)
                yield Change(entries=self.entries, name=name, before=before)
