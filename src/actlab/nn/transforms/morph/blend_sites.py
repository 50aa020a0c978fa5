"""Insert blends of old and new functions into a swapped model, and remove them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from actlab.errors import SiteError
from actlab.nn.layers.blend import Blend
from actlab.nn.layers.layer import layer
from actlab.nn.transforms.gated_blocks import Block, gated_blocks, is_gating
from actlab.nn.transforms.parallel_training import check_parameters_stay
from actlab.nn.transforms.rehearsal import has_known_parameters
from actlab.nn.transforms.replacements import AttributeReplacement, ModelPaths, ModuleReplacement
from actlab.nn.transforms.selection import Selection
from actlab.nn.transforms.swap import AppliedSwap

__all__ = ["BlendSite", "gated_blocks_of", "insert_blends"]


@dataclass(frozen=True, kw_only=True, eq=False)
class BlendSite:
    """A blend and its position in the model.

    Attributes:
        path: of the site, or of the Linear that gets another width.
        blend: the blend.
        holders: the modules that hold it, with the name it has in each.
    """

    path: str
    blend: Blend
    holders: tuple[tuple[nn.Module, str], ...]

    def insert_blend(self) -> None:
        """Put the blend into the model."""
        self._insert(self.blend)

    def insert_new(self) -> None:
        """Put the new function into the model instead of the blend."""
        self._insert(self.blend.new.train(self.blend.training))

    def _insert(self, module: nn.Module) -> None:
        for holder, name in self.holders:
            holder._modules[name] = module


@dataclass(frozen=True, kw_only=True, eq=False)
class _BlendPlan:
    """Arguments of one blend, and the site it is for."""

    path: str
    owner: nn.Module
    old: Callable[..., Tensor]
    new: nn.Module
    joins: bool
    split: int | None
    overwrites: bool = False


def gated_blocks_of(swap: AppliedSwap) -> list[Block]:
    """Return the blocks of a swap that become gated."""
    return gated_blocks(swap.model_survey, [selection for selection in swap.selections if is_gating(selection)])


def insert_blends(swap: AppliedSwap, blocks: Sequence[Block], *, learned: bool) -> list[BlendSite]:
    """Put a blend wherever a swap has put a new function, or a Linear of another width.

    Args:
        swap: the swap, already applied.
        blocks: those of its blocks that become gated.
        learned: whether the blends learn their pace.

    Raises:
        SiteError: an old function cannot run beside the new one; no blend was inserted.
    """
    model_paths = ModelPaths(model=swap.model_survey.model, paths=swap.model_survey.paths)
    if learned:  # each blend brings its pace
        check_parameters_stay(model_paths.model, (), [Blend(nn.Identity(), nn.Identity(), learned=True)])
    plans = [*_functions(swap, blocks, model_paths), *_linears(swap, blocks)]
    return [_insert(swap.model_survey.model, model_paths, plan, learned=learned) for plan in plans]


def _functions(swap: AppliedSwap, blocks: Sequence[Block], model_paths: ModelPaths) -> list[_BlendPlan]:
    replacements = (r for r in swap.changes.replacements if isinstance(r, (ModuleReplacement, AttributeReplacement)))
    old_of: dict[int, Any] = {id(replacement.new): replacement.old for replacement in replacements}
    splits = {block.selection.site.path: block.producers[0].out_features for block in blocks}
    return [
        _BlendPlan(
            path=selection.site.path,
            owner=selection.entry.slot.owner,
            old=old_of[id(new)] if id(new) in old_of else _layer_of_call(selection, model_paths),
            new=new,
            joins=selection.site.path not in splits,
            split=splits.get(selection.site.path),
            overwrites=selection.entry.running.inplace and id(new) in old_of,
        )
        for selection, new in zip(swap.selections, swap.layers, strict=True)
    ]


def _linears(swap: AppliedSwap, blocks: Sequence[Block]) -> list[_BlendPlan]:
    producers = {linear for block in blocks for linear in block.producers}
    consumers = {linear for block in blocks for linear in block.consumers}
    return [
        _BlendPlan(
            path=swap.model_survey.paths[id(old)][0],
            owner=old,
            old=old,
            new=new,
            joins=old not in producers,
            split=old.in_features if old in consumers else None,
        )
        for old, new in swap.linears.items()
    ]


def _insert(model: nn.Module, model_paths: ModelPaths, plan: _BlendPlan, *, learned: bool) -> BlendSite:
    holders = tuple((h, name) for h in model.modules() for name, child in h._modules.items() if child is plan.new)
    like = model_paths.match_neighbors(nn.PReLU(), plan.owner)._parameters["weight"]
    blend = Blend(
        plan.old,
        plan.new,
        learned=learned and plan.joins,
        overwrites=plan.overwrites,
        split=plan.split,
        joins=plan.joins,
        like=like,
    )
    blend_site = BlendSite(path=plan.path, blend=blend.train(plan.new.training), holders=holders)
    blend_site.insert_blend()
    return blend_site


def _layer_of_call(selection: Selection, model_paths: ModelPaths) -> nn.Module:
    """Return a layer that computes the same as a functional call."""
    site = selection.site
    if not has_known_parameters(site):
        raise SiteError(
            f"{site.path} ({site.name}) is a call whose parameters are computed elsewhere, so that it cannot run beside its successor; "
            "write it as a module, swap it with swap_ first, or leave it out."
        )
    return model_paths.match_neighbors(layer(str(site.spec)), selection.entry.slot.owner)
