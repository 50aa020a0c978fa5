"""The language model has nanoGPT's shape, parameters, schedule and split of the text."""

import math

import pytest
import torch

from actlab.studies.arm import parse_arm
from actlab.studies.trials.trial import run_trial
from actlab.tasks import resolve
from actlab.tasks.builtin.language import gpt
from actlab.tasks.builtin.language.tiny_shakespeare import characters
from actlab.tasks.task import load_data


@pytest.fixture(scope="module")
def task():
    return resolve("shakespeare")


def test_the_model_has_the_parameters_that_nanogpt_counts(task):
    model = task.model(0)
    decayed, rest = task.optimizer(model, 1e-3).param_groups

    # nanoGPT's model.py prints "num decayed parameter tensors: 18, with 802,944 parameters" and "non-decayed: 9, with 1,152".
    assert [len(decayed["params"]), sum(p.numel() for p in decayed["params"])] == [18, 802_944]
    assert [len(rest["params"]), sum(p.numel() for p in rest["params"])] == [9, 1_152]
    assert [decayed["weight_decay"], rest["weight_decay"]] == [0.1, 0.0]


def test_no_output_depends_on_a_later_character(task):
    torch.manual_seed(0)
    model, x = task.model(0), torch.randint(65, (1, 64))
    changed = x.clone()
    changed[0, 40:] = (x[0, 40:] + 1) % 65

    with torch.no_grad():
        before, after = model(x), model(changed)

    assert torch.allclose(before[..., :40], after[..., :40], atol=1e-6)
    assert not torch.allclose(before[..., 40:], after[..., 40:], atol=1e-2)


def test_the_learning_rate_is_that_of_nanogpts_get_lr(task):
    optimizer = task.optimizer(task.model(0), 1e-3)
    schedule = task.scheduler(optimizer, 2_000)
    rates = []
    for _ in range(2_000):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()

    def published(step):
        if step < 100:
            return 1e-3 * (step + 1) / 101
        return 1e-4 + 0.5 * (1.0 + math.cos(math.pi * (step - 100) / 1900)) * 9e-4

    assert rates == pytest.approx([published(step) for step in range(2_000)], rel=1e-12)


def test_the_splits_are_parts_of_the_text_that_follow_each_other_without_overlap(task):
    numbers, _ = characters()
    data = load_data(task, 0)
    test = numbers[int(0.9 * len(numbers)) :]

    assert torch.equal(data.test.x.flatten(), test[: len(data.test) * 64])
    assert torch.equal(data.test.y.flatten(), test[1 : len(data.test) * 64 + 1])
    assert torch.equal(data.validation.x.flatten(), numbers[: data.validation.x.numel()])
    assert data.validation.x.numel() <= int(0.02 * int(0.9 * len(numbers)))
    assert torch.equal(data.train.x[:, 1:], data.train.y[:, :-1])


def test_no_window_of_the_training_reaches_into_the_other_parts(task):
    numbers, alphabet = characters()
    test = int(0.9 * len(numbers))
    text = "".join(alphabet[number] for number in numbers[int(0.02 * test) : test].tolist())
    data = load_data(task, 3)
    windows = torch.cat((data.train.x, data.train.y[:, -1:]), 1)

    assert all("".join(alphabet[number] for number in row) in text for row in windows[::97].tolist())


def test_the_names_of_the_play_in_which_the_test_part_begins_are_in_the_training_part(task):
    numbers, alphabet = characters()
    test = int(0.9 * len(numbers))
    text = "".join(alphabet[number] for number in numbers.tolist())

    assert all(
        f"\n{name}:" in text[int(0.02 * test) : test] for name in ("PETRUCHIO", "TRANIO", "KATHARINA", "HORTENSIO")
    )


def test_a_seed_draws_the_same_windows_again_and_another_seed_others(task):
    one, again, other = (load_data(task, seed).train.x for seed in (1, 1, 2))

    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_the_loss_falls_within_a_few_steps(task):
    torch.manual_seed(0)
    model, train = task.model(0), load_data(task, 0).train
    optimizer, losses = task.optimizer(model, 1e-3), []
    for step in range(12):
        batch = slice(12 * step, 12 * step + 12)
        loss = task.loss(model(train.x[batch]), train.y[batch])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())

    assert losses[0] == pytest.approx(math.log(65), abs=0.1)
    assert losses[-1] < losses[0] - 0.5


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_published_recipe_reaches_the_published_loss():
    trial = run_trial(gpt.task(), parse_arm("gelu"), 0)

    assert trial.metric < 1.92  # published: 1.88 by an estimate, 1.8975 on the whole split; docs/evidence/domains.md
