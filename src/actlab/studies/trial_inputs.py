"""Digests of what a trial is computed from (code, data, weights), and their differences."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from torch import nn

from actlab.studies.arm import named
from actlab.studies.source_files import source_digests
from actlab.tasks.data import Data
from actlab.tasks.data_digest import bits, data_digest
from actlab.tasks.task import Task
from actlab.tasks.training.devices import device_kind

__all__ = ["changed_inputs", "input_digests", "mixed_inputs", "study_inputs", "weights_digest"]

_DIGITS = 16


def input_digests(task: Task, data: Data | None) -> dict[str, str]:
    """Return the digests of the modules that a task imports and of the data of a seed; none of what is not known or not readable.

    Example:
        >>> from actlab.tasks import resolve
        >>> from actlab.tasks.task import load_data
        >>> digits = resolve("digits")
        >>> sorted(input_digests(digits, load_data(digits, 0)))
        ['code', 'data']
    """
    found = {"code": _digest(json.dumps(source_digests(task), sort_keys=True).encode())}
    if data is None:
        return found
    with suppress(Exception):  # a quantized tensor, say
        found["data"] = data_digest(data)[:_DIGITS]
    return found


def weights_digest(model: nn.Module) -> str | None:
    """Return the digest of a model's parameters and buffers, or None if they cannot be read as bytes."""
    digest = hashlib.sha256()
    with suppress(Exception):  # parameters that are not initialised yet
        for tensor in (*model.parameters(), *model.buffers()):
            digest.update(f"{tensor.dtype} {tuple(tensor.shape)} ".encode())
            digest.update(bits(tensor).numpy().data)
        return digest.hexdigest()[:_DIGITS]
    return None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]


def study_inputs(task: Task, data: Data | None, seed: int) -> dict[str, Any]:
    """Return what a study reads, as the store keeps it: digests by file of the imported modules, and of the data of one seed if known."""
    return {"modules": source_digests(task), "seed": seed, "data": input_digests(task, data).get("data")}


def changed_inputs(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return what has changed since a study began, one text each, from two records of :func:`study_inputs`.

    Example:
        >>> old = {"modules": {"nets.py": "a", "plots.py": "b"}, "seed": 0, "data": "c"}
        >>> changed_inputs(old, old | {"modules": {"nets.py": "z", "layers.py": "d"}, "data": "e"})
        ['nets.py was edited', 'layers.py is imported now', 'plots.py is no longer imported', 'the data of seed 0 are others']
    """
    old, new = before.get("modules"), now.get("modules")
    changes = []
    if old is not None and new is not None:
        changes += [f"{file} was edited" for file in old if file in new and old[file] != new[file]]
        changes += [f"{file} is imported now" for file in new if file not in old]
        changes += [f"{file} is no longer imported" for file in old if file not in new]
    same_seed = before.get("seed") == now.get("seed")
    if same_seed and before.get("data") and now.get("data") and before["data"] != now["data"]:
        changes.append(f"the data of seed {now['seed']} are others")
    return changes


def mixed_inputs(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return one sentence for each way in which the rows of a study were not computed alike; none if all were, or if it is not known.

    Args:
        rows: as from ``Study.rows()``. Rows of earlier builds have no ``inputs`` and count for nothing.

    Example:
        >>> row = {"stage": "main", "arm": "relu", "seed": 0, "versions": {"torch": "2.13.0"}, "inputs": {"data": "a"}}
        >>> mixed_inputs([row, row | {"arm": "gelu", "inputs": {"data": "b"}, "versions": {"torch": "2.14.0"}}])
        ['The data of seed 0 were not the same for all arms: ...', 'The trials ran with torch 2.13.0 and 2.14.0: ...']
    """
    known = list(rows)
    return [*_mixed_code(known), *_mixed_by_seed(known), *_mixed_parameters(known), *_mixed_versions(known)]


def _mixed_code(rows: list[Mapping[str, Any]]) -> list[str]:
    codes = {row["inputs"]["code"] for row in rows if (row.get("inputs") or {}).get("code")}
    if len(codes) < 2:
        return []
    sentence = f"The trials were computed with {len(codes)} versions of the modules that the task imports"
    return [f"{sentence}: differences between arms may come from the code."]


def _mixed_by_seed(rows: list[Mapping[str, Any]]) -> list[str]:
    sentences = {
        "data": "differences between arms may come from the data.",
        "weights": "the pairs of a seed do not start alike.",
    }
    names = {"data": "data", "weights": "initial weights of the task's model"}
    found = []
    for kind, consequence in sentences.items():
        digests: dict[int, set[str]] = defaultdict(set)
        for row in rows:
            if (row.get("inputs") or {}).get(kind):
                digests[row["seed"]].add(row["inputs"][kind])
        seeds = sorted(seed for seed, values in digests.items() if len(values) > 1)
        if seeds:
            found.append(f"The {names[kind]} of {_seeds(seeds)} were not the same for all arms: {consequence}")
    return found


def _seeds(seeds: list[int]) -> str:
    listed = ", ".join(map(str, seeds[:5]))
    return (
        f"seed {listed}"
        if len(seeds) == 1
        else f"seeds {listed}{f' and {len(seeds) - 5} more' if len(seeds) > 5 else ''}"
    )


def _mixed_parameters(rows: list[Mapping[str, Any]]) -> list[str]:
    counts: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        if row.get("parameters") is not None:
            counts[row["arm"]].add(row["parameters"])
    return [
        f"The models of {named(arm)} had {' and '.join(f'{count:,}' for count in sorted(values))} parameters: it is not one model."
        for arm, values in counts.items()
        if len(values) > 1
    ]


# What is said of each entry of ``versions``; entries that a row lacks are unknown.
_VERSIONS = {
    "torch": "torch",
    "numpy": "NumPy",
    "python": "Python",
    "machine": "machines of type",
    "cpu": "the processors",
    "device": "the devices",
    "card": "the cards",
    "threads": "thread counts of",
}


def _mixed_versions(rows: list[Mapping[str, Any]]) -> list[str]:
    found = []
    for name, shown in _VERSIONS.items():
        values = sorted({str(row["versions"][name]) for row in rows if name in (row.get("versions") or {})})
        if name == "device":  # cards of one name are alike, whatever their number
            values = sorted({device_kind(value) for value in values})
        if len(values) > 1:
            found.append(f"{shown} {' and '.join(values)}")
    if not found:
        return []
    return [
        f"The trials ran with {'; '.join(found)}: the same seed may give other numbers, and times are not comparable."
    ]
