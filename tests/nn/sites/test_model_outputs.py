"""Outputs of a model: a bounded or positive function behind the last layer with weights, whatever stands behind it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F  # the usual name
from torch import Tensor, nn

from actlab.nn.passes.output_tensors import output_tensors
from actlab.nn.sites.find import find
from actlab.nn.transforms.swap import swap_
from actlab.tasks import registry
from actlab.tasks.isolation import isolated
from actlab.tasks.task import load_data

X = torch.linspace(-2, 2, 12).reshape(3, 4)
MODES = pytest.mark.parametrize("example_inputs", [None, X], ids=["as written", "as run"])


@dataclass
class Policy:
    mean: Tensor
    scale: Tensor


class Net(nn.Module):
    """A hidden ReLU, and a head that a subclass writes."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.one, self.two = nn.Linear(4, 8), nn.Linear(8, 2), nn.Linear(8, 2)
        self.gain = nn.Parameter(torch.full((2,), 3.0))
        self.register_buffer("low", torch.tensor([-1.0, 0.0]))

    def forward(self, x: Tensor) -> object:
        return self.head(F.relu(self.hidden(x)))

    def head(self, h: Tensor) -> object:
        raise NotImplementedError


def net(head):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return type("Written", (Net,), {"head": head})()


OUTPUTS: dict[str, object] = {}
HIDDEN: dict[str, object] = {}


def output(head):
    """Add a head whose activation is an output."""
    OUTPUTS[head.__name__] = head
    return head


def hidden(head):
    """Add a head whose activation is none."""
    HIDDEN[head.__name__] = head
    return head


@output
def shifted_in_steps(self, h):
    action = torch.sigmoid(self.one(h))
    action = action - 0.5
    action *= 4
    return action


@output
def overwritten(self, h):
    s = self.one(h).sigmoid().clone()
    s.mul_(2).sub_(1)
    return s


@output
def boxes(self, h):
    y = self.one(h).sigmoid().clone()
    y[..., 0] = y[..., 0] * 2 - 0.5
    return y


@output
def either(self, h):
    out = torch.sigmoid(self.one(h))
    if not self.training:
        out = 2 * out
    return out


@output
def with_loss(self, h):
    p = torch.sigmoid(self.one(h))
    return {"loss": F.binary_cross_entropy(p, torch.ones_like(p)), "p": p}


@output
def scale(self, h):
    return 2.0 * torch.tanh(self.one(h))


@output
def learned_scale(self, h):
    return torch.tanh(self.one(h)) * self.gain


@output
def scale_and_shift_by_buffers(self, h):
    return self.low + self.gain.exp() * torch.sigmoid(self.one(h))


@output
def one_minus(self, h):
    return 1 - torch.sigmoid(self.one(h))


@output
def clamp(self, h):
    return torch.sigmoid(self.one(h)).clamp(1e-6, 1 - 1e-6)


@output
def epsilon(self, h):
    return F.softplus(self.one(h)) + 1e-6


@output
def elu_plus_one(self, h):
    return F.elu(self.one(h)) + 1


@output
def log(self, h):
    return torch.log(torch.sigmoid(self.one(h)) + 1e-8)


@output
def log_of_the_standard_deviation(self, h):
    return torch.exp(-5 + 3.5 * (torch.tanh(self.one(h)) + 1))


@output
def cat(self, h):
    return torch.cat([torch.sigmoid(self.one(h)), self.two(h)], 1)


@output
def where(self, h):
    return torch.where(h[:, :2] > 0, torch.sigmoid(self.one(h)), self.low)


@output
def mean(self, h):
    return torch.sigmoid(self.one(h)).mean(1)


@output
def ensemble(self, h):
    return (torch.sigmoid(self.one(h)) + torch.sigmoid(self.two(h))) / 2


@output
def both_bounded(self, h):
    return torch.sigmoid(self.one(h)) * torch.tanh(self.two(h))


@output
def dataclass(self, h):
    return Policy(mean=self.two(h), scale=F.softplus(self.one(h)))


@output
def nested_dict(self, h):
    return {"value": self.two(h), "p": {"x": torch.sigmoid(self.one(h)) * 2}}


@output
def distribution(self, h):
    return torch.distributions.Normal(self.two(h), F.softplus(self.one(h)) + 1e-3)


@output
def stack_and_permute(self, h):
    return torch.stack([torch.sigmoid(self.one(h))] * 2).permute(1, 2, 0)


@hidden
def gate(self, h):
    return torch.sigmoid(self.one(h)) * self.two(h)


@hidden
def before_a_layer(self, h):
    return self.one(2 * torch.sigmoid(h))


@hidden
def before_a_functional_layer(self, h):
    return F.linear(torch.tanh(h) + 1, self.one.weight)


@hidden
def before_a_norm(self, h):
    return F.layer_norm(torch.sigmoid(self.one(h)), (2,))


@hidden
def unbounded(self, h):
    return F.leaky_relu(self.one(h)).mean(1)


@hidden
def a_relu_which_is_not_positive(self, h):
    return F.relu(self.one(h)).mean(1)


@hidden
def residual(self, h):
    return self.two(h) + torch.tanh(self.one(h))


def heads(model, example_inputs):
    return [site for site in find(model, example_inputs) if not site.path.startswith("forward:")]


@MODES
@pytest.mark.parametrize("name", OUTPUTS)
def test_what_keeps_the_output_bounded_or_positive_is_an_output(name, example_inputs):
    sites = [site for site in heads(net(OUTPUTS[name]), example_inputs) if site.calls != 0]

    assert sites
    assert all(site.output for site in sites)


@MODES
@pytest.mark.parametrize("name", HIDDEN)
def test_what_does_not_is_none(name, example_inputs):
    assert [site.output for site in heads(net(HIDDEN[name]), example_inputs)] == [False]


@MODES
@pytest.mark.parametrize("name", OUTPUTS)
def test_a_swap_to_the_function_that_is_there_leaves_the_model_to_the_bit(name, example_inputs):
    """So the baseline arm of a comparison is the user's model."""
    model = net(OUTPUTS[name])
    before = _results(model)

    swap_(model, "relu", example_inputs)

    after = _results(model)
    assert len(before) == len(after) > 0
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def _results(model):
    outputs = output_tensors(model.eval()(3 * X))
    gradients = torch.autograd.grad(sum(each.sum() for each in outputs), list(model.parameters()), allow_unused=True)
    return [*outputs, *(gradient for gradient in gradients if gradient is not None)]


class Scale(nn.Module):
    def forward(self, x):
        return 2 * x - 1


@MODES
def test_modules_behind_it_that_hold_no_weights_change_nothing(example_inputs):
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2), nn.Sigmoid(), Scale(), nn.Flatten())

    assert [(site.path, site.output) for site in find(model, example_inputs)] == [("1", False), ("3", True)]


@MODES
def test_a_head_in_a_module_of_its_own_that_is_scaled_outside(example_inputs):
    class Outside(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2), nn.Sigmoid())

        def forward(self, x):
            return self.rescaled(self.body(x))

        def rescaled(self, y):
            return y * 10

    assert {s.path: s.output for s in find(Outside(), example_inputs)} == {"body.1": False, "body.3": True}


def test_an_actor_stays_within_its_bounds():
    actor = net(OUTPUTS["scale"])

    changes = swap_(actor, "gelu", X)

    assert [change.path for change in changes] == ["forward:F.relu@1"]
    assert actor(100 * X).abs().max() <= 2


def test_an_output_that_is_named_is_swapped():
    actor = net(OUTPUTS["scale"])
    swap_(actor, {"head:torch.tanh@1": "softsign"}, X)

    assert torch.equal(actor(X), 2.0 * F.softsign(actor.one(F.relu(actor.hidden(X)))))


@pytest.mark.parametrize("name", registry.names())
def test_the_baseline_arm_of_a_task_that_ships_is_its_model_to_the_bit(name):
    task = registry.resolve(name)
    try:
        with isolated(0):
            batch = load_data(task, 0).train.x[:16]
    except Exception as error:  # data that are not on this machine
        pytest.skip(str(error))
    results = []
    for swapped in (False, True):
        with isolated(0):
            model = task.model(0)
            if swapped:
                sites = [site for site in find(model, batch) if site.replaceable and not site.output]
                own = {str(site.spec) for site in sites}
                swap_(model, own.pop() if len(own) == 1 else {site.path: str(site.spec) for site in sites}, batch)
        with isolated(1):
            output = model.train()(batch)
            results.append([output, *torch.autograd.grad(output.square().sum(), list(model.parameters()))])

    plain, swapped = results
    assert all(torch.equal(a, b) for a, b in zip(plain, swapped, strict=True))
