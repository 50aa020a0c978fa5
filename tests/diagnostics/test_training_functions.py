"""What the doctor, importance and cost make of a task that trains by its own function."""

import pytest
import torch
from tests.studies import tiny
from torch import nn
from torch.nn import functional as F

import actlab
from actlab.diagnostics.appraise import appraise
from actlab.errors import PlanError, TaskError
from actlab.tasks.training_function.function_task import function_task


def build(seed):
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))


def train(model, seed):
    data = tiny.data(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        loss = F.cross_entropy(model(data.train.x), data.train.y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {"accuracy": (model(data.test.x).argmax(1) == data.test.y).float().mean()}


def task(**options):
    return function_task(train, model=build, **options)


def test_importance_trains_by_the_function_and_evaluates_on_the_data_of_the_task():
    found = appraise(task(data=tiny.data), samples=20)

    assert (found.was_trained, found.split, [row.path for row in found.importance]) == (True, "validation", ["1"])


def test_importance_of_learned_activations_has_their_history():
    found = appraise(task(data=tiny.data), act="swish(beta=learned)", samples=20)

    assert list(found.history) == ["1"]
    assert found.history["1"]


def test_importance_needs_data_and_the_metric_of_single_samples():
    with pytest.raises(TaskError, match=r"Add data\(seed\).*actlab.importance\(model, batches\)"):
        appraise(task())
    with pytest.raises(PlanError, match="brings no metric of single samples"):
        appraise(task(data=tiny.data), measure="metric")


def test_the_doctor_measures_the_model_and_tries_no_remedy():
    diagnosis = actlab.doctor(task(example_inputs=lambda seed: tiny.data(seed).train.x), seeds=2, steps=5)

    assert any("trains by its own function" in note for note in diagnosis.notes)
    assert diagnosis.trials == ()


def test_the_doctor_says_the_same_of_a_file_with_a_training_function(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(
        "import torch\ndef model(seed): return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))\n"
        "def train(model, seed): return {'accuracy': 0.5}\ndef example_inputs(seed): return torch.randn(128, 4)\n"
    )
    assert actlab.doctor(file).notes[0].startswith("No remedy was tried: own trains by its own function")


def test_the_doctor_and_cost_need_inputs_of_the_model():
    with pytest.raises(TaskError, match="Add example_inputs"):
        actlab.doctor(task())
    with pytest.raises(TaskError, match="no example_inputs"):
        actlab.cost(task(), ["relu", "gelu"])


def test_cost_takes_steps_of_the_model_alone():
    costs = actlab.cost(task(example_inputs=torch.zeros(8, 4)), ["relu", "gelu"])

    assert [arm.spec for arm in costs.arms] == ["relu", "gelu"]
    assert all(arm.step_time for arm in costs.arms)
