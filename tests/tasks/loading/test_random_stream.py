"""What loaders draw from the global generators comes from a stream of their own."""

# ruff: noqa: NPY002, S311 # the global generators are what is tested
import random

import numpy as np
import pytest
import torch

from actlab.tasks.loading.random_stream import RandomStream


def draws():
    return float(torch.rand(1)), np.random.rand(), random.random(), float(np.random.randn())


def test_a_stream_does_not_depend_on_what_is_drawn_outside():
    torch.manual_seed(0)
    alone, beside = RandomStream(5, 2), RandomStream(5, 2)
    expected = []
    for _ in range(4):
        with alone:
            expected.append(draws())

    found = []
    for _ in range(4):
        draws()
        with beside:
            found.append(draws())

    assert found == expected


def test_what_is_drawn_outside_does_not_depend_on_the_stream():
    def outside(read):
        torch.manual_seed(1), np.random.seed(1), random.seed(1)
        found = []
        stream = RandomStream(0)
        for _ in range(3):
            if read:
                with stream:
                    draws(), np.random.seed(9), torch.manual_seed(9), random.seed(9)
            found.append((float(torch.rand(1)), np.random.rand(), random.random()))
        return found

    assert outside(read=True) == outside(read=False)


def test_keys_give_streams_of_their_own():
    found = set()
    for key in [(0, 0), (0, 1), (1, 0), (2**70, 0), (-1, 0), (3, 2**40)]:
        with RandomStream(*key):
            found.add(draws())

    assert len(found) == 6


def states():
    return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()


def test_the_states_are_back_after_an_exception():
    before = states()

    with pytest.raises(ZeroDivisionError), RandomStream(0):
        draws(), 1 / 0

    assert states() == before
