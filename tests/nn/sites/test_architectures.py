"""Architectures of other authors: sites account for every operator, and swaps equal hand-written models.

Faults are planted to show that the comparison finds them.
"""

from __future__ import annotations

import copy
import dataclasses
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from tests.nn.convnets import NETS
from torch import nn

from actlab.nn.sites.find import find
from actlab.nn.transforms.swap import swap_

ROOT = Path(__file__).resolve().parents[3]
sys.path.append(str(ROOT / "benchmarks"))  # its files import one another as they lie there
import architectures  # noqa: E402 # the path must be there first
import zoo  # noqa: E402 # as above

IMAGES = zoo.IMAGES
# One for each difficulty: decorated methods, functions in a table, user functions, experts, a shared module, inner softmax, gates.
DIFFICULT = ["Whisper", "GPT2", "Esm", "GptOss", "Albert", "CodeGen", "Mixtral", "RegNet", "CLIP", "T5 v1.1, gated"]
needs_transformers = pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is not installed")


def accounts_of(model, sites=None):
    return architectures.reconciled(
        model, find(model, IMAGES) if sites is None else sites, architectures.dispatched(model, IMAGES)
    )


def net(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return NETS[name][0]().eval()


@pytest.mark.parametrize("name", NETS)
def test_a_net_in_torchvisions_spelling_is_swapped_as_if_written_by_hand(name):
    one = next(each for each in zoo.of_torch() if each.name == name)

    row = architectures.examined(one)

    assert row.faults == []
    assert (row.difference, row.loads, row.undone) == (0.0, True, True)
    assert row.explained == row.operators > 0


@pytest.mark.parametrize("name", [one.name for one in zoo.of_torch() if one.name not in NETS])
def test_torchs_own_blocks_and_wrapped_models(name):
    row = architectures.examined(next(one for one in zoo.of_torch() if one.name == name))

    assert row.faults == []


@needs_transformers
@pytest.mark.parametrize("name", DIFFICULT)
def test_models_of_transformers_are_swapped_as_their_config_would(name):
    row = architectures.examined(next(one for one in zoo.hugging_face() if one.name == name))

    assert row.faults == []
    assert row.loads
    assert row.undone


@pytest.mark.slow
def test_every_architecture():
    done = subprocess.run(
        [sys.executable, "benchmarks/architectures.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout


# --------------------------------------------------------------------------------------------- planted faults


def test_a_site_that_is_left_out_is_found():
    model = net("MobileNetV3")
    sites = find(model, IMAGES)

    for missing in sites:
        accounts = accounts_of(model, [site for site in sites if site is not missing])
        assert accounts.strangers != []
        assert accounts.explained < accounts.heard


@pytest.mark.parametrize("wrong", [0, 1, 3])
def test_a_wrong_count_is_found(wrong):
    model = net("DenseNet")
    sites = find(model, IMAGES)
    at = next(index for index, site in enumerate(sites) if site.kind == "function")
    sites[at] = dataclasses.replace(sites[at], calls=wrong)

    assert (accounts_of(model, sites).strangers == []) == (wrong == 1)


def test_a_wrong_name_is_found():
    model = net("DenseNet")
    sites = [
        dataclasses.replace(site, name="silu") if site.kind == "function" else site for site in find(model, IMAGES)
    ]

    assert len(accounts_of(model, sites).strangers) == 2  # a ReLU that is not reported, and a SiLU that did not run


def test_a_swap_of_too_few_sites_and_one_that_changes_nothing_are_found():
    resnet = next(each for each in zoo.of_torch() if each.name == "ResNet")
    vision = dataclasses.replace(resnet, old=("layer1.*",))
    assert any("from the model built with mish" in fault for fault in architectures.examined(vision).faults)

    same = dataclasses.replace(resnet, build=lambda _: resnet.build(None))
    assert any("the comparison is void" in fault for fault in architectures.examined(same).faults)


# ----------------------------------------------------------------------------------------- swaps by hand


def test_every_relu_of_a_resnet_against_modules_put_in_by_hand():
    model = net("ResNet")
    by_hand = copy.deepcopy(model)
    for module in by_hand.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.SiLU())

    swap_(model, "silu", IMAGES)

    assert torch.equal(model(IMAGES), by_hand(IMAGES))


def test_a_half_of_a_resnet_by_depth_and_a_block_by_pattern():
    model = net("ResNet")

    swap_(model, {"re:layer2\\..*": "silu", "@:2": "tanh"}, IMAGES)

    names = {site.path: site.name for site in find(model, IMAGES)}
    assert names == {
        "relu": "tanh",
        "layer1.0.relu": "tanh",
        "layer1.1.relu": "relu",
        "layer2.0.relu": "silu",
        "layer2.1.relu": "silu",
    }
