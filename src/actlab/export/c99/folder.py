"""Folder of a C99 project, written as a whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from actlab.errors import ExportError
from actlab.export.c99.source import MARK
from actlab.export.refusal import writing

__all__ = ["check_folder", "folder_of", "new_folder", "write_files"]


def folder_of(path: Path) -> Path:
    """Return the folder of a project: the path, without the ending ``.c`` where the C file is named.

    Example:
        >>> folder_of(Path("out/net.c")).name, folder_of(Path("net")).name
        ('net', 'net')
    """
    return path.with_suffix("") if path.suffix.lower() == ".c" else path


def check_folder(folder: Path, name: str) -> None:
    """Refuse to replace what no export has written.

    Args:
        folder: that may exist.
        name: of the net.

    Raises:
        ExportError: it is a file, or a folder with other contents than a project of that name.
    """
    if not folder.exists() and not folder.is_symlink():
        return
    if folder.is_symlink() or not folder.is_dir():
        raise ExportError(f"{folder} exists and is no folder; give the project another name.")
    others = sorted(file.name for file in folder.iterdir() if not _is_ours(file, name))
    if others:
        raise ExportError(
            f"The folder {folder} holds other files ({', '.join(others[:3])}) and is left as it is; give the project another name."
        )


def _is_ours(file: Path, name: str) -> bool:
    built = {f"{name}.o", f"{name}_test"}
    if file.name in built:
        return True
    known = {f"{name}.c", f"{name}.h", f"{name}_test.c", "Makefile", "README.md"}
    if file.name not in known or not file.is_file():
        return False
    with file.open(encoding="utf-8", errors="replace") as stream:
        return MARK in stream.read(4096)


@contextmanager
def new_folder(folder: Path, name: str) -> Iterator[Path]:
    """Give the block an empty folder, which takes the place of ``folder`` when the block ends without an error.

    The block's folder is a temporary one of the system, because a project is compiled and run in it: a process that is killed meanwhile
    leaves nothing beside ``folder``.

    Args:
        folder: of the project.
        name: of the net.

    Raises:
        ExportError: the folder cannot be written, or holds something else.
    """
    with writing(folder), tempfile.TemporaryDirectory(prefix="actlab-export-") as elsewhere:
        fresh = Path(elsewhere) / "new"
        fresh.mkdir()
        yield fresh
        check_folder(folder, name)
        _replace(folder, fresh)


def _replace(folder: Path, fresh: Path) -> None:
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))  # on the same disk, for renaming
    new, old = temporary / "new", temporary / "old"
    try:
        new.mkdir()
        for file in fresh.iterdir():
            shutil.copyfile(file, new / file.name)
        if folder.exists():
            folder.rename(old)
        try:
            new.rename(folder)
        except BaseException:
            if old.exists():
                old.rename(folder)
            raise
    finally:
        with suppress(OSError):
            shutil.rmtree(temporary)


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write text files into a folder."""
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
