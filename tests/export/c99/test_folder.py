"""Folder of a C99 project: what is beside it while a project is made, and what is there after a fault."""

from __future__ import annotations

import errno
import shutil

import pytest

from actlab.errors import ExportError
from actlab.export.c99.folder import new_folder, write_files
from actlab.export.c99.source import MARK


def put(folder, text):
    with new_folder(folder, "kws") as fresh:
        write_files(fresh, {"kws.c": f"/* {MARK} */ {text}"})
        assert [file for file in folder.parent.iterdir() if file != folder] == []


def test_nothing_lies_beside_the_project_while_it_is_made_nor_afterwards(tmp_path):
    folder = tmp_path / "kws"
    put(folder, "one")
    put(folder, "two")
    assert list(tmp_path.iterdir()) == [folder]
    assert "two" in (folder / "kws.c").read_text()


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_fault_while_files_are_copied_leaves_the_old_project(tmp_path, monkeypatch, fault):
    folder = tmp_path / "kws"
    put(folder, "one")

    def copy(*_):
        raise fault

    monkeypatch.setattr(shutil, "copyfile", copy)
    message = "kws cannot be written: No space left on device. What was there is as it was."
    with pytest.raises((ExportError, KeyboardInterrupt), match=message if isinstance(fault, OSError) else None):
        put(folder, "two")
    assert list(tmp_path.iterdir()) == [folder]
    assert "one" in (folder / "kws.c").read_text()
