"""Location of a trial store, from the path or URL that was typed."""

from __future__ import annotations

import os
import re
from pathlib import Path

from actlab.errors import StoreError

__all__ = ["STORE_VARIABLE", "absolute_url", "store_file", "store_url"]

STORE_VARIABLE = "ACTLAB_STORE"
_DEFAULT = "sqlite:///actlab.db"
_SQLITE = "sqlite:///"


def store_url(store: str | Path | None) -> str:
    """Return the URL of a store: a URL unchanged, a path as a SQLite URL, None as ``$ACTLAB_STORE`` or ``actlab.db`` in this folder.

    What follows ``sqlite:///`` is a path as it was typed: ``?``, ``#`` and ``%`` are characters of the file's name.

    Raises:
        StoreError: it is no text and no path, a SQLite database in memory, or a URL that names no file.

    Example:
        >>> store_url("runs/a.db"), store_url("postgresql://host/name")
        ('sqlite:///runs/a.db', 'postgresql://host/name')
    """
    if store is not None and not isinstance(store, str | Path):
        raise StoreError(
            f"A store is a path or a URL, such as 'actlab.db'; got {type(store).__name__}: {str(store)[:80]}."
        )
    if isinstance(store, Path):
        return f"{_SQLITE}{store}"
    text = store if store is not None else os.environ.get(STORE_VARIABLE) or _DEFAULT
    url = text if re.match(r"[a-z0-9+]+://", text) else f"{_SQLITE}{text}"
    if url in {"sqlite://", _SQLITE, "sqlite:///:memory:"}:
        raise StoreError(
            f"The store {text!r} is in memory and would be lost with the process; give a file, like sqlite:///actlab.db."
        )
    if text.startswith("sqlite:") and not text.startswith(_SQLITE):
        raise StoreError(f"The store {text!r} names no file: write sqlite:/// and the path, like sqlite:///actlab.db.")
    if "\0" in text:
        raise StoreError(f"The store {text!r} contains a null character, which no file name can.")
    return url


def store_file(url: str) -> Path | None:
    """Return the file of a SQLite store, exactly as it was typed; None for a database server.

    Example:
        >>> store_file("sqlite:///runs/50%25?.db"), store_file("postgresql://host/name")
        (PosixPath('runs/50%25?.db'), None)
    """
    return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None


def absolute_url(url: str) -> str:
    """Return the URL with its file's absolute path, which a later change of the working folder does not alter.

    Example:
        >>> absolute_url("sqlite:////runs/a.db")
        'sqlite:////runs/a.db'
    """
    file = store_file(url)
    return url if file is None else f"{_SQLITE}{file.absolute()}"
