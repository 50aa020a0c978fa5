"""The page and the plan say how learning rates were chosen, among which, and what was chosen."""

from tests.studies.tiny import tiny

from actlab.report.content.learning_rate import learning_rates, planned_learning_rates
from actlab.studies.plan import make_plan
from actlab.tasks.training_function.function_task import function_task


def row(stage, arm, seed, rate):
    return {"stage": stage, "arm": arm, "seed": seed, "lr": rate}


def planned(tune):
    return planned_learning_rates(make_plan(tiny(), ["relu", "gelu"], tune=tune), 0.01)


def test_a_plan_tells_the_grid_and_the_way_through_it():
    assert planned(None) == "the task's own, 0.01"
    assert planned("lr-grid") == "tuned for every arm with the same budget: 5 rates from 0.0011 to 0.09 on 2 seeds"
    assert planned("lr").endswith("on 2 seeds, by successive halving")


def test_a_study_tells_what_each_arm_got():
    rows = [row("tune0", arm, seed, rate) for arm in ("relu", "gelu") for seed in (7, 8) for rate in (0.1, 0.2, 0.4)]
    rows += [row("main", "relu", 0, 0.2), row("main", "gelu", 0, 0.1), row("pilot", "relu", 7, 0.5)]

    assert learning_rates(rows) == (
        "tuned for every arm with the same budget: 3 rates from 0.1 to 0.4 on 2 seeds, by successive halving; relu 0.2; gelu 0.1"
    )
    assert "halving" not in learning_rates([{**it, "stage": "tune"} if it["stage"] == "tune0" else it for it in rows])


def test_without_tuning_the_rate_is_that_of_the_task_or_of_the_own_training_of_the_user():
    assert (
        learning_rates([row("main", "relu", 0, 0.01), row("main", "gelu", 0, 0.01)])
        == "the task's own, 0.01; not tuned"
    )
    assert learning_rates([row("main", "relu", 0, 0.0)]) == "the training's own"
    assert planned_learning_rates(make_plan(tiny(), ["relu", "gelu"]), 0.0) == "the training's own"


def test_a_training_function_that_does_not_read_the_rate_of_the_trial_has_its_own():
    def train_alone(model):
        return {"accuracy": 0.5}

    def train_as_told(model, trial):
        return {"accuracy": trial.lr}

    tasks = [function_task(train, model=lambda _: None) for train in (train_alone, train_as_told)]

    texts = [planned_learning_rates(make_plan(task, ["relu", "gelu"]), task.learning_rate) for task in tasks]
    assert texts == ["the training's own", "the task's own, 0.001"]
