"""The swap: other activations in a model, in place, with a way back.

Everything is checked before the first change. With example inputs the swap is rehearsed too: every site gets a layer of the function it has
now, and the model must still give the same output; and the swapped model must run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, overload

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from actlab.errors import SiteError
from actlab.functions.activation import Learned
from actlab.functions.spec import Spec, parse
from actlab.models.choice import Claim, Wanted, claims, complain, refusal
from actlab.models.gate import Gates, is_gating, plan_gates
from actlab.models.layer import layer
from actlab.models.sites import Entry, Site, Survey, survey
from actlab.models.surgery import Insertion, Patient, Stroke, strokes_for
from actlab.models.trace import trace
from actlab.models.undisturbed import Inputs

__all__ = ["Change", "Changes", "Operation", "Skipped", "carried_out", "fixed", "operate", "rehearsed", "swap_"]


_OVERWRITES: Final = "it overwrites its input, and the model goes on using that; write it without inplace first"
_CHANGES: Final = "the model's output changes even if the same function takes its place as a layer"
_ELSEWHERE: Final = (
    "a layer put here does not run: the model holds the function in another place as well, and runs that"
)


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that was replaced.

    Attributes:
        path: path of the site, or of the Linear that got another width.
        old: spec that ran there; its name, or "?", where the parameters are not known. For a Linear, its shape.
        new: spec that runs there now.
        idle: whether the site did not run on the example inputs, so that nothing has shown that the swap makes a difference.
    """

    path: str
    old: str
    new: str
    idle: bool = False


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A site that was asked for and left as it is.

    Attributes:
        site: the site.
        reason: why.
    """

    site: Site
    reason: str


class Changes(Sequence[Change]):
    """What a swap has changed: a sequence of :class:`Change`, one for each site.

    Attributes:
        skipped: sites that a pattern took, or a swap of everything, and that were left, with the reason.
        widened: Linears that got another width, for gated activations.
    """

    def __init__(
        self,
        changes: Sequence[Change],
        skipped: Sequence[Skipped],
        widened: Sequence[Change],
        strokes: Sequence[Stroke],
    ) -> None:
        self._changes = tuple(changes)
        self._strokes: tuple[Stroke, ...] | None = tuple(strokes)
        self.skipped = tuple(skipped)
        self.widened = tuple(widened)

    @overload
    def __getitem__(self, index: int) -> Change: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Change, ...]: ...
    def __getitem__(self, index: int | slice) -> Change | tuple[Change, ...]:
        return self._changes[index]

    def __len__(self) -> int:
        return len(self._changes)

    @property
    def strokes(self) -> tuple[Stroke, ...]:
        """The single changes to the model's objects; none once they are undone."""
        return self._strokes or ()

    def __repr__(self) -> str:
        idle = ", which did not run on example_inputs"
        lines = [f"{c.path}: {c.old} -> {c.new}{idle if c.idle else ''}" for c in (*self, *self.widened)]
        lines += [f"{skip.site.path}: left as it is, {skip.reason}" for skip in self.skipped]
        return "\n".join(lines)

    def undo(self) -> None:
        """Take everything back: the model computes what it computed before, bit for bit, and its ``state_dict`` has its old keys.

        Weights that were trained meanwhile stay trained. Linears that were widened come back with the weights they had.

        Raises:
            SiteError: it was undone already, or something was changed on top of it that must be undone first.

        Example:
            >>> model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
            >>> swap_(model, "gelu").undo()
            >>> model[1]
            ReLU()
        """
        if self._strokes is None:
            raise SiteError("This swap was undone already. Call swap_ again to swap once more.")
        if not all(stroke.intact() for stroke in self._strokes):
            raise SiteError(
                "The model was changed again after this swap. Undo the later changes first, the last one first."
            )
        _take_back(self._strokes)
        self._strokes = None


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
            (``"@0"``, ``"@:4"``, ``"@-1"``); the first key that matches a site takes it. See :mod:`actlab.models.choice`.
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
    claims: tuple[Claim, ...]
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


def _change(claim: Claim) -> Change:
    site = claim.site
    return Change(path=site.path, old=site.spec or site.name or "?", new=str(claim.spec), idle=site.calls == 0)


def _without(taken: Sequence[Claim], reasons: Mapping[str, str]) -> list[Claim]:
    return [claim for claim in taken if claim.site.path not in reasons]


def _layers(whole: Survey, chosen: Sequence[tuple[Entry, Spec]], *, fast: bool = False) -> list[Insertion]:
    """Return the layer that each site is to get, and where it goes."""
    patient = Patient(model=whole.model, paths=whole.paths)
    insertions = []
    for entry, spec in chosen:
        place = entry.place
        channels = entry.site.channels if spec.needs_channels else None
        new = patient.place_like_neighbours(layer(spec, channels=channels, fast=fast), place.owner)
        insertions.append(Insertion(owner=place.owner, new=new, attribute=place.attribute, edit=place.edit))
    return insertions


def _strokes(
    whole: Survey, layers: Sequence[Insertion], linears: Mapping[nn.Linear, nn.Linear] | None = None
) -> list[Stroke]:
    """Return the strokes that put layers in their places, and Linears of another width."""
    patient = Patient(model=whole.model, paths=whole.paths)
    return strokes_for(patient, [*(Insertion(owner=old, new=new) for old, new in (linears or {}).items()), *layers])


def _carry_out(strokes: Sequence[Stroke]) -> None:
    for stroke in strokes:
        stroke.do()


def _take_back(strokes: Sequence[Stroke]) -> None:
    for stroke in reversed(strokes):
        stroke.undo()


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


# ------------------------------------------------------------------------------------------- rehearsal


@contextmanager
def carried_out(strokes: Sequence[Stroke]) -> Iterator[None]:
    """Run what is inside with the strokes done; then take them back."""
    _carry_out(strokes)
    try:
        yield
    finally:
        _take_back(strokes)


def rehearsed(whole: Survey, taken: Sequence[Claim], example_inputs: Inputs) -> dict[str, str]:
    """Put layers of the present functions in, and compare the model's output: nothing may depend on how they were written.

    Returns:
        By path, the reason for each site at which the output changed: as a rule, something goes on using a tensor that ``x.relu_()``
        or ``inplace=True`` has overwritten, which a layer would leave as it is. And for each whose layer did not run as often as what
        it takes the place of: the function is held somewhere else as well, and that is what runs.
    """
    same = [(claim.entry, parse(str(claim.site.spec))) for claim in taken if fixed(claim.site)]
    if not same or not _complaint(whole, same, example_inputs):
        return {}
    alone = ((entry, _complaint(whole, [(entry, spec)], example_inputs)) for entry, spec in same)
    culprits = {entry.site.path: words for entry, words in alone if words}
    return culprits or {entry.site.path: _CHANGES for entry, _ in same}


def fixed(site: Site) -> bool:
    """Whether a layer of what runs here computes the same: all parameters are known numbers."""
    return site.spec is not None and not any(isinstance(value, Learned) for value in parse(site.spec).values.values())


def _complaint(whole: Survey, same: Sequence[tuple[Entry, Spec]], example_inputs: Inputs) -> str | None:
    """Say what goes wrong with layers of the present functions in place, or return None."""
    strokes = _strokes(whole, _layers(whole, same))
    with carried_out(strokes):
        notes = trace(whole.model, example_inputs)
    before = whole.trace.output if whole.trace else None
    pairs = zip(tree_leaves(before), tree_leaves(notes.output), strict=True)
    if not all(_close(a, b) for a, b in pairs if isinstance(a, Tensor)):
        return _OVERWRITES if any(entry.running.inplace for entry, _ in same) else _CHANGES
    layers = {id(new) for stroke in strokes for new in stroke.put_in}
    calls = sum(id(run.place.owner) in layers for run in notes.runs)
    return None if calls == sum(len(entry.runs) for entry, _ in same) else _ELSEWHERE


def _close(a: Tensor, b: Any) -> bool:
    """Whether two outputs are the same but for rounding (a fused and a plain kernel may differ in the last digits)."""
    if not isinstance(b, Tensor) or a.shape != b.shape:
        return False
    scale = float(a.abs().amax()) if a.numel() and a.is_floating_point() else 0.0
    return torch.allclose(a, b, rtol=1e-3, atol=1e-4 * scale, equal_nan=True)


def _try_out(model: nn.Module, example_inputs: Inputs, strokes: Sequence[Stroke]) -> None:
    """Run the swapped model once; take everything back if it does not run."""
    try:
        trace(model, example_inputs)
    except SiteError as error:
        _take_back(strokes)
        raise SiteError(f"The swapped model does not run, so the swap was taken back. {error}") from error
