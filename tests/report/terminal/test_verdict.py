"""Terminal table of a verdict: fits the width, same content as the page."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from actlab.report.terminal.verdict import folded, verdict_table


def _shown(verdict, width):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(verdict_table(verdict))
    return console.file.getvalue()


def _line(text, start):
    return next(line for line in text.splitlines() if line.startswith(start))


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_no_line_is_wider_than_the_terminal(made_up, width):
    assert max(cell_len(line) for line in _shown(made_up, width).splitlines()) <= width


def test_a_hundred_and_ten_columns_have_room_for_every_column(made_up):
    heading = _line(_shown(made_up, 110), "  arm")

    assert " ".join(heading.split()) == "arm mean vs baseline, 95% interval p better same time params memory status"


def test_eighty_columns_keep_the_difference_its_p_value_the_price_and_the_status(made_up):
    heading = _line(_shown(made_up, 80), "  arm").split()

    assert {"mean", "baseline,", "p", "time", "status"} <= set(heading)
    assert not {"memory", "same"} & set(heading)


def test_the_legend_explains_the_columns_that_are_there_and_the_region(made_up):
    narrow, wide = (" ".join(_shown(made_up, width).split()) for width in (80, 140))

    assert "same: probability" not in narrow
    assert "same: estimated probability of practical equivalence" in wide
    assert "practically equivalent: within ±0.005 accuracy (given in the plan)" in narrow


def test_why_the_arm_with_the_best_mean_is_not_recommended_is_shown(made_up):
    assert made_up.reason in _shown(made_up, 200)
    assert "None" not in _shown(dataclasses.replace(made_up, reason=None), 200)


def test_the_recommendation_comes_first_and_the_warnings_last(made_up):
    text = _shown(made_up, 200)

    assert text.startswith(made_up.recommendation)
    assert text.rstrip().endswith(made_up.warnings[-1])


def test_the_best_set_is_marked_and_nothing_else(made_up):
    marked = {
        line.split()[1]
        for line in _shown(made_up, 140).splitlines()
        if line.startswith("● ") and "best set ·" not in line
    }

    assert marked == set(made_up.best_set)


def test_each_arm_has_a_line_with_its_numbers(made_up):
    gelu = next(arm for arm in made_up.arms if arm.spec == "gelu")

    line = _line(_shown(made_up, 140), "● gelu")

    assert f"{gelu.mean:.4f} +{gelu.diff.mean:.4f} [+{gelu.diff.ci[0]:.4f}, +{gelu.diff.ci[1]:.4f}]" in line
    assert line.split()[-3:] == ["3.48", "MB", "best"]


def test_the_baseline_is_called_so(made_up):
    assert " baseline " in _line(_shown(made_up, 140), "  relu")


def test_ties_are_named_with_what_would_settle_them(made_up):
    text = _shown(made_up, 140)

    assert "gelu and silu: undecided; about 23 more seeds needed (81% probability of equivalence)" in text
    assert (
        "gelu and swish(beta=learned): practically equivalent, within ±0.005 accuracy (97% probability of equivalence)"
        in text
    )


def test_what_happened_to_an_arm_is_told(made_up):
    text = _shown(made_up, 140)

    assert "squared_relu: diverged on 1 of 8 seeds: loss is nan at step 92" in text
    assert "ruled out" in _line(text, "  tanh")


def test_markup_in_a_name_is_shown_and_not_obeyed(made_up):
    arms = tuple(dataclasses.replace(arm, spec="[red]x[/red]") if arm.spec == "tanh" else arm for arm in made_up.arms)

    assert "[red]x[/red]" in _shown(dataclasses.replace(made_up, arms=arms), 140)


def test_an_arm_that_never_finished_has_dashes_and_its_reason(made_up, replaced):
    failed = replaced(
        made_up,
        "tanh",
        n=0,
        mean=None,
        iqm=None,
        ci=(None, None),
        sd=None,
        diff=None,
        status="failed",
        reason="seed 0: out of memory",
    )

    text = _shown(failed, 140)

    assert "—" in _line(text, "  tanh")
    assert "failed" in _line(text, "  tanh")
    assert "baseline" not in _line(text, "  tanh")
    assert "tanh: seed 0: out of memory" in text


def test_many_ties_are_cut_to_the_closest_ones(made_up):
    _, open_ = made_up.ties
    many = dataclasses.replace(
        made_up, ties=tuple(dataclasses.replace(open_, arms=("relu", f"arm{n}")) for n in range(20))
    )

    assert "and 14 more" in _shown(many, 140)


def test_a_verdict_without_arms_can_be_shown(made_up, found):
    empty = dataclasses.replace(made_up, arms=(), best_set=(), ties=(), closest=None, warnings=(), findings=found(()))

    assert "No arm has a result" in _shown(empty, 80)


def test_a_long_spec_is_folded_after_its_parenthesis():
    assert folded("swish(beta=learned_per_channel)", 20) == "swish(beta=\nlearned_per_channel)"
    assert folded("gelu", 4) == "gelu"
