"""The handle of a training function records what is reported, and its checkpoint goes on from there."""

import math

import pytest
import torch

from actlab.errors import TaskError
from actlab.tasks.training.checkpoint import Checkpoint
from actlab.tasks.training.handle import TrialHandle, returned_values
from actlab.tasks.training.loop import DivergedError
from actlab.tasks.training.recorder import Recorder


def handle(**settings):
    recorder = Recorder()
    return TrialHandle(metric_name="accuracy", recorder=recorder, **settings), recorder


def test_reports_become_series_of_the_trial():
    trial, recorder = handle()
    for step in (10, 20, 30):
        trial.report(step=step, loss=torch.tensor(1 / step), accuracy=step / 100)
    trial.close()

    series = recorder.to_series()

    assert series["accuracy"]["step"] == [10, 20, 30]
    assert series["accuracy"]["value"] == [0.1, 0.2, 0.3]
    assert series["loss"]["value"] == pytest.approx([1 / 10, 1 / 20, 1 / 30])
    assert trial.steps == 30
    assert trial.latest("accuracy") == 0.3


def test_a_second_report_of_a_step_replaces_the_first():
    trial, recorder = handle()
    trial.report(step=1, accuracy=0.1)
    trial.report(step=1, accuracy=0.2, loss=3.0)
    trial.report(step=2, accuracy=0.3)
    trial.close()

    assert recorder.to_series()["accuracy"]["value"] == [0.2, 0.3]


def test_without_a_step_the_reports_are_counted():
    trial, recorder = handle()
    trial.report(loss=2.0)
    trial.report(loss=1.0)
    trial.close()

    assert recorder.to_series()["loss"]["step"] == [1, 2]


def test_losses_of_every_step_are_those_of_a_trial_of_the_loop_and_others_are_not():
    every, recorder = handle()
    for step in (1, 2, 3):
        every.report(step=step, loss=step)
    every.close()
    some, other = handle()
    for step in (1, 2, 4):
        some.report(step=step, loss=step)
    some.close()

    assert recorder.losses == [1, 2, 3]
    assert other.losses == []


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"epoch": 1, "loss": 2.0}, "Did you mean step=epoch"),
        ({"step": 1.5, "loss": 2.0}, "whole number from 0 up"),
        ({"step": -1, "loss": 2.0}, "whole number from 0 up"),
        ({"step": True, "loss": 2.0}, "whole number from 0 up"),
        ({"step": 1, "loss": torch.ones(2)}, "one element, such as loss.mean()"),
        ({"step": 1, "accuracy": "good"}, "got accuracy=str: 'good'"),
        ({"step": 1, "accuracy": None}, "got accuracy=NoneType"),
    ],
)
def test_wrong_reports_say_what_to_change(values, says):
    trial, _ = handle()

    with pytest.raises(TaskError) as raised:
        trial.report(**values)
    assert says in str(raised.value)


@pytest.mark.parametrize("step", [{}, {"step": 7}])
def test_a_report_without_values_is_left_out_and_not_counted(step):
    trial, recorder = handle()
    trial.report(accuracy=0.5)
    trial.report(**step)
    trial.report(accuracy=0.6)
    trial.close()

    assert recorder.to_series()["accuracy"]["step"] == [1, 2]
    assert trial.steps == 2


def test_steps_that_begin_again_in_every_epoch_are_refused():
    trial, _ = handle()
    trial.report(step=9, loss=1.0)

    with pytest.raises(TaskError, match="count from 0 in every epoch"):
        trial.report(step=0, loss=1.0)


@pytest.mark.parametrize("name", ["loss", "accuracy"])
@pytest.mark.parametrize("value", [math.nan, math.inf, torch.tensor(math.nan)])
def test_a_loss_or_metric_that_is_not_finite_ends_the_trial(name, value):
    trial, _ = handle()

    with pytest.raises(DivergedError, match=f"the {name} is (nan|inf) at step 3"):
        trial.report(step=3, **{name: value})
    assert trial.diverged is not None


def test_a_reported_loss_is_the_training_loss_alone_also_where_the_result_has_that_name():
    recorder = Recorder()
    trial = TrialHandle(metric_name="loss", recorder=recorder)
    trial.report(step=1, loss=0.5)
    trial.close()

    assert list(recorder.to_series()) == ["loss"]


def test_another_value_may_be_nan():
    trial, recorder = handle()
    trial.report(step=1, auc=math.nan)
    trial.close()

    assert recorder.to_series()["auc"]["value"] == [None]


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ({"accuracy": 0.5, "f1": torch.tensor(0.25), "note": "x", "auc": math.nan}, {"accuracy": 0.5, "f1": 0.25}),
        (0.5, {"accuracy": 0.5}),
        (torch.tensor(0.5), {"accuracy": 0.5}),
        (None, {"accuracy": 0.75, "loss": 1.0}),
    ],
)
def test_a_mapping_a_number_or_the_last_reports_are_the_result(returned, expected):
    trial, _ = handle()
    trial.report(step=1, loss=1.0, accuracy=0.75)

    assert returned_values(returned, trial, metric="accuracy", of="train") == expected


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        ({"acuracy": 0.5}, "returned acuracy, and not accuracy, which is compared. Did you mean 'acuracy'?"),
        ({}, "returned an empty mapping"),
        (None, "returned None and reported nothing"),
        ([0.5], "returned a list"),
        (torch.ones(3), "returned a Tensor"),
        ({"accuracy": None}, "returned accuracy='None'; a number is needed"),
    ],
)
def test_a_result_that_is_missing_or_no_number_is_refused(returned, says):
    with pytest.raises(TaskError) as raised:
        returned_values(returned, handle()[0], metric="accuracy", of="train")
    assert says in str(raised.value)


def test_a_result_that_is_not_finite_has_diverged():
    with pytest.raises(DivergedError, match="the accuracy is nan"):
        returned_values({"accuracy": math.nan}, handle()[0], metric="accuracy", of="train")


def test_a_checkpoint_goes_on_with_state_generators_and_reports(tmp_path):
    def checkpoint():
        return Checkpoint(tmp_path / "trial.pt", key={"seed": 0}, every=0.0)

    torch.manual_seed(0)
    first, _ = handle(checkpoint=checkpoint())
    assert first.checkpoint.load() is None
    first.report(step=1, loss=2.0)
    first.report(step=2, loss=1.0)
    first.checkpoint.save({"step": 2, "weights": torch.ones(2)})
    following = torch.rand(3)

    torch.manual_seed(7)
    again, recorder = handle(checkpoint=checkpoint())
    state = again.checkpoint.load()
    assert torch.equal(torch.rand(3), following)
    again.report(step=3, loss=0.5)
    again.close()

    assert (state["step"], state["weights"].tolist()) == (2, [1, 1])
    assert recorder.losses == [2.0, 1.0, 0.5]
    assert recorder.to_series()["loss"]["step"] == [1, 2, 3]
