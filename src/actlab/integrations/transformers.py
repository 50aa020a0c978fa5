"""Transformers: our names and specs as ``hidden_act`` of a config, and learned parameters that survive its ways to load a model.

A config's string is looked up in ``ACT2FN``, which every model file has imported by name: names are put into that one dict, and its class
learns to read a key that it does not have as a spec. (``ACT2CLS`` is its source, and what three models look in.)

``from_pretrained`` builds on the meta device, fills what the checkpoint has, and leaves the rest as uninitialised memory to
``PreTrainedModel._initialize_weights``, which knows Linears and norms. A net that was trained with gelu and is loaded with a learned
activation has its parameters there, so that method is told how to fill ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import wraps
from importlib import import_module
from typing import Any

import torch
from torch import nn

from actlab.integrations.entry import answer, entry, fits
from actlab.integrations.table import Table
from actlab.nn.layers.activation_layer import ActivationLayer

__all__ = ["enter", "leave", "tables"]


def tables() -> Sequence[Table]:
    """Return the tables, the one that models look in first."""
    activations = import_module("transformers.activations")
    return [Table(entries=activations.ACT2FN, make=entry), Table(entries=activations.ACT2CLS, make=entry)]


def enter() -> None:
    """Let ``ACT2FN`` answer specs, and the initialisation know our layers; nothing where it is so already."""
    kind, model = _classes()
    kind.__missing__, kind.__contains__ = _answered, _contains
    if not hasattr(model._initialize_weights, "without_actlab"):
        model._initialize_weights = _knowing_our_layers(model._initialize_weights)


def leave() -> None:
    """Take back what :func:`enter` has done."""
    kind, model = _classes()
    if "__missing__" in vars(kind):
        del kind.__missing__, kind.__contains__
        model._initialize_weights = model._initialize_weights.without_actlab


def _classes() -> tuple[Any, Any]:
    """Return the class of ``ACT2FN``, and the class of all models."""
    table = import_module("transformers.activations").ACT2FN
    return type(table), import_module("transformers.modeling_utils").PreTrainedModel


def _answered(table: dict[str, Any], key: object) -> Any:
    return entry(answer(key, table))


def _contains(table: dict[str, Any], key: object) -> bool:
    return dict.__contains__(table, key) or fits(key)


def _knowing_our_layers(original: Any) -> Any:
    @wraps(original)
    def initialize_weights(self: Any, module: nn.Module, *arguments: Any, **options: Any) -> None:
        if isinstance(module, ActivationLayer):
            _initialize(module)
        else:
            original(self, module, *arguments, **options)

    initialize_weights.without_actlab = original  # type: ignore[attr-defined]  # a mark on a function
    return initialize_weights


def _initialize(module: ActivationLayer) -> None:
    """Give the parameters that were not loaded their initial values; transformers marks what was loaded."""
    if getattr(module, "_is_hf_initialized", False):
        return
    with torch.no_grad():
        for name, parameter in module.named_parameters(recurse=False):
            if not getattr(parameter, "_is_hf_initialized", False):
                parameter.fill_(module.spec.numbers[name])
    module._is_hf_initialized = True  # type: ignore[assignment]  # transformers' own mark
