"""Run a model without side effects, restoring its mode, buffers, attributes and RNG state.

The pass runs in ``eval`` mode without gradients, or as the model is trained, on a copy of the inputs, under forked random generators.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from actlab.errors import SiteError

__all__ = ["Arguments", "Inputs", "copy_inputs", "no_side_effects", "run"]

Inputs = Tensor | tuple[Any, ...] | Mapping[str, Any]
Arguments = tuple[tuple[Any, ...], dict[str, Any]]


def run(model: nn.Module, arguments: Arguments) -> Any:
    """Call a model.

    Args:
        model: any module.
        arguments: positional and keyword arguments, see :func:`copy_inputs`.

    Raises:
        SiteError: the model raises on the arguments.
    """
    args, kwargs = arguments
    try:
        return model(*args, **kwargs)
    except Exception as error:  # a user's model may raise anything
        raise SiteError(
            f"{type(model).__name__} raised on example_inputs: {type(error).__name__}: {error}. "
            "Give a batch as the model takes it in training: a tensor, a tuple of positional arguments, or a dict of keyword arguments."
        ) from error


def copy_inputs(example_inputs: Inputs) -> Arguments:
    """Return a copy of the inputs as arguments of a call.

    Args:
        example_inputs: a tensor, a tuple of positional arguments, or a dict of keyword arguments.

    Raises:
        SiteError: the inputs have another type.
    """
    if not isinstance(example_inputs, (Tensor, tuple, Mapping)):
        raise SiteError(
            f"example_inputs is a {type(example_inputs).__name__}; allowed are a tensor, a tuple of positional arguments, "
            "and a dict of keyword arguments."
        )
    copies = tree_map(lambda leaf: leaf.detach().clone() if isinstance(leaf, Tensor) else leaf, example_inputs)
    if isinstance(example_inputs, Mapping):
        return (), dict(copies)
    return (copies if isinstance(example_inputs, tuple) else (copies,)), {}


@contextmanager
def no_side_effects(model: nn.Module, *, training: bool = False) -> Iterator[None]:
    """Run the block at a fixed seed, then restore whatever it may have changed in the model and the random generators.

    Args:
        model: any module.
        training: run in training mode with gradients (a model already in training mode keeps the flags of its parts, such as a frozen
            BatchNorm's); otherwise in eval mode without gradients.

    Raises:
        SiteError: the model has lazy parameters without a shape.
    """
    if any(isinstance(p, nn.parameter.UninitializedParameter) for p in model.parameters()):
        raise SiteError(
            "The model has lazy parameters that have no shape yet. Run it once on a batch, then look for its activations."
        )
    restore = [_snapshot(module) for module in model.modules()]
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 # the user's model may draw from the global generator
    devices = [device for device in {p.device for p in model.parameters()} if device.type == "cuda"]
    try:
        with torch.set_grad_enabled(training), torch.random.fork_rng(devices=devices), _eagerly(model):
            torch.default_generator.manual_seed(0)  # torch.manual_seed would also reseed GPUs that are not saved
            for device in devices:
                torch.cuda.default_generators[device.index].manual_seed(0)
            if not (training and model.training):
                model.train(training)
            yield
    finally:
        for restore_module in restore:
            restore_module()
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002 # as above


def _snapshot(module: nn.Module) -> Callable[[], None]:
    """Return a function that restores a module's attributes, registered members and buffer contents."""
    if isinstance(module, torch.jit.ScriptModule):
        training = module.training
        return lambda: setattr(module, "training", training)
    attributes = dict(vars(module))
    members: list[tuple[Any, dict[str, Any]]] = [
        (held, dict(held)) for held in (module._buffers, module._parameters, module._modules)
    ]
    buffers = [(buffer, buffer.detach().clone()) for buffer in module._buffers.values() if buffer is not None]

    def restore() -> None:
        vars(module).clear()
        vars(module).update(attributes)
        for held, before in members:
            held.clear()
            held.update(before)
        with torch.no_grad():
            for buffer, contents in buffers:
                buffer.copy_(contents)

    return restore


@contextmanager
def _eagerly(model: nn.Module) -> Iterator[None]:
    """Run compiled modules without the compiler, so that hooks and function modes see their calls."""
    compiled = any(m._compiled_call_impl is not None or hasattr(m, "_orig_mod") for m in model.modules())
    if not compiled:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield
