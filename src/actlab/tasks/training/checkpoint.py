"""Checkpoint of a running trial on disk, written at an interval by time and read after a kill."""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from actlab.system.atomic_write import remove_temporary_files, write_atomically
from actlab.tasks.error_text import text_of

__all__ = ["Checkpoint", "checkpoint_file", "generator_states", "restore_generators"]

_log = logging.getLogger(__name__)

_FORM: Final = 1  # of the content; a file of another form is not read
_ENDING: Final = ".pt"


def checkpoint_file(folder: str | Path, *, stage: str, arm: str, seed: int, lr: float) -> Path:
    """Return the file of a trial's checkpoint in the folder of its study.

    Example:
        >>> checkpoint_file("runs", stage="main", arm="relu", seed=0, lr=0.001).name
        'main-0-7511d7ff530d7dfa.pt'
    """
    text = json.dumps([stage, arm, seed, lr])
    return Path(folder) / f"{stage}-{seed}-{hashlib.sha256(text.encode()).hexdigest()[:16]}{_ENDING}"


class Checkpoint:
    """State of one trial, kept in a file from which the trial goes on after a kill.

    It is written at most once in an interval, so that a short trial never writes. The file is replaced as a whole. One that cannot be read,
    or belongs to another trial, is as none: the trial begins anew. Where it cannot be written (a full disk, a state that cannot be stored),
    the trial goes on with the one before or without, and says so once.

    Args:
        file: of the trial, see :func:`checkpoint_file`.
        key: names what the state belongs to, such as digests of code and data; a file with another key is not read.
        every: seconds between two checkpoints.

    Attributes:
        seconds: that earlier attempts at the trial took, up to the checkpoint that was read.
        cpu_seconds: the same, of CPU time.

    Example:
        >>> import tempfile
        >>> checkpoint = Checkpoint(Path(tempfile.mkdtemp()) / "trial.pt", key={"seed": 0}, every=0.0)
        >>> checkpoint.load() is None, checkpoint.due
        (True, True)
        >>> checkpoint.save({"step": 7, "weights": torch.ones(2)})
        >>> checkpoint.load()["step"]
        7
    """

    def __init__(self, file: Path, *, key: Mapping[str, Any], every: float) -> None:
        self._file, self._every = file, every
        self._key = json.dumps(key, sort_keys=True, default=str)
        self._last, self._works, self._checked, self._told = time.monotonic(), True, False, False
        self._began = time.perf_counter(), time.process_time()
        self.seconds = self.cpu_seconds = 0.0

    @property
    def due(self) -> bool:
        """Whether the interval has passed since the last checkpoint, or the beginning."""
        return self._works and time.monotonic() - self._last >= self._every

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the checkpoint; never raises for what is wrong with the disk or the state.

        Args:
            state: tensors, numbers, texts, and lists, tuples and dicts of them: all that is read again with ``weights_only=True``.
        """
        if not self._works:
            return
        content = {"form": _FORM, "key": self._key, "spent": self._spent(), "state": dict(state)}
        try:
            write_atomically(self._file, partial(torch.save, content))
            self._check_can_be_read()
        except (OSError, RuntimeError, TypeError, ValueError, AttributeError, pickle.PicklingError) as error:
            self._tell(error)
        self._last = time.monotonic()

    def _tell(self, error: Exception) -> None:
        """Say once that a checkpoint was not written. A disk may have room later; a state that cannot be stored is not tried again."""
        of_disk = error if isinstance(error, OSError) else error.__context__  # torch has an error of its own on top
        self._works = isinstance(of_disk, OSError)
        if not self._told:
            self._told = True
            without = "goes on, after a kill from its last checkpoint if it has one." if self._works else (
                "goes on without checkpoints: after a kill it begins anew."
            )  # fmt: skip
            why = text_of(of_disk if of_disk is not None and self._works else error)[:300]
            _log.warning("The checkpoint %s cannot be written (%s). The trial %s", self._file, why, without)
        if not self._works:
            self.remove()

    def _check_can_be_read(self) -> None:
        """Refuse what ``weights_only`` would not read, at the first checkpoint, not after the kill."""
        if self._checked:
            return
        self._checked = True
        objects = torch.serialization.get_unsafe_globals_in_checkpoint(self._file)
        if objects:
            raise TypeError(f"the state holds objects that cannot be read safely: {', '.join(sorted(objects)[:5])}")

    def load(self) -> dict[str, Any] | None:
        """Return the state that was saved; None where there is none for this trial, or it cannot be read."""
        remove_temporary_files(self._file)  # of a process that was killed while it wrote
        try:
            content = torch.load(self._file, map_location="cpu", weights_only=True)
            form, key, state, spent = (content[name] for name in ("form", "key", "state", "spent"))
            if (form, key) != (_FORM, self._key):
                return None
            self.seconds, self.cpu_seconds = map(float, spent)
            return dict(state)
        except FileNotFoundError:
            return None
        except Exception as error:  # a file that was cut off or written by something else may raise anything
            self.discard(error)
            return None

    def discard(self, error: Exception) -> None:
        """Remove a file from which the trial cannot go on, and say so."""
        why = (text_of(error) or type(error).__name__).splitlines()[0][:300]
        _log.warning("The checkpoint %s cannot be read (%s). The trial begins anew.", self._file, why)
        self.seconds = self.cpu_seconds = 0.0
        self.remove()

    def _spent(self) -> list[float]:
        """Return seconds and CPU seconds of the trial so far, of all attempts."""
        now = time.perf_counter(), time.process_time()
        return [self.seconds + now[0] - self._began[0], self.cpu_seconds + now[1] - self._began[1]]

    def remove(self) -> None:
        """Remove the file, if there is one."""
        with suppress(OSError):
            self._file.unlink(missing_ok=True)


def generator_states(device: str = "cpu") -> dict[str, Any]:
    """Return the states of the global generators of torch (of the CPU and of a device), numpy and ``random``, for a checkpoint.

    Example:
        >>> before = generator_states()
        >>> first = torch.rand(1), np.random.rand(), random.random()
        >>> restore_generators(before)
        >>> first == (torch.rand(1), np.random.rand(), random.random())
        True
    """
    name, key, *rest = np.random.get_state()  # noqa: NPY002 # user code may draw from it
    states = {
        "torch": torch.get_rng_state(),
        "numpy": [name, torch.from_numpy(np.asarray(key, dtype=np.int64)), *rest],
        "random": random.getstate(),
    }
    kind = torch.device(device).type
    if kind == "cuda":
        states["device"] = torch.cuda.get_rng_state(device)
    elif kind == "mps":
        states["device"] = torch.mps.get_rng_state()
    return states


def restore_generators(states: Mapping[str, Any], device: str = "cpu") -> None:
    """Set the global generators to what :func:`generator_states` returned."""
    torch.set_rng_state(states["torch"])
    name, key, *rest = states["numpy"]
    np.random.set_state((name, key.numpy().astype(np.uint32), *rest))  # noqa: NPY002 # as above
    version, internal, gauss = states["random"]
    random.setstate((version, tuple(internal), gauss))
    if "device" in states:
        kind = torch.device(device).type
        (torch.cuda if kind == "cuda" else torch.mps).set_rng_state(
            states["device"], *([device] if kind == "cuda" else [])
        )
