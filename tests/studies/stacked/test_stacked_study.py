"""Studies whose trials are trained as stacks end, go on and fail as others do."""

import os
import signal

import pytest
import torch
from tests.studies.tiny import attempts, data, metric, model, tiny

from actlab.errors import PlanError
from actlab.studies.execution import runner
from actlab.studies.store.store import Store
from actlab.studies.trials.trial_key import TrialKey
from actlab.study import compare
from actlab.tasks import Data, Split

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

ARMS = ["relu", "gelu", "tanh"]


def local(**differences):
    """The tiny task with a closure, so that workers are forked: a new interpreter takes seconds to start."""
    return tiny(**{"model": lambda seed: model(seed), **differences})  # noqa: PLW0108 # the point is that it is a lambda


def run(folder, task, *, seeds=4, jobs=1, stack=True, name="mine", **settings):
    return compare(task, ARMS, seeds=seeds, jobs=jobs, store=folder / "a.db", name=name, stack=stack, **settings)


def by_key(rows):
    return {TrialKey(row["stage"], row["arm"], row["seed"], row["lr"]): row for row in rows}


def trainers(rows):
    return {row["versions"]["trainer"] for row in rows}


def facts(study):
    return Store(study.store).facts(study._stored.id)


def assert_close(rows, others):
    found, expected = by_key(rows), by_key(others)
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        assert (found[key]["status"], found[key]["steps"]) == (row["status"], row["steps"])
        assert found[key]["metric"] == pytest.approx(row["metric"], rel=1e-4)
        assert [point["loss"] for point in found[key]["curve"]] == pytest.approx(
            [point["loss"] for point in row["curve"]], rel=1e-4
        )


def test_a_study_has_the_same_rows_with_and_without_stacks(tmp_path):
    alone = run(tmp_path, local(), stack=False, name="alone")
    stacked = run(tmp_path, local(), jobs=2)

    assert (trainers(alone.rows()), trainers(stacked.rows())) == ({"single"}, {"stacked"})
    assert_close(stacked.rows(), alone.rows())
    assert alone.verdict().trainer == "one trial at a time: as asked for"
    assert stacked.verdict().trainer.startswith("stacks of up to 64 trials, each with its share of the seconds")


def test_the_trainer_is_part_of_the_study_and_not_of_its_plan(tmp_path):
    first = run(tmp_path, local(), seeds=2)
    chosen = facts(first)["trainer"]

    more = run(tmp_path, local(), seeds=4, stack=None)

    assert facts(more)["trainer"] == chosen
    assert trainers(more.rows()) == {"stacked"}
    assert more.plan.fingerprint == first.plan.fingerprint


def test_a_small_study_is_not_stacked_by_itself_and_says_why(tmp_path):
    study = run(tmp_path, local(), stack=None)

    assert trainers(study.rows()) == {"single"}
    assert "less than" in study.verdict().trainer


def deadly(folder, number):
    """Return a metric that ends its process by a signal, once, after some trials have been evaluated."""
    ended, killed = folder / "ended", folder / "killed"

    def evaluate(output, target):
        if len(target) == 30:  # the test split, of one trial after the other
            count = len(ended.read_text()) if ended.exists() else 0
            ended.write_text("x" * (count + 1))
            if count >= 5 and not killed.exists():
                killed.touch()
                os.kill(os.getpid(), number)
        return metric(output, target)

    return evaluate


def test_a_killed_stack_repeats_only_its_unfinished_trials(tmp_path):
    study = run(tmp_path, local(metric=deadly(tmp_path, signal.SIGKILL)))

    rows, tries = study.rows(), attempts(Store(study.store), study._stored.id)
    assert {row["status"] for row in rows} == {"completed"}
    repeated = {key for key, count in tries.items() if count == 2}
    assert 0 < len(repeated) < len(rows) - 3
    assert trainers(rows) == {"stacked"}  # each alone, as any may be the cause, and by the trainer of the study
    assert_close(rows, run(tmp_path, local(), stack=False, name="alone").rows())


def test_trials_of_a_stack_that_crashes_run_singly(tmp_path, caplog):
    study = run(tmp_path, local(metric=deadly(tmp_path, signal.SIGTRAP)))

    assert {row["status"] for row in study.rows()} == {"completed"}
    assert trainers(study.rows()) == {"stacked", "single"}
    assert "could not be computed (its process was ended by SIGTRAP)" in caplog.text


@pytest.mark.parametrize(("kills", "trainer"), [(1, "stacked"), (2, "single")])
def test_a_comparison_of_the_trainers_that_is_killed_is_made_again_once(tmp_path, monkeypatch, caplog, kills, trainer):
    marks, compared = tmp_path / "marks", runner.choose_trainer

    def killed(*arguments, **settings):
        count = len(marks.read_text()) if marks.exists() else 0
        if count < kills:
            marks.write_text("x" * (count + 1))
            os.kill(os.getpid(), signal.SIGKILL)
        return compared(*arguments, **settings)

    monkeypatch.setattr(runner, "choose_trainer", killed)
    study = run(tmp_path, local(), seeds=2)

    assert trainers(study.rows()) == {trainer}
    assert ("the process that compared the trainers was ended by SIGKILL" in caplog.text) == (trainer == "single")


def test_trials_whose_stack_cannot_be_computed_run_singly(tmp_path, caplog):
    def uneven(seed):
        whole = data(seed)
        train = whole.train if seed < 3 else Split(x=whole.train.x[:20], y=whole.train.y[:20])
        return Data(train=train, test=whole.test, validation=whole.validation)

    study = run(tmp_path, local(data=uneven))

    assert {row["status"] for row in study.rows()} == {"completed"}
    assert "single" in trainers(study.rows())
    assert "other numbers of examples" in caplog.text
    assert_close(study.rows(), run(tmp_path, local(data=uneven), stack=False, name="alone").rows())


def test_stacks_that_are_asked_for_and_impossible_are_refused_or_warned_of(tmp_path, caplog):
    with pytest.raises(PlanError, match="cannot be trained as a stack: it clips gradients"):
        run(tmp_path, local(clip_norm=1.0), seeds=2)
    with pytest.raises(PlanError, match="stack is 'yes'; allowed: True, False"):
        run(tmp_path, local(), stack="yes")
    assert trainers(run(tmp_path, local(clip_norm=1.0), seeds=2, stack=None).rows()) == {"single"}

    by_value = local(model=lambda seed: ByValue(*model(seed)))
    assert trainers(run(tmp_path, by_value, seeds=2, name="other").rows()) == {"single"}
    assert "cannot be trained as stacks (" in caplog.text
    assert "control flow" in caplog.text


class ByValue(torch.nn.Sequential):
    def forward(self, x):
        return super().forward(x if x.mean() > 0 else -x)


@pytest.mark.slow
def test_stacks_of_a_tuned_study_have_several_learning_rates(tmp_path):
    stacked = run(tmp_path, local(), seeds=2, tune="lr", jobs=2)
    alone = run(tmp_path, local(), seeds=2, tune="lr", stack=False, name="alone")

    assert "stacked" in trainers(stacked.rows())
    assert {key.stage for key in by_key(stacked.rows())} == {key.stage for key in by_key(alone.rows())}
    assert all(torch.isfinite(torch.tensor(row["metric"])) for row in stacked.rows() if row["stage"] == "main")


def test_a_race_with_stacks_eliminates_the_same_arms(tmp_path):
    def wide_gap(output, target):
        return metric(output, target) - (5 if output.std() < 0.2 else 0)

    stacked = run(tmp_path, local(metric=wide_gap), seeds=12, jobs=2)
    alone = run(tmp_path, local(metric=wide_gap), seeds=12, stack=False, name="alone")

    assert by_key(stacked.rows()).keys() == by_key(alone.rows()).keys()
    assert stacked.verdict().best_set == alone.verdict().best_set
