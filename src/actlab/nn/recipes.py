"""The recipe: a model, its optimizer and all stabilisers of a training, set up in one call.

recipe = actlab.recipes.binary([784, 1024, 1024, 10], total=steps)
for x, y in batches:
    loss(recipe.model(x), y).backward()
    recipe.step()
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import nn

from actlab.errors import LayerError
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.nn.layers.binary import BinaryWeight, Magnitude, binary_values, custom_gradient_layers
from actlab.nn.layers.layer import layer
from actlab.nn.sites.dry_run import Inputs
from actlab.nn.training.recipe import Recipe
from actlab.nn.training.rule_schedule import SHARPNESS, Schedule, ede, reste, sharpness
from actlab.nn.training.staged_binarization import StagedBinarization
from actlab.nn.transforms.binarize import binarise_
from actlab.nn.transforms.init import init_
from actlab.nn.transforms.insert_norms import place_norms_
from actlab.nn.transforms.swap import swap_

__all__ = ["binary"]

Weights = Literal["float", "binary"]


def binary(
    model: nn.Module | Sequence[int],
    *,
    total: int,
    example_inputs: Inputs | None = None,
    activation: str | Spec = "sign/approxsign",
    weights: Weights = "float",
    weight_rule: str | Spec = "sign/clipped",
    scale: Magnitude | None = None,
    keep_ends: bool = True,
    float_share: float = 0.0,
    sharpen_from: float | None = None,
    learning_rate: float = 1e-3,
    max_norm: float | None = 1.0,
    init: bool = True,
    seed: int = 0,
) -> Recipe:
    """Return a training of a net with binary activations, and with binary weights if asked for, that holds on to what is known to help.

    In order: binary activations in the places of the model's own; a BatchNorm right before each; binary layers between the first and the
    last one, if ``weights="binary"``; weights drawn at the gain of the activation before them; Adam, its rate warmed up and lowered
    with a cosine; gradients clipped module by module; latent weights clipped to the window of their rule; the schedule of the rule, where
    it has one (EDE, ReSTE).

    Args:
        model: a model, changed in place, or the sizes of an MLP, whose inputs are flattened. Binary activations that a model has already
            stay; without any, all its activations become ``activation``.
        total: steps of the whole training.
        example_inputs: a batch as the model gets it; needed with a model.
        activation: a spec with two values and a rule, such as ``step/arctan``.
        weights: "binary" takes the signs of the weights of all layers but the first and the last.
        weight_rule: how the gradient reaches latent weights.
        scale: of binary layers, see :class:`BinaryLinear`.
        keep_ends: leave the weights of the first and the last layer float. If not, put a norm behind the last one: its outputs are large.
        float_share: share of the training in which the weights stay float; then they become binary.
        sharpen_from: factor of the sharpness at the beginning, for rules that have one; None leaves it as it is.
        learning_rate: the highest one.
        max_norm: of the gradients of one module.
        init: draw the weights anew; False keeps a trained model's.
        seed: of the drawing.

    Returns:
        The recipe; ``recipe.model`` is the model.

    Raises:
        LayerError: the activation is not binary or has no rule, or a number makes no sense.
        SiteError: the model has no activation that can be replaced, or does not run on the inputs.

    Example:
        >>> recipe = binary([2, 32, 32, 2], total=60, weights="binary", learning_rate=0.02)
        >>> x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
        >>> y = (x[:, 0] * x[:, 1] > 0).long()
        >>> for _ in range(60):
        ...     nn.functional.cross_entropy(recipe.model(x), y).backward()
        ...     norms = recipe.step()
        >>> bool((recipe.model.eval()(x).argmax(1) == y).float().mean() > 0.8)
        True
        >>> recipe.model[4]
        BinaryLinear(in_features=32, out_features=32, bias=False, weights='sign/clipped')
    """
    spec = _checked(activation, weights, float_share)
    net: nn.Module
    if not isinstance(model, nn.Module):
        net = _mlp(model, spec)
        example_inputs = torch.zeros(2, model[0])
    elif example_inputs is None:
        raise LayerError("A model needs example_inputs, a batch as it gets in training; sizes of an MLP do not.")
    else:
        net = model
        if not any(binary_values(found.spec) for _, found in custom_gradient_layers(model)):
            swap_(model, spec, example_inputs=example_inputs)
    place_norms_(net, example_inputs)
    if weights == "binary" and not any(isinstance(module, BinaryWeight) for module in net.modules()):
        binarise_(net, example_inputs, weights=weight_rule, scale=scale, keep_ends=keep_ends)
    if init:
        init_(net, example_inputs, torch.Generator().manual_seed(seed))
    return Recipe(
        net,
        total=total,
        learning_rate=learning_rate,
        max_norm=max_norm,
        schedules=_schedules(net, total, sharpen_from),
        stages=StagedBinarization(net, float_until=round(float_share * total)) if float_share else None,
    )


def _checked(activation: str | Spec, weights: str, float_share: float) -> Spec:
    spec = parse(activation)
    if spec.backward is None or binary_values(spec) is None:
        raise LayerError(
            f"{spec} is no binary activation with a gradient rule, such as 'step/arctan' or 'sign/clipped'."
        )
    if weights not in get_args(Weights):
        raise LayerError(f"weights is one of {', '.join(map(repr, get_args(Weights)))}; got {weights!r}.")
    if not 0 <= float_share < 1 or (float_share and weights == "float"):
        raise LayerError(
            f"float_share lies in [0, 1), and is for weights='binary'; got {float_share!r} with weights={weights!r}."
        )
    return spec


def _mlp(sizes: Sequence[int], spec: Spec) -> nn.Sequential:
    if len(sizes) < 3 or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise LayerError(
            f"An MLP has an input, hidden layers and an output, such as [784, 1024, 10]; got {list(sizes)!r}."
        )
    parts: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in pairwise(sizes[:-1]):
        parts += [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), layer(spec)]
    return nn.Sequential(*parts, nn.Linear(sizes[-2], sizes[-1]))


def _schedules(model: nn.Module, total: int, sharpen_from: float | None) -> list[Schedule]:
    """Return the schedules that the model's rules ask for, and those of the sharpness of others."""
    rules = {
        found.spec.backward.rule.name for _, found in custom_gradient_layers(model) if found.spec.backward is not None
    }
    made = [make(model, total) for name, make in (("ede", ede), ("reste", reste)) if name in rules]
    if sharpen_from is not None:
        if not rules & SHARPNESS.keys():
            raise LayerError(
                f"sharpen_from is for rules with a sharpness ({', '.join(SHARPNESS)}); the model has {', '.join(sorted(rules))}."
            )
        made += sharpness(model, total, start=sharpen_from)
    return made
