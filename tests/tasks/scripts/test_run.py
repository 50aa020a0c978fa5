"""Trials of a script: what it reports, how it ends, and what is said of it."""

import os

import pytest
from tests.tasks.scripts.stub import write_script

from actlab.tasks.scripts.run import Result, ScriptEndedError, run_script
from actlab.tasks.scripts.script import Script
from actlab.tasks.training.conditions import Conditions
from actlab.tasks.training.recorder import Recorder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs fork")


def run(folder, body, *, command="python {file} {{seed}}", metric="accuracy", seed=3, lr=None, **conditions):
    """Run a script once; return its result and why it gave none."""
    file = write_script(folder, body)
    script = Script(command.format(file=file), metric=metric, direction="max", lr=lr)
    task = script.to_task()
    arm = {"label": "gelu", "assignment": "gelu", "sites": ["*"]}
    request = {"seed": seed, "stage": "main", "arm": arm, "init": "fixed", "decay_learned": True}
    result, error = Result(metric=metric, recorder=Recorder()), None
    try:
        run_script(task, request, result, lr=task.learning_rate, conditions=Conditions(**conditions))
    except ScriptEndedError as problem:
        error = problem
    return result, error


def test_the_last_value_of_the_metric_is_the_result_and_all_values_are_series(tmp_path):
    body = """
    apply_()
    for step in (1, 2, 3):
        actlab.report(step=10 * step, loss=1 / step, accuracy=step / 10)
    """
    result, error = run(tmp_path, body)
    assert error is None
    assert result.last == {"loss": 1 / 3, "accuracy": 0.3}
    assert result.step == 30
    series = result.recorder.to_series()
    assert series["accuracy"]["step"] == [10, 20, 30]
    assert series["accuracy"]["value"] == [0.1, 0.2, 0.3]
    assert series["loss"]["value"] == [1.0, 0.5, 1 / 3]
    assert series["loss"]["seconds"] == sorted(series["loss"]["seconds"])


def test_the_curve_of_the_metric_is_that_of_the_validation_split_where_that_is_reported(tmp_path):
    body = """
    apply_()
    for epoch in (1, 2, 3):
        actlab.report(step=epoch, validation=epoch / 10)
    actlab.report(step=3, accuracy=0.25)
    """
    result, _ = run(tmp_path, body)
    series = result.recorder.to_series()
    assert (result.last["accuracy"], result.last["validation"]) == (0.25, 0.3)
    assert series["accuracy"]["value"] == series["validation"]["value"] == [0.1, 0.2, 0.3]


def test_of_two_values_for_a_step_the_last_counts(tmp_path):
    body = "apply_()\nactlab.report(step=5, accuracy=0.2)\nactlab.report(step=5, accuracy=0.4)"
    result, _ = run(tmp_path, body)
    assert result.last["accuracy"] == 0.4
    assert result.recorder.to_series()["accuracy"]["value"] == [0.4]


def test_reports_without_a_step_are_counted(tmp_path):
    result, _ = run(tmp_path, "apply_()\nfor _ in range(3): actlab.report(accuracy=0.5)")
    assert result.recorder.to_series()["accuracy"]["step"] == [1, 2, 3]


def test_seed_rate_folder_and_arm_reach_the_script(tmp_path):
    body = """
    apply_()
    names = ("SEED", "LR", "OUT", "ARM", "STAGE")
    known = [os.environ[f"ACTLAB_{name}"] for name in names]
    assert sys.argv[1:] == [known[0], known[1], known[2]], sys.argv
    assert known[3:] == ["gelu", "main"] and os.listdir(known[2]) == []
    assert os.environ["OMP_NUM_THREADS"] == "2" and "RANK" not in os.environ
    actlab.report(accuracy=float(sys.argv[1]) + float(sys.argv[2]))
    """
    result, error = run(tmp_path, body, command="python {file} {{seed}} {{lr}} {{out}}", seed=7, lr=0.25, threads=2)
    assert error is None, error
    assert result.last["accuracy"] == 7.25


def test_the_folder_of_a_trial_is_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    body = "apply_()\nopen(os.path.join(os.environ['ACTLAB_OUT'], 'weights.pt'), 'w').write('x')\nactlab.report(accuracy=1)"
    _, error = run(tmp_path, body)
    assert error is None
    assert [path.name for path in tmp_path.iterdir()] == ["train.py"]


def test_a_script_that_was_killed_from_outside_is_tried_again_by_a_later_run(tmp_path):
    _, error = run(tmp_path, "apply_()\nos.kill(os.getpid(), 9)")
    assert error.is_provisional
    assert "SIGKILL" in str(error)


def test_a_script_that_prints_much_and_forks_gives_its_result(tmp_path):
    body = """
    apply_()
    for _ in range(20):
        print("x" * 1_000_000)
        print("y" * 1_000_000, file=sys.stderr)
    sys.stdout.flush()
    if os.fork() == 0:
        time.sleep(60)
    actlab.report(accuracy=0.5)
    """
    result, error = run(tmp_path, body)
    assert error is None
    assert result.last == {"accuracy": 0.5}


def test_a_metric_that_is_called_loss_is_a_series_of_its_own_beside_the_training_loss(tmp_path):
    result, _ = run(tmp_path, "apply_()\nactlab.report(loss=0.5)", metric="loss")
    assert set(result.recorder.to_series()) == {"loss", "held-out loss"}
