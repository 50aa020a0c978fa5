"""Test examples that are in another split are counted, also where one loader or dataset stands for both."""

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, Subset, SubsetRandomSampler

from actlab.evaluate.audit.study_check import count_duplicates
from actlab.tasks.data import as_data


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
