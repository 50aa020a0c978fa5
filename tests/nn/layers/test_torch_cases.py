"""PyTorch's OpInfos and ModuleInfos of activations hold for layers, kernels, slim layers and rules."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("expecttest", reason="torch.testing._internal needs it")

from tests.nn.layers.torch_cases import DTYPES, MODULES, OPS, module_cases, operator_cases, run


@pytest.mark.parametrize("op", OPS[::4], ids=lambda op: op.name)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_torchs_sample_inputs_of_an_operator(op, dtype):
    count, failures = run(operator_cases(op, dtype, every=False))

    assert not failures
    assert count


@pytest.mark.slow
@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_all_of_torchs_inputs_of_an_operator(op, dtype):
    assert run(operator_cases(op, dtype, every=True))[1] == []


@pytest.mark.slow
@pytest.mark.parametrize("info", MODULES, ids=lambda info: info.name)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_all_of_torchs_inputs_of_a_module(info, dtype):
    assert run(module_cases(info, dtype))[1] == []
