"""The peer: another library, what it calls the activations it has, and why it has some that we do not.

The facts stand in ``peers.toml``; ``benchmarks/peers.py`` holds them against the libraries themselves and writes ``docs/reference/other_libraries.md``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from actlab.functions.activation import get
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec

__all__ = ["OtherLibrary", "equivalents", "other_libraries"]


@dataclass(frozen=True, kw_only=True)
class OtherLibrary:
    """Another library and its activations, under the names its users write.

    Attributes:
        library: as it is imported: "torch", "timm", "transformers", "keras", "jax", "x_transformers".
        version: the one that was looked at.
        same: their name to our spec at their defaults: ``{"leaky_relu": "leaky_relu(0.2)"}``.
        without: their name to the reason why it has no entry here.
        differs: their name to why its values or gradients differ from ours by more than rounding.
        notes: their name to what else there is to know, as which half is the gate.
    """

    library: str
    version: str
    same: Mapping[str, str]
    without: Mapping[str, str]
    differs: Mapping[str, str]
    notes: Mapping[str, str]

    def lacks(self, name: str) -> bool:
        """Whether one of the library's names is neither mapped nor explained."""
        return name not in self.same and name not in self.without


@cache
def other_libraries() -> tuple[OtherLibrary, ...]:
    """Return the libraries that ActLab is held against.

    Example:
        >>> [peer.library for peer in other_libraries()]
        ['torch', 'timm', 'transformers', 'keras', 'jax', 'x_transformers']
        >>> other_libraries()[3].same["hard_silu"], other_libraries()[4].same["nn.gelu"]
        ('hardswish', 'gelu_tanh')
    """
    text = files("actlab.functions.analysis").joinpath("other_libraries.toml").read_text(encoding="utf-8")
    return tuple(_read(library, table) for library, table in tomllib.loads(text).items())


def _read(library: str, table: Mapping[str, Mapping[str, str]]) -> OtherLibrary:
    parts = {part: MappingProxyType(dict(table.get(part, {}))) for part in ("same", "without", "differs", "notes")}
    return OtherLibrary(library=library, version=str(table["version"]), **parts)


def equivalents(name: str) -> dict[str, list[str]]:
    """Return what other libraries call an activation, with the parameters their defaults imply where these are not ours.

    Args:
        name: of one of our activations, or an alias.

    Returns:
        Library to names, ``{"keras": ["leaky_relu (negative_slope=0.2)"]}``; libraries that do not have it are left out.

    Raises:
        UnknownNameError: there is no such activation.

    Example:
        >>> equivalents("gelu_sigmoid")
        {'timm': ['quick_gelu'], 'transformers': ['quick_gelu']}
        >>> equivalents("leaky_relu")["keras"]
        ['leaky_relu (negative_slope=0.2)', 'layers.LeakyReLU (negative_slope=0.3)']
    """
    return {library: list(theirs) for library, theirs in _index().get(get(name).name, {}).items()}


@cache
def _index() -> Mapping[str, Mapping[str, list[str]]]:
    """Return our name to library to their names."""
    index: dict[str, dict[str, list[str]]] = {}
    for peer in other_libraries():
        for theirs, ours in peer.same.items():
            spec = parse(ours)
            index.setdefault(spec.activation.name, {}).setdefault(peer.library, []).append(_named(theirs, spec))
    return index


def _named(theirs: str, spec: Spec) -> str:
    parameters = str(spec).removeprefix(spec.activation.name)
    return f"{theirs} {parameters}" if parameters else theirs
