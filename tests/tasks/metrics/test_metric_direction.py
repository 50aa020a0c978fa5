"""The direction of well-known metrics is read from their names, and of no others."""

import pytest

from actlab.tasks.metrics.metric_direction import direction_of, first_known


@pytest.mark.parametrize(
    "name", ["accuracy", "val_acc", "eval/accuracy", "test_f1", "roc_auc", "R2", "mAP", "top1", "BLEU", "valAccuracy"]
)
def test_larger_is_better(name):
    assert direction_of(name) == "max"


@pytest.mark.parametrize(
    "name",
    ["loss", "val_loss", "error_rate", "MSE", "testRMSE", "perplexity", "nll", "eval-mae", "negative_log_likelihood"],
)
def test_smaller_is_better(name):
    assert direction_of(name) == "min"


@pytest.mark.parametrize("name", ["gap", "epochs", "", "time", "accuracy_loss", "lossless", "step"])
def test_other_names_tell_nothing(name):
    assert direction_of(name) is None


def test_what_is_measured_on_the_training_data_is_compared_only_where_no_other_name_is_there():
    assert (
        first_known(["train_acc", "val_acc"]) == first_known(["running_loss", "trainAccuracy", "val_acc"]) == "val_acc"
    )
    assert first_known(["train_acc", "val_loss"]) == "val_loss"
    assert first_known(["train_acc"]) == "train_acc"
    assert first_known(["train_acc", "loss"], is_all=False) is None


def test_the_training_loss_is_compared_only_where_there_is_no_other_metric():
    assert first_known(["loss", "validation", "auc"]) == "auc"
    assert first_known(["train_loss", "epochs"]) == "train_loss"
    assert first_known(["validation", "epochs"]) is None
