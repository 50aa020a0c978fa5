"""Activations in transformers: models from a config compared with models whose activation is replaced by hand."""

from __future__ import annotations

import contextlib
import copy
import pickle
import re
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

import actlab
from actlab.errors import IntegrationError
from actlab.functions.activation import forget
from actlab.integrations import register
from actlab.nn.layers.activation_layer import ActivationLayer

transformers = pytest.importorskip(
    "transformers", reason="transformers is not installed: pip install 'actlab[transformers]'"
)
ACT2FN = transformers.activations.ACT2FN

SIZES = {"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
TOKENS = torch.arange(24).reshape(2, 12) % 32


def bert(act, **options):
    return transformers.BertConfig(**SIZES, max_position_embeddings=16, hidden_act=act, **options)


def gpt2(act, **options):
    sizes = {"vocab_size": 32, "n_positions": 16, "n_embd": 16, "n_layer": 2, "n_head": 2}
    return transformers.GPT2Config(**sizes, activation_function=act, bos_token_id=0, eos_token_id=1, **options)


def llama(act, **options):
    return transformers.LlamaConfig(**SIZES, max_position_embeddings=16, hidden_act=act, **options)


# Where each model keeps its activation, and under which word of the config.
CONFIGS = {"bert": bert, "gpt2": gpt2, "llama": llama}
PLACE = {"bert": "intermediate_act_fn", "gpt2": "act", "llama": "act_fn"}
WORD = {"bert": "hidden_act", "gpt2": "activation_function", "llama": "hidden_act"}


class Telu(nn.Module):
    def forward(self, x):
        return x * torch.tanh(torch.exp(x))


class Pelu(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.tensor(1.0)), nn.Parameter(torch.tensor(1.0))

    def forward(self, x):
        return torch.where(x > 0, self.a / self.b * x, self.a * torch.expm1(x / self.b))


# A name, a name that learns by default, a spec with a number, a spec that learns, one that works along the last dimension.
BY_HAND = {
    "telu": Telu,
    "pelu": Pelu,
    "leaky_relu(0.3)": lambda: nn.LeakyReLU(0.3),
    "prelu(weight=learned(0.5))": lambda: nn.PReLU(init=0.5),
    "softmin": lambda: nn.Softmin(dim=-1),
}


OWN_XIELU = pytest.mark.skipif(
    not hasattr(transformers.activations, "XIELUActivation"), reason="this version has no xielu of its own"
)


@pytest.fixture(autouse=True)
def registered():
    registered = register("transformers")
    yield registered
    registered.undo()


def built(config, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return transformers.AutoModel.from_config(config).eval()


def output(model):
    return model(input_ids=TOKENS).last_hidden_state


def loss(model):
    y = output(model)  # normalised, so that its mean square is always 1
    return (y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum()


def activations(model):
    return [module for module in model.modules() if isinstance(module, ActivationLayer)]


def put_in_by_hand(model, place, make):
    for module in list(model.modules()):
        if hasattr(module, place):
            setattr(module, place, make())


@contextlib.contextmanager
def nan_for_uninitialised_memory():
    """Fill what ``torch.empty`` returns, so that a parameter nobody has initialised shows."""
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


# ------------------------------------------------------------------------------------------ it computes


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("family", CONFIGS)
def test_a_model_from_a_config_computes_what_one_swapped_by_hand_does(family, name):
    model = built(CONFIGS[family](name))
    other = built(CONFIGS[family]("relu"))
    assert not torch.allclose(output(other), output(model), atol=1e-4)
    put_in_by_hand(other, PLACE[family], BY_HAND[name])
    other.load_state_dict(model.state_dict())  # the same keys, learned parameters among them

    assert len(activations(model)) == 2
    torch.testing.assert_close(output(model), output(other), rtol=1e-5, atol=1e-6)


def test_learned_parameters_belong_to_their_layer_and_train():
    model = built(llama("swish(beta=learned(1.5))"))
    betas = {key: value for key, value in model.named_parameters() if key.endswith("beta")}
    assert list(betas) == ["layers.0.mlp.act_fn.beta", "layers.1.mlp.act_fn.beta"]

    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss(model.train()).backward()
    optimizer.step()

    assert len({beta.item() for beta in betas.values()} | {1.5}) == 3  # both have moved, each by its own gradient


def test_gradient_checkpointing_gives_the_same_gradients():
    plain, saving = built(llama("pelu")), built(llama("pelu"))
    # renamed in 5; the old name warns
    getattr(saving, "activation_checkpointing_enable", saving.gradient_checkpointing_enable)()
    for model in (plain, saving):
        loss(model.train()).backward()

    for (name, p), q in zip(plain.named_parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(q.grad, p.grad, msg=name)
    assert all(layer.a.grad.abs() > 1e-6 for layer in activations(saving))


def test_a_llama_compiles_as_one_graph():
    model = built(llama("pelu"))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch")
        compiled = torch.compile(model, fullgraph=True, backend="eager")

        torch.testing.assert_close(output(compiled), output(model))


def test_a_stochastic_activation_draws_while_the_model_trains():
    model = built(bert("rrelu", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))

    assert torch.equal(output(model), output(model))
    with torch.random.fork_rng(devices=[]):
        assert not torch.equal(output(model.train()), output(model))


# ------------------------------------------------------------------------------- it is saved and loaded


@pytest.mark.parametrize("name", ["telu", "pelu", "leaky_relu(0.3)", "swish(beta=learned)"])
@pytest.mark.parametrize("family", CONFIGS)
def test_a_saved_model_comes_back_with_its_name_and_its_parameters(family, name, tmp_path):
    model = built(CONFIGS[family](name))
    with torch.no_grad():
        for number, parameter in enumerate(p for a in activations(model) for p in a.parameters()):
            parameter.fill_(0.5 + number)
    model.save_pretrained(tmp_path)

    loaded = transformers.AutoModel.from_pretrained(tmp_path)

    assert getattr(loaded.config, WORD[family]) == name
    assert torch.equal(output(loaded), output(model))
    assert {key: value.tolist() for key, value in loaded.state_dict().items()} == {
        key: value.tolist() for key, value in model.state_dict().items()
    }


@pytest.mark.parametrize("family", CONFIGS)
def test_a_checkpoint_of_another_activation_leaves_ours_at_its_initial_values(family, tmp_path):
    built(CONFIGS[family]("relu")).save_pretrained(tmp_path)

    with nan_for_uninitialised_memory():
        loaded = transformers.AutoModel.from_pretrained(tmp_path, config=CONFIGS[family]("swish(beta=learned(1.5))"))

    assert [layer.beta.item() for layer in activations(loaded)] == [1.5, 1.5]
    reference = built(CONFIGS[family]("swish(1.5)"))
    reference.load_state_dict({k: v for k, v in loaded.state_dict().items() if not k.endswith("beta")})
    torch.testing.assert_close(output(loaded), output(reference))


@pytest.mark.skipif(int(transformers.__version__[0]) < 5, reason="before 5, models are not built on the meta device")
def test_without_the_change_to_its_initialisation_transformers_would_leave_memory_as_it_is(tmp_path, monkeypatch):
    built(llama("relu")).save_pretrained(tmp_path)
    base = transformers.PreTrainedModel
    monkeypatch.setattr(base, "_initialize_weights", base._initialize_weights.without_actlab)

    with nan_for_uninitialised_memory():
        loaded = transformers.AutoModel.from_pretrained(tmp_path, config=llama("swish(beta=learned(1.5))"))

    assert all(layer.beta.isnan() for layer in activations(loaded))


def test_a_model_from_the_meta_device_is_initialised():
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(llama("swish(beta=learned(1.5))"))
    assert all(layer.beta.is_meta for layer in activations(model))

    with nan_for_uninitialised_memory():
        model = model.to_empty(device="cpu")
        for module in model.modules():
            module._is_hf_initialized = False
        model.init_weights()

    assert [layer.beta.item() for layer in activations(model)] == [1.5, 1.5]


def test_half_loaded_activations_keep_what_was_loaded(tmp_path):
    model = built(llama("pelu"))
    with torch.no_grad():
        for layer in activations(model):
            layer.a.fill_(7.0)
    state = {key: value for key, value in model.state_dict().items() if not key.endswith(".b")}
    model.save_pretrained(tmp_path, state_dict=state)

    with nan_for_uninitialised_memory():
        loaded = transformers.AutoModel.from_pretrained(tmp_path)

    assert [(layer.a.item(), layer.b.item()) for layer in activations(loaded)] == [(7.0, 1.0)] * 2


# ------------------------------------------------------------------------------------- in half precision


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["pelu", "xielu()", "prelu(weight=learned)", "telu"])
def test_a_model_loaded_in_half_precision_has_its_parameters_in_it(name, dtype, tmp_path):
    model = built(
        bert(name)
    )  # of a Llama, from_pretrained keeps the rotary frequencies in float32 and model.to does not
    model.save_pretrained(tmp_path)

    loaded = transformers.AutoModel.from_pretrained(tmp_path, torch_dtype=dtype)

    assert {parameter.dtype for parameter in loaded.parameters()} == {dtype}
    assert output(loaded).dtype == dtype
    assert torch.equal(output(loaded), output(model.to(dtype)))


@pytest.mark.parametrize("name", ["pelu", "xielu()", "prelu(weight=learned)"])
def test_parameters_kept_in_float32_do_not_raise_the_dtype(name):
    layer = ACT2FN[name]

    y = layer(torch.randn(2, 3, dtype=torch.bfloat16, generator=torch.Generator().manual_seed(0)))

    assert y.dtype == torch.bfloat16
    y.sum().backward()
    assert {parameter.grad.dtype for parameter in layer.parameters()} == {torch.float32}


@OWN_XIELU
def test_xielu_has_the_dtype_of_the_model_where_transformers_own_has_bfloat16():
    model = built(llama("xielu()"))

    assert {p.dtype for layer in activations(model) for p in layer.parameters()} == {torch.float32}
    assert ACT2FN["xielu"].alpha_p.dtype == torch.bfloat16


# -------------------------------------------------------------------------------------------- the names


def test_every_name_makes_a_layer_that_keeps_the_shape(registered):
    x = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))
    names = [name for name in registered["transformers"].names if actlab.get(name).name == name]

    assert len(names) > 250
    for name in names:
        assert ACT2FN[name].eval()(x).shape == x.shape, name


def test_what_transformers_has_stays_its_own_and_a_spec_is_ours(registered):
    assert type(ACT2FN["gelu"]).__module__ == "transformers.activations"
    assert "has its own" in registered["transformers"].left["gelu"]
    assert repr(ACT2FN["gelu()"]) == "ActivationLayer(gelu)"


def test_what_is_left_has_its_reason(registered):
    left = registered["transformers"].left

    assert "takes a gate and a value" in left["swiglu"]
    assert "returns n/k elements for n" in left["maxout"]
    assert "mixes tokens" in left["linear_attention"]
    assert "computes on complex numbers" in left["modrelu"]
    assert set(left) | set(registered["transformers"].names) >= set(actlab.names())


@OWN_XIELU
def test_override_replaces_what_transformers_has_until_it_is_undone():
    x = torch.linspace(-3, 3, 31)
    theirs = ACT2FN["xielu"]
    again = register("transformers", override=True)

    assert "xielu" in again["transformers"].names
    assert repr(ACT2FN["xielu"]) == "ActivationLayer(xielu)"
    torch.testing.assert_close(ACT2FN["xielu"](x), theirs.float()(x), atol=5e-3, rtol=5e-3)  # theirs learns in bfloat16

    again.undo()
    assert type(ACT2FN["xielu"]) is type(theirs)
    assert repr(ACT2FN["telu"]) == "ActivationLayer(telu)"  # the first registration stays


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("tellu", "There is no activation 'tellu'. Did you mean 'telu'"),
        ("leaky_relu(negativ=1)", "Did you mean 'negative_slope'?"),
        ("swiglu", "'silu' for swiglu"),
        ("geglu", "'gelu' for geglu"),
        ("gtu", r"A block with one projection becomes gated by actlab.swap_(model, 'gtu', example_inputs)"),
        ("crelu", "returns 2*n elements for n"),
        ("softmax_attention", "mixes tokens"),
        ("fourier_mixing", "mixes tokens"),
        ("elu(alpha=learned_per_channel)", "number of channels is not known for a name; write learned"),
        (3, "is a string; got int: 3"),
    ],
)
def test_a_name_that_cannot_be_answered_is_a_key_error_that_says_why(key, words):
    with pytest.raises(KeyError) as error:
        ACT2FN[key]

    assert isinstance(error.value, IntegrationError)
    assert words in str(error.value)
    assert key not in ACT2FN


def test_a_config_with_a_wrong_name_says_what_was_meant():
    with pytest.raises(KeyError, match="Did you mean 'telu'"):
        built(llama("tellu"))


def test_get_activation_of_transformers_takes_specs():
    assert repr(transformers.activations.get_activation("elu(0.5)")) == "ActivationLayer(elu(alpha=0.5))"


def test_an_activation_of_the_users_own_is_found_though_it_came_later():
    @actlab.activation(paper="a test")
    def tripled(x):
        """Three times."""
        return 3 * x

    try:
        assert ACT2FN["tripled"](torch.ones(2)).tolist() == [3.0, 3.0]
    finally:
        forget("tripled")


def test_the_table_can_be_copied_and_pickled():
    for copied in (pickle.loads(pickle.dumps(ACT2FN)), copy.deepcopy(ACT2FN), copy.copy(ACT2FN)):
        assert list(copied) == list(ACT2FN)
        assert repr(copied["telu"]) == "ActivationLayer(telu)"
        assert repr(copied["elu(0.5)"]) == "ActivationLayer(elu(alpha=0.5))"


# ----------------------------------------------------------------------------------------- the way back


def state():
    table = transformers.activations.ACT2FN
    contents = [(name, dict.__getitem__(table, name)) for name in table]
    methods = {name: value for name, value in vars(type(table)).items() if callable(value)}
    return contents, dict(transformers.activations.ACT2CLS), methods, transformers.PreTrainedModel._initialize_weights


def test_undo_leaves_transformers_as_it_was(registered):
    registered.undo()
    before = state()
    assert "telu" not in ACT2FN
    assert "__missing__" not in vars(type(ACT2FN))
    assert transformers.PreTrainedModel._initialize_weights.__code__.co_filename.endswith("modeling_utils.py")

    done = register("transformers", override=True)
    assert state() != before
    done.undo()
    done.undo()  # a second time, nothing happens

    assert state() == before
    with pytest.raises(KeyError, match=r"^'telu'$"):
        ACT2FN["telu"]


def test_registering_again_changes_nothing(registered):
    before = state()
    again = register("transformers")

    assert state() == before
    assert again["transformers"] == registered["transformers"]
    again.undo()
    assert state() == before


def test_undone_in_the_order_of_their_making_registrations_leave_no_trace(registered):
    registered.undo()
    before = state()
    first, second = register("transformers"), register("transformers", override=True)

    first.undo()
    assert "telu" not in transformers.activations.ACT2CLS
    assert repr(ACT2FN["gelu"]) == "ActivationLayer(gelu)"  # the second still stands

    second.undo()
    assert state() == before


def test_undo_leaves_what_somebody_else_has_put_in(registered):
    ACT2FN["telu"] = nn.Identity
    try:
        registered.undo()
        assert repr(ACT2FN["telu"]) == "Identity()"
    finally:
        del ACT2FN["telu"]


def test_a_model_keeps_its_layers_after_undo(registered):
    model = built(bert("telu"))
    before = output(model)
    registered.undo()

    assert torch.equal(output(model), before)


def test_the_page_is_true(registered, tmp_path, monkeypatch):
    registered.undo()
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).resolve().parents[2] / "docs" / "how_to" / "drop_in.md").read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "timm" not in block]

    assert len(blocks) == 4
    names = {}
    for block in blocks:  # each goes on where the one before ended
        exec(block, names)  # noqa: S102 our own page
    names["registered"].undo()
