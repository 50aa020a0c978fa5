"""The examples for Lightning and for the Trainer of Hugging Face work with the real libraries, on the CPU."""

from pathlib import Path

import pytest

import actlab
from actlab.studies.arm import parse_arm
from actlab.studies.trials.trial import run_trial
from actlab.tasks import resolve

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
pytest.importorskip("lightning")
# Lightning 2.6.6 asks in a way that torch 2.13 has deprecated whether a batch is a leaf.
pytestmark = pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning")


@pytest.fixture(scope="module")
def lightning_task():
    return resolve(EXAMPLES / "lightning_task.py")


@pytest.fixture(scope="module")
def trainer_task():
    pytest.importorskip("accelerate")
    return resolve(EXAMPLES / "trainer_task.py")


def short(task, arm, seed=0):
    """Run a trial of an eighth of the training, as where learning rates are tried."""
    return run_trial(task, parse_arm(arm), seed, stage="tune0")


@pytest.mark.slow
def test_a_lightning_module_is_trained_with_the_activations_of_the_arm(lightning_task):
    gelu, again, relu = (short(lightning_task, arm) for arm in ("gelu", "gelu", "unchanged"))

    assert (gelu.status, gelu.error, gelu.steps) == ("completed", None, 18)
    assert gelu.series["loss"]["value"] == again.series["loss"]["value"] != relu.series["loss"]["value"]
    assert (gelu.validation, gelu.inputs["weights"]) == (again.validation, relu.inputs["weights"])
    assert gelu.series["accuracy"]["step"] == [18]


@pytest.mark.slow
def test_a_trainer_is_trained_with_the_activations_of_the_arm(trainer_task):
    relu, again, gelu = (short(trainer_task, arm) for arm in ("relu", "relu", "unchanged"))

    assert (relu.status, relu.error, relu.steps) == ("completed", None, 20)
    assert relu.series["loss"]["value"] == again.series["loss"]["value"] != gelu.series["loss"]["value"]
    assert relu.series["accuracy"]["value"] == [relu.validation]


@pytest.mark.slow
@pytest.mark.parametrize("example", ["lightning_task", "trainer_task"])
def test_a_loss_of_nan_ends_the_trial(example):
    row = run_trial(resolve(EXAMPLES / f"{example}.py"), parse_arm("relu"), 0, stage="tune0", lr=1e30)

    assert (row.status, row.metric) == ("diverged", None)
    assert "the loss is nan" in row.error


@pytest.mark.slow
@pytest.mark.parametrize("example", ["lightning_task", "trainer_task"])
def test_a_study_of_an_example_has_a_verdict(example, tmp_path):
    study = actlab.compare(
        EXAMPLES / f"{example}.py", ["relu", "gelu"], seeds=2, jobs=2, store=tmp_path / "a.db", target="none"
    )

    rows = study.rows()
    assert [row["status"] for row in rows] == ["completed"] * 4, rows
    assert all(row["metric"] > 0.5 for row in rows)
    assert study.verdict().metric == "accuracy"
