"""Tables as text, written to a file and checked."""

from __future__ import annotations

from pathlib import Path

import pytest

import actlab

PUBLISHED = Path(__file__).parents[2] / "examples" / "published_tables"


@pytest.fixture
def check(tmp_path):
    """Return a function that writes a table and returns what is found in it."""

    def write_and_check(text, **settings):
        path = tmp_path / "table.csv"
        path.write_text(text, encoding="utf-8")
        return actlab.lint(path, **settings)

    return write_and_check


@pytest.fixture
def published():
    """Return a function that checks a published table by its name, without or with a change of its text."""

    def check_published(name, change=lambda text: text, tmp_path=None, **settings):
        path = PUBLISHED / f"{name}.csv"
        if tmp_path is not None:
            text = change(path.read_text(encoding="utf-8"))
            path = tmp_path / path.name
            path.write_text(text, encoding="utf-8")
        return actlab.lint(path, **settings)

    return check_published
