"""Progress of a study, on a terminal and in a log."""

from __future__ import annotations

import io
import os
import sys
from types import SimpleNamespace

import pytest
from rich.console import Console

from actlab.errors import PlanError
from actlab.report.terminal import progress


def _news(done, *, total=48, eliminated=(), leader="gelu", seconds_left=72.0):
    return SimpleNamespace(
        done=done, total=total, eliminated=eliminated, leader=leader, seconds_left=seconds_left, running=2
    )


def _log(*news):
    console = Console(file=io.StringIO(), width=200)
    with progress.show_progress(console, "digits") as report:
        for one in news:
            report(one)
    return console.file.getvalue().splitlines()


def _display(news, title="digits", width=100):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(progress.progress_view(news, title))
    return console.file.getvalue()


def test_a_log_has_a_line_at_the_start_at_every_elimination_and_at_the_end():
    lines = _log(
        _news(1),
        _news(2),
        _news(3, eliminated=("tanh",)),
        _news(4, eliminated=("tanh",)),
        _news(48, eliminated=("tanh",)),
    )

    assert [line.split(",")[0] for line in lines] == [
        "digits: 1 of 48 trials",
        "digits: 3 of 48 trials",
        "digits: 48 of 48 trials",
    ]
    assert lines[1] == "digits: 3 of 48 trials, 1:12 min left, leading: gelu, ruled out: tanh"


def test_a_log_has_a_line_every_few_seconds(monkeypatch):
    clock = iter([100.0, 104.0, 111.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))

    assert [line.split(",")[0] for line in _log(_news(1), _news(2), _news(3))] == [
        "digits: 1 of 48 trials",
        "digits: 3 of 48 trials",
    ]


def test_the_display_names_count_time_leader_and_who_is_out():
    shown = _display(_news(23, eliminated=("tanh", "sigmoid")))

    assert "23/48 trials" in shown
    assert "1:12 min left" in shown
    assert "leading: gelu" in shown
    assert "out: tanh, sigmoid" in shown


@pytest.mark.parametrize("width", [60, 80])
def test_a_long_title_leaves_room_for_count_and_time(width):
    shown = _display(_news(111, total=260), "python train.py --seed {seed} --lr {lr} --out {out} --epochs 100", width)

    assert "111/260 trials" in shown
    assert "1:12 min left" in shown


@pytest.mark.parametrize(
    "news", [_news(0, total=0, leader=None, seconds_left=None), _news(0, leader=None, seconds_left=None)]
)
def test_the_display_needs_neither_leader_nor_time(news):
    assert "trials" in _display(news)


def test_a_terminal_is_left_clean():
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with progress.show_progress(console, "digits") as report:
        report(_news(3))

    assert console.file.getvalue().endswith("\x1b[2K")  # the last thing written erases the display


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_a_forked_process_prints_draws_no_old_numbers(capfd):
    with progress.show_progress(Console(file=sys.stderr, force_terminal=True, width=100), "digits") as report:
        report(_news(3))
        capfd.readouterr()
        child = os.fork()
        if child == 0:
            sys.stderr.write("from a trial\n")
            sys.stderr.flush()
            os._exit(0)
        os.waitpid(child, 0)
        printed = capfd.readouterr().err

    assert "from a trial" in printed
    assert "digits: running" in printed
    assert "3/48" not in printed


def test_markup_in_a_name_is_shown_and_not_obeyed():
    assert "[red]x" in _display(_news(1, leader="[red]x"))
    assert "[red]x" in _log(_news(1, leader="[red]x"))[0]


class Output:
    """Output of a notebook's cell."""

    def __init__(self):
        self.shown = []

    def display(self, value, *, display_id):
        assert display_id
        self.shown.append(value)
        return self

    def update(self, value):
        self.shown.append(value)


@pytest.fixture
def notebook(monkeypatch):
    output = Output()
    modules = {
        "IPython": SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=1)),
        "IPython.display": SimpleNamespace(display=output.display, HTML=str),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return output


def test_a_notebook_shows_one_line_that_changes(notebook):
    with progress.chosen_progress(None, "a < b") as shown:
        shown(_news(3))

    assert notebook.shown[0] == "<b>a &lt; b</b>: starting"
    assert 'value="3"' in notebook.shown[-1]
    assert "3 of 48 trials" in notebook.shown[-1]


def test_progress_is_shown_by_default_only_where_somebody_looks(capsys):
    with progress.chosen_progress(None, "task") as shown:
        assert shown is None
    with progress.chosen_progress(False, "task") as shown:
        assert shown is None
    with progress.chosen_progress(True, "task") as shown:
        shown(_news(48))
    assert "48 of 48 trials" in capsys.readouterr().err


def test_a_callback_of_the_user_is_passed_on_and_another_value_is_told():
    with progress.chosen_progress(print, "task") as shown:
        assert shown is print
    with pytest.raises(PlanError, match="progress is 3; allowed are True, False"), progress.chosen_progress(3, "task"):
        pass


def test_counts_of_other_work_are_shown_where_somebody_looks(notebook):
    with progress.chosen_count(None, "trainings") as shown:
        shown(1, 6, "relu, seed <0>")

    assert notebook.shown[-1].endswith("<b>trainings</b>: 1 of 6: relu, seed &lt;0&gt;")
    assert 'max="6"' in notebook.shown[-1]


def test_counts_are_shown_elsewhere_when_asked_for(capsys):
    for chosen, shown in ((None, ""), (False, ""), (True, "6 of 6 trainings: last\n")):
        with progress.chosen_count(chosen, "trainings") as callback:
            if callback is not None:
                callback(6, 6, "last")
        assert capsys.readouterr().err == shown
    with progress.chosen_count(print, "trainings") as callback:
        assert callback is print
