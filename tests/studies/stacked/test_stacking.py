"""Stacks are cut from the trials that can run now, by the trainer that the study has."""

import pytest
from tests.studies.tiny import tiny

from actlab.studies.plan import make_plan
from actlab.studies.settings import StudySettings
from actlab.studies.stacked.stacking import Stacking
from actlab.studies.stacked.trainer_choice import TrainerChoice
from actlab.studies.store.store import Store
from actlab.studies.trials.trial_key import TrialKey
from actlab.tasks.training.conditions import Conditions

ARMS = ["relu", "gelu", "rrelu"]
STACKED = TrainerChoice(stacked=True, reason="measured", groups={"relu": 0, "gelu": 0}, models=4, seeds=1)
SINGLE = TrainerChoice(stacked=False, reason="slower here")


@pytest.fixture
def stackings(tmp_path):
    """Return a function that opens the study as another process does."""
    plan = make_plan(tiny(), ARMS, baseline="relu", settings=StudySettings(seeds=4))
    store = Store(tmp_path / "a.db")
    study = store.begin_study("mine", plan).id
    return lambda stack=None: Stacking(store, study, plan=plan, task=tiny(), conditions=Conditions(), stack=stack)


def main(arm, seed):
    return TrialKey("main", arm, seed, 0.1)


def test_an_idle_process_finds_the_trials_that_others_have_left(stackings):
    stacking = stackings()
    stacking.agree(STACKED)
    keys = [main(arm, seed) for seed in range(3) for arm in ARMS]

    orders = list(stacking.orders(keys, free=1))

    assert [most for _, most in orders] == [2, 1, 2, 2]  # one seed is held at a time
    assert sorted(key for fitting, _ in orders for key in fitting) == sorted(keys)
    assert orders[1][0] == [main("rrelu", seed) for seed in range(3)]


def test_processes_of_a_study_agree_on_the_trainer_that_was_kept_first(stackings):
    first, second = stackings(), stackings()

    first.agree(STACKED)
    second.agree(SINGLE)

    assert second.choice == first.choice == stackings().choice == STACKED


def test_stacks_that_are_asked_for_do_not_give_way_to_another_process(stackings):
    first, second = stackings(), stackings(stack=True)

    first.agree(SINGLE)
    second.agree(STACKED)

    assert second.choice.stacked
    assert second.choice.groups == STACKED.groups


def test_a_study_whose_trials_are_trained_in_both_ways_says_so_once_and_its_verdict_always(stackings, caplog):
    stackings(stack=True).agree(STACKED)
    assert not caplog.records

    others = "; others of this study are trained as stacks"
    assert stackings(stack=False).choice.reason == f"as asked for{others}"
    assert stackings(stack=False).choice.reason == f"as asked for{others}"

    assert len(caplog.records) == 1
    assert "are trained one by one (as asked for) from now on" in caplog.text
    assert "omit --no-stack" in caplog.text
    stackings(stack=True).agree(STACKED)
    assert "are trained as stacks (measured) from now on" in caplog.text


def test_a_pilot_trial_has_one_trainer_whenever_it_runs(stackings):
    stacking, pilot = stackings(), TrialKey("pilot", "relu", 1_000_000, 0.1)
    stacking.agree(STACKED)

    assert not stacking.is_stacked(pilot)
    assert stacking.is_stacked(main("relu", 0))
    assert next(stacking.orders([pilot, main("relu", 0)], free=2)) == ([pilot], 1)
