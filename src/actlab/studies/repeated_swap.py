"""Swap that was tried on one model, for others of the same structure, which are not run."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from actlab.functions.spec import Spec
from actlab.nn.passes.structure import structure_of
from actlab.nn.sites.find import Entry, Survey
from actlab.nn.transforms.changes import Change, Skipped
from actlab.nn.transforms.gated_blocks import GatingPlan
from actlab.nn.transforms.swap import AppliedSwap, change_beside, insert_layers

__all__ = ["RepeatedSwap"]


@dataclass(frozen=True, kw_only=True, eq=False)
class RepeatedSwap:
    """Record of a swap by paths, which holds no model and no tensor.

    Attributes:
        structure: of the models that it can be applied to, see :func:`actlab.nn.passes.structure.structure_of`.
        changes: what it changes, as :class:`~actlab.nn.transforms.changes.Changes` lists it.
        skipped: selected sites that it leaves, with the reason.
    """

    structure: Hashable
    changes: tuple[Change, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    _chosen: tuple[tuple[str, Entry, Spec], ...] = ()  # with the path of the module that holds the site
    _gating: _WidthsByPath | None = None

    @classmethod
    def of(cls, applied: AppliedSwap, structure: Hashable) -> RepeatedSwap:
        """Return the record of a swap; ``structure`` is that of the model before."""
        paths = applied.model_survey.paths
        return cls(
            structure=structure,
            changes=tuple(applied.changes),
            skipped=applied.changes.skipped,
            _chosen=tuple((paths[id(s.entry.slot.owner)][0], _detached(s.entry), s.spec) for s in applied.selections),
            _gating=None if applied.gating is None else _WidthsByPath.of(applied.gating, applied.model_survey),
        )

    @property
    def is_empty(self) -> bool:
        """Whether it leaves every module of a model as it is."""
        return not self._chosen

    def fits(self, model: nn.Module) -> bool:
        """Return whether a model has the structure of the one on which the swap was tried."""
        return self.structure == structure_of(model)

    def apply(self, model: nn.Module, *, generator: torch.Generator | None = None) -> None:
        """Swap in place, in a model that :meth:`fits`.

        Args:
            model: the model.
            generator: draws the weights of Linears that get another width for a gated activation; None for seed 0.
        """
        if self.is_empty:
            return
        modules = dict(model.named_modules(remove_duplicate=False))
        paths: dict[int, list[str]] = {}
        for path, module in modules.items():
            paths.setdefault(id(module), []).append(path)
        survey = Survey(model=model, entries=(), trace=None, paths=paths)
        chosen = [
            (replace(entry, slot=replace(entry.slot, owner=modules[path])), spec) for path, entry, spec in self._chosen
        ]
        gating = None if self._gating is None else self._gating.plan(model)
        insert_layers(survey, chosen, gating, generator=generator)
        if any(change.old != change.new for change in self.changes):
            change_beside(model)


def _detached(entry: Entry) -> Entry:
    return replace(entry, slot=replace(entry.slot, owner=nn.Identity(), key=None), runs=())


@dataclass(frozen=True, kw_only=True)
class _WidthsByPath:
    """A :class:`GatingPlan` with the paths of its Linears."""

    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    before: int
    after: int
    widths: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, plan: GatingPlan, survey: Survey) -> _WidthsByPath:
        def paths(linears: Sequence[nn.Linear]) -> tuple[str, ...]:
            return tuple(survey.paths[id(linear)][0] for linear in linears)

        return cls(
            producers=paths(plan.producers),
            consumers=paths(plan.consumers),
            before=plan.before,
            after=plan.after,
            widths=tuple(plan.widths.items()),
        )

    def plan(self, model: nn.Module) -> GatingPlan:
        def linears(paths: Sequence[str]) -> tuple[nn.Linear, ...]:
            found = map(model.get_submodule, paths)
            return tuple(module for module in found if isinstance(module, nn.Linear))

        return GatingPlan(
            producers=linears(self.producers),
            consumers=linears(self.consumers),
            before=self.before,
            after=self.after,
            widths=dict(self.widths),
        )
