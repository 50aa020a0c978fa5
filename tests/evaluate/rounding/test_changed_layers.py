"""Changed weights of layers, also where they are computed from other parameters."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from actlab.evaluate.rounding.changed_layers import changed_weights


def masked(layer: nn.Linear) -> nn.Module:
    return prune.random_unstructured(layer, "weight", 0.3)  # type: ignore[no-any-return, no-untyped-call]


@pytest.mark.parametrize(
    "computed",
    [parametrizations.weight_norm, parametrizations.spectral_norm, weight_norm, spectral_norm, masked, nn.Sequential],
)
def test_weights_are_changed_inside_the_block_only_however_they_are_computed(
    computed: Callable[[nn.Module], nn.Module],
) -> None:
    """A change of the numbers of a computed weight is lost as soon as it is computed again: int8 would have cost nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of the hooks that torch.nn.utils.parametrizations replaces
        model = nn.Sequential(computed(nn.Linear(3, 3)), nn.Tanh(), nn.Linear(3, 2)).eval()
    x = torch.randn(4, 3)
    before, hooks = model(x), [len(module._forward_pre_hooks) for module in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    with changed_weights(model, torch.zeros_like):
        assert torch.equal(model(x), model(2 * x + 1))
    assert torch.equal(model(x), before)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert hooks == [len(module._forward_pre_hooks) for module in model.modules()]
