"""Registry of axes, and resolution of names and files to axes."""

from __future__ import annotations

import copyreg
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

from actlab.errors import ActlabError, DuplicateNameError, UnknownNameError
from actlab.evaluate.axis import Axis
from actlab.tasks import task_file

__all__ = ["AxisLike", "axes_named", "built_in_axes", "register_axis", "register_group"]

#: Name of an axis, also with an argument as in "device:m3", "all", path of a Python file with axes, ``FILE.py:name``, or an axis itself.
AxisLike: TypeAlias = str | Path | Axis

_axes: dict[str, Axis] = {}
_groups: dict[str, Callable[[str], Iterable[Axis]]] = {}


def register_axis(axis: Axis) -> Axis:
    """Register a built-in axis under its name, and return it.

    Raises:
        DuplicateNameError: the name is taken.
    """
    if axis.name in _axes:
        raise DuplicateNameError(f"The axis name {axis.name!r} is taken.")
    _axes[axis.name] = replace(axis, source=axis.name)
    return axis


def register_group(name: str, axes_of: Callable[[str], Iterable[Axis]]) -> None:
    """Let a name stand for several axes, which may depend on an argument behind a colon, as in "device:m3".

    Args:
        name: which may be that of the first of them.
        axes_of: of the argument, empty where there is none; raises an ActlabError where it is not allowed.
    """
    _groups[name] = axes_of


def built_in_axes() -> dict[str, Axis]:
    """Return the built-in axes by name, in the order in which tables show them.

    Example:
        >>> "calibration" in built_in_axes()
        True
    """
    import_module("actlab.evaluate.axes")  # registers them, as the catalogue registers its functions
    return dict(_axes)


def axes_named(wanted: str | AxisLike | Iterable[AxisLike] | None) -> tuple[Axis, ...]:
    """Return the axes of names, files and axes.

    Args:
        wanted: one or more of :data:`AxisLike`; a text may have several, separated by commas. "all" is every built-in axis that does not
            train further and needs no other programs; None, and "none", are no axis.

    Raises:
        UnknownNameError: there is no such axis.
        ActlabError: a file defines no axis, or two axes have one name, also that of a built-in one.

    Example:
        >>> [axis.name for axis in axes_named("calibration")], axes_named("none")
        (['calibration'], ())
    """
    found: dict[str, Axis] = {}
    for axis in _expanded(wanted):
        if axis.name in found and found[axis.name].source != axis.source:
            raise ActlabError(
                f"Two axes have the name {axis.name!r}. Give one of them another, with axis(..., name=...)."
            )
        found[axis.name] = axis
    return tuple(found.values())


def _expanded(wanted: str | AxisLike | Iterable[AxisLike] | None) -> Iterable[Axis]:
    if wanted is None or wanted == "none":
        return
    parts: Sequence[AxisLike] | Iterable[AxisLike]
    parts = (
        [part.strip() for part in wanted.split(",")]
        if isinstance(wanted, str)
        else [wanted]
        if isinstance(wanted, Axis | Path)
        else wanted
    )
    for part in parts:
        if isinstance(part, Axis):
            yield part
        elif isinstance(part, str) and "," in part:
            yield from _expanded(part)
        elif isinstance(part, str | Path):
            yield from _named(str(part))
        else:
            raise ActlabError(f"An axis is a name, the path of a Python file or an Axis; got {type(part).__name__}.")


def _named(name: str) -> Iterable[Axis]:
    known = built_in_axes()
    group, _, argument = name.partition(":")
    if group in _groups:
        return [known.get(axis.name, axis) for axis in _groups[group](argument.strip())]
    if name in known:
        return [known[name]]
    if name == "all":
        return [axis for axis in known.values() if not (axis.trains or axis.on_request)]
    path, _, own = name.partition(".py:") if ".py:" in name else (name.removesuffix(".py"), "", "")
    if name.endswith(".py") or ".py:" in name:
        return _of_file(f"{path}.py", own)
    raise UnknownNameError(
        "axis",
        name,
        known,
        f"Axes are {', '.join(known)}, all, or a Python file with your own: my_axes.py or my_axes.py:name.",
    )


def _of_file(path: str, own: str) -> list[Axis]:
    file = Path(path).expanduser()
    found = _own_axes(file, task_file.run_file(file).values())
    if own and own not in found:
        raise UnknownNameError("axis", own, found, f"{file} defines {', '.join(found) or 'no axis'}.")
    if not found:
        raise ActlabError(
            f"{file} defines no axis. Put @actlab.axis('max') or @actlab.axis('min') before a function of (model, data) that returns a "
            "number."
        )
    chosen = [axis for axis in found.values() if axis.name == own or not own]
    for axis in chosen:
        if axis.name in _axes:
            raise DuplicateNameError(
                f"{file} defines an axis {axis.name!r}, which is the name of a built-in one. Give it another, with axis(..., "
                f"name='my_{axis.name}')."
            )
    return [replace(axis, file=f"{file.resolve()}:{axis.name}") for axis in chosen]


def _own_axes(file: Path, values: Iterable[Any]) -> dict[str, Axis]:
    """Return the axes of a file's names, without built-in ones that it imported."""
    found: dict[str, Axis] = {}
    for value in values:
        if not isinstance(value, Axis) or (value.name in _axes and _axes[value.name].measure is value.measure):
            continue
        if found.setdefault(value.name, value) is not value:
            raise DuplicateNameError(
                f"{file} defines two axes with the name {value.name!r}. Give one of them another, with axis(..., name=...)."
            )
    return found


def _reduced(axis: Axis) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return how a pickled axis is found again: by its name, source or file, or where it is defined; its function is not imported alone."""
    if axis.file is not None or _axes.get(axis.name) is axis:
        return _found_again, (axis.file or axis.name,)
    group, colon, _ = axis.source.partition(":")
    if colon and group in _groups:
        return _found_again, (axis.source,)
    module, name = (str(getattr(axis.measure, part, "")) for part in ("__module__", "__qualname__"))
    if getattr(sys.modules.get(module), name, None) == axis:
        return _imported, (module, name)
    return _rebuilt, ({field.name: getattr(axis, field.name) for field in fields(axis)},)


def _found_again(name: str) -> Axis:
    return next(iter(_named(name)))


def _imported(module: str, name: str) -> Any:
    return getattr(import_module(module), name)


def _rebuilt(values: dict[str, Any]) -> Axis:
    return Axis(**values)


copyreg.pickle(Axis, _reduced)
