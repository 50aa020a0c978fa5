"""The recipe: a model, its optimizer and all stabilisers of a training, set up in one call.

recipe = actlab.recipes.binary([784, 1024, 1024, 10], total=steps)
for x, y in batches:
    loss(recipe.model(x), y).backward()
    recipe.step()
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import cos, pi
from typing import Any, Literal, get_args

import torch
from torch import nn

from actlab.errors import LayerError
from actlab.functions.spec import Spec, parse
from actlab.models.binary import BinaryWeight, Magnitude, binarise_, decoupled_layers
from actlab.models.clipping import clip_gradients_, clip_latents_
from actlab.models.init import init_
from actlab.models.layer import layer
from actlab.models.norms import binary_values, place_norms_
from actlab.models.schedule import SHARPNESS, Schedule, ede, reste, sharpness
from actlab.models.stages import Stages
from actlab.models.swap import swap_
from actlab.models.undisturbed import Inputs

__all__ = ["Recipe", "binary"]

Weights = Literal["float", "binary"]


class Recipe:
    """A model in training: its optimizer, what is clipped, and what changes from step to step.

    Attributes:
        model: the model.
        optimizer: Adam over all parameters, fused where torch can.
        schedules: of parameters of gradient rules.
        stages: staged binarisation, or None.
        done: steps taken.

    Args:
        model: any module, also one without anything binary: a baseline trains in the same way.
        total: steps of the whole training.
        learning_rate: the highest one; it rises for a twentieth of the training and falls to zero with a cosine.
        max_norm: to which the gradients of each module are clipped; None for no clipping.
        schedules: each goes on by one with every step.
        stages: likewise.

    Raises:
        LayerError: ``total`` is no whole number from 1 up.

    Example:
        >>> recipe = Recipe(nn.Linear(2, 1), total=100)
        >>> recipe.model(torch.ones(1, 2)).sum().backward()
        >>> sorted(recipe.step())
        ['']
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        total: int,
        learning_rate: float = 1e-3,
        max_norm: float | None = 1.0,
        schedules: Sequence[Schedule] = (),
        stages: Stages | None = None,
    ) -> None:
        if isinstance(total, bool) or not isinstance(total, int) or total < 1:
            raise LayerError(f"total is the number of steps of the training, from 1 up; got {total!r}.")
        self.model = model
        self.total = total
        self.learning_rate = learning_rate
        self.max_norm = max_norm
        self.schedules = tuple(schedules)
        self.stages = stages
        self.done = 0
        parameters = list(model.parameters())
        fused = all(p.dtype in {torch.float32, torch.float64} and p.device.type in {"cpu", "cuda"} for p in parameters)
        self.optimizer = torch.optim.Adam(parameters, lr=learning_rate, fused=fused or None)
        self._set_rate()

    def _set_rate(self) -> None:
        warm_up = max(self.total // 20, 1)
        share = min(max(self.done - warm_up, 0) / max(self.total - warm_up, 1), 1.0)
        rate = self.learning_rate * min((self.done + 1) / warm_up, 1.0) * (1 + cos(pi * share)) / 2
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def step(self) -> dict[str, float]:
        """After ``backward()``: clip the gradients, move the weights, clip the latent ones, clear the gradients, and go on.

        Returns:
            The norm of the gradients of each module before clipping, by path; empty if nothing is clipped.
        """
        norms = {} if self.max_norm is None else clip_gradients_(self.model, self.max_norm)
        self.optimizer.step()
        clip_latents_(self.model)
        self.optimizer.zero_grad()
        self.done += 1
        self._set_rate()
        for schedule in self.schedules:
            schedule.step()
        if self.stages is not None:
            self.stages.step()
        return norms

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs beside ``model.state_dict()``; it loads with ``weights_only=True``."""
        return {
            "done": self.done,
            "total": self.total,
            "optimizer": self.optimizer.state_dict(),
            "schedules": [schedule.state_dict() for schedule in self.schedules],
            "stages": None if self.stages is None else self.stages.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where another recipe of the same kind was.

        Raises:
            LayerError: the state has other schedules or stages.
        """
        if len(state.get("schedules", ())) != len(self.schedules) or (state.get("stages") is None) != (
            self.stages is None
        ):
            raise LayerError(
                f"The state has {len(state.get('schedules', ()))} schedules and {'no ' * (state.get('stages') is None)}stages, "
                f"this recipe {len(self.schedules)} and {'no ' * (self.stages is None)}stages; build it with the same arguments."
            )
        self.done, self.total = int(state["done"]), int(state["total"])
        self.optimizer.load_state_dict(state["optimizer"])
        for schedule, kept in zip(self.schedules, state["schedules"], strict=True):
            schedule.load_state_dict(kept)
        if self.stages is not None:
            self.stages.load_state_dict(state["stages"])
        self._set_rate()


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
        if not any(binary_values(found.spec) for _, found in decoupled_layers(model)):
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
        stages=Stages(net, float_until=round(float_share * total)) if float_share else None,
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
    rules = {found.spec.backward.rule.name for _, found in decoupled_layers(model) if found.spec.backward is not None}
    made = [make(model, total) for name, make in (("ede", ede), ("reste", reste)) if name in rules]
    if sharpen_from is not None:
        if not rules & SHARPNESS.keys():
            raise LayerError(
                f"sharpen_from is for rules with a sharpness ({', '.join(SHARPNESS)}); the model has {', '.join(sorted(rules))}."
            )
        made += sharpness(model, total, start=sharpen_from)
    return made
