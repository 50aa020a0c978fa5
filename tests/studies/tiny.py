"""A task that trains in milliseconds, as a file and as an object, and helpers of the studies' tests."""

import sqlalchemy as sa
import torch
from torch import nn
from torch.nn import functional as F

from actlab.studies.store.schema import leases
from actlab.studies.store.store import TrialKey, TrialSummary
from actlab.tasks import Data, Split, Task

FILE = """
import torch
from torch import nn
from torch.nn import functional as F

def model(seed):
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

def data(seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(90, 4, generator=generator)
    y = (x.prod(1) > 0).long()
    return {"train": (x[:40], y[:40]), "validation": (x[40:60], y[40:60]), "test": (x[60:], y[60:])}

loss = F.cross_entropy

def metric(output, target):
    return -F.cross_entropy(output, target).item()

direction = "max"
metric_name = "negative loss"
learning_rate = 0.01
batch_size = 16
epochs = 3
"""


def data(seed):
    x = torch.randn(90, 4, generator=torch.Generator().manual_seed(seed))
    y = (x.prod(1) > 0).long()
    parts = {"train": slice(40), "validation": slice(40, 60), "test": slice(60, None)}
    return Data(**{name: Split(x=x[part], y=y[part]) for name, part in parts.items()})


def model(seed):
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def metric(output, target):
    return -F.cross_entropy(output, target).item()


def tiny(**differences):
    settings = {
        "name": "tiny",
        "model": model,
        "data": data,
        "loss": F.cross_entropy,
        "metric": metric,
        "metric_name": "negative loss",
        "learning_rate": 0.01,
        "batch_size": 16,
        "epochs": 3,
    }
    return Task(**(settings | differences))


TIMES = ("started", "finished", "seconds", "cpu_seconds")


def numbers(rows):
    """The rows without times, in a fixed order."""
    untimed = [{name: value for name, value in row.items() if name not in TIMES} for row in rows]
    untimed = [{**row, "series": untimed_series(row["series"])} for row in untimed]
    return sorted(untimed, key=lambda row: (row["stage"], row["arm"], row["seed"], row["lr"]))


def untimed_series(series):
    """Series of a row without their seconds."""
    return {name: {**columns, "seconds": None} for name, columns in (series or {}).items()}


def result(arm, seed, metric, *, status="completed", stage="main", lr=0.01, validation=None):
    return TrialSummary(TrialKey(stage, arm, seed, lr), status, metric, validation, 0.1)


def attempts(store, study):
    """How often each trial of a study was begun."""
    c = leases.c
    query = sa.select(c.stage, c.arm, c.seed, c.lr, sa.func.max(c.attempt)).where(c.study_id == study)
    with store._engine.connect() as connection:
        rows = connection.execute(query.group_by(c.stage, c.arm, c.seed, c.lr)).all()
    return {TrialKey(*row[:4]): row[4] for row in rows}
