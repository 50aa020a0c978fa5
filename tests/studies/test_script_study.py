"""Studies of a script, from the command to the verdict, with scripts that start in a tenth of a second."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.tasks.scripts.stub import write_script

import actlab
from actlab.errors import ActlabError, PlanError, StoreError, TaskError
from actlab.study import draft

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs fork")

BODY = """
apply_()
seed, gain = int(os.environ["ACTLAB_SEED"]), {"relu": 0.0, "gelu": 0.1, "tanh": -0.1}.get(os.environ["ACTLAB_ARM"], 0)
for step in (1, 2, 3):
    actlab.report(step=step, loss=1 / step, accuracy=0.5 + gain + step / 100 + seed / 1000, validation=0.4 + gain)
"""


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_script(tmp_path, BODY)
    return actlab.Script("python train.py --seed {seed}")


def compare(script, arms=("relu", "gelu"), **options):
    return actlab.compare(script, list(arms), **{"seeds": 2, "jobs": 2, "store": "a.db", "progress": False, **options})


def main_rows(study):
    return [row for row in study.rows() if row["stage"] == "main"]


def test_a_study_has_the_rows_of_any_other_and_a_page(script, tmp_path):
    study = compare(script, ["relu", "gelu", "tanh"], seeds=3)
    rows = main_rows(study)
    assert {(row["arm"], row["seed"]) for row in rows} == {(a, s) for a in ("relu", "gelu", "tanh") for s in range(3)}
    row = next(row for row in rows if (row["arm"], row["seed"]) == ("gelu", 2))
    assert row["status"] == "completed"
    assert row["metric"] == pytest.approx(0.632)
    assert row["steps"] == 3
    assert row["parameters"] == 10
    assert row["validation"] == pytest.approx(0.5)
    assert [point["step"] for point in row["curve"]] == [1, 2, 3]
    assert row["series"]["accuracy"]["step"] == [1, 2, 3]
    assert row["inputs"]["weights"] == "seed 2"
    verdict = study.verdict()
    assert next(arm.spec for arm in verdict.arms) == "gelu"
    assert all(arm.step_time_ratio is None for arm in verdict.arms)
    page = study.report(tmp_path / "report.html").read_text()
    assert "python train.py" in page
    assert study.figure(tmp_path / "curves.svg", "curves").exists()
    assert str(verdict)


@pytest.mark.slow
def test_the_command_of_the_verdict_resumes_the_study(script):
    study = compare(script)
    command = study.verdict().command
    assert command.startswith(f"cd {Path.cwd()} && actlab compare --script 'python train.py --seed '")
    words = command.replace("actlab compare", f"{sys.executable} -m actlab compare", 1)
    again = subprocess.run(f"{words} --json", shell=True, capture_output=True, text=True, check=False)  # noqa: S602 # as typed
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["study"] == study.name
    assert len(main_rows(study)) == 4


def test_more_seeds_repeat_no_trial(script):
    compare(script)
    study = compare(script, seeds=3)
    assert len(main_rows(study)) == 6
    assert [it["script"] for it in actlab.list_studies("a.db")] == ["python train.py --seed {seed}"]


def test_a_dry_run_shows_sites_and_trains_nothing(script):
    planned = draft(script, ["relu", "gelu"], seeds=6)
    assert planned.trials in {12, 13}  # with the one from which the target is made
    assert [(site.path, site.function, site.swapped_by) for site in planned.sites] == [("1", "relu", ("relu", "gelu"))]
    assert planned.plan.baseline == "relu"
    assert planned.to_dict()["script"] == "python train.py --seed {seed}"
    assert "python train.py" in str(planned)


def test_an_edited_script_is_another_study_and_an_edited_module_is_said(script, tmp_path):
    (tmp_path / "layers.py").write_text("WIDTH = 1\n")
    write_script(tmp_path, "import layers\n" + BODY)
    first = compare(script)
    (tmp_path / "layers.py").write_text("WIDTH = 2\n")
    with pytest.raises(StoreError, match=r"layers\.py was edited"):
        compare(script)
    write_script(tmp_path, BODY + "\n# other\n")
    assert compare(script).name != first.name


def test_a_value_beside_the_metric_that_is_no_finite_number_is_no_result(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_script(tmp_path, "apply_()\nactlab.report(accuracy=0.5, f1=0.4, gap=float('nan'), perplexity=10**400)")
    row = compare(actlab.Script("python train.py {seed}", metric="accuracy"), seeds=1).rows()[0]
    assert (row["status"], row["metrics"]) == ("completed", {"accuracy": 0.5, "f1": 0.4})
    assert row["series"]["gap"]["value"] == [None]


def test_a_failed_trial_is_a_result_and_the_study_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_script(tmp_path, BODY.replace("for step", "if gain > 0: sys.exit('wrong shape')\nfor step"))
    study = compare(actlab.Script("python train.py"), ["relu", "gelu"])
    failed = [row for row in study.rows() if row["status"] == "failed"]
    assert {row["arm"] for row in failed} == {"gelu"}
    assert failed[0]["error"].startswith("the script failed: it ended with exit code 1: wrong shape")


@pytest.mark.slow
def test_a_trial_longer_than_the_limit_is_ended_with_its_children(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    body = BODY.replace(
        "for step",
        "if gain > 0:\n    os.fork()\n    open('pids', 'a').write(f'{os.getpid()} ')\n    time.sleep(60)\nfor step",
    )
    write_script(tmp_path, body)
    study = compare(actlab.Script("python train.py"), ["relu", "gelu"], seeds=1, trial_limit=1)
    row = next(row for row in main_rows(study) if row["arm"] == "gelu")
    assert row["status"] == "failed"
    assert "the limit for a trial is 1 s" in row["error"]
    time.sleep(0.3)
    assert not any(Path(f"/proc/{pid}/cwd").exists() for pid in (tmp_path / "pids").read_text().split())


@pytest.mark.slow
def test_a_kill_of_actlab_ends_the_scripts_and_the_same_call_goes_on_in_their_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kept = """
state = os.path.join(os.environ["ACTLAB_OUT"], "state")
if seed == 1 and not os.path.exists(state):
    open(state, "w").write("half of the training")
    open("pids", "a").write(f"{os.getpid()} ")
    time.sleep(60)
for step"""
    write_script(tmp_path, BODY.replace("for step", kept))
    code = "import actlab; actlab.compare(actlab.Script('python train.py'), ['relu', 'gelu'], seeds=2, jobs=2, store='a.db')"
    process = subprocess.Popen([sys.executable, "-c", code])
    end = time.monotonic() + 60
    while not (Path("pids").exists() and len(Path("pids").read_text().split()) == 2) and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    pids = Path("pids").read_text().split()
    time.sleep(1)
    assert not any(Path(f"/proc/{pid}/cwd").exists() for pid in pids)
    study = compare(actlab.Script("python train.py"))
    assert [row["status"] for row in main_rows(study)] == ["completed"] * 4
    assert len(Path("pids").read_text().split()) == 2
    assert [path.name for path in tmp_path.rglob("*checkpoints*")] == []


@pytest.mark.slow
def test_the_learning_rate_is_tuned_by_what_the_script_reports_of_its_validation_split(script, tmp_path):
    body = BODY.replace("validation=0.4 + gain", "validation=-abs(float(os.environ['ACTLAB_LR']) - 0.3)")
    write_script(tmp_path, body)
    study = compare(actlab.Script("python train.py {lr}", lr=0.1), seeds=1, tune="lr")
    assert {round(row["lr"], 6) for row in study.rows() if row["stage"] == "main"} == {0.3}
    assert {row["metric"] for row in study.rows() if row["stage"] != "main"} == {None}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("actlab.report(accuracy=1)", ["ended without a call of actlab.apply_", "actlab.report(step=epoch"]),
        ("import no_such_module\napply_()\nactlab.report(accuracy=1)", ["does not get to actlab.apply_", "No module named"]),
        ("apply_() or actlab.report(gap=1)", ["it reports gap", "--metric NAME --direction max"]),
        ("time.sleep(60)\napply_()\nactlab.report(accuracy=1)", ["has not called actlab.apply_ within 1 s", "--trial-limit"]),
    ],
)  # fmt: skip
def test_a_script_that_cannot_take_part_is_refused_before_any_trial(body, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_script(tmp_path, body)
    with pytest.raises(TaskError) as caught:
        compare(actlab.Script("python train.py"), trial_limit=1 if "sleep" in body else None)
    for part in words:
        assert part in str(caught.value)
    assert not Path("a.db").exists()


def test_tuning_without_a_rate_that_reaches_the_script_is_refused(script):
    with pytest.raises(PlanError, match=r"write \{lr\} into the command"):
        compare(script, tune="lr")


@pytest.mark.parametrize("rate", [0, -1, float("nan"), "0.1", True])
def test_what_is_no_learning_rate_is_refused(rate, script):
    with pytest.raises(TaskError, match="a number above 0"):
        actlab.Script("python train.py {lr}", lr=rate).to_task()


def test_a_command_without_a_place_for_the_seed_and_a_script_that_does_not_read_it_is_warned_of(
    script, tmp_path, caplog
):
    file = write_script(tmp_path, "apply_()\nactlab.report(accuracy=1)")
    file.write_text(file.read_text().replace("ACTLAB_SEED", "ACTLAB_ARM"))
    with caplog.at_level(logging.WARNING):
        draft(actlab.Script("python train.py"), ["relu", "gelu"])
    assert "{seed}" in caplog.text


def test_a_class_or_a_word_is_no_script():
    for wrong in (actlab.Script, "python train.py"):
        with pytest.raises(ActlabError):
            draft(wrong, ["relu", "gelu"])
