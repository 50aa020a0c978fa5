"""A training function becomes a task: its metric and direction are read from what it returns, and wrong use says what to change."""
# ruff: noqa: ARG002, ARG005, C408, RET504 # what is tested is the form of the functions

import re
from functools import partial

import pytest
import torch
from torch import nn

from actlab.errors import TaskError
from actlab.tasks import task_file
from actlab.tasks.training_function.function_task import function_task, task_and_options


def build(seed):
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def literal(model, seed):
    return {"epochs": 3, "accuracy": 0.5, "f1": 0.4}


def smaller(model):
    return {"test_rmse": 1.0}


def variable(model):
    results = {"auc": 0.5}
    return results


def called(model):
    return dict(perplexity=3.0)


def reported(model, trial):
    trial.report(step=1, loss=1.0, top1=0.5)


def loss_only(model):
    return {"loss": 1.0}


def unknown_direction(model):
    return {"gap": 1.0}


def number(model):
    return 0.5


def opaque(model):
    return build(0)


def generator(model):
    yield {"accuracy": 0.5}


async def coroutine(model):
    return {"accuracy": 0.5}


class Runner:
    def fit(self, model, seed):
        return {"mae": 1.0}


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        (literal, ("accuracy", "max")),
        (smaller, ("test_rmse", "min")),
        (variable, ("auc", "max")),
        (called, ("perplexity", "min")),
        (reported, ("top1", "max")),
        (loss_only, ("loss", "min")),
        (Runner().fit, ("mae", "min")),
        (partial(literal, seed=0), ("accuracy", "max")),
    ],
)
def test_metric_and_direction_are_read_from_the_names_that_are_returned_or_reported(train, expected):
    task = function_task(train, model=build)

    assert (task.metric_name, task.direction, task.door) == (*expected, "function")


def test_a_given_metric_and_direction_count():
    task = function_task(unknown_direction, model=build, metric_name="gap", direction="min")
    other = function_task(literal, model=build, metric_name="f1")

    assert (task.metric_name, task.direction) == ("gap", "min")
    assert (other.metric_name, other.direction) == ("f1", "max")


def test_a_given_direction_makes_the_first_name_the_metric():
    assert function_task(unknown_direction, model=build, direction="max").metric_name == "gap"


@pytest.mark.parametrize(
    ("train", "options", "says"),
    [
        (literal, {}, "there is no model for it. Add model=build"),
        (literal, {"model": build(0)}, "model is a Sequential; every trial needs a new one"),
        (
            literal,
            {"model": build, "metric_name": "acuracy"},
            "returns epochs, accuracy and f1. Did you mean 'accuracy'?",
        ),
        (
            unknown_direction,
            {"model": build},
            "Which result of unknown_direction is compared is not known: it returns or reports gap",
        ),
        (unknown_direction, {"model": build, "metric_name": "gap"}, "its name does not tell. Add direction"),
        (number, {"model": build}, "no names can be read in its source. Add metric_name"),
        (opaque, {"model": build}, "no names can be read in its source. Add metric_name"),
        (generator, {"model": build}, "generator has a yield, so that a call of it trains nothing"),
        (coroutine, {"model": build}, "coroutine is async, so that a call of it trains nothing"),
        (lambda: 0, {"model": build, "metric_name": "accuracy"}, "takes no model"),
        (
            lambda model, config: 0,
            {"model": build, "metric_name": "accuracy"},
            "takes config, which ActLab does not have",
        ),
    ],
)
def test_what_is_missing_or_wrong_is_said_before_any_training(train, options, says):
    with pytest.raises(TaskError, match=re.escape(says)):
        function_task(train, **options)


def test_options_of_the_loop_are_refused_beside_a_training_function_and_the_others_pass():
    with pytest.raises(
        TaskError, match=r"epochs and batch_size cannot be given .* functools.partial\(literal, epochs="
    ):
        task_and_options(literal, {"model": build, "epochs": 3, "batch_size": 8})

    task, rest = task_and_options(literal, {"model": build, "seeds": 3, "rope": 0.1})

    assert (task.name, rest) == ("literal", {"seeds": 3, "rope": 0.1})


def test_options_of_a_training_function_are_refused_where_there_is_none():
    with pytest.raises(TaskError, match="'digits' brings its own"):
        task_and_options("digits", {"model": build})


FILE = """
from torch import nn

def model(seed):
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

epochs = 2

def train(model, seed, trial):
    for epoch in range(epochs):
        trial.report(step=epoch + 1, loss=1.0)
    return {"accuracy": 0.5}
"""


def load(folder, text):
    file = folder / "my_train.py"
    file.write_text(text, encoding="utf-8")
    return task_file.load(file)


def test_a_file_with_model_and_train_is_a_training_function(tmp_path):
    task = load(tmp_path, FILE + "learning_rate = 0.02\nrope = 0.01\ndescription = 'mine'\n")

    assert (task.door, task.name, task.metric_name, task.direction) == ("function", "my_train", "accuracy", "max")
    assert (task.learning_rate, task.rope, task.description, task.file) == (
        0.02,
        0.01,
        "mine",
        str(tmp_path / "my_train.py"),
    )


def test_a_file_of_the_loop_that_has_a_helper_called_train_stays_what_it_was(tmp_path):
    text = FILE + "loss = metric = lambda output, target: output\ndef data(seed): return train\ndirection = 'max'\n"

    assert load(tmp_path, text).door == "loop"


def test_a_setting_of_the_loop_that_train_does_not_read_is_refused(tmp_path):
    with pytest.raises(
        TaskError, match=r"batch_size \(line \d+\): is a setting of the loop of ActLab; this file trains by its own"
    ):
        load(tmp_path, FILE + "batch_size = 8\n")


def test_a_misspelt_setting_of_a_training_function_is_refused(tmp_path):
    with pytest.raises(TaskError, match=r"lr \(line \d+\): did you mean 'learning_rate'"):
        load(tmp_path, FILE + "lr = 0.1\n")


def test_inputs_of_the_model_may_be_a_function_or_a_value():
    fixed = function_task(literal, model=build, example_inputs=torch.ones(2, 4))
    made = function_task(literal, model=build, example_inputs=lambda seed: torch.zeros(seed, 4))

    assert fixed.example_inputs(7).shape == (2, 4)
    assert made.example_inputs(3).shape == (3, 4)


def test_a_class_of_modules_is_a_model_and_its_code_is_part_of_the_plan():
    class Net(nn.Module):
        def __init__(self, width=3):
            super().__init__()
            self.layer = nn.Linear(4, width)

    task = function_task(literal, model=Net)

    assert task.model(7).layer.out_features == 3
    assert function_task(literal, model=lambda: Net(5)).model(7).layer.out_features == 5
