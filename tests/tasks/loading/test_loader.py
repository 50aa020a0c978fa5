"""Batches of datasets and loaders: their order is fixed by the seed, and nothing the model draws changes it."""

import pytest
import torch
from tests.tasks.forms import SAME, SIZE, Batches, Counting, Noisy, Pairs, Stream, form_task, loader, tensors
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    RandomSampler,
    SequentialSampler,
    Subset,
    WeightedRandomSampler,
)

from actlab.errors import TaskError
from actlab.tasks.data import as_data
from actlab.tasks.loading.loader import Loader
from actlab.tasks.loading.nested import leaves
from actlab.tasks.task import load_data
from actlab.tasks.training.batches import batches, step_count

X, Y = tensors(0)["train"]


def read(split, epochs=2, between=lambda: None):
    found = []
    for epoch in split.epochs(epochs):
        for batch in epoch:
            found.append([leaf.clone() for leaf in leaves(batch)])
            between()
    return found


def equal(one, other):
    return len(one) == len(other) and all(
        len(a) == len(b) and all(map(torch.equal, a, b)) for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("form", [name for name in SAME if name != "a TensorDataset"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_a_dataset_has_the_batches_of_the_tensors_to_the_bit(form, shuffle):
    plain = form_task(tensors, shuffle=shuffle)
    expected = [list(batch) for batch in batches(plain, load_data(plain, 3).train, 3)]
    task = form_task(SAME[form], shuffle=shuffle)
    split = load_data(task, 3).train
    found = [list(leaves(batch)) for batch in batches(task, split, 3)]

    whole = [[torch.cat(parts[:-1], 1) if len(parts) > 2 else parts[0], parts[-1]] for parts in found]
    assert isinstance(split, Loader)
    assert equal(whole, expected)
    assert step_count(task, split) == len(expected) == 15


SOURCES = {
    "shuffled": lambda: DataLoader(Noisy(X, Y), batch_size=SIZE, shuffle=True),
    "workers": lambda: DataLoader(Noisy(X, Y), batch_size=SIZE, shuffle=True, num_workers=2),
    "persistent workers": lambda: DataLoader(
        Counting(X, Y), batch_size=SIZE, shuffle=True, num_workers=1, persistent_workers=True
    ),
    "weighted": lambda: DataLoader(
        Noisy(X, Y), batch_size=SIZE, sampler=WeightedRandomSampler(torch.ones(len(X)), 40), drop_last=True
    ),
    "batch sampler": lambda: DataLoader(Noisy(X, Y), batch_sampler=BatchSampler(RandomSampler(X), 8, drop_last=False)),
    "own generator": lambda: DataLoader(
        Counting(X, Y), batch_size=SIZE, shuffle=True, generator=torch.Generator().manual_seed(1)
    ),
    "stream with workers": lambda: DataLoader(Stream(X, Y), batch_size=SIZE, num_workers=2),
    "dataset": lambda: Noisy(X, Y),
    "part of a dataset": lambda: Subset(Noisy(X, Y), range(40)),
    "object of batches": lambda: Batches(X, Y),
}


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
def test_the_batches_do_not_depend_on_what_is_drawn_between_them(make):
    def model():
        torch.rand(7)
        torch.manual_seed(5)

    count = 10
    alone, beside = (Loader(make(), seed=4, batch_size=SIZE) for _ in range(2))
    if alone.length is None:
        found = [[next(it) for _ in range(3)] for it in (iter(next(s.epochs(1))) for s in (alone, beside))]
        assert equal(*[[list(batch) for batch in part] for part in found])
        return

    assert equal(read(alone)[:count], read(beside, between=model)[:count])


@pytest.mark.parametrize("make", [SOURCES["shuffled"], SOURCES["own generator"], SOURCES["workers"]])
def test_epochs_differ_and_seeds_differ(make):
    first, again = read(Loader(make(), seed=0)), read(Loader(make(), seed=1))
    half = len(first) // 2

    assert not equal(first[:half], first[half:])
    assert equal(first, again) == (make is SOURCES["own generator"])  # which data(seed) has seeded as it likes


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
def test_a_look_at_the_first_batch_changes_nothing(make):
    looked, not_looked = (Loader(make(), seed=4, batch_size=SIZE) for _ in range(2))
    first = [leaf.clone() for leaf in leaves(looked.first())]

    a, b = (next(split.epochs(1)) for split in (looked, not_looked))
    read_after, read_alone = ([list(leaves(next(it))) for _ in range(2)] for it in (a, b))

    assert equal(read_after, read_alone)
    assert all(map(torch.equal, read_alone[0], first))


def test_an_evaluation_between_two_batches_changes_nothing():
    looked, alone = (Loader(SOURCES["own generator"](), seed=0) for _ in range(2))
    held_out = Loader(SOURCES["shuffled"](), seed=0)

    assert equal(read(looked, between=lambda: list(held_out.evaluation())), read(alone))
    assert equal(*[[list(batch) for batch in held_out.evaluation()] for _ in range(2)])


def test_a_sampler_is_told_its_epoch():
    source = DataLoader(
        Pairs(X, Y), batch_size=SIZE, sampler=DistributedSampler(Pairs(X, Y), num_replicas=1, rank=0, seed=2)
    )
    found = read(Loader(source))

    assert not equal(found[:5], found[5:])


def test_an_evaluation_has_every_example_of_a_dataset_in_its_order():
    source = Loader(Pairs(X, Y), batch_size=9)

    assert torch.equal(torch.cat([batch[0] for batch in source.evaluation()]), X)  # 73 = 8 * 9 + 1: a last one alone


def test_what_is_left_of_an_epoch_is_read_where_the_next_is_asked_for():
    whole, resumed = (Loader(Counting(X, Y), batch_size=SIZE) for _ in range(2))
    expected = read(whole, 3)[10:]
    epochs = resumed.epochs(3)
    next(epochs), next(epochs)

    assert equal([list(batch) for batch in next(epochs)], expected)


LENGTHS = {
    "a dataset": (Pairs(X, Y), 5, 73),
    "a loader": (DataLoader(Pairs(X, Y), batch_size=10), 8, 73),
    "a loader that drops": (DataLoader(Pairs(X, Y), batch_size=10, drop_last=True), 7, 73),
    "a batch sampler": (
        DataLoader(Pairs(X, Y), batch_sampler=BatchSampler(SequentialSampler(X), 8, drop_last=True)),
        9,
        None,
    ),
    "an object of batches": (Batches(X, Y), 5, None),
    "a stream": (Stream(X, Y), None, None),
    "a stream in workers": (DataLoader(Stream(X, Y), batch_size=8, num_workers=2), None, None),
}


@pytest.mark.parametrize(("source", "length", "examples"), LENGTHS.values(), ids=LENGTHS)
def test_lengths_are_known_where_the_source_knows_them(source, length, examples):
    split = Loader(source, batch_size=SIZE)

    assert (split.length, split.examples) == (length, examples)


def test_a_stream_is_read_as_often_as_the_steps_need():
    task = form_task(loader(Stream), steps=11)
    split = load_data(task, 0).train
    found = [batch for batch, _ in zip(batches(task, split, 0), range(11), strict=False)]

    assert step_count(task, split) == len(found) == 11


def test_a_stream_without_steps_is_refused_with_what_to_do():
    task = form_task(loader(Stream))

    with pytest.raises(TaskError, match=r"train split of forms is not known .* Set steps"):
        step_count(task, load_data(task, 0).train)


class Shrinking(Batches):
    """Gives a batch less in every epoch."""

    given = 6

    def __iter__(self):
        self.given -= 1
        return iter([(self.x[:4], self.y[:4])] * self.given)


def test_another_number_of_batches_in_every_epoch_is_told():
    split = Loader(Shrinking(X, Y), of="the train split of t")

    with pytest.raises(TaskError, match=r"train split of t gave 4 batches in epoch 2, and its len\(\) is 5"):
        read(split)


def test_more_batches_than_its_length_are_told_at_once():
    class Endless(Batches):
        def __iter__(self):
            while True:
                yield self.x[:4], self.y[:4]

    with pytest.raises(TaskError, match="gave more than 5 batches in epoch 1"):
        read(Loader(Endless(X, Y)))


class Nothing(Batches):
    def __iter__(self):
        return iter(())


@pytest.mark.parametrize("source", [DataLoader(Pairs(X[:0], Y[:0])), Nothing(X, Y)])
def test_an_empty_loader_is_told(source):
    split = Loader(source, of="the train split of t")

    for use in (split.first, lambda: list(split.evaluation()), lambda: read(split)):
        with pytest.raises(TaskError, match="train split of t gave no batch"):
            use()


def test_what_can_be_read_once_is_refused():
    with pytest.raises(TaskError, match="a generator, which can be read once"):
        as_data({"train": (pair for pair in [(X, Y)]), "test": (X, Y)})


def test_batches_in_the_order_in_which_workers_finish_are_refused():
    source = DataLoader(Pairs(X, Y), num_workers=2, in_order=False)

    with pytest.raises(TaskError, match="in_order=False and 2 workers"):
        Loader(source)


def test_a_collate_function_that_returns_nothing_is_told():
    source = DataLoader(Pairs(X, Y), collate_fn=lambda rows: None)  # noqa: ARG005

    with pytest.raises(TaskError, match=r"gave None for a batch\. Is a `return` missing"):
        Loader(source).first()


def test_a_pass_during_a_training_takes_none_of_its_batches_from_persistent_workers():
    def split():
        source = DataLoader(Noisy(X, Y), batch_size=SIZE, shuffle=True, num_workers=1, persistent_workers=True)
        return Loader(source, seed=3)

    expected, disturbed = read(split(), epochs=1), split()
    first = disturbed.first()
    next(disturbed.evaluation())
    found = read(disturbed, epochs=1, between=lambda: next(disturbed.evaluation()))
    assert equal(found, expected)
    assert equal([list(leaves(first))], expected[:1])


def test_one_persistent_loader_that_stands_for_all_splits_has_workers_for_each():
    source = DataLoader(Pairs(X, Y), batch_size=SIZE, num_workers=1, persistent_workers=True)
    expected = [list(leaves(batch)) for batch in Loader(source).evaluation()]
    data = as_data({"train": source, "test": source, "validation": source})

    training = data.train.epochs(1)
    batches = next(training)
    found = [next(batches)]
    list(data.validation.evaluation())
    found.append(next(batches))
    assert len(list(data.test.evaluation())) == len(expected)
    found += batches
    assert equal([list(leaves(batch)) for batch in found], expected)
