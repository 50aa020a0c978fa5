"""Initialize weights with the gain of the activation before them (He initialization for any function).

``nn.Linear`` and convolutions initialize their weights in the same way whatever activation follows, which favors some: a 20-layer GELU net
then starts with about a thousand times less gradient than a ReLU one. Here every weight is drawn from ``N(0, gain / sqrt(fan_in))`` (the
second argument is the standard deviation), where the gain belongs to the activation that ran last (He et al. 2015, arXiv:1502.01852).
How deep a net of that activation preserves its scale then is forecast by :mod:`actlab.functions.analysis.depth_forecast`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Final

import torch
from torch import Tensor, nn

from actlab.errors import SiteError
from actlab.functions.analysis.facts import gain
from actlab.functions.grammar import parse
from actlab.nn.passes.linear_calls import fan_in_of
from actlab.nn.passes.model_argument import takes_model
from actlab.nn.passes.sharded import check_not_sharded
from actlab.nn.passes.values import NESTED
from actlab.nn.sites.dry_run import Inputs
from actlab.nn.sites.find import Survey, survey
from actlab.nn.sites.trace import Run, Step, Trace, WeightedCall

__all__ = ["DrawnWeights", "init_", "init_obstacle"]

_EMBEDDED: Final = "it is the weight of an embedding as well"


class DrawnWeights(list[tuple[str, float]]):
    """Path of each weight that was drawn, with its gain, in order of execution.

    Attributes:
        left_out: weights that are applied in the pass and were not drawn, with the reason, by path.
    """

    def __init__(self, drawn: Iterable[tuple[str, float]], left_out: Mapping[str, str]) -> None:
        super().__init__(drawn)
        self.left_out = dict(left_out)

    def __repr__(self) -> str:
        """Return the list, and a line for each weight that was left out."""
        return "".join(
            [super().__repr__(), *(f"\n{path} left out: {reason}" for path, reason in self.left_out.items())]
        )


@takes_model
def init_(
    model: nn.Module,
    example_inputs: Inputs,
    generator: torch.Generator | None = None,
    bias: float = 0.0,
) -> DrawnWeights:
    """Draw new weights for every linear layer and convolution, with the gain of the activation that ran last before it.

    The model is run once, as by :func:`find`. Layers are drawn in execution order, from the same normal numbers for any activations: two
    models that differ in their activations only get, from generators in the same state, weights that differ by one factor per layer.
    Layers are ``nn.Linear``, convolutions, transposed convolutions, and calls of ``F.linear``, ``F.conv2d`` and the like with a parameter
    of the model. A transposed convolution sums ``in_channels * kernel / stride`` products (in each dimension) on average over its outputs.
    Layers that do not run, embeddings, norms, and layers inside fused modules (attention, LSTM) keep their weights. Other products with
    a parameter (``x @ self.weight``), and calls with a weight that is computed, are listed in ``left_out`` of the result.

    Args:
        model: any module; changed in place.
        example_inputs: as for :func:`find`.
        generator: source of the normal numbers; None for seed 0.
        bias: value of every bias of those layers.

    Returns:
        Path of each weight that was drawn, with its gain, in order; 1 before any activation. The gain of a vector function is that at the
        width (and number of tokens) it ran with, for layers that consume its output directly; a layer behind another operation on it,
        such as the values weighted by a softmax, gets 1.

    Raises:
        SiteError: an activation has no known gain, the weight of a layer is computed from other parameters, or the model is fully sharded.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> [(path, round(gain, 3)) for path, gain in init_(model, torch.zeros(1, 4))]
        [('0.weight', 1.0), ('2.weight', 1.414)]
    """
    check_not_sharded(model, "init_")
    model_survey = survey(model, example_inputs)
    layers, left_out = _layers(model_survey)
    generator = generator or torch.Generator().manual_seed(0)
    for layer in layers:
        _draw(layer, bias, generator)
    return DrawnWeights([(layer.path, layer.gain) for layer in layers], left_out)


def init_obstacle(model_survey: Survey) -> str | None:
    """Return why :func:`init_` would refuse a model, or None; nothing is changed.

    Args:
        model_survey: the sites of the model, with a trace.
    """
    try:
        check_not_sharded(model_survey.model, "init_")
        _layers(model_survey)
    except SiteError as error:
        return str(error)
    return None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Layer:
    """A weight to be drawn, with its bias, the number of products it sums, and its gain."""

    path: str
    weight: Tensor
    bias: Tensor | None
    fan_in: float
    gain: float


def _layers(model_survey: Survey) -> tuple[list[_Layer], dict[str, str]]:
    """Return the weights to be drawn, in order of execution, and why others are left out."""
    trace = model_survey.trace or Trace()
    names = {id(p): name for name, p in reversed(list(model_survey.model.named_parameters(remove_duplicate=False)))}
    embedded = {id(m.weight) for m in model_survey.model.modules() if isinstance(m, nn.Embedding)}
    layers: dict[int, _Layer] = {}
    left_out: dict[str, str] = {}
    last: Run | None = None
    for step in trace.steps:
        if isinstance(step, Run):
            if step.unusual in {None, NESTED}:  # one on integers does not scale what flows through the layers
                last = step
            continue
        reason = _left_out_reason(step, names, embedded)
        if reason is not None:
            left_out[_name_of(step, names, model_survey)] = reason
            continue
        if isinstance(step, WeightedCall):
            weight, bias, fan_in = step.call.weight, step.call.bias, step.call.fan_in
        else:
            weight, bias, fan_in = _of_module(step.module, model_survey.paths[id(step.module)][0])
        if id(weight) not in layers:
            value = 1.0 if last is None else _gain(last, is_direct=_consumes(step, last, trace))
            known = bias if bias is not None and id(bias) in names else None
            layers[id(weight)] = _Layer(path=names[id(weight)], weight=weight, bias=known, fan_in=fan_in, gain=value)
    drawn = {layer.path for layer in layers.values()}
    return list(layers.values()), {path: reason for path, reason in left_out.items() if path not in drawn}


def _left_out_reason(step: Step | WeightedCall, names: Mapping[int, str], embedded: set[int]) -> str | None:
    """Return why the weight of a layer or a call is not drawn, or None."""
    if isinstance(step, Step):
        return _EMBEDDED if id(step.module._parameters.get("weight")) in embedded else None
    call = step.call
    if not call.is_layer:
        return f"it is a factor of {call.name}, in which it need not be the weight of a layer; apply it by F.linear"
    if id(call.weight) in embedded:
        return _EMBEDDED
    return None if id(call.weight) in names else f"the weight of this {call.name} is computed from other values"


def _name_of(step: Step | WeightedCall, names: Mapping[int, str], model_survey: Survey) -> str:
    """Return the path of a parameter; of a weight that is computed, that of the layer, or of the call."""
    if isinstance(step, Step):
        return names[id(step.module._parameters["weight"])]
    if id(step.call.weight) in names:
        return names[id(step.call.weight)]
    owner = model_survey.paths.get(id(step.owner), [""])[0]
    own = names.get(id(step.owner._parameters.get("weight"))) if step.owner is not None else None
    return own or f"{owner}:{step.call.name}".lstrip(".")


def _of_module(module: nn.Module, path: str) -> tuple[Tensor, Tensor | None, float]:
    """Return weight, bias and fan-in of a layer.

    Raises:
        SiteError: the weight is computed.
    """
    weight = module._parameters.get("weight")
    if not isinstance(weight, nn.Parameter):
        raise SiteError(
            f"The weight of {path} is computed from other parameters (weight_norm, parametrize, prune); remove that, then call init_."
        )
    fan_in = fan_in_of(weight)
    if isinstance(module, nn.modules.conv._ConvTransposeNd):
        fan_in = fan_in_of(weight, module.stride, module.groups)
    return weight, module._parameters.get("bias"), fan_in


def _consumes(step: Step | WeightedCall, run: Run, trace: Trace) -> bool:
    """Whether the layer consumes the activation's output directly, reshaped or not; that inside a fused call no layer consumes."""
    return run.seconds is not None and trace.origin(step.source) == run.result


def _gain(run: Run, *, is_direct: bool) -> float:
    if run.running.kind == "vector" and not is_direct:
        return 1.0
    if run.running.spec is None:
        raise SiteError(f"{run.running.name} at {run.slot.where} has no known gain; its parameters are not numbers.")
    value = gain(run.running.spec, *_sizes(run))
    if not isfinite(value):
        raise SiteError(f"{run.running.spec} at {run.slot.where} has no finite gain: it is zero on almost all inputs.")
    return value


def _sizes(run: Run) -> tuple[int, int] | tuple[()]:
    """Return the width and the number of tokens of a function's input, where its gain depends on them."""
    spec = parse(run.running.spec or "")
    if "dim" in spec.numbers:
        return run.shape[int(spec.numbers["dim"])], 1
    if run.running.kind == "vector":
        return run.shape[-1], run.shape[-2]
    return ()


@torch.no_grad()
def _draw(layer: _Layer, bias: float, generator: torch.Generator) -> None:
    shape = layer.weight.shape
    dtype = torch.complex64 if layer.weight.is_complex() else torch.float32
    numbers = torch.randn(shape, generator=generator, device=generator.device, dtype=dtype)
    layer.weight.copy_(numbers * (layer.gain / sqrt(layer.fan_in)))
    if layer.bias is not None:
        layer.bias.fill_(bias)
