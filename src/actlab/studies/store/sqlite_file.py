"""SQLite file of a store, checked to be the same file in every transaction.

A process that has the file open would go on to write to it after it was deleted, and a new connection would create an empty one.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import weakref
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from actlab.errors import StoreError
from actlab.studies.store.database_errors import LOCK_TIMEOUT

__all__ = ["SqliteFile"]

_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
_USER_VERSION = slice(60, 64)  # in the header; a random number that tells one store from another


class SqliteFile:
    """A SQLite file that is opened by name.

    Args:
        file: its path.
        create: whether the first connection may create it.
        keep_open: whether a connection stays open between transactions; otherwise a file that cannot be written is read.
    """

    def __init__(self, file: Path, *, create: bool, keep_open: bool) -> None:
        self._file = file.absolute()
        self._may_create, self._keep_open, self._may_copy = create, keep_open, not (create or keep_open)
        self._identity: tuple[int, int] | None = None
        self._log: tuple[int, int] | None = None
        self._header: bytes | None = None
        self._copy: Path | None = None

    def connect(self) -> sqlite3.Connection:
        """Return a new connection.

        Raises:
            StoreError: the file is no longer the one that was first opened.
            sqlite3.Error: it cannot be opened.
        """
        if self._copy is None:
            self._check_name(None)
            self._log = None  # it is a new one when all connections were closed
            connection = _connect(self._file, "rwc" if self._may_create and self._identity is None else "rw")
            if not self._may_copy or _is_readable(connection):
                return connection
            connection.close()
            self._copy = _copied(self._file)
            weakref.finalize(self, shutil.rmtree, self._copy.parent, ignore_errors=True)
        connection = _connect(self._copy, "rw")
        connection.execute("PRAGMA query_only=ON")  # what is written to the copy would be lost
        return connection

    def identify(self) -> None:
        """Take the file that is there now as the store; later ones of its name are not."""
        self._identity = _identity(self._file)

    def check(self, connection: Any) -> None:
        """Check that the connection's file still has its name and its content.

        Raises:
            StoreError: it was moved, deleted, replaced or overwritten; what it held is saved in another file, where that is possible.
        """
        if self._copy is not None or self._identity is None:
            return
        self._check_name(connection)
        header = _read_open_file(self._identity)
        if header is None:
            return
        identity = header[:16] + header[_USER_VERSION]
        self._header = self._header or identity
        if identity != self._header or not identity.startswith(_MAGIC):
            raise StoreError(
                f"The store {self._file} was overwritten while a study used it, and what it held is lost. "
                "Restore it from a copy, or choose another path with --store."
            )

    def _check_name(self, connection: Any) -> None:
        if self._identity is None:
            return
        found = _identity(self._file)
        if found != self._identity:
            what = "moved or deleted" if found is None else "replaced by another file"
            self._raise_lost(what, connection)
        if self._keep_open and connection is not None:
            log = _identity(_log_file(self._file))
            if self._log is not None and log != self._log:
                self._raise_lost("separated from its write-ahead log, the file that ends in -wal,", connection)
            self._log = log

    def _raise_lost(self, what: str, connection: Any) -> None:
        saved = None if connection is None else self._save(connection)
        kept = (
            "What it held was not saved."
            if saved is None
            else f"Every finished trial was saved in {saved}: run the same command with --store {saved}."
        )
        raise StoreError(f"The store {self._file} was {what} while a study used it. {kept}")

    def _save(self, connection: sqlite3.Connection) -> Path | None:
        """Write what the connection still reads to a new file; the first of several processes does, and the others name its file."""
        target = self._file.with_name(f"{self._file.name}.rescued-{self._identity[1]}")  # type: ignore[index] # the caller checked
        with suppress(FileExistsError), suppress(OSError, sqlite3.Error):
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
            with closing(sqlite3.connect(target)) as copy:
                connection.backup(copy)
        return target if target.exists() else None


def _connect(file: Path, mode: str) -> sqlite3.Connection:
    uri = f"file:{quote(os.fsencode(file))}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=LOCK_TIMEOUT, check_same_thread=False)


def _is_readable(connection: sqlite3.Connection) -> bool:
    """Whether the file can be read where it is; the log of a file in a folder that cannot be written can not."""
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError as error:
        return not any(phrase in str(error) for phrase in ("unable to open", "readonly"))
    except sqlite3.DatabaseError:  # no database; whoever uses it will say so
        return True
    return True


def _copied(file: Path) -> Path:
    """Return a copy of a database, in a new folder with a copy of its log, which may hold the last transactions."""
    folder = Path(tempfile.mkdtemp(prefix="actlab-store-"))
    for part in (file, _log_file(file)):
        with suppress(FileNotFoundError):
            shutil.copyfile(part, folder / part.name)
    return folder / file.name


def _log_file(file: Path) -> Path:
    return file.with_name(f"{file.name}-wal")


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _read_open_file(identity: tuple[int, int]) -> bytes | None:
    """Return the first bytes of a file that this process has open; None where open files cannot be listed.

    It is not opened again: closing it would release the process's locks on it, which SQLite holds.
    """
    for entry in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():  # noqa: PTH208, PTH112 # a third of the time
        with suppress(OSError):
            status = os.fstat(int(entry))
            if (status.st_dev, status.st_ino) == identity:
                return os.pread(int(entry), _HEADER_BYTES, 0)
    return None
