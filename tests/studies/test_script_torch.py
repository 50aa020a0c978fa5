"""Studies of scripts that train with PyTorch, in one process and under torchrun."""

import os
import subprocess
import sys

import pytest
import torch

import actlab

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="needs fork")]

TRAIN = """
import os, sys
import torch
from torch import nn
import actlab

torch.manual_seed(int(os.environ.get("ACTLAB_SEED", 0)))
x = torch.randn(400, 8)
y = (x[:, :2].prod(1) > 0).long()
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
actlab.apply_(model, x[:4])
optimizer = torch.optim.Adam(model.parameters(), 0.01)
for epoch in range(1, 4):
    for batch in torch.randperm(300).split(30):
        loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    accuracy = (model(x[300:]).argmax(1) == y[300:]).float().mean()
    print(f"epoch {epoch}: {accuracy:.4f}")
    actlab.report(step=epoch, loss=loss, accuracy=accuracy)
"""
DISTRIBUTED = """
import os, sys
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
import actlab

dist.init_process_group("gloo")
rank, ranks = dist.get_rank(), dist.get_world_size()
torch.manual_seed(int(os.environ.get("ACTLAB_SEED", 0)))
x = torch.randn(400, 8)
y = (x[:, :2].prod(1) > 0).long()
model = actlab.apply_(nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2)), x[:4])
model = DistributedDataParallel(model)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
for start in range(rank * 20, 400, ranks * 20):
    loss = nn.functional.cross_entropy(model(x[start : start + 20]), y[start : start + 20])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
if os.environ.get("ACTLAB_ARM") == "tanh" and rank == 1:
    raise ValueError("wrong shape")
actlab.report(step=start, accuracy=(model(x).argmax(1) == y).float().mean(), ranks=ranks, rank=rank)
dist.destroy_process_group()
"""


def compare(command, arms, **options):
    return actlab.compare(actlab.Script(command), arms, store="a.db", progress=False, **options)


def rows(study):
    return {(row["arm"], row["seed"]): row for row in study.rows() if row["stage"] == "main"}


def test_a_trial_has_the_numbers_of_the_script_and_a_second_study_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(TRAIN)
    first = rows(compare("python train.py", ["relu", "swish(beta=learned)"], seeds=2, jobs=2))
    again = rows(compare("python train.py", ["relu", "swish(beta=learned)"], seeds=2, jobs=2, name="again"))
    assert [row["status"] for row in first.values()] == ["completed"] * 4
    assert {key: row["metric"] for key, row in first.items()} == {key: row["metric"] for key, row in again.items()}
    environment = {**os.environ, "ACTLAB_SEED": "1", "OMP_NUM_THREADS": "1"}
    alone = subprocess.run([sys.executable, "train.py"], env=environment, capture_output=True, text=True, check=True)
    assert alone.stdout.splitlines()[-1] == f"epoch 3: {first['relu', 1]['metric']:.4f}"
    assert first["swish(beta=learned)", 0]["parameters"] == first["relu", 0]["parameters"] + 1
    assert first["relu", 0]["inputs"]["weights"] == first["swish(beta=learned)", 0]["inputs"]["weights"]
    assert first["relu", 0]["inputs"]["weights"] != first["relu", 1]["inputs"]["weights"]
    assert first["relu", 0]["versions"]["torch"] == torch.__version__


def test_ranks_of_torchrun_train_together_and_the_first_reports(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(DISTRIBUTED)
    command = "torchrun --standalone --nproc-per-node 2 train.py"
    found = rows(compare(command, ["relu", "gelu", "tanh"], seeds=1, jobs=1))
    assert found["gelu", 0]["status"] == "completed"
    assert found["gelu", 0]["metrics"] == {"accuracy": found["gelu", 0]["metric"], "ranks": 2, "rank": 0}
    assert found["tanh", 0]["status"] == "failed"
    assert "ValueError: wrong shape" in found["tanh", 0]["error"].splitlines()[0]
