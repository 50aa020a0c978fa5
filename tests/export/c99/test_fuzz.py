"""Random small nets in C99, in float and in whole numbers: outputs equal, or a refusal with a reason."""

from __future__ import annotations

import copy
import shutil

import numpy as np
import pytest
import torch
from tests.export.c99.compiled import compiled
from tests.export.c99.integer.compiled import SANITIZED, run_program, write_sources
from tests.export.net.hard_nets import hard_net
from tests.export.net.random_nets import random_net

from actlab.errors import ExportError
from actlab.export.c99.integer.vectors import packed
from actlab.export.integer.quantize import quantize
from actlab.export.net.read import read_net

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
# Float32 sums of some hundred products, in another order than torch's, through up to 8 layers.
TOLERANCE = 2e-5
ROUNDING = 1e-6  # of the largest number of a layer's output, more than float32 sums in any order err
KERNELS = ("-DSHORT_PRODUCTS", "-DEMULATED_WORDS")  # of Cortex-M0, and of cores with the DSP extension
BATCH = 50  # nets that are compiled at once


def read(seeds, make):
    """Return models, inputs and nets by name, and the reasons of the refused ones."""
    found, refused = {}, []
    for seed in seeds:
        model, x = make(seed)
        inputs = x if isinstance(x, tuple) else (x,)
        try:
            found[f"net{seed}"] = model, inputs, read_net(model, x)
        except ExportError as error:
            refused.append(str(error))
    return found, refused


def outputs_of(model, inputs):
    with torch.no_grad():
        outputs = model(*(x.clone() for x in inputs))  # a first layer may work in place
    return [each.numpy() for each in (outputs if isinstance(outputs, tuple) else (outputs,))]


def outputs_with_rounding(model, inputs, seed):
    """Return outputs in float64 with random errors behind each layer, as float32 sums have them."""
    torch.manual_seed(seed)
    model = copy.deepcopy(model).double()

    def err(_, __, output):
        return output + ROUNDING * output.abs().max() * torch.randn(output.shape) if torch.is_tensor(output) else None

    for module in model.modules():
        if not list(module.children()):
            module.register_forward_hook(err)
    return outputs_of(model, [x.double() for x in inputs])


def are_near(got, want, allowed):
    with np.errstate(invalid="ignore", over="ignore"):
        is_equal = (got == want) | (np.isnan(got) & np.isnan(want))
        return bool((is_equal | (np.abs(got.astype(np.float64) - want) <= allowed)).all())


def differing_in_float(found, folder):
    """Return the names of nets whose outputs in C differ from torch's by more than rounding in each layer explains.

    Where sums of 1e12 and 1e-9 cancel in front of a step, no float32 arithmetic is sure of the outputs.
    """
    differing = []
    for name, run in compiled({name: net for name, (_, _, net) in found.items()}, folder).items():
        model, inputs, _ = found[name]
        wanted, outputs = outputs_of(model, inputs), run(*(x.numpy() for x in inputs))
        bounds = [TOLERANCE * (1 + np.abs(want)) for want in wanted]
        if not all(map(are_near, outputs, wanted, bounds)):
            moved = [outputs_with_rounding(model, inputs, seed) for seed in range(9)]
            for index, want in enumerate(wanted):
                with np.errstate(invalid="ignore", over="ignore"):
                    spread = np.max([np.abs(each[index] - want) for each in moved], 0)
                bounds[index] = bounds[index] + 3 * np.nanmax(spread, initial=0)
            if not all(map(are_near, outputs, wanted, bounds)):
                differing.append(name)
    return differing


def differing_in_bits(found, folder, kernels=KERNELS):
    """Return the names of nets whose int8 outputs in C differ from NumPy's, on the inputs and on random codes."""
    random = np.random.default_rng(0)
    nets, codes = {}, {}
    for name, (_, inputs, net) in found.items():
        arrays = [x.numpy() for x in inputs]
        try:
            nets[name] = quantize(net, arrays)
        except ExportError as error:
            assert "NaN or infinities" in str(error)  # noqa: PT017 # sums beyond float32
            continue
        rows = [np.concatenate([x, random.integers(-128, 128, x.shape)[:3]]) for x in nets[name].encode(arrays)]
        codes[name] = [each.astype(np.int8) for each in rows]
    write_sources(nets, folder)
    wanted = {
        name: [
            packed(x, net.codings[tensor]) for x, tensor in zip(net.run_codes(codes[name]), net.outputs, strict=True)
        ]
        for name, net in nets.items()
    }
    differing = []
    for flag in kernels:
        for name, outputs in run_program(nets, codes, folder, *SANITIZED, flag).items():
            pairs = zip(outputs, wanted[name], strict=True)
            differing += [name for got, want in pairs if not np.array_equal(got.reshape(len(want), -1), want)]
    return differing


def check(seeds, folder):
    """Return how many nets were compared, and the reasons of the others."""
    found, refused = read(seeds, random_net)
    for name, run in compiled({name: net for name, (_, _, net) in found.items()}, folder).items():
        model, inputs, net = found[name]
        arrays = [x.numpy() for x in inputs]
        for want, got, reference in zip(outputs_of(model, inputs), run(*arrays), net.run(arrays), strict=True):
            np.testing.assert_allclose(got, want, rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)
            np.testing.assert_allclose(reference, want, rtol=1e-5, atol=1e-5, err_msg=name)
    return len(found), refused


def test_forty_random_nets_compute_the_same_in_c_as_in_torch(tmp_path):
    compared, refused = check(range(40), tmp_path)
    assert compared >= 38
    assert all("obstacle" in reason for reason in refused)


def test_nets_with_bits_and_hard_numbers_compute_the_same_in_float_and_in_whole_numbers(tmp_path):
    found, refused = read(range(8), hard_net)
    assert not refused
    assert differing_in_float(found, tmp_path) == []
    assert differing_in_bits(found, tmp_path, KERNELS[:1]) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_thousand_random_nets_compute_the_same_in_c_as_in_torch(tmp_path):
    compared = 0
    for start in range(0, 2000, 100):
        folder = tmp_path / str(start)
        folder.mkdir()
        compared += check(range(start, start + 100), folder)[0]
    assert compared >= 1900


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("start", range(0, 2000, BATCH))
def test_two_thousand_hard_nets_compute_the_same_in_float_and_in_whole_numbers(tmp_path, start):
    found, refused = read(range(start, start + BATCH), hard_net)
    assert all("obstacle" in reason for reason in refused)
    assert differing_in_float(found, tmp_path) == []
    assert differing_in_bits(found, tmp_path) == []
