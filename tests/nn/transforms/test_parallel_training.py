"""Models that are wrapped for several ranks: parameters come in before, functions without learned numbers at any time."""

from __future__ import annotations

import pytest
import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.nn.parallel import DistributedDataParallel

import actlab
from actlab.errors import SiteError
from actlab.nn.layers.layer import layer
from actlab.nn.transforms.insert_norms import insert_norms_
from actlab.nn.transforms.morph.morph import Morph

X = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def mesh(tmp_path):
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    distributed.destroy_process_group()


def net(act=None):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), act or nn.SiLU(), nn.Sequential(nn.Linear(8, 8), nn.ReLU()), nn.Linear(8, 2))


def ddp(model):
    return DistributedDataParallel(model)


def fsdp1(model):
    return FullyShardedDataParallel(model, device_id=torch.device("cpu"), use_orig_params=True)


def fsdp2(model):
    fully_shard(model)
    return model


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("wrap", [ddp, fsdp1, fsdp2])
@pytest.mark.parametrize("spec", ["swish(beta=learned)", "prelu", "xielu"])
def test_a_swap_that_brings_parameters_into_a_wrapped_model_is_refused(mesh, wrap, spec):
    wrapped = wrap(net())
    names = {name for name, _ in wrapped.named_parameters()}

    with pytest.raises(SiteError, match="wrapped already"):
        actlab.swap_(wrapped, spec)

    assert {name for name, _ in wrapped.named_parameters()} == names
    wrapped(X).sum().backward()


def test_the_reason_names_the_wrapper_and_the_parameters(mesh):
    with pytest.raises(SiteError, match=r"DistributedDataParallel has wrapped already \(beta\)"):
        actlab.swap_(ddp(net()), "swish(beta=learned)", X)


def test_the_wrapper_is_found_from_the_model_inside_and_from_a_part_of_it(mesh):
    model = net()
    wrapper = ddp(model)
    for inside in (model, model[2], wrapper.module):
        with pytest.raises(SiteError, match="wrapped already"):
            actlab.swap_(inside, {"1": "swish(beta=learned)"})
    del wrapper


def test_a_model_around_a_wrapped_one_is_refused(mesh):
    with pytest.raises(SiteError, match="wrapped already"):
        actlab.swap_(nn.Sequential(ddp(net()), nn.Tanh(), nn.Linear(2, 2)), "swish(beta=learned)")


def test_a_part_that_is_sharded_only_through_its_parent_is_refused(mesh):
    model = net()
    fully_shard(model)

    with pytest.raises(SiteError, match="wrapped already"):
        actlab.swap_(model[2], {"1": "swish(beta=learned)"})


def test_taking_parameters_out_of_a_wrapped_model_is_refused(mesh):
    with pytest.raises(SiteError, match="takes parameters out of"):
        actlab.swap_(ddp(net(nn.PReLU())), {"prelu": "relu"})


def test_functions_without_parameters_can_be_swapped_in_a_wrapped_model(mesh):
    wrapped = ddp(net())

    changes = actlab.swap_(wrapped, "gelu", X)

    assert len(changes) == 2
    wrapped(X).sum().backward()
    changes.undo()
    actlab.fast(wrapped, X)
    actlab.slim_(wrapped, X)


@pytest.mark.parametrize("model", [net, lambda: net(nn.PReLU())])
def test_models_that_nothing_wraps_take_parameters_while_others_are_wrapped(mesh, model):
    other = ddp(net())

    assert actlab.swap_(model(), "swish(beta=learned)", X)
    del other


def test_learned_numbers_that_come_before_the_wrapper_train(mesh):
    model = net()
    actlab.swap_(model, "swish(beta=learned)", X)
    wrapped = ddp(model)

    wrapped(X).sum().backward()

    assert model[1].beta.grad is not None


def test_a_morph_with_a_learned_pace_is_refused(mesh):
    with pytest.raises(SiteError, match=r"\(pace\)"):
        Morph(ddp(net()), "gelu", total=4, learned=True)
    assert Morph(ddp(net()), "gelu", total=4)


def test_norms_are_not_put_into_a_wrapped_model(mesh):
    binary = nn.Sequential(nn.Linear(4, 8), layer("step/rect"), nn.Linear(8, 2))

    with pytest.raises(SiteError, match="wrapped already"):
        insert_norms_(ddp(binary), X)
