"""Library versions with which the trials of a study ran."""

from __future__ import annotations

from collections.abc import Iterable

from actlab.report.content.series import Row

__all__ = ["versions"]

_APART = {"device", "card", "threads", "trainer"}  # which reports name on their own


def versions(rows: Iterable[Row]) -> str:
    """Return the versions the trials ran with; several sets if the trials come from several installations."""
    known = {
        ", ".join(f"{name} {number}" for name, number in sorted((row["versions"] or {}).items()) if name not in _APART)
        for row in rows
    }
    return "; ".join(sorted(known - {""})) or "not recorded"
