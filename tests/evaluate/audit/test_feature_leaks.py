"""Leaking features: planted ones of several forms, and honest tables without any."""

import numpy as np
import pytest
from sklearn import datasets

from actlab.evaluate.audit.feature_leaks import class_scores, constant_columns, id_columns, number_scores


def leaks(rows, y, score=class_scores):
    found = score(rows, y, rate=0.01) if score is class_scores else score(rows, y)
    return [s.column for s in found if s.is_leak]


TABLES = {name: getattr(datasets, f"load_{name}")() for name in ("iris", "wine", "breast_cancer", "digits")}


@pytest.mark.parametrize("name", TABLES)
def test_honest_tables_have_no_leak(name):
    assert leaks(TABLES[name].data, TABLES[name].target) == []


def one_hot(y):
    return np.eye(y.max() + 1)[y]


PLANTED = {
    "a copy": lambda y, _: y[:, None],
    "a copy in other units": lambda y, _: 0.3 - 2.5 * y[:, None],
    "a copy with noise": lambda y, r: y[:, None] + 0.2 * r.random((len(y), 1)),
    "a code of its own": lambda y, r: r.permutation(50)[: y.max() + 1][y][:, None],
    "columns of one class each": lambda y, _: one_hot(y),
}


@pytest.mark.parametrize("form", PLANTED)
@pytest.mark.parametrize("name", ["wine", "digits"])
def test_planted_leaks_are_named_and_no_other_column(name, form):
    table = TABLES[name]
    added = PLANTED[form](table.target, np.random.default_rng(0))
    columns = table.data.shape[1]

    found = leaks(np.column_stack([table.data, added]), table.target)

    assert found == list(range(columns, columns + added.shape[1]))


def test_a_rare_class_is_no_excuse():
    random = np.random.default_rng(0)
    y = (random.random(20_000) < 0.01).astype(int)

    assert leaks(np.column_stack([random.normal(size=20_000), y]), y) == [1]
    assert leaks(random.normal(size=(20_000, 2)), y) == []  # a constant is right in 99 %


NUMBERS = {
    "in other units": (lambda y: 32 + 1.8 * y, True),
    "its logarithm": (np.log, True),
    "in a tenth of the rows another": (lambda y: np.where(np.arange(len(y)) % 10 == 0, 100.0, y), True),
    "with noise": (lambda y: y + np.random.default_rng(0).normal(size=len(y)), False),
}


@pytest.mark.parametrize("form", NUMBERS)
def test_of_a_number_only_what_it_is_computed_from_leaks(form):
    change, is_leak = NUMBERS[form]
    found = datasets.load_diabetes()
    rows = np.column_stack([found.data, change(found.target)]).astype(np.float32)

    assert leaks(rows, found.target.astype(np.float32), number_scores) == ([10] if is_leak else [])


def test_the_last_value_of_a_random_walk_is_no_leak():
    walk = np.cumsum(np.random.default_rng(0).normal(size=3000))
    rows = np.lib.stride_tricks.sliding_window_view(walk[:-1], 10)

    scores = number_scores(rows, walk[10:])

    assert max(score.skill for score in scores) > 0.99
    assert not any(score.is_leak for score in scores)


def test_constant_and_id_columns():
    random = np.random.default_rng(0)
    rows = np.column_stack(
        [np.full(200, 3.0), random.permutation(200) + 1000, random.integers(0, 10**6, 200), random.normal(size=200)]
    )

    assert constant_columns(rows) == [0]
    assert id_columns(rows, 200) == [1]
    assert id_columns(rows[:20], 20) == []
