"""Database errors re-raised as StoreError with advice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from actlab.errors import StoreError

__all__ = ["LOCK_TIMEOUT", "store_errors"]

LOCK_TIMEOUT = 60  # seconds to wait for another process's write, which takes milliseconds

# Phrases in messages of the database, and what to say and to do.
_ADVICE = (
    (
        "unable to open database file",
        "cannot be opened or created: check the folder's permissions, or choose another path with --store",
    ),
    (
        "readonly database",
        "cannot be written: check the permissions of the file and its folder, or choose another path with --store",
    ),
    ("not a database", "is no SQLite database. Choose another file for the store"),
    ("malformed", "is damaged. Keep a copy, and try `sqlite3 FILE .recover`"),
    (
        "is locked",
        f"was locked by another program for more than {LOCK_TIMEOUT} s. Close that program and run the same command again",
    ),
    (
        "is full",
        "has no room left: the disk is full. Finished trials are not lost; free some space and run the same command again",
    ),
    (
        "disk i/o error",
        "cannot be written (full disk, quota or file size limit?). Finished trials are not lost; run the same command again",
    ),
)


@contextmanager
def store_errors(url: str) -> Iterator[None]:
    """Re-raise database errors as :class:`StoreError` with advice; ``IntegrityError`` passes through."""
    try:
        yield
    except IntegrityError:
        raise
    except (DBAPIError, SQLAlchemyError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise _store_error(url, reason) from error
    except Exception as error:  # raised by the driver itself, outside of SQLAlchemy
        if type(error).__module__ != "sqlite3":
            raise
        raise _store_error(url, str(error)) from error


def _store_error(url: str, reason: str) -> StoreError:
    advice = next((advice for phrase, advice in _ADVICE if phrase in reason.lower()), "cannot be used")
    return StoreError(f"The store {url} {advice} ({reason}).")
