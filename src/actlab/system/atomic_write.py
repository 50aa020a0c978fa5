"""The whole file: written beside its place and moved there, so that nobody ever reads half of it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["write"]


def write(file: Path, content: bytes) -> None:
    """Write a file, and the folders above it, which only its owner may enter.

    Args:
        file: replaced if it is there.
        content: all of it.

    Raises:
        OSError: it cannot be written; what was there before is still there.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write(Path(folder) / "new" / "file", b"content")
        ...     (Path(folder) / "new" / "file").read_text()
        'content'
    """
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, beside = tempfile.mkstemp(dir=file.parent, suffix=".new")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        Path(beside).replace(file)
    except OSError:
        Path(beside).unlink(missing_ok=True)
        raise
