"""Zip archive of plain numeric arrays, read within the size of its file.

A checksum protects from accidents only: whoever writes a file can make it right. So nothing here trusts a number that the file contains
before it is compared with the file's size, and what could be larger in memory than in the file (deflated members, overlapping members,
object arrays) is refused.
"""

from __future__ import annotations

import errno
import math
import re
import stat
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from actlab.errors import PackError

__all__ = ["read_arrays"]

_NAME = re.compile(r"[a-z0-9_.]{1,40}\.npy")
_MAGIC = b"\x93NUMPY\x01\x00"
_DESCRIPTION = re.compile(
    rb"\{'descr': '([<>|][bifu]\d)', 'fortran_order': False, 'shape': \(((?:\d{1,12},? ?){0,8})\), \} *\n"
)


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of an archive by name, without ``.npy``.

    Args:
        path: a file that ``numpy.savez`` has written.

    Raises:
        PackError: the file cannot be read, or is no archive of plain arrays, each stored once and uncompressed.
    """
    try:
        size = _size(path)
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            _check_members(archive.infolist(), size)
            return {name.removesuffix(".npy"): _array(archive.read(name)) for name in archive.namelist()}
    except OSError as error:
        raise PackError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # the zip reader raises a dozen types on damaged files
        raise PackError(
            f"{path} is damaged, or no file of a packed net ({error}). Write it again with save_packed."
        ) from error


def _size(path: Path) -> int:
    """Return the size of a file; a pipe or a device would be waited for, or never end."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")
    return status.st_size


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse what can be larger in memory than in the file.

    Raises:
        ValueError: a member is compressed or encrypted, has the name of another, or overlaps another.
    """
    for member in members:
        if (
            member.compress_type != zipfile.ZIP_STORED
            or member.flag_bits & 1
            or member.compress_size != member.file_size
        ):
            raise ValueError(f"{member.filename[:40]!r} is compressed or encrypted, and members are stored as they are")
        if not _NAME.fullmatch(member.filename):
            raise ValueError(f"{member.filename[:40]!r} is no name of an array")
    if len({member.filename for member in members}) < len(members):
        raise ValueError("two arrays have one name")
    if sum(member.file_size for member in members) > size:
        raise ValueError("its arrays are larger than the file")


def _array(content: bytes) -> npt.NDArray[Any]:
    """Return the array of a ``.npy`` file of version 1.

    Raises:
        ValueError: the content is no plain array, or has another size than its header says.
    """
    length = int.from_bytes(content[8:10], "little")
    description = _DESCRIPTION.fullmatch(content[10 : 10 + length])
    if content[:8] != _MAGIC or description is None:
        raise ValueError("an array has no header of a plain array")
    dtype = np.dtype(description[1].decode())
    shape = tuple(int(size) for size in description[2].replace(b",", b" ").split())
    if math.prod(shape) * dtype.itemsize != len(content) - 10 - length:
        raise ValueError(f"an array of shape {shape} has {len(content) - 10 - length} bytes")
    return np.frombuffer(content, dtype=dtype, offset=10 + length).reshape(shape)
