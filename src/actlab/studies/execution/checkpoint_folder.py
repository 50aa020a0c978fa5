"""Folder of the checkpoints of a study's running trials, beside its store."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from actlab.errors import StoreError
from actlab.studies.plan import Plan
from actlab.studies.store.location import store_file
from actlab.studies.store.store import Store, TrialKey
from actlab.system.cache_folder import private_folder
from actlab.tasks.training.checkpoint import checkpoint_file

__all__ = ["CHECKPOINTS_VARIABLE", "CheckpointFolder", "store_folder", "study_folder"]

#: Names the folder of the checkpoints of all stores.
CHECKPOINTS_VARIABLE: Final = "ACTLAB_CHECKPOINTS"
_NAME: Final = re.compile(r"(?P<study>\d+)-[0-9a-f]{12}")


def store_folder(url: str) -> Path:
    """Return the folder of the checkpoints of a store; it need not exist.

    It is ``STORE.checkpoints`` beside a SQLite store, and one in the cache folder for a database server. Where the environment variable
    ``ACTLAB_CHECKPOINTS`` names a folder, it is one in that.

    Args:
        url: of the store, with an absolute path.

    Example:
        >>> store_folder("sqlite:////runs/actlab.db")
        PosixPath('/runs/actlab.db.checkpoints')
    """
    file, override = store_file(url), os.environ.get(CHECKPOINTS_VARIABLE)
    if file is not None and not override:
        return file.with_name(f"{file.name}.checkpoints")
    name = hashlib.sha256(url.encode()).hexdigest()[:16]
    return Path(override).absolute() / name if override else private_folder("checkpoints") / name


def study_folder(url: str, study: int, plan: Plan) -> Path:
    """Return the folder of the checkpoints of a study; one of another plan under the same id, as in a new file, is another."""
    return store_folder(url) / _folder_name(study, plan)


def _folder_name(study: int, plan: Plan) -> str:
    return f"{study}-{plan.fingerprint[:12]}"


class CheckpointFolder:
    """Checkpoints of a study, as the process sees them that records its results.

    A trial's checkpoint is a file of its own, or a folder of the same name without its ending, which a script is given.

    Args:
        folder: of the study, or None where trials are executed without checkpoints.

    Example:
        >>> CheckpointFolder(None).remove([TrialKey("main", "relu", 0, 0.001)])
    """

    def __init__(self, folder: str | Path | None) -> None:
        self._folder = None if folder is None else Path(folder)

    def remove(self, keys: Iterable[TrialKey]) -> None:
        """Remove the checkpoints of trials that have ended."""
        if self._folder is None or not self._folder.is_dir():
            return
        for key in keys:
            file = checkpoint_file(self._folder, **key._asdict())
            with suppress(OSError):
                file.unlink(missing_ok=True)
            shutil.rmtree(file.with_suffix(""), ignore_errors=True)

    def remove_unknown(self, store: Store) -> None:
        """Remove what earlier runs have left of studies that the store does not have, or has under another plan."""
        if self._folder is None or not self._folder.parent.is_dir():
            return
        with suppress(OSError, StoreError):  # the run itself says what is wrong with the store
            known = {_folder_name(stored.id, stored.plan) for stored in store.studies()} | {self._folder.name}
            for found in list(self._folder.parent.iterdir()):
                if _NAME.fullmatch(found.name) and found.name not in known:
                    shutil.rmtree(found, ignore_errors=True)

    def close(self) -> None:
        """Remove the folders if they are empty, once no trial runs."""
        if self._folder is not None:
            with suppress(OSError):  # not empty, or not there
                self._folder.rmdir()
                self._folder.parent.rmdir()
