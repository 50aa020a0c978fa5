"""Number of test examples whose input is also in the training or validation split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from actlab.tasks.data import Data

__all__ = ["count_duplicates"]


def count_duplicates(data: Data) -> Mapping[str, Any]:
    """Count test examples whose input is, bit for bit, also in the training or the validation split.

    Returns:
        ``test_examples``, the size of the test split; ``test_in_train`` and ``test_in_validation``, the numbers of test examples
        that are also in these splits.

    Example:
        >>> import torch
        >>> from actlab.tasks import Data, Split
        >>> part = Split(x=torch.eye(3), y=torch.zeros(3))
        >>> count_duplicates(Data(train=part, test=part))["test_in_train"]
        3
    """
    test = _row_hashes(data.test.x)
    train = set(_row_hashes(data.train.x))
    validation = set(_row_hashes(data.validation.x)) if data.validation is not None else set()
    return {
        "test_examples": len(test),
        "test_in_train": sum(row in train for row in test),
        "test_in_validation": sum(row in validation for row in test),
    }


def _row_hashes(x: Tensor) -> list[int]:
    rows = x.detach().cpu().contiguous().flatten(1) if x.ndim > 1 else x.detach().cpu().reshape(-1, 1)
    return [hash(row.tobytes()) for row in rows.numpy()]
