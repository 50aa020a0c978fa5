"""Run a model without side effects on it, its inputs and the random generators.

The pass runs in ``eval`` mode without gradients, or as the model is trained, on a copy of the inputs, under forked random generators.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from actlab.errors import SiteError
from actlab.nn.passes.copies import copied
from actlab.nn.passes.sharded import check_not_sharded, reshard
from actlab.nn.passes.snapshot import Snapshot

__all__ = ["Arguments", "Inputs", "copy_inputs", "eagerly", "no_side_effects", "run"]

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
    """Return a copy of the inputs as arguments of a call, see :func:`actlab.nn.passes.copies.copied`.

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
    copies = tree_map(copied, example_inputs)
    if isinstance(example_inputs, Mapping):
        return (), dict(copies)
    return (copies if isinstance(example_inputs, tuple) else (copies,)), {}


@contextmanager
def no_side_effects(model: nn.Module, *, training: bool = False) -> Iterator[None]:
    """Run the block at a fixed seed, then restore whatever it may have changed in the model and the random generators.

    What is restored, and what is out of reach, is said in :mod:`actlab.nn.passes.snapshot`. A fully sharded model (FSDP) runs in eval mode
    only, and its parameters are left to it.

    Args:
        model: any module.
        training: run in training mode with gradients (a model already in training mode keeps the flags of its parts, such as a frozen
            BatchNorm's); otherwise in eval mode without gradients.

    Raises:
        SiteError: the model has lazy parameters without a shape, is fully sharded and would be run with gradients, or something cannot
            be restored; all the rest is.
    """
    if any(isinstance(p, nn.parameter.UninitializedParameter) for p in model.parameters()):
        raise SiteError(
            "The model has lazy parameters that have no shape yet. Run it once on a batch, then look for its activations."
        )
    if training:
        check_not_sharded(model, "A pass with gradients")
    reshard(model)
    snapshot = Snapshot(model)
    try:
        with _fixed_seed(model), torch.set_grad_enabled(training), eagerly(model):
            if not (training and model.training):
                model.train(training)
            yield
    except BaseException as error:
        failures = _restored(model, snapshot)
        if failures:
            error.add_note(f"What cannot be put back in {type(model).__name__}: {'; '.join(failures)}")
        raise
    failures = _restored(model, snapshot)
    if failures:
        raise SiteError(
            f"The forward pass changed what cannot be put back in {type(model).__name__}: {'; '.join(failures[:4])}. All the rest was put "
            "back. Run it on a copy of the model."
        )


def _restored(model: nn.Module, snapshot: Snapshot) -> list[str]:
    reshard(model)
    return snapshot.restore()


@contextmanager
def _fixed_seed(model: nn.Module) -> Iterator[None]:
    """Seed the global random generators, and restore their states at the end."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 # the user's model may draw from the global generator
    devices = [device for device in {p.device for p in model.parameters()} if device.type == "cuda"]
    try:
        with torch.random.fork_rng(devices=devices):
            torch.default_generator.manual_seed(0)  # torch.manual_seed would also reseed GPUs that are not saved
            for device in devices:
                torch.cuda.default_generators[device.index].manual_seed(0)
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002 # as above


@contextmanager
def eagerly(model: nn.Module) -> Iterator[None]:
    """Run compiled modules without the compiler, so that hooks and function modes see their calls."""
    compiled = any(m._compiled_call_impl is not None or hasattr(m, "_orig_mod") for m in model.modules())
    if not compiled:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield
