"""The fast audit at the start of a study: counts of copies, and findings in sentences."""

import numpy as np
import pytest
import torch
from tests.evaluate.audit.planted import images, split
from torch.utils.data import DataLoader, Dataset, Subset, SubsetRandomSampler

import actlab
from actlab.evaluate.audit.study_check import check_for_study, count_duplicates
from actlab.studies.prepare import draft
from actlab.tasks import resolve
from actlab.tasks.data import Data, Split, as_data
from actlab.tasks.task import load_data


class Rows(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        return torch.full((2,), float(index)), index % 2


ROWS, SOME = Rows(), SubsetRandomSampler([1, 2])
SHARED = {
    "one loader": lambda loader: (loader, loader),
    "two loaders of all of a dataset": lambda _: (DataLoader(ROWS, shuffle=True), DataLoader(ROWS, batch_size=8)),
    "the dataset": lambda _: (ROWS, ROWS),
    "the dataset, and a loader of it": lambda loader: (ROWS, loader),
    "one sampler": lambda _: (DataLoader(ROWS, sampler=SOME), DataLoader(ROWS, sampler=SOME)),
}
APART = {
    "samplers of parts": lambda: (
        DataLoader(ROWS, sampler=SubsetRandomSampler([0, 1])),
        DataLoader(ROWS, sampler=SubsetRandomSampler([2, 3])),
    ),
    "batches of parts": lambda: (DataLoader(ROWS, batch_sampler=[[0, 1]]), DataLoader(ROWS, batch_sampler=[[2, 3]])),
    "subsets": lambda: (Subset(ROWS, [0, 1]), DataLoader(Subset(ROWS, [2, 3]))),
    "two datasets": lambda: (Rows(), DataLoader(Rows())),
}


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("splits", SHARED.values(), ids=SHARED)
def test_one_source_of_two_splits_is_known(splits, persistent):
    loader = DataLoader(ROWS, batch_size=4, num_workers=int(persistent), persistent_workers=persistent)
    train, test = splits(loader)

    found = count_duplicates(as_data({"train": train, "test": test}))

    assert found["test_in_train"] == found["test_examples"]
    assert "not_checked" not in found


@pytest.mark.parametrize("splits", APART.values(), ids=APART)
def test_what_may_be_other_examples_is_said_to_be_unchecked(splits):
    train, test = splits()

    found = count_duplicates(as_data({"train": train, "test": test, "validation": Rows()}))

    assert "test_in_train" not in found
    assert found["not_checked"] == "train, validation and test: read from a dataset or a loader"


def test_clean_data_have_counts_and_no_findings():
    digits = resolve("digits")

    assert dict(check_for_study(digits, load_data(digits, 0))) == {
        "test_examples": 360,
        "test_in_train": 0,
        "test_in_validation": 0,
    }


def test_findings_are_told_in_sentences():
    x, y = images()
    x[5], y[5] = 0.6 * np.roll(x[1000], 1, axis=1) + 2, (y[1000] + 1) % 10
    found = check_for_study(resolve("digits"), as_data(split(x, y)))

    assert found["test_in_train"] == 0
    assert any("near duplicate in train" in sentence for sentence in found["findings"])
    assert any("with another class" in sentence for sentence in found["findings"])


def test_a_study_is_told_before_it_begins():
    digits = resolve("digits")

    def data(seed):
        found = load_data(digits, seed)
        y = found.test.y.clone()
        y[:3] = 9 - y[:3]
        x = torch.cat([found.train.x, found.test.x[:3]])
        return actlab.Data(
            train=Split(x=x, y=torch.cat([found.train.y, found.test.y[:3]])), test=Split(x=found.test.x, y=y)
        )

    task = actlab.Task(
        name="conflicts", model=digits.model, data=data, loss=digits.loss, metric=digits.metric, epochs=1, source="test"
    )
    hygiene = draft(task, ["relu", "tanh"], seeds=1).hygiene

    assert hygiene["test_in_train"] == 3
    assert "3 examples of test have the same inputs" in hygiene["findings"][0]


@pytest.mark.parametrize("shape", [(50, 3), (50, 2, 1)])
def test_targets_of_another_shape_in_another_split_are_no_error(shape):
    train = Split(x=torch.randn(50, 4), y=torch.zeros(shape, dtype=torch.int64))
    test = Split(x=torch.randn(20, 4), y=torch.arange(20) % 2)
    for data in (Data(train=train, test=test), Data(train=test, test=train)):
        assert check_for_study(resolve("digits"), data)["test_in_train"] == 0
