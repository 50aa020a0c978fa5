"""Fold a scale of an activation's output into the weights of the layers behind it.

Whether layers can absorb a scale is tested: the activation's output is doubled, the weights of the candidate layers are halved, and the
model's output must stay the same to the bit. Doubling rounds nothing, so that convolutions, pooling, dropout, reshapes and sums pass it on
exactly, while a norm, a second branch or a second use of the weights changes the output.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from actlab.nn.sites.dry_run import Inputs, copy_inputs, no_side_effects, run
from actlab.nn.sites.find import Entry, Survey
from actlab.nn.sites.trace import Step, Trace

__all__ = ["fold_scale_", "foldable_layers"]


def foldable_layers(
    model: nn.Module, function: nn.Module, entry: Entry, model_survey: Survey, example_inputs: Inputs
) -> tuple[nn.Module, ...]:
    """Return the layers whose weights can absorb a scale of an activation's output; none where that would change the model.

    Args:
        model: the model as it is, with ``function`` in it.
        function: the module that runs at the site.
        entry: the site, in a survey of the model before ``function`` was inserted.
        model_survey: that survey, with its trace.
        example_inputs: a batch on which folding is tried.

    Example:
        >>> from actlab.nn.sites.find import survey
        >>> _ = torch.manual_seed(0)
        >>> x = torch.randn(8, 2)
        >>> net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Dropout(), nn.Linear(2, 1))
        >>> model_survey = survey(net, x)
        >>> foldable_layers(net, net[1], model_survey.entries[0], model_survey, x)
        (Linear(in_features=2, out_features=1, bias=True),)
    """
    if model_survey.trace is None:
        return ()
    layers = tuple(dict.fromkeys(_consumers(model_survey.trace, entry)))
    present = set(model.modules())
    tied = Counter(id(p) for _, p in model.named_parameters(remove_duplicate=False))
    paths = Counter(id(m) for _, m in model.named_modules(remove_duplicate=False))
    if not layers or not all(m in present and _has_own_weight(m, tied, paths) for m in layers):
        return ()
    return layers if _can_fold(model, function, layers, example_inputs) else ()


def _consumers(trace: Trace, entry: Entry) -> Iterator[nn.Module]:
    """Yield the layers that consume an activation's output; behind another operation, the next layer that runs."""
    for run_ in entry.runs:
        users = trace.users[run_.result]
        yield from (user.module for user in users if isinstance(user, Step))
        if any(not isinstance(user, Step) for user in users):
            after = trace.steps[trace.steps.index(run_) + 1 :]
            following = next(iter(after), None)
            if isinstance(following, Step):
                yield following.module


def _has_own_weight(module: nn.Module, tied: Counter[int], paths: Counter[int]) -> bool:
    """Whether a layer's weight is a trainable parameter that no other module uses."""
    weight = module._parameters.get("weight")
    return weight is not None and weight.requires_grad and tied[id(weight)] <= paths[id(module)]


def _can_fold(model: nn.Module, function: nn.Module, layers: Sequence[nn.Module], example_inputs: Inputs) -> bool:
    with no_side_effects(model):
        _shift_norms(model)
        plain = run(model, copy_inputs(example_inputs))
        with _doubled(function):
            other = run(model, copy_inputs(example_inputs))
            with _halved(layers):
                folded = run(model, copy_inputs(example_inputs))
    # Where doubling alone changes nothing, the site does not affect the output on this batch, and the test is void.
    return _equal(plain, folded) and not _equal(plain, other)


@torch.no_grad()
def _shift_norms(model: nn.Module) -> None:
    """Shift every BatchNorm's mean: with mean 0 a fresh one in eval mode passes a scale on, which it does not in training."""
    for module in model.modules():
        mean, variance = module._buffers.get("running_mean"), module._buffers.get("running_var")
        if mean is not None and variance is not None:
            mean.add_(0.1 * variance.sqrt())


@contextmanager
def _doubled(function: nn.Module) -> Iterator[None]:
    handle = function.register_forward_hook(lambda _module, _args, result: result * 2)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _halved(layers: Sequence[nn.Module]) -> Iterator[None]:
    weights = [layer.get_parameter("weight").detach().clone() for layer in layers]
    fold_scale_(layers, 0.5)
    try:
        yield
    finally:
        with torch.no_grad():
            for layer, weight in zip(layers, weights, strict=True):
                layer.get_parameter("weight").copy_(weight)


def _equal(a: object, b: object) -> bool:
    pairs = zip(tree_leaves(a), tree_leaves(b), strict=True)
    return all(torch.equal(x, y) for x, y in pairs if isinstance(x, Tensor) and isinstance(y, Tensor))


@torch.no_grad()
def fold_scale_(layers: Sequence[nn.Module], factor: float) -> None:
    """Multiply the weights of layers by a factor; biases stay.

    Example:
        >>> linear = nn.Linear(1, 1)
        >>> _ = linear.weight.data.fill_(3.0)
        >>> fold_scale_([linear], 0.5)
        >>> linear.weight.item()
        1.5
    """
    for layer in layers:
        layer.get_parameter("weight").mul_(factor)
