"""A training function gets model, seed and trial by the names of its parameters."""
# ruff: noqa: ARG005 # the parameters are what is tested

import pytest

from actlab.errors import TaskError
from actlab.tasks.training_function.arguments import bound_arguments, takes

GIVEN = {"model": "M", "seed": 1, "trial": "T"}


def call(function):
    args, keywords = bound_arguments(function, GIVEN)
    return function(*args, **keywords)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda model: (model,), ("M",)),
        (lambda model, seed: (model, seed), ("M", 1)),
        (lambda model, trial: (model, trial), ("M", "T")),
        (lambda trial, seed, model: (trial, seed, model), ("T", 1, "M")),
        (lambda seed, *, model, trial: (seed, model, trial), (1, "M", "T")),
        (lambda net: (net,), ("M",)),
        (lambda net, seed, epochs=3: (net, seed, epochs), ("M", 1, 3)),
        (lambda net, /, trial: (net, trial), ("M", "T")),
        (lambda model, seed, /: (model, seed), ("M", 1)),
        (lambda *all: all, ("M", 1, "T")),
        (lambda **all: tuple(all.values()), ("M", 1, "T")),
        (lambda model, **rest: (model, rest), ("M", {"seed": 1, "trial": "T"})),
    ],
)
def test_every_signature_gets_what_it_names(function, expected):
    assert call(function) == expected


@pytest.mark.parametrize(
    "function", [lambda: 0, lambda seed: 0, lambda model, config: 0, lambda *, net: 0, lambda model, x, y: 0]
)
def test_signatures_that_cannot_be_called_are_refused(function):
    with pytest.raises(TaskError, match="takes"):
        bound_arguments(function, GIVEN)


def test_whether_a_function_takes_the_trial_is_known():
    assert takes(lambda model, trial: 0, "trial")
    assert not takes(lambda model, seed: 0, "trial")
