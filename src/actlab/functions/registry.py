"""Registry of records by name and alias, with errors for unknown and duplicate names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, overload

from actlab.errors import DuplicateNameError, UnknownNameError

__all__ = ["Registry", "also_bare"]


class Named(Protocol):
    """A record that can be registered."""

    @property
    def name(self) -> str:
        """The name, unique and lower case."""

    @property
    def aliases(self) -> tuple[str, ...]:
        """Further names."""

    @property
    def source(self) -> str:
        """Citation of the source."""


T = TypeVar("T", bound=Named)
P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class Decorator(Protocol[P, R_co]):
    """A decorator that is written with options or without parentheses."""

    @overload
    def __call__(self, *args: P.args, **options: P.kwargs) -> Callable[[Callable[..., Any]], R_co]: ...
    @overload
    def __call__(self, function: Callable[..., Any], /) -> R_co: ...


def also_bare(decorator: Callable[P, Callable[[Callable[..., Any]], R_co]]) -> Decorator[P, R_co]:
    """Let a decorator that takes options be used without parentheses, too.

    Example:
        >>> @also_bare
        ... def named(*, name="f"):
        ...     return lambda function: name
        >>> named(name="g")(len), named(len)
        ('g', 'f')
    """

    @wraps(decorator)
    def chosen(*args: Any, **options: Any) -> Any:
        with_options: Callable[..., Any] = decorator
        return with_options(**options)(*args) if args else with_options(**options)

    return chosen


class Registry(Generic[T]):
    """Records by name and alias; iterates over them in the order of their names.

    Args:
        what: term for a record in messages, such as "activation" or "gradient rule".
        hint: suggestion in the message about an unknown name.
        load: imports the modules that fill the registry; called before every look-up.

    A user's module that defines a name again replaces its record, as when a notebook's cell is run again or a module is reloaded.
    """

    def __init__(self, what: str, hint: str, load: Callable[[], object]) -> None:
        self.what, self.hint = what, hint
        self._load = load
        self._records: dict[str, T] = {}
        self._aliases: dict[str, str] = {}
        self._origins: dict[str, str] = {}
        self._changes = 0

    def add(self, record: T, origin: str = "") -> T:
        """Register a record; one of the same name and from the same module of a user is replaced.

        Args:
            record: the record.
            origin: name of the module that defines it.

        Raises:
            DuplicateNameError: its name or an alias is already registered.
        """
        before = self._records.get(record.name)
        if before is not None and self._is_users(origin) and self._origins[record.name] == origin:
            self._remove(before)
            try:
                return self._insert(record, origin)
            except DuplicateNameError:
                self._insert(before, origin)
                raise
        return self._insert(record, origin)

    @staticmethod
    def _is_users(origin: str) -> bool:
        return bool(origin) and not origin.startswith("actlab.")

    def _insert(self, record: T, origin: str) -> T:
        for name in (record.name, *record.aliases):
            if name in self._records or name in self._aliases:
                taken = self._records[self._aliases.get(name, name)]
                raise DuplicateNameError(
                    f"The name {name!r} is taken by the {self.what} {taken.name!r} ({taken.source}). "
                    f"Choose another name for {record.name!r}."
                )
        self._records[record.name], self._origins[record.name] = record, origin
        self._aliases.update(dict.fromkeys(record.aliases, record.name))
        self._changes += 1
        return record

    def forget(self, name: str) -> None:
        """Remove a record (for tests and notebooks that redefine one)."""
        self._remove(self[name])

    def _remove(self, record: T) -> None:
        del self._records[record.name], self._origins[record.name]
        for alias in record.aliases:
            del self._aliases[alias]
        self._changes += 1

    @property
    def version(self) -> int:
        """Number of changes so far: what is derived from all records may be cached under it."""
        self._load()
        return self._changes

    def __getitem__(self, name: str) -> T:
        self._load()
        if not isinstance(name, str):
            raise UnknownNameError(self.what, f"{name!r}"[:80], (), "A name is a text, such as 'gelu'.")
        key = name.strip().lower()
        key = self._aliases.get(key, key)
        if key not in self._records:
            raise UnknownNameError(self.what, name, [*self._records, *self._aliases], self.hint)
        return self._records[key]

    def __iter__(self) -> Iterator[T]:
        self._load()
        return iter([self._records[name] for name in sorted(self._records)])
