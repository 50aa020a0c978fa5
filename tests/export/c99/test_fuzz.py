"""Random small nets in C99: outputs equal to the model's, or a refusal with a reason."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from tests.export.c99.compiled import compiled
from tests.export.net.random_nets import random_net

from actlab.errors import ExportError
from actlab.export.net.read import read_net

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
# Float32 sums of some hundred products, in another order than torch's, through up to 8 layers.
TOLERANCE = 2e-5


def check(seeds, folder):
    """Return how many nets were compared, and the reasons of the others."""
    nets, wanted, refused = {}, {}, []
    for seed in seeds:
        model, x = random_net(seed)
        try:
            nets[f"net{seed}"] = read_net(model, x)
        except ExportError as error:
            refused.append(str(error))
            continue
        with torch.no_grad():
            outputs = model(x.clone())  # a first layer may work in place
        wanted[f"net{seed}"] = x.numpy(), outputs if isinstance(outputs, tuple) else (outputs,)
    for name, run in compiled(nets, folder).items():
        x, outputs = wanted[name]
        for want, got, reference in zip(outputs, run(x), nets[name].run(x), strict=True):
            np.testing.assert_allclose(got, want.numpy(), rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)
            np.testing.assert_allclose(reference, want.numpy(), rtol=1e-5, atol=1e-5, err_msg=name)
    return len(nets), refused


def test_forty_random_nets_compute_the_same_in_c_as_in_torch(tmp_path):
    compared, refused = check(range(40), tmp_path)
    assert compared >= 38
    assert all("obstacle" in reason for reason in refused)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_thousand_random_nets_compute_the_same_in_c_as_in_torch(tmp_path):
    compared = 0
    for start in range(0, 2000, 100):
        folder = tmp_path / str(start)
        folder.mkdir()
        compared += check(range(start, start + 100), folder)[0]
    assert compared >= 1900
