"""Everything that a forward pass changes is put back; what was not changed is not written."""

from __future__ import annotations

import random
import warnings
from collections import OrderedDict, deque
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from actlab.errors import SiteError
from actlab.nn.passes.snapshot import Snapshot
from actlab.nn.passes.tensor_state import TensorState
from actlab.nn.sites.dry_run import no_side_effects
from actlab.nn.sites.find import find


def inference(tensor: Tensor) -> Tensor:
    with torch.inference_mode():
        return tensor.clone()


def quantised() -> Tensor:
    with warnings.catch_warnings(action="ignore"):  # torch 2.13 deprecates them
        return torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.quint8)


class Holder:
    """A plain object with attributes, as a cache is."""

    def __init__(self) -> None:
        self.keys = [torch.zeros(2)]
        self.length = 0


@dataclass(slots=True)
class Slotted:
    """An object without a ``__dict__``."""

    count: int
    values: list[int]


class Changing(nn.Module):
    """Runs a function on itself in every pass."""

    def __init__(self, change, **held) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        for name, value in held.items():
            (self.register_buffer if isinstance(value, Tensor) else partial(setattr, self))(name, value)
        self.change = change

    def forward(self, x: Tensor) -> Tensor:
        self.change(self)
        return torch.relu(self.linear(x)) + 0


class Counting(nn.Module):
    """Counts in a number and in a buffer; TorchScript can compile it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.seen += 1
        return x


def set_weight(module: Changing) -> None:
    module.linear.weight = nn.Parameter(torch.ones(4, 4))


def step(module: Changing) -> None:
    with torch.enable_grad():
        module.linear(torch.ones(1, 4)).sum().backward()


def clip(module: Changing) -> None:
    module.linear.weight.data.clamp_(-0.01, 0.01)


def write_in_inference_mode(module: Changing) -> None:
    with torch.inference_mode():
        module.seen.add_(1)


def freed(module: Changing) -> None:
    module.seen.untyped_storage().resize_(0)


# fmt: off
CHANGES = {
    "a weight that is clipped": (clip, {}),
    "a weight that is exchanged": (set_weight, {}),
    "a weight whose memory is replaced": (lambda m: setattr(m.linear.weight, "data", torch.ones(4, 4)), {}),
    "a buffer whose memory is replaced": (lambda m: setattr(m.seen, "data", torch.ones(9).half()), {"seen": lambda: torch.zeros(2)}),
    "a buffer whose memory is freed": (freed, {"seen": lambda: torch.ones(3)}),
    "a weight that is frozen": (lambda m: m.linear.weight.requires_grad_(False), {}),
    "a gradient that is made": (step, {}),
    "a buffer that grows": (lambda m: m.seen.resize_(50).fill_(3), {"seen": lambda: torch.zeros(2)}),
    "a buffer that shrinks": (lambda m: m.seen.resize_(1).fill_(3), {"seen": lambda: torch.zeros(2)}),
    "an expanded buffer that is exchanged": (lambda m: setattr(m, "seen", m.seen + 1), {"seen": lambda: torch.eye(4).expand(2, 4, 4)}),
    "an expanded buffer that is written through its base": (lambda m: m.seen[0].add_(1), {"seen": lambda: torch.eye(4).expand(2, 4, 4)}),
    "a buffer made in inference mode": (lambda m: setattr(m, "seen", m.seen + 1), {"seen": lambda: inference(torch.zeros(3))}),
    "a buffer made in inference mode, written there": (write_in_inference_mode, {"seen": lambda: inference(torch.zeros(3))}),
    "a buffer with NaN": (lambda m: m.seen.fill_(0), {"seen": lambda: torch.tensor([float("nan"), -0.0])}),
    "an integer counter": (lambda m: m.seen.add_(1), {"seen": lambda: torch.tensor(0)}),
    "a quantised buffer": (lambda m: m.seen.copy_(torch.ones(3)), {"seen": quantised}),
    "a sparse buffer": (lambda m: m.seen._values().fill_(7), {"seen": lambda: torch.eye(3).to_sparse()}),
    "a view of another tensor": (lambda m: m.seen.fill_(1), {"seen": lambda: torch.zeros(5, 5)[1:3, 2]}),
    "a list": (lambda m: m.seen.append(1), {"seen": lambda: [0]}),
    "a list in a dict": (lambda m: m.seen["a"].append(1), {"seen": lambda: {"a": [0]}}),
    "the order of an ordered dict": (lambda m: m.seen.move_to_end("a"), {"seen": lambda: OrderedDict(a=1, b=2)}),
    "a set": (lambda m: m.seen.add(1), {"seen": lambda: {0}}),
    "a deque": (lambda m: m.seen.append(1), {"seen": lambda: deque([0], maxlen=1)}),
    "bytes": (lambda m: m.seen.extend(b"ab"), {"seen": lambda: bytearray(b"x")}),
    "an array": (lambda m: m.seen.fill(1), {"seen": lambda: np.zeros(3)}),
    "a number": (lambda m: setattr(m, "seen", m.seen + 1), {"seen": lambda: 0}),
    "a new attribute": (lambda m: setattr(m, "other", 1), {}),
    "an attribute that is deleted": (lambda m: delattr(m, "seen"), {"seen": lambda: 1}),
    "torch's generator of its own": (lambda m: torch.rand(3, generator=m.seen), {"seen": torch.Generator}),
    "NumPy's generator of its own": (lambda m: m.seen.random(), {"seen": lambda: np.random.default_rng(1)}),
    "NumPy's older generator": (lambda m: m.seen.random_sample(), {"seen": lambda: np.random.RandomState(1)}),
    "Python's generator of its own": (lambda m: m.seen.random(), {"seen": lambda: random.Random(1)}),  # noqa: S311 # a user's
    "an object": (lambda m: setattr(m.seen, "length", 9), {"seen": Holder}),
    "a tensor in a list of an object": (lambda m: m.seen.keys[0].add_(1), {"seen": Holder}),
    "an object with slots": (lambda m: setattr(m.seen, "count", 9), {"seen": lambda: Slotted(0, [])}),
    "a list in a tuple": (lambda m: m.seen[0].append(9), {"seen": lambda: ([],)}),
}
# fmt: on


def described(value: object) -> object:
    """Return the state of an object as text, tensors with their memory."""
    if isinstance(value, Tensor):
        plain = value.dequantize() if value.is_quantized else value.to_dense()
        return (
            str(value.layout),
            value.dtype,
            plain.shape,
            value.requires_grad,
            str(plain.tolist()),
            described(value.grad),
        )
    if isinstance(value, torch.Generator):
        return value.get_state().tolist()
    if isinstance(value, np.random.RandomState):
        return str(value.get_state())
    if isinstance(value, np.random.Generator):
        return str(value.bit_generator.state)
    if isinstance(value, random.Random):
        return value.getstate()
    if isinstance(value, Slotted):
        return value.count, value.values[:]
    if isinstance(value, Holder):
        return described(vars(value))
    if isinstance(value, dict):
        return [(key, described(inner)) for key, inner in value.items()]
    if isinstance(value, (list, tuple, deque, set)):
        return [described(inner) for inner in value]
    return str(value)


def state_of(model: Changing) -> object:
    held = {key: value for key, value in vars(model).items() if not key.startswith("_")}
    return described([held, dict(model.named_parameters()), dict(model.named_buffers())])


@pytest.mark.parametrize("case", CHANGES)
def test_what_a_pass_changes_is_put_back(case):
    change, held = CHANGES[case]
    model = Changing(change, **{name: make() for name, make in held.items()})
    before, modules = state_of(model), [(m, m.training) for m in model.modules()]
    members = dict(model.named_parameters()) | dict(model.named_buffers())

    find(model, torch.ones(2, 4))

    assert state_of(model) == before
    assert all(a is b for a, b in zip(members.values(), [*model.parameters(), *model.buffers()], strict=True))
    assert all(module.training is flag for module, flag in modules)


@pytest.mark.parametrize("case", [case for case in CHANGES if "freed" not in case])
def test_without_a_snapshot_each_of_these_changes_shows(case):
    change, held = CHANGES[case]
    model = Changing(change, **{name: make() for name, make in held.items()})
    before = state_of(model)

    with torch.no_grad():
        model(torch.ones(2, 4))

    assert state_of(model) != before


def test_what_a_hook_collects_is_put_back():
    model, seen = nn.Sequential(nn.Linear(4, 4), nn.ReLU()), []
    model[0].register_forward_hook(lambda *args: seen.append(args))

    find(model, torch.ones(2, 4))

    assert seen == []


def test_counters_of_scripted_modules_are_put_back():
    with pytest.warns(DeprecationWarning, match="torch.jit.script"):
        scripted = torch.jit.script(Counting())
    with no_side_effects(scripted):
        scripted(torch.ones(1))
        assert (scripted.calls, scripted.seen.item()) == (1, 1)

    assert (scripted.calls, scripted.seen.item(), scripted.training) == (0, 0, True)


def test_an_unchanged_tensor_is_not_written_so_a_pending_backward_pass_works():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    loss = model(torch.ones(2, 4)).sum()

    find(model, torch.ones(2, 4))

    loss.backward()  # raises where a weight has another version
    assert model[0].weight.grad is not None


def test_one_failure_leaves_nothing_else_unrestored_and_is_told(monkeypatch):
    class Locked(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            self.calls = 1
            return x

    model = nn.Sequential(Locked(), nn.Linear(4, 4), Changing(clip), Locked()).train()
    before = state_of(model[2])
    failing = {id(model[1].weight)}
    restore = TensorState.restore
    monkeypatch.setattr(TensorState, "restore", lambda s: 1 / 0 if id(s.tensor) in failing else restore(s))

    with pytest.raises(SiteError, match=r"cannot be put back in Sequential: .*1\.weight .*division"):
        find(model, torch.ones(2, 4))

    assert state_of(model[2]) == before
    assert all(module.training and not hasattr(module, "calls") for module in model.modules())


def test_an_error_in_the_pass_is_the_one_that_is_raised():
    def fail(module: Changing) -> None:
        clip(module)
        raise ValueError("mine")

    model = Changing(fail)
    before = state_of(model)

    with pytest.raises(SiteError, match="ValueError: mine"):
        find(model, torch.ones(2, 4))

    assert state_of(model) == before


def test_memory_that_tensors_share_stays_shared():
    base = torch.zeros(8)
    model = Changing(lambda m: m.part.add_(1), part=base[2:5])

    find(model, torch.ones(2, 4))
    base[2] = 5

    assert model.part[0] == 5
    assert base[3] == 0


def test_datasets_optimizers_and_our_own_observers_are_not_followed():
    class Data(torch.utils.data.Dataset):
        def __init__(self) -> None:
            self.values = [0]

    data = Data()
    model = Changing(clip, data=data)
    snapshot = Snapshot(model)
    data.values.append(1)

    assert snapshot.restore() == []
    assert data.values == [0, 1]
