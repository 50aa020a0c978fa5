"""Folder of a script's trial, and the environment of the script's process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from actlab.script_request import VARIABLE, write_request

__all__ = ["environment", "trial_folder"]

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# Set where ActLab itself is started by a launcher; the script's processes would take them for their own.
_RANKS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "TORCHELASTIC_RUN_ID")


@contextmanager
def trial_folder(request: Mapping[str, Any]) -> Iterator[Path]:
    """Make a folder with the request and an empty folder ``out``, and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="actlab_", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "out").mkdir()
        write_request(folder, request)
        yield folder


def environment(folder: Path, values: Mapping[str, Any], *, threads: int, device: str | None = None) -> dict[str, str]:
    """Return the environment variables of a script's process.

    Args:
        folder: of the trial.
        values: by name, such as the seed; ``ACTLAB_SEED`` has it. None is left out.
        threads: of the libraries for numbers.
        device: of the trial; of a numbered card the script sees this one only, as its first.
    """
    own = {f"ACTLAB_{name.upper()}": str(value) for name, value in values.items() if value is not None}
    inherited = {name: value for name, value in os.environ.items() if name not in _RANKS and name not in own}
    shown = {}
    if device is not None and device.startswith("cuda"):
        _, _, number = device.partition(":")
        shown = {"CUDA_VISIBLE_DEVICES": _card(number)} if number else {}
    return {**inherited, **dict.fromkeys(_THREADS, str(threads)), **own, **shown, VARIABLE: str(folder)}


def _card(number: str) -> str:
    """Return the card as the machine numbers it: by its place among those that this process may see."""
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return visible[int(number)] if int(number) < len(visible) else number
