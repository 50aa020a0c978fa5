"""Equal inputs by their keys, against sets of rows."""

import numpy as np

from actlab.evaluate.audit.duplicates import ExactDuplicates, example_keys, part_keys
from actlab.evaluate.audit.example_stream import Examples


def entered(parts, targets=None):
    found = ExactDuplicates(10_000)
    for split, x in parts.items():
        y = np.zeros(len(x), int) if targets is None else targets[split]
        batch = Examples(split=split, start=0, parts={"x": x})
        found.add(batch, example_keys(batch), part_keys(y).view(np.int64))
    return found


def test_counts_are_those_of_sets_of_rows():
    random = np.random.default_rng(0)
    parts = {name: random.integers(0, 6, (n, 3)) for name, n in (("test", 200), ("validation", 100), ("train", 150))}
    found = entered(parts)

    rows = {name: [tuple(row) for row in x.tolist()] for name, x in parts.items()}
    for first, second in (("test", "train"), ("test", "validation"), ("validation", "train")):
        assert found.count(first, second) == sum(row in set(rows[second]) for row in rows[first])
    every = [row for part in rows.values() for row in part]
    assert found.pairs == sum(every.count(row) for row in every) // 2 - len(every) // 2


def test_conflicts_are_examples_whose_equal_has_another_target():
    x = np.array([[1], [1], [2], [2], [3]])
    found = entered({"test": x, "train": x[:1]}, {"test": np.array([0, 1, 5, 5, 7]), "train": np.array([1])})

    conflicts = [r for r in found.reports(has_classes=True, chance=lambda _: 0.0) if r.kind == "label conflicts"]

    assert [(r.splits, r.count, r.examples) for r in conflicts] == [(("test",), 2, (0, 1)), (("train",), 1, (0,))]


def test_different_targets_of_equal_inputs_are_a_note_where_they_are_numbers():
    found = entered(
        {"test": np.ones((4, 2)), "train": np.ones((2, 2))}, {"test": np.arange(4.0), "train": np.arange(2.0)}
    )

    reports = list(found.reports(has_classes=False, chance=lambda _: 0.0))

    assert {r.severity for r in reports if r.kind == "label conflicts"} == {"note"}


def test_several_parts_of_inputs_must_all_be_equal():
    one = Examples(split="test", start=0, parts={"a": np.array([1, 1]), "b": np.array(["x", "y"]).tolist()})

    keys = example_keys(one)

    assert keys[0] != keys[1]


def test_keys_of_rows_of_any_dtype_tell_different_rows_apart():
    random = np.random.default_rng(0)
    for dtype in (np.float32, np.float64, np.int64, np.uint8, np.float16):
        rows = (100 * random.random((3000, 4))).astype(dtype)
        assert len(set(part_keys(rows).tolist())) == len(np.unique(rows, axis=0))
    scalars = np.arange(3000) - 1500
    assert len(set(part_keys(scalars).tolist())) == 3000
    assert part_keys(np.array([0.0]))[0] == part_keys(np.array([-0.0]))[0]
