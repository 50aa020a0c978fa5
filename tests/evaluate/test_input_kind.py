"""Kinds of inputs by dtype and shape."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from actlab.evaluate.input_kind import input_kind
from actlab.tasks import resolve


@pytest.mark.parametrize(
    ("shape", "dtype", "kind"),
    [
        ((4, 1, 28, 28), torch.float32, "image"),
        ((4, 3, 32, 32), torch.uint8, "image"),
        ((4, 28, 28), torch.uint8, "image"),
        ((4, 16, 24), torch.float64, "image"),
        ((4, 64), torch.float32, "table"),
        ((4, 64), torch.uint8, "text"),
        ((4, 20), torch.int64, "text"),
        ((4, 20, 20), torch.int64, "text"),
        ((4, 2, 28, 28), torch.float32, "series"),
        ((4, 6, 500), torch.float32, "series"),
        ((4, 40), torch.complex64, "table"),
        ((4,), torch.float32, "series"),
    ],
)
def test_dtype_and_shape_tell_the_kind(shape: tuple[int, ...], dtype: torch.dtype, kind: str) -> None:
    assert input_kind(resolve("digits"), torch.zeros(shape, dtype=dtype)) == kind


def test_what_the_task_says_counts() -> None:
    task = dataclasses.replace(resolve("digits"), input_kind="series")
    assert input_kind(task, torch.zeros(4, 64)) == "series"
