"""An evaluation tells what the fast audit of its data found."""

import torch
from torch import nn

import actlab


def test_copies_of_test_examples_in_training_are_told():
    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    y = (x.sum(1) > 0).long()
    data = {"train": (x[:50], y[:50]), "test": (x[40:], y[40:])}

    found = actlab.evaluate(nn.Linear(4, 2), axes="calibration", data=data)

    assert found.warnings == (
        "10 of 20 test examples are also in the training split: the results favour arms that memorise.",
    )
    assert found.to_dict()["warnings"] == list(found.warnings)
    assert "10 of 20 test examples" in str(found)
