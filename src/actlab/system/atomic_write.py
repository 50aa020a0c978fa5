"""Atomic file writes by a temporary file and ``os.replace``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

__all__ = ["remove_temporary_files", "write_atomically"]

_ENDING = ".new"


def write_atomically(file: Path, content: bytes | Callable[[IO[bytes]], Any], *, private: bool = True) -> None:
    """Write a file, which is complete when it gets its name.

    Args:
        file: replaced if it exists.
        content: the complete content, or a function that writes it to a stream, where it is large.
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
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=_prefix(file), suffix=_ENDING)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content) if isinstance(content, bytes) else content(stream)
        if not private:
            Path(temporary).chmod(_mode(file))
        Path(temporary).replace(file)
    except BaseException:  # Ctrl-C, too
        with suppress(OSError):
            Path(temporary).unlink()
        raise


def _prefix(file: Path) -> str:
    return f".{file.name[:60]}."


def remove_temporary_files(file: Path) -> None:
    """Remove what processes that were killed while they wrote a file have left; call it while nobody writes the file.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, ".file.0.new").write_bytes(b"half")
        ...     remove_temporary_files(Path(folder, "file"))
        ...     list(Path(folder).iterdir())
        []
    """
    with suppress(OSError):
        for name in os.listdir(file.parent):  # noqa: PTH208 # no pattern: the name may hold brackets
            if name.startswith(_prefix(file)) and name.endswith(_ENDING):
                (file.parent / name).unlink(missing_ok=True)


def _mode(file: Path) -> int:
    """Return the permissions of a file, or those of a new one."""
    if file.exists():
        return file.stat().st_mode & 0o7777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
