"""Neighbours while points stream past: the same as of all pairs, and copies across and within splits."""

import numpy as np
from scipy.spatial.distance import cdist

from actlab.evaluate.audit.hash_sample import mixed
from actlab.evaluate.audit.neighbours.near_duplicates import NEIGHBOURS, NearDuplicates


def searched(parts, capacity=10_000, rate=0.01):
    search = NearDuplicates(capacity, rate=rate)
    for number, (split, points) in enumerate(parts.items()):
        index = np.arange(len(points))
        for at in range(0, len(points), 300):
            chosen = index[at : at + 300]
            search.add(split, points[chosen], index=chosen, keys=mixed(chosen + 10**6 * number), targets=chosen % 2)
    return search


def cloud(n, seed, d=5):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def test_neighbours_are_those_of_all_pairs():
    test, train = cloud(700, 0), cloud(2500, 1)

    found = searched({"test": test, "train": train})._queries["test"].near["train"]

    every = cdist(test, train)
    order = np.argsort(every, axis=1)[:, :NEIGHBOURS]
    assert np.allclose(found.distance, np.take_along_axis(every, order, 1), rtol=1e-4)
    assert (found.index == order).mean() > 0.999


def test_no_point_is_its_own_neighbour():
    points = cloud(900, 0)

    found = searched({"test": points})._queries["test"].near["test"]

    assert (found.index != np.arange(900)[:, None]).all()
    assert found.distance[:, 0].min() > 0


def test_copies_are_found_across_and_within_splits_and_no_others():
    test, train = cloud(500, 0), cloud(2000, 1)
    test[7] = train[50] + 1e-3
    train[60] = train[1900] + 1e-3

    reports = list(searched({"test": test, "train": train}).reports(has_classes=False))

    assert [(r.splits, r.severity, r.examples) for r in reports] == [
        (("test", "train"), "finding", ((7, 50),)),
        (("train", "train"), "note", ((60, 1900),)),
    ]


def test_equal_content_is_no_near_duplicate():
    test, train = cloud(100, 0), cloud(400, 1)
    test[7] = train[50]
    search = NearDuplicates(1000, rate=0.01)
    numbers = np.arange(400) + 100
    numbers[50] = 7  # the key of the copy is that of the original
    for split, points, keys in (("test", test, np.arange(100)), ("train", train, numbers)):
        search.add(split, points, index=np.arange(len(points)), keys=mixed(keys), targets=keys)

    assert list(search.reports(has_classes=False)) == []


def test_of_more_queries_than_the_capacity_a_sample_is_searched_and_counts_are_scaled_up():
    test, train = cloud(4000, 0), cloud(6000, 1)
    test[:800] = train[:800] + 1e-4

    search = searched({"test": test, "train": train}, capacity=1000)
    report = next(iter(search.reports(has_classes=False)))

    assert search.share <= 0.25
    assert report.estimated
    assert abs(report.count - 800) < 250
