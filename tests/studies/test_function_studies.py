"""Studies of training functions: from a notebook and from a file, resumed, tuned, and warned of where the model is not used."""

import pytest
import torch
from tests.studies import tiny
from torch import nn
from torch.nn import functional as F

import actlab
from actlab.study import draft
from actlab.tasks.training.handle import TrialHandle

FILE = """
import torch
from torch import nn

def model(seed):
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

def train(model, seed, trial):
    x = torch.randn(80, 4)
    y = (x.prod(1) > 0).long()
    optimizer = torch.optim.Adam(model.parameters(), lr=trial.lr)
    for step in range(1, 1 + round(40 * trial.steps_share)):
        loss = nn.functional.cross_entropy(model(x[:40]), y[:40])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        trial.report(step=step, loss=loss)
    rows = slice(60, 80) if trial.stage == "main" else slice(40, 60)
    return {"nll": nn.functional.cross_entropy(model(x[rows]), y[rows])}
"""


def fit(model, seed, steps=10):
    data = tiny.data(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        loss = F.cross_entropy(model(data.train.x), data.train.y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {"nll": F.cross_entropy(model(data.test.x), data.test.y)}


def compared(source, folder, *, arms=("relu", "gelu"), jobs=1, **options):
    return actlab.compare(
        source, arms, store=folder / "a.db", jobs=jobs, progress=False, **{"seeds": 2, "target": "none", **options}
    )


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my_train.py"
    path.write_text(FILE, encoding="utf-8")
    return path


def test_a_function_of_a_notebook_is_compared_and_the_same_call_repeats_no_trial(tmp_path):
    width = 8  # a closure, which only a fork has

    def build(seed):
        return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2))

    first = compared(fit, tmp_path, model=build, jobs=2)
    again = compared(fit, tmp_path, model=build, jobs=2)

    assert [row["status"] for row in first.rows()] == ["completed"] * 4
    assert (first.plan.direction, first.plan.metric, first.plan.baseline) == ("min", "nll", "relu")
    assert [row["started"] for row in again.rows()] == [row["started"] for row in first.rows()]


def test_changed_code_and_fixed_arguments_are_other_studies():
    from functools import partial

    def plan(train):
        return draft(train, ["relu", "gelu"], model=tiny.model).plan.fingerprint

    assert plan(fit) == plan(fit)
    assert len({plan(fit), plan(partial(fit, steps=3)), plan(partial(fit, steps=4))}) == 3


@pytest.mark.slow
def test_a_file_is_the_same_in_processes_of_its_own(file, tmp_path):
    alone, pool = (compared(file, tmp_path, jobs=jobs, name=str(jobs)) for jobs in (1, 2))

    def rows(study):
        return sorted((row["arm"], row["seed"], row["metric"], row["train_loss"]) for row in study.rows())

    assert rows(alone) == rows(pool)


def test_rates_are_tried_with_a_share_of_the_steps_and_chosen_on_held_out_data(file, tmp_path):
    study = compared(file, tmp_path, tune="lr", seeds=1)

    rows = study.rows()
    steps = {row["stage"]: row["steps"] for row in rows}
    assert steps["main"] == 40
    assert min(steps.values()) < 40
    assert all((row["metric"] is None) == (row["stage"] != "main") for row in rows)
    assert all(row["validation"] is not None for row in rows if row["stage"] != "main")


def test_a_function_that_trains_another_model_than_the_given_one_is_warned_of(tmp_path):
    def trains_its_own(model, seed):
        return fit(tiny.model(seed), seed)

    verdict = compared(trains_its_own, tmp_path, model=tiny.model, metric_name="nll", seeds=3).verdict()

    assert any(
        "gave identical results on every seed: do they run in the model" in warning for warning in verdict.warnings
    )


def test_the_plan_says_that_the_training_is_not_run_before_the_first_trial(file):
    text = str(draft(file, ["relu", "gelu"]))

    assert "its own function, which is not run here" in text
    assert "values per batch" not in text  # how many values a site computes is not known, as the model was not run
    assert "epochs" not in text


def test_inputs_of_the_model_show_what_runs(file):
    file.write_text(FILE + "\nexample_inputs = torch.zeros(5, 4)\n", encoding="utf-8")

    (site,) = draft(file, ["relu", "gelu"]).sites

    assert (site.path, site.elements) == ("1", 40)


def test_the_rate_of_a_training_that_has_its_own_is_none_and_no_number(tmp_path):
    study = compared(fit, tmp_path, model=lambda seed: tiny.model(seed))  # noqa: PLW0108 # of a notebook
    verdict = study.verdict()

    assert {row["lr"] for row in study.rows()} == {None}
    assert {arm["lr"] for arm in verdict.to_dict()["arms"]} == {None}
    assert {record["learning_rate"] for record in actlab.table(verdict).records()} == {None}
    assert {key.lr for key, *_ in study._store.results(study._stored.id)} == {0.0}  # as in stores of before
    assert "lr" not in str(verdict).split()
    assert repr(TrialHandle(lr=0.0)) == "TrialHandle(seed=0, stage='main', device='cpu')"


def test_a_rate_that_reaches_the_training_is_in_its_rows(file, tmp_path):
    assert {row["lr"] for row in compared(file, tmp_path).rows()} == {0.001}
