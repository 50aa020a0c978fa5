"""Results printed as the tables of the command line."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import pytest
import torch
from rich.console import Group
from rich.padding import Padding
from rich.text import Text
from torch import nn

import actlab
from actlab.functions.analysis.query import query
from actlab.report.terminal import result
from actlab.report.terminal.plain_text import FREE, plain_text
from actlab.report.terminal.text_table import text_table
from actlab.study import draft
from actlab.system import display

NET = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))


def test_a_verdict_prints_its_recommendation_and_one_line_per_arm(made_up, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    lines = str(made_up).splitlines()

    assert " ".join(lines[:2]).startswith(made_up.recommendation)
    for arm in made_up.arms:
        assert sum(line[2:].startswith(arm.spec + " ") for line in lines if "[" in line or "baseline" in line) >= 1


def test_the_width_is_that_of_the_terminal(made_up, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")

    assert max(map(len, str(made_up).splitlines())) <= 60


def test_sites_are_a_list_that_prints_as_a_table():
    found = actlab.find(NET)

    assert isinstance(found, list)
    assert [site.spec for site in found] == ["relu"]
    assert str(found).startswith("Sequential: 1 activation, of which a swap replaces 1")
    assert "Give a batch, find(model, x), to see which functions run" in " ".join(str(found).split())


def test_learned_curves_are_a_list_that_prints_as_a_table():
    found = actlab.shapes(nn.Sequential(nn.Linear(3, 4), nn.PReLU()))

    assert [shape.path for shape in found] == ["1"]
    assert "prelu" in str(found)
    assert str(actlab.shapes(NET)) == "No activation of this model has learned parameters."


@pytest.mark.parametrize(
    "build",
    [
        lambda: actlab.probe(NET, [torch.ones(4, 3)]),
        lambda: actlab.propagation(NET, torch.randn(8, 3)),
        lambda: query(monotone=True, bounded=True, native=True),
        lambda: query("no such word"),
        lambda: draft("digits", ["relu", "gelu"]),
    ],
    ids=["probe", "propagation", "query", "empty query", "plan"],
)
def test_other_results_print_themselves_too(build):
    text = str(build())

    assert len(text) > 20
    assert "(" not in text.splitlines()[0].split(" ")[0]  # no repr


def test_every_view_exists_and_every_displayed_record_has_one():
    from importlib import import_module

    for module, function in result.VIEWS.values():
        assert inspect.isfunction(getattr(import_module(f"actlab.report.terminal.{module}"), function))
    for name in (
        "diagnostics.doctor",
        "diagnostics.appraise",
        "bench.speed",
        "bench.crossover",
        "nn.probes.propagation",
        "study",
    ):
        import_module(f"actlab.{name}")
    for cls in display.Displayed.__subclasses__():
        assert cls is display.Tabular or cls.__name__ in result.VIEWS


def test_what_has_no_view_is_told():
    with pytest.raises(TypeError, match="There is no view of a int"):
        result.renderable(3)


def test_rows_are_one_line_each_where_the_width_is_free_and_sentences_are_wrapped():
    table = text_table(("name", "value"), [("a" * 200, "b " * 200), ("c", "d")])
    lines = plain_text(Group(Text("word " * 60), Padding(table, (1, 0, 1, 2)), Text("end"))).splitlines()

    assert [len(line) <= 100 for line in lines[:3]] == [True] * 3
    assert "" in lines
    rows = [line for line in lines if line.startswith("  ")]
    assert len(rows) == 3
    assert all(len(row) < FREE and row == row.rstrip() for row in rows)
    assert lines[-1] == "end"


def test_the_repr_of_a_verdict_is_one_line_with_arms_best_set_and_seeds(made_up):
    text = repr(made_up)

    assert text.startswith(f"Verdict(study={made_up.study!r}, metric={made_up.metric!r}, arms=[")
    assert f"best_set={list(made_up.best_set)}" in text
    assert f"seeds={len(made_up.seeds)})" in text
    assert "\n" not in text
    assert repr(actlab.table(made_up)) == "ArmTable(verdicts=1)"


@pytest.mark.parametrize(
    "build",
    [
        lambda: actlab.importance(NET, [(torch.randn(8, 3), torch.randn(8, 1)) for _ in range(4)]),
        lambda: actlab.probe(NET, [torch.ones(4, 3)]),
        lambda: query(monotone=True),
        lambda: draft("digits", ["relu", "gelu"]),
    ],
    ids=["importance", "probe", "query", "plan"],
)
def test_the_repr_of_every_record_is_short(build):
    text = repr(build())

    assert len(text) < 300
    assert "\n" not in text


def test_a_repr_of_its_own_stays():
    @dataclass(frozen=True)
    class Own(display.Displayed):
        rows: tuple[int, ...] = ()

        def __repr__(self):
            return "own"

    assert repr(Own()) == "own"
