"""Header of a packed net's file, JSON text with limits on its size, nesting and numbers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ["LARGEST_SETTING", "check_setting", "parse_json"]

_LARGEST_TEXT: Final = 2**22  # bytes
_DEEPEST: Final = 8  # brackets inside each other; the format needs 4
LARGEST_SETTING: Final = 2**24  # of whole numbers


def parse_json(text: bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is no JSON, too long or nested too deeply, has a name twice in an object, or a number that is not finite.

    Example:
        >>> parse_json(b'{"a": [1, 2]}')
        {'a': [1, 2]}
    """
    if len(text) > _LARGEST_TEXT:
        raise ValueError(f"it has {len(text)} bytes; allowed are {_LARGEST_TEXT}")
    decoded = text.decode("utf-8")
    if _depth(decoded) > _DEEPEST:
        raise ValueError(f"it is nested more than {_DEEPEST} deep")
    return json.loads(decoded, object_pairs_hook=_object, parse_constant=_refuse_constant)


def _depth(text: str) -> int:
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]{}]", re.sub(r'"(?:[^"\\]|\\.)*"', "", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("an object has a name twice")
    return dict(pairs)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


# Settings by the type of their field


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= LARGEST_SETTING


def _are_whole(value: Any, count: int, least: int) -> bool:
    return isinstance(value, list) and len(value) == count and all(_is_whole(part, least) for part in value)


def _is_number(value: Any, _least: int) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and abs(value) < 3.4e38


_CHECKS: Mapping[str, Callable[[Any, int], bool]] = {
    "int": _is_whole,
    "float": _is_number,
    "bool": lambda value, _: isinstance(value, bool),
    "Pair": lambda value, least: _are_whole(value, 2, least),
    "Pair | str": lambda value, least: value in ("same", "valid") or _are_whole(value, 2, least),
    "tuple[int, int, int, int]": lambda value, least: _are_whole(value, 4, least),
    "Tensor | None": lambda value, _: value is None,
}
_FROM_ZERO = frozenset({"padding", "edges"})  # all other whole numbers are 1 or more


def check_setting(name: str, annotation: str, value: Any) -> bool:
    """Return whether a value of a header may be the value of an operation's field.

    Args:
        name: of the field.
        annotation: its type, as text.
        value: from the JSON text.

    Example:
        >>> check_setting("stride", "Pair", [1, 2]), check_setting("stride", "Pair", [0, 2]), check_setting("ceil", "bool", 1)
        (True, False, False)
    """
    check = _CHECKS.get(annotation)
    try:
        return check is not None and check(value, 0 if name in _FROM_ZERO else 1)
    except (OverflowError, TypeError):  # an integer beyond every float; an unhashable value
        return False
