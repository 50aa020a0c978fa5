"""Replace the activations of a model in place, with undo().

Everything is checked before the first change. With example inputs there is a dry run as well: every site gets a layer of the function it
has now, and the model's output must stay the same; then the swapped model must run.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Final

import torch
from torch import nn

from actlab.functions.spec import Spec
from actlab.nn.passes.model_argument import takes_model
from actlab.nn.sites.dry_run import Inputs
from actlab.nn.sites.find import Entry, Survey, survey
from actlab.nn.transforms.changes import Change, Changes, Skipped
from actlab.nn.transforms.gated_blocks import GatingPlan, is_gating, plan_gating
from actlab.nn.transforms.rehearsal import new_layers, rehearsal_failures, replacements_of, run_or_undo
from actlab.nn.transforms.replacements import Replacement, apply_all
from actlab.nn.transforms.selection import Selection, Wanted, check_selections, refusal_reason, select_sites

__all__ = ["AppliedSwap", "Inserted", "apply_selections", "apply_swap", "change_beside", "insert_layers", "swap_"]

# What changes things beside the modules, by a module of the library that is loaded where its models are; by name, as it is in a later room.
_BESIDE: Final = {"transformers.modeling_utils": "actlab.integrations.model_config"}


@takes_model
def swap_(
    model: nn.Module,
    wanted: Wanted,
    example_inputs: Inputs | None = None,
    *,
    generator: torch.Generator | None = None,
    fast: bool = False,
) -> Changes:
    """Replace activations of a model, in place.

    Modules and functional calls are both replaced; see :func:`find`. New layers get the device and dtype of their neighbors and the
    training flag. Sites whose result the model returns (an output sigmoid) are replaced only when named by their path.

    Args:
        model: any module.
        wanted: a spec for all sites (gates such as the sigmoid of squeeze-and-excitation included), or a mapping to specs from sites, paths
            (``"features.1"``), names (``"relu"``), specs, patterns (``"encoder.*"``, ``"*relu*"``, ``"re:layer[0-3].*"``) or depths
            (``"@0"``, ``"@:4"``, ``"@-1"``); the first key that matches a site applies. See :mod:`actlab.nn.transforms.selection`.
        example_inputs: as for :func:`find`. Needed for parameters learned per channel and for gated activations in the place of scalar
            ones; otherwise optional and recommended: sites that only a run shows are found, and the swap is tried first.
        generator: draws the weights of Linears that get another width for a gated activation; None for seed 0.
        fast: insert fast layers, see :func:`layer`.

    Returns:
        The changes, with ``skipped`` and ``undo()``.

    Raises:
        SiteError: a key matches nothing, a site named by its path cannot be replaced, or no site can. The model is as it was.
        SpecError: a spec cannot be read.
        UnknownNameError: a spec names an activation that does not exist.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))
        >>> swap_(model, {"relu": "leaky_relu(0.02)"})
        1: relu -> leaky_relu(negative_slope=0.02)
        >>> len(swap_(model, "gelu", torch.zeros(1, 2)))
        2
    """
    return apply_swap(model, wanted, example_inputs, generator=generator, fast=fast).changes


@dataclass(frozen=True, kw_only=True, eq=False)
class AppliedSwap:
    """A swap in effect, with the objects that it was made from.

    Attributes:
        changes: what the user sees.
        model_survey: the sites of the model before the swap.
        selections: the sites that were replaced.
        layers: the new layer of each of them, in the same order.
        linears: the new Linear for each old one that got another width.
        gating: the plan of these Linears; None where there are none.
    """

    changes: Changes
    model_survey: Survey
    selections: tuple[Selection, ...]
    layers: tuple[nn.Module, ...]
    linears: Mapping[nn.Linear, nn.Linear]
    gating: GatingPlan | None = None


def apply_swap(
    model: nn.Module,
    wanted: Wanted,
    example_inputs: Inputs | None = None,
    *,
    generator: torch.Generator | None = None,
    fast: bool = False,
) -> AppliedSwap:
    """Swap as :func:`swap_` does, and return the details; arguments and errors are the same."""
    model_survey = survey(model, example_inputs)
    selections = select_sites(model_survey, wanted)
    return apply_selections(model_survey, selections, example_inputs, generator=generator, fast=fast)


def apply_selections(
    model_survey: Survey,
    selections: Sequence[Selection],
    example_inputs: Inputs | None = None,
    *,
    generator: torch.Generator | None = None,
    fast: bool = False,
    strict: bool = True,
    keep_same: bool = False,
) -> AppliedSwap:
    """Replace the selected sites as :func:`swap_` does.

    Args:
        model_survey: the sites of the model.
        selections: those to replace.
        example_inputs: as for :func:`swap_`.
        generator: as for :func:`swap_`.
        fast: as for :func:`swap_`.
        strict: raise where a site that is named by its path cannot be replaced, or none can; otherwise such sites are skipped.
        keep_same: leave a site untouched that has the wanted function already, parameters included.
    """
    reasons = {selection.site.path: reason for selection in selections if (reason := refusal_reason(selection))}
    candidates = [selection for selection in selections if fast or not _computes_it_already(selection, every=keep_same)]
    if example_inputs is not None:
        reasons |= rehearsal_failures(model_survey, _without(candidates, reasons), example_inputs)
    gating, unsuitable = plan_gating(
        model_survey, [selection for selection in _without(candidates, reasons) if is_gating(selection)]
    )
    reasons |= unsuitable
    if strict:
        check_selections(selections, reasons)
    chosen = _without(candidates, reasons)
    pairs = [(selection.entry, selection.spec) for selection in chosen]
    inserted = insert_layers(model_survey, pairs, gating, generator=generator, fast=fast)
    replacements = inserted.replacements
    if example_inputs is not None:
        run_or_undo(model_survey.model, example_inputs, replacements)
    changes = [_change(selection) for selection in _without(selections, reasons)]
    if any(change.old != change.new for change in changes):
        replacements = [*replacements, *change_beside(model_survey.model)]
    skipped = [
        Skipped(site=selection.site, reason=reasons[selection.site.path])
        for selection in selections
        if selection.site.path in reasons
    ]
    return AppliedSwap(
        changes=Changes(changes, skipped, _widened(model_survey, gating), replacements),
        model_survey=model_survey,
        selections=tuple(chosen),
        layers=inserted.layers,
        linears=inserted.linears,
        gating=gating,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Inserted:
    """Layers that were put into a model.

    Attributes:
        replacements: the changes to the model's objects.
        layers: the new layers, in the order in which they were asked for.
        linears: the new Linear for each old one that got another width.
    """

    replacements: list[Replacement]
    layers: tuple[nn.Module, ...]
    linears: Mapping[nn.Linear, nn.Linear]


def insert_layers(
    model_survey: Survey,
    chosen: Sequence[tuple[Entry, Spec]],
    gating: GatingPlan | None = None,
    *,
    generator: torch.Generator | None = None,
    fast: bool = False,
) -> Inserted:
    """Put a layer of a new spec at every chosen site, without any check and without running the model.

    Args:
        model_survey: the model and its paths.
        chosen: the sites, with their new specs.
        gating: the plan of the Linears that get another width.
        generator: as for :func:`swap_`.
        fast: as for :func:`swap_`.
    """
    linears = gating.linears(generator) if gating else {}
    layers = new_layers(model_survey, chosen, fast=fast)
    replacements = replacements_of(model_survey, layers, linears)
    apply_all(replacements)
    return Inserted(replacements=replacements, layers=tuple(insertion.new for insertion in layers), linears=linears)


def _computes_it_already(selection: Selection, *, every: bool) -> bool:
    """Whether the wanted function is there already: code of the author's own stays, to the bit, and ``every`` other on request."""
    return (every or selection.entry.running.by_values) and str(selection.spec) == selection.site.spec


def change_beside(model: nn.Module) -> list[Replacement]:
    """Change what a library keeps beside the modules, such as the config of a model of transformers, and return these changes."""
    extensions = [name for library, name in _BESIDE.items() if library in sys.modules]
    changes = [change for name in extensions for change in import_module(name).replacements(model)]
    apply_all(changes)
    return changes


def _change(selection: Selection) -> Change:
    site = selection.site
    return Change(path=site.path, old=site.spec or site.name or "?", new=str(selection.spec), idle=site.calls == 0)


def _without(selections: Sequence[Selection], reasons: Mapping[str, str]) -> list[Selection]:
    return [selection for selection in selections if selection.site.path not in reasons]


def _widened(model_survey: Survey, gating: GatingPlan | None) -> list[Change]:
    if gating is None:
        return []
    return [
        Change(
            path=model_survey.paths[id(old)][0],
            old=f"Linear({old.in_features}, {old.out_features})",
            new=f"Linear{gating.shape(old)}",
        )
        for old in dict.fromkeys([*gating.producers, *gating.consumers])
    ]
