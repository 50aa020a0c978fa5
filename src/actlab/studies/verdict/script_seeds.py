"""Warnings about seeds that do not reach the script of a study."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from actlab.system.plural import plural

__all__ = ["seed_warnings"]

_HOW = "{seed} in its command or the variable ACTLAB_SEED brings it there"


def seed_warnings(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a sentence where the trials of a script are the same on every seed, as far as that can be seen.

    Args:
        rows: of a study whose task is a script, as from ``Study.rows()``.

    Example:
        >>> row = {"stage": "main", "arm": "relu", "seed": 0, "metric": 0.5, "inputs": {"weights": "a"}}
        >>> [sentence[:34] for sentence in seed_warnings([row, row | {"seed": 1}])]
        ['the seed does not reach the script']
    """
    weights, results = set[str](), defaultdict[str, list[float]](list)
    seeds = set[int]()
    for row in rows:
        digest = (row.get("inputs") or {}).get("weights")
        if row["stage"] == "main" and digest is not None and row.get("metric") is not None:
            weights.add(digest)
            seeds.add(row["seed"])
            results[row["arm"]].append(row["metric"])
    if len(seeds) < 2 or len(weights) > 1:
        return
    counted = plural(len(seeds), "seed")
    repeated = [values for values in results.values() if len(values) > 1]
    if repeated and all(len(set(values)) == 1 for values in repeated):
        yield f"the seed does not reach the script: weights and results are the same on all {counted}; {_HOW}."
    else:
        yield (
            f"the model has the same initial weights on all {counted}. Unless they are loaded from a file, the seed does not "
            f"reach them: {_HOW}, and torch.manual_seed(seed) belongs before the model is built."
        )
