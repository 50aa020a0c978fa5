"""Metric of a script, from the names in its calls of report."""

import pytest

from actlab.errors import TaskError
from actlab.tasks.scripts.metric_name import find_metric, reported_names


def test_names_are_those_of_keywords_in_the_order_of_the_text():
    text = "import actlab as a\nfor i in []:\n    a.report(step=i, loss=1)\nif 1:\n    a.report(f1=2, loss=3)"
    assert reported_names(text) == ["loss", "f1"]


def test_a_text_that_is_no_python_reports_nothing():
    assert reported_names("report(") == reported_names("#!/bin/bash\necho report") == []


@pytest.mark.parametrize(
    ("call", "metric"),
    [
        ("report(loss=1, val_accuracy=2)", ("val_accuracy", "max")),
        ("report(loss=1, rmse=2, accuracy=3)", ("rmse", "min")),
        ("report(epochs=1, loss=2)", ("loss", "min")),
        ("report(validation=1, perplexity=2)", ("perplexity", "min")),
    ],
)
def test_the_first_name_whose_direction_is_known_is_the_metric(call, metric):
    assert find_metric(call, None, None) == metric


@pytest.mark.parametrize("names", ["loss=1", "train_acc=1", "step=2, train_loss=1"])
def test_the_training_loss_is_not_compared_where_other_names_cannot_be_read(names):
    with pytest.raises(TaskError, match="names that cannot be read"):
        find_metric(f"report({names}, **metrics)", None, None)
    assert find_metric(f"report({names}, val_acc=3, **metrics)", None, None) == ("val_acc", "max")


def test_a_metric_of_unknown_direction_needs_one():
    assert find_metric("report(gap=1)", None, "min") == ("gap", "min")
    with pytest.raises(TaskError, match="--direction max"):
        find_metric("report(gap=1)", "gap", None)


@pytest.mark.parametrize("text", ["report(gap=1)", "report(**values)", ""])
def test_without_a_known_name_the_message_says_what_to_add(text):
    with pytest.raises(TaskError, match="--metric NAME --direction max"):
        find_metric(text, None, None)


@pytest.mark.parametrize(("metric", "direction"), [("accuracy", "up"), ("", "max"), (3, "max"), ("a\nb", "max")])
def test_what_is_no_metric_or_direction_is_refused(metric, direction):
    with pytest.raises(TaskError):
        find_metric("report(accuracy=1)", metric, direction)
