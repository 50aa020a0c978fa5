"""Controls of a trial: a constant prediction, and the validation result after half of the training."""

import torch
from sklearn.dummy import DummyClassifier, DummyRegressor
from tests.studies.tiny import data, metric, tiny
from torch import nn

from actlab.studies.arm import parse_arm
from actlab.studies.trials.loop_trial import train_model
from actlab.studies.trials.trial import run_trial
from actlab.tasks.task import accuracy
from actlab.tasks.training.controls import constant_metric
from actlab.tasks.training.evaluation import evaluate_model


def half(*_):
    return 0.5


def not_a_number(*_):
    return float("nan")


def squared_error(output, target):
    return float(((output - target) ** 2).mean())


def test_a_classifier_that_prefers_the_largest_class_gives_its_share():
    x, y = torch.randn(200, 3), (torch.arange(200) % 10 == 0).long()
    output = torch.stack([torch.full((200,), 0.8), 0.3 * torch.rand(200)], 1)

    assert constant_metric(accuracy, output, y) == DummyClassifier().fit(x, y).score(x, y) == 0.9


def test_a_regression_gives_the_error_of_the_mean():
    x, y = torch.randn(200, 3), torch.randn(200, 1)
    output = y - y.mean() + y.mean() + 0.1 * torch.randn(200, 1)
    mean = DummyRegressor().fit(x, output).predict(x)

    found = constant_metric(squared_error, output, y)

    assert abs(found - squared_error(torch.from_numpy(mean), y)) < 1e-6


def test_dense_labels_are_predictions_too_and_other_outputs_are_none():
    assert constant_metric(half, torch.rand(4, 3, 2, 2), torch.zeros(4, 2, 2).long()) == 0.5
    assert constant_metric(half, torch.rand(4, 784), torch.rand(4, 64)) is None  # images and features
    assert constant_metric(half, torch.rand(1, 3), torch.zeros(1).long()) is None


def test_a_metric_that_fails_or_is_not_finite_gives_none():
    def fails(output, target):
        raise ValueError

    y = torch.zeros(4).long()

    assert constant_metric(fails, torch.rand(4, 3), y) is None
    assert constant_metric(not_a_number, torch.rand(4, 3), y) is None


def test_a_trial_records_the_validation_result_of_half_of_its_steps():
    task = tiny(epochs=4)
    trial = run_trial(task, parse_arm("relu"), 1)

    half = train_model(tiny(epochs=2), 1, arm=parse_arm("relu"))

    assert trial.controls["half_validation"] == evaluate_model(task, half, data(1).validation)


def test_a_model_that_predicts_one_value_has_its_own_result_as_the_control():
    def constant(seed):
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        nn.init.zeros_(model[2].weight)
        return model

    trial = run_trial(tiny(model=constant, learning_rate=1e-12), parse_arm("relu"), 0)

    assert abs(trial.controls["constant"] - trial.metric) < 1e-6


def test_the_controls_change_no_result():
    """Dropout and a model that draws in evaluation notice every additional number that is drawn."""

    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.act, self.last = nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)

        def forward(self, x):
            return self.last(nn.functional.dropout(self.act(self.first(x)), 0.3) + torch.rand(1))

    def noisy(_):
        return Noisy()

    def without_validation(seed):
        whole = data(seed)
        return {"train": (whole.train.x, whole.train.y), "test": (whole.test.x, whole.test.y)}

    settings = {"model": noisy, "metric": metric}
    with_half = run_trial(tiny(**settings), parse_arm("relu"), 0)
    without = run_trial(tiny(**settings, data=without_validation), parse_arm("relu"), 0)

    assert "half_validation" in with_half.controls
    assert "half_validation" not in without.controls
    assert (with_half.train_loss, with_half.curve) == (without.train_loss, without.curve)
