"""The doctor on models whose weights are computed from other parameters, old and new functions of torch."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from actlab.diagnostics.doctor import doctor
from actlab.diagnostics.remedy import InsertNorms


def old_weight_norm(layer: nn.Module) -> nn.Module:
    with warnings.catch_warnings(action="ignore"):  # deprecated in favour of the parametrization
        return nn.utils.weight_norm(layer)


WRAPPERS = {
    "weight norm": parametrizations.weight_norm,
    "weight norm, old": old_weight_norm,
    "spectral norm": parametrizations.spectral_norm,
    "pruned": lambda layer: prune.l1_unstructured(layer, "weight", 0.3),
}


@pytest.fixture(params=WRAPPERS)
def model(request):
    torch.manual_seed(0)
    wrap = WRAPPERS[request.param]
    return nn.Sequential(*(part for _ in range(12) for part in (wrap(nn.Linear(16, 16)), nn.Tanh())), nn.Linear(16, 2))


def test_vanishing_gradients_are_found_as_with_plain_weights(model):
    found = doctor(model, torch.randn(256, 16))

    assert len(found.examined.layers) == 12
    assert [finding.rule for finding in found.all_findings] == ["vanishing gradients"]
    assert {site.layer_class for site in found.examined.hidden} == {"Linear"}


def test_norms_can_be_inserted(model):
    InsertNorms().apply(model, torch.randn(8, 16), 0)

    assert sum(isinstance(module, nn.BatchNorm1d) for module in model.modules()) == 12
    model(torch.randn(8, 16)).sum().backward()
