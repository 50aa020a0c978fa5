"""Devices and threads on which results and times of a study were taken, and how far they repeat there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from actlab.studies.verdict.outcomes import Costs, Row
from actlab.system.plural import plural
from actlab.tasks.training.devices import device_kind
from actlab.tasks.training.reproducibility import REPRODUCIBILITY

__all__ = ["repeats", "times_on", "trials_on"]

_NAMES = {"cpu": "the CPU", "mps": "MPS"}


def times_on(costs: Costs) -> str | None:
    """Return on what the times of training steps were taken; None for those of earlier builds, which do not say it.

    Example:
        >>> times_on({"relu": {"on": {"device": "cuda:1", "card": "NVIDIA L4", "threads": "1"}}})
        'cuda (NVIDIA L4)'
    """
    found = {_text(cost["on"]) for cost in costs.values() if cost.get("on")}
    return " and ".join(sorted(found)) or None


def trials_on(rows: Iterable[Row]) -> str | None:
    """Return on what the trials ran; None for those of earlier builds, which do not say it.

    Example:
        >>> trials_on([{"versions": {"device": "cpu", "threads": "4"}}, {"versions": {"device": "cpu", "threads": "4"}}])
        'the CPU, 4 threads'
    """
    found = {_text(versions) for row in rows if "device" in (versions := row.get("versions") or {})}
    return " and ".join(sorted(found)) or None


def _text(on: Mapping[str, Any]) -> str:
    kind = device_kind(str(on["device"]))
    name = f"{kind} ({on['card']})" if "card" in on else _NAMES.get(kind, kind)
    threads = int(on.get("threads", 1))
    return f"{name}, {plural(threads, 'thread')}" if kind == "cpu" else name


def repeats(rows: Iterable[Row]) -> str:
    """Return what holds of a trial that runs again on the devices of a study; empty for rows of earlier builds.

    Example:
        >>> repeats([{"versions": {"device": "cpu"}}])
        'On the CPU a trial that runs again gives the same numbers to the bit, with the same versions, ...'
    """
    devices = [(row.get("versions") or {}).get("device") for row in rows]
    kinds = sorted({device_kind(str(device)) for device in devices if device is not None})
    return " ".join(REPRODUCIBILITY[kind].text for kind in kinds if kind in REPRODUCIBILITY)
