"""Predicted classes of a trial, for the share of examples that two trainings label differently."""

from __future__ import annotations

import zlib

import numpy as np
from torch import Tensor, nn

from actlab.evaluate.axis import Axis, Column, Measured
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.evaluate.packed_integers import packed

__all__ = ["CHURN", "example_keys"]


def example_keys(inputs: Tensor) -> np.ndarray:
    """Return a 64-bit key of each example's numbers, by which an example is found again in the test split of another seed, shape (n,).

    Example:
        >>> import torch
        >>> keys = example_keys(torch.tensor([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]]))
        >>> keys[0] == keys[2], keys[0] == keys[1]
        (np.True_, np.False_)
    """
    rows = inputs.detach().cpu().contiguous().reshape(len(inputs), -1).numpy()
    halves = [(zlib.crc32(row.tobytes()), zlib.adler32(row.tobytes())) for row in rows]
    return np.array([(high << 32) | low for high, low in halves], dtype=np.uint64)


def _predicted_classes(_model: nn.Module, data: EvaluationData) -> Measured:
    return Measured(
        record={
            "examples": packed(example_keys(data.inputs)),
            "predicted": packed(data.predicted.numpy()),
            "correct": packed(data.correct.numpy().astype(np.uint8)),
            "classes": data.logits.shape[1],
        },
        undefined={"disagreement": "it is of pairs of trainings"},
    )


CHURN = Axis(
    name="churn",
    measure=_predicted_classes,
    columns={
        "disagreement": Column(
            direction="min",
            unit="share",
            description="test examples that two trainings of the arm, which differ in the seed, label differently",
        )
    },
    description="Share of test examples that two trainings label differently.",
    level="study",
)
