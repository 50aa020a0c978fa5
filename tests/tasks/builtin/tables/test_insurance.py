"""Customers with equal attributes are one example, and each split has the share of policies of all."""

import numpy as np
import pytest
import torch

from actlab.tasks import resolve
from actlab.tasks.builtin.extracts import extract
from actlab.tasks.builtin.tables import insurance
from actlab.tasks.task import load_data


def test_customers_with_equal_attributes_are_one_positive_example_when_one_of_them_holds_a_policy():
    found = extract("insurance")
    holders = {}
    for row, label in zip(found["x"], found["y"], strict=True):
        holders[row.tobytes()] = max(holders.get(row.tobytes(), 0), int(label))
    x, y = insurance._examples()

    assert len(x) == len(holders) == 5171
    assert {row.numpy().astype(np.uint8).tobytes(): int(label) for row, label in zip(x, y, strict=True)} == holders


def test_the_splits_are_stratified_and_scaled_by_the_training_split():
    data = load_data(resolve("insurance"), 3)

    shares = [float(split.y.float().mean()) for split in data.splits.values()]
    assert shares == pytest.approx([0.0658] * 3, abs=0.001)
    assert data.train.x.mean(0).abs().max() < 1e-4
    assert data.train.x.std(0).max() < 1.001
    assert data.test.x.std(0).max() > 1.001


@pytest.mark.parametrize("name", ["insurance", "insurance:gated", "insurance:attention", "insurance:linear-attention"])
def test_the_four_nets_map_rows_to_two_logits_and_have_activations_to_swap(name):
    model = resolve(name).model(0)

    assert model(torch.randn(4, 85)).shape == (4, 2)
    assert any(type(part).__name__ in {"ReLU", "SiLU"} for part in model.modules())
