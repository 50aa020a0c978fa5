"""Data are accepted as dicts and tuples of arrays; user code runs with seeded generators, which are restored."""

import random

import numpy as np
import pytest
import torch

from actlab.errors import TaskError
from actlab.tasks import Data, Split
from actlab.tasks.data import as_data
from actlab.tasks.isolation import isolated
from actlab.tasks.task import accuracy, adam

PAIR = (np.ones((4, 3)), np.array([0, 1, 0, 1], dtype=np.int32))


@pytest.mark.parametrize(
    "given",
    [
        {"train": PAIR, "test": PAIR},
        (PAIR, PAIR),
        [list(PAIR), PAIR],
        {"train": Split(x=torch.ones(4, 3), y=torch.tensor([0, 1, 0, 1])), "test": PAIR, "validation": None},
    ],
    ids=["dict", "tuple", "list", "splits"],
)
def test_data_may_come_as(given):
    data = as_data(given)

    assert isinstance(data, Data)
    assert (data.train.x.dtype, data.train.y.dtype) == (torch.float32, torch.int64)
    assert data.validation is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"train": PAIR}, "has no test split; it has train"),
        ({"train": PAIR, "tset": PAIR}, "split 'tset'.*Did you mean 'test'"),
        (PAIR[0], "returned a ndarray"),
        ((PAIR, PAIR, PAIR), "returned a tuple of length 3"),
        ({"train": PAIR[0], "test": PAIR}, "not a pair"),
        ({"train": (np.array(["a", "b"]), PAIR[1]), "test": PAIR}, "holds <U1; numbers are needed"),
        (None, "returned a NoneType"),
    ],
)
def test_other_forms_of_data_are_refused_and_the_allowed_ones_listed(given, said):
    with pytest.raises(TaskError, match=f"(?s){said}"):
        as_data(given)


def test_global_generators_are_seeded_inside_and_restored_after():
    torch.manual_seed(5), np.random.seed(5), random.seed(5)  # noqa: NPY002 # the global generators are what is tested
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002 # as above

    draws = []
    for _ in range(2):
        with isolated(7):
            draws.append((torch.rand(1).item(), np.random.rand(), random.random()))  # noqa: NPY002, S311 # as above

    assert draws[0] == draws[1]
    assert torch.equal(states[0], torch.get_rng_state())
    assert np.array_equal(states[1], np.random.get_state()[1])  # noqa: NPY002 # as above
    assert states[2] == random.getstate()


def test_global_generators_are_restored_after_an_error_too():
    before = torch.get_rng_state()

    with pytest.raises(ZeroDivisionError), isolated(7):
        1 / 0  # noqa: B018 # it is there to raise

    assert torch.equal(before, torch.get_rng_state())


def test_adam_is_fused_only_where_the_parameters_allow_it():
    assert adam([torch.nn.Parameter(torch.ones(2))], 0.1).defaults["fused"] is True
    assert adam([torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16))], 0.1).defaults["fused"] is None


def test_fused_adam_takes_the_step_of_the_plain_one():
    weights = [torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64)) for _ in range(2)]
    optimizers = [adam([weights[0]], 0.1), torch.optim.Adam([weights[1]], 0.1, fused=False)]
    for weight, optimizer in zip(weights, optimizers, strict=True):
        for _ in range(3):
            weight.grad = weight.detach() ** 2
            optimizer.step()

    assert torch.allclose(weights[0], weights[1], rtol=1e-12)


def test_accuracy_is_an_exact_share():
    assert accuracy(torch.eye(3), torch.tensor([0, 1, 1])) == 2 / 3
