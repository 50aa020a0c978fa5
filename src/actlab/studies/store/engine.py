"""Opening of a store's SQLite or PostgreSQL engine, with a check of its tables."""

from __future__ import annotations

import secrets
import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from actlab.errors import StoreError
from actlab.studies.store.database_errors import store_errors
from actlab.studies.store.location import STORE_VARIABLE, store_file
from actlab.studies.store.schema import ADDED, VERSION, leases, metadata, schema_version, trials
from actlab.studies.store.sqlite_file import SqliteFile

__all__ = ["missing_columns", "open_engine"]


def open_engine(url: str, *, create: bool, keep_open: bool) -> sa.Engine:
    """Open a database and check that it is a store with a schema of this version.

    Args:
        url: as from :func:`actlab.studies.store.location.store_url`.
        create: whether to create missing tables and columns; otherwise a missing store is an error.
        keep_open: keep connections between transactions. Not allowed in a process that may be forked: SQLite's locks belong to
            one process, and its copy would use them as its own.

    Raises:
        StoreError: the database cannot be opened, is no store, or has a newer schema.
    """
    file = store_file(url)
    pool = {"poolclass": sa.QueuePool if keep_open else sa.NullPool}
    with store_errors(url):
        if file is None:
            engine = _server_engine(url, **pool)
            _check_tables(engine, url, create=create)
            return engine
        _check_path(url, create=create)
        sqlite = SqliteFile(file, create=create, keep_open=keep_open)
        engine = sa.create_engine(sa.URL.create("sqlite", database="store"), creator=sqlite.connect, **pool)
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", lambda connection: _begin_sqlite(connection, sqlite))
        _check_tables(engine, url, create=create)
        sqlite.identify()
    return engine


def _server_engine(url: str, **pool: Any) -> sa.Engine:
    try:
        engine = sa.create_engine(url, **pool)
    except (ArgumentError, NoSuchModuleError) as error:
        raise StoreError(
            f"The store {url!r} is no database URL: {error}. Try sqlite:///actlab.db or postgresql://user@host/name."
        ) from error
    except ModuleNotFoundError as error:
        raise StoreError(f"The store {url!r} needs the package {error.name}: pip install {error.name}") from error
    if engine.dialect.name == "sqlite":
        raise StoreError(f"The store {url!r} names no file: write sqlite:/// and the path, like sqlite:///actlab.db.")
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver starts its transactions too late; _begin_sqlite starts them instead
    # NORMAL loses no transaction when a process is killed; a power cut may lose the last ones, whose trials run again.
    connection.execute("PRAGMA synchronous=NORMAL")


def _begin_sqlite(connection: sa.Connection, file: SqliteFile) -> None:
    """Take the write lock at the start of a writing transaction; SQLite fails without waiting when it is taken after a read."""
    file.check(connection.connection.driver_connection)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("write") else "BEGIN")


def _check_path(url: str, *, create: bool) -> None:
    file = store_file(url)
    try:
        exists = file is None or file.exists()
    except OSError as error:  # a folder without permission, or a name that is too long
        raise StoreError(
            f"The store {file} cannot be opened: {error.strerror}. Choose another path with --store."
        ) from error
    if file is None or (exists and not file.is_dir()):
        return
    if exists:
        raise StoreError(f"The store {file} is a folder; give a file in it, like {file / 'actlab.db'}.")
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
    if schema_version.name not in tables:
        if not create:
            raise StoreError(f"{url} is a database, but no store of ActLab: it has {_table_list(tables)}.")
        if tables and engine.dialect.name == "sqlite":
            raise StoreError(
                f"{url} belongs to another program: it has {_table_list(tables)}. Choose another file for the store."
            )
        _create_tables(engine)
    with engine.connect() as connection:
        version = connection.scalar(sa.select(sa.func.max(schema_version.c.version)))
    if version is None or version > VERSION:
        raise StoreError(
            f"{url} was written by a newer ActLab: its schema is version {version}, this one supports up to {VERSION}. "
            "Upgrade with `pip install -U actlab`, or use another store."
        )
    if create:
        _add_columns(engine)


def missing_columns(engine: sa.Engine, table: sa.Table) -> set[str]:
    """Return the names of columns that a store of an earlier build lacks."""
    return {column.name for column in table.c} - _columns(engine, table)


def _columns(database: sa.Engine | sa.Connection, table: sa.Table) -> set[str]:
    return {column["name"] for column in sa.inspect(database).get_columns(table.name)}


def _add_columns(engine: sa.Engine) -> None:
    if not any(missing_columns(engine, table) for table in (trials, leases)):
        return
    with engine.execution_options(write=True).begin() as connection:
        for table, name in ADDED:
            if name not in _columns(connection, table):
                kind = table.c[name].type.compile(engine.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {name} {kind}")


def _table_list(tables: set[str]) -> str:
    names = ", ".join(sorted(tables)[:4])
    return f"the tables {names}" if tables else "no tables"


def _create_tables(engine: sa.Engine) -> None:
    if engine.dialect.name == "sqlite":
        _prepare_new_file(engine)
    with engine.execution_options(write=True).begin() as connection:
        metadata.create_all(connection)
        if connection.scalar(sa.select(schema_version.c.version)) is None:  # another process may have inserted it
            connection.execute(schema_version.insert().values(version=VERSION))


def _prepare_new_file(engine: sa.Engine) -> None:
    """Give the file a number of its own, and a write-ahead log, with which readers and the writer do not wait for each other."""
    for _ in range(50):
        raw = engine.raw_connection()
        try:
            cursor = raw.cursor()
            cursor.execute("BEGIN IMMEDIATE")
            if not cursor.execute("PRAGMA user_version").fetchone()[0]:
                cursor.execute(f"PRAGMA user_version={1 + secrets.randbelow(2**31 - 1)}")
            cursor.execute("COMMIT")
            cursor.execute("PRAGMA journal_mode=WAL")
        except Exception as error:  # the driver's own type; another process is doing the same
            if "locked" not in str(error):
                raise
            time.sleep(0.1)
        else:
            return
        finally:
            raw.close()
