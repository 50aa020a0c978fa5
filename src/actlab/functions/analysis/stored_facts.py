"""What was measured: facts and relatives of the catalogue's entries, measured once and stored beside it.

Measuring the facts of all elementwise entries takes 25 s on one core, the search for relatives minutes; a question about the catalogue
must not. So ``measured.json`` is part of the package, written by ``scripts/measure``, and the tests measure again. It cannot be stale
unnoticed: each entry bears the fingerprint of the formula it was measured of, and where that differs (another formula under the name,
or an activation of the user's own) the facts are measured on the spot. A cache on the user's disk was the alternative; it would cost
every user, and every container, the first half minute.
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

from actlab.functions.activation import Activation, get
from actlab.functions.analysis.affine_equivalence import Relation
from actlab.functions.analysis.equivalence_classes import Equivalences
from actlab.functions.analysis.facts import Facts, facts
from actlab.functions.formula import Expr

__all__ = ["FILE", "fingerprint", "known_equivalences", "known_facts", "to_json"]

FILE = files("actlab.functions.analysis").joinpath("stored_facts.json")


def fingerprint(record: Activation) -> str:
    """Return what tells the formula of an activation, at the defaults of its parameters, from any other."""
    return _digest(record.formula, tuple((parameter.name, parameter.default) for parameter in record.parameters))


@cache
def _digest(formula: Expr, numbers: tuple[tuple[str, float], ...]) -> str:
    return sha256(f"{sympy.srepr(formula)} {numbers}".encode()).hexdigest()[:16]


def known_facts(record: Activation) -> Facts:
    """Return the facts of an elementwise activation at its defaults: those kept of its formula, or else measured now.

    Example:
        >>> known_facts(get("relu")).slope_bound
        1.0
    """
    kept = _kept()["facts"].get(record.name)
    if kept and _is_current(record.name):
        return Facts(**kept)
    return facts(record.name)


def known_equivalences() -> Equivalences:
    """Return the relatives that were found in the catalogue, where both formulas are still what they were.

    Example:
        >>> "selu" in {one.function for one in known_equivalences().cases}
        True
    """
    kept = _kept()
    classes = ([one for one in map(_relation, related) if one] for related in kept["classes"])
    return Equivalences(
        classes=tuple(tuple(related) for related in classes if related),
        cases=tuple(filter(None, map(_relation, kept["cases"]))),
    )


def to_json(measured: Mapping[str, Facts], relatives: Equivalences) -> str:
    """Return the file that keeps these facts (by name) and relatives: one entry a line, so that changes read well."""
    tables = {
        "formulas": [f'"{name}": "{fingerprint(get(name))}"' for name in measured],
        "facts": [f'"{name}": {json.dumps(vars(found))}' for name, found in measured.items()],
    }
    lists = {
        "classes": [json.dumps([asdict(one) for one in related]) for related in relatives.classes],
        "cases": [json.dumps(asdict(one)) for one in relatives.cases],
    }
    parts = [f'"{name}": {{\n{_lines(rows)}\n}}' for name, rows in tables.items()]
    parts += [f'"{name}": [\n{_lines(rows)}\n]' for name, rows in lists.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _lines(rows: list[str]) -> str:
    return ",\n".join(rows)


@cache
def _kept() -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return kept


def _relation(kept: dict[str, Any]) -> Relation | None:
    names = (kept[side].partition("(")[0] for side in ("function", "other"))
    return Relation(**kept) if all(map(_is_current, names)) else None


def _is_current(name: str) -> bool:
    return bool(_kept()["formulas"].get(name) == fingerprint(get(name)))
