"""Tables of the trial store."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

__all__ = ["ADDED", "VERSION", "costs", "facts", "leases", "metadata", "schema_version", "studies", "trials"]

VERSION = 1  # of the tables; incremented when an older build can no longer use them

metadata = sa.MetaData()
schema_version = sa.Table("actlab_schema", metadata, sa.Column("version", sa.Integer, primary_key=True))
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
    sa.Column("controls", sa.JSON),
    sa.Column("series", sa.JSON),
    sa.Column("metrics", sa.JSON),
    sa.Column("axes", sa.JSON),
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
ADDED = (
    *((trials, name) for name in ("provisional", "inputs", "controls", "series", "metrics", "axes")),
    (leases, "uptime"),
)
