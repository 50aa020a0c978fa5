"""Models of transformers that are swapped, saved and loaded: the config says what runs, or saving warns."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import actlab
from actlab.integrations.model_config import differences
from actlab.nn.transforms.morph.morph import Morph

transformers = pytest.importorskip("transformers")

SMALL = {
    "vocab_size": 32,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 16,
}
TOKENS = {"input_ids": torch.arange(24).reshape(2, 12) % 32}


def bert(kind="AutoModel"):
    torch.manual_seed(0)
    return getattr(transformers, kind).from_config(transformers.BertConfig(**SMALL)).eval()


def gpt2():
    torch.manual_seed(0)
    sizes = {"vocab_size": 32, "n_positions": 16, "n_embd": 16, "n_layer": 2, "n_head": 2}
    return transformers.AutoModel.from_config(transformers.GPT2Config(**sizes)).eval()


def llama():
    torch.manual_seed(0)
    return transformers.AutoModelForCausalLM.from_config(transformers.LlamaConfig(**SMALL)).eval()


def clip():
    torch.manual_seed(0)
    text = transformers.CLIPTextConfig(**SMALL | {"vocab_size": 50}, eos_token_id=49, bos_token_id=48)
    vision = transformers.CLIPVisionConfig(
        **{k: v for k, v in SMALL.items() if k != "vocab_size"}, image_size=8, patch_size=4
    )
    sizes = {"text_config": text.to_dict(), "vision_config": vision.to_dict(), "projection_dim": 8}
    return transformers.CLIPModel(transformers.CLIPConfig(**sizes)).eval()


MODELS = {  # model, the site's function, the entry of the config
    "bert": (bert, "gelu", "hidden_act"),
    "bert for classes": (lambda: bert("AutoModelForSequenceClassification"), "gelu", "hidden_act"),
    "gpt2": (gpt2, "gelu_tanh", "activation_function"),
    "llama": (llama, "silu", "hidden_act"),
}


def saved_and_loaded(model, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.save_pretrained(folder)
    return type(model).from_pretrained(folder).eval()


@pytest.mark.parametrize(
    ("name", "spec", "inputs"),
    [
        ("bert", "relu", ()),
        ("bert", "swish(beta=learned(3))", (TOKENS,)),
        ("bert for classes", "telu", ()),
        ("gpt2", "leaky_relu(0.2)", (TOKENS,)),
        ("llama", "swish(beta=learned(3))", ()),
        ("llama", "xielu", (TOKENS,)),
    ],
)
def test_a_swapped_model_that_is_saved_and_loaded_runs_the_new_function(name, spec, inputs, tmp_path):
    make, old, key = MODELS[name]
    model = make()
    before = getattr(model.config, key)
    changes = actlab.swap_(model, {old: spec}, *inputs)
    with torch.no_grad():
        for each, parameter in model.named_parameters():
            if each.rpartition(".")[2] in {"beta", "alpha_p", "alpha_n"}:
                parameter.add_(0.25)  # trained
        want = model(**TOKENS)[0]
        again = saved_and_loaded(model, tmp_path)
        assert torch.equal(again(**TOKENS)[0], want)
    assert getattr(again.config, key) == getattr(model.config, key) != before

    changes.undo()

    assert getattr(model.config, key) == before
    assert torch.equal(saved_and_loaded(model, tmp_path)(**TOKENS)[0], model(**TOKENS)[0])


def test_names_of_the_library_are_preferred_so_that_loading_needs_no_registration():
    model = bert()
    actlab.swap_(model, {"gelu": "relu"})
    assert model.config.hidden_act == "relu"
    actlab.swap_(model, {"relu": "gelu_tanh"})
    assert model.config.hidden_act in {"gelu_pytorch_tanh", "gelu_new", "gelu_fast"}
    actlab.swap_(model, {"gelu_tanh": "xielu"})  # transformers' own is another function
    assert model.config.hidden_act == "xielu()"


@pytest.mark.parametrize(
    "wanted",
    [
        {"gelu": "relu", "pooler.activation": "sigmoid"},  # tanh is written into the code
        {"encoder.layer.0.*": "relu"},  # one of two layers
        {"gelu": "swiglu"},  # no function of one tensor
    ],
)
def test_what_no_config_can_say_is_warned_of_when_the_model_is_saved(wanted, tmp_path):
    model = bert()
    changes = actlab.swap_(model, wanted, TOKENS)

    with pytest.warns(UserWarning, match="config that does not say what it runs"):
        model.save_pretrained(tmp_path)

    changes.undo()
    saved_and_loaded(model, tmp_path)


def test_the_warning_names_what_runs_and_what_the_config_says(tmp_path):
    model = bert()
    actlab.swap_(model, {"pooler.activation": "softsign"})

    with pytest.warns(UserWarning, match=r"BertModel .*: pooler runs softsign, and the config says tanh\. from_pretr"):
        model.save_pretrained(tmp_path)


def test_a_swap_in_a_part_of_a_model_is_warned_of(tmp_path):
    model = bert()
    actlab.swap_(model.encoder, "relu")

    with pytest.warns(UserWarning, match="does not say what it runs"):
        model.save_pretrained(tmp_path)


def test_a_call_in_the_code_of_a_model_is_warned_of(tmp_path):
    class Called(transformers.PreTrainedModel):
        config_class = transformers.BertConfig

        def __init__(self, config):
            super().__init__(config)
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 2)
            self.post_init()

        def forward(self, x):
            return self.b(F.gelu(self.a(x)))

    model = Called(transformers.BertConfig())
    actlab.swap_(model, "relu", torch.zeros(1, 4))

    with pytest.warns(UserWarning, match="the model runs relu, and the config says gelu"):
        model.save_pretrained(tmp_path)


@pytest.mark.parametrize("transform", [actlab.fast, actlab.slim_])
def test_other_kernels_of_the_same_function_are_no_difference(transform, tmp_path):
    model = gpt2()
    before = model.config.to_dict()

    transform(model, TOKENS)

    assert model.config.to_dict() == before
    saved_and_loaded(model, tmp_path)


def test_a_config_inside_a_config_is_changed_where_its_model_was_swapped():
    model = clip()
    actlab.swap_(model, {"text_model.*": "relu"})

    assert model.config.text_config.hidden_act == "relu"
    assert model.config.vision_config.hidden_act == "quick_gelu"
    assert differences(model) == []
    actlab.swap_(model, {"vision_model.*": "telu"})
    assert model.config.vision_config.hidden_act == "telu"
    assert differences(model) == []


def test_a_model_inside_a_users_module_gets_its_config_changed(tmp_path):
    class Mine(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.act, self.head = bert(), nn.GELU(), nn.Linear(16, 2)

        def forward(self, **tokens):
            return self.head(self.act(self.body(**tokens)[0]))

    model = Mine()
    actlab.swap_(model, {"gelu": "relu"}, TOKENS)

    assert model.body.config.hidden_act == "relu"
    saved_and_loaded(model.body, tmp_path)


def test_a_morph_ends_in_a_model_whose_config_says_the_new_function(tmp_path):
    model = bert()
    morph = Morph(model, {"gelu": "relu"}, total=8, example_inputs=TOKENS)
    morph.step()
    with pytest.warns(UserWarning, match="does not say what it runs"):
        model.save_pretrained(tmp_path)  # half way, both functions run
    morph.finish()

    again = saved_and_loaded(model, tmp_path)

    torch.testing.assert_close(again(**TOKENS)[0], model(**TOKENS)[0])
    assert again.config.hidden_act == "relu"


def test_a_copy_of_a_swapped_model_saves_the_same(tmp_path):
    model = bert()
    changes = actlab.swap_(model, {"gelu": "relu"})
    other = copy.deepcopy(model)
    changes.undo()

    assert (model.config.hidden_act, other.config.hidden_act) == ("gelu", "relu")
    assert torch.equal(saved_and_loaded(other, tmp_path)(**TOKENS)[0], other(**TOKENS)[0])


def test_an_entry_that_was_changed_since_stays_at_undo():
    model = bert()
    changes = actlab.swap_(model, {"gelu": "relu"})
    model.config.hidden_act = "silu"

    changes.undo()

    assert model.config.hidden_act == "silu"


def test_models_that_were_never_swapped_are_saved_without_a_comparison(tmp_path, monkeypatch):
    model = bert()
    actlab.swap_(bert(), {"gelu": "relu"})
    monkeypatch.setattr("actlab.integrations.model_config.differences", lambda _: 1 / 0)

    model.save_pretrained(tmp_path)


def test_the_weights_of_a_model_are_drawn_as_before():
    torch.manual_seed(3)
    want = torch.rand(1)
    torch.manual_seed(3)
    actlab.swap_(copy.deepcopy(MODEL), {"gelu": "relu"}, TOKENS)

    assert torch.equal(torch.rand(1), want)


MODEL = bert()
