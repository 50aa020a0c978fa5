"""Target of deployment, with the activations that it runs, its version and the source of these facts."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from actlab.errors import UnknownNameError
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec

__all__ = ["Target", "target", "targets"]

FOLDER = files("actlab.export.support").joinpath("targets")


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a target runs.

    Attributes:
        name: such as "esp-dl".
        version: for which the facts hold.
        arithmetic: "int8" or "float32".
        source: where they were read or how they were measured.
        runs: spec to the operator that computes it.
        any_values: names that run with any values of their parameters.
        differs: spec to the function that runs in its place without a word, and the source.
        table: why any function can be a table of 256 codes; empty where none can.
        composed: why any function can be several operators; empty where none can.
        products: operator that multiplies two tensors, for gates; empty where there is none.
        notes: what else to know.
    """

    name: str
    version: str
    arithmetic: str
    source: str
    runs: Mapping[str, str]
    any_values: tuple[str, ...]
    differs: Mapping[str, tuple[str, str]]
    table: str = ""
    composed: str = ""
    products: str = ""
    notes: tuple[str, ...] = ()

    def operator(self, spec: Spec) -> str | None:
        """Return the operator that computes a function as it is, or None.

        Example:
            >>> target("ethos-u").operator(parse("leaky_relu(0.3)")), target("ethos-u").operator(parse("mish"))
            ('LeakyRelu', None)
        """
        spec, name = spec.forward, spec.activation.name
        if name in self.any_values:
            return self.runs[name]
        return next((operator for text, operator in self.runs.items() if parse(text) == spec), None)


@cache
def targets() -> Mapping[str, Target]:
    """Return the targets by name.

    Example:
        >>> list(targets())
        ['cmsis-nn', 'emlearn', 'esp-dl', 'ethos-u', 'executorch', 'executorch-xnnpack', 'onnxruntime']
    """
    found = {}
    for file in sorted(FOLDER.iterdir(), key=lambda file: file.name.removesuffix(".toml")):
        name, _, ending = file.name.rpartition(".")
        if ending == "toml":
            found[name] = _read(name, file.read_text(encoding="utf-8"))
    return MappingProxyType(found)


def _read(name: str, text: str) -> Target:
    table = tomllib.loads(text)
    differs = {spec: (each["runs"], each["source"]) for spec, each in table.pop("differs", {}).items()}
    any_values, notes = (tuple(table.pop(key, ())) for key in ("any_values", "notes"))
    runs: dict[str, str] = table.pop("runs")
    return Target(
        name=name,
        runs=MappingProxyType(runs),
        any_values=any_values,
        differs=MappingProxyType(differs),
        notes=notes,
        **{key: str(value) for key, value in table.items()},
    )


def target(name: str) -> Target:
    """Return a target.

    Raises:
        UnknownNameError: there is no such target.
    """
    known = targets()
    if name not in known:
        raise UnknownNameError("target", name, known, f"There are {', '.join(known)}.")
    return known[name]
