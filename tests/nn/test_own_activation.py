"""A user's module class, module or function is an activation by itself, in layers, swaps and studies."""

import pytest
import torch
from tests.studies.tiny import tiny
from torch import nn

import actlab
from actlab.errors import SpecError
from actlab.functions.activation import forget, get, names
from actlab.studies.plan import make_plan


class MyScaledSine(nn.Module):
    """x + sin of a learned multiple of x."""

    def __init__(self, start=1.0):
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(float(start)))

    def forward(self, x):
        return x + torch.sin(self.rate * x) / 3


class MyClipped(nn.Module):
    def __init__(self, limit):
        super().__init__()
        self.limit = limit

    def forward(self, x):
        return x.clamp(-self.limit, self.limit / 3) - x / 7


class MyCounted(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.tensor(0))

    def forward(self, x):
        self.calls += self.training
        return x * (2 * x).sin() / 5


class Swish(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(x) - x / 50


def my_wave(x):
    return x + torch.cos(3 * x) / 4


@pytest.fixture(autouse=True)
def restore():
    before = set(names())
    yield
    for name in set(names()) - before:
        forget(name)


NAMED = {
    "a class": (MyScaledSine, "my_scaled_sine"),
    "an instance": (MyScaledSine(0.5), "my_scaled_sine_rate_0p5"),
    "an instance with a number": (MyClipped(1.5), "my_clipped_limit_1p5"),
    "a function": (my_wave, "my_wave"),
    "a class with the name of a registered activation": (Swish, "own_swish"),
}


@pytest.mark.parametrize(("value", "name"), NAMED.values(), ids=NAMED)
def test_it_has_a_name_and_computes_what_it_computes(value, name):
    x = torch.randn(5, 3)

    layer = actlab.layer(value)

    module = value() if isinstance(value, type) else value
    assert str(layer.spec) == name
    assert torch.equal(layer(x), module(x))
    assert get(name).tensor_code.definition == get(str(actlab.parse(value))).tensor_code.definition


def test_what_is_registered_already_keeps_its_name():
    assert [str(actlab.parse(value)) for value in (nn.GELU, nn.ELU(0.5), torch.tanh)] == [
        "gelu",
        "elu(alpha=0.5)",
        "tanh",
    ]


def test_composed_modules_of_one_class_are_told_apart():
    first, second = (nn.Sequential(nn.Softplus(beta), nn.Tanh(), nn.Hardshrink(0.1)) for beta in (1, 2))

    one, other, again = (str(actlab.parse(value)) for value in (first, second, first))

    assert one == again != other
    assert one.startswith("sequential_")


def test_every_site_gets_its_own_parameters_and_they_are_trained():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))

    changes = actlab.swap_(model, MyScaledSine)

    assert len(changes) == 2
    assert model[1].own.rate is not model[3].own.rate
    model(torch.randn(2, 3)).sum().backward()
    assert model[1].own.rate.grad is not None
    changes.undo()
    assert isinstance(model[1], nn.ReLU)


def test_buffers_and_the_training_flag_are_those_of_a_module():
    layer = actlab.layer(MyCounted)
    layer(torch.ones(2))
    layer.eval()(torch.ones(2))

    assert layer.state_dict() == {"own.calls": torch.tensor(1)}


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_study_compares_them(tmp_path, jobs):
    arms = ["relu", MyScaledSine, MyClipped(2.0), my_wave, nn.GELU(), {"1": MyScaledSine}]

    study = actlab.compare(tiny(epochs=1), arms, seeds=2, jobs=jobs, store=tmp_path / "own.db", eliminate=False)

    rows = study.rows()
    assert {row["status"] for row in rows} == {"completed"}, [row["error"] for row in rows]
    assert study.plan.labels[:5] == ("relu", "my_scaled_sine", "my_clipped_limit_2p0", "my_wave", "gelu")
    assert (
        next(row for row in rows if row["arm"] == "my_scaled_sine")["parameters"]
        == 1 + next(row for row in rows if row["arm"] == "relu")["parameters"]
    )
    assert "'my_wave' is your own module or function" in study.verdict().command


def function_of(source: str):
    namespace = {"torch": torch, "__name__": "my_notebook"}
    exec(source, namespace)  # noqa: S102 as a notebook's cell
    return namespace["my_act"]


def test_a_changed_definition_is_another_plan_and_the_same_one_is_the_same():
    sources = [
        "def my_act(x):\n    return x * 0.3\n",
        "def my_act(x):\n    return x * 0.3\n",
        "def my_act(x):\n    return x * 0.4\n",
    ]

    plans = [make_plan(tiny(), ["relu", function_of(source)]) for source in sources]

    assert [plan.labels for plan in plans] == [("relu", "my_act")] * 3
    assert plans[0].fingerprint == plans[1].fingerprint != plans[2].fingerprint


class MyNeedy(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.width = width


class MyHalving(nn.Module):
    def forward(self, x):
        return x[..., ::2]


REFUSED = {
    "a lambda": (lambda x: x * 0.37, "A lambda has no name.*def my_act"),
    "a class that needs arguments": (MyNeedy, "MyNeedy.*Give an instance"),
    "a module that changes the shape": (MyHalving, r"returns shape \(4, 4\)"),
    "a function that raises": (len, "returns a int|raises"),
    "a module of another kind": (nn.Linear(3, 3), "raises RuntimeError"),
    "a class that is no module": (dict, "raises|returns"),
}


@pytest.mark.parametrize(("value", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_an_activation_is_refused_with_what_to_do(value, said):
    with pytest.raises(SpecError, match=said):
        actlab.parse(value)
