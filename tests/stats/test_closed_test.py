"""The closed test agrees with an enumeration of all sets."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actlab.stats.closed_test import closed_evidence, evidence_beside, needed_evidence

EVIDENCE = st.lists(st.floats(0, 1e6), min_size=1, max_size=7)


def by_enumeration(values: list[float]) -> list[float]:
    members = range(len(values))
    sets = [chosen for size in range(1, len(values) + 1) for chosen in combinations(members, size)]
    return [min(np.mean([values[k] for k in chosen]) for chosen in sets if i in chosen) for i in members]


@given(EVIDENCE)
def test_the_smallest_average_is_that_over_all_sets(values):
    assert by_enumeration(values) == pytest.approx(closed_evidence(np.array(values)), rel=1e-9, abs=1e-9)


@given(EVIDENCE)
def test_beside_the_others_it_is_the_same(values):
    assert by_enumeration(values)[0] == pytest.approx(
        evidence_beside(np.array(values[0]), np.array(values[1:])), rel=1e-9, abs=1e-9
    )


@given(EVIDENCE)
def test_the_needed_evidence_is_just_enough(others):
    needed = needed_evidence(np.array(others), 20.0)

    assert evidence_beside(np.array(needed), np.array(others)) == pytest.approx(20.0, rel=1e-6)


def test_several_rows_are_those_one_by_one():
    rows = np.random.default_rng(0).exponential(size=(4, 5))

    assert closed_evidence(rows).tolist() == [closed_evidence(row).tolist() for row in rows]


def test_of_equal_numbers_each_is_its_own_average():
    assert closed_evidence(np.array([3.0, 3.0, 3.0])).tolist() == [3.0, 3.0, 3.0]


def test_no_hypotheses_have_no_evidence():
    assert closed_evidence(np.ones((4, 0))).shape == (4, 0)
