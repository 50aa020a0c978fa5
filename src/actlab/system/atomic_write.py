"""Atomic file writes by a temporary file and ``os.replace``."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["write_atomically"]


def write_atomically(file: Path, content: bytes) -> None:
    """Write a file, and create its parent folders with access for their owner only.

    Args:
        file: replaced if it exists.
        content: the complete content.

    Raises:
        OSError: the file cannot be written; its previous content is unchanged.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_atomically(Path(folder) / "new" / "file", b"content")
        ...     (Path(folder) / "new" / "file").read_text()
        'content'
    """
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = tempfile.mkstemp(dir=file.parent, suffix=".new")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        Path(temporary).replace(file)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
