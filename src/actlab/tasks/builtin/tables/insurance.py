"""Prediction of rare insurance policies, with an MLP, a gated MLP and attention over features.

Source: Insurance Company Benchmark of the CoIL Challenge 2000 (P. van der Putten, Sentient Machine Research), UCI Machine Learning
Repository, https://doi.org/10.24432/C5630S, licence CC BY 4.0; its 5,822 training customers with 85
attributes each. Real fraud data that may be shipped were not found; this set has their difficulty, rare positives and weak features.
Customers with equal attributes are one example, positive when any of them holds a policy, so that no row is in two splits: 5,171
examples, 6.6 % positive. The first 43 attributes are those of a postal code, so that customers of one code differ in few others:
``actlab audit insurance`` finds a near duplicate in training for 104 of the 1,500 test customers of seed 0, 20 of them with the other
label.

Reference scores: a ranking at random has an average precision of 0.07 and finds 20 % of the policies in the first fifth; logistic
regression has 0.18 and 49 %, boosted trees 0.19 and 54 % (``benchmarks/domain_references.py``). The winner of the challenge found 121 of
238 policies, 51 %, in the first fifth of other 4,000 customers (van der Putten & van Someren, Machine Learning 57, 2004).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from actlab.tasks.builtin.extracts import extract
from actlab.tasks.builtin.stratified_split import stratified_split
from actlab.tasks.builtin.tables.table_nets import FeatureAttention, GatedMLP, mlp
from actlab.tasks.data import Data, Split
from actlab.tasks.metrics.ranking import average_precision, found_in_first
from actlab.tasks.task import Parameters, Task

__all__ = ["FEATURES", "attention_task", "gated_task", "linear_attention_task", "mlp_task"]

FEATURES = 85
_HELD_OUT = {"test": 1500, "validation": 700}


@lru_cache(maxsize=1)
def _examples() -> tuple[Tensor, Tensor]:
    """Return the distinct rows, float32 (n, 85), and whether any customer with these attributes holds a policy, int64 (n,)."""
    found = extract("insurance")
    rows, place = np.unique(found["x"], axis=0, return_inverse=True)
    labels = np.zeros(len(rows), np.int64)
    np.maximum.at(labels, place.reshape(-1), found["y"].astype(np.int64))
    return torch.from_numpy(rows).float(), torch.from_numpy(labels)


def _data(seed: int) -> Data:
    """Draw stratified splits for a seed; features have mean 0 and a standard deviation of 1 or less in the training split."""
    x, y = _examples()
    rest, test = stratified_split(y.numpy(), _HELD_OUT["test"], seed)
    train, validation = (rest[part] for part in stratified_split(y[rest].numpy(), _HELD_OUT["validation"], seed))
    mean, spread = x[train].mean(0), x[train].std(0).clamp(min=0.3)
    parts = {"train": train, "validation": validation, "test": test}
    return Data(**{name: Split(x=(x[rows] - mean) / spread, y=y[rows]) for name, rows in parts.items()})


def _adamw(parameters: Parameters, lr: float, decay: float = 3.0) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=lr, weight_decay=decay)


def _falling(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)


def _built(net: Callable[..., nn.Module], seed: int) -> nn.Module:  # noqa: ARG001 # the generator is seeded before the call
    return net(FEATURES, 2)


def mlp_task() -> Task:
    """Return the task with an MLP with two hidden layers of 64.

    Example:
        >>> mlp_task().model(0)(torch.zeros(3, 85)).shape
        torch.Size([3, 2])
    """
    return Task(
        name="insurance",
        model=partial(_built, mlp),
        data=_data,
        loss=functional.cross_entropy,
        metrics={"average precision": average_precision, "found in first fifth": found_in_first},
        optimizer=_adamw,
        scheduler=_falling,
        learning_rate=3e-3,
        batch_size=128,
        epochs=15,
        rope=0.005,
        output_kind="logits",
        input_kind="table",
        description="CoIL 2000 insurance customers (UCI, CC BY 4.0), 7 % positive, MLP; logistic regression: 0.18",
        source="insurance, protocol 1",
    )


def gated_task() -> Task:
    """Return the task with a gated MLP of two residual blocks.

    Example:
        >>> gated_task().name
        'insurance:gated'
    """
    return replace(
        mlp_task(),
        name="insurance:gated",
        model=partial(_built, GatedMLP),
        description="CoIL 2000 insurance customers (UCI, CC BY 4.0), gated MLP; logistic regression: 0.18",
    )


def attention_task() -> Task:
    """Return the task with two transformer blocks over the 85 features.

    Example:
        >>> attention_task().name
        'insurance:attention'
    """
    return replace(
        mlp_task(),
        name="insurance:attention",
        model=partial(_built, partial(FeatureAttention, is_linear=False)),
        optimizer=partial(_adamw, decay=0.1),
        scheduler=None,
        learning_rate=1e-3,
        epochs=10,
        description="CoIL 2000 insurance customers (UCI, CC BY 4.0), attention over features; logistic regression: 0.18",
    )


def linear_attention_task() -> Task:
    """Return the task with two transformer blocks of linear cost.

    Example:
        >>> linear_attention_task().name
        'insurance:linear-attention'
    """
    return replace(
        attention_task(),
        name="insurance:linear-attention",
        model=partial(_built, partial(FeatureAttention, is_linear=True)),
        description="CoIL 2000 insurance customers (UCI, CC BY 4.0), attention at linear cost; logistic regression: 0.18",
    )
