"""Task of the kill test with long trials: augmentation, dropout, a schedule, averaged weights and early stopping."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

_STEP = 0.01  # seconds of a step at least


def model(seed: int) -> nn.Module:  # noqa: ARG001 # as every task's
    """Return a model with statistics and draws of its own, which is not trained in a stack."""
    first = [nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.1)]
    return nn.Sequential(*first, nn.Linear(32, 32), nn.RReLU(), nn.Linear(32, 2))


class Noisy(TensorDataset):
    """Examples with noise that is drawn anew at every reading."""

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        x, y = super().__getitem__(index)  # type: ignore[no-untyped-call] # torch has no annotation for it
        return x + 0.05 * torch.randn(8), y


def data(seed: int) -> dict[str, Any]:
    """Return a loader for training, and tensors for evaluation."""
    x = torch.randn(700, 8, generator=torch.Generator().manual_seed(seed))
    y = (x[:, ::2].prod(1) > 0).long()
    train = DataLoader(Noisy(x[:400], y[:400]), batch_size=32, shuffle=True)
    return {"train": train, "validation": (x[400:500], y[400:500]), "test": (x[500:], y[500:])}


def loss(output: Tensor, target: Tensor) -> Tensor:
    """Return the cross entropy; take some time, and count the steps of trials in the file that the kill test names."""
    if output.requires_grad and "run_trial" in _callers():  # not in the checks and the measurement of costs
        time.sleep(_STEP)
        with open(os.environ["KILL_TEST_STEPS"], "ab") as steps:  # noqa: PTH123 # as light as can be
            steps.write(b"x")
    return F.cross_entropy(output, target)


def _callers() -> Iterator[str]:
    frame = sys._getframe(1)
    while frame is not None:
        yield frame.f_code.co_name
        frame = frame.f_back  # type: ignore[assignment] # None ends the loop


def metric(output: Tensor, target: Tensor) -> float:
    """Return the cross entropy."""
    return F.cross_entropy(output, target).item()


def optimizer(model: nn.Module, lr: float) -> torch.optim.Optimizer:
    """Return AdamW of the model."""
    return torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)


def scheduler(optimizer: torch.optim.Optimizer, total_steps: int) -> Any:
    """Return one cycle."""
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=total_steps)


direction = "min"
metric_name = "test loss"
epochs = 40
clip_norm = 1.0
ema = 0.99
patience = 20
validate_every = 25
