"""Build a model, optimizer and training schedule for binary activations in one call.

recipe = actlab.recipes.binary([784, 1024, 1024, 10], total=steps)
for x, y in batches:
    loss(recipe.model(x), y).backward()
    recipe.step()
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypedDict, Unpack, get_args

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
from actlab.nn.transforms.insert_norms import insert_norms_
from actlab.nn.transforms.swap import swap_
from actlab.system.options import from_options

__all__ = ["BinaryRecipeOptions", "BinaryRecipeSettings", "binary"]

Weights = Literal["float", "binary"]


@dataclass(frozen=True, kw_only=True)
class BinaryRecipeSettings:
    """How a binary net is built and trained.

    Attributes:
        activation: a spec with two values and a gradient rule, such as ``step/arctan``.
        weights: "binary" uses the signs of the weights of all layers but the first and the last.
        weight_rule: how the gradient reaches latent weights.
        scale: of binary layers, see :class:`~actlab.nn.layers.binary.BinarySettings`.
        keep_ends: leave the weights of the first and the last layer float. If not, put a norm after the last one: its outputs are large.
        float_share: share of the training in which the weights stay float, before they become binary; in [0, 1).
        sharpen_from: factor of the sharpness at the beginning, for rules that have one; None leaves it constant.
        learning_rate: the highest one.
        max_norm: norm to which the gradients of each module are clipped; None for no clipping.
        init: draw new weights; False keeps those of a trained model.
        seed: of the new weights.

    Raises:
        LayerError: the activation is not binary or has no rule, or a value is out of range.

    Example:
        >>> BinaryRecipeSettings(weights="binary").weight_rule
        'sign/clipped'
    """

    activation: str | Spec = "sign/approxsign"
    weights: Weights = "float"
    weight_rule: str | Spec = "sign/clipped"
    scale: Magnitude | None = None
    keep_ends: bool = True
    float_share: float = 0.0
    sharpen_from: float | None = None
    learning_rate: float = 1e-3
    max_norm: float | None = 1.0
    init: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        spec = self.spec
        if spec.backward is None or binary_values(spec) is None:
            raise LayerError(
                f"{spec} is no binary activation with a gradient rule, such as 'step/arctan' or 'sign/clipped'."
            )
        if self.weights not in get_args(Weights):
            raise LayerError(f"weights is one of {', '.join(map(repr, get_args(Weights)))}; got {self.weights!r}.")
        if not 0 <= self.float_share < 1 or (self.float_share and self.weights == "float"):
            raise LayerError(
                f"float_share lies in [0, 1), and is for weights='binary'; got {self.float_share!r} with weights={self.weights!r}."
            )

    @property
    def spec(self) -> Spec:
        """The activation, parsed."""
        return parse(self.activation)


class BinaryRecipeOptions(TypedDict, total=False):
    """Fields of :class:`BinaryRecipeSettings` as keyword arguments."""

    activation: str | Spec
    weights: Weights
    weight_rule: str | Spec
    scale: Magnitude | None
    keep_ends: bool
    float_share: float
    sharpen_from: float | None
    learning_rate: float
    max_norm: float | None
    init: bool
    seed: int


def binary(
    model: nn.Module | Sequence[int],
    *,
    total: int,
    example_inputs: Inputs | None = None,
    settings: BinaryRecipeSettings | None = None,
    **options: Unpack[BinaryRecipeOptions],
) -> Recipe:
    """Return a training recipe for a net with binary activations, and binary weights if asked for.

    It applies in order: binary activations instead of the model's own; a BatchNorm right before each; binary layers between the first and
    the last one, if ``weights="binary"``; weights drawn with the gain of the activation before them; Adam with warm-up and cosine decay;
    gradient clipping per module; latent weights clipped to the window of their rule; the schedule of the rule, if any (EDE, ReSTE).

    Args:
        model: a model, changed in place, or the sizes of an MLP, whose inputs are flattened. Binary activations already in the model stay;
            if it has none, all its activations become ``activation``.
        total: number of training steps.
        example_inputs: a batch as the model gets it in training; needed with a model.
        settings: see :class:`BinaryRecipeSettings`.
        options: fields of ``settings`` by name, such as ``weights="binary"``; they take precedence.

    Returns:
        The recipe; ``recipe.model`` is the model.

    Raises:
        LayerError: the activation is not binary or has no rule, or a value is out of range.
        SiteError: the model has no activation that can be replaced, or raises on the inputs.

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
    chosen = from_options(BinaryRecipeSettings, settings, options)
    if not isinstance(model, nn.Module):
        return _recipe(_mlp(model, chosen.spec), torch.zeros(2, model[0]), total, chosen)
    if example_inputs is None:
        raise LayerError("A model needs example_inputs, a batch as it gets in training; sizes of an MLP do not.")
    if not any(binary_values(act.spec) for _, act in custom_gradient_layers(model)):
        swap_(model, chosen.spec, example_inputs=example_inputs)
    return _recipe(model, example_inputs, total, chosen)


def _recipe(net: nn.Module, example_inputs: Inputs, total: int, settings: BinaryRecipeSettings) -> Recipe:
    """Insert norms and binary layers into a net with binary activations, and build its recipe."""
    insert_norms_(net, example_inputs)
    if settings.weights == "binary" and not any(isinstance(module, BinaryWeight) for module in net.modules()):
        weights, scale = settings.weight_rule, settings.scale
        binarise_(net, example_inputs, weights=weights, scale=scale, keep_ends=settings.keep_ends)
    if settings.init:
        init_(net, example_inputs, torch.Generator().manual_seed(settings.seed))
    stages = None
    if settings.float_share:
        stages = StagedBinarization(net, float_until=round(settings.float_share * total))
    return Recipe(
        net,
        total=total,
        learning_rate=settings.learning_rate,
        max_norm=settings.max_norm,
        schedules=_schedules(net, total, settings.sharpen_from),
        stages=stages,
    )


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
    """Return the schedules that the model's rules come with, and those of the sharpness of other rules."""
    rules = {act.spec.backward.rule.name for _, act in custom_gradient_layers(model) if act.spec.backward is not None}
    schedules = [build(model, total) for name, build in (("ede", ede), ("reste", reste)) if name in rules]
    if sharpen_from is not None:
        if not rules & SHARPNESS.keys():
            raise LayerError(
                f"sharpen_from is for rules with a sharpness ({', '.join(SHARPNESS)}); the model has {', '.join(sorted(rules))}."
            )
        schedules += sharpness(model, total, start=sharpen_from)
    return schedules
