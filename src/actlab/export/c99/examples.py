"""Inputs of test vectors, with the outputs of the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from actlab.export.capture.capture import batch_size, with_batch
from actlab.nn.passes.output_tensors import output_tensors
from actlab.nn.sites.dry_run import Arguments, no_side_effects, run

__all__ = ["arrays_of", "model_outputs", "test_vectors"]


def test_vectors(
    model: nn.Module, arguments: Arguments, names: Sequence[str], count: int
) -> tuple[list[Any], list[Any]]:
    """Return inputs and the model's outputs: the first examples, and as many random ones of three times their spread.

    Args:
        model: in any mode; it runs without side effects.
        arguments: positional and keyword ones, batches.
        names: of the inputs of the net.
        count: of the examples.
    """
    size = batch_size(arguments) or 1
    arguments = with_batch(arguments, min(count, size))
    generator = torch.Generator().manual_seed(0)

    def with_random(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        center, spread = value.mean(), value.std(correction=0)
        return torch.cat([value, center + 3 * spread * torch.randn(value.shape, generator=generator)])

    arguments = tree_map(with_random, arguments)
    return arrays_of(arguments, names), model_outputs(model, arguments)


def model_outputs(model: nn.Module, arguments: Arguments) -> list[Any]:
    """Return the outputs of a model as arrays; its mode and buffers stay as they are."""
    with no_side_effects(model):
        return [tensor.detach().cpu().numpy() for tensor in output_tensors(run(model, arguments))]


def arrays_of(arguments: Arguments, names: Sequence[str]) -> list[Any]:
    """Return the tensors of arguments as arrays, in the order of a net's inputs."""
    args, kwargs = arguments
    named = [kwargs[name] for name in names] if kwargs and set(kwargs) == set(names) else None
    tensors = named or [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    return [tensor.detach().cpu().numpy() for tensor in tensors]
