"""The swap: other activations in a model, in place, with a way back.

Everything is checked before the first change. With example inputs the swap is rehearsed too: every site gets a layer of the function it has
now, and the model must still give the same output; and the swapped model must run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from actlab.nn.sites.dry_run import Inputs
from actlab.nn.sites.find import Survey, survey
from actlab.nn.transforms.changes import Change, Changes, Skipped
from actlab.nn.transforms.gated_blocks import Gates, is_gating, plan_gates
from actlab.nn.transforms.rehearsal import _layers, _strokes, _try_out, rehearsed
from actlab.nn.transforms.replacements import _carry_out
from actlab.nn.transforms.selection import Selection, Wanted, claims, complain, refusal

__all__ = ["Operation", "operate", "swap_"]


def swap_(
    model: nn.Module,
    wanted: Wanted,
    example_inputs: Inputs | None = None,
    *,
    generator: torch.Generator | None = None,
    fast: bool = False,
) -> Changes:
    """Replace activations of a model, in place.

    Modules and functional calls are replaced alike; see :func:`find`. New layers come to the device and dtype of their neighbours and keep
    the training flag. Sites whose result the model returns (an output sigmoid) are replaced only when they are named by their path.

    Args:
        model: any module.
        wanted: a spec for all sites (gates such as the sigmoid of squeeze-and-excitation included), or a mapping to specs from sites, paths
            (``"features.1"``), names (``"relu"``), specs, patterns (``"encoder.*"``, ``"*relu*"``, ``"re:layer[0-3].*"``) or depths
            (``"@0"``, ``"@:4"``, ``"@-1"``); the first key that matches a site takes it. See :mod:`actlab.nn.transforms.selection`.
        example_inputs: as for :func:`find`. Needed for parameters learned per channel and for gated activations in the place of scalar
            ones; otherwise optional, and recommended: what only a run can tell is found, and the swap is rehearsed.
        generator: draws the weights of Linears that get another width for a gated activation; seeded with 0 if not given.
        fast: put fast layers in, see :func:`layer`.

    Returns:
        The changes, with ``skipped`` and ``undo()``.

    Raises:
        SiteError: a key matches nothing, a site that was named cannot be replaced, or nothing can. The model is as it was.
        SpecError: a spec cannot be read.
        UnknownNameError: a spec names an activation that does not exist.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))
        >>> swap_(model, {"relu": "leaky_relu(0.02)"})
        1: relu -> leaky_relu(negative_slope=0.02)
        >>> len(swap_(model, "gelu", torch.zeros(1, 2)))
        2
    """
    return operate(model, wanted, example_inputs, generator=generator, fast=fast).changes


@dataclass(frozen=True, kw_only=True, eq=False)
class Operation:
    """A swap that was carried out, with what went on to happen in which place.

    Attributes:
        changes: what the user sees.
        whole: the model before the swap.
        claims: the sites that were replaced.
        layers: the layer that each of them has got, in the same order.
        linears: the new Linear for each old one that got another width.
    """

    changes: Changes
    whole: Survey
    claims: tuple[Selection, ...]
    layers: tuple[nn.Module, ...]
    linears: Mapping[nn.Linear, nn.Linear]


def operate(
    model: nn.Module,
    wanted: Wanted,
    example_inputs: Inputs | None = None,
    *,
    generator: torch.Generator | None = None,
    fast: bool = False,
) -> Operation:
    """Swap as :func:`swap_` does, and tell what stands where; arguments and errors are the same."""
    whole = survey(model, example_inputs)
    taken = claims(whole, wanted)
    reasons = {claim.site.path: reason for claim in taken if (reason := refusal(claim))}
    if example_inputs is not None:
        reasons |= rehearsed(whole, _without(taken, reasons), example_inputs)
    gates, misfits = plan_gates(whole, [claim for claim in _without(taken, reasons) if is_gating(claim)])
    reasons |= misfits
    complain(taken, reasons)
    chosen = _without(taken, reasons)
    linears = gates.linears(generator) if gates else {}
    layers = _layers(whole, [(claim.entry, claim.spec) for claim in chosen], fast=fast)
    strokes = _strokes(whole, layers, linears)
    _carry_out(strokes)
    if example_inputs is not None:
        _try_out(model, example_inputs, strokes)
    changes = [_change(claim) for claim in chosen]
    skipped = [
        Skipped(site=claim.site, reason=reasons[claim.site.path]) for claim in taken if claim.site.path in reasons
    ]
    return Operation(
        changes=Changes(changes, skipped, _widened(whole, gates), strokes),
        whole=whole,
        claims=tuple(chosen),
        layers=tuple(insertion.new for insertion in layers),
        linears=linears,
    )


def _change(claim: Selection) -> Change:
    site = claim.site
    return Change(path=site.path, old=site.spec or site.name or "?", new=str(claim.spec), idle=site.calls == 0)


def _without(taken: Sequence[Selection], reasons: Mapping[str, str]) -> list[Selection]:
    return [claim for claim in taken if claim.site.path not in reasons]


def _widened(whole: Survey, gates: Gates | None) -> list[Change]:
    if gates is None:
        return []
    return [
        Change(
            path=whole.paths[id(old)][0],
            old=f"Linear({old.in_features}, {old.out_features})",
            new=f"Linear{gates.shape(old)}",
        )
        for old in dict.fromkeys([*gates.producers, *gates.consumers])
    ]
