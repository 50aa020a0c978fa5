"""Numbers and steps are read alike in the reports of a script and of a training function."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from actlab.errors import TaskError
from actlab.reported_values import as_float, reported_number, reported_step

ONE = {
    "float": 0.5,
    "fraction": Fraction(1, 2),
    "tensor": torch.tensor([[0.5]], requires_grad=True),
    "bfloat16": torch.tensor(0.5, dtype=torch.bfloat16),
    "array": np.array([0.5]),
    "numpy scalar": np.float16(0.5),
}
NONE = {
    "text": "0.5",
    "truth": True,
    "tensor of truth": torch.tensor(True),
    "two elements": torch.ones(2),
    "array": np.ones(2),
    "nothing": None,
    "complex": 1j,
    "decimal": Decimal("0.5"),
    "meta": torch.ones((), device="meta"),
    "method with an argument": {"item": 1},
}


@pytest.mark.parametrize("value", ONE.values(), ids=ONE)
def test_a_number_or_one_element_is_a_float(value):
    assert as_float(value) == 0.5


@pytest.mark.parametrize("value", NONE.values(), ids=NONE)
def test_anything_else_is_none_and_says_what_is_needed(value):
    assert as_float(value) is None
    with pytest.raises(TaskError, match=r"actlab\.report got f1="):
        reported_number("f1", value, by="actlab.report")


@pytest.mark.parametrize("step", [1.5, -1, True, "ten", math.inf, math.nan])
def test_a_step_is_a_whole_number(step):
    with pytest.raises(TaskError, match=r"trial\.report got step="):
        reported_step(step, {}, by="trial.report")
