"""Activations of other libraries by name, with value and gradient.

Not a script: ``benchmarks/peers.py`` compares them with ActLab's, and the tests use those of torch and transformers.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from actlab.functions.analysis.other_libraries import OtherLibrary

SOUNDS_LIKE_ONE = re.compile(
    "relu|gelu|silu|glu|^solu|swish|mish|sigmoid|tanh|tlu|derf|softmax|softclamp", re.IGNORECASE
)
# Arguments without a default in the library; the values are ActLab's defaults.
REQUIRED: dict[str, dict[str, Any]] = {
    "nn.Threshold": {"threshold": 1, "value": 0},
    "nn.functional.threshold": {"threshold": 1, "value": 0},
    "threshold": {"threshold": 1, "default_value": 0},
    "nn.Softmax": {"dim": -1},
    "nn.Softmin": {"dim": -1},
    "nn.LogSoftmax": {"dim": -1},
    "nn.functional.softmax": {"dim": -1},
    "nn.functional.softmin": {"dim": -1},
    "nn.functional.log_softmax": {"dim": -1},
    "softmax": {"dim": -1},
    "models.dac.Snake1d": {"hidden_dim": 1},
    "nn.functional.prelu": {"weight": torch.tensor([0.25])},
    "heaviside": {"values": torch.tensor(0.0)},
    "softclamp": {"value": 30.0},
    "softclamp_gelu": {"value": 4.0},
    "softclamp_silu": {"value": 4.0},
    "SoLU": {"dim": 6},
    "DynamicTanh": {"dim": 1},
    "Derf": {"dim": 1},
    "GLU": {"dim_in": 8, "dim_out": 4},
    "layers.GluMlp": {"in_features": 8},
    "layers.SwiGLUPacked": {"in_features": 8},
    "layers.SwiGLU": {"in_features": 8, "hidden_features": 4},
    "models.vitamin.GeGluMlp": {"in_features": 8, "hidden_features": 4},
}

# Attributes of experts in transformers' models, at their configurations' defaults.
EXPERTS: dict[str, dict[str, float]] = {
    "GptOssExperts": {"alpha": 1.702, "limit": 7.0},
    "OpenAIPrivacyFilterExperts": {"alpha": 1.702, "limit": 7.0},
    "MiniMaxM3VLExperts": {"swiglu_alpha": 1.702, "swiglu_limit": 7.0},
    "DeepseekV4Experts": {"limit": 10.0},
    "HYV4Experts": {"swiglu_limit": 10.0},
    "Glm5NextTextExperts": {"swiglu_limit": 10.0},
    "Step3p7Experts": {"limit": 7.0},
}

Evaluated = tuple[np.ndarray, np.ndarray]
Evaluate = Callable[[Any, np.ndarray, np.ndarray], Evaluated]


@dataclass(frozen=True, kw_only=True)
class Library:
    """Access to the activations of a library.

    Attributes:
        version: the installed version.
        names: all activations of the library, as a user writes them.
        build: returns, for a name of the mapping (``same``) and a dtype, a function of an array or tensor.
        evaluate: returns value and gradient of that function for an input and a cotangent.
    """

    version: str
    names: Iterable[str]
    build: Callable[[str, str], Any]
    evaluate: Evaluate


def missing(peer: OtherLibrary, names: Iterable[str]) -> list[str]:
    """Return the names of the library that the table neither maps nor explains; a name that needs arguments counts as mapped with any."""
    with_arguments = {name.partition("(")[0] for name in peer.same if "(" in name}
    return sorted(name for name in names if peer.lacks(name) and not (name in REQUIRED and name in with_arguments))


# --- names and functions per library ------------------------------------------------------------------------------------------------------


def torch_names() -> set[str]:
    """Return torch's activations: the modules of its own list, and the functions from one tensor to a floating-point tensor."""
    modules = {f"nn.{name}" for name in importlib.import_module("torch.nn.modules.activation").__all__}
    functional = vars(torch.nn.functional).items()
    public = [(name, it) for name, it in functional if callable(it) and name.islower() and not name.startswith("_")]
    return modules | {f"nn.functional.{name.rstrip('_')}" for name, it in public if _is_activation(it)}


def _is_activation(function: Any) -> bool:
    """Whether a function takes one tensor, and numbers (threshold), a weight (prelu) or the same tensor (attention) besides."""
    x = torch.linspace(-1, 1, 24).reshape(2, 3, 4)
    trials = [(x,), (x, 0.5, 0.5), (x, torch.full((1,), 0.25)), (x, x, x)]
    return any(_makes_tensor(function, arguments) for arguments in trials[: 4 if _takes_qkv(function) else 3])


def _takes_qkv(function: Any) -> bool:
    return (getattr(function, "__doc__", "") or "").lstrip().startswith("scaled_dot_product_attention")


def _makes_tensor(function: Any, arguments: tuple[Any, ...]) -> bool:
    try:
        with warnings.catch_warnings(action="ignore"):  # softmax without a dimension
            made = function(*(a.clone() if isinstance(a, torch.Tensor) else a for a in arguments))
    except (TypeError, RuntimeError, ValueError, AttributeError, IndexError, NotImplementedError):
        return False
    return isinstance(made, torch.Tensor) and made.is_floating_point() and made.dim() == 3


def ask_torch() -> Library:
    """Return torch's activations."""
    return Library(
        version=torch.__version__, names=torch_names(), build=partial(_torch_function, torch), evaluate=with_torch
    )


def transformers_names() -> set[str]:
    """Return the keys of transformers' ACT2FN."""
    return set(importlib.import_module("transformers.activations").ACT2FN)


def gated_in_models() -> set[str]:
    """Return the expert modules in transformers' models that implement a gated activation of their own (``_apply_gate``)."""
    found = set()
    for file in (Path(importlib.import_module("transformers").__file__ or "").parent / "models").glob(
        "*/modeling_*.py"
    ):
        text = file.read_text(encoding="utf-8")
        if "def _apply_gate" in text:
            classes = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
            found |= {
                f"models.{file.parent.name}.{node.name}" for node in classes if "_apply_gate" in ast.unparse(node)
            }
    return found


def ask_transformers() -> Library:
    """Return transformers' activations."""
    table = importlib.import_module("transformers.activations").ACT2FN
    version = importlib.import_module("transformers").__version__

    def build(name: str, dtype: str) -> Any:
        if not name.startswith("models."):
            return _typed(table[name], dtype)
        _, model, cls = name.split(".")
        found = getattr(importlib.import_module(f"transformers.models.{model}.modeling_{model}"), cls)
        if hasattr(found, "_apply_gate"):
            return partial(found._apply_gate, SimpleNamespace(**EXPERTS.get(cls, {}), act_fn=nn.functional.silu))
        if "SwiGLU" in cls:
            module = found(SimpleNamespace(mlp_gate_softcap=4.0, mlp_up_softcap=25.0))
            return lambda x: module(*x.chunk(2, dim=-1))
        return _typed(found(**REQUIRED.get(name, {})), dtype)

    names = transformers_names() | gated_in_models()
    return Library(version=version, names=names, build=build, evaluate=with_torch)


class Placeholder(type):
    """Metaclass of empty torchvision classes, whose attributes are empty classes again."""

    def __getattr__(cls, name: str) -> Any:
        """Return an empty class for any public attribute."""
        if name.startswith("__"):
            raise AttributeError(name)
        return Placeholder(name, (), {})


class WithoutTorchvision(MetaPathFinder, Loader):
    """Import hook with empty modules in place of torchvision, which no activation in timm needs."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002 importlib calls it so
        """Return a spec for torchvision and its submodules."""
        return ModuleSpec(name, self, is_package=True) if name.partition(".")[0] == "torchvision" else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return a module whose attributes are empty classes."""
        module = ModuleType(spec.name)
        vars(module)["__getattr__"] = partial(Placeholder.__getattr__, Placeholder("torchvision", (), {}))
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing."""


def ask_timm() -> Library:
    """Return timm's activations: the tables behind ``create_act_layer``, and classes in its sources that are named like an activation."""
    stand_in = WithoutTorchvision()
    sys.meta_path.append(stand_in)
    timm = importlib.import_module("timm")
    sys.meta_path.remove(stand_in)  # transformers reads torchvision's version
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    home = Path(timm.__file__).parent
    tables = importlib.import_module("timm.layers.create_act")
    names = {name for table in (*tables._ACT_FNS, *tables._ACT_LAYERS) for name in table}
    for file in (*home.glob("layers/*.py"), *home.glob("models/*.py")):
        if not file.name.startswith("activations"):  # their definitions are in the tables
            prefix = "layers" if file.parent.name == "layers" else f"models.{file.stem}"
            names |= {f"{prefix}.{name}" for name in _defined(file, ast.ClassDef)}
    return Library(version=timm.__version__, names=names, build=partial(_timm_function, timm), evaluate=with_torch)


def _defined(file: Path, *kinds: type) -> list[str]:
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return [node.name for node in body if isinstance(node, kinds) and SOUNDS_LIKE_ONE.search(node.name)]


def _timm_function(timm: Any, name: str, dtype: str) -> Any:
    if "." not in name:
        return _typed(timm.layers.get_act_layer(name)(), dtype)
    return bare(_torch_function(timm, name, dtype))


def ask_x_transformers() -> Library:
    """Return x-transformers' activations: definitions named like one, and the functions that ``Attend`` offers for its weights."""
    package = importlib.import_module("x_transformers.x_transformers")
    attend = importlib.import_module("x_transformers.attend").Attend
    names = set(_defined(Path(package.__file__), ast.ClassDef, ast.FunctionDef))
    choices = re.findall(r"at_most_one_of\((.*?)\)", inspect.getsource(attend.__init__))[0].split(", ")
    names |= {"Attend(sparse_topk=2)" if "topk" in choice else f"Attend({choice}=True)" for choice in choices}
    version = importlib.import_module("importlib.metadata").version("x-transformers")
    home = ModuleType("home")
    vars(home).update(vars(package) | {"Attend": attend, "nn": nn})
    return Library(version=version, names=names, build=partial(_x_transformers_function, home), evaluate=with_torch)


def _x_transformers_function(home: ModuleType, name: str, dtype: str) -> Any:
    built = _torch_function(home, name, dtype)
    return built.attn_fn if name.startswith("Attend") else bare(built)


def keras_names() -> set[str]:
    """Return the functions of keras.activations by the names that layers take, and the layers that are activations."""
    table = importlib.import_module("keras.src.activations").ALL_OBJECTS_DICT
    layers = vars(importlib.import_module("keras").layers).items()
    home = "keras.src.layers.activations"
    return set(table) | {f"layers.{n}" for n, it in layers if str(getattr(it, "__module__", "")).startswith(home)}


def ask_keras() -> Library:
    """Return Keras' activations, on the JAX backend."""
    os.environ["KERAS_BACKEND"] = "jax"
    importlib.import_module("jax").config.update("jax_enable_x64", val=True)
    keras = importlib.import_module("keras")

    def build(name: str, dtype: str) -> Any:
        bare_name, keywords = called(name)
        if bare_name.startswith("layers."):
            made = getattr(keras.layers, bare_name.removeprefix("layers."))(dtype=dtype)
            made.build((None, 1))  # of PReLU: one slope
            return made
        return partial(keras.activations.get(bare_name), **keywords, **_required(bare_name, "default_value"))

    return Library(version=keras.__version__, names=keras_names(), build=build, evaluate=with_jax)


def ask_jax() -> Library:
    """Return JAX' activations."""
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", val=True)
    names = {f"nn.{name}" for name in vars(importlib.import_module("jax.nn")) if not name.startswith("_")}

    def build(name: str, _: str) -> Any:
        bare_name, keywords = called(name)
        if bare_name == "nn.dot_product_attention":  # takes (batch, tokens, heads, dim)
            return lambda x: jax.nn.dot_product_attention(*[x[:, :, None]] * 3)[:, :, 0]
        return partial(getattr(jax.nn, bare_name.removeprefix("nn.")), **keywords)

    return Library(version=jax.__version__, names=names, build=build, evaluate=with_jax)


ASK: dict[str, Callable[[], Library]] = {
    "torch": ask_torch,
    "timm": ask_timm,
    "transformers": ask_transformers,
    "keras": ask_keras,
    "jax": ask_jax,
    "x_transformers": ask_x_transformers,
}

# --- functions by name -----------------------------------------------------------------------------------------------------


def called(text: str) -> tuple[str, dict[str, Any]]:
    """Split ``name(key=value)``."""
    node = ast.parse(text, mode="eval").body
    if isinstance(node, ast.Call):
        return ast.unparse(node.func), {word.arg or "": ast.literal_eval(word.value) for word in node.keywords}
    return text, {}


def _required(name: str, marker: str) -> dict[str, Any]:
    found = REQUIRED.get(name, {})
    return found if marker in found else {}


def _torch_function(home: Any, text: str, dtype: str) -> Any:
    """Return the module or the function of a name, with its arguments bound."""
    node = ast.parse(text, mode="eval").body
    arguments: list[Any] = []
    keywords: dict[str, Any] = {}
    if isinstance(node, ast.Call):
        arguments = [_torch_function(home, ast.unparse(argument), dtype) for argument in node.args]
        keywords = {word.arg or "": ast.literal_eval(word.value) for word in node.keywords}
    name = ast.unparse(node.func if isinstance(node, ast.Call) else node)
    found = home
    for part in name.split("."):
        found = getattr(found, part)
    keywords |= REQUIRED.get(name, {})
    if name == "GLU":
        keywords["activation"] = arguments.pop()
    is_class = isinstance(found, type) or isinstance(getattr(found, "func", None), type)
    if is_class:
        return _typed(found(*arguments, **keywords), dtype)
    if name.endswith("scaled_dot_product_attention"):
        return lambda x: found(x, x, x)
    tensors = {key: it.to(getattr(torch, dtype)) for key, it in keywords.items() if isinstance(it, torch.Tensor)}
    return partial(found, **keywords | tensors)


def _typed(module: nn.Module, dtype: str) -> nn.Module:
    return module.to(getattr(torch, dtype)).eval()


class Half(nn.Module):
    """Module that returns one half of the last dimension."""

    def __init__(self, which: int) -> None:
        super().__init__()
        self.which = which

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return it."""
        return x.chunk(2, dim=-1)[self.which]


def bare(module: Any) -> Any:
    """Remove projections and norms from a layer, so that only its function remains."""
    for name in ("proj", "fc1", "fc2", "w2", "norm"):
        if hasattr(module, name):
            setattr(module, name, nn.Identity())
    for name, half in (("fc1_g", 0), ("fc1_x", 1), ("w0", 0), ("w1", 1)):
        if hasattr(module, name):
            setattr(module, name, Half(half))
    return module


# --- value and gradient --------------------------------------------------------------------------------


def with_torch(function: Any, x: np.ndarray, cotangent: np.ndarray) -> Evaluated:
    """Return value and gradient under torch."""
    tensor = torch.from_numpy(x.copy()).requires_grad_()
    torch.manual_seed(0)
    value = function(tensor)
    if not value.requires_grad:  # a constant, as a step is
        return value.numpy(), np.zeros_like(x)
    try:
        (gradient,) = torch.autograd.grad(value, tensor, torch.from_numpy(cotangent).to(value.dtype))
    except RuntimeError:  # torch has no derivative of heaviside
        return value.detach().numpy(), np.full_like(x, np.nan)
    return value.detach().numpy(), gradient.numpy()


def with_jax(function: Any, x: np.ndarray, cotangent: np.ndarray) -> Evaluated:
    """Return value and gradient under JAX."""
    jax = importlib.import_module("jax")
    value, back = jax.vjp(function, jax.numpy.asarray(x))
    return np.asarray(value), np.asarray(back(jax.numpy.asarray(cotangent, value.dtype))[0])
