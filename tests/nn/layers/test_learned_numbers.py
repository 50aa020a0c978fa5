"""Learned numbers have shape (1,), which FSDP needs; checkpoints with 0-d numbers load, and 0-d inputs keep their shape."""

from __future__ import annotations

import copy
import io
import os
import pickle

import pytest
import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard

import actlab
from actlab.functions.activation import get, names
from actlab.nn.layers.blend import Blend

# one of each kind of layer: native, formula, several numbers, gated, vector, stochastic, rule, rule with a number of its own
SPECS = [
    "prelu",
    "swish(beta=learned(1.5))",
    "aglu",
    "xielu",
    "xgeglu",
    "householder",
    "scalable_softmax",
    "rsign(alpha=learned)/clipped",
    "sign/arctan(alpha=learned)",
]


def learned_spec(name):
    learnable = [parameter.name for parameter in get(name).parameters if parameter.learnable]
    return f"{name}({', '.join(f'{each}=learned' for each in learnable)})"


LEARNABLE = [name for name in names() if any(parameter.learnable for parameter in get(name).parameters)]


def as_earlier(state):
    """Return a state_dict as 0.1.0 saved it: numbers are 0-d."""
    return {key: value.reshape(()) if value.shape == (1,) else value for key, value in state.items()}


@pytest.mark.parametrize("name", LEARNABLE)
def test_every_learned_number_has_one_dimension(name):
    assert {tuple(p.shape) for p in actlab.layer(learned_spec(name)).parameters()} == {(1,)}


@pytest.mark.parametrize("name", [name for name in LEARNABLE if get(name).kind == "elementwise"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_0d_input_keeps_its_shape_and_dtype(name, dtype):
    x = torch.tensor(0.3, dtype=dtype, requires_grad=True)
    for fast in (False, True):
        made = actlab.layer(learned_spec(name), fast=fast)
        if fast:
            made.set_fast(always=True)
        y = made(x)
        assert (y.shape, y.dtype) == ((), dtype)
        assert torch.equal(y, made(x.reshape(1)).reshape(())) or y.isnan()
        gradients = torch.autograd.grad(y, [x, *made.parameters()], allow_unused=True)
        assert [g.shape for g in gradients if g is not None] == [
            t.shape for t, g in zip([x, *made.parameters()], gradients, strict=True) if g is not None
        ]


@pytest.mark.parametrize("spec", ["rsign(alpha=learned)/clipped", "sign/arctan(alpha=learned)", "step/rect(-0.5,0.5)"])
def test_a_0d_input_of_a_gradient_rule_keeps_its_shape(spec):
    x = torch.tensor(0.3, requires_grad=True)
    y = actlab.layer(spec)(x)
    y.backward()

    assert y.shape == x.grad.shape == ()


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("assign", [False, True])
def test_a_checkpoint_with_0d_numbers_loads_strictly(spec, assign):
    old, new = nn.Sequential(actlab.layer(spec)), nn.Sequential(actlab.layer(spec))
    with torch.no_grad():
        for parameter in old.parameters():
            parameter.add_(0.125)
    state = as_earlier(old.state_dict())

    new.load_state_dict(state, strict=True, assign=assign)

    assert all(value.dim() == 0 for value in state.values())  # the user's dict is as it was
    assert {key: value.tolist() for key, value in new.state_dict().items()} == {
        key: value.tolist() for key, value in old.state_dict().items()
    }
    assert all(isinstance(p, nn.Parameter) and p.shape == (1,) for p in new.parameters())


def test_a_checkpoint_with_0d_numbers_loads_into_a_slim_model():
    def model():
        return nn.Sequential(nn.Linear(4, 8), actlab.layer("swish(beta=learned)"), nn.Linear(8, 2))

    x = torch.randn(3, 4)
    slim, plain = model(), model()
    actlab.slim_(slim, x)

    slim.load_state_dict(as_earlier(plain.state_dict()), strict=True)

    assert "Deferred" in repr(slim)
    assert torch.equal(slim(x), plain(x))


def test_a_checkpoint_in_a_file_with_0d_numbers_loads():
    file = io.BytesIO()
    torch.save(as_earlier(actlab.layer("swish(beta=learned(3))").state_dict()), file)
    file.seek(0)
    new = actlab.layer("swish(beta=learned)")

    new.load_state_dict(torch.load(file, weights_only=True))

    assert new.beta.tolist() == [3.0]


def test_a_0d_parameter_of_an_earlier_build_loads_a_checkpoint_of_this_one():
    earlier = nn.Module()
    earlier.beta = nn.Parameter(torch.tensor(1.0))

    earlier.load_state_dict(actlab.layer("swish(beta=learned(3))").state_dict(), strict=True)

    assert earlier.beta.tolist() == 3.0


def test_a_number_per_channel_of_one_channel_loads_either_way():
    module = actlab.layer("prelu(weight=learned_per_channel)", channels=1)

    module.load_state_dict({"weight": torch.tensor(0.5)})

    assert module.weight.tolist() == [0.5]


def test_a_number_per_channel_is_not_filled_from_a_single_one():
    with pytest.raises(RuntimeError, match="size mismatch"):
        actlab.layer("prelu(weight=learned_per_channel)", channels=3).load_state_dict({"weight": torch.tensor(0.5)})


def test_a_module_pickled_with_0d_numbers_opens_with_one_dimension():
    old = actlab.layer("swish(beta=learned(3))")
    old._parameters["beta"] = nn.Parameter(torch.tensor(3.0), requires_grad=False)

    new = pickle.loads(pickle.dumps(old))

    assert (new.beta.tolist(), new.beta.requires_grad) == ([3.0], False)


def test_the_pace_of_a_blend_has_one_dimension_and_old_ones_load():
    made = Blend(nn.ReLU(), actlab.layer("gelu"), learned=True)
    state = as_earlier(made.state_dict()) | {"pace": torch.tensor(0.5), "share": torch.tensor(0.5)}

    made.load_state_dict(state, strict=True)

    assert made.pace.tolist() == [0.5]
    assert made.weight_of_new.shape == made(torch.tensor(1.0)).shape == ()


def test_parameters_of_another_dtype_do_not_change_what_is_computed():
    x = torch.linspace(-3, 3, 9)
    for spec in ("swish(beta=learned)", "scalable_softmax", "gaussian_topk(sparsity=learned)"):
        wide, narrow = actlab.layer(spec, dtype=torch.float64), actlab.layer(spec, dtype=torch.bfloat16)
        assert wide(x).dtype == narrow(x).dtype == torch.float32
        assert narrow(x.bfloat16()).dtype == torch.bfloat16


def test_copies_keep_the_shape():
    assert copy.deepcopy(actlab.layer("xielu")).alpha_p.shape == (1,)


@pytest.fixture
def mesh(tmp_path):
    os.environ.pop("MASTER_ADDR", None)
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    distributed.destroy_process_group()


def test_fsdp_takes_models_with_learned_numbers(mesh):
    def model():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.SiLU(), nn.Linear(8, 2))
        actlab.swap_(net, {"relu": "xielu", "silu": "aglu"})
        return net

    x = torch.randn(5, 4)
    want = model()(x)
    fully_sharded = model()
    fully_shard(fully_sharded, mesh=mesh)
    torch.testing.assert_close(fully_sharded(x), want)
    with pytest.warns(UserWarning, match="NO_SHARD"):
        first = FullyShardedDataParallel(model(), device_id=torch.device("cpu"), use_orig_params=True)
    torch.testing.assert_close(first(x), want)
