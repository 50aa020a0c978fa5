"""The store: every trial a row, written once, in one transaction. Several processes, and machines, may work on one store.

A trial is claimed before it runs. A claim is a lease: it names its owner, and it falls to the next who asks when the owner is
dead (same host: at once) or has not shown a sign of life for two minutes (other hosts). Claims are kept, so one can see how
often a trial was begun; a row is only written by the owner of the open claim.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from actlab.errors import StoreError, did_you_mean
from actlab.studies.plan import Plan
from actlab.studies.store.lease_owner import Owner
from actlab.studies.store.schema import claims, costs, explained, facts, open_engine, store_url, studies, trials

__all__ = ["EXPIRY", "HEARTBEAT", "Key", "Lease", "Result", "Store", "StoredStudy"]

HEARTBEAT = 20.0  # seconds between two signs of life
EXPIRY = 120.0  # seconds without one after which a claim of another host is free; clocks may differ by less than that


class Key(NamedTuple):
    """What names a trial within its study."""

    stage: str
    arm: str
    seed: int
    lr: float


class Result(NamedTuple):
    """What the race looks at."""

    key: Key
    status: str
    metric: float | None
    validation: float | None
    seconds: float


class Lease(NamedTuple):
    """A trial that this process may run."""

    id: int
    key: Key


@dataclass(frozen=True, kw_only=True)
class StoredStudy:
    """A study as the store knows it."""

    id: int
    name: str
    plan: Plan
    created: float


class Store:
    """A store at a URL.

    Args:
        store: URL or path; see :func:`actlab.studies.store.schema.store_url`.
        create: make it where there is none.
        keep_open: keep the connection; ten times as quick (closing the last one folds the log into the file), for workers.

    Raises:
        StoreError: it cannot be used; the message says what to do.

    Example:
        >>> import tempfile
        >>> store = Store(Path(tempfile.mkdtemp()) / "actlab.db")
        >>> store.studies()
        []
    """

    def __init__(self, store: str | Path | None = None, *, create: bool = True, keep_open: bool = False) -> None:
        self.url = store_url(store)
        self._engine = open_engine(self.url, create=create, keep_open=keep_open)
        self._writing = self._engine.execution_options(write=True)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    # Studies

    def studies(self) -> list[StoredStudy]:
        """Return all studies, oldest first."""
        with explained(self.url), self._engine.connect() as connection:
            return [_stored(row) for row in connection.execute(sa.select(studies).order_by(studies.c.id))]

    def study(self, name: str) -> StoredStudy:
        """Return a study by its name.

        Raises:
            StoreError: there is none of that name.
        """
        found = self._find(name)
        if found is None:
            known = [study.name for study in self.studies()]
            listed = f"it holds {', '.join(known)}" if known else "it holds none yet"
            raise StoreError(f"There is no study {name!r} in {self.url}; {listed}.{did_you_mean(name, known)}")
        return found

    def _find(self, name: str) -> StoredStudy | None:
        with explained(self.url), self._engine.connect() as connection:
            row = connection.execute(sa.select(studies).where(studies.c.name == name)).first()
        return None if row is None else _stored(row)

    def begin_study(self, name: str, plan: Plan) -> StoredStudy:
        """Return the study of that name and plan: a new one, or the stored one with its seeds extended.

        Raises:
            StoreError: the name belongs to a study with another plan.
        """
        stored = self._find(name) or self._add_study(name, plan)
        differences = plan.differences(stored.plan)
        if differences:
            raise StoreError(
                f"The study {name!r} in {self.url} has another plan ({'; '.join(differences)}). "
                "Its rows would not be comparable: choose another --name, or leave --name out to get one from the plan."
            )
        return self._extend(stored, plan)

    def _add_study(self, name: str, plan: Plan) -> StoredStudy:
        values = {"name": name, "fingerprint": plan.fingerprint, "plan": plan.to_json(), "created": time.time()}
        try:
            with explained(self.url), self._writing.begin() as connection:
                connection.execute(studies.insert().values(**values))
        except IntegrityError:
            pass  # another process has just added it
        return self.study(name)

    def _extend(self, stored: StoredStudy, plan: Plan) -> StoredStudy:
        old, new = stored.plan.seeds, plan.seeds
        common = min(len(old), len(new))
        if old[:common] != new[:common]:
            raise StoreError(
                f"The study {stored.name!r} in {self.url} runs on seeds {list(old)}; it can be extended by more seeds after them, "
                f"not changed to {list(new)}. Choose another --name."
            )
        if len(new) > len(old):
            with explained(self.url), self._writing.begin() as connection:
                connection.execute(studies.update().where(studies.c.id == stored.id).values(plan=plan.to_json()))
        return self.study(stored.name)

    # Rows

    def rows(self, study: int) -> list[dict[str, Any]]:
        """Return the rows of a study in the order in which they were written."""
        hidden = {"id", "study_id"}
        columns = [column for column in trials.c if column.name not in hidden]
        query = sa.select(*columns).where(trials.c.study_id == study).order_by(trials.c.id)
        with explained(self.url), self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def count(self, study: int) -> int:
        """Return the number of rows of a study."""
        with explained(self.url), self._engine.connect() as connection:
            return connection.scalar(sa.select(sa.func.count()).where(trials.c.study_id == study)) or 0

    def results(self, study: int) -> list[Result]:
        """Return of each row what the race looks at."""
        c = trials.c
        query = sa.select(c.stage, c.arm, c.seed, c.lr, c.status, c.metric, c.validation, c.seconds)
        with explained(self.url), self._engine.connect() as connection:
            found = connection.execute(query.where(c.study_id == study).order_by(c.id)).all()
        return [Result(Key(*row[:4]), *row[4:]) for row in found]

    # Claims

    def claim(self, study: int, keys: Sequence[Key], owner: Owner, foreman: int | None = None) -> Lease | None:
        """Lease the first of the trials that has no row and no living owner; None if there is none.

        The claims of dead owners are taken over at once, but for those of workers of the same ``foreman`` (a process number): it will
        take note of the death, and may decide that the trial is to blame.
        """
        try:
            with explained(self.url), self._writing.begin() as connection:
                held = self._held(connection, study, foreman)
                for key in keys:
                    if key not in held and not self._has_row(connection, study, key):
                        return self._insert_claim(connection, study, key, owner)
        except IntegrityError:
            pass  # on a database without one write lock, another process was faster
        return None

    def _held(self, connection: sa.Connection, study: int, foreman: int | None) -> set[Key]:
        """Return the trials that somebody is running; close the claims of those who are gone."""
        c = claims.c
        held = set()
        for row in connection.execute(sa.select(claims).where(c.study_id == study, c.outcome.is_(None))).all():
            if self._is_free(row, foreman):
                connection.execute(claims.update().where(c.id == row.id, c.outcome.is_(None)).values(outcome="lost"))
            else:
                held.add(Key(row.stage, row.arm, row.seed, row.lr))
        return held

    @staticmethod
    def _is_free(claim: sa.Row[Any], foreman: int | None) -> bool:
        owner = Owner(claim.host, claim.pid, claim.start)
        if owner.host != Owner.of().host:
            return bool(time.time() - claim.heartbeat > EXPIRY)
        # A stopped process of this host is not dead, however long it gives no sign of life.
        return owner.is_dead() and not (foreman is not None and owner.is_unreaped_child_of(foreman))

    @staticmethod
    def _has_row(connection: sa.Connection, study: int, key: Key) -> bool:
        return connection.execute(sa.select(trials.c.id).where(*_is(trials, study, key))).first() is not None

    @staticmethod
    def _insert_claim(connection: sa.Connection, study: int, key: Key, owner: Owner) -> Lease:
        last = connection.scalar(sa.select(sa.func.max(claims.c.attempt)).where(*_is(claims, study, key))) or 0
        now = time.time()
        values = {**key._asdict(), "study_id": study, "attempt": last + 1, "claimed": now, "heartbeat": now}
        values |= {"host": owner.host, "pid": owner.pid, "start": owner.start}
        inserted = connection.execute(claims.insert().values(**values))
        return Lease(int(inserted.inserted_primary_key[0]), key)  # type: ignore[index] # an insert of one row has one

    def finish(self, study: int, claim: Lease, row: Mapping[str, Any]) -> bool:
        """Write the row of a claimed trial and close the claim, both or neither.

        Returns:
            Whether it was written: not if the claim was lost to another process in the meantime.
        """
        c = claims.c
        try:
            with explained(self.url), self._writing.begin() as connection:
                mine = claims.update().where(c.id == claim.id, c.outcome.is_(None)).values(outcome="finished")
                if connection.execute(mine).rowcount != 1:
                    return False
                connection.execute(trials.insert().values(study_id=study, **row))
        except IntegrityError:
            return False
        return True

    def beat(self, owner: Owner) -> None:
        """Give a sign of life for all claims of an owner."""
        c = claims.c
        with explained(self.url), self._writing.begin() as connection:
            connection.execute(claims.update().where(*_by(owner), c.outcome.is_(None)).values(heartbeat=time.time()))

    def release(self, claim: Lease) -> None:
        """Close an open claim without a row: its owner lives on and will not run it."""
        mine = (claims.c.id == claim.id, claims.c.outcome.is_(None))
        with explained(self.url), self._writing.begin() as connection:
            connection.execute(claims.update().where(*mine).values(outcome="released"))

    def killed(
        self, study: int, owner: Owner, signal: int, written_off: Callable[[Key, int], Mapping[str, Any] | None]
    ) -> int:
        """Close the claims of a worker that was killed by a signal, also those that somebody has taken over since.

        Args:
            study: number of the study.
            owner: the worker.
            signal: what killed it.
            written_off: is told of each of its trials how often a process was killed on it; a row ends the trial, in the same transaction.

        Returns:
            How many trials the worker had in hand.
        """
        c = claims.c
        outcome = f"killed by signal {signal}"
        with explained(self.url), self._writing.begin() as connection:
            mine = (c.study_id == study, *_by(owner), c.outcome.is_(None) | (c.outcome == "lost"))
            keys = [
                Key(row.stage, row.arm, row.seed, row.lr) for row in connection.execute(sa.select(claims).where(*mine))
            ]
            connection.execute(claims.update().where(*mine).values(outcome=outcome))
            for key in keys:
                row = written_off(key, self._times_killed(connection, study, key))
                if row is not None and not self._has_row(connection, study, key):
                    connection.execute(trials.insert().values(study_id=study, **row))
        return len(keys)

    @staticmethod
    def _times_killed(connection: sa.Connection, study: int, key: Key) -> int:
        counted = sa.select(sa.func.count()).where(*_is(claims, study, key), claims.c.outcome.like("killed%"))
        return connection.scalar(counted) or 0

    def attempts(self, study: int) -> dict[Key, int]:
        """Return how often each trial was begun."""
        c = claims.c
        query = sa.select(c.stage, c.arm, c.seed, c.lr, sa.func.max(c.attempt)).where(c.study_id == study)
        with explained(self.url), self._engine.connect() as connection:
            found = connection.execute(query.group_by(c.stage, c.arm, c.seed, c.lr)).all()
        return {Key(*row[:4]): row[4] for row in found}

    # Costs and facts

    def costs(self, study: int) -> dict[str, dict[str, Any]]:
        """Return what was measured of each arm's cost, by label."""
        query = sa.select(costs.c.arm, costs.c.cost).where(costs.c.study_id == study).order_by(costs.c.id)
        with explained(self.url), self._engine.connect() as connection:
            return {row.arm: row.cost for row in connection.execute(query)}

    def add_costs(self, study: int, measured: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep the costs of the arms; the first measurement stays."""
        known = self.costs(study)
        rows = [
            {"study_id": study, "arm": arm, "cost": dict(cost)} for arm, cost in measured.items() if arm not in known
        ]
        try:
            with explained(self.url), self._writing.begin() as connection:
                if rows:
                    connection.execute(costs.insert(), rows)
        except IntegrityError:
            pass  # another process has just measured them

    def facts(self, study: int) -> dict[str, Any]:
        """Return the study's facts by name."""
        query = sa.select(facts.c.name, facts.c.value).where(facts.c.study_id == study)
        with explained(self.url), self._engine.connect() as connection:
            return {row.name: row.value for row in connection.execute(query)}

    def set_fact(self, study: int, name: str, value: Any) -> None:
        """Keep a fact of the study, in place of an earlier one of that name."""
        this = (facts.c.study_id == study, facts.c.name == name)
        with explained(self.url), self._writing.begin() as connection:
            connection.execute(facts.delete().where(*this))
            connection.execute(facts.insert().values(study_id=study, name=name, value=value))


def _stored(row: sa.Row[Any]) -> StoredStudy:
    return StoredStudy(id=row.id, name=row.name, plan=Plan.from_json(row.plan), created=row.created)


def _by(owner: Owner) -> list[sa.ColumnElement[bool]]:
    return [claims.c.host == owner.host, claims.c.pid == owner.pid, claims.c.start == owner.start]


def _is(table: sa.Table, study: int, key: Key) -> list[sa.ColumnElement[bool]]:
    c = table.c
    return [c.study_id == study, c.stage == key.stage, c.arm == key.arm, c.seed == key.seed, c.lr == key.lr]
