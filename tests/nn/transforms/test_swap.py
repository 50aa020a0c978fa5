"""swap_: only the named sites change, or an error and nothing; undo restores to the bit."""

from __future__ import annotations

import copy
import functools
import re

import pytest
import torch
import torch.nn.functional as F  # the usual name, which the paths must show
from torch import Tensor, nn

from actlab.errors import SiteError, SpecError, UnknownNameError
from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.layers.layer import layer
from actlab.nn.sites.find import find
from actlab.nn.transforms.swap import swap_

X = torch.linspace(-2, 2, 12).reshape(3, 4)
IMAGES = torch.linspace(-1, 1, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.act = F.relu

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.linear(x))
        if x.mean() > 0:
            h = F.relu(h - 1)
        for _ in range(2):
            h = h.tanh() + x
        return h


class Net(nn.Module):
    """Nested modules, the same class twice, functions and modules, control flow, an output sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.one = Block()
        self.two = Block()
        self.head = nn.Sequential(nn.Linear(4, 4), nn.ELU(0.5), nn.Linear(4, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.head(self.two(self.one(x))))


def by_hand(net: Net, x: Tensor, f=torch.sin) -> Tensor:
    """The forward of ``Net`` with one function in the place of every hidden activation."""
    for block in (net.one, net.two):
        h = f(block.linear(x))
        if x.mean() > 0:
            h = f(h - 1)
        for _ in range(2):
            h = f(h) + x
        x = h
    return torch.sigmoid(net.head[2](f(net.head[0](x))))


def net(seed: int = 0) -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Net()


@pytest.mark.parametrize("x", [X + 3, X - 3], ids=["one branch", "the other"])
@pytest.mark.parametrize("example_inputs", [None, X + 3], ids=["as written", "as run"])
def test_a_swapped_model_equals_the_one_written_by_hand(x, example_inputs):
    model = net()

    swap_(model, "sine", example_inputs)

    assert torch.equal(model(x), by_hand(model, x))


def test_gradients_equal_those_of_the_model_written_by_hand():
    model, twin = net(), net()
    swap_(model, "sine", X)

    model(X).sum().backward()
    by_hand(twin, X).sum().backward()

    assert all(torch.equal(a.grad, b.grad) for a, b in zip(model.parameters(), twin.parameters(), strict=True))


@pytest.mark.parametrize(
    "wanted",
    ["sine", {"one.act": "swish(beta=learned)"}, {"head.*": "gelu", "relu": "prelu(weight=learned_per_channel)"}],
)
def test_undo_restores_outputs_and_keys_bit_for_bit(wanted):
    model = net()
    output, keys, text = model(X), list(model.state_dict()), repr(model)

    changes = swap_(model, wanted, X)
    assert not torch.equal(model(X), output)
    changes.undo()

    assert torch.equal(model(X), output)
    assert (list(model.state_dict()), repr(model), type(model.one)) == (keys, text, Block)
    assert model.one.act is F.relu


def test_undo_keeps_weights_that_were_trained_meanwhile():
    model = net()
    changes = swap_(model, "sine")
    with torch.no_grad():
        model.one.linear.weight.add_(1)

    changes.undo()

    expected = net()
    with torch.no_grad():
        expected.one.linear.weight.add_(1)
    assert torch.equal(model(X), expected(X))


def test_undoing_twice_or_out_of_order_is_refused():
    model = net()
    first = swap_(model, {"one.*": "sine"})
    second = swap_(model, {"one.*": "tanh"})

    with pytest.raises(SiteError, match="Undo the later changes first"):
        first.undo()
    second.undo()
    first.undo()
    with pytest.raises(SiteError, match="undone already"):
        first.undo()
    assert torch.equal(model(X), net()(X))


def test_one_of_two_instances_of_a_class_is_swapped():
    model = net()

    swap_(model, {"one.*": "sine"})

    assert type(model.two) is Block
    assert {site.name for site in find(model.one, X)} == {"sine"}
    assert {site.name for site in find(model.two, X)} == {"relu", "tanh"}


def test_changes_say_what_was_there_and_what_is_there_now():
    changes = swap_(net(), {"elu": "leaky_relu(0.02)", "one.act": "gelu"})

    assert [(change.path, change.old, change.new) for change in changes] == [
        ("one.act", "relu", "gelu"),
        ("head.1", "elu(alpha=0.5)", "leaky_relu(negative_slope=0.02)"),
    ]
    assert repr(changes) == "one.act: relu -> gelu\nhead.1: elu(alpha=0.5) -> leaky_relu(negative_slope=0.02)"


def test_the_first_key_that_matches_takes_a_site():
    changes = swap_(net(), {"one.act": "gelu", "relu": "mish", "*": "silu"})

    assert {change.path: change.new for change in changes} == {
        "one.act": "gelu",
        "one.forward:F.relu@1": "mish",
        "one.forward:h.tanh@1": "silu",
        "two.act": "mish",
        "two.forward:F.relu@1": "mish",
        "two.forward:h.tanh@1": "silu",
        "head.1": "silu",
    }


@pytest.mark.parametrize(
    ("key", "paths"),
    [
        ("elu(alpha=0.5)", ["head.1"]),
        ("elu(0.5)", ["head.1"]),
        ("*elu", ["one.act", "one.forward:F.relu@1", "two.act", "two.forward:F.relu@1", "head.1"]),
        ("t?o.*", ["two.act", "two.forward:F.relu@1", "two.forward:h.tanh@1"]),
        ("*:F.relu@*", ["one.forward:F.relu@1", "two.forward:F.relu@1"]),
    ],
)
def test_keys_are_paths_names_specs_and_patterns(key, paths):
    assert [change.path for change in swap_(net(), {key: "gelu"})] == paths


def test_a_site_is_a_key():
    model = net()
    site = next(site for site in find(model, X) if site.output)

    assert [change.path for change in swap_(model, {site: "tanh"}, X)] == ["forward:torch.sigmoid@1"]
    with pytest.raises(SiteError, match="A key is a path, a name, a pattern or a site, got ReLU"):
        swap_(model, {nn.ReLU(): "tanh"})


def test_a_key_that_matches_nothing_names_the_nearest():
    with pytest.raises(SiteError, match=r"No site matches 'one.akt'\. Did you mean 'one.act'"):
        swap_(net(), {"one.akt": "gelu"})
    with pytest.raises(SiteError, match=r"No site matches 'gelu'.*There are elu, forward:torch.sigmoid@1"):
        swap_(net(), {"gelu": "relu"})


def test_specs_are_read_before_anything_changes():
    model = net()
    text = repr(model)

    with pytest.raises(UnknownNameError, match=r"Did you mean .*'gelu'"):
        swap_(model, {"one.act": "mish", "two.act": "gleu"})
    with pytest.raises(SpecError):
        swap_(model, "leaky_relu(")
    with pytest.raises(SiteError, match="mapping is empty"):
        swap_(model, {})
    with pytest.raises(SiteError, match="softmax mixes the elements"):
        swap_(model, "softmax")
    assert repr(model) == text


def test_all_or_nothing():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.LSTM(4, 4))
    text = repr(model)

    with pytest.raises(SiteError, match=r"Cannot replace 2:tanh \(tanh\): torch computes it inside one fused call"):
        swap_(model, {"1": "gelu", "2:tanh": "gelu"})

    assert repr(model) == text


def test_a_name_none_of_whose_sites_can_be_replaced_is_an_error_and_a_pattern_is_not():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.LSTM(4, 4))

    with pytest.raises(SiteError, match="Nothing could be replaced for 'tanh'"):
        swap_(model, {"relu": "gelu", "tanh": "sine"})
    changes = swap_(model, "gelu")

    assert [change.path for change in changes] == ["1"]
    assert [skip.site.path for skip in changes.skipped] == ["2:sigmoid", "2:tanh"]


def test_a_model_without_activations_says_so():
    with pytest.raises(SiteError, match=r"Linear has no activation that can be found. Pass example_inputs"):
        swap_(nn.Linear(2, 2), "gelu")
    with pytest.raises(SiteError, match="the model itself is the activation"):
        swap_(nn.ReLU(), {"": "gelu"})


@pytest.mark.parametrize("example_inputs", [None, X], ids=["as written", "as run"])
def test_an_output_is_left_alone_unless_it_is_named(example_inputs):
    model = net()

    changes = swap_(model, "gelu", example_inputs)
    assert [(skip.site.path, skip.reason) for skip in changes.skipped] == [
        ("forward:torch.sigmoid@1", "the model returns its result; name it by its path to replace it")
    ]
    swap_(model, {"forward:torch.sigmoid@1": "tanh"}, example_inputs)

    assert {site.name for site in find(model, X)} == {"gelu", "tanh"}


def test_parameters_per_channel_take_the_number_from_the_run():
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 7, 3), nn.ReLU(), nn.Conv2d(7, 1, 3))

    with pytest.raises(SiteError, match="needs the number of channels; pass example_inputs"):
        swap_(model, "prelu(weight=learned_per_channel)")
    swap_(model, "prelu(weight=learned_per_channel)", IMAGES)

    assert [model[1].weight.shape, model[3].weight.shape] == [(5,), (7,)]
    assert model(IMAGES).shape == (2, 1, 2, 2)


def test_a_shared_layer_with_two_channel_counts_gets_no_parameter_per_channel():
    relu = nn.ReLU()
    model = nn.Sequential(nn.Conv2d(3, 5, 3), relu, nn.Conv2d(5, 7, 3), relu, nn.Conv2d(7, 1, 3))

    with pytest.raises(SiteError, match="needs one number of channels in one dimension"):
        swap_(model, "elu(alpha=learned_per_channel)", IMAGES)
    changes = swap_(model, "elu(alpha=learned)", IMAGES)

    assert len(changes) == 1
    assert model[1] is model[3]
    changes.undo()
    assert model[1] is model[3] is relu


def test_new_layers_land_where_their_neighbours_are():
    model = net().double().eval()

    swap_(model, {"one.*": "swish(beta=learned)", "head.1": "prelu"})

    layers = [module for module in model.modules() if isinstance(module, ActivationLayer)]
    assert len(layers) == 4
    assert {p.dtype for module in layers for p in module.parameters()} == {torch.float64}
    assert not any(module.training for module in layers)
    assert model(X.double()).dtype == torch.float64


def test_new_layers_land_on_the_device_of_their_neighbours():
    model = net().to("meta")

    swap_(model, "swish(beta=learned)")

    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}


def test_weights_keep_their_keys():
    model = net()
    keys = set(model.state_dict())

    swap_(model, "swish(beta=learned)")

    new = set(model.state_dict()) - keys
    assert keys <= set(model.state_dict())
    assert new == {
        "one.act.beta",
        "one.forward_F_relu_1.beta",
        "one.forward_h_tanh_1.beta",
        "two.act.beta",
        "two.forward_F_relu_1.beta",
        "two.forward_h_tanh_1.beta",
        "head.1.beta",
    }


def test_a_result_that_depends_on_overwriting_is_refused_by_the_rehearsal():
    class Overwrites(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x):
            x = x + 0
            y = self.relu(x)  # x is overwritten too ...
            z = (y + x).clone()  # ... and used
            return F.silu(z, inplace=True) * 2

    model = Overwrites()

    with pytest.raises(SiteError, match="it overwrites its input, which the model uses afterwards"):
        swap_(model, {"relu": "gelu"}, X)
    changes = swap_(model, "sine", X)

    assert [change.path for change in changes] == ["forward:F.silu@1"]
    assert torch.equal(model(X), torch.sin(2 * F.relu(X)) * 2)


def test_overwriting_that_nothing_depends_on_is_replaced():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Linear(4, 1))

    swap_(model, "sine", X)

    assert torch.equal(model(X), model[2](torch.sin(model[0](X))))


def test_hooks_are_not_lost_silently():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    model[1].register_forward_hook(lambda *_: None)

    with pytest.raises(SiteError, match="it has hooks"):
        swap_(model, "gelu")


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("activation", ["relu", nn.GELU()], ids=["function", "module"])
def test_the_fused_path_of_the_transformer_encoder_does_not_run_the_old_function(activation, batch_first):
    def encoder(function):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            options = {"dim_feedforward": 32, "batch_first": batch_first, "activation": function}
            return nn.TransformerEncoder(
                nn.TransformerEncoderLayer(16, 2, **options), 2, enable_nested_tensor=False
            ).eval()

    model, expected = encoder(activation), encoder(torch.tanh)
    x = torch.linspace(-1, 1, 3 * 5 * 16).reshape(3, 5, 16)
    with torch.no_grad():
        before = model(x)
        changes = swap_(model, {"*.activation": "tanh"}, x)

        assert torch.allclose(model(x), expected(x), atol=1e-6)
        assert torch.allclose(copy.deepcopy(model)(x), expected(x), atol=1e-6)
        changes.undo()
        assert torch.equal(model(x), before)


def test_padding_does_not_bring_the_fused_path_of_the_encoder_back():
    layers = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    model = nn.TransformerEncoder(layers, 2).eval()
    x = torch.linspace(-1, 1, 3 * 5 * 16).reshape(3, 5, 16)
    padding = torch.zeros(3, 5, dtype=torch.bool)
    padding[0, 3:] = True

    swap_(model, {"*.activation": "tanh"}, x)

    with torch.no_grad():
        fused = model(x, src_key_padding_mask=padding)
    with torch.enable_grad():
        plain = model(x, src_key_padding_mask=padding)
    assert torch.allclose(fused[~padding], plain[~padding], atol=1e-5)


@pytest.mark.parametrize("how", ["the model", "by its method", "a part", "a part by its method"])
def test_a_compiled_model_is_swapped_and_compiled_again(how):
    model = net()
    if how == "the model":
        compiled = torch.compile(model, backend="eager")
    elif how == "by its method":
        compiled = model
        model.compile(backend="eager")
    else:
        compiled = model
        if how == "a part":
            model.one = torch.compile(model.one, backend="eager")
        else:
            model.one.compile(backend="eager")
    with torch.no_grad():
        before = compiled(X)  # compiled for the old functions

        changes = swap_(compiled, "sine", X)

        assert torch.equal(compiled(X), by_hand(net(), X))
        changes.undo()
        assert torch.equal(compiled(X), before)


def test_paths_of_a_compiled_model_may_leave_out_what_torch_compile_adds():
    compiled = torch.compile(net(), backend="eager")

    changes = swap_(compiled, {"one.act": "gelu"}, X)

    assert [change.path for change in changes] == ["_orig_mod.one.act"]


def test_an_activation_that_was_compiled_by_itself_is_refused():
    model = nn.Sequential(nn.Linear(4, 4), torch.compile(nn.ReLU(), backend="eager"), nn.Linear(4, 1))

    with pytest.raises(SiteError, match=r"torch\.compile was given the activation itself"):
        swap_(model, "gelu", X)


def test_a_layer_that_would_not_run_is_found_by_the_rehearsal():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = nn.ReLU()
            self.plain = [self.act]  # what runs; a module put in the place of self.act would stand idle

        def forward(self, x):
            return self.plain[0](x) + F.silu(x)

    model = Twice()

    with pytest.raises(SiteError, match="a layer put here does not run"):
        swap_(model, {"act": "gelu"}, X)
    changes = swap_(model, "sine", X)

    assert [change.path for change in changes] == ["forward:F.silu@1"]


def test_a_site_that_did_not_run_is_marked_among_the_changes():
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = nn.ReLU()

        def forward(self, x):
            return F.silu(x) * 2

    changes = swap_(Unused(), "sine", X)

    assert [(change.path, change.idle) for change in changes] == [("forward:F.silu@1", False), ("act", True)]
    assert "act: relu -> sine, which did not run on example_inputs" in repr(changes)
    assert not any(change.idle for change in swap_(Unused(), "sine"))  # without a run nothing is known


def test_a_call_in_a_decorated_method_is_swapped_and_the_decorators_stay():
    def doubled(function):
        @functools.wraps(function)
        def wrapper(self, *args, **kwargs):
            self.entered = getattr(self, "entered", 0) + 1
            return 2 * function(self, *args, **kwargs)

        return wrapper

    class Decorated(nn.Module):
        @doubled
        @torch.no_grad()
        @doubled
        def forward(self, x):
            return F.relu(x) + torch.is_grad_enabled()

    model = Decorated()
    before = model(X)

    changes = swap_(model, "sine", X)

    assert torch.equal(model(X.requires_grad_()), 4 * torch.sin(X))
    assert model.entered == 4
    assert torch.equal(copy.deepcopy(model)(X), 4 * torch.sin(X))
    assert Decorated()(X).equal(before)  # the class is what it was
    changes.undo()
    assert torch.equal(model(X), before)
    X.requires_grad_(requires_grad=False)


@pytest.mark.parametrize(
    ("key", "paths"),
    [
        ("@0", ["one.act"]),
        ("@-1", ["head.1"]),
        ("@:2", ["one.act", "one.forward:F.relu@1"]),
        ("@1:6:2", ["one.forward:F.relu@1", "two.act", "two.forward:h.tanh@1"]),
        (r"re:(one|head)\..*(act|1)", ["one.act", "one.forward:F.relu@1", "one.forward:h.tanh@1", "head.1"]),
        (re.compile("ONE.*RELU.*", re.IGNORECASE), ["one.forward:F.relu@1"]),
        ("re:ta.h", ["one.forward:h.tanh@1", "two.forward:h.tanh@1"]),
    ],
)
def test_keys_are_depths_and_regular_expressions(key, paths):
    assert [change.path for change in swap_(net(), {key: "gelu"})] == paths


def test_depth_counts_what_can_be_replaced_and_no_output():
    model = nn.Sequential(
        nn.LSTM(1, 1), nn.Sequential(nn.Tanh(), nn.Softmax(dim=-1)), nn.ReLU(), nn.Linear(1, 1), nn.Sigmoid()
    )

    assert [(site.path, site.depth) for site in find(model)] == [
        ("0:sigmoid", None),
        ("0:tanh", None),
        ("1.0", 0),
        ("1.1", None),
        ("2", 1),
        ("4", None),
    ]


def test_a_half_of_the_depth_each():
    model = net()

    swap_(model, {"@:3": "sine", "@3:": "gelu"}, X + 3)

    assert [site.name for site in find(model, X + 3)] == ["sine"] * 3 + ["gelu"] * 4 + ["sigmoid"]


@pytest.mark.parametrize("key", ["@7", "@-8", "@a", "@", "@1:1", "@::0", "@1:2:3:4"])
def test_a_depth_that_no_site_has_says_how_many_there_are(key):
    with pytest.raises(SiteError, match=r"7 sites can be replaced, from @0 to @6"):
        swap_(net(), {key: "gelu"})


def test_a_regular_expression_that_is_none_says_so():
    with pytest.raises(SiteError, match=r"'re:\(' is not a regular expression: missing \)"):
        swap_(net(), {"re:(": "gelu"})


def test_a_swapped_model_compiles_in_one_graph():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), Block().linear, nn.GELU(), nn.Linear(4, 1))
    swap_(model, "swish(beta=learned)")

    compiled = torch.compile(model, fullgraph=True, backend="eager")

    assert torch.equal(compiled(X), model(X))


def test_a_swap_after_which_the_model_does_not_run_is_undone():
    class Checks(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = nn.ReLU()

        def forward(self, x):
            if (self.act(x) < 0).any():
                raise ValueError("negative")
            return x + 1

    model = Checks()
    with pytest.raises(
        SiteError, match=r"The swapped model does not run, so the swap was undone.*ValueError: negative"
    ):
        swap_(model, "sine", X)

    assert isinstance(model.act, nn.ReLU)


def test_a_swap_to_the_same_function_changes_no_bit():
    model = net()
    output = model(X)

    swap_(model, {"relu": "relu", "tanh": "tanh", "elu": "elu(0.5)"}, X)

    assert torch.equal(model(X), output)
    assert isinstance(model.one.act, type(layer("relu")))


@pytest.mark.filterwarnings("ignore")  # torch.ao announces its end
def test_a_swapped_net_can_be_traced_and_quantized_by_torch_fx():
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    swap_(net, "mish", x)

    prepared = prepare_fx(net, get_default_qconfig_mapping("x86"), x)
    prepared(x)
    quantized = convert_fx(prepared)

    assert type(getattr(quantized, "1")) is ActivationLayer
    assert (quantized(x) - net(x)).abs().max() < 0.05
