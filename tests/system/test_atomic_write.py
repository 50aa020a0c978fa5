"""Atomic file writes leave complete content or none."""

from __future__ import annotations

import pytest

from actlab.system import atomic_write
from actlab.system.atomic_write import remove_temporary_files, write_atomically


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


def test_large_content_is_written_by_a_function_as_a_whole_or_not_at_all(tmp_path):
    file = tmp_path / "file"
    write_atomically(file, lambda stream: stream.write(b"old"))

    def half(stream):
        stream.write(b"ne")
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        write_atomically(file, half)

    assert file.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_a_killed_process_has_left_of_a_file_is_removed_and_nothing_of_others(tmp_path):
    for name in ("file", ".file.a1.new", ".file.b2.new", ".file.new.txt", ".files.c3.new", "new"):
        (tmp_path / name).touch()

    remove_temporary_files(tmp_path / "file")
    remove_temporary_files(tmp_path / "nowhere" / "file")

    assert sorted(path.name for path in tmp_path.iterdir()) == [".file.new.txt", ".files.c3.new", "file", "new"]
