"""No sentence of a verdict says what the rows do not: simulated studies, read a second time."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from benchmarks.simulated_studies import Simulated, simulate
from benchmarks.study_reading import Reading
from benchmarks.verdict_sentences import wrong_sentences

from actlab.report.content.verdict import confidence_sentences, region_text
from actlab.studies.verdict import finding, recommendation, verdict


def wrong(studies: range) -> dict[int, list[str]]:
    return {seed: found for seed in studies if (found := list(wrong_sentences(simulate(seed))))}


def test_every_sentence_of_simulated_studies_is_borne_out_by_their_rows() -> None:
    assert wrong(range(300)) == {}


@pytest.mark.slow
def test_every_sentence_of_many_simulated_studies_is_borne_out_by_their_rows() -> None:
    assert wrong(range(1000, 6000)) == {}


def test_the_order_of_the_rows_changes_nothing() -> None:
    for seed in range(300, 340):
        study = simulate(seed)
        backwards = Simulated(rows=study.rows[::-1], facts=study.facts, costs=study.costs)
        one, other = (verdict.make_verdict(it.rows, it.facts, it.costs) for it in (study, backwards))

        assert one == other
        assert Reading.of(study).best == set(one.best_set)


def sentences(result: verdict.Verdict) -> list[str]:
    notes = [arm.reason for arm in result.arms if arm.reason]
    return [
        result.recommendation,
        result.reason or "",
        *result.warnings,
        *notes,
        *confidence_sentences(result),
        region_text(result),
    ]


def test_sentences_say_the_model_as_it_is_where_tables_have_the_label_unchanged() -> None:
    told = []
    for seed in range(120):
        study = simulate(seed)
        label = {study.facts.baseline: "unchanged"}
        facts = replace(study.facts, arms=tuple(label.get(arm, arm) for arm in study.facts.arms), baseline="unchanged")
        rows = [{**row, "arm": label.get(row["arm"], row["arm"])} for row in study.rows]
        costs = {label.get(arm, arm): cost for arm, cost in study.costs.items()}
        told += sentences(verdict.make_verdict(rows, facts, costs))

    assert sum("the model as it is" in sentence for sentence in told) > 100
    assert {sentence for sentence in told if "unchanged" in re.sub("[Tt]he unchanged model", "", sentence)} == set()


# Each fault was made by an earlier version, or is one word away from the code.
FAULTS = {
    "a withdrawn arm counts as compared": (
        finding.ArmFinding,
        "is_compared",
        property(lambda self: self.seeds > 0),
    ),
    "a baseline that is ruled out by anybody is beaten by everybody": (
        finding.Findings,
        "is_better",
        lambda self, _, other: other not in self.best,
    ),
    "a step time counts whatever its interval": (
        recommendation,
        "step_time_text",
        lambda times, _: "" if times is None else f"a training step takes {abs(times.ratio - 1):.0%} longer",
    ),
    "the gain is told without its sign": (recommendation, "_gains", lambda *_: True),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_second_reading_notices_a_fault(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, broken = FAULTS[fault]
    monkeypatch.setattr(owner, name, broken)

    assert any(any(wrong_sentences(simulate(seed))) for seed in range(400))
