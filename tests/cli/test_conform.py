"""Command that tells which functions an engine runs: engines it takes, exit codes, and what it prints."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from actlab import cli

MODEL = """
import numpy as np
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 16), nn.GELU("tanh"), nn.Linear(16, 3))
example_inputs = torch.randn(32, 4)
targets = model(example_inputs).argmax(1)

def metric(outputs, targets):
    return (outputs.argmax(1) == targets).float().mean()

def engine(x):
    return nn.Sequential(model[0], nn.GELU(), model[2])(x)

def right(x):
    return model(x).detach().numpy()
"""


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_model.py").write_text(MODEL, encoding="utf-8")
    return tmp_path


def run(*words):
    return CliRunner().invoke(cli.app, ["conform", *words])


def test_another_function_is_a_finding_with_its_misses_and_its_cost(folder):
    done = run("my_model.py", "--against", "my_model.py:engine")
    assert done.exit_code == 1, done.output
    assert "engine runs other functions than the model." in done.output
    row = next(line for line in done.output.splitlines() if line.startswith("1 "))
    assert row.split()[:3] == ["1", "gelu_tanh", "gelu"]
    assert "metric: of the model 1, of the engine" in done.output


def test_an_engine_that_conforms_is_no_finding(folder):
    done = run("my_model.py", "--against", "my_model.py:right", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["verdict"] == "conforms"
    assert report["changed"] == {}
    assert [cost["metric"] for cost in report["costs"]] == ["metric", "same class as the model"]


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ("nowhere.onnx", "There is no engine nowhere.onnx"),
        ("my_model.py:engin", "Did you mean 'engine'?"),
        ("my_model.py", "belongs to no engine"),
    ],
)
def test_what_is_no_engine_is_a_usage_error(folder, engine, message):
    done = run("my_model.py", "--against", engine, "--json")
    assert done.exit_code == 2
    assert message in json.loads(done.stdout)["error"]["message"]
