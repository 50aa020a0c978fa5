"""Initialize weights with the gain of the activation before them (He initialization for any function).

``nn.Linear`` and convolutions initialize their weights in the same way whatever activation follows, which favors some: a 20-layer GELU net
then starts with about a thousand times less gradient than a ReLU one. Here every weight is drawn from ``N(0, gain / sqrt(fan_in))`` (the
second argument is the standard deviation), where the gain belongs to the activation that ran last (He et al. 2015, arXiv:1502.01852).
How deep a net of that activation preserves its scale then is forecast by :mod:`actlab.functions.analysis.depth_forecast`.
"""

from __future__ import annotations

from math import isfinite, sqrt

import torch
from torch import nn

from actlab.errors import SiteError
from actlab.functions.analysis.facts import gain
from actlab.functions.grammar import parse
from actlab.nn.passes.sharded import check_not_sharded
from actlab.nn.sites.dry_run import Inputs
from actlab.nn.sites.find import survey
from actlab.nn.sites.trace import Run, Step, Trace

__all__ = ["init_"]


def init_(
    model: nn.Module,
    example_inputs: Inputs,
    generator: torch.Generator | None = None,
    bias: float = 0.0,
) -> list[tuple[str, float]]:
    """Draw new weights for every ``nn.Linear`` and convolution, with the gain of the activation that ran last before it.

    The model is run once, as by :func:`find`. Layers are drawn in execution order, from the same normal numbers for any activations: two
    models that differ in their activations only get, from generators in the same state, weights that differ by one factor per layer.
    Layers that do not run, embeddings, norms, and layers inside fused modules (attention, LSTM) keep their weights.

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
        SiteError: an activation has no known gain, or a weight is computed from other parameters.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> [(path, round(gain, 3)) for path, gain in init_(model, torch.zeros(1, 4))]
        [('0.weight', 1.0), ('2.weight', 1.414)]
    """
    check_not_sharded(model, "init_")
    model_survey = survey(model, example_inputs)
    gains: dict[nn.Module, float] = {}
    last: Run | None = None
    for step in model_survey.trace.steps if model_survey.trace else ():
        if isinstance(step, Run):
            last = step
        elif step.module not in gains:
            gains[step.module] = (
                1.0 if last is None else _gain(last, is_direct=_consumes(step, last, model_survey.trace))
            )
    generator = generator or torch.Generator().manual_seed(0)
    paths = {module: model_survey.paths[id(module)][0] for module in gains}
    for module in gains:
        _check(module, paths[module])
    for module, value in gains.items():
        _draw(module, value, bias, generator)
    return [(f"{paths[module]}.weight".lstrip("."), value) for module, value in gains.items()]


def _consumes(step: Step, run: Run, trace: Trace | None) -> bool:
    """Whether the layer consumes the activation's output directly, reshaped or not."""
    return trace is not None and trace.origin(step.source) == run.result


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


def _check(module: nn.Module, path: str) -> None:
    if not isinstance(module._parameters.get("weight"), nn.Parameter):
        raise SiteError(
            f"The weight of {path} is computed from other parameters (weight_norm, parametrize); remove that, then call init_."
        )


@torch.no_grad()
def _draw(module: nn.Module, value: float, bias: float, generator: torch.Generator) -> None:
    weight = module.get_parameter("weight")
    fan_in = weight[0].numel()
    numbers = torch.randn(weight.shape, generator=generator, device=generator.device, dtype=torch.float32)
    weight.copy_(numbers * (value / sqrt(fan_in)))
    if module._parameters.get("bias") is not None:
        module.get_parameter("bias").fill_(bias)
