"""Files that a report is written to, which never take the place of a file that ActLab did not write."""

from __future__ import annotations

import os
from pathlib import Path

from actlab.errors import ActlabError
from actlab.system.atomic_write import write_atomically

__all__ = ["MARK", "write_output"]

MARK = "Made by ActLab"  # near the beginning or the end of pages and figures
# pages of earlier builds have no mark, and their heads all end with this
_EARLIER_HEAD = "script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n<title>"
_SEARCHED = 1024  # bytes at both ends
_HEADING_LINES = {".csv": 1, ".md": 2, ".tex": 3}  # lines by which a table is known


def write_output(path: Path, content: str | bytes, *, what: str = "page", force: bool = False) -> Path:
    """Write a file and return its path. A file that is replaced stays as it was until the new one is complete.

    Args:
        path: of the file.
        content: the complete content; text is encoded as UTF-8.
        what: what is written, for messages.
        force: whether any file is replaced; otherwise only an empty one, and one that ActLab wrote.

    Raises:
        ActlabError: the file cannot be written, or would replace another one.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_output(Path(folder) / "page.html", "<p>Made by ActLab</p>").name
        'page.html'
    """
    encoded = content.encode("utf-8", errors="replace") if isinstance(content, str) else content
    try:
        if not force and path.is_file() and not _is_ours(path, encoded):
            raise ActlabError(
                f"{str(path)!r} exists and was not written by ActLab, so the {what} is not written over it. "
                "Choose another file, or add --force (force=True)."
            )
        if path.exists() and not path.is_file():  # a pipe or a terminal; a folder is refused by the system
            path.write_bytes(encoded)
        else:
            write_atomically(path.resolve(), encoded, private=False)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ActlabError(
            f"The {what} cannot be written to {str(path)!r}: {reason}. Name a file in a folder you may write to."
        ) from error
    return path


def _is_ours(path: Path, new: bytes) -> bool:
    """Whether a file is empty, has our mark near one of its ends, or is a table with the heading of the new one."""
    with path.open("rb") as file:
        begin, size = file.read(_SEARCHED), file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _SEARCHED))
        if size == 0 or _EARLIER_HEAD.encode() in begin or MARK.encode() in begin + file.read():
            return True
        file.seek(0)
        lines = _HEADING_LINES.get(path.suffix.lower(), 0)
        heading = new.split(b"\n")[:lines]
        return bool(heading) and [file.readline().rstrip(b"\r\n") for _ in heading] == heading
