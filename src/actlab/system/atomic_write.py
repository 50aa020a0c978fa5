"""Atomic file writes by a temporary file and ``os.replace``."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

__all__ = ["write_atomically"]


def write_atomically(file: Path, content: bytes, *, private: bool = True) -> None:
    """Write a file, which is complete when it gets its name.

    Args:
        file: replaced if it exists.
        content: the complete content.
        private: whether only the owner has access to it, and to its parent folders, which are created; otherwise its folder must exist, and
            it has the permissions of the file that it replaces, or those of any new file.

    Raises:
        OSError: the file cannot be written; its previous content is unchanged.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_atomically(Path(folder) / "new" / "file", b"content")
        ...     (Path(folder) / "new" / "file").read_text()
        'content'
    """
    if private:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name[:60]}.", suffix=".new")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        if not private:
            Path(temporary).chmod(_mode(file))
        Path(temporary).replace(file)
    except BaseException:  # Ctrl-C, too
        with suppress(OSError):
            Path(temporary).unlink()
        raise


def _mode(file: Path) -> int:
    """Return the permissions of a file, or those of a new one."""
    if file.exists():
        return file.stat().st_mode & 0o7777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
