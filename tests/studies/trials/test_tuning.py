"""Every arm's learning rate is chosen on the same small budget, without the test split, by halving or on the full grid."""

import math
import random
from collections import Counter

import numpy as np
import pytest
import torch
from tests.studies.tiny import result, tiny

from actlab.studies.arm import parse_arm
from actlab.studies.plan import make_plan
from actlab.studies.rungs import HALVING
from actlab.studies.settings import HALVING_FACTORS, LR_FACTORS, TUNING_SEEDS
from actlab.studies.trials.stage import is_tuning, share_of, staged, steps_of
from actlab.studies.trials.trial import run_trial
from actlab.studies.trials.trial_key import TrialKey
from actlab.studies.trials.tuning import ArmTuning, tunings
from actlab.tasks.task import accuracy

OWN = 0.01  # the task's own rate


def plan(tune="lr", **settings):
    return make_plan(tiny(**settings), ["relu", "gelu"], tune=tune)


def tuned(value_of, plan_=None, order=None):
    """Tune an arm with the validation results of a function of its keys, ended in some order."""
    tuning, ran = ArmTuning("gelu", plan_ or plan(), OWN), []
    while tuning.missing:
        keys = tuning.missing
        key = keys[0] if order is None else order.choice(keys)
        ran.append(key)
        tuning.add(result("gelu", key.seed, None, stage=key.stage, lr=key.lr, validation=value_of(key)))
    return tuning, ran


def by_hand(value_of, sign=1):
    """The rate that successive halving chooses, written anew as a table with ranks."""
    rates, before = OWN * np.array(HALVING_FACTORS), np.array([])
    for number, (rung, keep) in enumerate(zip(HALVING, [*(it.rates for it in HALVING[1:]), 1], strict=True)):
        keys = [[TrialKey(f"tune{number}", "gelu", seed, rate) for seed in TUNING_SEEDS] for rate in rates.tolist()]
        values = np.array([[value_of(key) for key in row] for row in keys], dtype=float)
        means = np.where(np.isnan(values).any(1), -np.inf, sign * np.nan_to_num(values).mean(1))
        if number == 0:
            left, right = np.r_[-np.inf, means[:-1]], np.r_[means[1:], -np.inf]
            parts = [np.where(np.isfinite(side), side, means) for side in (left, right)]
            means = means / 2 + (parts[0] + parts[1]) / 4
        order = np.lexsort((-rates, np.abs(np.log(rates / OWN)), -means))
        own = int(np.abs(rates - OWN).argmin())
        if number == 0 and np.isfinite(means[own]):
            order = np.r_[[own], order[order != own]]
        smaller = before[before < rates.min()]
        before = rates[[i for i in np.lexsort((-rates, np.abs(np.log(rates / OWN)), -means)) if np.isfinite(means[i])]]
        rates = np.sort(rates[[i for i in order[:keep] if np.isfinite(means[i])]])
        if number and not len(rates):
            rates = smaller[:1]
        assert share_of(f"tune{number}") == rung.share
        if len(rates) < 2:
            break
    return rates[0] if len(rates) else OWN


def noisy(seed, *, lost=0.0):
    def value_of(key):
        draw = random.Random(f"{seed} {key.stage} {key.seed} {key.lr:.9g}")  # noqa: S311 # a simulation
        value = round(-abs(math.log(key.lr / OWN) - (seed % 5 - 2)) + draw.gauss(0, 0.5), 1)
        return None if draw.random() < lost else value

    return value_of


@pytest.mark.parametrize("seed", range(40))
def test_the_choice_is_that_of_another_implementation_whatever_the_order_of_the_trials(seed):
    value_of = noisy(seed, lost=0.1 * (seed % 4))

    chosen = {tuned(value_of, order=random.Random(number))[0].rate for number in range(3)}  # noqa: S311 # a simulation

    assert chosen == {by_hand(value_of)}


def test_where_a_smaller_metric_is_better_the_smallest_goes_on():
    smaller = tuned(lambda key: -noisy(3)(key), plan(direction="min"))[0].rate

    assert smaller == tuned(noisy(3))[0].rate


def test_all_arms_have_the_same_budget_and_it_is_that_of_the_draft():
    runs = [Counter(key.stage for key in tuned(noisy(seed))[1]) for seed in range(10)]

    assert all(run == {rung.stage: rung.rates * len(TUNING_SEEDS) for rung in HALVING} for run in runs)
    assert plan().tuning_trials == 2 * runs[0].total()
    assert HALVING[0].rates == len(HALVING_FACTORS)


def test_tuning_costs_less_than_the_full_grid_and_less_than_a_third_of_one_of_as_many_rates():
    halving, grid = (tunings(plan(tune), OWN)["gelu"].work_left for tune in ("lr", "lr-grid"))

    assert grid == len(LR_FACTORS) * len(TUNING_SEEDS)
    assert halving < 0.75 * grid
    assert halving < 0.3 * len(HALVING_FACTORS) * len(TUNING_SEEDS)


def test_a_rate_with_a_trial_that_diverged_does_not_go_on():
    best = max(tuned(noisy(1))[1], key=noisy(1)).lr

    tuning, ran = tuned(lambda key: None if key.lr == best and key.seed == TUNING_SEEDS[0] else noisy(1)(key))

    assert tuning.rate != best
    assert {key.stage for key in ran if key.lr == best} == {"tune0"}


def test_where_every_trial_diverges_the_arm_keeps_the_rate_of_the_task_and_is_not_tuned_further():
    tuning, ran = tuned(lambda _: None)

    assert tuning.rate == OWN
    assert {key.stage for key in ran} == {"tune0"}
    assert tuning.total == len(ran)
    assert tuning.work_left == 0
    assert not tuning.is_at_edge


def test_where_training_diverges_after_the_first_rung_a_smaller_rate_is_chosen_without_further_trials():
    def late(key):  # large rates learn fastest, and from the task's own on they diverge in the end
        return None if key.stage == "tune1" and key.lr > OWN / 1.1 else min(key.lr, 4 * OWN) - max(0, key.lr - 4 * OWN)

    tuning, ran = tuned(late)

    assert len(ran) == len(tuned(noisy(0))[1])
    assert tuning.rate == max(rate for rate in tuning.grid if rate < OWN)


def test_where_one_rate_is_left_it_is_chosen_without_further_trials():
    tuning, ran = tuned(lambda key: 1.0 if key.lr < OWN / 20 else None)

    assert tuning.rate == pytest.approx(OWN / 27)
    assert tuning.is_at_edge
    assert {key.stage for key in ran} == {"tune0"}


def test_one_lucky_trial_of_a_bad_rate_does_not_go_on_where_its_neighbours_are_bad():
    bad = OWN * HALVING_FACTORS[2]

    def lucky(key):
        return 1.01 if key.lr == bad else 1 - abs(math.log(key.lr / OWN))

    tuning, ran = tuned(lucky)

    assert bad not in {key.lr for key in ran if key.stage == "tune1"}
    assert tuning.rate == OWN


def test_the_own_rate_of_the_task_runs_to_the_end_beside_the_best_other_one():
    def better_at_first(key):
        return key.lr if key.stage == "tune0" else -key.lr

    tuning, ran = tuned(better_at_first)

    assert {key.lr for key in ran if key.stage == "tune1"} == {OWN, OWN * HALVING_FACTORS[-1]}
    assert tuning.rate == OWN


def test_of_equal_results_the_nearest_to_the_own_rate_of_the_task_is_chosen():
    assert tuned(lambda _: 0.5)[0].rate == OWN


@pytest.mark.parametrize("tune", ["lr", "lr-grid"])
def test_the_best_rate_at_the_edge_of_the_grid_is_told(tune):
    assert tuned(lambda key: key.lr, plan(tune))[0].is_at_edge
    assert not tuned(lambda key: -abs(key.lr - OWN), plan(tune))[0].is_at_edge


def test_the_full_grid_chooses_the_best_mean_of_all_rates():
    values = {1 / 9: (1, 1), 1 / 3: (1, 2), 1: (None, 9), 3: (2, 2), 9: (0, 3)}
    value_of = {
        (OWN * factor, seed): pair[number]
        for factor, pair in zip(LR_FACTORS, values.values(), strict=True)
        for number, seed in enumerate(TUNING_SEEDS)
    }

    tuning, ran = tuned(lambda key: value_of[key.lr, key.seed], plan("lr-grid"))

    assert tuning.rate == OWN * 3
    assert {key.stage for key in ran} == {"tune"}


def test_the_stages_run_their_share_of_the_steps_and_not_fewer_than_say_anything():
    assert [steps_of(rung.stage, 1600) for rung in HALVING] == [round(1600 * rung.share) for rung in HALVING]
    assert steps_of("main", 1600) == steps_of("tune", 1600) == steps_of("pilot", 1600) == 1600
    assert steps_of("tune0", 50) == 20
    assert steps_of("tune0", 9) == 9
    assert staged(tiny(), "main", 9).steps is None


@pytest.mark.parametrize("stage", [*(rung.stage for rung in HALVING), "tune"])
def test_a_tuning_trial_runs_its_steps_on_the_validation_split_alone(stage):
    task = tiny(epochs=60)  # 180 steps
    of_test = len(task.data(0).test)
    seen = []
    metric = task.metric

    def counted(output, target):
        seen.append(len(target))
        return metric(output, target)

    trial = run_trial(tiny(epochs=60, metric=counted), parse_arm("relu"), 0, stage=stage)

    assert is_tuning(stage)
    assert trial.steps == steps_of(stage, 180)
    assert trial.metric is None
    assert math.isfinite(trial.validation)
    assert of_test not in seen


@pytest.mark.parametrize("stage", [rung.stage for rung in HALVING])
def test_rates_are_judged_by_the_result_where_that_is_made_of_the_losses(stage):
    losses = {"curve_metric": max, "metric_name": "largest loss", "direction": "min"}
    trial = run_trial(tiny(**losses, metric=accuracy), parse_arm("relu"), 0, stage=stage)

    assert trial.validation == max(trial.series["loss"]["value"])  # and not the accuracy, of which more is better


def test_a_trial_of_a_rung_is_the_beginning_of_one_that_runs_to_the_end():
    short = run_trial(tiny(epochs=120), parse_arm("relu"), 0, stage="tune0")
    ended = run_trial(tiny(epochs=120, steps=45), parse_arm("relu"), 0)

    assert (short.steps, short.curve, short.validation) == (45, ended.curve, ended.validation)


def test_a_schedule_of_the_learning_rate_is_that_of_the_steps_of_the_rung():
    totals = []

    def scheduler(optimizer, total_steps):
        totals.append(total_steps)
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=total_steps)

    trials = [
        run_trial(tiny(epochs=120, scheduler=scheduler), parse_arm("relu"), 0, stage=it) for it in ("tune0", "tune1")
    ]

    assert totals == [45, 360]
    assert [trial.status for trial in trials] == ["completed"] * 2
