"""The schema of a store: its tables, its version, and how a database is opened so that several processes can share it."""

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
    "claims",
    "costs",
    "explained",
    "facts",
    "open_engine",
    "store_url",
    "studies",
    "trials",
]

VERSION = 1  # of the tables; counts up when they change
STORE_VARIABLE = "ACTLAB_STORE"
_DEFAULT = "sqlite:///actlab.db"
_PATIENCE = 60  # seconds to wait for another process's write, which takes milliseconds

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


def _of_study() -> sa.Column[int]:
    return sa.Column("study_id", sa.ForeignKey("studies.id"), nullable=False)


def _key() -> list[sa.Column[Any]]:
    """Return the columns that name a trial."""
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
    _of_study(),
    *_key(),
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
    sa.UniqueConstraint("study_id", "stage", "arm", "seed", "lr"),
)
claims = sa.Table(
    "claims",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _of_study(),
    *_key(),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("host", sa.String(200), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("start", sa.String(40), nullable=False),
    sa.Column("claimed", sa.Double, nullable=False),
    sa.Column("heartbeat", sa.Double, nullable=False),
    sa.Column("outcome", sa.String(40)),
    sa.UniqueConstraint("study_id", "stage", "arm", "seed", "lr", "attempt"),
    sa.Index("open_claims", "study_id", "outcome"),
)
costs = sa.Table(
    "costs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _of_study(),
    sa.Column("arm", sa.String(500), nullable=False),
    sa.Column("cost", sa.JSON, nullable=False),
    sa.UniqueConstraint("study_id", "arm"),
)
facts = sa.Table(
    "facts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _of_study(),
    sa.Column("name", sa.String(40), nullable=False),
    sa.Column("value", sa.JSON, nullable=False),
    sa.UniqueConstraint("study_id", "name"),
)


def store_url(store: str | Path | None) -> str:
    """Return the URL of a store: a URL as it is, a path as SQLite, None as the variable ACTLAB_STORE or ``actlab.db`` here.

    Raises:
        StoreError: a SQLite database that lives in memory only.

    Example:
        >>> store_url("runs/a.db"), store_url("postgresql://host/name")
        ('sqlite:///runs/a.db', 'postgresql://host/name')
    """
    text = str(store) if store is not None else os.environ.get(STORE_VARIABLE) or _DEFAULT
    url = text if re.match(r"[a-z0-9+]+:/", text) else f"sqlite:///{text}"
    if url in {"sqlite://", "sqlite:///", "sqlite:///:memory:"}:
        raise StoreError(
            f"The store {text!r} lives in memory and would be lost with the process; give a file, like sqlite:///actlab.db."
        )
    return url


def open_engine(url: str, *, create: bool, keep_open: bool) -> sa.Engine:
    """Open a database and check that it is a store that this version can use.

    Args:
        url: as from :func:`store_url`.
        create: make the tables where there are none; otherwise a store that is not there is an error.
        keep_open: keep connections between transactions. A process that may be forked must not: SQLite's locks belong to the
            process, and a copy of it would believe that it holds them.

    Raises:
        StoreError: it cannot be opened, is no store, or is of a newer schema.
    """
    with explained(url):
        engine = _engine(url, keep_open=keep_open)
        file = engine.url.database if engine.dialect.name == "sqlite" else None
        if file is not None:
            _check_place(Path(file), create=create)
        _check_tables(engine, url, create=create)
    return engine


def _engine(url: str, *, keep_open: bool) -> sa.Engine:
    try:
        sqlite = sa.make_url(url).get_backend_name() == "sqlite"
        timeout = {"connect_args": {"timeout": _PATIENCE}} if sqlite else {}
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
    connection.isolation_level = None  # the driver's own transactions start too late; _begin_sqlite starts ours
    # NORMAL loses no transaction when a process is killed; a power cut may undo the last ones, and their trials run again.
    connection.execute("PRAGMA synchronous=NORMAL")


def _begin_sqlite(connection: sa.Connection) -> None:
    """Take the write lock at the start of a writing transaction: taking it later, after a read, fails without waiting."""
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("write") else "BEGIN")


def _check_place(file: Path, *, create: bool) -> None:
    if file.is_dir():
        raise StoreError(f"The store {file} is a folder; give a file in it, like {file / 'actlab.db'}.")
    if file.exists():
        return
    if not create:
        raise StoreError(
            f"There is no store {file}. Look at --store; without it, ${STORE_VARIABLE} or actlab.db in this folder is taken."
        )
    if not file.parent.is_dir():
        raise StoreError(
            f"The store {file} cannot be made: there is no folder {file.parent.resolve()}. Make it first, or choose another place."
        )


def _check_tables(engine: sa.Engine, url: str, *, create: bool) -> None:
    tables = set(sa.inspect(engine).get_table_names())
    if _version.name not in tables:
        if not create:
            raise StoreError(f"{url} is a database, but no store of ActLab: it has {_listed(tables)}.")
        if tables and engine.dialect.name == "sqlite":
            raise StoreError(
                f"{url} belongs to another program: it has {_listed(tables)}. Choose another file for the store."
            )
        _make_tables(engine)
    with engine.connect() as connection:
        found = connection.scalar(sa.select(sa.func.max(_version.c.version)))
    if found is None or found > VERSION:
        raise StoreError(
            f"{url} was written by a newer ActLab: its schema is version {found}, this one knows up to {VERSION}. "
            "Upgrade with `pip install -U actlab`, or use another store."
        )


def _listed(tables: set[str]) -> str:
    shown = ", ".join(sorted(tables)[:4])
    return f"the tables {shown}" if tables else "no tables"


def _make_tables(engine: sa.Engine) -> None:
    if engine.dialect.name == "sqlite":
        _use_wal(engine)
    with engine.execution_options(write=True).begin() as connection:
        metadata.create_all(connection)
        if connection.scalar(sa.select(_version.c.version)) is None:  # another process may have been faster
            connection.execute(_version.insert().values(version=VERSION))


def _use_wal(engine: sa.Engine) -> None:
    """Switch to a write-ahead log, in which readers and the writer do not wait for each other; it stays with the file."""
    for _ in range(50):
        raw = engine.raw_connection()
        try:
            raw.cursor().execute("PRAGMA journal_mode=WAL")
        except Exception as error:  # of the driver: another process is doing the same
            if "locked" not in str(error):
                raise
            time.sleep(0.1)
        else:
            return
        finally:
            raw.close()


_EXPLANATIONS = (
    (
        "unable to open database file",
        "cannot be opened or made: look at the folder's permissions, or choose another place with --store",
    ),
    (
        "readonly database",
        "cannot be written: look at the permissions of the file and its folder, or choose another place with --store",
    ),
    ("not a database", "is no SQLite database. Choose another file for the store"),
    ("malformed", "is damaged. Keep a copy, and try `sqlite3 FILE .recover`"),
    (
        "is locked",
        f"has been locked by another program for more than {_PATIENCE} s. Close that program and run the same command again",
    ),
    (
        "is full",
        "has no room left: the disk is full. Nothing that finished is lost; free some space and run the same command again",
    ),
    (
        "disk i/o error",
        "cannot be written (full disk, quota or file size limit?). Nothing that finished is lost; run the same command again",
    ),
)


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn what the database raises into a :class:`StoreError` that says what to do; broken uniqueness passes through."""
    try:
        yield
    except sa.exc.IntegrityError:
        raise
    except (DBAPIError, SQLAlchemyError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        advice = next((advice for word, advice in _EXPLANATIONS if word in reason.lower()), "cannot be used")
        raise StoreError(f"The store {url} {advice} ({reason}).") from error
    except Exception as error:
        if type(error).__module__ != "sqlite3":
            raise
        advice = next((advice for word, advice in _EXPLANATIONS if word in str(error).lower()), "cannot be used")
        raise StoreError(f"The store {url} {advice} ({error}).") from error
