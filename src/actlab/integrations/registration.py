"""The registration: our names in the string lookups of other libraries, with a way back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from actlab.errors import IntegrationError, UnknownNameError
from actlab.functions.activation import get, names
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.integrations.table import Change, Table

__all__ = ["Names", "Registered", "register"]

LIBRARIES = {"transformers": "pip install 'actlab[transformers]'", "timm": "pip install timm"}


@dataclass(frozen=True, kw_only=True)
class Names:
    """What a library answers after a registration.

    Attributes:
        library: its name.
        names: that stand for ActLab's activations in it now. Full specs of them, ``"leaky_relu(0.02)"``, are answered, too.
        left: names that were left alone, with the reason.
    """

    library: str
    names: tuple[str, ...]
    left: Mapping[str, str]

    def __str__(self) -> str:
        reasons: dict[str, list[str]] = {}
        for name, reason in self.left.items():
            reasons.setdefault(reason, []).append(name)
        lines = [f"{self.library}: {len(self.names)} names, and every spec of them"]
        return "\n  ".join(lines + [f"left {_few(group)}: {reason}" for reason, group in reasons.items()])


def _few(group: Sequence[str]) -> str:
    return f"{len(group)} ({', '.join(group[:4])}{', ...' if len(group) > 4 else ''})"


class Registered(Mapping[str, Names]):
    """What a registration has done, by library.

    Attributes:
        absent: libraries that are not there, with the reason.
    """

    def __init__(self, libraries: Mapping[str, Names], absent: Mapping[str, str], changes: Sequence[Change]) -> None:
        self._libraries = dict(libraries)
        self._changes = list(changes)
        self.absent = dict(absent)

    def __getitem__(self, library: str) -> Names:
        return self._libraries[library]

    def __iter__(self) -> Iterator[str]:
        return iter(self._libraries)

    def __len__(self) -> int:
        return len(self._libraries)

    def __repr__(self) -> str:
        return "\n".join([*map(str, self.values()), *(f"{name}: {reason}" for name, reason in self.absent.items())])

    def undo(self) -> None:
        """Take back what this call has changed; names that an earlier one has registered stay. A second time, nothing happens.

        Models keep the layers that they were built with.
        """
        while self._changes:
            self._changes.pop().undo()
        for library in self:
            if not any(table.has_ours() for table in _module(library).tables()):
                _module(library).leave()


def register(*libraries: str, override: bool = False) -> Registered:
    """Register every activation in the string lookups of other libraries, so that ``hidden_act="telu"`` works.

    After it, a name or a spec stands wherever the library takes the name of an activation: ``hidden_act``, ``activation_function`` of a
    config of transformers; ``act_layer`` of timm. Each lookup makes a new layer, whose learned parameters belong to the model. It holds for
    this process: call it before a model is built or loaded. Calling it again changes nothing.

    Args:
        libraries: "transformers", "timm"; all that are installed if none is given.
        override: replace what the library has under a name of ours, as ``"xielu"`` of transformers. Without it those stay the library's; a
            spec with parentheses, ``"xielu()"``, is always ActLab's.

    Returns:
        By library the names, and what was left alone and why; ``undo()`` takes it back.

    Raises:
        UnknownNameError: no such library.
        IntegrationError: a library that was named is not installed, or none is.

    Example:
        >>> registered = register("transformers")
        >>> from transformers.activations import ACT2FN
        >>> ACT2FN["telu"], ACT2FN["leaky_relu(0.02)"]
        (ActivationLayer(telu), ActivationLayer(leaky_relu(negative_slope=0.02)))
        >>> "gelu" in registered["transformers"].left
        True
        >>> registered.undo()
    """
    absent = {library: reason for library in libraries or LIBRARIES if (reason := _missing(library))}
    found = [library for library in dict.fromkeys(libraries or LIBRARIES) if library not in absent]
    if absent and (libraries or not found):
        raise IntegrationError(" ".join(f"{library}: {reason}" for library, reason in absent.items()))
    done: dict[str, Names] = {}
    changes: list[Change] = []
    for library in found:
        module = _module(library)
        module.enter()
        main, *others = module.tables()
        theirs = main.theirs()
        for table in (main, *others):
            changes += table.add(_specs(), override=override)
        done[library] = _names(library, main, set() if override else theirs)
    return Registered(done, absent, changes)


def _names(library: str, main: Table, theirs: set[str]) -> Names:
    own = f"{library} has its own; override=True replaces it, and with parentheses, as 'gelu()', a name is always ActLab's"
    left = {name: own if name in theirs else main.refuses(spec) for name, spec in _specs().items()}
    return Names(
        library=library,
        names=tuple(name for name, reason in left.items() if not reason),
        left={name: reason for name, reason in left.items() if reason},
    )


def _specs() -> dict[str, Spec]:
    """Return every name and alias with what it stands for."""
    records = [get(name) for name in names()]
    return {name: parse(record.name) for record in records for name in (record.name, *record.aliases)}


def _module(library: str) -> Any:
    return import_module(f"actlab.integrations.{library}")


def _missing(library: str) -> str:
    """Return why a library cannot be had, and what to do."""
    if library not in LIBRARIES:
        raise UnknownNameError("integration", library, LIBRARIES, f"There are {', '.join(LIBRARIES)}.")
    if find_spec(library) is None:
        return f"it is not installed; {LIBRARIES[library]}."
    try:
        _module(library).tables()
    except ImportError as error:
        return f"it is installed and cannot be imported: {error}. Install what it misses."
    return ""
