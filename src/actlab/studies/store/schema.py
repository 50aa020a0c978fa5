"""Database schema of the trial store, and opening of its SQLite or PostgreSQL engine."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from actlab.errors import StoreError

__all__ = [
    "STORE_VARIABLE",
    "VERSION",
    "costs",
    "facts",
    "leases",
    "missing_columns",
    "open_engine",
    "store_errors",
    "store_url",
    "studies",
    "trials",
]

VERSION = 1  # of the tables; incremented when an older build can no longer use them
STORE_VARIABLE = "ACTLAB_STORE"
_DEFAULT = "sqlite:///actlab.db"
_LOCK_TIMEOUT = 60  # seconds to wait for another process's write, which takes milliseconds

metadata = sa.MetaData()
_version = sa.Table("actlab_schema", metadata, sa.Column("version", sa.Integer, primary_key=True))
studies = sa.Table(
    "studies",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(200), nullable=False, unique=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("plan", sa.Text, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
)


def _study_column() -> sa.Column[int]:
    return sa.Column("study_id", sa.ForeignKey("studies.id"), nullable=False)


def _key_columns() -> list[sa.Column[Any]]:
    """Return the columns that identify a trial within a study."""
    return [
        sa.Column("stage", sa.String(8), nullable=False),
        sa.Column("arm", sa.String(500), nullable=False),
        sa.Column("seed", sa.Integer, nullable=False),
        sa.Column("lr", sa.Double, nullable=False),
    ]


trials = sa.Table(
    "trials",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _study_column(),
    *_key_columns(),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("metric", sa.Double),
    sa.Column("curve", sa.JSON, nullable=False),
    sa.Column("train_loss", sa.Double),
    sa.Column("validation", sa.Double),
    sa.Column("parameters", sa.Integer),
    sa.Column("steps", sa.Integer, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("cpu_seconds", sa.Double, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("started", sa.Double, nullable=False),
    sa.Column("finished", sa.Double, nullable=False),
    sa.Column("versions", sa.JSON, nullable=False),
    sa.Column("provisional", sa.Boolean),
    sa.Column("inputs", sa.JSON),
    sa.UniqueConstraint("study_id", "stage", "arm", "seed", "lr"),
)
leases = sa.Table(
    "claims",  # the name of the table in stores of version 1
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _study_column(),
    *_key_columns(),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("host", sa.String(200), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("start", sa.String(40), nullable=False),
    sa.Column("claimed", sa.Double, nullable=False),
    sa.Column("heartbeat", sa.Double, nullable=False),
    sa.Column("outcome", sa.String(40)),
    sa.Column("uptime", sa.Double),  # of the host at the heartbeat, which no change of the clock alters
    sa.UniqueConstraint("study_id", "stage", "arm", "seed", "lr", "attempt"),
    sa.Index("open_claims", "study_id", "outcome"),
)
costs = sa.Table(
    "costs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _study_column(),
    sa.Column("arm", sa.String(500), nullable=False),
    sa.Column("cost", sa.JSON, nullable=False),
    sa.UniqueConstraint("study_id", "arm"),
)
facts = sa.Table(
    "facts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _study_column(),
    sa.Column("name", sa.String(40), nullable=False),
    sa.Column("value", sa.JSON, nullable=False),
    sa.UniqueConstraint("study_id", "name"),
)


# Columns that stores of earlier builds lack. They are added when such a store is opened for writing; earlier builds ignore them.
ADDED = ((trials, "provisional"), (trials, "inputs"), (leases, "uptime"))


def store_url(store: str | Path | None) -> str:
    """Return the URL of a store: a URL unchanged, a path as a SQLite URL, None as ``$ACTLAB_STORE`` or ``actlab.db`` in this folder.

    Raises:
        StoreError: the URL is a SQLite database in memory.

    Example:
        >>> store_url("runs/a.db"), store_url("postgresql://host/name")
        ('sqlite:///runs/a.db', 'postgresql://host/name')
    """
    text = str(store) if store is not None else os.environ.get(STORE_VARIABLE) or _DEFAULT
    url = text if re.match(r"[a-z0-9+]+:/", text) else f"sqlite:///{text}"
    if url in {"sqlite://", "sqlite:///", "sqlite:///:memory:"}:
        raise StoreError(
            f"The store {text!r} is in memory and would be lost with the process; give a file, like sqlite:///actlab.db."
        )
    return url


def open_engine(url: str, *, create: bool, keep_open: bool) -> sa.Engine:
    """Open a database and check that it is a store with a schema of this version.

    Args:
        url: as from :func:`store_url`.
        create: whether to create missing tables; otherwise a missing store is an error.
        keep_open: keep connections between transactions. Not allowed in a process that may be forked: SQLite's locks belong to
            one process, and its copy would use them as its own.

    Raises:
        StoreError: the database cannot be opened, is no store, or has a newer schema.
    """
    with store_errors(url):
        engine = _engine(url, keep_open=keep_open)
        file = engine.url.database if engine.dialect.name == "sqlite" else None
        if file is not None:
            _check_file(Path(file), create=create)
        _check_tables(engine, url, create=create)
    return engine


def _engine(url: str, *, keep_open: bool) -> sa.Engine:
    try:
        sqlite = sa.make_url(url).get_backend_name() == "sqlite"
        timeout = {"connect_args": {"timeout": _LOCK_TIMEOUT}} if sqlite else {}
        engine = sa.create_engine(url, poolclass=sa.QueuePool if keep_open else sa.NullPool, **timeout)
    except (ArgumentError, NoSuchModuleError) as error:
        raise StoreError(
            f"The store {url!r} is no database URL: {error}. Try sqlite:///actlab.db or postgresql://user@host/name."
        ) from error
    except ModuleNotFoundError as error:
        raise StoreError(f"The store {url!r} needs the package {error.name}: pip install {error.name}") from error
    if sqlite:
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver starts its transactions too late; _begin_sqlite starts them instead
    # NORMAL loses no transaction when a process is killed; a power cut may lose the last ones, whose trials run again.
    connection.execute("PRAGMA synchronous=NORMAL")


def _begin_sqlite(connection: sa.Connection) -> None:
    """Take the write lock at the start of a writing transaction; SQLite fails without waiting when it is taken after a read."""
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("write") else "BEGIN")


def _check_file(file: Path, *, create: bool) -> None:
    if file.is_dir():
        raise StoreError(f"The store {file} is a folder; give a file in it, like {file / 'actlab.db'}.")
    if file.exists():
        return
    if not create:
        raise StoreError(
            f"There is no store {file}. Check --store; without it, ${STORE_VARIABLE} or actlab.db in this folder is used."
        )
    if not file.parent.is_dir():
        raise StoreError(
            f"The store {file} cannot be created: there is no folder {file.parent.resolve()}. Create it first, or choose another path."
        )


def _check_tables(engine: sa.Engine, url: str, *, create: bool) -> None:
    tables = set(sa.inspect(engine).get_table_names())
    if _version.name not in tables:
        if not create:
            raise StoreError(f"{url} is a database, but no store of ActLab: it has {_table_list(tables)}.")
        if tables and engine.dialect.name == "sqlite":
            raise StoreError(
                f"{url} belongs to another program: it has {_table_list(tables)}. Choose another file for the store."
            )
        _create_tables(engine)
    with engine.connect() as connection:
        version = connection.scalar(sa.select(sa.func.max(_version.c.version)))
    if version is None or version > VERSION:
        raise StoreError(
            f"{url} was written by a newer ActLab: its schema is version {version}, this one supports up to {VERSION}. "
            "Upgrade with `pip install -U actlab`, or use another store."
        )
    if create:
        _add_columns(engine)


def missing_columns(engine: sa.Engine, table: sa.Table) -> set[str]:
    """Return the names of columns that a store of an earlier build lacks."""
    return {column.name for column in table.c} - {
        column["name"] for column in sa.inspect(engine).get_columns(table.name)
    }


def _add_columns(engine: sa.Engine) -> None:
    if not any(missing_columns(engine, table) for table in (trials, leases)):
        return
    with engine.execution_options(write=True).begin() as connection:
        for table, name in ADDED:
            if name not in {column["name"] for column in sa.inspect(connection).get_columns(table.name)}:
                kind = table.c[name].type.compile(engine.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {name} {kind}")


def _table_list(tables: set[str]) -> str:
    names = ", ".join(sorted(tables)[:4])
    return f"the tables {names}" if tables else "no tables"


def _create_tables(engine: sa.Engine) -> None:
    if engine.dialect.name == "sqlite":
        _use_wal(engine)
    with engine.execution_options(write=True).begin() as connection:
        metadata.create_all(connection)
        if connection.scalar(sa.select(_version.c.version)) is None:  # another process may have inserted it
            connection.execute(_version.insert().values(version=VERSION))


def _use_wal(engine: sa.Engine) -> None:
    """Switch the file permanently to a write-ahead log, with which readers and the writer do not wait for each other."""
    for _ in range(50):
        raw = engine.raw_connection()
        try:
            raw.cursor().execute("PRAGMA journal_mode=WAL")
        except Exception as error:  # the driver's own type; another process is doing the same
            if "locked" not in str(error):
                raise
            time.sleep(0.1)
        else:
            return
        finally:
            raw.close()


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
        f"was locked by another program for more than {_LOCK_TIMEOUT} s. Close that program and run the same command again",
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
    except sa.exc.IntegrityError:
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
