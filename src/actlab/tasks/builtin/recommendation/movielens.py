"""Recommendation of the last film that a user of MovieLens 100K rated, from files that the user has.

Source: MovieLens 100K, F. M. Harper and J. A. Konstan, GroupLens Research, University of Minnesota (ACM Transactions on Interactive
Intelligent Systems 5, 2015). Its licence does not let it be shipped; it is read from the folder in the variable ``ACTLAB_MOVIELENS``
(``u.data`` of ``ml-100k.zip``), or from an installed ``recbole``, which has it. 943 users, 1,682 films, 100,000 ratings, each taken as
an interaction; the last one of a user in time tests and the last but one validates.

Reference scores of NDCG at 10 among all films: popularity 0.025, item neighbours 0.028 (``popularity_ndcg``, ``neighbour_ndcg``).
"""

from __future__ import annotations

import os
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from actlab.errors import TaskError
from actlab.tasks.builtin.recommendation.held_out_item import Histories, held_out_data, recommendation_task
from actlab.tasks.data import Data
from actlab.tasks.task import Task

__all__ = ["FOLDER_VARIABLE", "movielens_task", "read_ratings"]

FOLDER_VARIABLE = "ACTLAB_MOVIELENS"
_FILES = ("u.data", "ml-100k/u.data", "ml-100k.inter")
_FILMS = 1682


def read_ratings(path: Path) -> Histories:
    """Read user, item, rating and time, separated by tabs, with or without a line of names; ratings at one time in the order of items.

    Raises:
        TaskError: the file is missing, or has other columns.
    """
    try:
        lines = path.read_text("ascii").splitlines()
        rows = [line.split("\t") for line in lines[lines[0][:1].isalpha() :]]
        table = np.array([[int(float(value)) for value in (user, item, time)] for user, item, _, time in rows])
    except (OSError, ValueError, IndexError) as error:
        raise TaskError(
            f"{path} cannot be read as ratings of MovieLens 100K ({error}): lines of user, item, rating and time, separated by tabs, "
            "are expected."
        ) from error
    if table[:, 1].min() < 1 or table[:, 1].max() > _FILMS:
        raise TaskError(
            f"{path} has films from {table[:, 1].min()} to {table[:, 1].max()}; MovieLens 100K has 1 to {_FILMS}."
        )
    table = table[np.lexsort((table[:, 1], table[:, 2], table[:, 0]))]
    _, users = np.unique(table[:, 0], return_inverse=True)
    if np.bincount(users).min() < 3:
        raise TaskError(f"{path} has users with fewer than 3 ratings; MovieLens 100K has 20 or more of each.")
    return Histories(users=users.reshape(-1), items=table[:, 1] - 1, item_count=_FILMS)


def _file() -> Path:
    named = os.environ.get(FOLDER_VARIABLE)
    library = None if named else find_spec("recbole")
    places = list(library.submodule_search_locations or ()) if library else []
    folders = [Path(named)] if named else [Path(place) / "dataset_example" / "ml-100k" for place in places]
    found = [folder / name for folder in folders for name in _FILES if (folder / name).is_file()]
    if not found:
        looked = ", ".join(map(str, folders)) or "no folder was named"
        raise TaskError(
            f"MovieLens 100K was not found ({looked}): its licence does not let it be shipped. Set the variable {FOLDER_VARIABLE} to the "
            f"folder that holds u.data, or `pip install --no-deps recbole`, which has it. The task 'dependencies' needs no download."
        )
    return found[0]


@lru_cache(maxsize=1)
def _cached(path: Path) -> Data:
    return held_out_data(read_ratings(path))


def movielens_task() -> Task:
    """Return the task with an autoencoder with two hidden layers of 128.

    Example:
        >>> movielens_task().metric_name
        'NDCG at 10'
    """
    return recommendation_task(
        "movielens",
        _FILMS,
        lambda seed: _cached(_file()),  # noqa: ARG005 # the order in time gives one split
        description="MovieLens 100K (from your folder), last film held out, autoencoder; popularity: 0.025, item neighbours: 0.028",
    )
