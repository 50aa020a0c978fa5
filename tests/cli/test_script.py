"""A script in the place of the task on the command line."""

import json

import pytest
from tests.tasks.scripts.stub import write_script
from typer.testing import CliRunner

from actlab.cli.app import app


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_script(tmp_path, "apply_()\nactlab.report(step=1, bleu=0.5)")

    def command(*words):
        return CliRunner().invoke(app, list(words))

    return command


@pytest.mark.parametrize("given", [["--script", "python train.py {seed}"], ["--script=python train.py {seed}"]])
def test_all_words_beside_a_script_are_activations(given, run):
    shown = run("compare", *given, "relu", "gelu", "--dry-run", "--json")
    planned = json.loads(shown.stdout)
    assert planned["arms"] == ["relu", "gelu"]
    assert planned["metric"] == "bleu"
    assert planned["script"] == "python train.py {seed}"


def test_a_single_activation_is_compared_with_the_model_as_it_is(run):
    shown = run("compare", "gelu", "--script", "python train.py {seed}", "--dry-run", "--json")
    assert json.loads(shown.stdout)["arms"] == ["unchanged", "gelu"]


def test_the_plan_of_a_script_shows_its_command_and_no_batch_size(run):
    shown = run("compare", "--script", "python train.py {seed}", "relu", "gelu", "--dry-run")
    assert "python train.py" in shown.stdout
    assert "batch size" not in shown.stdout


def test_metric_direction_and_rate_are_those_of_the_options(run):
    options = ["--metric", "gap", "--direction", "min", "--lr", "0.1", "--dry-run", "--json"]
    planned = json.loads(run("compare", "--script", "python train.py {lr}", "relu", "gelu", *options).stdout)
    assert (planned["metric"], planned["direction"]) == ("gap", "min")
