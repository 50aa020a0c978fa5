"""The verdict compares arms on axes: statements, directions, missing numbers, one error rate."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from tests.studies.verdict.axes.simulated import OWN, axes_of, facts, judged, noise, result, row, rows_of

from actlab.stats.bootstrap import bootstrap_interval
from actlab.studies.verdict.axes.axes_verdict import AxesVerdict
from actlab.studies.verdict.verdict import make_verdict

SEEDS = 14
BASE = noise(SEEDS, mean=0.5, sd=0.1)


def shifted(by: float, sd: float = 0.01, seed: int = 1) -> list[float]:
    return (np.array(BASE) + by + np.array(noise(SEEDS, sd=sd, seed=seed))).tolist()


def relations(found: AxesVerdict, arm: str) -> dict[str, str]:
    return {column.column: column.of(arm).relation for column in found.columns}


@pytest.fixture(scope="module")
def found() -> AxesVerdict:
    return axes_of(
        rows_of(
            {
                "relu": {"up": BASE, "down": BASE, "plain": BASE, "hidden": BASE},
                "gelu": {"up": shifted(0.2), "down": shifted(0.2), "plain": shifted(0.2), "hidden": shifted(0.2)},
                "tanh": {"up": shifted(0, 1e-4), "down": shifted(0, 2.0), "plain": BASE, "hidden": BASE},
            }
        )
    )


def test_larger_is_better_where_the_column_says_max_and_worse_where_it_says_min(found: AxesVerdict) -> None:
    assert relations(found, "gelu") == {"up": "better", "down": "worse", "plain": "described"}
    assert relations(found, "relu") == dict.fromkeys(("up", "down", "plain"), "baseline")


def test_practically_equivalent_arms_tie_and_noisy_ones_are_undecided(found: AxesVerdict) -> None:
    assert relations(found, "tanh") == {"up": "tie", "down": "undecided", "plain": "described"}
    assert found.comparisons == 4
    assert found.statements == 3


def test_columns_that_are_no_headline_are_not_compared(found: AxesVerdict) -> None:
    assert found.of("own", "hidden") is None


def test_means_intervals_and_paired_differences_are_those_of_the_numbers(found: AxesVerdict) -> None:
    column = found.of("own", "up")
    assert column is not None
    number, values = column.of("gelu"), np.array(shifted(0.2))
    assert number.mean == pytest.approx(values.mean())
    assert number.difference is not None
    assert number.difference.mean == pytest.approx((values - BASE).mean())
    low, high = bootstrap_interval(values - BASE, seed=5)
    assert number.difference.ci == (pytest.approx(low, abs=0.002), pytest.approx(high, abs=0.002))
    assert (number.n, number.trials, number.difference.seeds) == (SEEDS, SEEDS, SEEDS)


def test_the_region_is_half_a_point_of_shares_one_percent_of_others_or_as_given() -> None:
    columns = {
        "share": {"direction": "max", "unit": "share"},
        "percent": {"direction": "max", "unit": "%"},
        "time": {"direction": "min", "unit": "ms"},
        "given": {"direction": "max", "unit": "share", "rope": 0.25},
    }
    axes = ({"name": "own", "columns": columns},)
    rows = rows_of({arm: {key: [0.0, 30.0, 40.0] for key in columns} for arm in ("relu", "gelu")})
    found = axes_of(rows, axes=axes)
    assert [column.rope for column in found.columns] == [0.005, 0.5, pytest.approx(0.3), 0.25]
    assert "seed 1" in found.columns[2].rope_rule


def test_the_verdict_with_axes_is_json_and_that_of_a_study_without_them_has_none(found: AxesVerdict) -> None:
    rows = rows_of({"relu": {"up": BASE}, "gelu": {"up": shifted(0.2)}})
    as_json = json.loads(json.dumps(judged(rows).to_dict(), allow_nan=False))
    assert as_json["axes"]["columns"][0]["arms"][1]["relation"] == "better"
    assert make_verdict(rows, facts(("relu", "gelu"), SEEDS, axes=()), {}).axes is None
    assert found.alpha == 0.05


def test_best_set_and_metric_are_those_of_the_same_study_without_axes() -> None:
    rows = rows_of({"relu": {"up": BASE}, "gelu": {"up": shifted(-0.2)}})
    with_axes, without = judged(rows), judged(rows, axes=())
    assert with_axes.best_set == without.best_set
    assert with_axes.findings == without.findings


class TestMissing:
    """A number that is missing is named, and supports nothing."""

    def test_reasons_and_seeds_are_recorded(self) -> None:
        some = [value if seed not in (2, 5) else None for seed, value in enumerate(shifted(0.2))]
        rows = rows_of({"relu": {"up": BASE}, "gelu": {"up": some}})
        rows[SEEDS + 7] |= {"status": "diverged", "metric": None, "axes": None}
        verdict = judged(rows)
        assert verdict.axes is not None
        number = verdict.axes.columns[0].of("gelu")
        assert number.missing == {"no number here": (2, 5), "its training diverged": (7,)}
        assert (number.n, number.trials) == (SEEDS - 3, SEEDS)
        assert number.mean == pytest.approx(np.mean([v for s, v in enumerate(some) if v is not None and s != 7]))
        assert any("own up of gelu rests on 11 of 14 seeds" in warning for warning in verdict.warnings)

    def test_an_arm_is_not_better_by_losing_its_worst_seeds(self) -> None:
        values = np.array(shifted(0.0, sd=0.3, seed=4))
        worse = values < np.array(BASE)
        survivors = [None if lost else value for value, lost in zip(values.tolist(), worse.tolist(), strict=True)]
        full = [value + 0.001 * (not lost) for value, lost in zip(values.tolist(), worse.tolist(), strict=True)]
        found = axes_of(rows_of({"relu": {"up": BASE}, "gelu": {"up": survivors}, "mish": {"up": full}}))
        assert worse.sum() > 3
        assert found.columns[0].of("gelu").relation == "undecided"
        assert found.columns[0].of("gelu").difference.mean > 0

    def test_numbers_that_the_baseline_lacks_make_no_arm_better(self) -> None:
        base = [value if seed < 4 else None for seed, value in enumerate(BASE)]
        found = axes_of(rows_of({"relu": {"up": base}, "gelu": {"up": shifted(0.2)}}))
        number = found.columns[0].of("gelu")
        assert number.relation == "undecided"
        assert number.difference is not None
        assert number.difference.seeds == 4

    def test_seeds_that_both_lack_do_not_count(self) -> None:
        gaps = [None if seed % 7 == 0 else 1.0 for seed in range(SEEDS)]
        base = [value and own for value, own in zip(gaps, BASE, strict=True)]
        own = [value and more for value, more in zip(gaps, shifted(0.2), strict=True)]
        assert axes_of(rows_of({"relu": {"up": base}, "gelu": {"up": own}})).columns[0].of("gelu").relation == "better"

    def test_a_column_without_any_number_is_undefined_with_its_reason_and_costs_no_power(self) -> None:
        nothing = [None] * SEEDS
        rows = rows_of({"relu": {"up": BASE, "down": nothing}, "gelu": {"up": shifted(0.2), "down": nothing}})
        found = axes_of(rows)
        assert next((it.axis, it.column, it.reason) for it in found.undefined) == ("own", "down", "no number here")
        assert found.comparisons == 1
        assert any(sentence.startswith("Undefined: own") for sentence in found.sentences)

    def test_the_name_of_an_exception_keeps_its_capital_letter(self) -> None:
        failed = result({}, error="KeyError: 'width'")
        rows = [row(arm, seed, {"own": failed}) for arm in ("relu", "gelu") for seed in range(SEEDS)]
        assert any("as KeyError: 'width'." in sentence for sentence in axes_of(rows).sentences)

    def test_an_axis_that_raised_is_named(self) -> None:
        rows = [
            row(arm, seed, {"own": result({}, error="no luck") if arm == "gelu" else result({"up": BASE[seed]})})
            for arm in ("relu", "gelu")
            for seed in range(SEEDS)
        ]
        verdict = judged(rows)
        assert verdict.axes is not None
        assert verdict.axes.columns[0].of("gelu").relation == "not compared"
        assert any("no luck" in warning for warning in verdict.warnings)

    def test_trials_of_before_an_axis_was_measured_have_no_number(self) -> None:
        rows = rows_of({"relu": {"up": BASE}, "gelu": {"up": shifted(0.2)}})
        rows[0] = {name: value for name, value in rows[0].items() if name != "axes"}
        found = axes_of(rows)
        assert found.columns[0].of("relu").missing == {"not measured in this trial": (0,)}

    def test_a_study_without_a_finished_trial_has_columns_without_numbers(self) -> None:
        found = make_verdict([], facts(("relu", "gelu"), 3), {}).axes
        assert found is not None
        assert found.columns == ()
        assert {it.reason for it in found.undefined} == {"no trial has ended"}


@pytest.mark.parametrize(("seed", "size"), [(0, 900.0), (7, -900.0)])
def test_an_outlier_blinds_no_test_and_is_named(seed: int, size: float) -> None:
    spoiled = shifted(0.2)
    spoiled[seed] = size
    rows = rows_of({"relu": {"up": BASE}, "gelu": {"up": spoiled}})
    verdict = judged(rows)
    assert verdict.axes is not None
    number = verdict.axes.columns[0].of("gelu")
    assert number.relation == "better"
    assert number.far == (seed,)
    assert any(f"far from all other seeds on seed {seed}" in warning for warning in verdict.warnings)


def test_identical_numbers_tie_also_without_a_region() -> None:
    axes = ({"name": "own", "columns": {"up": {"direction": "max", "unit": "count", "rope": 0.0}}},)
    zeros = [0.0] * SEEDS
    found = axes_of(rows_of({"relu": {"up": zeros}, "gelu": {"up": zeros}}), axes=axes)
    assert found.columns[0].of("gelu").relation == "tie"
    assert found.columns[0].of("gelu").difference.ci == (0.0, 0.0)


def test_two_columns_of_one_study_need_more_evidence_than_one() -> None:
    few = 6
    rows = rows_of({"relu": {"up": BASE[:few]}, "gelu": {"up": shifted(0.2)[:few]}})
    one = ({"name": "own", "columns": {"up": OWN["columns"]["up"]}},)
    assert axes_of(rows, axes=one).columns[0].of("gelu").relation == "better"
    many = rows_of(
        {arm: {f"c{n}": noise(few, seed=n + 40 * (arm == "gelu")) for n in range(12)} for arm in ("relu", "gelu")}
    )
    for own, others in zip(rows, many, strict=True):
        own["axes"]["own"]["numbers"] |= others["axes"]["own"]["numbers"]
    columns = {"up": OWN["columns"]["up"]} | {f"c{n}": {"direction": "max", "unit": "nats"} for n in range(12)}
    found = axes_of(rows, axes=({"name": "own", "columns": columns},))
    assert found.columns[0].of("gelu").relation == "undecided"
    assert found.columns[0].of("gelu").seeds_needed in range(1, 10)


def test_later_seeds_follow_the_order_of_the_plan_and_gaps_end_the_evidence() -> None:
    rows = rows_of({"relu": {"up": BASE}, "gelu": {"up": shifted(0.2)}})
    gap = [entry for entry in rows if not (entry["arm"] == "gelu" and entry["seed"] == 3)]
    found = make_verdict(gap, facts(("relu", "gelu"), SEEDS), {}).axes
    assert found is not None
    assert found.columns[0].of("gelu").relation == "undecided"
    assert found.columns[0].of("gelu").n == SEEDS - 1


def test_a_false_discovery_rate_of_one_half_states_more() -> None:
    few = 4
    rows = rows_of({"relu": {"up": BASE[:few]}, "gelu": {"up": shifted(0.2)[:few]}})
    assert axes_of(rows).columns[0].of("gelu").relation == "undecided"
    assert axes_of(rows, alpha=0.5).columns[0].of("gelu").relation == "better"


def test_one_arm_alone_is_described() -> None:
    found = axes_of(rows_of({"relu": {"up": BASE}}))
    assert found.comparisons == 0
    assert found.columns[0].of("relu").mean == pytest.approx(np.mean(BASE))
    assert replace(found, sentences=()).statements == 0
