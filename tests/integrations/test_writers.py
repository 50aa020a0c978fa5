"""Log writers: recording stand-ins for TensorBoard, MLflow and W&B, and TensorBoard itself if it is installed."""

from __future__ import annotations

import math
import sys

import pytest
import torch
from torch import nn

import actlab
from actlab.errors import IntegrationError
from actlab.integrations.writers import writer


class TensorBoard:
    def __init__(self):
        self.calls = []

    def add_scalar(self, tag, scalar_value, global_step=None):
        self.calls.append((tag, scalar_value, global_step))


class Mlflow:
    def __init__(self):
        self.calls = []

    def log_metrics(self, metrics, step=None):
        self.calls += [(name, value, step) for name, value in metrics.items()]


class Wandb:
    def __init__(self):
        self.calls = []

    def log(self, data, step=None):
        self.calls += [(name, value, step) for name, value in data.items()]


@pytest.mark.parametrize("kind", [TensorBoard, Mlflow, Wandb])
def test_every_finite_number_is_logged_at_its_step(kind):
    log = kind()
    writer(log)(3, {"1/chi": 0.5, "1/rank": math.nan, "1/mean": -1.0})
    assert log.calls == [("activations/1/chi", 0.5, 3), ("activations/1/mean", -1.0, 3)]


def test_names_are_those_mlflow_allows():
    log = Mlflow()
    writer(log, prefix="")(0, {"forward:F.relu@1 after stem/mean": 1.0})
    assert log.calls == [("forward_F.relu_1 after stem/mean", 1.0, 0)]


def test_a_probe_writes_while_it_trains():
    log, net = TensorBoard(), nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    with actlab.Probe(net, every=2, writer=writer(log)):
        for _ in range(3):
            net(torch.ones(4, 2)).sum().backward()

    assert {step for _, _, step in log.calls} == {0, 2}
    assert {tag for tag, _, _ in log.calls} >= {"activations/1 after 0/sparsity", "activations/1 after 0/gradient_norm"}


def test_mlflow_is_imported_only_when_it_is_asked_for(monkeypatch):
    stand_in = Mlflow()
    monkeypatch.setitem(sys.modules, "mlflow", stand_in)
    writer("mlflow")(1, {"a": 1.0})
    assert stand_in.calls == [("activations/a", 1.0, 1)]

    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(IntegrationError, match="pip install mlflow"):
        writer("mlflow")


def test_what_cannot_log_is_refused():
    with pytest.raises(IntegrationError, match="add_scalar"):
        writer(object())
    with pytest.raises(IntegrationError, match="only allowed name is"):
        writer("tensorboard")


def test_tensorboard_itself_takes_the_numbers(tmp_path):
    tensorboard = pytest.importorskip("torch.utils.tensorboard", reason="tensorboard is not installed")
    log = tensorboard.SummaryWriter(tmp_path)
    writer(log)(1, {"a": 1.0})
    log.close()
    assert any(file.stat().st_size > 0 for file in tmp_path.iterdir())
