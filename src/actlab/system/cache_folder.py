"""Cache folder of compiled kernels (``ACTLAB_CACHE``, ``XDG_CACHE_HOME`` or ``~/.cache``)."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["kernel_folder"]


def kernel_folder() -> Path:
    """Return the folder of compiled kernels; it need not exist yet.

    Raises:
        RuntimeError: neither variable is set and there is no home directory.
    """
    override = os.environ.get("ACTLAB_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(override) / "kernels" if override else base / "actlab" / "kernels"
