"""A model is evaluated during its training, and no number of the training changes."""

import random
import time

import numpy as np
import pytest
import torch
from tests.studies.tiny import data, metric, tiny
from torch import nn

from actlab.studies.arm import parse_arm
from actlab.studies.trials.trial import run_trial
from actlab.tasks.task import accuracy
from actlab.tasks.training.held_out import HeldOut, held_out_steps, undisturbed
from actlab.tasks.training.recorder import Recorder

RELU = parse_arm("relu")


def without_validation(seed):
    whole = data(seed)
    return {"train": (whole.train.x, whole.train.y), "test": (whole.test.x, whole.test.y)}


class Counting(nn.Module):
    """A layer with a buffer that every pass changes, in evaluation as well, by putting another tensor in its place."""

    def __init__(self):
        super().__init__()
        self.register_buffer("passes", torch.zeros(()))

    def forward(self, x):
        self.passes = self.passes + 1
        return x * (1 + self.passes / 100)


def drawing_metric(output, target):
    torch.rand(3), np.random.rand(3), random.random()  # noqa: NPY002, S311 # what a user's metric may draw from
    return metric(output, target)


def drawing_loss(output, target):
    return nn.functional.cross_entropy(output, target) * (1 + random.random() * np.random.rand())  # noqa: NPY002, S311 # as above


MODELS = {
    "batch normalisation": lambda _: nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)),
    "dropout": lambda _: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.4), nn.Linear(8, 2)),
    "randomised leaky ReLU": lambda _: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.RReLU(), nn.Linear(8, 2)),
    "buffer of its own": lambda _: nn.Sequential(nn.Linear(4, 8), Counting(), nn.ReLU(), nn.Linear(8, 2)),
    "part in evaluation mode": lambda _: nn.Sequential(
        nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.4).eval(), nn.Linear(8, 2)
    ),
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_evaluations_change_no_number_of_the_training(model):
    settings = {"model": model, "metric": drawing_metric, "loss": drawing_loss, "epochs": 12}
    evaluated = run_trial(tiny(**settings), RELU, 0)
    alone = run_trial(tiny(**settings, data=without_validation), RELU, 0)

    assert len(evaluated.series["negative loss"]["step"]) == 10
    assert evaluated.series["loss"]["value"] == alone.series["loss"]["value"]
    assert evaluated.curve == alone.curve


def test_a_planted_evaluation_that_leaves_the_mode_is_seen(monkeypatch):
    settings = {"model": MODELS["dropout"], "epochs": 12}
    alone = run_trial(tiny(**settings, data=without_validation), RELU, 0)

    def careless(self, model, step):
        model.eval()
        self.next = self._after(step)

    monkeypatch.setattr(HeldOut, "evaluate", careless)
    assert run_trial(tiny(**settings), RELU, 0).series["loss"]["value"] != alone.series["loss"]["value"]


def test_the_last_point_is_the_validation_result_and_the_half_is_that_of_the_controls():
    trial = run_trial(tiny(epochs=12), RELU, 0)
    series = trial.series["negative loss"]

    assert (series["step"][-1], series["value"][-1]) == (36, trial.validation)
    assert series["value"][series["step"].index(18)] == trial.controls["half_validation"]


def test_a_tuning_trial_has_the_same_series_as_a_main_trial():
    main, tune = (run_trial(tiny(epochs=12), RELU, 0, stage=stage) for stage in ("main", "pilot"))

    assert main.series["negative loss"]["value"] == tune.series["negative loss"]["value"]
    assert tune.metric is None


def test_the_time_of_an_evaluation_is_not_in_the_seconds_of_its_point():
    def slow(output, target):
        time.sleep(0.02)
        return metric(output, target)

    series = run_trial(tiny(metric=slow), RELU, 0).series

    # the loss of a step is known when the step has ended, at which the evaluation begins
    assert series["negative loss"]["step"] == series["loss"]["step"]
    assert series["negative loss"]["seconds"] == series["loss"]["seconds"]


@pytest.mark.parametrize("given", [{"metric": accuracy}, {"metric": None, "metrics": {"accuracy": accuracy}}])
def test_the_metric_beside_a_result_of_the_losses_has_its_own_name_and_is_no_control_of_the_result(given):
    trial = run_trial(tiny(**given, curve_metric=max, metric_name="largest loss", direction="min"), RELU, 0)

    assert trial.metric == max(trial.series["loss"]["value"])
    assert sorted(trial.series) == ["accuracy", "loss"]
    assert trial.series["accuracy"]["value"][-1] == trial.validation
    assert "half_validation" not in (trial.controls or {})


def test_without_a_validation_split_only_the_loss_is_recorded():
    assert list(run_trial(tiny(data=without_validation), RELU, 0).series) == ["loss"]


def test_a_metric_that_fails_during_the_training_leaves_out_a_point_and_not_the_trial():
    calls = []

    def failing(output, target):
        calls.append(0)
        if len(calls) == 2:
            raise ValueError("no positive example")
        return 0.5

    trial = run_trial(tiny(metric=failing), RELU, 0)

    assert trial.status == "completed"
    assert trial.series["negative loss"]["step"] == [1, 3, 4, 5, 6, 7, 8, 9]


def test_a_diverged_trial_keeps_the_points_before():
    trial = run_trial(tiny(learning_rate=1e30, epochs=12), RELU, 0)

    assert trial.status == "diverged"
    assert trial.series["loss"]["step"][-1] == trial.steps


def test_a_metric_called_as_the_training_loss_is_a_series_of_its_own():
    trial = run_trial(tiny(metric_name="loss", direction="min"), RELU, 0)

    assert sorted(trial.series) == ["held-out loss", "loss"]


@pytest.mark.parametrize("total", [1, 2, 7, 20, 27, 408, 10_001])
def test_the_steps_are_equally_spaced_with_half_and_last_behind_four_early_ones(total):
    steps = held_out_steps(total)

    assert len(steps) <= 12
    assert steps[-1] == total
    assert total < 2 or total // 2 in steps
    if total < 12:
        assert steps == tuple(range(1, total + 1))
    if total >= 128:
        assert max(np.diff([0, *steps[4:]])) - min(np.diff([0, *steps[4:]])) <= 1
        assert steps[:4] == (total // 128, total // 64, total // 32, total // 16)


@pytest.mark.parametrize(
    ("total", "examples", "batch"), [(1000, 10_000, 100), (300, 50_000, 128), (400, 250, 4), (300, 800, 128)]
)
def test_a_validation_split_that_is_large_for_the_training_is_evaluated_less_often(total, examples, batch):
    steps = held_out_steps(total, examples=examples, batch_size=batch)

    assert 6 <= len(steps) < 12
    assert total // 2 in steps
    assert len(steps) == 6 or examples * len(steps) <= 0.15 * total * batch


def test_a_stacked_trainer_records_the_same_series_by_hand():
    recorder = Recorder()
    held_out = HeldOut(tiny(), data(0).validation, total=40, recorder=recorder)
    for step in held_out_steps(40):
        held_out.record(step, step / 40, seconds=step / 10)

    assert recorder.to_series()["negative loss"]["step"] == [1, 2, *range(5, 41, 5)]
    assert held_out.half == 0.5


def test_modes_and_buffers_are_restored_after_an_error():
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout().eval())
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="size"), undisturbed(model):
        model.train()(torch.rand(3, 2)) @ torch.rand(3)

    assert (model[0].training, model[1].training) == (True, False)
    assert model[0].num_batches_tracked == 0
    assert torch.equal(torch.get_rng_state(), before)
