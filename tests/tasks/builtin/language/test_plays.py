"""The classifier of plays sees no scene of its test split in training, and learns."""

import re

import pytest
import torch

from actlab.studies.arm import parse_arm
from actlab.studies.trials.trial import run_trial
from actlab.tasks import resolve
from actlab.tasks.builtin.language.plays import WORDS, passage_splits, words_of
from actlab.tasks.builtin.language.tiny_shakespeare import speeches
from actlab.tasks.task import load_data


@pytest.fixture(scope="module")
def task():
    return resolve("shakespeare:plays")


@pytest.mark.parametrize("seed", range(8))
def test_every_passage_is_in_one_split_and_every_play_in_all_three(seed):
    splits = passage_splits(seed)
    numbers = [number for split in splits.values() for number in split]
    plays = {speech.passage: speech.play for speech in speeches()}

    assert len(numbers) == len(set(numbers))
    assert [{plays[number] for number in found} for found in splits.values()] == [set(range(8))] * 3


def test_every_example_is_from_a_passage_of_its_split_and_its_play(task):
    data, splits = load_data(task, 0), passage_splits(0)
    words, plays = {}, {}
    for speech in speeches():
        words.setdefault(speech.passage, []).extend(words_of(speech.words))
        plays[speech.passage] = speech.play
    for name, split in data.splits.items():
        windows = {}
        for number in splits[name]:
            for start in range(len(words[number]) - WORDS + 1):
                windows.setdefault(tuple(words[number][start : start + WORDS]), set()).add(plays[number])
        for row, play in zip(split.x[:500].tolist(), split.y[:500].tolist(), strict=True):
            assert play in windows[tuple(row)]


def test_names_of_speakers_are_no_words_of_an_example():
    assert words_of("Before we proceed") == words_of("before we Proceed!")
    assert not any(re.match(r"^[A-Z][A-Za-z ]+:$", speech.words) for speech in speeches())


def test_a_seed_draws_the_same_examples_again_and_another_seed_others(task):
    one, again, other = (load_data(task, seed).train.x for seed in (1, 1, 2))

    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_the_loss_falls_within_a_few_steps(task):
    torch.manual_seed(0)
    model, train = task.model(0), load_data(task, 0).train
    optimizer = task.optimizer(model.parameters(), 1e-2)  # ten times the rate of the task
    losses = []
    for step in range(60):
        batch = slice(64 * step, 64 * step + 64)
        loss = task.loss(model(train.x[batch]), train.y[batch])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())

    assert sum(losses[-5:]) / 5 < losses[0] - 0.2


@pytest.mark.slow
def test_it_reaches_what_a_linear_classifier_reaches(task):
    trial = run_trial(task, parse_arm("relu"), 0)

    assert trial.metric > 0.6  # logistic regression and naive Bayes: docs/evidence/domains.md
