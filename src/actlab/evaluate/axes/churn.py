"""Predicted classes of a trial, for the share of examples that two trainings label differently."""

from __future__ import annotations

import zlib
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from actlab.evaluate.axis import Axis, Column, Measured
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.evaluate.packed_integers import packed
from actlab.evaluate.undefined_axis import UndefinedAxisError

__all__ = ["CHURN", "example_keys"]

_ODD: Final = np.uint64(0x9E3779B97F4A7C15)  # spreads small numbers over 64 bits


def example_keys(inputs: Tensor) -> np.ndarray:
    """Return a 64-bit key of each example's numbers, by which an example is found again in the test split of another seed, shape (n,).

    Example:
        >>> import torch
        >>> keys = example_keys(torch.tensor([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]]))
        >>> keys[0] == keys[2], keys[0] == keys[1]
        (np.True_, np.False_)
    """
    rows = inputs.detach().cpu().contiguous().reshape(len(inputs), -1).view(torch.uint8).numpy()
    halves = [(zlib.crc32(row.tobytes()), zlib.adler32(row.tobytes())) for row in rows]
    return np.array([(high << 32) | low for high, low in halves], dtype=np.uint64)


def _predicted_classes(_model: nn.Module, data: EvaluationData) -> Measured:
    keys, predicted = example_keys(data.inputs), data.predicted.numpy()
    places, rest = divmod(len(predicted), len(keys))
    if rest or not places:
        raise UndefinedAxisError(
            f"there are {len(predicted)} classes to predict of {len(keys)} examples, so that it is not known which are of which"
        )
    return Measured(
        record={
            "examples": packed(keys if places == 1 else _place_keys(keys, places)),
            "predicted": packed(predicted),
            "correct": packed(data.correct.numpy().astype(np.uint8)),
            "classes": data.logits.shape[1],
        },
        undefined={"disagreement": "it is of pairs of trainings"},
    )


def _place_keys(keys: np.ndarray, places: int) -> np.ndarray:
    """Return a key for each place of each example, such as each token of a text, shape (n * places,)."""
    mixed = np.arange(places, dtype=np.uint64) * _ODD  # modulo 2 ** 64; the places of one example differ
    return np.asarray((keys[:, None] ^ mixed).ravel())


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
