"""Utterances have their published lengths and speakers, and nothing is measured where there is none."""

import torch

from actlab.tasks import resolve
from actlab.tasks.builtin.extracts import extract
from actlab.tasks.builtin.perception.japanese_vowels import _published
from actlab.tasks.task import load_data


def test_the_published_splits_have_30_utterances_of_each_speaker_in_training_and_370_in_the_test():
    train, test = _published()["train"], _published()["test"]

    assert train.y.bincount().tolist() == [30] * 9
    assert test.y.bincount().tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]  # size_ae.test of the repository


def test_the_last_channel_marks_the_moments_there_are_and_the_others_are_zero_elsewhere():
    for name, split in _published().items():
        lengths = torch.from_numpy(extract("japanese_vowels")[f"{name}_length"].astype("int64"))
        there = torch.arange(29) < lengths[:, None]

        assert torch.equal(split.x[:, 12] > 0, there)
        assert (split.x[:, :12] * ~there[:, None]).abs().max() == 0
        assert (int(lengths.min()), int(lengths.max())) == (7, 29) if name == "test" else (7, 26)


def test_values_have_mean_0_and_standard_deviation_1_over_the_moments_of_the_training_split():
    x = _published()["train"].x
    values = x[:, :12].transpose(1, 2)[x[:, 12] > 0]

    assert values.mean(0).abs().max() < 1e-4
    assert (values.std(0) - 1).abs().max() < 1e-3


def test_the_validation_split_has_six_utterances_of_each_speaker():
    assert load_data(resolve("japanese-vowels"), 0).validation.y.bincount().tolist() == [6] * 9
