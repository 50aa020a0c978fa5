"""Recommendation of a package that a Debian package needs besides those it is known to need.

Source: index of the archive of Debian 12 (bookworm), main, amd64 (``apt-cache dumpavail``): 3,762 source packages, drawn among those that
depend on six or more of the 933 source packages that 20 and at most a tenth of all depend on; 40,364 dependencies, which are facts of
software that is free by Debian's guidelines. A known problem of software engineering, the recommendation of third-party libraries, and
one of the few sets of implicit feedback that may be shipped: MovieLens may not (task ``movielens``). Dependencies have no order in time,
so that the two that are held out are drawn by the seed. A user's history is an input of all splits, each with another item to predict:
what ``actlab audit dependencies`` finds, equal inputs in training and validation and with other targets, is the design of the task.

Reference scores of NDCG at 10: popularity 0.10, item neighbours 0.41 (``popularity_ndcg``, ``neighbour_ndcg``).
"""

from __future__ import annotations

import numpy as np

from actlab.tasks.builtin.extracts import extract
from actlab.tasks.builtin.recommendation.held_out_item import Histories, held_out_data, recommendation_task
from actlab.tasks.data import Data
from actlab.tasks.task import Task

__all__ = ["dependencies_task", "histories"]

_ITEMS = 933


def histories(seed: int) -> Histories:
    """Return what each package depends on, in an order drawn by a seed.

    Example:
        >>> len(histories(0).users), histories(0).users[:3].tolist()
        (40364, [0, 0, 0])
    """
    pairs = extract("dependencies")["pairs"].astype(np.int64)
    order = np.lexsort((np.random.RandomState(seed).rand(len(pairs)), pairs[:, 0]))
    return Histories(users=pairs[order, 0], items=pairs[order, 1], item_count=_ITEMS)


def _data(seed: int) -> Data:
    return held_out_data(histories(seed))


def dependencies_task() -> Task:
    """Return the task with an autoencoder with two hidden layers of 128.

    Example:
        >>> dependencies_task().metric_name
        'NDCG at 10'
    """
    return recommendation_task(
        "dependencies",
        _ITEMS,
        _data,
        description="Dependencies of Debian packages (facts), one held out, autoencoder; popularity: 0.10, item neighbours: 0.41",
    )
