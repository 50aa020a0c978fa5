"""The fold: a factor of an activation's output, moved into the weights of the layers that take it.

Which layers can carry a factor is not guessed but tried: the activation's output is doubled and the weights of the candidates halved,
and the model's output must stay the same to the bit. Doubling rounds nothing, so that convolutions, poolings, dropout, reshapes and
sums pass it on exactly, and a norm, a second branch or a second use of the weights gives itself away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from actlab.nn.sites.dry_run import Inputs, copy_inputs, run, no_side_effects
from actlab.nn.sites.find import Entry, Survey
from actlab.nn.sites.trace import Step, Trace

__all__ = ["fold_scale_", "foldable_layers"]


def foldable_layers(
    model: nn.Module, function: nn.Module, entry: Entry, model_survey: Survey, example_inputs: Inputs
) -> tuple[nn.Module, ...]:
    """Return the layers into whose weights a factor of an activation's output can be folded; none where that would change the model.

    Args:
        model: the model as it is, with ``function`` in it.
        function: the module that runs at the site.
        entry: the site, in a survey of the model as it was before ``function`` came in.
        model_survey: that survey, with its trace.
        example_inputs: what the model is tried on.

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
    found = tuple(dict.fromkeys(_takers(model_survey.trace, entry)))
    present = set(model.modules())
    tied = Counter(id(p) for _, p in model.named_parameters(remove_duplicate=False))
    paths = Counter(id(m) for _, m in model.named_modules(remove_duplicate=False))
    if not found or not all(m in present and _is_plain(m, tied, paths) for m in found):
        return ()
    return found if _carries(model, function, found, example_inputs) else ()


def _takers(trace: Trace, entry: Entry) -> Iterator[nn.Module]:
    """Yield the layers that take what an activation makes, and where something blend_sites in between, the next layer that runs."""
    for run_ in entry.runs:
        users = trace.users[run_.result]
        yield from (user.module for user in users if isinstance(user, Step))
        if any(not isinstance(user, Step) for user in users):
            after = trace.steps[trace.steps.index(run_) + 1 :]
            following = next(iter(after), None)
            if isinstance(following, Step):
                yield following.module


def _is_plain(module: nn.Module, tied: Counter[int], paths: Counter[int]) -> bool:
    """Whether a layer's weight is a parameter of its own, in training."""
    weight = module._parameters.get("weight")
    return weight is not None and weight.requires_grad and tied[id(weight)] <= paths[id(module)]


def _carries(model: nn.Module, function: nn.Module, layers: Sequence[nn.Module], example_inputs: Inputs) -> bool:
    with no_side_effects(model):
        _shift_norms(model)
        plain = run(model, copy_inputs(example_inputs))
        with _doubled(function):
            other = run(model, copy_inputs(example_inputs))
            with _halved(layers):
                folded = run(model, copy_inputs(example_inputs))
    # where doubling alone changes nothing the batch does not reach the output, and proves nothing
    return _equal(plain, folded) and not _equal(plain, other)


@torch.no_grad()
def _shift_norms(model: nn.Module) -> None:
    """Take every BatchNorm's mean off zero: a fresh one in eval mode would pass a factor on, which it does not in training."""
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
    kept = [layer.get_parameter("weight").detach().clone() for layer in layers]
    fold_scale_(layers, 0.5)
    try:
        yield
    finally:
        with torch.no_grad():
            for layer, weight in zip(layers, kept, strict=True):
                layer.get_parameter("weight").copy_(weight)


def _equal(a: object, b: object) -> bool:
    pairs = zip(tree_leaves(a), tree_leaves(b), strict=True)
    return all(torch.equal(x, y) for x, y in pairs if isinstance(x, Tensor) and isinstance(y, Tensor))


@torch.no_grad()
def fold_scale_(layers: Sequence[nn.Module], factor: float) -> None:
    """Multiply the weights of layers by a factor; their biases stay.

    Example:
        >>> linear = nn.Linear(1, 1)
        >>> _ = linear.weight.data.fill_(3.0)
        >>> fold_scale_([linear], 0.5)
        >>> linear.weight.item()
        1.5
    """
    for layer in layers:
        layer.get_parameter("weight").mul_(factor)
