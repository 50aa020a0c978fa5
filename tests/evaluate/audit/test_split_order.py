"""Order in time and groups across splits."""

import numpy as np
import pytest

from actlab.evaluate.audit.example_stream import Examples
from actlab.evaluate.audit.split_order import GroupSplit, TimeOrder, wrong_side


def timed(**times):
    order = TimeOrder(10_000)
    for split in ("test", "validation", "train"):
        if split in times:
            moments = np.array(times[split], dtype=float)
            order.add(Examples(split=split, start=0, parts={"x": moments}, times=moments))
    return list(order.reports())


def grouped(**groups):
    check = GroupSplit(10_000)
    for split in ("test", "validation", "train"):
        if split in groups:
            names = np.array(groups[split])
            check.add(Examples(split=split, start=0, parts={"x": names}, groups=names))
    return list(check.reports())


def test_the_fewest_examples_that_any_moment_leaves_are_on_the_wrong_side():
    random = np.random.default_rng(0)
    earlier, later = random.normal(size=60), random.normal(size=40) + 1

    early, late = wrong_side(earlier, later)

    every = [(earlier > moment).sum() + (later < moment).sum() for moment in np.concatenate([earlier, later])]
    assert early.sum() + late.sum() == min(every)


def test_splits_one_after_the_other_are_in_order_also_with_equal_times_at_the_border():
    assert timed(train=[1, 2, 3, 3], validation=[3, 4], test=[4, 5, 6]) == []


def test_one_test_example_before_the_training_ends_is_one():
    report = timed(train=range(100), test=[50, *range(100, 150)])[0]

    assert (report.count, report.examples, report.splits) == (1, (0,), ("test", "train"))


def test_a_random_split_is_named():
    times = np.random.default_rng(0).permutation(1000)

    assert "after a random split" in timed(train=times[:800], test=times[800:])[0].sentence


def test_times_that_are_not_known_are_left_out():
    assert timed(train=[1, 2, np.nan], test=[3, np.nan]) == []


def test_one_group_in_two_splits_is_named():
    report = grouped(train=["a", "a", "b", "c"], test=["d", "b", "b"])[0]

    assert (report.kind, report.severity, report.count, report.examples) == ("group leakage", "finding", 1, (1, 2))


def test_groups_of_one_split_each_are_clean():
    assert grouped(train=[1, 1, 2], validation=[3, 4], test=[5, 6]) == []


@pytest.mark.parametrize(
    ("groups", "severity"),
    [
        (lambda r, n: r.choice(["women", "men"], n), "note"),  # an attribute
        (lambda r, n: r.normal(60, 10, n), None),  # a measure of which hardly any value repeats
        (lambda r, n: r.integers(0, 50, n), "finding"),  # fifty persons
    ],
)
def test_few_groups_that_all_splits_have_are_an_attribute(groups, severity):
    random = np.random.default_rng(0)

    reports = [r for r in grouped(train=groups(random, 2000), test=groups(random, 500)) if r.kind == "group leakage"]

    assert [r.severity for r in reports] == ([] if severity is None else [severity])


def test_groups_of_unequal_size_are_a_note_that_counts_those_too_small_to_be_judged():
    report = grouped(train=["a"] * 500 + ["b"] * 20, test=["a"] * 100 + ["b"] * 3)[-1]

    assert report.kind == "group imbalance"
    assert "fewer than 10" in report.sentence
