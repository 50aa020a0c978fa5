"""Atomic file writes leave complete content or none."""

from __future__ import annotations

import pytest

from actlab.system import atomic_write
from actlab.system.atomic_write import write_atomically


def test_folders_are_made_for_their_owner_alone(tmp_path):
    write_atomically(tmp_path / "a" / "b", b"content")

    assert (tmp_path / "a" / "b").read_bytes() == b"content"
    assert (tmp_path / "a").stat().st_mode & 0o077 == 0


def test_a_full_disk_leaves_what_was_there_and_nothing_else(tmp_path, monkeypatch):
    file = tmp_path / "file"
    write_atomically(file, b"old")

    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def write(self, _):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic_write.os, "fdopen", lambda *_: Full())
    with pytest.raises(OSError, match="No space"):
        write_atomically(file, b"new")

    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]
