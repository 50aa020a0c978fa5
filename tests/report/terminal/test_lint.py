"""The view of a recomputed table shows verdicts, marks rows that contradict themselves, and leaves out empty columns."""

from __future__ import annotations

import pytest

import actlab
from actlab.report.terminal.lint import lint_view
from actlab.report.terminal.plain_text import plain_text


@pytest.fixture
def view(tmp_path):
    def written(text, **settings):
        path = tmp_path / "table.csv"
        path.write_text(text, encoding="utf-8")
        return plain_text(lint_view(actlab.lint(path, **settings)))

    return written


def test_rows_stand_in_order_of_their_means_with_verdicts(view):
    lines = view("name,loss,sd,runs\na,1.0,0.1,9\nb,0.5,0.1,9\nc,0.52,0.1,9").splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("row"))

    assert lines[first].split() == [
        "row",
        "mean",
        "SD",
        "runs",
        "-",
        "best",
        "p",
        "verdict",
        "needs",
        "-",
        "base",
        "verdict",
    ]
    assert [line.split()[0] for line in lines[first + 1 : first + 4]] == ["b", "c", "a"]
    assert lines[first + 2].split()[-4:] == ["tie", "394", "−0.48", "better"]  # noqa: RUF001
    assert lines[first + 3].split()[-3:-1] == ["3", "—"]


def test_a_row_that_contradicts_itself_is_marked_and_explained(view):
    text = view("name,accuracy,sd,runs,p\na,87.1,0.4,9,-\nb,87.2,0.4,9,0.001")

    assert "b    !" in text
    assert "! b (line 3): The p-value 0.001 does not follow" in text


def test_a_table_without_spreads_shows_the_spread_that_it_would_take(view):
    text = view("name,accuracy,runs\na,87.1,1\nb,87.2,1")

    assert "differs if SD below" in text
    assert "needs" not in text.split("How many")[0]


def test_wins_are_shown_with_their_tests(view):
    text = view("against,wins,ties,losses\nReLU,9,0,0")

    assert "0.004         0.002    0.004  differs" in text
