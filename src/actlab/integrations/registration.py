"""Register activations in the string lookups of transformers and timm, with undo."""

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
    """Names registered in one library.

    Attributes:
        library: its name.
        names: that now select ActLab's activations; specs of them, such as ``"leaky_relu(0.02)"``, work as well.
        left: names that were not registered, with the reason.
    """

    library: str
    names: tuple[str, ...]
    left: Mapping[str, str]

    def __str__(self) -> str:
        reasons: dict[str, list[str]] = {}
        for name, reason in self.left.items():
            reasons.setdefault(reason, []).append(name)
        lines = [f"{self.library}: {len(self.names)} names registered, with all their specs"]
        return "\n  ".join(lines + [f"not registered: {_few(group)}: {reason}" for reason, group in reasons.items()])


def _few(group: Sequence[str]) -> str:
    return f"{len(group)} ({', '.join(group[:4])}{', ...' if len(group) > 4 else ''})"


class Registered(Mapping[str, Names]):
    """Registered names by library.

    Attributes:
        absent: libraries that are not available, with the reason.
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
        """Undo the changes of this call, but not those of earlier ones; calling it again has no effect.

        Models keep the layers they were built with.
        """
        while self._changes:
            self._changes.pop().undo()
        for library in self:
            if not any(table.has_ours() for table in _module(library).tables()):
                _module(library).leave()


def register(*libraries: str, override: bool = False) -> Registered:
    """Register all activations in the string lookups of other libraries, so that ``hidden_act="telu"`` works.

    Names and specs then work wherever the library takes the name of an activation: ``hidden_act`` and ``activation_function`` in configs of
    transformers, ``act_layer`` in timm. Each lookup returns a new layer, whose learned parameters belong to the model. The registration is
    valid in this process: call it before a model is built or loaded. Calling it again has no effect.

    Args:
        libraries: "transformers", "timm"; by default all that are installed.
        override: whether to replace the library's own activation of the same name, such as ``"xielu"`` in transformers. Without it, those
            stay the library's; a spec with parentheses, such as ``"xielu()"``, always selects ActLab's.

    Returns:
        Registered names by library, and those that were not registered with the reason; ``undo()`` removes them.

    Raises:
        UnknownNameError: there is no integration of that name.
        IntegrationError: a named library is not installed, or none is.

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
    available = [library for library in dict.fromkeys(libraries or LIBRARIES) if library not in absent]
    if absent and (libraries or not available):
        raise IntegrationError(" ".join(f"{library}: {reason}" for library, reason in absent.items()))
    registered: dict[str, Names] = {}
    changes: list[Change] = []
    for library in available:
        module = _module(library)
        module.enter()
        main, *others = module.tables()
        native_names = main.native_names()
        for table in (main, *others):
            changes += table.add(_specs(), override=override)
        registered[library] = _names(library, main, set() if override else native_names)
    return Registered(registered, absent, changes)


def _names(library: str, main: Table, native_names: set[str]) -> Names:
    own = f"{library} has its own; override=True replaces it, and a name with parentheses, such as 'gelu()', always selects ActLab's"
    reasons = {name: own if name in native_names else main.refuses(spec) for name, spec in _specs().items()}
    return Names(
        library=library,
        names=tuple(name for name, reason in reasons.items() if not reason),
        left={name: reason for name, reason in reasons.items() if reason},
    )


def _specs() -> dict[str, Spec]:
    """Return every name and alias with its spec."""
    records = [get(name) for name in names()]
    return {name: parse(record.name) for record in records for name in (record.name, *record.aliases)}


def _module(library: str) -> Any:
    return import_module(f"actlab.integrations.{library}")


def _missing(library: str) -> str:
    """Return why a library is not available and what to do, or the empty string."""
    if library not in LIBRARIES:
        raise UnknownNameError("integration", library, LIBRARIES, f"There are {', '.join(LIBRARIES)}.")
    if find_spec(library) is None:
        return f"not installed. Install it: {LIBRARIES[library]}."
    try:
        _module(library).tables()
    except ImportError as error:
        return f"installed, but cannot be imported: {error}. Install the missing dependency."
    return ""
