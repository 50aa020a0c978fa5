"""The folder of compiled kernels."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["folder"]


def folder() -> Path:
    """Return where kernels are kept."""
    given = os.environ.get("ACTLAB_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(given) / "kernels" if given else base / "actlab" / "kernels"
