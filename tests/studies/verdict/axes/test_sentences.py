"""Sentences on axes say what was found, pass on what axes say of themselves, and warn where numbers are missing."""

from __future__ import annotations

import numpy as np
import pytest
from tests.studies.verdict.axes.simulated import axes_of, facts, judged, noise, result, row, rows_of

from actlab.studies.verdict.verdict import make_verdict

SEEDS = 14
BASE = noise(SEEDS, mean=0.5, sd=0.1)


def shifted(by: float) -> list[float]:
    return (np.array(BASE) + by + np.array(noise(SEEDS, sd=0.01, seed=1))).tolist()


def rows_with_metric(better: dict[str, float], columns: dict[str, dict[str, list[float]]]) -> list[dict]:
    rows = rows_of(columns)
    for entry in rows:
        entry["metric"] = 0.5 + better[entry["arm"]] + 0.001 * entry["seed"]
    return rows


def test_each_arm_has_a_sentence_with_the_columns_of_each_kind() -> None:
    rows = rows_of({"relu": {"up": BASE, "down": BASE}, "gelu": {"up": shifted(0.2), "down": shifted(0.2)}})
    sentences = axes_of(rows).sentences
    assert sentences[0] == "gelu is better than relu on own up; worse on own down."
    assert any("on average at most 5% are false, whenever the study is stopped" in sentence for sentence in sentences)


def test_undecided_comparisons_are_counted_with_the_seeds_of_the_closest() -> None:
    few = {"relu": {"up": BASE[:4], "down": BASE[:4]}, "gelu": {"up": shifted(0.2)[:4], "down": shifted(0.2)[:4]}}
    sentence = next(text for text in axes_of(rows_of(few)).sentences if "undecided" in text)
    assert sentence.startswith("2 of 2 comparisons with relu are undecided; about ")
    assert "more seeds would decide gelu on own" in sentence


def test_a_recommended_arm_that_is_worse_on_an_axis_is_recommended_with_one_sentence_more() -> None:
    columns = {"relu": {"up": BASE}, "gelu": {"up": shifted(-0.2)}}
    rows = rows_with_metric({"relu": 0.0, "gelu": 0.2}, columns)
    verdict = judged(rows)
    plain = make_verdict(rows, facts(("relu", "gelu"), SEEDS, axes=()), {})
    assert verdict.recommended == plain.recommended == "gelu"
    assert verdict.recommendation == f"{plain.recommendation} On own up it is worse than relu."


def test_a_baseline_that_stays_is_told_which_equal_arms_are_better_on_an_axis() -> None:
    rows = rows_with_metric({"relu": 0.0, "gelu": 0.0}, {"relu": {"up": BASE}, "gelu": {"up": shifted(0.2)}})
    for entry in rows[::3]:
        entry["metric"] += 0.003
    verdict = judged(rows)
    assert verdict.recommended == "relu"
    assert verdict.recommendation.endswith("Of the best set, gelu is better on own up.")


def test_a_recommended_arm_that_is_nowhere_worse_has_no_further_sentence() -> None:
    rows = rows_with_metric({"relu": 0.0, "gelu": 0.2}, {"relu": {"up": BASE}, "gelu": {"up": shifted(0.2)}})
    assert judged(rows).recommendation == make_verdict(rows, facts(("relu", "gelu"), SEEDS, axes=()), {}).recommendation


def test_notes_of_axes_are_warnings_with_the_seeds_that_they_are_of() -> None:
    rows = []
    for arm in ("relu", "step"):
        for seed in range(4):
            notes = [f"The robustness is masked: {seed + 3}.5 % against 88 %."] if arm == "step" and seed else []
            rows.append(row(arm, seed, {"own": result({"up": 0.5}, notes=notes)}))
    warnings = judged(rows).warnings
    masked = [warning for warning in warnings if "masked" in warning]
    assert masked == ["own: The robustness is masked: 4.5 % against 88 % (step on 3 of 4 seeds)."]


def test_parts_without_a_number_are_named() -> None:
    undefined = {"group 3": "it has 2 examples"}
    rows = [
        row(arm, seed, {"own": result({"up": 0.5}, undefined=undefined)})
        for arm in ("relu", "gelu")
        for seed in range(2)
    ]
    assert (
        "own: group 3 has no number, as it has 2 examples (relu on 2 of 2 seeds and gelu on 2 of 2 seeds)."
        in judged(rows).warnings
    )


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_give_no_statement_and_no_interval_without_spread(seeds: int) -> None:
    found = axes_of(rows_of({"relu": {"up": BASE[:seeds]}, "gelu": {"up": shifted(0.2)[:seeds]}}))
    number = found.columns[0].of("gelu")
    assert number.relation == "undecided"
    assert (number.ci == (None, None)) == (seeds == 1)
