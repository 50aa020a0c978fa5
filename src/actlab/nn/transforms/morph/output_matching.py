"""Factors that give new activations' outputs the second moments of the old, on calibration data.

The layers behind a site were trained for the second moment of its output. The factor ``sqrt(E old^2 / E new^2)`` preserves it. Where the
layers that consume the output can absorb the factor, it is folded into their weights in the end; elsewhere it decays to 1 during the blend.
Gated blocks get fitted first weights instead, see :mod:`actlab.nn.transforms.morph.gated_block_init`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

import torch
from torch import Tensor, nn

from actlab.nn.layers.blend import Blend
from actlab.nn.sites.dry_run import Inputs, copy_inputs, no_side_effects, run
from actlab.nn.transforms.gated_blocks import Block
from actlab.nn.transforms.morph.blend_sites import BlendSite
from actlab.nn.transforms.morph.fold_scale import foldable_layers
from actlab.nn.transforms.morph.gated_block_init import GatedBlockInit, init_gated_block_
from actlab.nn.transforms.swap import AppliedSwap

__all__ = ["OutputMatch", "init_gated_blocks", "match_outputs"]

# Rows of hidden values that a gated block is fitted on: more than its units, and the fit takes seconds.
_ROWS: Final = 4096
# Called with input, old output and new output.
_Observer = Callable[[Tensor, Tensor, Tensor], None]


@dataclass(frozen=True, kw_only=True)
class OutputMatch:
    """The factor that gives a new function's output the second moment of the old one's.

    Attributes:
        path: of the site.
        scale: the factor, sqrt(E old^2 / E new^2) on the calibration data; 1 where a moment is zero or not finite.
        folded: paths of the layers whose weights absorb it in the end; empty where it decays to 1 during the blend.
    """

    path: str
    scale: float
    folded: tuple[str, ...] = ()


def match_outputs(
    swap: AppliedSwap,
    blend_sites: Sequence[BlendSite],
    blocks: Sequence[Block],
    example_inputs: Inputs,
    calibration: Sequence[Inputs],
) -> dict[str, OutputMatch]:
    """Return the factor of every site that keeps its width, by path, and the layers that can absorb it. Blends stay at 0.

    Args:
        swap: the swap.
        blend_sites: the blends in the model.
        blocks: the blocks that become gated, which have no factor.
        example_inputs: a batch on which folding is tried.
        calibration: inputs.
    """
    gated = {block.selection.site.path for block in blocks}
    blends = {blend_site.path: blend_site.blend for blend_site in blend_sites}
    selections = [
        selection for selection in swap.selections if selection.site.path not in gated and selection.site.calls != 0
    ]
    moments = {selection.site.path: torch.zeros(2, dtype=torch.float64) for selection in selections}
    model = swap.model_survey.model
    _observe(model, {blends[path]: _adder(moment) for path, moment in moments.items()}, calibration)
    names = {id(module): path for path, module in model.named_modules()}
    matches = {}
    for selection in selections:
        path = selection.site.path
        scale = _ratio(moments[path])
        layers = (
            foldable_layers(model, blends[path], selection.entry, swap.model_survey, example_inputs)
            if scale != 1
            else ()
        )
        matches[path] = OutputMatch(path=path, scale=scale, folded=tuple(names[id(module)] for module in layers))
    return matches


def init_gated_blocks(
    swap: AppliedSwap, blend_sites: Sequence[BlendSite], blocks: Sequence[Block], calibration: Sequence[Inputs]
) -> dict[str, GatedBlockInit]:
    """Fit the first weights of gated blocks to the blocks they replace, where each has its Linears to itself, with biases.

    Args:
        swap: the swap.
        blend_sites: the blends in the model.
        blocks: the blocks that become gated.
        calibration: inputs, at least one.

    Returns:
        How well each fits, by path of its activation; blocks that keep their random weights are left out.
    """
    if not blocks:
        return {}
    blends = {blend_site.path: blend_site.blend for blend_site in blend_sites}
    samples: dict[str, tuple[list[Tensor], list[Tensor]]] = {block.selection.site.path: ([], []) for block in blocks}
    rows = -(-_ROWS // len(calibration))
    observers = {blends[path]: _sampler(pair, rows) for path, pair in samples.items()}
    _observe(swap.model_survey.model, observers, calibration)
    fed = [linear for block in blocks for linear in block.producers]
    ungated: dict[nn.Linear, nn.Linear] = {}  # layers between two blocks, before their own outputs are gated
    fits = {}
    for block in (block for block in blocks if _is_alone(block, fed)):
        path, before, after = block.selection.site.path, block.producers[0], block.consumers[0]
        if after in fed:
            ungated[after] = _linear_like(after, swap.linears[after].in_features)
        fits[path] = init_gated_block_(
            old=(ungated.get(before, before), after),
            new=(swap.linears[before], ungated.get(after, swap.linears[after])),
            function=_gate_function(blends[path].new),
            sums=torch.cat(samples[path][0]),
            values=torch.cat(samples[path][1]),
        )
    return fits


def _is_alone(block: Block, fed: Sequence[nn.Linear]) -> bool:
    """Whether a block has its two Linears to itself, and a bias that can hold the value branch at 1."""
    is_single = len(block.producers) == len(block.consumers) == 1 and fed.count(block.producers[0]) == 1
    return is_single and block.producers[0].bias is not None


# ----------------------------------------------------------------------------------------- calibration


def _observe(model: nn.Module, observers: Mapping[Blend, _Observer], calibration: Iterable[Inputs]) -> None:
    """Run the model with its old functions, and pass input, old output and new output to the observers."""
    handles = [blend.register_forward_pre_hook(_hook(observer)) for blend, observer in observers.items()]
    try:
        with no_side_effects(model):
            for inputs in calibration:
                run(model, copy_inputs(inputs))
    finally:
        for handle in handles:
            handle.remove()


def _hook(observer: _Observer) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        blend = cast("Blend", module)
        x, *others = args
        new = blend.new(x, *others) if blend.split is None else x  # a gated function needs another width
        observer(x.clone(), blend.old(x.clone(), *others), new)

    return hook


def _adder(moment: Tensor) -> _Observer:
    def add(_: Tensor, old: Tensor, new: Tensor) -> None:
        moment.add_(torch.stack([output.double().square().sum().cpu() for output in (old, new)]))

    return add


def _ratio(moment: Tensor) -> float:
    ratio = float((moment[0] / moment[1]).sqrt())
    return ratio if 0 < ratio < float("inf") else 1.0


def _sampler(pair: tuple[list[Tensor], list[Tensor]], rows: int) -> _Observer:
    """Collect rows of input and old output, spread evenly over each batch."""

    def sample(x: Tensor, old: Tensor, _: Tensor) -> None:
        for samples, values in zip(pair, (x, old), strict=True):
            flat = values.reshape(-1, values.shape[-1])
            samples.append(flat[torch.linspace(0, len(flat) - 1, min(rows, len(flat)), device=flat.device).long()])

    return sample


def _gate_function(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return a gated layer as a function of its gate, with the value fixed at 1."""

    def function(gate: Tensor) -> Tensor:
        output: Tensor = module(gate, torch.ones_like(gate))
        return output

    return function


def _linear_like(linear: nn.Linear, inputs: int) -> nn.Linear:
    like, has_bias = linear.weight, linear.bias is not None
    new = nn.Linear(inputs, linear.out_features, bias=has_bias, device="meta", dtype=like.dtype)
    return new.to_empty(device=like.device)  # draws no random numbers, so that the global generator stays as it is
