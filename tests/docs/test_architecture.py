"""The page of the architecture lists every file, and files import only from rooms above their own."""

from __future__ import annotations

import re
import runpy

import pytest
from tests.docs.blocks import ROOT

TREE = runpy.run_path(str(ROOT / "scripts" / "tree"))
PACKAGE = ROOT / "src" / "actlab"


def test_the_tree_lists_every_file_with_its_line():
    assert TREE["page"]() == TREE["PAGE"].read_text(encoding="utf-8"), "run scripts/tree --write"


def test_no_file_imports_from_a_room_further_down():
    order = [name.removesuffix(".py") for name in TREE["ROOMS"]]
    wrong = [
        (str(file.relative_to(PACKAGE)), name)
        for room in TREE["rooms"]()
        for file in (sorted(room.rglob("*.py")) if room.is_dir() else [room])
        for name in re.findall(r"^\s*(?:from|import) actlab\.(\w+)", file.read_text("utf-8"), re.MULTILINE)
        if name in order and order.index(name) > order.index(room.stem)
    ]

    assert wrong == []


def test_a_room_that_has_no_place_is_refused(monkeypatch, tmp_path):
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils" / "__init__.py").touch()
    monkeypatch.setitem(TREE["rooms"].__globals__, "PACKAGE", tmp_path)

    with pytest.raises(SystemExit, match="utils has no place in ROOMS"):
        TREE["rooms"]()
