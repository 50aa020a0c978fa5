"""Architectures nobody here wrote, small and from random weights: how to build each, what to feed it, and with another function.

Not run by itself: `benchmarks/architectures.py` looks into them. Nothing is downloaded. Convolutional nets in torchvision's spelling are
those of `tests/models/convnets.py`; timm's own are built where timm can be imported (it wants torchvision).
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import libraries  # the one beside this file
import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
TOKENS = torch.arange(24).reshape(2, 12) % 30 + 2
IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
SOUND = torch.randn(2, 8, 32, generator=torch.Generator().manual_seed(0))
WAVE = torch.randn(2, 800, generator=torch.Generator().manual_seed(0))
sys.path.insert(0, str(ROOT))
convnets = importlib.import_module("tests.models.convnets")
NEW = "mish"  # what the swap puts in: none of the models below uses it, and transformers, timm and torch all know it


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """An architecture.

    Attributes:
        name: what people call it.
        source: the library, or the file, that wrote it.
        build: makes it at a fixed seed; with "mish" where its activation is to be mish.
        inputs: what it takes.
        old: the sites in whose place ``build("mish")`` has mish: the keys of a swap.
        unsupported: why a swap cannot reach all of them; then nothing is swapped, and the row shows what is found.
    """

    name: str
    source: str
    build: Callable[[str | None], nn.Module]
    inputs: Any
    old: tuple[str, ...]
    unsupported: str = ""


# ------------------------------------------------------------------------------------------- transformers

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
WORDS = {"vocab_size": 32, "max_position_embeddings": 32, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1}
KEYS = {"num_key_value_heads": 1, "head_dim": 8}
DECODER = {"encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
DECODER |= {"encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "d_model": 16}
EXPERTS = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2}
BOTH = {"input_ids": TOKENS, "decoder_input_ids": TOKENS}
VISION = {"image_size": 32, "patch_size": 8}
CONV = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "num_channels": 3}
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "vocab_size": 32}
GPT = {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 32, "n_positions": 32, "bos_token_id": 0}

# model, the word of the config for the activation, the name that runs by default, the rest of the config, the input
HUGGING_FACE: tuple[tuple[str, str, str, dict[str, Any], Any], ...] = (
    ("Bert", "hidden_act", "gelu", SIZES | WORDS, TOKENS),
    ("Roberta", "hidden_act", "gelu", SIZES | WORDS, TOKENS),
    ("DistilBert", "activation", "gelu", {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32} | WORDS, TOKENS),
    ("Albert", "hidden_act", "gelu_tanh", SIZES | WORDS | {"embedding_size": 8}, TOKENS),
    ("Electra", "hidden_act", "gelu", SIZES | WORDS | {"embedding_size": 8}, TOKENS),
    ("MobileBert", "hidden_act", "relu", SIZES | WORDS | {"intra_bottleneck_size": 8, "embedding_size": 8, "true_hidden_size": 8}, TOKENS),
    ("DebertaV2", "hidden_act", "gelu", SIZES | WORDS, TOKENS),
    ("SqueezeBert", "hidden_act", "gelu", SIZES | WORDS | {"embedding_size": 16, **{f"{k}_groups": 2 for k in ("q", "k", "v", "post_attention", "intermediate", "output")}}, TOKENS),
    ("MPNet", "hidden_act", "gelu", SIZES | WORDS, TOKENS),
    ("Esm", "", "*.intermediate.*", SIZES | WORDS | {"mask_token_id": 3}, TOKENS),
    ("FNet", "hidden_act", "gelu_tanh", SIZES | WORDS, TOKENS),
    ("XLNet", "ff_activation", "gelu", {"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32, "vocab_size": 32}, TOKENS),
    ("GPT2", "activation_function", "gelu_tanh", GPT, TOKENS),
    ("GPTNeo", "activation_function", "gelu_tanh", {"hidden_size": 16, "num_layers": 2, "num_heads": 2, "attention_types": [[["global", "local"], 1]]} | WORDS, TOKENS),
    ("GPTNeoX", "hidden_act", "gelu", SIZES | WORDS, TOKENS),
    ("GPTJ", "activation_function", "gelu_tanh", GPT | {"rotary_dim": 4}, TOKENS),
    ("CodeGen", "activation_function", "gelu_tanh", GPT | {"rotary_dim": 4, "n_head": 4}, TOKENS),
    ("Bloom", "", "gelu_tanh", {"hidden_size": 16, "n_layer": 2, "n_head": 2, "vocab_size": 32}, TOKENS),
    ("Mpt", "", "gelu", {"d_model": 16, "n_heads": 2, "n_layers": 2, "expansion_ratio": 2, "max_seq_len": 32, "vocab_size": 32}, TOKENS),
    ("OPT", "activation_function", "relu", {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 32, "word_embed_proj_dim": 16} | WORDS, TOKENS),
    ("Falcon", "activation", "gelu", {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2} | WORDS, TOKENS),
    ("Llama", "hidden_act", "silu", SIZES | WORDS | KEYS, TOKENS),
    ("Mistral", "hidden_act", "silu", SIZES | WORDS | KEYS, TOKENS),
    ("Qwen2", "hidden_act", "silu", SIZES | WORDS | KEYS, TOKENS),
    ("Qwen3", "hidden_act", "silu", SIZES | WORDS | KEYS, TOKENS),
    ("Gemma", "hidden_act", "gelu_tanh", SIZES | WORDS | KEYS, TOKENS),
    ("Gemma2", "hidden_activation", "gelu_tanh", SIZES | WORDS | KEYS, TOKENS),
    ("Phi", "hidden_act", "gelu_tanh", SIZES | WORDS, TOKENS),
    ("Phi3", "hidden_act", "silu", SIZES | WORDS, TOKENS),
    ("Olmo", "hidden_act", "silu", SIZES | WORDS, TOKENS),
    ("StableLm", "hidden_act", "silu", SIZES | WORDS | {"num_key_value_heads": 2, "partial_rotary_factor": 0.5}, TOKENS),
    ("Starcoder2", "hidden_act", "gelu_tanh", SIZES | WORDS | KEYS, TOKENS),
    ("Persimmon", "hidden_act", "squared_relu", SIZES | WORDS, TOKENS),
    ("Cohere", "hidden_act", "silu", SIZES | WORDS, TOKENS),
    ("Mixtral", "hidden_act", "silu", SIZES | WORDS | KEYS | EXPERTS, TOKENS),
    ("Qwen2Moe", "hidden_act", "silu", SIZES | WORDS | KEYS | EXPERTS | {"moe_intermediate_size": 16, "shared_expert_intermediate_size": 16}, TOKENS),
    ("DeepseekV3", "hidden_act", "silu", SIZES | WORDS | {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1, "moe_intermediate_size": 16, "q_lora_rank": 8, "kv_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 8, "first_k_dense_replace": 1}, TOKENS),
    ("GptOss", "", "*.experts.*sigmoid*", SIZES | WORDS | KEYS | EXPERTS, TOKENS),
    ("Mamba", "hidden_act", "silu", {"hidden_size": 16, "num_hidden_layers": 2, "state_size": 4, "vocab_size": 32}, TOKENS),
    ("Mamba2", "hidden_act", "silu", {"hidden_size": 16, "num_hidden_layers": 2, "state_size": 4, "vocab_size": 32, "num_heads": 4, "head_dim": 8, "n_groups": 1, "chunk_size": 4}, TOKENS),
    ("RecurrentGemma", "hidden_activation", "gelu_tanh", SIZES | WORDS | {"num_key_value_heads": 1, "lru_width": 16, "attention_window_size": 8, "num_hidden_layers": 3}, TOKENS),
    ("Rwkv", "", "relu", {"hidden_size": 16, "num_hidden_layers": 2, "vocab_size": 32, "attention_hidden_size": 16, "intermediate_size": 32}, TOKENS),
    ("T5", "dense_act_fn", "relu", T5, BOTH),
    ("Bart", "activation_function", "gelu", DECODER | WORDS, BOTH),
    ("Pegasus", "activation_function", "gelu", DECODER | WORDS, BOTH),
    ("M2M100", "activation_function", "relu", DECODER | WORDS, BOTH),
    ("Whisper", "activation_function", "*.activation_fn", DECODER | {"vocab_size": 32, "num_mel_bins": 8, "max_source_positions": 16, "max_target_positions": 16, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1, "decoder_start_token_id": 1}, {"input_features": SOUND, "decoder_input_ids": TOKENS}),
    ("Wav2Vec2", "hidden_act feat_extract_activation", "gelu", SIZES | {"conv_dim": [8, 8], "conv_kernel": [4, 4], "conv_stride": [4, 4], "num_feat_extract_layers": 2, "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2, "vocab_size": 32}, WAVE),
    ("ViT", "hidden_act", "gelu", SIZES | VISION, IMAGES),
    ("DeiT", "hidden_act", "gelu", SIZES | VISION, IMAGES),
    ("Beit", "hidden_act", "gelu", SIZES | VISION, IMAGES),
    ("Dinov2", "hidden_act", "gelu", SIZES | VISION, IMAGES),
    ("Swin", "hidden_act", "gelu", {"image_size": 32, "patch_size": 4, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 4}, IMAGES),
    ("Segformer", "hidden_act", "gelu", {"num_encoder_blocks": 2, "depths": [1, 1], "sr_ratios": [2, 1], "hidden_sizes": [8, 16], "patch_sizes": [3, 3], "strides": [2, 2], "num_attention_heads": [1, 2], "mlp_ratios": [2, 2], "decoder_hidden_size": 16}, IMAGES),
    ("ConvNext", "hidden_act", "gelu", {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2}, IMAGES),
    ("ResNet", "hidden_act", "re:embedder.*|.*layers\\.\\d+\\.activation", CONV | {"layer_type": "basic"}, IMAGES),
    ("RegNet", "hidden_act", "re:(?!.*attention).*activation", CONV | {"groups_width": 8}, IMAGES),
    ("MobileNetV1", "hidden_act", "relu6", {"image_size": 32, "depth_multiplier": 0.25}, IMAGES),
    ("MobileNetV2", "hidden_act", "relu6", {"image_size": 32, "depth_multiplier": 0.25}, IMAGES),
    ("EfficientNet", "hidden_act", "silu", {"image_size": 32, "width_coefficient": 0.25, "depth_coefficient": 0.25, "hidden_dim": 320}, IMAGES),
    ("PoolFormer", "hidden_act", "gelu", {"num_encoder_blocks": 2, "depths": [1, 1], "hidden_sizes": [8, 16], "patch_sizes": [7, 3], "strides": [4, 2], "padding": [2, 1]}, IMAGES),
    ("MobileViT", "hidden_act", "silu", {"image_size": 32, "hidden_sizes": [16, 20, 24], "neck_hidden_sizes": [8, 8, 16, 16, 16, 16, 32], "num_attention_heads": 2}, IMAGES),
)  # fmt: skip


def _hugging_face(name: str, word: str, options: dict[str, Any], act: str | None) -> nn.Module:
    import transformers  # an optional library

    torch.manual_seed(0)
    given = options | ({key: act for key in word.split()} if act else {})
    return getattr(transformers, f"{name}Model")(getattr(transformers, f"{name}Config")(**given))


UNSUPPORTED = {
    "Mamba": "transformers 5 runs silu inside the function mamba_selective_scan and in modules that it makes on the way",
    "Mamba2": "transformers 5 runs silu in modules that it makes during the forward pass",
}

# What no word of a config chooses, by hand: the module's class, its method, and what is written there.
BY_HAND: dict[str, tuple[str, str, str, str]] = {
    "Esm": ("EsmIntermediate", "forward", "gelu(", "nn.functional.mish("),
    "GptOss": ("GptOssExperts", "_apply_gate", "torch.sigmoid(", "nn.functional.mish("),
    "Rwkv": ("RwkvFeedForward", "forward", "torch.relu(", "nn.functional.mish("),
    "Bloom": ("BloomMLP", "forward", "self.gelu_impl(", "nn.functional.mish("),
    "Mpt": ("MptMLP", "forward", "self.act(", "nn.functional.mish("),
}


def _by_hand(name: str, options: dict[str, Any], act: str | None) -> nn.Module:
    """Build a model; with "mish", type its method anew with the other call in it."""
    model = _hugging_face(name, "", options, None)
    kind, method, old, new = BY_HAND[name]
    for module in model.modules() if act else ():
        if type(module).__name__ == kind:
            text = textwrap.dedent(inspect.getsource(getattr(type(module), method)))
            names = dict(vars(sys.modules[type(module).__module__]))
            exec(text.replace(old, new), names)  # noqa: S102 # the source of an installed library, with one call in it changed
            module.__class__ = type(kind, (type(module),), {method: names[method]})
    return model


def _gated_t5(act: str | None) -> nn.Module:
    import transformers

    torch.manual_seed(0)
    return transformers.T5Model(transformers.T5Config(**T5, feed_forward_proj=f"gated-{act or 'gelu'}"))


def _two_towers(name: str, act: str | None) -> nn.Module:
    """CLIP and its kin: a config for words, one for images, and each names its activation."""
    import transformers

    torch.manual_seed(0)
    given = {"hidden_act": act} if act else {}
    parts = {"text_config": SIZES | WORDS | given, "vision_config": SIZES | VISION | given}
    return getattr(transformers, f"{name}Model")(getattr(transformers, f"{name}Config")(**parts))


def hugging_face() -> list[Architecture]:
    """Return those of transformers, where it is installed."""
    if importlib.util.find_spec("transformers") is None:
        return []
    make = partial(Architecture, source="transformers")
    both = {"input_ids": TOKENS, "pixel_values": IMAGES}
    return [
        *(
            make(
                name=name,
                build=partial(_hugging_face, name, word, options) if word else partial(_by_hand, name, options),
                inputs=inputs,
                old=(old,),
                unsupported=UNSUPPORTED.get(name, ""),
            )
            for name, word, old, options, inputs in HUGGING_FACE
        ),
        make(name="T5 v1.1, gated", build=_gated_t5, inputs=BOTH, old=("gelu_tanh",)),
        make(name="CLIP", build=partial(_two_towers, "CLIP"), inputs=both, old=("gelu_sigmoid",)),
        make(name="SigLIP", build=partial(_two_towers, "Siglip"), inputs=both, old=("gelu_tanh",)),
    ]


# ------------------------------------------------------------------------------------------------- timm

TIMM = {  # name: the activation that act_layer stands for
    "resnet18": "relu",
    "resnext50_32x4d": "relu",
    "densenet121": "relu",
    "efficientnet_b0": "silu",
    "mobilenetv3_small_050": "hardswish",
    "regnety_002": "relu",
    "vit_tiny_patch16_224": "gelu",
    "mixer_s32_224": "gelu",
    "convnext_atto": "gelu",
    "mobilenetv2_050": "relu6",
    "vgg11_bn": "relu",
    "levit_128s": "hardswish",
}
SIZED = {"vit_tiny_patch16_224", "mixer_s32_224", "levit_128s"}  # these are built for one size of image


def _timm(name: str, act: str | None) -> nn.Module:
    import timm

    torch.manual_seed(0)
    options: dict[str, Any] = {"img_size": 64} if name in SIZED - {"levit_128s"} else {}
    return timm.create_model(name, num_classes=10, **options, **({"act_layer": nn.Mish} if act else {}))


def of_timm() -> list[Architecture]:
    """Return those of timm, where it is installed; torchvision, which it imports and does not need here, may be missing."""
    if importlib.util.find_spec("timm") is None:
        return []
    if importlib.util.find_spec("torchvision") is None:
        libraries.ask_timm()  # imports it with a stand-in for torchvision
    images = {size: torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0)) for size in (64, 224)}
    return [
        Architecture(
            name=name,
            source="timm",
            build=partial(_timm, name),
            inputs=images[224 if name == "levit_128s" else 64],
            old=(old,),
        )
        for name, old in TIMM.items()
    ]


# ------------------------------------------------------------------------------------------ written here


class Tower(nn.Module):
    """torch's transformer encoder, whose layers have a fused path for ReLU and GELU."""

    def __init__(self, act: Any = F.gelu, *, batch_first: bool = True) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, activation=act, batch_first=batch_first)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        """Encode."""
        return self.encoder(x)


class Recurrent(nn.Module):
    """Torch's three recurrent layers, whose functions nobody can choose, and an MLP."""

    def __init__(self, act: Any = F.relu) -> None:
        super().__init__()
        self.lstm, self.gru, self.rnn = nn.LSTM(16, 16), nn.GRU(16, 16), nn.RNN(16, 16)
        self.first, self.second, self.act = nn.Linear(16, 16), nn.Linear(16, 4), act

    def forward(self, x: Tensor) -> Tensor:
        """Run them one after the other."""
        for layer in (self.lstm, self.gru, self.rnn):
            x = layer(x)[0]
        return self.second(self.act(self.first(x)))


class Bound(nn.Module):
    """A function with its argument bound, and one module for two places."""

    def __init__(self, act: Any = partial(F.gelu, approximate="tanh"), module: Any = nn.GELU("tanh")) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 4)
        self.bound, self.shared = act, module

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return self.third(self.shared(self.second(self.shared(self.bound(self.first(x))))))


def _at_seed(make: Callable[[], nn.Module], twin: Callable[[], nn.Module], act: str | None) -> nn.Module:
    torch.manual_seed(0)
    return twin() if act else make()


def _compiled(make: Callable[[], nn.Module], twin: Callable[[], nn.Module], act: str | None) -> nn.Module:
    return torch.compile(_at_seed(make, twin, act), backend="eager")


def _parallel(make: Callable[[], nn.Module], twin: Callable[[], nn.Module], act: str | None) -> nn.Module:
    return nn.DataParallel(_at_seed(make, twin, act))


def of_torch() -> list[Architecture]:
    """Return torch's own blocks, and nets in torchvision's spelling, plain and wrapped."""
    x = torch.randn(5, 3, 16, generator=torch.Generator().manual_seed(0))
    make = partial(Architecture, source="torch")
    nets = [
        Architecture(
            name=name, source="torchvision's spelling", build=partial(_at_seed, *net[:2]), inputs=IMAGES, old=(net[2],)
        )
        for name, net in convnets.NETS.items()
    ]
    resnet = convnets.NETS["ResNet"]
    return [
        *nets,
        make(
            name="TransformerEncoder, fused",
            build=partial(_at_seed, Tower, partial(Tower, F.mish)),
            inputs=x,
            old=("gelu",),
        ),
        make(
            name="LSTM, GRU, RNN and an MLP",
            build=partial(_at_seed, Recurrent, partial(Recurrent, F.mish)),
            inputs=x,
            old=("relu",),
        ),
        make(
            name="partial(F.gelu), shared module",
            build=partial(_at_seed, Bound, partial(Bound, F.mish, nn.Mish())),
            inputs=x,
            old=("gelu_tanh",),
        ),
        make(name="ResNet in torch.compile", build=partial(_compiled, *resnet[:2]), inputs=IMAGES, old=(resnet[2],)),
        make(name="ResNet in DataParallel", build=partial(_parallel, *resnet[:2]), inputs=IMAGES, old=(resnet[2],)),
    ]


def architectures() -> list[Architecture]:
    """Return all that can be built here."""
    return [*hugging_face(), *of_timm(), *of_torch()]
