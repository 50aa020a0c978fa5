"""The forecast is the number of seeds after which repeated results suffice."""

from __future__ import annotations

import math

import numpy as np
import pytest

from actlab.stats.e_process import log_e_process
from actlab.stats.equivalence import log_equivalence
from actlab.stats.forecast import forecast


@pytest.mark.parametrize("sign", [1, -1])
def test_the_forecast_is_the_number_of_seeds_after_which_the_same_results_suffice(sign):
    sample = sign * np.array([1.0, -0.5, 0.8, 1.4, -0.2])
    more = forecast(sample, better=200.0, worse=200.0)
    evidence = log_e_process(sign * np.resize(sample, 5 + more))

    assert evidence[-1] >= math.log(200.0)
    assert (evidence[:-1] < math.log(200.0)).all()


def test_the_two_directions_may_need_different_evidence():
    sample = [1.0, -0.5, 0.8, 1.4, -0.2]

    assert forecast(sample, better=40.0, worse=1e9) < forecast(sample, better=1e6, worse=40.0)


def test_a_pair_may_be_decided_by_being_practically_equal():
    sample = np.array([0.1, -0.11, 0.09, -0.1, 0.02])
    more = forecast(sample, better=1e9, worse=1e9, rope=0.05, equivalent=100.0)
    evidence = log_equivalence(np.resize(sample, 5 + more), 0.05)

    assert evidence[-1] >= math.log(100.0)
    assert (evidence[5:-1] < math.log(100.0)).all()
    assert forecast(sample, better=1e9, worse=1e9) is None


@pytest.mark.parametrize("sample", [[], [0.3]])
def test_without_a_spread_there_is_no_forecast(sample):
    assert forecast(sample, better=40.0, worse=40.0) is None


def test_a_forecast_beyond_the_cap_is_none():
    assert forecast([1.0, -1.0, 1.0, -1.0], better=40.0, worse=40.0) is None


def test_identical_results_are_never_separated_but_soon_equivalent():
    assert forecast([0.0, 0.0, 0.0], better=40.0, worse=40.0) is None
    assert forecast([0.0, 0.0, 0.0], better=40.0, worse=40.0, equivalent=20.0) == 2


def test_what_has_enough_evidence_already_needs_one_more():
    assert forecast([0.1] * 9, better=40.0, worse=40.0) == 1
