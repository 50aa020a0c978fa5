"""Modules with a user's own activations, and definitions that replace earlier ones."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest
import torch

from actlab.errors import ActlabError, DuplicateNameError, UnknownNameError
from actlab.functions import own_modules
from actlab.functions.activation import activation, forget, get
from actlab.functions.analysis.facts import facts
from actlab.functions.grammar import parse
from actlab.functions.rule import forget_rule, get_rule, rule
from actlab.nn.layers.layer import layer

TEXT = '''
import actlab


@actlab.activation(paper="mine")
def {name}(x):
    """A line."""
    return 3 * x
'''


@pytest.fixture
def variable(monkeypatch):
    """Leave the environment and the list of imported modules as they were."""
    monkeypatch.setenv(own_modules.VARIABLE, "")
    monkeypatch.setattr(own_modules, "_imported", set(own_modules._imported))


def write(folder, name):
    file = folder / f"{name}.py"
    file.write_text(TEXT.format(name=name))
    return file


def test_a_file_and_a_module_beside_it_are_imported(variable, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "own_triple")
    write(tmp_path, "own_other")
    own_modules.add_own_module("own_triple")
    own_modules.add_own_module("own_other.py")
    own_modules.add_own_module("own_other.py")

    assert [str(parse(name)) for name in ("own_triple", "own_other")] == ["own_triple", "own_other"]
    assert own_modules.own_modules() == (str(tmp_path / "own_triple.py"), str(tmp_path / "own_other.py"))
    forget("own_triple")
    forget("own_other")


def test_a_child_process_imports_what_its_parent_named(variable, tmp_path):
    own_modules.add_own_module(str(write(tmp_path, "own_in_child")))
    code = "import actlab; print(actlab.parse('own_in_child').formula)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )

    assert done.stdout == "3*x\n"


def test_a_file_with_the_name_of_a_module_does_not_take_its_place(variable, tmp_path):
    import json

    file = write(tmp_path, "json")
    own_modules.add_own_module(str(file))

    assert str(parse("json")) == "json"
    assert sys.modules["json"] is json
    forget("json")


def test_entry_points_of_installed_packages_are_imported(variable, tmp_path, monkeypatch):
    write(tmp_path, "own_package")
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("own", "own_package", own_modules.ENTRY_POINTS)
    monkeypatch.setattr(own_modules, "entry_points", lambda group: [point] if group == own_modules.ENTRY_POINTS else [])
    own_modules._imported.discard("")

    assert str(parse("own_package")) == "own_package"
    forget("own_package")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "There is no file"),
        ("import no_such_module_at_all", "imports 'no_such_module_at_all', which is not installed"),
        ("1 / 0", "raises when it is imported: ZeroDivisionError"),
        (TEXT.format(name="relu"), "The name 'relu' is taken"),
    ],
    ids=["no file", "missing module", "raises", "taken name"],
)
def test_a_module_that_cannot_be_imported_is_told(variable, tmp_path, text, message):
    file = tmp_path / "own_wrong.py"
    if text is not None:
        file.write_text(text)
    own_modules.add_own_module(str(file))

    with pytest.raises(ActlabError, match=message):
        get("no_such_activation")


def test_an_unknown_module_is_told(variable):
    own_modules.add_own_module("no_such_module_at_all")

    with pytest.raises(ActlabError, match="There is no module 'no_such_module_at_all'"):
        get("relu")


def define(factor, **options):
    @activation(paper="a notebook", **options)
    def own_cell(x):
        """A line."""
        return factor * x

    return own_cell


@pytest.mark.parametrize("factors", [(2, 3), (2.0, 2), (1, 1.5)])
def test_a_cell_that_is_run_again_replaces_the_definition_everywhere(factors):
    for factor in factors:
        define(factor)
        x = torch.linspace(-2, 2, 5)

        assert torch.equal(layer("own_cell")(x), factor * x)
        assert torch.allclose(layer("own_cell", fast=True)(x), factor * x)
        assert facts(parse("own_cell")).slope_bound == pytest.approx(factor)
    forget("own_cell")


def test_an_alias_of_a_replaced_definition_is_gone():
    define(2, aliases=("own_old",))
    define(2, aliases=("own_new",))

    assert get("own_new").name == "own_cell"
    with pytest.raises(UnknownNameError):
        get("own_old")
    with pytest.raises(DuplicateNameError):
        define(2, aliases=("relu",))
    assert get("own_new").name == "own_cell"
    forget("own_cell")


def test_a_rule_that_is_defined_again_is_replaced_too():
    def define_rule(factor):
        @rule(paper="a notebook")
        def own_rule(x):
            """A constant."""
            return factor + 0 * x

    define_rule(2)
    define_rule(3)

    assert get_rule("own_rule").expression == 3
    forget_rule("own_rule")


def test_a_built_in_name_and_that_of_another_module_stay_taken():
    with pytest.raises(DuplicateNameError, match="'relu' is taken"):

        @activation()
        def relu(x):
            """Taken."""
            return x

    define(2)

    def own_cell(x):
        """Of another module."""
        return x

    own_cell.__module__ = "another"
    with pytest.raises(DuplicateNameError, match="'own_cell' is taken"):
        activation()(own_cell)
    forget("own_cell")
