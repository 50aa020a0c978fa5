"""Transactional trial store on SQLAlchemy, with leases for concurrent workers.

Every trial is a row, written once, in one transaction. Several processes and machines may work on one store. A process leases a trial
before it runs. A lease names its owner; another process can take the trial when the owner is dead (on the same host, at once) or has not
renewed its leases for long, see :mod:`actlab.studies.store.lease_expiry`. Leases are never deleted, so that the attempts of a trial can be
counted. A row is written only by the owner of the open lease. A provisional row counts as a result, and the row of a later attempt
replaces it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from actlab.errors import StoreError, did_you_mean
from actlab.studies.plan import Plan
from actlab.studies.store.database_errors import store_errors
from actlab.studies.store.engine import missing_columns, open_engine
from actlab.studies.store.lease_expiry import HEARTBEAT, Holder, LeaseWatch, OpenLease
from actlab.studies.store.lease_owner import Owner
from actlab.studies.store.location import absolute_url, store_url
from actlab.studies.store.schema import costs, facts, leases, studies, trials
from actlab.studies.trials.trial import Trial
from actlab.studies.trials.trial_key import TrialKey, TrialSummary

__all__ = ["HEARTBEAT", "Holder", "Lease", "Store", "StoredStudy", "TrialKey", "TrialSummary"]


class Lease(NamedTuple):
    """The right of a process to run a trial."""

    id: int
    key: TrialKey


@dataclass(frozen=True, kw_only=True)
class StoredStudy:
    """Row of a study."""

    id: int
    name: str
    plan: Plan
    created: float


class Store:
    """A trial store at a URL.

    Args:
        store: URL or path; see :func:`actlab.studies.store.location.store_url`.
        create: whether to create a missing store.
        keep_open: keep the connection between calls, for workers. Ten times as fast: closing the last connection checkpoints the log.

    Raises:
        StoreError: the store cannot be used; the message says what to do.

    Example:
        >>> import tempfile
        >>> store = Store(Path(tempfile.mkdtemp()) / "actlab.db")
        >>> store.studies()
        []
    """

    def __init__(self, store: str | Path | None = None, *, create: bool = True, keep_open: bool = False) -> None:
        self.url = store_url(store)
        self.absolute_url = absolute_url(self.url)  # for other processes, and after a change of the working folder
        self._engine = open_engine(self.url, create=create, keep_open=keep_open)
        self._writing = self._engine.execution_options(write=True)
        with store_errors(self.url):
            self._missing = missing_columns(self._engine, trials)
        self._watch = LeaseWatch()

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    # Studies

    def studies(self) -> list[StoredStudy]:
        """Return all studies, oldest first."""
        with store_errors(self.url), self._engine.connect() as connection:
            return [_stored(row) for row in connection.execute(sa.select(studies).order_by(studies.c.id))]

    def latest_study(self) -> StoredStudy:
        """Return the study with the newest trial, or, where there are no trials, the one that was begun last.

        Raises:
            StoreError: there is no study.
        """
        listed = self.studies()
        if not listed:
            raise StoreError(f"The store {self.url} contains no studies; `actlab compare` adds one.")
        with store_errors(self.url), self._engine.connect() as connection:
            newest = connection.scalar(sa.select(trials.c.study_id).order_by(trials.c.id.desc()).limit(1))
        return next((study for study in listed if study.id == newest), listed[-1])

    def study(self, name: str) -> StoredStudy:
        """Return a study by its name.

        Raises:
            StoreError: no study has this name.
        """
        stored = self._find_study(name)
        if stored is None:
            known = [study.name for study in self.studies()]
            contents = f"it contains {', '.join(known)}" if known else "it contains no study"
            raise StoreError(f"There is no study {name!r} in {self.url}; {contents}.{did_you_mean(name, known)}")
        return stored

    def _find_study(self, name: str) -> StoredStudy | None:
        with store_errors(self.url), self._engine.connect() as connection:
            row = connection.execute(sa.select(studies).where(studies.c.name == name)).first()
        return None if row is None else _stored(row)

    def begin_study(self, name: str, plan: Plan) -> StoredStudy:
        """Return the study of that name and plan, which is new or the stored one with its seeds extended.

        Raises:
            StoreError: the name belongs to a study with another plan.
        """
        stored = self._find_study(name) or self._add_study(name, plan)
        differences = plan.differences(stored.plan)
        if differences:
            raise StoreError(
                f"The study {name!r} in {self.url} has another plan ({'; '.join(differences)}). "
                "Its rows would not be comparable: choose another --name, or omit --name to get one from the plan."
            )
        return self._extend(stored, plan)

    def _add_study(self, name: str, plan: Plan) -> StoredStudy:
        values = {"name": name, "fingerprint": plan.fingerprint, "plan": plan.to_json(), "created": time.time()}
        try:
            with store_errors(self.url), self._writing.begin() as connection:
                connection.execute(studies.insert().values(**values))
        except IntegrityError:
            pass  # another process added it in the meantime
        return self.study(name)

    def _extend(self, stored: StoredStudy, plan: Plan) -> StoredStudy:
        old, new = stored.plan.seeds, plan.seeds
        common = min(len(old), len(new))
        if old[:common] != new[:common]:
            raise StoreError(
                f"The study {stored.name!r} in {self.url} runs on seeds {list(old)}; these can be extended by more seeds, "
                f"not changed to {list(new)}. Choose another --name."
            )
        if len(new) > len(old):
            extended = replace(plan, rope=stored.plan.rope)  # a default of an earlier build stays
            with store_errors(self.url), self._writing.begin() as connection:
                connection.execute(studies.update().where(studies.c.id == stored.id).values(plan=extended.to_json()))
        return self.study(stored.name)

    # Rows

    def rows(self, study: int) -> list[dict[str, Any]]:
        """Return the rows of a study, with all columns, in the order in which they were written."""
        hidden = {"id", "study_id"}
        columns = [self._column(column.name) for column in trials.c if column.name not in hidden]
        query = sa.select(*columns).where(trials.c.study_id == study).order_by(trials.c.id)
        with store_errors(self.url), self._engine.connect() as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
        return [{**row, "provisional": bool(row["provisional"])} for row in rows]

    def _column(self, name: str) -> sa.ColumnElement[Any]:
        """Return a column of the trials, which is NULL in a store of an earlier build that lacks it."""
        return sa.null().label(name) if name in self._missing else trials.c[name]

    def count(self, study: int) -> int:
        """Return the number of rows of a study."""
        with store_errors(self.url), self._engine.connect() as connection:
            return connection.scalar(sa.select(sa.func.count()).where(trials.c.study_id == study)) or 0

    def results(self, study: int, *, after: int = 0) -> list[TrialSummary]:
        """Return the columns that the scheduler reads, for the rows of a study with a number above ``after``."""
        c = trials.c
        provisional = self._column("provisional")
        query = sa.select(c.stage, c.arm, c.seed, c.lr, c.status, c.metric, c.validation, c.seconds, provisional, c.id)
        with store_errors(self.url), self._engine.connect() as connection:
            # "+ 0" keeps SQLite from reading all rows of the study by the index that begins with its id
            rows = connection.execute(query.where(c.study_id + 0 == study, c.id > after).order_by(c.id)).all()
        return [TrialSummary(TrialKey(*row[:4]), *row[4:8], bool(row[8]), row[9]) for row in rows]

    # Leases

    def acquire(self, study: int, keys: Sequence[TrialKey], owner: Owner) -> Lease | None:
        """Lease the first of the trials that has no final row and no living owner; None if there is none."""
        try:
            with store_errors(self.url), self._writing.begin() as connection:
                running = self._running(connection, study)
                for key in keys:
                    if key not in running and not self._has_row(connection, study, key):
                        return self._insert_lease(connection, study, key, owner)
        except IntegrityError:
            pass  # on a database without a single write lock, another process was faster
        return None

    def acquire_several(self, study: int, keys: Sequence[TrialKey], owner: Owner, most: int) -> list[Lease]:
        """Lease the first of the trials that have no final row and no living owner, at most so many, all or none."""
        found: list[Lease] = []
        try:
            with store_errors(self.url), self._writing.begin() as connection:
                running = self._running(connection, study)
                for key in keys:
                    if len(found) == most:
                        break
                    if key not in running and not self._has_row(connection, study, key):
                        found.append(self._insert_lease(connection, study, key, owner))
        except IntegrityError:
            return []  # on a database without a single write lock, another process was faster
        return found

    def _running(self, connection: sa.Connection, study: int) -> set[TrialKey]:
        """Return running trials; close the leases of dead workers."""
        c = leases.c
        running = set()
        for row in connection.execute(sa.select(leases).where(c.study_id == study, c.outcome.is_(None))).all():
            if self._watch.has_expired(_open_lease(row)):
                connection.execute(leases.update().where(c.id == row.id, c.outcome.is_(None)).values(outcome="lost"))
            else:
                running.add(TrialKey(row.stage, row.arm, row.seed, row.lr))
        return running

    def holders(self, study: int) -> list[Holder]:
        """Return the processes that hold trials of a study."""
        query = sa.select(leases).where(leases.c.study_id == study, leases.c.outcome.is_(None))
        with store_errors(self.url), self._engine.connect() as connection:
            rows = connection.execute(query).all()
        counts = Counter(_owner(row) for row in rows)
        found = {_owner(row): _open_lease(row) for row in sorted(rows, key=lambda row: row.heartbeat)}
        return [
            Holder(owner, counts[owner], owner.is_stopped(), lease.heartbeat, self._watch.left(lease), owner.is_local())
            for owner, lease in found.items()
        ]

    @staticmethod
    def _has_row(connection: sa.Connection, study: int, key: TrialKey) -> bool:
        final = trials.c.provisional.is_not(True)
        query = sa.select(trials.c.id).where(*_is_trial(trials, study, key), final)
        return connection.execute(query).first() is not None

    @staticmethod
    def _write_row(connection: sa.Connection, study: int, trial: Trial) -> None:
        """Write the row of a trial in the place of a provisional one.

        The new row has a higher number than every earlier one, so that whoever reads the rows after a number finds it.
        """
        key = TrialKey(trial.stage, trial.arm, trial.seed, trial.lr)
        values = {"study_id": study, **trial.to_row()}
        replaced = (*_is_trial(trials, study, key), trials.c.provisional.is_(True))
        if connection.execute(sa.select(trials.c.id).where(*replaced)).first() is not None:
            if connection.dialect.name == "sqlite":  # would use the number of the deleted row again if it was the last
                values["id"] = connection.execute(sa.select(sa.func.max(trials.c.id))).scalar_one() + 1
            connection.execute(trials.delete().where(*replaced))
        connection.execute(trials.insert().values(**values))

    @staticmethod
    def _insert_lease(connection: sa.Connection, study: int, key: TrialKey, owner: Owner) -> Lease:
        last = connection.scalar(sa.select(sa.func.max(leases.c.attempt)).where(*_is_trial(leases, study, key))) or 0
        now = time.time()
        values = {**key._asdict(), "study_id": study, "attempt": last + 1, "claimed": now, "heartbeat": now}
        values["uptime"] = time.monotonic()
        values |= {"host": owner.host, "pid": owner.pid, "start": owner.start}
        inserted = connection.execute(leases.insert().values(**values))
        return Lease(int(inserted.inserted_primary_key[0]), key)  # type: ignore[index] # an insert of one row has one

    def finish(self, study: int, lease: Lease, trial: Trial) -> bool:
        """Write the row of a leased trial and close the lease, both or neither.

        Returns:
            Whether the row was written; False if another process has taken the lease in the meantime.
        """
        c = leases.c
        try:
            with store_errors(self.url), self._writing.begin() as connection:
                close = leases.update().where(c.id == lease.id, c.outcome.is_(None)).values(outcome="finished")
                if connection.execute(close).rowcount != 1:
                    return False
                self._write_row(connection, study, trial)
        except IntegrityError:
            return False
        return True

    def renew(self, owner: Owner) -> None:
        """Renew all open leases of an owner."""
        c = leases.c
        with store_errors(self.url), self._writing.begin() as connection:
            renewed = leases.update().where(*_owned_by(owner), c.outcome.is_(None))
            connection.execute(renewed.values(heartbeat=time.time(), uptime=time.monotonic()))

    def release_owned(self, study: int, owner: Owner) -> None:
        """Close the open leases that a process has left from an earlier run of the study."""
        with store_errors(self.url), self._writing.begin() as connection:
            owned = (leases.c.study_id == study, *_owned_by(owner), leases.c.outcome.is_(None))
            connection.execute(leases.update().where(*owned).values(outcome="released"))

    def release(self, lease: Lease, outcome: str = "released") -> None:
        """Close an open lease without a row, because its owner will not run the trial or was ended; ``outcome`` says why."""
        open_lease = (leases.c.id == lease.id, leases.c.outcome.is_(None))
        with store_errors(self.url), self._writing.begin() as connection:
            connection.execute(leases.update().where(*open_lease).values(outcome=outcome))

    # Costs and facts

    def costs(self, study: int) -> dict[str, dict[str, Any]]:
        """Return the measured cost of each arm, by label."""
        query = sa.select(costs.c.arm, costs.c.cost).where(costs.c.study_id == study).order_by(costs.c.id)
        with store_errors(self.url), self._engine.connect() as connection:
            return {row.arm: row.cost for row in connection.execute(query)}

    def add_costs(self, study: int, measured: Mapping[str, Mapping[str, Any]]) -> None:
        """Store the costs of the arms; those of arms that have costs already are not changed."""
        known = self.costs(study)
        rows = [
            {"study_id": study, "arm": arm, "cost": dict(cost)} for arm, cost in measured.items() if arm not in known
        ]
        try:
            with store_errors(self.url), self._writing.begin() as connection:
                if rows:
                    connection.execute(costs.insert(), rows)
        except IntegrityError:
            pass  # another process stored them in the meantime

    def facts(self, study: int) -> dict[str, Any]:
        """Return the study's facts by name."""
        query = sa.select(facts.c.name, facts.c.value).where(facts.c.study_id == study)
        with store_errors(self.url), self._engine.connect() as connection:
            return {row.name: row.value for row in connection.execute(query)}

    def set_fact(self, study: int, name: str, value: Any) -> None:
        """Store a fact of the study; it replaces an earlier one of that name."""
        this = (facts.c.study_id == study, facts.c.name == name)
        with store_errors(self.url), self._writing.begin() as connection:
            connection.execute(facts.delete().where(*this))
            connection.execute(facts.insert().values(study_id=study, name=name, value=value))


def _stored(row: sa.Row[Any]) -> StoredStudy:
    return StoredStudy(id=row.id, name=row.name, plan=Plan.from_json(row.plan), created=row.created)


def _owner(lease: sa.Row[Any]) -> Owner:
    return Owner(lease.host, lease.pid, lease.start)


def _open_lease(lease: sa.Row[Any]) -> OpenLease:
    return OpenLease(lease.id, _owner(lease), lease.heartbeat, lease.uptime)


def _owned_by(owner: Owner) -> list[sa.ColumnElement[bool]]:
    return [leases.c.host == owner.host, leases.c.pid == owner.pid, leases.c.start == owner.start]


def _is_trial(table: sa.Table, study: int, key: TrialKey) -> list[sa.ColumnElement[bool]]:
    c = table.c
    return [c.study_id == study, c.stage == key.stage, c.arm == key.arm, c.seed == key.seed, c.lr == key.lr]
