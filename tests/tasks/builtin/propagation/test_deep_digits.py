"""Variants of the deep nets differ in one thing, are fixed by their seed, and know their units."""

import pytest
import torch
from torch import nn

from actlab.errors import TaskError
from actlab.tasks import resolve
from actlab.tasks.builtin.propagation.deep_digits import DeepNet, scaled_digits, train
from actlab.tasks.training.handle import TrialHandle

NAMES = ("depth-8", "batch-norm-8", "dropout-8", "alpha-dropout-8", "sgd-0.1", "adam-0.001", "elu-paper")


def kinds(name):
    """Return the kinds of layers of a variant, with the number of each."""
    layers = [type(layer).__name__ for layer in resolve(f"deep-digits:{name}").model(0)]
    return {kind: layers.count(kind) for kind in sorted(set(layers))}


def test_variants_differ_from_the_plain_net_in_one_kind_of_layer():
    plain = {"Linear": 9, "ReLU": 8}

    assert kinds("depth-8") == kinds("elu-paper") == plain
    assert kinds("batch-norm-8") == plain | {"BatchNorm1d": 8}
    assert kinds("dropout-8") == plain | {"Dropout": 8}
    assert kinds("alpha-dropout-8") == plain | {"AlphaDropout": 8}


def test_the_number_in_the_name_is_the_learning_rate():
    assert [resolve(f"deep-digits:{name}").learning_rate for name in ("sgd-0.1", "adam-0.001")] == [0.1, 0.001]


@pytest.mark.parametrize("name", ["depth-0", "depth-65", "batch-norm-2.5", "sgd-101", "adam-0"])
def test_a_number_out_of_range_is_refused_with_the_range(name):
    with pytest.raises(TaskError, match=r"from 1 to 64|above 0 and up to 100"):
        resolve(f"deep-digits:{name}")


def test_nets_by_he_have_twice_the_variance_of_one_over_the_inputs_and_no_biases():
    layer = DeepNet(he=True, width=512).model(0)[2]

    assert float(layer.weight.detach().var() * 512) == pytest.approx(2, rel=0.05)
    assert not layer.bias.any()


def test_a_seed_gives_the_same_numbers_and_the_units_before_training_are_those_of_the_new_net():
    settings = DeepNet(depth=2, epochs=2)

    def result(seed):
        torch.manual_seed(0)
        trial = TrialHandle(lr=0.1)
        return train(settings.model(0), seed, trial, settings), trial.steps

    assert result(1) == result(1)
    assert result(1)[0] != result(2)[0]
    assert result(1)[1] == 2 * 40
    assert result(1)[0]["initial variance"] != result(1)[0]["variance"]


def test_a_learning_rate_is_tried_on_the_validation_split():
    settings = DeepNet(depth=1, epochs=1)
    torch.manual_seed(0)
    model = settings.model(0)
    found = train(model, 0, TrialHandle(lr=0.1, stage="tune"), settings)["accuracy"]
    split = scaled_digits(0, "validation")

    assert found == pytest.approx(float((model(split.x).argmax(1) == split.y).double().mean()))


def test_a_planted_large_bias_counts_as_dead_units_after_training():
    settings = DeepNet(depth=1, epochs=1)
    model = settings.model(0)
    nn.init.constant_(model[0].bias[:16], -1000.0)

    assert train(model, 0, TrialHandle(lr=0.01), settings)["dead"] == pytest.approx(0.25)
