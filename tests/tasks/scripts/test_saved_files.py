"""Warning of files that trials of a script would overwrite for each other."""

import logging
from pathlib import Path

import pytest
from torch import nn

from actlab.tasks.scripts.saved_files import warn_of_saved_files
from actlab.tasks.scripts.script import Script
from actlab.tasks.training_function.function_task import function_task

REPORT = "actlab.report(accuracy=1)\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("train.py").touch()


def warned(text, caplog, *, command="python train.py --seed {seed}", jobs=2):
    task = Script(command, metric="accuracy").to_task()
    with caplog.at_level(logging.WARNING):
        warn_of_saved_files(task, {Path("train.py"): REPORT + text}, jobs=jobs)
    return caplog.text


@pytest.mark.parametrize(
    "line",
    [
        'torch.save(model.state_dict(), "best.pt")',
        'model.save_pretrained("out")',
        'arguments = TrainingArguments(output_dir="out")',
        'arguments = TrainingArguments("out", seed=seed)',
        "accelerator.save_state(folder)",
        'np.savez("result.npz", x)',
    ],
)
def test_a_script_that_saves_files_is_named_with_its_line(line, caplog):
    text = warned(f"\n{line}\n", caplog)
    assert "train.py, line 3" in text
    assert "{out}" in text


def test_nothing_is_said_where_no_other_trial_runs_or_the_folder_of_the_trial_is_used_or_nothing_is_saved(caplog):
    save = "torch.save(model.state_dict(), path)"
    assert not warned(save, caplog, jobs=1)
    assert not warned(save, caplog, command="python train.py --out {out}")
    assert not warned(f"path = os.environ['ACTLAB_OUT']\n{save}", caplog)
    assert not warned(f"# {save}\ntorch.load(path)\nself.saved(path)", caplog)


def test_a_training_function_that_saves_files_is_told_to_use_a_folder_of_its_own(caplog):
    def warned(text):
        caplog.clear()
        task = function_task(lambda _model: 0.5, model=nn.Identity, metric_name="accuracy")
        with caplog.at_level(logging.WARNING):
            warn_of_saved_files(task, {Path("my_train.py"): text}, jobs=2)
        return caplog.text

    assert "The training function saves files (my_train.py, line 1" in warned('TrainingArguments("out")')
    assert not warned("with tempfile.TemporaryDirectory() as folder:\n    TrainingArguments(folder, output_dir=folder)")
