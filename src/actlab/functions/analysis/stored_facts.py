"""Precomputed facts and equivalences of the catalogue, shipped with the package.

Measuring the facts of all elementwise entries takes 25 s on one core, the search for equivalences minutes, which is too long for a query of
the catalogue. ``stored_facts.json`` is written by ``scripts/measure``, and the tests measure again. Each entry has the fingerprint of its
formula; for another formula under that name, or a user-defined activation, the facts are measured when they are asked for. The
alternative, a cache on the user's disk, would take the half minute once per user and container.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

import sympy

from actlab.functions.activation import Activation, get, names
from actlab.functions.analysis.affine_equivalence import Relation
from actlab.functions.analysis.equivalence_classes import Equivalences
from actlab.functions.analysis.facts import Facts, facts
from actlab.functions.formula import Expr

__all__ = ["FILE", "fingerprint", "known_equivalences", "known_facts", "to_json"]

FILE = files("actlab.functions.analysis").joinpath("stored_facts.json")


def fingerprint(record: Activation) -> str:
    """Return a hash of the formula of an activation and the defaults of its parameters."""
    numbers = ((parameter.name, parameter.default) for parameter in record.parameters if parameter.domain != "cutoff")
    return _digest(record.formula, tuple(numbers))


@cache
def _digest(formula: Expr, numbers: tuple[tuple[str, float], ...]) -> str:
    return sha256(f"{sympy.srepr(formula)} {numbers}".encode()).hexdigest()[:16]


def known_facts(record: Activation) -> Facts:
    """Return the facts of an elementwise activation at its defaults, stored or else measured.

    Example:
        >>> known_facts(get("relu")).slope_bound
        1.0
    """
    values = _stored()["facts"].get(record.name)
    if values and _is_current(record.name):
        return Facts(**values)
    return facts(record.name)


def known_equivalences(*, outdated: bool = False) -> Equivalences:
    """Return the stored equivalences between entries whose formulas have not changed since.

    Args:
        outdated: also those of formulas that have changed, to be verified again.

    Example:
        >>> "selu" in {relation.function for relation in known_equivalences().cases}
        True
    """
    stored = _stored()
    classes = (_relations(members, outdated) for members in stored["classes"])
    return Equivalences(classes=tuple(filter(None, classes)), cases=_relations(stored["cases"], outdated))


def to_json(measured: Mapping[str, Facts], equivalences: Equivalences) -> str:
    """Return the text of the file with these facts (by name) and equivalences, one entry per line for readable diffs."""
    tables = {
        "formulas": [f'"{name}": "{fingerprint(get(name))}"' for name in measured],
        "facts": [f'"{name}": {json.dumps(vars(values))}' for name, values in measured.items()],
    }
    lists = {
        "classes": [json.dumps([asdict(relation) for relation in members]) for members in equivalences.classes],
        "cases": [json.dumps(asdict(relation)) for relation in equivalences.cases],
    }
    parts = [f'"{name}": {{\n{_lines(rows)}\n}}' for name, rows in tables.items()]
    parts += [f'"{name}": [\n{_lines(rows)}\n]' for name, rows in lists.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _lines(rows: list[str]) -> str:
    return ",\n".join(rows)


@cache
def _stored() -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return stored


def _relations(listed: list[dict[str, Any]], outdated: bool) -> tuple[Relation, ...]:
    """Return the relations whose two entries still exist, and have the formula of then unless outdated ones are asked for."""
    relations = (Relation(**values) for values in listed)
    return tuple(relation for relation in relations if all(_holds(name, outdated) for name in _names(relation)))


def _names(relation: Relation) -> tuple[str, ...]:
    return tuple(text.partition("(")[0] for text in (relation.function, relation.other))


def _holds(name: str, outdated: bool) -> bool:
    return name in names() if outdated else _is_current(name)


def _is_current(name: str) -> bool:
    return bool(_stored()["formulas"].get(name) == fingerprint(get(name)))
