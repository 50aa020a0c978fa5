"""The set of trials is a function of the plan alone, whatever the order in which workers finish."""

import math
import random

import pytest
from tests.studies.tiny import result, tiny

from actlab.stats.racing import Race
from actlab.studies.execution.scheduler import Scheduler
from actlab.studies.plan import make_plan
from actlab.studies.prepare import draft
from actlab.studies.store.store import TrialKey
from actlab.studies.trials.stage import share_of

ARMS = ("relu", "gelu", "silu", "tanh", "sigmoid")


def plan(seeds=20, arms=ARMS, **settings):
    return make_plan(tiny(), arms, seeds=seeds, **settings)


def outcomes(seed, arms=ARMS, spread=0.6, failures=0.0):
    """Results of every trial that could be run, some of them diverged or failed."""
    draw = random.Random(seed)  # noqa: S311 # a simulation
    levels = {arm: draw.gauss(0, 1) for arm in arms}

    def fate(arm, number):
        chance = draw.random()
        value = levels[arm] + draw.gauss(0, spread)
        if chance < failures / 2:
            return result(arm, number, None, status="failed")
        return result(arm, number, None, status="diverged") if chance < failures else result(arm, number, value)

    return {(arm, number): fate(arm, number) for arm in arms for number in range(20)}


def run(plan, fates, workers, order):
    """Run a study with so many workers, each trial ending at a time of its own; return arm and seed of what ran."""
    scheduler, rows, running = Scheduler(plan, 0.01), [], []
    while True:
        schedule = scheduler.update(rows)
        for key in schedule.runnable:
            if len(running) < workers and key not in running:
                running.append(key)
        if not running:
            assert schedule.finished
            return {(row.key.arm, row.key.seed) for row in rows}
        ended = running.pop(order.randrange(len(running)))
        rows.append(fates[ended.arm, ended.seed])


def round_by_round(plan, fates):
    """The same study without any look ahead: a round, a decision, a round. Written from the race alone."""
    race, ran, state = Race(plan.labels, plan.direction, plan.alpha), set(), None
    for position in range(len(plan.seeds)):
        active = plan.labels if state is None else state.active
        if len(active) == 1:
            break
        ran |= {(arm, plan.seeds[position]) for arm in (*active, plan.baseline)}
        table = {arm: {seed: fates[arm, seed].metric for own, seed in ran if own == arm} for arm in plan.labels}
        state = race.replay(table, plan.seeds[: position + 1])
    return ran


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("workers", [1, 2, 7])
def test_looking_ahead_runs_exactly_the_trials_of_a_round_by_round_study(seed, workers):
    fates = outcomes(seed)

    ran = run(plan(), fates, workers, random.Random(seed + workers))  # noqa: S311 # a simulation

    assert ran == round_by_round(plan(), fates)


@pytest.mark.parametrize("seed", range(6))
def test_diverged_and_failed_trials_do_not_make_the_set_depend_on_the_order(seed):
    fates = outcomes(seed, failures=0.1)

    sets = [run(plan(), fates, workers, random.Random(workers)) for workers in (1, 3, 9)]  # noqa: S311 # a simulation

    assert all(ran == sets[0] for ran in sets)


def test_some_of_these_studies_end_early_so_that_the_tests_above_can_fail():
    sizes = [len(round_by_round(plan(), outcomes(seed))) for seed in range(12)]

    assert min(sizes) < 60
    assert max(sizes) < 100


def test_no_arm_waits_in_the_first_rounds():
    fates = outcomes(0)
    first = [fates[arm, 0] for arm in ARMS]

    schedule = Scheduler(plan(), 0.01).update(first)

    # An arm is eliminated at an average evidence of 20. That of the five arms at most doubles with every round.
    assert {1, 2, 3, 4, 5} <= {key.seed for key in schedule.runnable} <= {1, 2, 3, 4, 5, 6, 7}


def test_a_worker_runs_ahead_while_a_round_is_open_but_only_with_arms_that_are_safe():
    rows = [
        result(arm, seed, value + 0.01 * (seed % 2))
        for seed in range(5)
        for arm, value in zip(ARMS, (5, 4.9, 3, 2, 1), strict=True)
    ]
    rows += [result(arm, 5, 1.0) for arm in ARMS[1:4]]

    keys = Scheduler(plan(), 0.01).update(rows).runnable

    assert {(key.arm, key.seed) for key in keys if key.seed == 5} == {("relu", 5), ("sigmoid", 5)}
    assert not any(key.arm == "sigmoid" and key.seed > 5 for key in keys)


def test_the_baseline_runs_on_after_its_elimination():
    levels = {"relu": -9, "gelu": 1, "silu": 1}
    fates = {
        (arm, seed): result(arm, seed, level + ((seed * 7 + len(arm)) % 5))
        for arm, level in levels.items()
        for seed in range(20)
    }

    ran = run(plan(arms=tuple(levels)), fates, 1, random.Random(0))  # noqa: S311 # a simulation

    assert sum(arm == "relu" for arm, _ in ran) == 20


def test_a_study_ends_when_one_arm_is_left():
    levels = {"relu": 0, "gelu": 1}
    fates = {(arm, s): result(arm, s, level + 0.01 * (s * 7 % 5)) for arm, level in levels.items() for s in range(20)}

    ran = run(plan(arms=("relu", "gelu")), fates, 1, random.Random(0))  # noqa: S311 # a simulation

    assert len(ran) < 20
    assert sorted(arm for arm, _ in ran) == ["gelu"] * (len(ran) // 2) + ["relu"] * (len(ran) // 2)


def test_without_elimination_every_trial_runs():
    ran = run(plan(eliminate=False), outcomes(3), 2, random.Random(0))  # noqa: S311 # a simulation

    assert len(ran) == 100


def test_an_arm_whose_first_trial_failed_is_not_run_again():
    fates = outcomes(1) | {("tanh", 0): result("tanh", 0, None, status="out_of_memory")}

    for workers in (1, 8):
        ran = run(plan(), fates, workers, random.Random(0))  # noqa: S311 # a simulation
        assert {trial for trial in ran if trial[0] == "tanh"} == {("tanh", 0)}


def test_a_study_in_which_everything_fails_ends():
    fates = {(arm, seed): result(arm, seed, None, status="failed") for arm in ARMS for seed in range(20)}

    assert len(run(plan(), fates, 2, random.Random(0))) == 5  # noqa: S311 # a simulation


def test_an_arm_that_is_tuned_begins_with_its_best_rate_while_others_are_tuned():
    schedule, rows = Scheduler(plan(tune="lr"), 0.01).update([]), []
    while keys := [key for key in schedule.runnable if key.arm == "gelu" and key.stage != "main"]:
        rows += [
            result("gelu", key.seed, None, stage=key.stage, lr=key.lr, validation=-abs(key.lr - 0.03)) for key in keys
        ]
        schedule = Scheduler(plan(tune="lr"), 0.01).update(rows)

    main = [(key.arm, key.seed, key.lr) for key in schedule.runnable if key.stage == "main"]
    assert main == [("gelu", 0, pytest.approx(0.03))]


def tuned_value(key):
    """Validation result of a tuning trial: another best rate for every arm, noise, and no result of large rates of one arm."""
    draw = random.Random(f"{key}")  # noqa: S311 # a simulation
    best = {"relu": -4.6, "gelu": -5.2, "silu": -3.0, "tanh": -4.1, "sigmoid": -2.4}[key.arm]
    return None if key.arm == "tanh" and key.lr > 0.02 else -abs(math.log(key.lr) - best) + draw.gauss(0, 0.3)


def run_tuned(plan, workers, order):
    """Run a study with tuning; return the keys of what ran, and the schedules on the way."""
    scheduler, rows, running, schedules = Scheduler(plan, 0.01), [], [], []
    fates = outcomes(1)
    while True:
        schedule = scheduler.update(rows)
        schedules.append(schedule)
        running += [key for key in schedule.runnable if key not in running][: workers - len(running)]
        if not running:
            assert schedule.finished
            return [row.key for row in rows], schedules
        key = running.pop(order.randrange(len(running)))
        if key.stage == "main":
            rows.append(fates[key.arm, key.seed]._replace(key=key))
        else:
            value = tuned_value(key)
            rows.append(result(key.arm, key.seed, None, stage=key.stage, lr=key.lr, validation=value))


@pytest.mark.parametrize("tune", ["lr", "lr-grid"])
def test_the_trials_of_a_tuned_study_do_not_depend_on_the_order_in_which_they_end(tune):
    settings = {"tune": tune, "seeds": 6}

    sets = [run_tuned(plan(**settings), workers, random.Random(workers))[0] for workers in (1, 3, 9)]  # noqa: S311

    assert all(len(set(ran)) == len(ran) for ran in sets)
    assert set(sets[0]) == set(sets[1]) == set(sets[2])
    assert len({key.lr for key in sets[0] if key.stage == "main"}) > 2


def test_a_study_that_is_resumed_at_any_point_of_its_tuning_runs_the_trials_of_an_undisturbed_one():
    whole, _ = run_tuned(plan(tune="lr", seeds=2), 1, random.Random(0))  # noqa: S311 # a simulation
    tuned = [key for key in whole if key.stage != "main"]

    for count in range(len(tuned)):
        rows = [
            result(key.arm, key.seed, None, stage=key.stage, lr=key.lr, validation=tuned_value(key))
            for key in tuned[:count]
        ]
        left = Scheduler(plan(tune="lr", seeds=2), 0.01).update(reversed(rows)).runnable
        assert not {row.key for row in rows} & {*left}
        assert {*left} <= {*whole}


@pytest.mark.parametrize("tune", ["lr", "lr-grid"])
def test_a_lost_tuning_trial_that_counts_as_not_run_later_does_not_change_the_rate_of_an_arm_between_seeds(tune):
    ran, _ = run_tuned(plan(tune=tune, seeds=6), 1, random.Random(0))  # noqa: S311 # a simulation
    fates, arm = outcomes(1), "silu"
    rows = [
        fates[key.arm, key.seed]._replace(key=key)
        if key.stage == "main"
        else result(key.arm, key.seed, None, stage=key.stage, lr=key.lr, validation=tuned_value(key))
        for key in ran
        if key.stage != "main" or key.seed < 3
    ]
    # in an earlier run, a trial of the best rate on the last rung was ended at its limit: another rate was chosen then
    rate = next(row.key.lr for row in rows if row.key[:3] == ("main", arm, 0))
    lost = next(row for row in rows if row.key.stage != "main" and (row.key.arm, row.key.lr) == (arm, rate))
    earlier = [row for row in rows if row != lost]
    earlier = [row._replace(key=row.key._replace(lr=0.007)) if row.key[:2] == ("main", arm) else row for row in earlier]

    scheduler = Scheduler(plan(tune=tune, seeds=6), 0.01)
    schedule = scheduler.update(earlier)

    assert {key.lr for key in schedule.runnable if key.arm == arm} == {0.007}
    assert scheduler.update([lost]).runnable == schedule.runnable


@pytest.mark.parametrize("tune", ["lr", "lr-grid"])
def test_the_number_of_trials_never_grows_and_ends_at_what_was_run_and_the_work_left_at_none(tune):
    ran, schedules = run_tuned(plan(tune=tune, seeds=6), 2, random.Random(3))  # noqa: S311 # a simulation

    totals, work = [schedule.total for schedule in schedules], [schedule.work_left for schedule in schedules]
    assert totals == sorted(totals, reverse=True)
    assert totals[-1] == len(ran)
    assert totals[0] == draft(tiny(), ARMS, baseline="relu", seeds=6, tune=tune).trials
    assert work == sorted(work, reverse=True)
    assert work[-1] == 0
    assert work[0] >= sum(share_of(key.stage) for key in ran)


def test_a_pilot_of_the_baseline_runs_before_all_main_trials():
    plan = make_plan(tiny(), ["relu", "gelu"], seeds=6)
    scheduler = Scheduler(plan, 0.01, pilot=True)
    first = scheduler.update([])

    assert first.runnable == (TrialKey("pilot", "relu", 1_000_000, 0.01),)
    assert (first.total, first.round_size, first.finished) == (13, 1, False)
    second = scheduler.update([result("relu", 1_000_000, None, stage="pilot", validation=0.5)])
    assert {key.stage for key in second.runnable} == {"main"}
    assert (second.done, second.total) == (1, 13)


@pytest.mark.parametrize("status", ["failed", "diverged", "out_of_memory"])
def test_a_pilot_that_fails_does_not_hold_the_study(status):
    plan = make_plan(tiny(), ["relu", "gelu"], seeds=6)
    schedule = Scheduler(plan, 0.01, pilot=True).update([result("relu", 1_000_000, None, stage="pilot", status=status)])

    assert len(schedule.runnable) >= 2
    assert schedule.runnable[0].stage == "main"


def test_where_rates_are_tuned_no_main_trial_runs_before_the_baseline_is_tuned():
    plan = make_plan(tiny(), ["relu", "gelu"], seeds=6, tune="lr")
    scheduler, known = Scheduler(plan, 0.01, pilot=True), []
    while True:
        schedule = scheduler.update(known)
        mine = [key for key in schedule.runnable if key.arm == "gelu" and key.stage != "main"]
        if not mine:
            break
        known = [result(key.arm, key.seed, None, stage=key.stage, lr=key.lr, validation=key.lr) for key in mine]

    assert "pilot" not in {key.stage for key in schedule.runnable}
    assert {key.arm for key in schedule.runnable} == {"relu"}
    assert "main" not in {key.stage for key in schedule.runnable}
