"""Data are loaded once for all arms of a seed, and anew when something has changed them."""

import dataclasses
import weakref

import pytest
import torch
from tests.studies.tiny import tiny

from actlab.studies.arm import parse_arm
from actlab.studies.trials.trial import run_trial
from actlab.tasks.training.data_cache import cached_data


@pytest.fixture
def counted():
    """A task, and the seeds for which its data were loaded."""
    task, seeds = tiny(), []

    def data(seed):
        seeds.append(seed)
        return task.data(seed)

    return dataclasses.replace(task, data=data), seeds


def test_the_trials_of_a_seed_load_the_data_once(counted):
    task, seeds = counted

    for seed in (0, 1):
        for arm in ("relu", "gelu", "tanh"):
            assert run_trial(task, parse_arm(arm), seed).status == "completed"

    assert seeds == [0, 1]


def test_the_numbers_are_those_of_a_process_that_loads_the_data(counted):
    task, _ = counted
    run_trial(task, parse_arm("relu"), 0)

    after_another, alone = (run_trial(one, parse_arm("gelu"), 0) for one in (task, dataclasses.replace(task)))

    assert (after_another.metric, after_another.curve) == (alone.metric, alone.curve)


@pytest.mark.parametrize("change", [lambda x: x.mul_(2), lambda x: x[3:].zero_(), lambda x: x.T.add_(1)])
def test_data_that_were_changed_in_place_are_loaded_again(counted, change):
    task, seeds = counted
    before = cached_data(task, 0).test.x.clone()
    change(cached_data(task, 0).test.x)

    assert torch.equal(cached_data(task, 0).test.x, before)
    assert seeds == [0, 0]


def test_the_data_of_one_seed_are_released_before_another_is_loaded():
    task, alive = tiny(), []

    def data(seed):
        assert all(one() is None for one in alive)
        made = task.data(seed)
        alive.append(weakref.ref(made))
        return made

    own = dataclasses.replace(task, data=data)
    for seed in (0, 1, 2):
        cached_data(own, seed)
    del own

    assert alive[-1]() is None


def test_data_that_torch_does_not_count_changes_of_are_loaded_every_time(counted):
    task, seeds = counted

    def data(seed):
        seeds.append(seed)
        with torch.inference_mode():
            made = task.data(seed)
            return dataclasses.replace(made, test=dataclasses.replace(made.test, x=made.test.x.clone()))

    own = dataclasses.replace(task, data=data)
    cached_data(own, 0), cached_data(own, 0)

    assert len(seeds) == 4


def test_what_data_changes_of_the_process_does_not_depend_on_whether_they_are_loaded(counted):
    task, _ = counted

    def data(seed):
        torch.rand(3)
        made = task.data(seed)
        torch.set_default_dtype(torch.float64)
        return made

    own = dataclasses.replace(task, data=data)
    first, second = (run_trial(own, parse_arm("relu"), 0) for _ in range(2))

    assert first.status == "completed"
    assert (first.metric, first.train_loss) == (second.metric, second.train_loss)
