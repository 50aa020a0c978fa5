"""Architectures nobody here wrote, small and from random weights: how to build each, what to feed it, and with another function.

Not run by itself: `benchmarks/architectures.py` looks into them. Nothing is downloaded. Convolutional nets in torchvision's spelling are
those of `tests/models/convnets.py`; timm's own are built where timm can be imported (it wants torchvision).
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

ROOT = Path(__file__).resolve().parents[1]
TOKENS = torch.arange(24).reshape(2, 12) % 30 + 2
IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
SOUND = torch.randn(2, 8, 32, generator=torch.Generator().manual_seed(0))
WAVE = torch.randn(2, 800, generator=torch.Generator().manual_seed(0))
NEW = "mish"  # what the swap puts in: none of the models below uses it, and transformers, timm and torch all know it
OWN: Mapping[str, Any] = {}  # the arguments of the model as it is


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """An architecture.

    Attributes:
        name: what people call it.
        source: the library, or the file, that wrote it.
        build: makes it at a fixed seed; with "mish" where its activation is to be mish.
        inputs: what it takes.
        old: names or patterns of what ``build("mish")`` has in another way.
    """

    name: str
    source: str
    build: Callable[[str | None], nn.Module]
    inputs: Any
    old: tuple[str, ...]


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
CLIP = {"text_config": SIZES | WORDS, "vision_config": SIZES | VISION, "projection_dim": 16}

# model, the word of the config for the activation, the name that runs by default, the rest of the config, the input
HUGGING_FACE: tuple[tuple[str, str, str | tuple[str, ...], dict[str, Any], Any], ...] = (
    ("Bert", "hidden_act", "gelu", SIZES | WORDS, TOKENS),
    ("Roberta", "hidden_act", "gelu", SIZES | WORDS, TOKENS),
    ("DistilBert", "activation", "gelu", {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32} | WORDS, TOKENS),
    ("Albert", "hidden_act", "gelu_tanh", SIZES | WORDS | {"embedding_size": 8}, TOKENS),
    ("Electra", "hidden_act", "gelu", SIZES | WORDS | {"embedding_size": 8}, TOKENS),
    ("MobileBert", "hidden_act", "relu", SIZES | WORDS | {"intra_bottleneck_size": 8, "embedding_size": 8, "true_hidden_size": 8}, TOKENS),
    ("DebertaV2", "hidden_act", "gelu", SIZES | WORDS, TOKENS),
    ("SqueezeBert", "hidden_act", "gelu", SIZES | WORDS | {"embedding_size": 16, **{f"{k}_groups": 2 for k in ("q", "k", "v", "post_attention", "intermediate", "output")}}, TOKENS),
    ("MPNet", "hidden_act", "gelu", SIZES | WORDS, TOKENS),
    ("Esm", "hidden_act", "gelu", SIZES | WORDS | {"mask_token_id": 3}, TOKENS),
    ("FNet", "hidden_act", "gelu_tanh", SIZES | WORDS, TOKENS),
    ("XLNet", "ff_activation", "gelu", {"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32, "vocab_size": 32}, TOKENS),
    ("GPT2", "activation_function", "gelu_tanh", GPT, TOKENS),
    ("GPTNeo", "activation_function", "gelu_tanh", {"hidden_size": 16, "num_layers": 2, "num_heads": 2, "attention_types": [[["global", "local"], 1]]} | WORDS, TOKENS),
    ("GPTNeoX", "hidden_act", "gelu", SIZES | WORDS, TOKENS),
    ("GPTJ", "activation_function", "gelu_tanh", GPT | {"rotary_dim": 4}, TOKENS),
    ("CodeGen", "activation_function", "gelu_tanh", GPT | {"rotary_dim": 4, "n_head": 4}, TOKENS),
    ("Bloom", "", "", {"hidden_size": 16, "n_layer": 2, "n_head": 2, "vocab_size": 32}, TOKENS),
    ("Mpt", "", "", {"d_model": 16, "n_heads": 2, "n_layers": 2, "expansion_ratio": 2, "max_seq_len": 32, "vocab_size": 32}, TOKENS),
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
    ("StableLm", "hidden_act", "silu", SIZES | WORDS, TOKENS),
    ("Starcoder2", "hidden_act", "gelu_tanh", SIZES | WORDS | KEYS, TOKENS),
    ("Persimmon", "hidden_act", "relu2", SIZES | WORDS, TOKENS),
    ("Cohere", "hidden_act", "silu", SIZES | WORDS, TOKENS),
    ("Mixtral", "hidden_act", "silu", SIZES | WORDS | KEYS | EXPERTS, TOKENS),
    ("Qwen2Moe", "hidden_act", "silu", SIZES | WORDS | KEYS | EXPERTS | {"moe_intermediate_size": 16, "shared_expert_intermediate_size": 16}, TOKENS),
    ("DeepseekV3", "hidden_act", "silu", SIZES | WORDS | {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1, "moe_intermediate_size": 16, "q_lora_rank": 8, "kv_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 8, "first_k_dense_replace": 1}, TOKENS),
    ("GptOss", "", "", SIZES | WORDS | KEYS | EXPERTS, TOKENS),
    ("Mamba", "hidden_act", "silu", {"hidden_size": 16, "num_hidden_layers": 2, "state_size": 4, "vocab_size": 32}, TOKENS),
    ("Mamba2", "hidden_act", "silu", {"hidden_size": 16, "num_hidden_layers": 2, "state_size": 4, "vocab_size": 32, "num_heads": 4, "head_dim": 8, "n_groups": 1, "chunk_size": 4}, TOKENS),
    ("RecurrentGemma", "hidden_activation", "gelu_tanh", SIZES | WORDS | {"num_key_value_heads": 1, "lru_width": 16, "attention_window_size": 8, "num_hidden_layers": 3}, TOKENS),
    ("Rwkv", "", "", {"hidden_size": 16, "num_hidden_layers": 2, "vocab_size": 32, "attention_hidden_size": 16, "intermediate_size": 32}, TOKENS),
    ("T5", "dense_act_fn", "relu", T5, BOTH),
    ("Bart", "activation_function", "gelu", DECODER | WORDS, BOTH),
    ("Pegasus", "activation_function", "relu", DECODER | WORDS, BOTH),
    ("M2M100", "activation_function", "relu", DECODER | WORDS, BOTH),
    ("Whisper", "activation_function", "gelu", DECODER | {"vocab_size": 32, "num_mel_bins": 8, "max_source_positions": 16, "max_target_positions": 16, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1, "decoder_start_token_id": 1}, {"input_features": SOUND, "decoder_input_ids": TOKENS}),
    ("Wav2Vec2", "hidden_act", "gelu", SIZES | {"conv_dim": [8, 8], "conv_kernel": [4, 4], "conv_stride": [4, 4], "num_feat_extract_layers": 2, "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2, "vocab_size": 32}, WAVE),
    ("ViT", "hidden_act", "gelu", SIZES | VISION, IMAGES),
    ("DeiT", "hidden_act", "gelu", SIZES | VISION, IMAGES),
    ("Beit", "hidden_act", "gelu", SIZES | VISION, IMAGES),
    ("Dinov2", "hidden_act", "gelu", SIZES | VISION, IMAGES),
    ("Swin", "hidden_act", "gelu", {"image_size": 32, "patch_size": 4, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 4}, IMAGES),
    ("Segformer", "hidden_act", "gelu", {"num_encoder_blocks": 2, "depths": [1, 1], "sr_ratios": [2, 1], "hidden_sizes": [8, 16], "patch_sizes": [3, 3], "strides": [2, 2], "num_attention_heads": [1, 2], "mlp_ratios": [2, 2], "decoder_hidden_size": 16}, IMAGES),
    ("ConvNext", "hidden_act", "gelu", {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2}, IMAGES),
    ("ResNet", "hidden_act", "relu", CONV | {"layer_type": "basic"}, IMAGES),
    ("RegNet", "hidden_act", "relu", CONV | {"groups_width": 8}, IMAGES),
    ("MobileNetV1", "hidden_act", "relu6", {"image_size": 32, "depth_multiplier": 0.25}, IMAGES),
    ("MobileNetV2", "hidden_act", "relu6", {"image_size": 32, "depth_multiplier": 0.25}, IMAGES),
    ("EfficientNet", "hidden_act", "silu", {"image_size": 32, "width_coefficient": 0.25, "depth_coefficient": 0.25, "hidden_dim": 320}, IMAGES),
    ("PoolFormer", "hidden_act", "gelu", {"num_encoder_blocks": 2, "depths": [1, 1], "hidden_sizes": [8, 16], "patch_sizes": [7, 3], "strides": [4, 2], "padding": [2, 1]}, IMAGES),
    ("MobileViT", "hidden_act", "silu", {"image_size": 32, "hidden_sizes": [16, 20, 24], "neck_hidden_sizes": [8, 8, 16, 16, 16, 16, 32], "num_attention_heads": 2}, IMAGES),
    ("CLIP", "", "", CLIP, {"input_ids": TOKENS, "pixel_values": IMAGES}),
    ("Siglip", "", "", {k: v for k, v in CLIP.items() if k != "projection_dim"}, {"input_ids": TOKENS, "pixel_values": IMAGES}),
)  # fmt: skip


def _hugging_face(name: str, word: str, options: dict[str, Any], act: str | None) -> nn.Module:
    import transformers  # an optional library

    torch.manual_seed(0)
    given = dict(options)
    if act and word:
        given[word] = act
    return getattr(transformers, f"{name}Model")(getattr(transformers, f"{name}Config")(**given))


def _gated_t5(act: str | None) -> nn.Module:
    import transformers

    torch.manual_seed(0)
    config = transformers.T5Config(**T5, feed_forward_proj=f"gated-{act or 'gelu'}")
    return transformers.T5Model(config)


def hugging_face() -> list[Architecture]:
    """Return those of transformers, where it is installed."""
    if importlib.util.find_spec("transformers") is None:
        return []
    found = [
        Architecture(
            name=name,
            source="transformers",
            build=partial(_hugging_face, name, word, options),
            inputs=inputs,
            old=(old,) if isinstance(old, str) else old,
        )
        for name, word, old, options, inputs in HUGGING_FACE
    ]
    gated = Architecture(name="T5 v1.1, gated", source="transformers", build=_gated_t5, inputs=BOTH, old=("gelu_tanh",))
    return [*found, gated]
