"""Rewritten classes beside what others do with classes: registries, parametrizations, pruning, sharding."""

from __future__ import annotations

import abc
import copy
from typing import ClassVar, Generic, TypeVar

import pytest
import torch
import torch.nn.functional as F
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.utils import parametrizations, parametrize, prune
from torch.nn.utils import spectral_norm as old_spectral_norm
from torch.nn.utils import weight_norm as old_weight_norm

import actlab
from actlab.errors import SiteError
from actlab.nn.sites.slot import below_torch, edits_of, original_class

T = TypeVar("T")
X = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))


class Body:
    """The parts of a net that every class below shares."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a = nn.Linear(4, 8)

    def forward(self, x):
        return F.relu(self.a(x)) + 0


def by_init_subclass():
    class Base(nn.Module):
        seen: ClassVar[list] = []

        def __init_subclass__(cls, **options):
            super().__init_subclass__(**options)
            Base.seen.append(cls)

    return Base, {}


def by_required_keyword():
    class Base(nn.Module):
        seen: ClassVar[list] = []

        def __init_subclass__(cls, *, tag, **options):
            super().__init_subclass__(**options)
            Base.seen.append(cls)

    return Base, {"tag": "net"}


def by_metaclass():
    class Meta(type):
        def __init__(cls, *arguments, **options):
            super().__init__(*arguments, **options)
            cls.__dict__.get("seen", Meta.seen).append(cls)

        seen: ClassVar[list] = []

    class Base(nn.Module, metaclass=Meta):
        seen = Meta.seen

    return Base, {}


def by_abstract_metaclass():
    class Meta(abc.ABCMeta):
        seen: ClassVar[list] = []

        def __new__(cls, name, bases, namespace):
            Meta.seen.append(new := super().__new__(cls, name, bases, namespace))
            return new

    class Base(nn.Module, metaclass=Meta):
        seen = Meta.seen

        @abc.abstractmethod
        def forward(self, x): ...

    return Base, {}


REGISTRIES = [by_init_subclass, by_required_keyword, by_metaclass, by_abstract_metaclass]


@pytest.mark.parametrize("registry", REGISTRIES)
def test_a_registry_of_classes_holds_the_authors_only(registry):
    base, options = registry()

    class Net(Body, base, **options):
        def forward(self, x):
            return F.relu(self.a(x)) + 0

    before = list(base.seen)
    net = Net()
    changes = actlab.swap_(net, "gelu", X)
    torch.testing.assert_close(net(X), F.gelu(net.a(X)))
    assert isinstance(net, Net)
    changed_copy = copy.deepcopy(net)
    assert torch.equal(changed_copy(X), net(X))

    assert base.seen == before
    changes.undo()
    assert base.seen == before
    assert type(net) is Net
    assert torch.equal(base.seen[-1]()(X), F.relu(net.a(X)))


def test_generic_and_slotted_classes_can_be_rewritten():
    class Both(Body, nn.Module, Generic[T]):
        __slots__ = ("note",)

    net = Both[int]()
    actlab.swap_(net, "gelu", X)

    torch.testing.assert_close(net(X), F.gelu(net.a(X)))


# ------------------------------------------------------------------------------------- parametrizations


class Active(nn.Linear):
    """A layer with weights, whose class is rewritten by a swap."""

    def forward(self, x):
        return F.relu(super().forward(x))


def net_with(parametrization):
    torch.manual_seed(0)
    net = nn.Sequential(Active(4, 4), nn.Linear(4, 2))
    parametrization(net[0])
    return net.eval()


class Doubled(nn.Module):
    def forward(self, x):
        return 2 * x


PARAMETRIZATIONS = {
    "weight": parametrizations.weight_norm,
    "spectral": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "own": lambda module: parametrize.register_parametrization(module, "bias", Doubled()),
}


@pytest.mark.parametrize("name", PARAMETRIZATIONS)
@pytest.mark.parametrize("inputs", [(), (X,)])
def test_a_parametrization_can_be_removed_after_a_swap(name, inputs):
    net = net_with(PARAMETRIZATIONS[name])
    changes = actlab.swap_(net, "tanh", *inputs)
    want = net(X)

    for tensor in list(net[0].parametrizations):
        parametrize.remove_parametrizations(net[0], tensor)

    torch.testing.assert_close(net(X), want)
    assert not parametrize.is_parametrized(net[0])
    torch.testing.assert_close(net[0](X), torch.tanh(F.linear(X, net[0].weight, net[0].bias)))
    changes.undo()
    assert type(net[0]) is Active
    torch.testing.assert_close(net[0](X), F.relu(F.linear(X, net[0].weight, net[0].bias)))


@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_undo_keeps_a_parametrization_that_was_there_before(name):
    net = net_with(PARAMETRIZATIONS[name])
    want = net(X)

    actlab.swap_(net, "tanh", X).undo()

    assert torch.equal(net(X), want)
    assert parametrize.is_parametrized(net[0])
    parametrize.remove_parametrizations(net[0], next(iter(net[0].parametrizations)))
    assert type(net[0]) is Active


def test_undo_keeps_a_parametrization_that_came_after_the_swap():
    net = net_with(lambda module: module)
    changes = actlab.swap_(net, "tanh", X)
    parametrize.register_parametrization(net[0], "bias", Doubled())
    weight, bias = net[0].weight, net[0].bias

    changes.undo()

    torch.testing.assert_close(net[0](X), F.relu(F.linear(X, weight, bias)))
    assert parametrize.is_parametrized(net[0], "bias")
    parametrize.remove_parametrizations(net[0], "bias")
    assert type(net[0]) is Active


def test_one_of_two_parametrizations_can_be_removed():
    net = net_with(parametrizations.weight_norm)
    actlab.swap_(net, "tanh", X)
    parametrize.register_parametrization(net[0], "bias", Doubled())
    want = net(X)

    parametrize.remove_parametrizations(net[0], "weight")

    torch.testing.assert_close(net(X), want)
    assert parametrize.is_parametrized(net[0], "bias")


def test_a_copy_made_before_the_swap_stays_as_it_was():
    net = net_with(parametrizations.weight_norm)
    other = copy.deepcopy(net)
    want = other(X)

    actlab.swap_(net, "tanh", X)

    assert torch.equal(other(X), want)
    assert torch.equal(copy.deepcopy(net)(X), net(X))
    parametrize.remove_parametrizations(net[0], "weight")
    assert torch.equal(other(X), want)


def test_a_second_swap_builds_on_the_first_under_a_parametrization():
    class Two(nn.Linear):
        def forward(self, x):
            return torch.tanh(F.relu(super().forward(x)))

    net = nn.Sequential(Two(4, 4), nn.Linear(4, 2))
    parametrizations.weight_norm(net[0])
    first = actlab.swap_(net, {"relu": "gelu"}, X)
    second = actlab.swap_(net, {"tanh": "silu"}, X)
    linear = F.linear(X, net[0].weight, net[0].bias)

    torch.testing.assert_close(net[0](X), F.silu(F.gelu(linear)))
    with pytest.raises(SiteError, match="Undo the later changes first"):
        first.undo()
    second.undo()
    torch.testing.assert_close(net[0](X), torch.tanh(F.gelu(linear)))
    first.undo()
    assert original_class(type(net[0])) is Two
    assert not edits_of(type(net[0]))


@pytest.mark.parametrize(
    ("apply", "remove"),
    [
        (old_weight_norm, nn.utils.remove_weight_norm),
        (old_spectral_norm, nn.utils.remove_spectral_norm),
        (
            lambda module: prune.l1_unstructured(module, "weight", amount=0.5),
            lambda module: prune.remove(module, "weight"),
        ),
    ],
    ids=["weight_norm", "spectral_norm", "prune"],
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_weights_computed_in_hooks_can_be_made_plain_after_a_swap(apply, remove):
    net = net_with(apply)
    changes = actlab.swap_(net, "tanh", X)
    want = net(X)

    remove(net[0])

    torch.testing.assert_close(net(X), want)
    changes.undo()
    assert type(net[0]) is Active


# --------------------------------------------------------------------------------------------- sharding


def test_a_fully_sharded_block_stays_sharded_through_swap_and_undo(tmp_path):
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    try:
        net = net_with(lambda module: module)
        want = net(X)
        fully_shard(net[0], mesh=init_device_mesh("cpu", (1,)))
        assert below_torch(type(net[0])) is Active

        changes = actlab.swap_(net, "tanh")

        assert type(net[0]).__name__ == "FSDPActive"
        net(X).sum().backward()
        changes.undo()
        torch.testing.assert_close(net(X), want)
        assert below_torch(type(net[0])) is Active
    finally:
        distributed.destroy_process_group()
