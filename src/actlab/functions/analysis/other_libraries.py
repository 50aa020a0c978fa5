"""Names of activations in other libraries, such as torch, timm, transformers and Keras.

The table is ``other_libraries.toml``. ``benchmarks/peers.py`` compares it with the libraries that can be installed beside torch, and writes
``docs/reference/other_libraries.md``; the definitions of the others were read in their source.
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
    """The activations of another library.

    Attributes:
        library: import name, such as "torch", "timm" or "vllm".
        version: the version that was compared, or the day on which the source was read.
        source: where its definitions were read; None for a library that is compared by running it.
        same: name in the library to the ActLab spec at that library's defaults: ``{"leaky_relu": "leaky_relu(0.2)"}``.
        without: name in the library to the reason why it has no entry in ActLab.
        differs: name in the library to the reason why its values or gradients differ from ActLab's by more than rounding.
        notes: name in the library to a remark, such as which half is the gate.
    """

    library: str
    version: str
    source: str | None
    same: Mapping[str, str]
    without: Mapping[str, str]
    differs: Mapping[str, str]
    notes: Mapping[str, str]

    def lacks(self, name: str) -> bool:
        """Return whether a name of the library is in neither ``same`` nor ``without``."""
        return name not in self.same and name not in self.without


@cache
def other_libraries() -> tuple[OtherLibrary, ...]:
    """Return the libraries whose activation names are known.

    Example:
        >>> [other.library for other in other_libraries() if other.source is None]
        ['torch', 'timm', 'transformers', 'keras', 'jax', 'x_transformers']
        >>> other_libraries()[3].same["hard_silu"], other_libraries()[4].same["nn.gelu"]
        ('hardswish', 'gelu_tanh')
    """
    text = files("actlab.functions.analysis").joinpath("other_libraries.toml").read_text(encoding="utf-8")
    return tuple(_read(library, table) for library, table in tomllib.loads(text).items())


def _read(library: str, table: Mapping[str, Mapping[str, str]]) -> OtherLibrary:
    parts = {part: MappingProxyType(dict(table.get(part, {}))) for part in ("same", "without", "differs", "notes")}
    source = str(table["source"]) if "source" in table else None
    return OtherLibrary(library=library, version=str(table["version"]), source=source, **parts)


def equivalents(name: str) -> dict[str, list[str]]:
    """Return the names of an activation in other libraries, with its parameters where their defaults differ from ActLab's.

    Args:
        name: name or alias of an activation.

    Returns:
        Library to names, ``{"keras": ["leaky_relu (negative_slope=0.2)"]}``, for libraries that have it.

    Raises:
        UnknownNameError: there is no such activation.

    Example:
        >>> equivalents("telu"), equivalents("logcosh")
        ({}, {'NNlib': ['logcosh']})
        >>> equivalents("leaky_relu")["keras"]
        ['leaky_relu (negative_slope=0.2)', 'layers.LeakyReLU (negative_slope=0.3)']
    """
    return {library: list(listed) for library, listed in _index().get(get(name).name, {}).items()}


@cache
def _index() -> Mapping[str, Mapping[str, list[str]]]:
    """Return ActLab's name to library to names in that library."""
    index: dict[str, dict[str, list[str]]] = {}
    for other in other_libraries():
        for name, text in other.same.items():
            spec = parse(text)
            index.setdefault(spec.activation.name, {}).setdefault(other.library, []).append(
                _with_parameters(name, spec)
            )
    return index


def _with_parameters(name: str, spec: Spec) -> str:
    parameters = str(spec).removeprefix(spec.activation.name)
    return f"{name} {parameters}" if parameters else name
