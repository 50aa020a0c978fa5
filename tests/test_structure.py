"""Rules of the source tree: imports go one way, no cycles, folders and functions stay small, first lines say what a file contains."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "actlab"


def _script():
    loader = importlib.machinery.SourceFileLoader("structure_script", str(ROOT / "scripts" / "structure"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    sys.modules[loader.name] = module  # dataclasses look their module up
    loader.exec_module(module)
    return module


structure = _script()


@pytest.fixture(scope="module")
def modules():
    return structure.read(PACKAGE)


@pytest.fixture
def package(tmp_path):
    """Return a function that writes a package from paths and texts and reads it."""

    def write(**files):
        for name, text in files.items():
            path = tmp_path / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return structure.read(tmp_path)

    return write


def test_every_module_is_read(modules):
    assert len(modules) == len(list(PACKAGE.rglob("*.py")))
    assert len({structure.floor(name, structure.ROOMS) for name in modules}) > 30


def test_no_module_imports_from_a_room_further_up(modules):
    assert structure.upward(modules, structure.ROOMS) == []


def test_no_modules_import_each_other_in_a_circle(modules):
    assert structure.cycles(modules) == []


def test_no_folder_but_the_catalogue_has_more_than_16_files(modules):
    crowded = {folder: count for folder, count in structure.folders(modules).items() if count > 16}

    assert set(crowded) <= {"functions/catalogue"}


def test_the_other_rules_of_the_tree_hold(modules):
    assert structure.findings(modules, structure.ROOMS) == []


def test_every_module_lies_in_a_room_of_the_design(modules):
    outside = [name for name in modules if name and structure.floor(name, structure.ROOMS) == len(structure.ROOMS)]

    assert outside == []


@pytest.mark.parametrize(
    "line",
    [
        "from actlab.report import content",
        "from actlab.report.content import format",
        "import actlab.cli",
        "def f():\n    from actlab.study import compare",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from actlab.report.content.format import number",
    ],
)
def test_an_import_upward_is_found(line, package):
    modules = package(
        stats__racing=line, report__content__format="", report__content____init__="", study="", cli____init__=""
    )

    assert [source for source, _ in structure.upward(modules, structure.ROOMS)] == ["stats.racing"]


def test_an_import_downward_is_none(package):
    modules = package(stats__racing="", studies__plan="from actlab.stats.racing import alive")

    assert structure.upward(modules, structure.ROOMS) == []


def test_a_circle_is_found_through_any_kind_of_import(package):
    modules = package(
        nn__layers__one="def f():\n    from actlab.nn.layers.two import x",
        nn__layers__two="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from actlab.nn.layers import three",
        nn__layers__three="import actlab.nn.layers.one",
        nn__layers____init__="from actlab.nn.layers.one import f",
    )

    assert structure.cycles(modules) == [["nn.layers.one", "nn.layers.three", "nn.layers.two"]]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('"""The taps: what a model does."""', "article"),
        ('"""Taps: what a model does."""', "colon"),
        ('"""What a model does"""', "period"),
        ("x = 1", "period"),
        (f'"""{"Long " * 30}."""', "characters"),
        ('"""Fine."""\ndef f():\n' + "    x = 1\n" * 60, "61 lines"),
        ('"""Fine."""\n' + "x = 1\n" * 400, "401 lines"),
        ('"""Fine."""\ndef f(a, b, c, d, e, *, f, g, h, i): ...', "9 arguments"),
        ('"""Fine."""\nclass C:\n    def __init__(self, a, b, c, d, e, *, f, g, h, i): ...', "9 arguments"),
    ],
)
def test_a_broken_rule_is_found(text, complaint, package):
    found = structure.findings(package(stats__racing=text), structure.ROOMS)

    assert found
    assert any(complaint in finding for finding in found)


def test_a_crowded_folder_and_a_repeated_first_line_are_found(package):
    modules = package(**{f"stats__file{i}": f'"""Number {min(i, 15)}."""' for i in range(17)})
    found = structure.findings(modules, structure.ROOMS)

    assert any("stats/ has 17 files" in finding for finding in found)
    assert any("the same first line" in finding for finding in found)
