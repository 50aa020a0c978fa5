"""Specs of objects that stand for an activation, by functions that the package binds."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["bind", "recognised_text", "registered_text"]

_recognise: Callable[[object], str | None] | None = None
_register: Callable[[object], str] | None = None


def bind(recognise: Callable[[object], str | None], register: Callable[[object], str]) -> None:
    """Set the functions that return the spec of a module, a class or a function; they know torch, this room does not.

    Args:
        recognise: of one that computes a registered activation; returns None for others.
        register: of any other, which it registers.
    """
    global _recognise, _register  # set once, by actlab/__init__.py
    _recognise, _register = recognise, register


def registered_text(value: object) -> str | None:
    """Return the spec of a module, a class or a function of the user, which is registered by this."""
    return None if _register is None else _register(value)


def recognised_text(value: object) -> str | None:
    """Return the spec of an object, such as ``torch.nn.GELU``; None if it is not known as an activation."""
    return None if _recognise is None or value is None else _recognise(value)
