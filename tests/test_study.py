"""`compare` checks everything before the first trial, and its study can be loaded again from the store."""

import json

import pytest
from tests.studies.tiny import FILE, data, tiny
from torch import nn

from actlab import study as module
from actlab.errors import ActlabError, PlanError, StoreError, TaskError, UnknownNameError
from actlab.studies.execution import template
from actlab.study import compare, draft, list_studies, load_study
from actlab.tasks import Data, Split


@pytest.fixture
def no_training(monkeypatch):
    def train(*_):
        pytest.fail("a trial was begun")

    monkeypatch.setattr(module, "run", train)


def go(folder, task=None, arms=("relu", "gelu"), **settings):
    return compare(task or tiny(), arms, **({"seeds": 2, "jobs": 1, "store": folder / "actlab.db"} | settings))


def test_a_study_is_found_again_in_its_store(tmp_path):
    study = go(tmp_path, name="mine")

    again = load_study(tmp_path / "actlab.db", "mine")

    assert again.plan == study.plan
    assert again.rows() == study.rows()
    assert again.costs() == study.costs()
    assert again.verdict() == study.verdict()


def test_the_store_lists_its_studies(tmp_path):
    go(tmp_path, name="one")
    go(tmp_path, name="two", seeds=1)

    found = list_studies(tmp_path / "actlab.db")

    assert [(own["study"], own["task"], own["trials"], own["seeds"]) for own in found] == [
        ("one", "tiny", 4, 2),
        ("two", "tiny", 2, 1),
    ]
    assert json.dumps(found)
    assert str(found).splitlines()[0].split() == ["study", "task", "arms", "seeds", "trials", "created"]


def test_without_a_name_the_plan_gives_one_so_that_the_same_call_goes_on(tmp_path):
    first, again, other = go(tmp_path), go(tmp_path, seeds=3), go(tmp_path, alpha=0.01)

    assert first.name == again.name
    assert first.name.startswith("tiny-")
    assert other.name != first.name


def test_the_verdict_is_json(tmp_path):
    verdict = go(tmp_path).verdict().to_dict()

    assert json.dumps(verdict, allow_nan=False)
    assert [arm["parameters"] for arm in verdict["arms"]] == [58, 58]
    assert all(arm["peak_memory"] > 0 and arm["step_time_ratio"] > 0 for arm in verdict["arms"])


def test_duplicates_of_test_examples_reach_the_verdict(tmp_path):
    def leaking(seed):
        whole = data(seed)
        return Data(train=whole.train, test=Split(x=whole.train.x[:10], y=whole.train.y[:10]))

    warnings = go(tmp_path, tiny(data=leaking)).verdict().warnings

    assert any("10 of 10 test examples are also in the training split" in warning for warning in warnings)


def test_tuning_gives_every_arm_the_grid_and_warns_of_its_edge(tmp_path):
    study = go(tmp_path, tiny(learning_rate=1e-7), tune="lr")

    rows = study.rows()
    tuning = [row for row in rows if row["stage"] != "main"]
    assert len(tuning) == study.plan.tuning_trials
    assert all(row["metric"] is None for row in tuning)
    main = {row["arm"]: row["lr"] for row in rows if row["stage"] == "main"}
    assert main == {
        "relu": pytest.approx(2.7e-6),
        "gelu": pytest.approx(2.7e-6),
    }  # far too small a rate: the largest is best
    (edge,) = (warning for warning in study.verdict().warnings if "at the edge of the grid" in warning)
    assert edge.startswith(
        "The best learning rate of relu (2.7e-06) and gelu (2.7e-06) is at the edge of the grid around 1e-07"
    )


def test_a_validation_split_that_is_the_test_split_is_selection_on_test(tmp_path):
    def cheating(seed):
        whole = data(seed)
        return Data(train=whole.train, test=whole.test, validation=whole.test)

    study = go(tmp_path, tiny(data=cheating), tune="lr", seeds=1)

    assert any("test split was used for selection" in warning for warning in study.verdict().warnings)


def test_costs_are_measured_once(tmp_path, monkeypatch):
    first = go(tmp_path).costs()
    again = tmp_path / "measured_again"
    monkeypatch.setattr(
        template, "measure_costs", lambda *_, **__: again.touch()
    )  # in the fork that would measure them

    assert go(tmp_path, seeds=3).costs() == first
    assert not again.exists()


def test_a_draft_trains_nothing_and_counts_the_trials(no_training):
    drafted = draft(tiny(), ["relu", "gelu"], baseline="tanh", seeds=4, tune="lr", jobs=3, budget="1m")

    assert (drafted.trials, drafted.jobs, drafted.budget) == (drafted.plan.tuning_trials + 12, 3, 60.0)
    assert json.loads(json.dumps(drafted.to_dict()))["arms"] == ["tanh", "relu", "gelu"]


def without_validation(seed):
    whole = data(seed)
    return Data(train=whole.train, test=whole.test)


def without_site(seed):
    return nn.Linear(4, 2)


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"task": "digitz"}, UnknownNameError, "Did you mean 'digits'"),
        ({"task": "no_such_file.py"}, TaskError, "There is no file"),
        ({"arms": ["relu", "geluu"]}, UnknownNameError, "Did you mean 'gelu'"),
        ({"arms": ["relu"]}, PlanError, "Only one arm"),
        ({"seeds": -1}, PlanError, "seeds is -1"),
        ({"budget": "soon"}, PlanError, "budget is 'soon'"),
        ({"jobs": 0}, PlanError, "jobs is 0"),
        ({"jobs": 1.5}, PlanError, "jobs is 1.5"),
        ({"name": ""}, PlanError, "name '' cannot be used"),
        ({"alpha": 2}, PlanError, "alpha is 2"),
        (
            {"tune": "lr", "task": tiny(data=without_validation)},
            PlanError,
            "needs a validation split, and tiny has none",
        ),
        ({"task": tiny(direction="up")}, TaskError, "Did you mean 'max'"),
        ({"task": tiny(model=without_site)}, PlanError, "arm relu does not fit the model of tiny"),
        ({"arms": ["relu", {"no.such.site": "gelu"}]}, PlanError, "arm no.such.site=gelu does not fit"),
        ({"store": "/no/such/folder/actlab.db"}, StoreError, "there is no folder"),
        ({"store": "sqlite://"}, StoreError, "is in memory"),
    ],
)
def test_errors_are_raised_before_any_training(tmp_path, no_training, settings, error, said):
    with pytest.raises(error, match=said) as caught:
        go(tmp_path, **settings)

    assert isinstance(caught.value, ActlabError)


def test_an_arm_per_channel_learns_their_number_from_the_data(tmp_path):
    study = go(tmp_path, arms=["relu", "prelu(weight=learned_per_channel)"], seeds=1)

    assert [row["parameters"] for row in study.rows()] == [58, 66]


def test_an_arm_may_be_a_map_of_sites(tmp_path):
    study = go(tmp_path, arms=["relu", {"1": "gelu"}], seeds=1)

    assert [row["status"] for row in study.rows()] == ["completed"] * 2
    assert study.plan.labels == ("relu", "1=gelu")


def test_a_trial_that_fails_is_a_result_and_the_study_goes_on(tmp_path):
    def picky(seed):
        if seed == 3:
            raise ValueError("no more")
        return tiny().model(seed)

    study = go(tmp_path, tiny(model=picky), seeds=5)

    fates = [row["status"] for row in study.rows()]
    assert "completed" in fates
    assert "failed" in fates
    assert any("no more" in warning for warning in study.verdict().warnings)


def test_a_file_is_fingerprinted_by_its_text(tmp_path):
    file = tmp_path / "my_task.py"
    file.write_text(FILE)
    first = go(tmp_path, str(file), name="mine", seeds=1)
    file.write_text(FILE.replace("epochs = 3", "epochs = 4"))

    with pytest.raises(StoreError, match="the task's code has changed"):
        go(tmp_path, str(file), name="mine", seeds=1)

    assert first.plan.file == str(file)
