"""Walk-forward splits train on what was known before the first forecast of the test, and refuse series that are too short."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actlab.errors import TaskError
from actlab.evaluate.audit.audit import audit
from actlab.tasks import resolve
from actlab.tasks.builtin.series.walk_forward import WalkForward, moments_of
from actlab.tasks.task import load_data


@settings(max_examples=30, deadline=None)
@given(
    horizon=st.integers(1, 20),
    test=st.integers(1, 30),
    validation=st.integers(1, 30),
    periods=st.integers(1, 6),
    more=st.integers(1, 50),
)
def test_targets_of_a_split_end_before_the_first_forecast_of_the_next_one(horizon, test, validation, periods, more):
    origins = test * periods + validation + 2 * horizon + more
    split = WalkForward(origins=origins, horizon=horizon, test=test, validation=validation, periods=periods)

    for seed in range(periods):
        parts = split.parts(seed)
        assert len(parts["train"]) >= 1
        assert (len(parts["validation"]), len(parts["test"])) == (validation, test)
        # The last target of an origin t is the value of t + horizon, which is known at that time.
        assert parts["train"][-1] + horizon <= parts["validation"][0]
        assert parts["validation"][-1] + horizon <= parts["test"][0]
        assert parts["test"][-1] < origins


def test_test_periods_follow_each_other_and_begin_again_after_the_first():
    split = WalkForward(origins=200, horizon=3, test=20, validation=10, periods=4)
    tests = [split.parts(seed)["test"] for seed in range(5)]

    assert [period.start for period in tests] == [180, 160, 140, 120, 180]
    assert all(period.stop - period.start == 20 for period in tests)


def test_a_series_that_is_too_short_is_refused_with_what_it_would_need():
    with pytest.raises(
        TaskError, match="walk-forward split of 50 forecasts is not possible: 3 test periods of 10, a validation period"
    ):
        WalkForward(origins=50, horizon=5, test=10, validation=10, periods=3)


@pytest.mark.parametrize("name", ["co2", "oil", "oil:causal"])
def test_the_times_of_shipped_forecasts_divide_their_splits(name):
    task = resolve(name)
    splits = load_data(task, 3).splits
    times = {split: task.times(part.x, part.y) for split, part in splits.items()}

    assert max(times["train"]) < min(times["validation"])
    assert max(times["validation"]) < min(times["test"])
    assert all(sorted(set(found)) == found for found in times.values())


def test_the_audit_sees_that_a_shipped_forecast_is_split_at_random():
    task = resolve("co2")

    def shuffled(seed):
        parts = load_data(task, seed)
        x, y = (torch.cat([getattr(parts.train, part), getattr(parts.test, part)]) for part in "xy")
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
        train, test = order[104:], order[:104]
        return {"train": (x[train], y[train]), "test": (x[test], y[test])}

    assert audit(task).findings == ()
    assert [finding.kind for finding in audit(replace(task, data=shuffled)).findings] == ["time order"]


def test_an_example_that_is_not_of_the_series_has_no_moment():
    series = torch.arange(6.0).view(3, 2)

    assert moments_of(series.flip(0), known=series, moments=[1, 2, 3]) == [3, 2, 1]
    assert math.isnan(moments_of(series[:1] + 0.5, known=series, moments=[1, 2, 3])[0])
