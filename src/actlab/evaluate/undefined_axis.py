"""Exception of an axis that has no number for a task or model."""

from __future__ import annotations

from actlab.errors import ActlabError

__all__ = ["UndefinedAxisError"]


class UndefinedAxisError(ActlabError):
    """Raised by an axis that has no number for this task or model; the message, which completes "undefined, as ...", is recorded."""
