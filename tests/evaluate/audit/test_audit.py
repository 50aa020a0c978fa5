"""The audit as a whole: forms of data, planted faults, streaming within a bound of memory, and what it refuses."""

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.evaluate.audit.planted import images, kinds, of_kind, split, table
from torch.utils.data import DataLoader, Dataset, IterableDataset

import actlab
from actlab.errors import PlanError, TaskError
from actlab.tasks import resolve
from actlab.tasks.task import _absent


def test_clean_tables_and_images_have_no_findings():
    for x, y in (table(), images()):
        assert actlab.audit(split(x, y)).clean


def test_a_copied_row_and_a_copy_with_another_label_are_found_with_their_indices():
    x, y = table()
    x[3], y[3] = x[200], 1 - y[200]  # the first 171 are the test

    found = actlab.audit(split(x, y))

    assert kinds(found) == [
        ("exact duplicates", ("test", "train")),
        ("label conflicts", ("test",)),
        ("label conflicts", ("train",)),
    ]
    assert found.findings[0].examples == ((3, 200 - 171),)
    assert found.findings[1].examples == (3,)


def test_a_brighter_shifted_copy_of_an_image_is_a_near_duplicate():
    x, y = images()
    x[5] = 0.6 * np.roll(x[1000], 1, axis=1) + 2
    y[5] = y[1000]

    found = actlab.audit(split(x, y))

    assert kinds(found) == [("near duplicates", ("test", "train"))]
    assert (5, 1000 - 539) in found.findings[0].examples


@pytest.mark.parametrize("channels", [1, 3])
def test_the_same_is_found_of_images_that_are_stored_flat_where_the_task_says_so(channels):
    x, y = images()
    x[5] = 0.6 * np.roll(x[1000], 1, axis=1) + 2
    flat = np.repeat(x[:, None], channels, axis=1).reshape(len(x), -1)

    found = actlab.audit(split(flat, y), input_kind="image")

    assert (5, 1000 - 539) in of_kind(found, "near duplicates", "test", "train")[0].examples
    assert actlab.audit(split(flat, y)).clean  # as a table
    assert (
        "rows of 63 numbers"
        in actlab.audit(split(x.reshape(len(x), -1)[:, 1:], y), input_kind="image").unchecked["near duplicates"]
    )


def test_a_rounded_row_is_a_near_duplicate():
    x, y = table()
    x[5] = np.array([float(f"{value:.3g}") for value in x[500]])
    y[5] = y[500]

    assert kinds(actlab.audit(split(x, y))) == [("near duplicates", ("test", "train"))]


def test_rows_of_few_values_are_equal_by_chance_and_a_note():
    random = np.random.default_rng(0)
    found = actlab.audit(split(random.integers(0, 2, (2000, 12)), random.integers(0, 2, 2000)))

    assert found.clean
    assert "by chance" in of_kind(found, "exact duplicates", "test", "train")[0].sentence


def test_a_feature_made_from_the_target_is_named():
    x, y = table()
    found = actlab.audit(split(np.column_stack([x, 7.0 - y]), y))

    assert kinds(found) == [("leaking feature", ())]
    assert "x[30]" in found.findings[0].sentence


def test_groups_and_times_of_a_task_are_checked():
    x, y = table()
    person = np.arange(len(x)) // 3
    order = np.random.default_rng(0).permutation(len(x))
    data = split(np.column_stack([x, person, np.arange(len(x))])[order], y[order])

    found = actlab.audit(data, groups=30, times=lambda inputs, _: inputs[:, 31])

    assert {kind for kind, _ in kinds(found)} == {"group leakage", "time order"}
    assert "after a random split" in of_kind(found, "time order")[0].sentence
    assert not {"time order", "group leakage"} & set(found.unchecked)


def test_what_the_task_does_not_name_is_said_to_be_unchecked():
    found = actlab.audit("digits")

    assert found.unchecked == {"time order": "the task names no times", "group leakage": "the task names no groups"}


class Images(Dataset):
    """Images that are made when they are read; the last of the test is the first of the training."""

    def __init__(self, start, size):
        self.start, self.size = start, size

    def __len__(self):
        return self.size

    def __getitem__(self, place):
        number = 0 if self.start and place == self.size - 1 else self.start + place
        pixels = np.random.default_rng(number).normal(size=(1, 8, 8)).astype(np.float32)
        return {"image": pixels, "label": number % 3}


class Stream(IterableDataset):
    """The same in batches of no known number."""

    def __init__(self, source):
        self.source = source

    def __iter__(self):
        return (self.source[place] for place in range(len(self.source)))


@pytest.mark.parametrize(
    "form", [lambda d: d, lambda d: DataLoader(d, batch_size=7), lambda d: DataLoader(Stream(d), batch_size=7)]
)
def test_datasets_and_loaders_are_read_as_tensors_are(form):
    found = actlab.audit({"train": form(Images(0, 60)), "test": form(Images(60, 30))})

    assert dict(found.sizes) == {"train": 60, "test": 30}
    assert dict(found.kinds) == {"x": "image"}
    assert kinds(found) == [("exact duplicates", ("test", "train"))]
    assert found.findings[0].examples == ((29, 0),)


def test_a_limit_ends_the_reading_of_each_split():
    found = actlab.audit({"train": Stream(Images(0, 60)), "test": Images(60, 30)}, limit=25)

    assert dict(found.sizes) == {"train": 25, "test": 25}
    assert found.clean


class Rows(Dataset):
    """Rows of numbers that are made when they are read, a hundred times what they may take in memory."""

    def __init__(self, size, seed):
        self.size, self.seed = size, seed

    def __len__(self):
        return self.size

    def __getitems__(self, places):
        rows = np.random.default_rng((self.seed, places[0])).normal(size=(len(places), 50)).astype(np.float32)
        return [(row, 0.0) for row in rows]


def test_memory_is_bounded_whatever_the_number_of_examples(monkeypatch):
    monkeypatch.setattr("actlab.evaluate.audit.audit.EXACT", 2**9)
    monkeypatch.setattr("actlab.evaluate.audit.audit.ORDERED", 2**9)
    monkeypatch.setattr("actlab.evaluate.audit.audit.RowSample", _small_rows)
    peaks = []
    for size in (2_000, 8_000):
        data = {name: DataLoader(Rows(size, seed), batch_size=500) for seed, name in enumerate(("train", "test"))}
        tracemalloc.start()
        found = actlab.audit(data, queries=128)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found.clean
        assert found.sampled["exact duplicates"] < 1

    assert peaks[1] < 1.25 * peaks[0]


def _small_rows():
    from actlab.evaluate.audit.row_sample import RowSample

    return RowSample(250)


def test_copies_in_a_sample_are_scaled_up(monkeypatch):
    monkeypatch.setattr("actlab.evaluate.audit.audit.EXACT", 2**11)
    x = np.random.default_rng(0).normal(size=(8000, 3))
    x[:1000] = x[4000:5000]

    found = actlab.audit(split(x, np.zeros(len(x)), test=0.5))

    report = of_kind(found, "exact duplicates", "test", "train")[0]
    assert report.estimated
    assert abs(report.count - 1000) < 300


def test_a_file_that_defines_only_data_is_audited(tmp_path):
    file = tmp_path / "only_data.py"
    file.write_text(
        "import torch\ndef data(seed):\n    x = torch.randn(90, 4)\n    y = x[:, 0]\n"
        "    return {'train': (x[:60], y[:60]), 'test': (x[60:], y[60:])}\n"
    )

    found = actlab.audit(file)

    assert found.name == "only_data"
    assert kinds(found) == [("leaking feature", ())]  # the target is the first column


def test_the_same_data_give_the_same_report_twice():
    x, y = images()
    x[5] = 0.6 * x[1000]

    first, second = (actlab.audit(split(x, y)).to_dict() for _ in range(2))

    assert json.dumps(first) == json.dumps(second)


def test_the_audit_leaves_the_global_generators_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    actlab.audit("digits")

    assert torch.rand(1) == expected


def test_progress_ends_with_all_examples_read():
    calls = []
    actlab.audit("digits", progress=lambda done, total, what: calls.append((done, total, what)))

    assert calls[-1] == (1797, 1797, "done")
    assert all(done <= total for done, total, _ in calls)


WRONG = {
    "a task that brings no data": (
        lambda: actlab.audit(replace(resolve("digits"), train=print, data=_absent)),
        TaskError,
        "keeps its data",
    ),
    "a column that does not exist": (lambda: actlab.audit("digits", groups=64), TaskError, "columns 0 to 63"),
    "a part that does not exist": (lambda: actlab.audit("digits", groups="patient"), TaskError, "no part of that name"),
    "times that are no times": (
        lambda: actlab.audit("digits", times=lambda x, _: ["soon"] * len(x)),
        TaskError,
        "'soon'",
    ),
    "groups for some examples": (
        lambda: actlab.audit("digits", groups=lambda _, y: y[:3]),
        TaskError,
        "one label for each",
    ),
    "an error rate": (lambda: actlab.audit("digits", error_rate=1.0), PlanError, "error_rate is 1.0"),
    "a number of queries": (lambda: actlab.audit("digits", queries=0), PlanError, "queries is 0"),
    "a kind of inputs": (lambda: actlab.audit("digits", input_kind="picture"), PlanError, "image, table, series, text"),
    "predictions": (lambda: actlab.audit("digits", predictions=[0.1]), PlanError, "dict of arrays"),
    "a reference that is missing": (
        lambda: actlab.audit("digits", against="no/corpus.txt"),
        TaskError,
        "does not exist",
    ),
    "a reference for numbers": (lambda: actlab.audit("digits", against=__file__), TaskError, "of the kind table"),
    "data of another form": (lambda: actlab.audit(3), TaskError, "no train and test split"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_input_is_told(what):
    call, error, message = WRONG[what]

    with pytest.raises(error, match=message):
        call()


def test_an_error_in_a_function_of_the_user_names_its_line():
    with pytest.raises(TaskError, match="no attribute 'patient'"):
        actlab.audit("digits", groups=lambda x, _: x.patient)


def test_a_task_says_what_its_groups_and_times_are(tmp_path):
    task = resolve("digits")
    found = actlab.audit(task, groups=lambda x, _: np.arange(len(x)) % 4)

    report = of_kind(found, "group leakage", "test", "train")[0]
    assert report.severity == "note"  # four groups that are in all splits are an attribute
