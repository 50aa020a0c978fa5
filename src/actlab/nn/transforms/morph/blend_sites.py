"""The blending: in which places of a swapped model blends of old and new stand for a while, and how they come in and go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from actlab.errors import SiteError
from actlab.nn.layers.blend import Blend
from actlab.nn.layers.layer import layer
from actlab.nn.transforms.gated_blocks import Block, gated_blocks, is_gating
from actlab.nn.transforms.rehearsal import fixed
from actlab.nn.transforms.replacements import AttributeStroke, ModelPaths, ModuleStroke
from actlab.nn.transforms.selection import Selection
from actlab.nn.transforms.swap import Operation

__all__ = ["Stand", "blended", "blocks_of"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Stand:
    """A blend, and where in the model it stands for the time being.

    Attributes:
        path: of the site, or of the Linear that gets another width.
        blend: what stands there.
        holders: the modules that hold it, with the name it has in each.
    """

    path: str
    blend: Blend
    holders: tuple[tuple[nn.Module, str], ...]

    def put_blend(self) -> None:
        """Put the blend in its place."""
        self._put(self.blend)

    def put_new(self) -> None:
        """Put the new function there, and the blend away."""
        self._put(self.blend.new.train(self.blend.training))

    def _put(self, module: nn.Module) -> None:
        for holder, name in self.holders:
            holder._modules[name] = module


@dataclass(frozen=True, kw_only=True, eq=False)
class _Plan:
    """What is to be blended: old and new, and how."""

    path: str
    owner: nn.Module
    old: Callable[..., Tensor]
    new: nn.Module
    joins: bool
    split: int | None
    overwrites: bool = False


def blocks_of(operation: Operation) -> list[Block]:
    """Return the blocks of a swap that become gated."""
    return gated_blocks(operation.whole, [claim for claim in operation.claims if is_gating(claim)])


def blended(operation: Operation, blocks: Sequence[Block], *, learned: bool) -> list[Stand]:
    """Put a blend in every place in which a swap has put a new function, or a Linear of another width.

    Args:
        operation: the swap, carried out.
        blocks: those of its blocks that become gated.
        learned: whether the blends learn their pace.

    Raises:
        SiteError: an old function cannot be run beside the new one; nothing was put in.
    """
    patient = ModelPaths(model=operation.whole.model, paths=operation.whole.paths)
    plans = [*_functions(operation, blocks, patient), *_linears(operation, blocks)]
    return [_put_in(operation.whole.model, patient, plan, learned=learned) for plan in plans]


def _functions(operation: Operation, blocks: Sequence[Block], patient: ModelPaths) -> list[_Plan]:
    strokes = (s for s in operation.changes.strokes if isinstance(s, (ModuleStroke, AttributeStroke)))
    held: dict[int, Any] = {id(stroke.new): stroke.old for stroke in strokes}
    splits = {block.claim.site.path: block.producers[0].out_features for block in blocks}
    return [
        _Plan(
            path=claim.site.path,
            owner=claim.entry.place.owner,
            old=held[id(new)] if id(new) in held else _written_out(claim, patient),
            new=new,
            joins=claim.site.path not in splits,
            split=splits.get(claim.site.path),
            overwrites=claim.entry.running.inplace and id(new) in held,
        )
        for claim, new in zip(operation.claims, operation.layers, strict=True)
    ]


def _linears(operation: Operation, blocks: Sequence[Block]) -> list[_Plan]:
    producers = {linear for block in blocks for linear in block.producers}
    consumers = {linear for block in blocks for linear in block.consumers}
    return [
        _Plan(
            path=operation.whole.paths[id(old)][0],
            owner=old,
            old=old,
            new=new,
            joins=old not in producers,
            split=old.in_features if old in consumers else None,
        )
        for old, new in operation.linears.items()
    ]


def _put_in(model: nn.Module, patient: ModelPaths, plan: _Plan, *, learned: bool) -> Stand:
    holders = tuple((h, name) for h in model.modules() for name, child in h._modules.items() if child is plan.new)
    like = patient.place_like_neighbours(nn.PReLU(), plan.owner)._parameters["weight"]
    blend = Blend(
        plan.old,
        plan.new,
        learned=learned and plan.joins,
        overwrites=plan.overwrites,
        split=plan.split,
        joins=plan.joins,
        like=like,
    )
    stand = Stand(path=plan.path, blend=blend.train(plan.new.training), holders=holders)
    stand.put_blend()
    return stand


def _written_out(claim: Selection, patient: ModelPaths) -> nn.Module:
    """Return a layer of what a call computes."""
    if not fixed(claim.site):
        raise SiteError(
            f"{claim.site.path} ({claim.site.name}) is a call whose parameters are computed elsewhere, so that it cannot run beside "
            "its successor; write it as a module, swap it bluntly first (swap_), or leave it out."
        )
    return patient.place_like_neighbours(layer(str(claim.site.spec)), claim.entry.place.owner)
