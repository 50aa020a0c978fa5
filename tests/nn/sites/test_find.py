"""Activations that ``find`` reports, with paths, parameters, calls, shapes and reasons."""

from __future__ import annotations

import random
import warnings
from functools import partial, wraps
from time import process_time

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # the usual name, which the paths must show
from torch import Tensor, nn

from actlab.errors import SiteError
from actlab.nn.layers.layer import layer
from actlab.nn.sites.find import find
from actlab.nn.transforms.swap import swap_


def outside(x: Tensor, times: int) -> Tensor:
    for _ in range(times):
        x = F.silu(x)
    return x


class Block(nn.Module):
    """Every way to write an activation that people use."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4)
        self.held = F.relu
        self.bound = partial(F.leaky_relu, negative_slope=0.3)
        self.shared = nn.ReLU()
        self.several = [torch.tanh, F.elu]

    def forward(self, x: Tensor) -> Tensor:
        x = self.held(self.norm(self.linear(x)))
        x = F.relu(x) + F.relu(-x) + self.bound(x)
        step = self.step
        for index in range(3):
            x = step(x, index)
        if x.sum() > 1e9:
            x = torch.sigmoid(x)
        x = self.shared(self.shared(outside(x, 1)))
        for function in self.several:
            x = function(x)
        return x + self.apply_to(lambda t: F.gelu(t, approximate="tanh"), x)

    def apply_to(self, function, x: Tensor) -> Tensor:
        return function(x)

    def step(self, x: Tensor, index: int) -> Tensor:
        x = x.clone()
        x.relu_()
        return x.hardshrink(lambd=0.1) if index else F.leaky_relu(x, 0.2, True)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = Block()
        self.two = Block()
        self.head = nn.Sequential(nn.Linear(4, 4), nn.ELU(0.5), nn.Softmax(dim=1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.head(self.two(self.one(x)))).squeeze(-1)


def by_path(model: nn.Module, example_inputs=None) -> dict:
    return {site.path: site for site in find(model, example_inputs)}


X = torch.linspace(-2, 2, 12).reshape(3, 4)


def test_modules_are_found_with_their_parameters():
    model = nn.Sequential(
        nn.ReLU(), nn.LeakyReLU(0.2), nn.ReLU6(), nn.GELU(approximate="tanh"), nn.PReLU(), nn.Hardtanh(-2, 2)
    )

    assert [site.spec for site in find(model)] == [
        "relu",
        "leaky_relu(negative_slope=0.2)",
        "relu6",
        "gelu_tanh",
        "prelu",
        "hardtanh(min_val=-2, max_val=2)",
    ]


@pytest.mark.parametrize("example_inputs", [None, X], ids=["as written", "as run"])
def test_functional_calls_are_found_with_their_parameters(example_inputs):
    found = by_path(Net(), example_inputs)

    expected = {
        "one.held": "relu",
        "one.bound": "leaky_relu(negative_slope=0.3)",
        "one.forward:F.relu@1": "relu",
        "one.forward:F.relu@2": "relu",
        "one.step:x.relu_@1": "relu",
        "one.step:x.hardshrink@1": "hardshrink(lambd=0.1)",
        "one.step:F.leaky_relu@1": "leaky_relu(negative_slope=0.2)",
        "one.forward:F.gelu@1": "gelu_tanh",
        "one.shared": "relu",
        "head.1": "elu(alpha=0.5)",
        "forward:torch.sigmoid@1": "sigmoid",
    }
    assert expected == {path: found[path].spec for path in expected}
    assert all(found[path].replaceable for path in expected)


def test_a_run_counts_calls_and_sees_what_went_another_way():
    found = by_path(Net(), X)

    calls = {
        path: found[f"one.{path}"].calls
        for path in ("shared", "step:x.relu_@1", "step:x.hardshrink@1", "forward:torch.sigmoid@1")
    }
    assert calls == {"shared": 2, "step:x.relu_@1": 3, "step:x.hardshrink@1": 2, "forward:torch.sigmoid@1": 0}
    assert found["one.held"].shape == (3, 4)
    assert found["one.held"].channels == 4
    assert found["one.forward:torch.sigmoid@1"].shape is None


def test_sites_come_in_order_of_execution():
    paths = [site.path for site in find(Net(), X) if site.calls]

    assert paths[:3] == ["one.held", "one.forward:F.relu@1", "one.forward:F.relu@2"]
    assert paths[-1] == "forward:torch.sigmoid@1"


def test_without_a_run_calls_and_shapes_are_not_known():
    assert {(site.calls, site.shape, site.channels) for site in find(Net())} == {(None, None, None)}


def test_paths_are_unique():
    paths = [site.path for site in find(Net(), X)]

    assert len(paths) == len(set(paths))


def test_a_call_says_its_file_and_line():
    site = by_path(Net())["one.forward:F.relu@2"]

    line = Block.forward.__code__.co_firstlineno + 2
    assert site.where.endswith(f"test_find.py:{line}")


def test_what_cannot_be_replaced_says_why():
    found = by_path(Net(), X)

    reasons = {path: site.reason for path, site in found.items() if path.startswith("one.") and not site.replaceable}
    assert sorted(reasons) == ["one.forward:function@1", "one.forward:outside:silu"]
    assert "runs more than one function (elu, tanh)" in reasons["one.forward:function@1"]
    assert "it runs in outside, which is no plain method of a module" in reasons["one.forward:outside:silu"]
    assert "mixes the elements" in found["head.2"].reason


@pytest.mark.parametrize("example_inputs", [None, X], ids=["as written", "as run"])
def test_what_the_model_returns_is_marked(example_inputs):
    assert [site.path for site in find(Net(), example_inputs) if site.output] == ["forward:torch.sigmoid@1"]


@pytest.mark.parametrize("example_inputs", [None, X], ids=["as written", "as run"])
def test_the_last_module_of_a_sequential_is_the_output(example_inputs):
    model = nn.Sequential(nn.Linear(4, 4), nn.Sigmoid(), nn.Sequential(nn.Linear(4, 1), nn.Sigmoid()))

    assert [(site.path, site.output) for site in find(model, example_inputs)] == [("1", False), ("2.1", True)]


def test_a_result_that_is_returned_and_used_is_no_output():
    class Features(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 1)

        def forward(self, x):
            features = F.relu(self.one(x))
            return self.two(features), features

    assert [site.output for site in find(Features(), X)] == [False]


def test_a_call_in_a_loop_is_no_output_because_its_last_result_is_returned():
    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x):
            for _ in range(2):
                x = F.relu(self.linear(x))
            return x

    assert [site.output for site in find(Loop(), X)] == [False]


def test_a_shared_module_is_one_site_with_all_its_paths():
    relu = nn.ReLU()
    model = nn.Sequential(nn.Linear(4, 4), relu, nn.Linear(4, 4), relu, nn.Linear(4, 1))

    (site,) = find(model, X)

    assert (site.path, site.aliases, site.calls) == ("1", ("3",), 2)


def test_our_own_layer_is_one_site_whatever_it_calls_inside():
    sites = find(nn.Sequential(layer("swish(beta=1.5)"), layer("telu"), nn.Linear(4, 1)), X)

    assert [(site.path, site.spec, site.calls) for site in sites] == [("0", "swish(beta=1.5)", 1), ("1", "telu", 1)]


def test_an_identity_is_a_placeholder_and_no_site():
    assert find(nn.Sequential(nn.Identity(), nn.Linear(4, 4)), X) == []


def test_numpy_and_methods_of_submodules_are_not_mistaken_for_activations():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = nn.Linear(4, 4)

        def forward(self, x):
            return self.relu(x) * float(np.tanh(0.5))

    assert find(Odd()) == []
    assert find(Odd(), X) == []


def test_functions_and_tensors_inside_plain_records_are_followed():
    class Record:
        def __init__(self, **values):
            vars(self).update(values)

    class Configured(nn.Module):
        def __init__(self):
            super().__init__()
            self.config = Record(act=F.mish)

        def forward(self, x):
            out = Record(hidden=self.config.act(x))
            return out.hidden.relu() + 1

    found = {site.path: (site.name, site.reason) for site in find(Configured(), X)}

    assert found == {"forward:self.config.act@1": ("mish", None), "forward:out.hidden.relu@1": ("relu", None)}
    assert list(found) == [site.path for site in find(Configured())]


def test_recurrent_layers_and_attention_are_seen_and_not_replaceable():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(4, 4)
            self.rnn = nn.RNN(4, 4, nonlinearity="relu")
            self.attention = nn.MultiheadAttention(4, 1)

        def forward(self, x):
            x = self.rnn(self.lstm(x)[0])[0]
            return self.attention(x, x, x)[0]

    found = by_path(Recurrent(), X)

    assert {path: site.name for path, site in found.items()} == {
        "lstm:sigmoid": "sigmoid",
        "lstm:tanh": "tanh",
        "rnn:relu": "relu",
        "attention:softmax": "softmax",
    }
    assert not any(site.replaceable for site in found.values())
    assert "fused call" in found["lstm:tanh"].reason


def test_what_torch_computes_inside_one_call_is_counted():
    class Fused(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.cell = nn.LSTM(4, 4), nn.GRUCell(4, 4)
            self.attention = nn.MultiheadAttention(4, 1)

        def forward(self, x):
            x = self.lstm(self.lstm(x)[0])[0]
            x = self.attention(x, x, x)[0]
            return self.attend(self.cell(x)[None, None])

        def attend(self, x):
            return F.scaled_dot_product_attention(x, x, x)

    found = by_path(Fused(), X)

    assert {path: site.calls for path, site in found.items()} == {
        "lstm:sigmoid": 2,
        "lstm:tanh": 2,
        "attention:softmax": 1,
        "cell:sigmoid": 1,
        "cell:tanh": 1,
        "attend:scaled_dot_product_attention:softmax": 1,
    }
    assert not any(site.replaceable for site in found.values())
    assert "attention kernel" in found["attend:scaled_dot_product_attention:softmax"].reason
    assert found["lstm:tanh"].shape == (3, 1, 4)  # as it reaches the kernel, with a batch


def test_an_activation_before_the_attention_kernel_or_a_recurrent_layer_is_no_output_and_is_replaceable():
    class Before(nn.Module):
        def __init__(self):
            super().__init__()
            self.act, self.gru = nn.ReLU(), nn.GRU(4, 4)

        def forward(self, x):
            q = F.elu(x)[None]
            return F.scaled_dot_product_attention(q, q, q), self.gru(self.act(x))

    found = by_path(Before(), X)

    assert (found["act"].output, found["forward:F.elu@1"].output) == (False, False)
    assert (found["act"].replaceable, found["forward:F.elu@1"].replaceable) == (True, True)


def test_a_linear_with_a_forward_of_its_own_is_looked_into():
    class Router(nn.Linear):
        """As transformers' Llama 4 has it."""

        def __init__(self):
            super().__init__(4, 4)
            self.act = nn.ReLU()

        def forward(self, x):
            return torch.sigmoid(super().forward(self.act(x))), x

    class Routed(nn.Module):
        def __init__(self):
            super().__init__()
            self.router = Router()

        def forward(self, x):
            return self.router(x)[0] * x

    found = by_path(Routed(), X)
    assert {path: site.calls for path, site in found.items()} == {"router.act": 1, "router.forward:torch.sigmoid@1": 1}

    model = Routed()
    expected = torch.sin(F.linear(torch.sin(X), model.router.weight, model.router.bias)) * X
    swap_(model, "sine", X)
    assert torch.equal(model(X), expected)


def test_a_module_created_in_a_forward_pass_is_named_by_the_module_that_creates_it():
    class Makes(nn.Module):
        def __init__(self):
            super().__init__()
            self.plain = [nn.ReLU()]

        def forward(self, x):
            return nn.Softmax(dim=-1)(nn.LeakyReLU(0.3)(x)) + self.plain[0](x)

    class Holds(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Makes()

        def forward(self, x):
            return self.inner(x) * 2

    found = by_path(Holds(), X)

    assert {path: site.spec for path, site in found.items()} == {
        "inner.forward:LeakyReLU": "leaky_relu(negative_slope=0.3)",
        "inner.forward:Softmax": "softmax",
        "inner.forward:ReLU": "relu",
    }
    assert all("no registered part of the model" in site.reason for site in found.values())


def test_all_shapes_are_listed_once_each_and_what_is_written_is_separate_from_what_ran():
    class Varies(nn.Module):
        def __init__(self):
            super().__init__()
            self.act, self.idle = nn.ReLU(), nn.Tanh()
            self.slope = 0.3

        def forward(self, x):
            for part in (x, x[:1], x):
                y = self.act(part)
            return F.leaky_relu(y, self.slope * 2) + next(map(F.silu, [x]))

    found = by_path(Varies(), X)

    assert found["act"].shapes == ((3, 4), (1, 4))
    assert {path: (site.written, site.spec, site.calls) for path, site in found.items()} == {
        "act": ("relu", "relu", 3),
        "forward:F.leaky_relu@1": ("leaky_relu", "leaky_relu(negative_slope=0.6)", 1),
        "forward:silu": (None, "silu", 1),
        "idle": ("tanh", "tanh", 0),
    }


@pytest.mark.parametrize(
    ("activation", "changed", "fused"),
    [(nn.GELU("tanh"), None, "gelu"), (F.relu, torch.tanh, "relu"), (F.gelu, None, None), (torch.tanh, None, None)],
    ids=["tanh form of gelu", "put in later", "as built", "never fused"],
)
def test_a_fused_encoder_layer_that_runs_something_else_is_warned_of(activation, changed, fused):
    layer_ = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, activation=activation, batch_first=True).eval()
    layer_.activation = changed or layer_.activation
    x = 3 * torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0))

    with torch.no_grad():
        in_use = layer_(x)
    in_training = layer_(x)  # gradients are on, so the plain path runs
    warning = by_path(layer_, x)["activation"].warning

    assert torch.allclose(in_use, in_training, atol=1e-5) == (fused is None)  # what the warning is about
    assert (warning is None) == (fused is None)
    assert fused is None or f"runs {fused} here" in warning


def busy(seconds: float) -> None:
    until = process_time() + seconds
    while process_time() < until:
        pass


def test_times_are_those_of_the_sites():
    class Slow(nn.Module):
        def forward(self, x):
            busy(0.01)
            return x.relu()

    class Timed(nn.Module):
        def __init__(self):
            super().__init__()
            self.slow, self.quick, self.lstm = Slow(), nn.Tanh(), nn.LSTM(4, 4)

        def forward(self, x):
            busy(0.01)
            return self.lstm(self.slow(self.slow(self.quick(x))))[0]

    model = Timed()
    found = {site.path: site for site in find(model, X, rounds=3)}

    assert found["slow"].name == "relu"  # a user-defined module: what it does before is its own time
    assert found["slow"].seconds >= 0.02
    assert 0.4 < found["slow"].share < 1.2  # two of three waits
    assert 0 < found["quick"].share < 0.2
    assert (found["lstm:tanh"].seconds, found["lstm:tanh"].share) == (None, None)
    assert {(site.seconds, site.share) for site in find(model, X)} == {(None, None)}
    with pytest.raises(SiteError, match="rounds=3 times forward passes, which need example_inputs"):
        find(model, rounds=3)


def test_torchscript_is_seen_and_not_replaceable():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch.jit is deprecated, and still in use
        scripted = torch.jit.script(nn.Sequential(nn.Linear(4, 4), nn.LeakyReLU(0.2)))

    (site,) = find(nn.Sequential(scripted, nn.Linear(4, 1)))

    assert (site.path, site.name, site.replaceable) == ("0.1", "leaky_relu", False)
    assert "TorchScript" in site.reason


class SiLU(nn.Module):
    """Another function than torch's class of that name."""

    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


class Sine(nn.Module):
    def forward(self, x):
        return torch.sin(x)


class LeakyReLU(nn.Module):
    """No activation at all."""

    def forward(self, x):
        return x.cumsum(1)


@pytest.mark.parametrize("make", ["plain", "script", "trace"])
def test_a_class_that_only_shares_a_name_is_known_by_its_values(make):
    net = nn.Sequential(nn.Linear(4, 4), SiLU(), nn.SiLU(), Sine(), LeakyReLU())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, and still in use
        if make != "plain":
            net = torch.jit.script(net) if make == "script" else torch.jit.trace(net, X)

    by_value = [("1", "gelu_sigmoid"), ("2", "silu"), ("3", "sine")]
    by_call = [("1.forward:sigmoid@1", "sigmoid"), ("2", "silu")]  # parts of a traced model cannot be called
    assert [(site.path, site.name) for site in find(net)] == (by_call if make == "trace" else by_value)


@pytest.mark.parametrize("make", ["script", "trace"])
def test_functions_inside_torchscript_are_listed_without_a_count(make):
    class Calls(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = nn.ELU(0.5)

        def forward(self, x):
            x = F.relu(x) + F.relu(-x)
            if bool(x.sum() > 0):
                x = x.sigmoid()
            return self.act(F.leaky_relu(x, 0.2))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, and still in use; tracing warns of the branch
        compiled = torch.jit.script(Calls()) if make == "script" else torch.jit.trace(Calls(), X)

    found = by_path(nn.Sequential(compiled, nn.Tanh()), X)

    paths = ["forward:relu@1", "forward:relu@2", "forward:sigmoid@1", "forward:leaky_relu@1", "act"]
    assert sorted(found) == sorted([*(f"0.{path}" for path in paths), "1"])
    assert {(found[f"0.{path}"].calls, found[f"0.{path}"].replaceable) for path in paths} == {(None, False)}
    assert all("TorchScript" in found[f"0.{path}"].reason for path in paths)
    assert (found["1"].calls, found["1"].replaceable) == (1, True)


def test_a_call_reached_through_super_is_refused_with_the_reason():
    class Child(Block):
        def forward(self, x):
            return super().forward(x)

    for inputs in (None, X):
        site = by_path(Child(), inputs)["forward:F.relu@1"]
        assert "reached through super()" in site.reason


def test_a_method_whose_decorator_hides_it_is_refused_with_the_reason():
    class Hiding:
        """Holds the method in an object, not in a closure."""

        def __init__(self, function):
            self.function = function

        def __call__(self, *args):
            return self.function(*args)

    def hide(function):
        held = Hiding(function)

        @wraps(function)
        def wrapper(*args):
            return held(*args)

        return wrapper

    class Decorated(nn.Module):
        @hide
        def forward(self, x):
            return F.relu(x) + 1

    for inputs in (None, X):
        assert "decorated" in by_path(Decorated(), inputs)["forward:F.relu@1"].reason


def test_a_function_passed_on_to_another_is_refused_with_the_reason():
    class Mapped(nn.Module):
        def forward(self, x):
            return next(map(F.relu, [x])) + 1

    (site,) = find(Mapped(), X)
    assert (site.name, site.replaceable) == ("relu", False)
    assert "reached through next(...)" in site.reason


def test_source_that_was_edited_after_the_import_is_not_trusted(tmp_path, monkeypatch):
    file = tmp_path / "edited_net.py"
    text = (
        "import torch.nn.functional as F\nfrom torch import nn\n\n\n"
        "class Net(nn.Module):\n    def forward(self, x):\n        return F.relu(x) + 1\n"
    )
    file.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    net = __import__("edited_net").Net()
    file.write_text(text.replace("relu(x) + 1", "relu(-x) + F.tanh(x)"))

    (site,) = find(net, X)

    assert (site.name, site.replaceable) == ("relu", False)
    assert "is not what runs" in site.reason


def test_finding_changes_nothing():
    model = Net()
    model.one.norm.eval()
    model.one.count = 0
    before = {key: value.clone() for key, value in model.state_dict().items()}
    flags = [module.training for module in model.modules()]
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002 # the state that must stay
    x = X.clone()

    find(model, x)

    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert flags == [module.training for module in model.modules()]
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1:] == (random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002 # as above
    assert torch.equal(x, X)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_what_a_forward_pass_stores_is_restored():
    class Writes(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", torch.zeros(1))
            self.count = 0

        def forward(self, x):
            self.count += 1
            self.seen += 1
            self.last = F.relu(x)
            np.random.rand()  # noqa: NPY002 # a model that draws from the global generator
            torch.rand(1)
            return self.last * 2

    model = Writes()
    state = torch.get_rng_state()

    find(model, X)

    assert (model.count, model.seen.item(), hasattr(model, "last")) == (0, 0.0, False)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("inputs", [(X, X), {"a": X, "b": X}], ids=["positional", "by keyword"])
def test_models_with_several_inputs(inputs):
    class Two(nn.Module):
        def forward(self, a, b):
            return F.relu(a) + b.tanh()

    assert [site.name for site in find(Two(), inputs)] == ["relu", "tanh"]


def test_inputs_that_do_not_fit_say_so():
    with pytest.raises(
        SiteError, match=r"Net raised on example_inputs: RuntimeError: .*a tuple of positional arguments"
    ):
        find(Net(), torch.zeros(3, 5))
    with pytest.raises(SiteError, match="example_inputs is a list; allowed are a tensor"):
        find(Net(), [X])
    with pytest.raises(SiteError, match="lazy parameters"):
        find(nn.Sequential(nn.LazyLinear(3), nn.ReLU()), X)
