"""Small third-party architectures with random weights, their inputs, and the same models with mish.

Not a script: `benchmarks/architectures.py` uses it. Nothing is downloaded. Convolutional nets in torchvision's style are
those of `tests/nn/convnets.py`; timm's models are built if timm can be imported (it needs torchvision or its stub).
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import textwrap
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import libraries  # beside this file
import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
TOKENS = torch.arange(24).reshape(2, 12) % 30 + 2
IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
INPUTS: dict[str, Any] = {
    "tokens": TOKENS,
    "images": IMAGES,
    "both": {"input_ids": TOKENS, "decoder_input_ids": TOKENS},
    "wave": torch.randn(2, 800, generator=torch.Generator().manual_seed(0)),
    "sound": {
        "input_features": torch.randn(2, 8, 32, generator=torch.Generator().manual_seed(0)),
        "decoder_input_ids": TOKENS,
    },
}
sys.path.insert(0, str(ROOT))
convnets = importlib.import_module("tests.nn.convnets")
NEW = "mish"  # inserted by the swap: no model below uses it, and transformers, timm and torch have it


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Architecture with a builder and example inputs.

    Attributes:
        name: as in its library.
        source: library, or file, that defines it.
        build: returns the model at a fixed seed; with "mish" as its activation if given.
        inputs: example inputs.
        old: the sites where ``build("mish")`` has mish: the keys of a swap.
        unsupported: why a swap cannot reach all of them; then nothing is swapped, and the row shows only the sites.
    """

    name: str
    source: str
    build: Callable[[str | None], nn.Module]
    inputs: Any
    old: tuple[str, ...]
    unsupported: str = ""


# ------------------------------------------------------------------------------------------- transformers

T5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "vocab_size": 32}
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
WORDS = {"vocab_size": 32, "max_position_embeddings": 32, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1}
VISION = {"image_size": 32, "patch_size": 8}


def _hugging_face(name: str, words: list[str], options: dict[str, Any], act: str | None) -> nn.Module:
    transformers = importlib.import_module("transformers")  # an optional library
    torch.manual_seed(0)
    given = options | (dict.fromkeys(words, act) if act else {})
    return getattr(transformers, f"{name}Model")(getattr(transformers, f"{name}Config")(**given))


UNSUPPORTED = {
    "Mamba": "transformers 5 runs silu inside the function mamba_selective_scan and in modules that it creates during the forward pass",
    "Mamba2": "transformers 5 runs silu in modules that it creates during the forward pass",
}

# Activations that no config key selects: the module's class, its method, the call there and its replacement.
BY_HAND: dict[str, tuple[str, str, str, str]] = {
    "Esm": ("EsmIntermediate", "forward", "gelu(", "nn.functional.mish("),
    "GptOss": ("GptOssExperts", "_apply_gate", "gate * torch.sigmoid(gate * self.alpha)", "nn.functional.mish(gate)"),
    "Rwkv": (
        "RwkvFeedForward",
        "forward",
        "torch.square(torch.relu(self.key(key)))",
        "nn.functional.mish(self.key(key))",
    ),
    "Bloom": ("BloomMLP", "forward", "self.gelu_impl(", "nn.functional.mish("),
    "Mpt": ("MptMLP", "forward", "self.act(", "nn.functional.mish("),
}


def _by_hand(name: str, options: dict[str, Any], act: str | None) -> nn.Module:
    """Build a model; with "mish", redefine its method with the other call."""
    model = _hugging_face(name, [], options, None)
    kind, method, old, new = BY_HAND[name]
    for module in model.modules() if act else ():
        if type(module).__name__ == kind:
            text = textwrap.dedent(inspect.getsource(getattr(type(module), method)))
            names = dict(vars(sys.modules[type(module).__module__]))
            exec(text.replace(old, new), names)  # noqa: S102 # the source of an installed library, with one call in it changed
            module.__class__ = type(kind, (type(module),), {method: names[method]})
    return model


def _gated_t5(act: str | None) -> nn.Module:
    transformers = importlib.import_module("transformers")
    torch.manual_seed(0)
    return transformers.T5Model(transformers.T5Config(**T5, feed_forward_proj=f"gated-{act or 'gelu'}"))


def _two_towers(name: str, act: str | None) -> nn.Module:
    """Build a model with a text and a vision config (CLIP and similar), each of which names its activation."""
    transformers = importlib.import_module("transformers")
    torch.manual_seed(0)
    given = {"hidden_act": act} if act else {}
    parts = {"text_config": SIZES | WORDS | given, "vision_config": SIZES | VISION | given}
    return getattr(transformers, f"{name}Model")(getattr(transformers, f"{name}Config")(**parts))


def hugging_face() -> list[Architecture]:
    """Return models of transformers, if it is installed."""
    if importlib.util.find_spec("transformers") is None:
        return []
    make = partial(Architecture, source="transformers")
    both = {"input_ids": TOKENS, "pixel_values": IMAGES}
    listed = tomllib.loads((ROOT / "benchmarks" / "zoo.toml").read_text(encoding="utf-8"))
    return [
        *(
            make(
                name=name,
                build=partial(_hugging_face, name, one["words"], one["config"])
                if one["words"]
                else partial(_by_hand, name, one["config"]),
                inputs=INPUTS[one["inputs"]],
                old=(one["old"],),
                unsupported=UNSUPPORTED.get(name, ""),
            )
            for name, one in listed.items()
        ),
        make(name="T5 v1.1, gated", build=_gated_t5, inputs=INPUTS["both"], old=("gelu_tanh",)),
        make(name="CLIP", build=partial(_two_towers, "CLIP"), inputs=both, old=("gelu_sigmoid",)),
        make(name="SigLIP", build=partial(_two_towers, "Siglip"), inputs=both, old=("gelu_tanh",)),
    ]


# ------------------------------------------------------------------------------------------------- timm

TIMM = {  # name: the activation that act_layer replaces
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
SIZED = {"vit_tiny_patch16_224", "mixer_s32_224", "levit_128s"}  # built for one image size


def _timm(name: str, act: str | None) -> nn.Module:
    timm = importlib.import_module("timm")
    torch.manual_seed(0)
    options: dict[str, Any] = {"img_size": 64} if name in SIZED - {"levit_128s"} else {}
    return timm.create_model(name, num_classes=10, **options, **({"act_layer": nn.Mish} if act else {}))


def of_timm() -> list[Architecture]:
    """Return models of timm, if it is installed; torchvision, which it imports but does not need here, may be missing."""
    if importlib.util.find_spec("timm") is None:
        return []
    if importlib.util.find_spec("torchvision") is None:
        libraries.ask_timm()  # imports it with a stub of torchvision
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
    """Transformer encoder of torch, whose layers have a fused path for ReLU and GELU."""

    def __init__(self, act: Any = F.gelu, *, batch_first: bool = True) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, activation=act, batch_first=batch_first)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        """Encode."""
        return self.encoder(x)


class Recurrent(nn.Module):
    """Three recurrent layers of torch, whose functions are fixed, and an MLP."""

    def __init__(self, act: Any = F.relu) -> None:
        super().__init__()
        self.lstm, self.gru, self.rnn = nn.LSTM(16, 16), nn.GRU(16, 16), nn.RNN(16, 16)
        self.first, self.second, self.act = nn.Linear(16, 16), nn.Linear(16, 4), act

    def forward(self, x: Tensor) -> Tensor:
        """Apply the recurrent layers, then the MLP."""
        for layer in (self.lstm, self.gru, self.rnn):
            x = layer(x)[0]
        return self.second(self.act(self.first(x)))


TANH_GELU = partial(F.gelu, approximate="tanh")


class TanhGELU(nn.GELU):
    """Subclass of GELU with a fixed argument, as in libraries."""

    def __init__(self) -> None:
        super().__init__("tanh")


class Bound(nn.Module):
    """Net with a function whose argument is bound, and one module used at two places."""

    def __init__(self, act: Any = TANH_GELU, module: type[nn.Module] = TanhGELU) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 4)
        self.bound, self.shared = act, module()

    def forward(self, x: Tensor) -> Tensor:
        """Return the output."""
        return self.third(self.shared(self.second(self.shared(self.bound(self.first(x))))))


def _at_seed(make: Callable[[], nn.Module], twin: Callable[[], nn.Module], act: str | None) -> nn.Module:
    torch.manual_seed(0)
    return twin() if act else make()


def _compiled(make: Callable[[], nn.Module], twin: Callable[[], nn.Module], act: str | None) -> nn.Module:
    return torch.compile(_at_seed(make, twin, act), backend="eager")


def _parallel(make: Callable[[], nn.Module], twin: Callable[[], nn.Module], act: str | None) -> nn.Module:
    return nn.DataParallel(_at_seed(make, twin, act))


def of_torch() -> list[Architecture]:
    """Return blocks of torch, and nets in torchvision's style, plain and wrapped."""
    x = torch.randn(5, 3, 16, generator=torch.Generator().manual_seed(0))
    make = partial(Architecture, source="torch")
    nets = [
        Architecture(
            name=name, source="torchvision's style", build=partial(_at_seed, *net[:2]), inputs=IMAGES, old=(net[2],)
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
            build=partial(_at_seed, Bound, partial(Bound, F.mish, nn.Mish)),
            inputs=x,
            old=("gelu_tanh",),
        ),
        make(name="ResNet in torch.compile", build=partial(_compiled, *resnet[:2]), inputs=IMAGES, old=(resnet[2],)),
        make(name="ResNet in DataParallel", build=partial(_parallel, *resnet[:2]), inputs=IMAGES, old=(resnet[2],)),
    ]


def architectures() -> list[Architecture]:
    """Return all architectures that can be built in this environment."""
    return [*hugging_face(), *of_timm(), *of_torch()]
