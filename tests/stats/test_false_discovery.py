"""Statements on many differences keep their false discovery rate, and equal a search through all cases."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from actlab.stats.e_process import Floats
from actlab.stats.false_discovery import STATEMENTS, find_statements, needed_for_statement

ALPHA = 0.05
# Which statements are false in each of the five cases of a difference, written down anew.
FALSE = (("better", "equivalent"), ("better",), ("better", "worse"), ("worse",), ("worse", "equivalent"))


def is_allowed(evidence: Floats, statements: dict[int, str], alpha: float) -> bool:
    """Go through every way in which the differences may be."""
    for way in product(FALSE, repeat=len(evidence)):
        false = sum(name in way[at] for at, name in statements.items())
        numbers = [
            np.mean([values[STATEMENTS.index(name)] for name in case])
            for values, case in zip(evidence, way, strict=True)
        ]
        if false / len(statements) > alpha * np.mean(numbers):
            return False
    return True


@pytest.mark.parametrize("differences", [1, 2, 3])
def test_it_makes_the_largest_number_of_statements_that_every_case_allows(differences: int) -> None:
    rng, made = np.random.default_rng(differences), 0
    for evidence in np.exp(rng.normal(scale=3, size=(60, differences, 3)) + 1):
        found = find_statements(evidence, ALPHA)
        stated = {at: STATEMENTS[index] for at, index in enumerate(found.tolist()) if index >= 0}
        assert not stated or is_allowed(evidence, stated, ALPHA)
        order = np.argsort(-evidence.max(-1))
        more = {int(at): STATEMENTS[evidence[at].argmax()] for at in order[: len(stated) + 1]}
        if len(stated) < differences and evidence.max() < 2 * differences / ALPHA:
            assert not is_allowed(evidence, more, ALPHA)
        made += len(stated)
    assert made


def test_evidence_that_suffices_alone_is_stated_whatever_the_others_are() -> None:
    evidence = np.full((5, 3), 1e-3)
    evidence[2, 1] = needed_for_statement(0, 5, ALPHA)
    assert find_statements(evidence, ALPHA).tolist() == [-1, -1, 1, -1, -1]
    evidence[2, 1] *= 0.99
    assert find_statements(evidence, ALPHA).tolist() == [-1] * 5


def test_equivalence_beyond_doubt_comes_before_better_by_less_than_matters() -> None:
    assert find_statements(np.array([[41.0, 5000.0, 0.0]]), ALPHA).tolist() == [0]
    assert find_statements(np.array([[39.0, 5000.0, 0.0]]), ALPHA).tolist() == [1]


def test_nothing_is_stated_on_evidence_of_zero() -> None:
    evidence = np.zeros((2, 3))
    evidence[0, 1] = 1e12
    assert find_statements(evidence, ALPHA).tolist() == [1, -1]
    assert find_statements(np.zeros((0, 3)), ALPHA).tolist() == []


def test_several_studies_at_once_are_judged_as_each_alone() -> None:
    evidence = np.exp(np.random.default_rng(1).normal(scale=3, size=(7, 6, 3)))
    assert find_statements(evidence, ALPHA).tolist() == [find_statements(one, ALPHA).tolist() for one in evidence]


def test_on_average_at_most_a_twentieth_of_the_statements_is_false() -> None:
    rng = np.random.default_rng(3)
    half = np.arange(24) % 2 == 0  # differences of which "better" is true
    shares = []
    for _ in range(300):
        signs = rng.random((24, 16)) < np.where(half, 0.9, 0.5)[:, None]  # a bet of 0.8 on each sign of 16 seeds
        better, worse = (np.prod(np.where(won, 1.8, 0.2), axis=1) for won in (signs, ~signs))
        found = find_statements(np.stack([np.zeros(24), better, worse], axis=1), ALPHA)
        false = (found == 2) | ((found == 1) & ~half)
        shares.append(false.sum() / max(1, (found >= 0).sum()))
    assert np.mean(shares) <= ALPHA
