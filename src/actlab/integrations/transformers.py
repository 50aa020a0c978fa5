"""Extension of transformers' ``ACT2FN`` by ActLab's names and specs as ``hidden_act``, with undo.

A config's string is looked up in ``ACT2FN``, which every model file imports by name: names are added to that dict, and its class gets a
``__missing__`` that parses specs. (``ACT2CLS`` is its source, which three models use.)

``from_pretrained`` builds on the meta device, loads the parameters in the checkpoint, and leaves the others as uninitialized memory to
``PreTrainedModel._initialize_weights``, which handles Linear and norm layers. Learned parameters of an activation are missing in the
checkpoint of a model trained with gelu, so that this method is extended to initialize them.
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
    """Return the lookup tables; the first one is the main one."""
    activations = import_module("transformers.activations")
    return [Table(entries=activations.ACT2FN, make=entry), Table(entries=activations.ACT2CLS, make=entry)]


def enter() -> None:
    """Extend ``ACT2FN`` by specs and the initialization by ActLab's layers, unless that is done already."""
    kind, model = _classes()
    kind.__missing__, kind.__contains__ = _parse_missing, _contains
    if not hasattr(model._initialize_weights, "without_actlab"):
        model._initialize_weights = _with_actlab_layers(model._initialize_weights)


def leave() -> None:
    """Undo :func:`enter`."""
    kind, model = _classes()
    if "__missing__" in vars(kind):
        del kind.__missing__, kind.__contains__
        model._initialize_weights = model._initialize_weights.without_actlab


def _classes() -> tuple[Any, Any]:
    """Return the class of ``ACT2FN`` and the base class of models."""
    table = import_module("transformers.activations").ACT2FN
    return type(table), import_module("transformers.modeling_utils").PreTrainedModel


def _parse_missing(table: dict[str, Any], key: object) -> Any:
    return entry(answer(key, table))


def _contains(table: dict[str, Any], key: object) -> bool:
    return dict.__contains__(table, key) or fits(key)


def _with_actlab_layers(original: Any) -> Any:
    @wraps(original)
    def initialize_weights(self: Any, module: nn.Module, *arguments: Any, **options: Any) -> None:
        if isinstance(module, ActivationLayer):
            _initialize(module)
        else:
            original(self, module, *arguments, **options)

    initialize_weights.without_actlab = original  # type: ignore[attr-defined]  # a mark on a function
    return initialize_weights


def _initialize(module: ActivationLayer) -> None:
    """Set parameters that were not loaded to their initial values; transformers marks those that were loaded."""
    if getattr(module, "_is_hf_initialized", False):
        return
    with torch.no_grad():
        for name, parameter in module.named_parameters(recurse=False):
            if not getattr(parameter, "_is_hf_initialized", False):
                parameter.fill_(module.spec.numbers[name])
    module._is_hf_initialized = True  # type: ignore[assignment]  # transformers' own mark
