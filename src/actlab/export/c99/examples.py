"""Inputs of test vectors, with the outputs of the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from actlab.export.capture.capture import batch_size, with_batch
from actlab.export.net.net import Net
from actlab.export.net.pieces import unreached
from actlab.nn.passes.output_tensors import output_tensors
from actlab.nn.sites.dry_run import Arguments, no_side_effects, run

__all__ = ["arrays_of", "model_outputs", "test_vectors"]

FACTORS = (3, 12, 48, 192)  # of the examples' spread


def test_vectors(
    model: nn.Module,
    arguments: Arguments,
    names: Sequence[str],
    count: int,
    net: Net | None = None,  # noqa: PT028 # no test
) -> tuple[list[Any], list[Any]]:
    """Return inputs and the model's outputs: the first examples, and as many random ones of three times their spread.

    Args:
        model: in any mode; it runs without side effects.
        arguments: positional and keyword ones, batches.
        names: of the inputs of the net.
        count: of the examples.
        net: where given, every other random input is larger if a piece of a piecewise activation is not reached otherwise, such as what
            is above 6 of relu6.
    """
    size = batch_size(arguments) or 1
    examples = with_batch(arguments, min(count, size))
    arguments = _with_random(examples, _factor(examples, names, net))
    return arrays_of(arguments, names), model_outputs(model, arguments)


def _factor(examples: Arguments, names: Sequence[str], net: Net | None) -> float:
    """Return the smallest factor with which as few activations as can be have pieces that no input reaches."""
    missed: dict[float, int] = {}
    if net is not None:
        for factor in FACTORS:
            missed[factor] = len(unreached(net, arrays_of(_with_random(examples, factor), names)))
            if not missed[factor]:
                break
    return min(missed, key=lambda factor: (missed[factor], factor), default=FACTORS[0])


def _with_random(examples: Arguments, factor: float) -> Arguments:
    generator = torch.Generator().manual_seed(0)

    def with_random(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        center, spread = value.mean(), value.std(correction=0)
        factors = torch.full((len(value), *[1] * (value.dim() - 1)), float(FACTORS[0]))
        factors[1::2] = factor
        return torch.cat([value, center + factors * spread * torch.randn(value.shape, generator=generator)])

    doubled: Arguments = tree_map(with_random, examples)
    return doubled


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
