"""Sequences and images of several sizes: near duplicates are found, and what only looks alike at first sight is not."""

import numpy as np
import pytest
import torch
from tests.evaluate.audit.planted import images, kinds, of_kind
from torch.nn.utils.rnn import pack_sequence
from torch.utils.data import DataLoader

import actlab
from actlab.evaluate.audit.neighbours.ragged import EvenSizes
from actlab.tasks import resolve
from actlab.tasks.task import load_data

TESTED = 150  # of the utterances


def utterances():
    """Return the utterances of japanese-vowels in a random order, each of its own length, shape (length, 12)."""
    splits = load_data(resolve("japanese-vowels"), 0).splits.values()
    padded = torch.cat([split.x for split in splits])
    order = torch.randperm(len(padded), generator=torch.Generator().manual_seed(0))
    return [x[:-1, : int(x[-1].sum())].T.contiguous().numpy() for x in padded[order]]


def together(batch):
    return [torch.as_tensor(x) for x, _ in batch], torch.tensor([y for _, y in batch])


def packed(batch):
    ordered = sorted((torch.as_tensor(x) for x, _ in batch), key=len, reverse=True)
    return pack_sequence(ordered), torch.zeros(len(batch), dtype=torch.int64)


def alone(batch):
    ((x, y),) = batch
    return torch.as_tensor(x)[None], torch.tensor([y])


def audited(examples, *, collate=together, size=64, **settings):
    pairs = [(x, place % 3) for place, x in enumerate(examples)]
    parts = {"test": pairs[:TESTED], "train": pairs[TESTED:]}
    return actlab.audit(
        {name: DataLoader(part, batch_size=size, collate_fn=collate) for name, part in parts.items()}, **settings
    )


@pytest.mark.parametrize("layout", [lambda x: x, lambda x: x.T.copy(), lambda x: x[:, 0].copy()], ids=["TC", "CT", "T"])
def test_a_noisy_copy_of_a_sequence_is_found_and_real_sequences_are_clean(layout):
    examples = [layout(x) for x in utterances()]
    assert audited(examples).clean

    noise = np.random.default_rng(0).normal(size=examples[400].shape).astype(np.float32)
    examples[7] = examples[400] + 1e-3 * noise
    found = audited(examples)

    assert kinds(found)[0] == ("near duplicates", ("test", "train"))
    assert (7, 400 - TESTED) in of_kind(found, "near duplicates", "test", "train")[0].examples
    assert "near duplicates" not in found.unchecked


def test_packed_sequences_are_compared_too():
    examples = utterances()
    examples[7] = examples[400] * 1.0002

    assert kinds(audited(examples, collate=packed)) == [("near duplicates", ("test", "train"))]


def test_sequences_are_compared_that_are_read_one_by_one():
    examples = utterances()
    examples[7] = examples[400] * 1.0002

    assert kinds(audited(examples, collate=alone, size=1)) == [("near duplicates", ("test", "train"))]


def test_a_copy_at_half_the_speed_is_a_near_duplicate():
    examples = utterances()
    moments = np.linspace(0, len(examples[400]) - 1, 2 * len(examples[400]) - 1)
    slower = [np.interp(moments, np.arange(len(examples[400])), column) for column in examples[400].T]
    examples[7] = np.stack(slower, axis=1).astype(np.float32)

    assert (7, 400 - TESTED) in of_kind(audited(examples), "near duplicates", "test", "train")[0].examples


def test_a_copy_of_an_image_of_another_size_is_found_where_the_task_says_that_they_are_images():
    pictures, _ = images()
    large = [np.kron(x, np.ones((3 + place % 2, 4))).astype(np.float32) for place, x in enumerate(pictures[:700])]
    assert audited(large, input_kind="image").clean

    large[7] = 0.5 * np.kron(pictures[400], np.ones((5, 5))).astype(np.float32) + 1
    found = audited(large, input_kind="image")

    assert (7, 400 - TESTED) in of_kind(found, "near duplicates", "test", "train")[0].examples


def test_sequences_with_other_numbers_of_channels_are_said_to_be_unchecked():
    random = np.random.default_rng(0)
    examples = [random.normal(size=(5 + place % 3, 2 + place % 2)).astype(np.float32) for place in range(300)]

    assert "near duplicates" in audited(examples).unchecked


def test_a_sequence_of_64_moments_is_as_it_was_whichever_way_it_is_brought_to_them():
    x = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
    even = EvenSizes(is_image=False)

    found = even([x, np.concatenate([x, x])])

    assert found.shape == (2, 128)
    assert np.array_equal(found[0], x.T.ravel())
    assert found[1, 0] == pytest.approx(x[:2, 0].mean())
