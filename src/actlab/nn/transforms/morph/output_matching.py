"""The match: what a new function needs to begin near the old one, measured on calibration data.

The second moment of a site's output is what the layers behind it were trained for. A factor ``sqrt(E old^2 / E new^2)`` keeps it; where the
layers that take the output can carry the factor it goes into their weights in the end, elsewhere it goes to 1 while the old function goes.
Gated blocks begin near the blocks that they replace, see :mod:`actlab.nn.transforms.morph.gated_block_init`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

import torch
from torch import Tensor, nn

from actlab.nn.layers.blend import Blend
from actlab.nn.sites.dry_run import Inputs, copy_inputs, run, no_side_effects
from actlab.nn.transforms.gated_blocks import Block
from actlab.nn.transforms.morph.blend_sites import BlendSite
from actlab.nn.transforms.morph.fold_scale import foldable_layers
from actlab.nn.transforms.morph.gated_block_init import GatedBlockInit, init_gated_block_
from actlab.nn.transforms.swap import AppliedSwap

__all__ = ["OutputMatch", "init_gated_blocks", "match_outputs"]

_ROWS: Final = 4096  # of hidden values that a gated block is fitted on: more than its units, and seconds
_Look = Callable[[Tensor, Tensor, Tensor], None]  # of input, old output and new output


@dataclass(frozen=True, kw_only=True)
class OutputMatch:
    """The factor by which a new function's output is brought to the second moment of the old one's.

    Attributes:
        path: of the site.
        scale: the factor, sqrt(E old^2 / E new^2) on the calibration data; 1 where one of the moments is zero or no number.
        folded: paths of the layers into whose weights it goes in the end; empty where it goes to 1 instead, as the old function goes.
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
    """Return the factor of every site that keeps its width, by path, and where it can go. Blends are at 0, and are left so.

    Args:
        swap: the swap.
        blend_sites: the blends in the model.
        blocks: the blocks that become gated, which have no factor.
        example_inputs: what the model is tried on.
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
    found = {}
    for selection in selections:
        path = selection.site.path
        scale = _ratio(moments[path])
        layers = (
            foldable_layers(model, blends[path], selection.entry, swap.model_survey, example_inputs)
            if scale != 1
            else ()
        )
        found[path] = OutputMatch(path=path, scale=scale, folded=tuple(names[id(module)] for module in layers))
    return found


def init_gated_blocks(
    swap: AppliedSwap, blend_sites: Sequence[BlendSite], blocks: Sequence[Block], calibration: Sequence[Inputs]
) -> dict[str, GatedBlockInit]:
    """Let gated blocks begin near the blocks that they replace, where each has its Linears to itself, with biases.

    Args:
        swap: the swap.
        blend_sites: the blends in the model.
        blocks: the blocks that become gated.
        calibration: inputs, at least one.

    Returns:
        How near each begins, by path of its activation; nothing of those that stay as drawn.
    """
    if not blocks:
        return {}
    blends = {blend_site.path: blend_site.blend for blend_site in blend_sites}
    kept: dict[str, tuple[list[Tensor], list[Tensor]]] = {block.selection.site.path: ([], []) for block in blocks}
    rows = -(-_ROWS // len(calibration))
    looks = {blends[path]: _keeper(pair, rows) for path, pair in kept.items()}
    _observe(swap.model_survey.model, looks, calibration)
    fed = [linear for block in blocks for linear in block.producers]
    stand_ins: dict[nn.Linear, nn.Linear] = {}  # a layer between two blocks, before its own outputs are gated
    found = {}
    for block in (block for block in blocks if _is_alone(block, fed)):
        path, before, after = block.selection.site.path, block.producers[0], block.consumers[0]
        if after in fed:
            stand_ins[after] = _linear_like(after, swap.linears[after].in_features)
        found[path] = init_gated_block_(
            old=(stand_ins.get(before, before), after),
            new=(swap.linears[before], stand_ins.get(after, swap.linears[after])),
            function=_gate_alone(blends[path].new),
            sums=torch.cat(kept[path][0]),
            values=torch.cat(kept[path][1]),
        )
    return found


def _is_alone(block: Block, fed: Sequence[nn.Linear]) -> bool:
    """Whether a block has its two Linears to itself, and a bias that can hold the value branch at 1."""
    is_single = len(block.producers) == len(block.consumers) == 1 and fed.count(block.producers[0]) == 1
    return is_single and block.producers[0].bias is not None


# ----------------------------------------------------------------------------------------- calibration


def _observe(model: nn.Module, watched: Mapping[Blend, _Look], calibration: Iterable[Inputs]) -> None:
    """Run the model with its old functions, and show what goes in and comes out of old and new ones."""
    handles = [blend.register_forward_pre_hook(_hook(look)) for blend, look in watched.items()]
    try:
        with no_side_effects(model):
            for inputs in calibration:
                run(model, copy_inputs(inputs))
    finally:
        for handle in handles:
            handle.remove()


def _hook(look: _Look) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        blend = cast("Blend", module)
        x, *others = args
        new = blend.new(x, *others) if blend.split is None else x  # a gated one takes another width
        look(x.clone(), blend.old(x.clone(), *others), new)

    return hook


def _adder(moment: Tensor) -> _Look:
    def look(_: Tensor, old: Tensor, new: Tensor) -> None:
        moment.add_(torch.stack([made.double().square().sum().cpu() for made in (old, new)]))

    return look


def _ratio(moment: Tensor) -> float:
    ratio = float((moment[0] / moment[1]).sqrt())
    return ratio if 0 < ratio < float("inf") else 1.0


def _keeper(pair: tuple[list[Tensor], list[Tensor]], rows: int) -> _Look:
    """Keep rows of input and old output that are spread evenly over a batch."""

    def look(x: Tensor, old: Tensor, _: Tensor) -> None:
        for kept, values in zip(pair, (x, old), strict=True):
            flat = values.reshape(-1, values.shape[-1])
            kept.append(flat[torch.linspace(0, len(flat) - 1, min(rows, len(flat)), device=flat.device).long()])

    return look


def _gate_alone(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return what a gated layer makes of a gate at value 1."""

    def function(gate: Tensor) -> Tensor:
        made: Tensor = module(gate, torch.ones_like(gate))
        return made

    return function


def _linear_like(linear: nn.Linear, inputs: int) -> nn.Linear:
    like, has_bias = linear.weight, linear.bias is not None
    made = nn.Linear(inputs, linear.out_features, bias=has_bias, device="meta", dtype=like.dtype)
    return made.to_empty(device=like.device)  # no numbers are drawn: the global generator stays as it is
