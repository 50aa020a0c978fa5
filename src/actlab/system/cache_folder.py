"""Cache folder of compiled kernels and of checkpoints, one that nobody else may write to.

It is named by ``ACTLAB_CACHE``, else ``XDG_CACHE_HOME``, else in ``~/.cache``.

What is read from it runs in this process. So a folder or file that another user could have written is not used.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

__all__ = ["kernel_folder", "private_folder", "read_private"]

_log = logging.getLogger(__name__)

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def kernel_folder() -> Path:
    """Return the folder of compiled kernels; it need not exist yet. Where others may write to it, it is a new one of this process.

    Raises:
        RuntimeError: neither variable is set and there is no home directory.
    """
    return private_folder("kernels")


def private_folder(name: str) -> Path:
    """Return a folder of the cache, by its name, as :func:`kernel_folder` does.

    Raises:
        RuntimeError: neither variable is set and there is no home directory.
    """
    override = os.environ.get("ACTLAB_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return _private(Path(override) / name if override else base / "actlab" / name)


@cache
def _private(folder: Path) -> Path:
    """Return the folder, or another one if somebody else may write to it; told once."""
    writable = _open_to_others(folder)
    if writable is None:
        return folder
    other = Path(tempfile.mkdtemp(prefix="actlab-cache-"))
    atexit.register(_remove, other, os.getpid())
    _log.warning(
        "The cache folder %s is not used, because other users may write to %s; one of this process is used instead, and then removed. "
        "Remove that permission (chmod go-w %s), or set ACTLAB_CACHE to a folder of your own.",
        folder, writable, writable,
    )  # fmt: skip
    return other / folder.name


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # not in a fork
        shutil.rmtree(folder, ignore_errors=True)


def _open_to_others(folder: Path) -> Path | None:
    """Return the folder on the way to a path that another user than this one and root may write to, or None."""
    if not hasattr(os, "geteuid"):  # Windows: a profile's folder is private
        return None
    path = folder.resolve()
    with suppress(OSError):
        for place in (path, *path.parents):
            if place.exists() and not _is_safe(place.stat(), is_folder=place != path):
                return place
    return None


def _is_safe(status: os.stat_result, *, is_folder: bool) -> bool:
    """Whether only this user and root may change what is in a folder or file; in sticky folders nobody may rename what is another's."""
    sticky = is_folder and bool(status.st_mode & stat.S_ISVTX)
    return status.st_uid in {0, os.geteuid()} and (sticky or not _others_may_write(status))


def _others_may_write(status: os.stat_result) -> bool:
    open_to = status.st_mode & _OTHERS_WRITE
    return bool(open_to) and not (open_to == stat.S_IWGRP and _is_own_group(status.st_gid))


def _is_own_group(group: int) -> bool:
    """Whether a group is the one that many systems make for every user, with no other members."""
    with suppress(ImportError, KeyError):
        import grp  # noqa: PLC0415 # not on Windows
        import pwd  # noqa: PLC0415 not on Windows

        name = pwd.getpwuid(os.geteuid()).pw_name
        found = grp.getgrgid(group)
        return found.gr_name == name and set(found.gr_mem) <= {name}
    return False


def read_private(file: Path) -> bytes | None:
    """Return the content of a file that nobody else may have written; None if there is none.

    Example:
        >>> read_private(Path("nowhere")) is None
        True
    """
    try:
        with file.open("rb") as stream:
            status = os.fstat(stream.fileno())
            if hasattr(os, "geteuid") and not _is_safe(status, is_folder=False):
                return None
            return stream.read()
    except OSError:
        return None
