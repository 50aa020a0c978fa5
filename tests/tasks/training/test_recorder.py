"""A series keeps at most 200 points with the first, the best and the last, and goes on from a stored state."""

import json

import numpy as np
import pytest

from actlab.tasks.training.recorder import POINTS, Recorder


def recorded(values, name="accuracy", **more):
    recorder = Recorder()
    for step, value in enumerate(values, 1):
        recorder.record(step, {name: value}, seconds=step / 100, **more)
    return recorder.to_series()[name]


@pytest.mark.parametrize("count", [1, 2, 199, 200, 201, 1000, 12_345])
@pytest.mark.parametrize("seed", [0, 1])
def test_any_number_of_values_keeps_first_best_and_last_in_order(count, seed):
    values = np.random.default_rng(seed).normal(size=count).tolist()
    series = recorded(values)

    assert len(series["step"]) == len(series["value"]) == len(series["seconds"]) <= POINTS
    assert series["step"] == sorted(set(series["step"]))
    assert (series["step"][0], series["step"][-1]) == (1, count)
    assert {min(values), max(values)} <= set(series["value"])
    assert all(values[step - 1] == value for step, value in zip(series["step"], series["value"], strict=True))


def test_up_to_the_limit_every_value_is_kept():
    assert recorded([float(step) for step in range(197)])["step"] == list(range(1, 198))


def test_thinned_points_are_spread_over_the_whole_series():
    steps = recorded([0.0] * 10_000)["step"]

    assert len(steps) > 90
    assert max(np.diff(steps)) <= 128


def test_the_first_of_equal_best_values_is_kept():
    series = recorded([0.0] * 3 + [1.0] * 997)

    assert series["step"][series["value"].index(1.0)] == 4


def test_values_that_are_not_finite_are_stored_as_none_and_are_never_the_best():
    series = recorded([float("nan"), 1.0, float("inf"), 2.0, float("-inf")])

    assert series["value"] == [None, 1.0, None, 2.0, None]
    assert json.loads(json.dumps(series, allow_nan=False)) == series


def test_losses_are_a_series_with_seconds_between_the_ticks():
    recorder = Recorder()
    recorder.losses += [4.0, 3.0, 2.0, 1.0]
    recorder.tick(2, seconds=1.0)
    recorder.tick(4, seconds=5.0)

    assert recorder.to_series() == {
        "loss": {"step": [1, 2, 3, 4], "seconds": [0.5, 1.0, 3.0, 5.0], "value": [4.0, 3.0, 2.0, 1.0]}
    }


def test_a_recorded_loss_is_the_series_of_the_loss():
    recorder = Recorder()
    recorder.losses += [4.0, 3.0]
    recorder.record(7, loss=0.5, seconds=1.0)

    assert recorder.to_series()["loss"]["value"] == [0.5]


def test_the_time_of_an_evaluation_does_not_count(monkeypatch):
    now = [10.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    recorder = Recorder()
    now[0] = 12.0
    with recorder.paused():
        now[0] = 17.0
    now[0] = 18.0

    assert recorder.seconds == 3.0


def test_a_training_that_goes_on_from_a_stored_state_has_the_same_series():
    values = np.random.default_rng(0).normal(size=1500).tolist()
    whole = Recorder()
    for step, value in enumerate(values, 1):
        whole.record(step, accuracy=value, seconds=step)
        whole.losses.append(value)

    first = Recorder()
    for step, value in enumerate(values[:700], 1):
        first.record(step, accuracy=value, seconds=step)
        first.losses.append(value)
    second = Recorder()
    second.restore(json.loads(json.dumps(first.state())))
    for step, value in enumerate(values[700:], 701):
        second.record(step, accuracy=value, seconds=step)
        second.losses.append(value)

    assert second.to_series() == whole.to_series()


def test_a_recorder_that_goes_on_counts_the_seconds_on(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    first = Recorder()
    now[0] = 5.0
    state = first.state()
    now[0] = 100.0
    second = Recorder()
    second.restore(state)
    now[0] = 101.0

    assert second.seconds == 6.0
