"""Audit of a task's data: exact duplicates between splits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from actlab.tasks.task import Data

__all__ = ["hygiene"]


def hygiene(data: Data) -> Mapping[str, Any]:
    """Count exact duplicates between the splits, for the verdict's warnings.

    Returns:
        ``test_examples``; ``test_in_train``: how many of them have an input that is in train, bit for bit;
        ``test_in_validation``: the same for validation.

    Example:
        >>> import torch
        >>> from actlab.tasks import Data, Split
        >>> part = Split(x=torch.eye(3), y=torch.zeros(3))
        >>> hygiene(Data(train=part, test=part))["test_in_train"]
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
