"""Forms of data that data(seed) may return, and what becomes of each."""

import numpy as np
import pytest
import torch
from tests.tasks.forms import Batches, Noisy, Pairs, Stream
from torch.utils.data import DataLoader, Subset, TensorDataset, random_split

from actlab.errors import TaskError
from actlab.tasks import Data, Split
from actlab.tasks.data import as_data, tensors_of
from actlab.tasks.loading.loader import Loader

X, Y = torch.randn(12, 4), torch.arange(12) % 2


def train_of(part):
    return as_data({"train": part, "test": (X, Y)}, batch_size=4, shuffle=False).train


PLAIN = {
    "tensors": (X, Y),
    "arrays": (X.numpy(), Y.numpy()),
    "lists of numbers": (X.tolist(), Y.tolist()),
    "a list of rows": ([row.numpy() for row in X], Y),
    "a TensorDataset": TensorDataset(X, Y),
    "a part of one": Subset(TensorDataset(torch.cat((X, X)), torch.cat((Y, Y))), range(12)),
}


@pytest.mark.parametrize("part", PLAIN.values(), ids=PLAIN)
def test_two_arrays_are_a_split_of_tensors(part):
    split = train_of(part)

    assert isinstance(split, Split)
    assert torch.equal(split.x, X)
    assert torch.equal(split.y, Y)


MEMORY = {
    "a dict of tensors": {"ids": X, "labels": Y},
    "three tensors": (X, X, Y),
    "a tuple and a tensor": ((X, X), Y),
    "a dict and a tensor": ({"a": X, "b": X}, Y),
    "one tensor": X,
    "a TensorDataset of three": TensorDataset(X, X, Y),
}


@pytest.mark.parametrize("part", MEMORY.values(), ids=MEMORY)
def test_several_tensors_are_read_in_batches_from_memory(part):
    split = train_of(part)

    assert isinstance(split, Loader)
    assert split.is_in_memory
    assert (split.length, split.examples) == (3, 12)


READ = {
    "a dataset": Pairs(X, Y),
    "a part of a dataset": random_split(Noisy(X, Y), [6, 6])[0],
    "a stream": Stream(X, Y),
    "a loader": DataLoader(Pairs(X, Y)),
    "an object of batches": Batches(X, Y),
}


@pytest.mark.parametrize("part", READ.values(), ids=READ)
def test_datasets_and_loaders_are_read_anew_for_every_trial(part):
    split = train_of(part)

    assert isinstance(split, Loader)
    assert not split.is_in_memory


def test_a_record_of_splits_stays_itself_and_its_loaders_are_converted():
    plain = Data(train=Split(x=X, y=Y), test=Split(x=X, y=Y))
    mixed = as_data(Data(train=DataLoader(Pairs(X, Y)), test=plain.test))

    assert as_data(plain) is plain
    assert isinstance(mixed.train, Loader)
    assert mixed.test is plain.test


WRONG = {
    "a list of batches": [(X, Y), (X, Y), (X, Y)],
    "tensors of several lengths": {"a": X, "b": Y[:3]},
    "tensors without rows": (X, X, torch.tensor(1.0)),
    "an empty dict": {},
    "a text": "train.csv",
    "a set": {1, 2},
    "texts in a dict": {"a": np.array(["x", "y"]), "y": Y[:2]},
}


@pytest.mark.parametrize("part", WRONG.values(), ids=WRONG)
def test_another_form_is_refused_by_the_name_of_its_split(part):
    with pytest.raises(TaskError, match=r"(?i)the train split of the task"):
        train_of(part)


def test_two_batches_in_a_list_are_not_taken_for_inputs_and_target():
    with pytest.raises(TaskError, match="A list of batches is no split"):
        train_of([(X, Y), (X, Y)])


def test_what_needs_tensors_says_so():
    with pytest.raises(TaskError, match=r"The report needs the tensors .* is read from a DataLoader"):
        tensors_of(train_of(DataLoader(Pairs(X, Y))), "the report")
