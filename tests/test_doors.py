"""One training gives the same rows and the same verdict as a task file, a function, a script, with Lightning and with the Trainer."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

import actlab
from actlab.studies.arm import parse_arm
from actlab.studies.trials.trial import run_trial
from actlab.tasks import resolve

DOORS = Path(__file__).resolve().parents[1] / "examples" / "doors"
ARMS = ["relu", "tanh"]
SAME = ("stage", "arm", "seed", "status", "metric", "train_loss", "curve", "steps", "parameters")
# Lightning keeps what `self.log` is given as a float32; its losses are those of the others to the bit.
LIGHTNING = 2**-24
pytestmark = pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning")


def source(door):
    if door == "script":
        return actlab.Script(f"python {shlex.quote(str(DOORS / 'script.py'))} {{seed}}")
    return DOORS / f"{door}.py"


def compared(door, folder, seeds=6):
    options = {"name": door, "store": folder / "doors.db", "progress": False, "target": "none", "trial_limit": "10m"}
    return actlab.compare(
        source(door), ARMS, seeds=seeds, jobs=1 if door in {"task_file", "function"} else 2, **options
    )


def compared_rows(study):
    rows = sorted(study.rows(), key=lambda row: (row["seed"], row["arm"]))
    return [{name: row[name] for name in SAME} | {"weights": row["inputs"]["weights"]} for row in rows]


def answer(study):
    verdict = study.verdict()
    pairs = {
        arm.spec: arm.diff and replace(arm.diff, ci=None) for arm in verdict.arms
    }  # the bootstrap's seed is the plan's
    arms = {arm.spec: (arm.n, arm.status, arm.mean, arm.e_value, pairs[arm.spec]) for arm in verdict.arms}
    return verdict.recommendation, verdict.best_set, arms


@pytest.fixture(scope="module")
def by_task_file(tmp_path_factory):
    return compared("task_file", tmp_path_factory.mktemp("task_file"))


def test_a_task_file_and_a_function_give_the_same_rows_to_the_bit_and_the_same_verdict(by_task_file, tmp_path):
    by_function = compared("function", tmp_path)

    assert compared_rows(by_function) == compared_rows(by_task_file)
    assert answer(by_function) == answer(by_task_file)
    assert by_function.verdict().metric == by_task_file.verdict().metric == "accuracy"


def test_where_rates_are_tried_the_validation_split_gives_the_same_to_the_bit():
    rows = [
        run_trial(resolve(source(door)), parse_arm("tanh"), 1_000_000, stage="tune", lr=0.01)
        for door in ("task_file", "function")
    ]

    assert rows[0].validation == rows[1].validation is not None
    assert (rows[0].train_loss, rows[0].metric) == (rows[1].train_loss, None)


@pytest.mark.slow
def test_a_script_gives_the_same_rows_to_the_bit_and_the_same_verdict(by_task_file, tmp_path):
    by_script = compared("script", tmp_path)

    assert compared_rows(by_script) == compared_rows(by_task_file)
    assert answer(by_script) == answer(by_task_file)


@pytest.mark.slow
def test_the_trainer_of_hugging_face_gives_the_same_rows_to_the_bit_and_the_same_verdict(by_task_file, tmp_path):
    pytest.importorskip("accelerate")
    by_trainer = compared("trainer_function", tmp_path)

    assert compared_rows(by_trainer) == compared_rows(by_task_file)
    assert answer(by_trainer) == answer(by_task_file)


@pytest.mark.slow
def test_lightning_gives_the_same_losses_to_the_bit_the_metric_to_float32_and_the_same_verdict(by_task_file, tmp_path):
    pytest.importorskip("lightning")
    by_lightning = compared("lightning_function", tmp_path)

    for row, expected in zip(compared_rows(by_lightning), compared_rows(by_task_file), strict=True):
        assert row.pop("metric") == pytest.approx(expected.pop("metric"), abs=LIGHTNING)
        assert row == expected
    assert by_lightning.verdict().recommendation == by_task_file.verdict().recommendation
    assert by_lightning.verdict().best_set == by_task_file.verdict().best_set
