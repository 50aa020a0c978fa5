"""Rehearse a swap: same functions in, same output out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from actlab.errors import SiteError
from actlab.functions.activation import Learned
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.nn.layers.layer import layer
from actlab.nn.sites.dry_run import Inputs
from actlab.nn.sites.find import Entry, Site, Survey
from actlab.nn.sites.trace import trace
from actlab.nn.transforms.replacements import Insertion, ModelPaths, Replacement, _take_back, carried_out, strokes_for
from actlab.nn.transforms.selection import Selection

__all__ = ["fixed", "rehearsed"]

_OVERWRITES: Final = "it overwrites its input, and the model goes on using that; write it without inplace first"

_CHANGES: Final = "the model's output changes even if the same function takes its place as a layer"

_ELSEWHERE: Final = (
    "a layer put here does not run: the model holds the function in another place as well, and runs that"
)


def _layers(whole: Survey, chosen: Sequence[tuple[Entry, Spec]], *, fast: bool = False) -> list[Insertion]:
    """Return the layer that each site is to get, and where it goes."""
    patient = ModelPaths(model=whole.model, paths=whole.paths)
    insertions = []
    for entry, spec in chosen:
        place = entry.place
        channels = entry.site.channels if spec.needs_channels else None
        new = patient.place_like_neighbours(layer(spec, channels=channels, fast=fast), place.owner)
        insertions.append(Insertion(owner=place.owner, new=new, attribute=place.attribute, edit=place.edit))
    return insertions


def _strokes(
    whole: Survey, layers: Sequence[Insertion], linears: Mapping[nn.Linear, nn.Linear] | None = None
) -> list[Replacement]:
    """Return the strokes that put layers in their places, and Linears of another width."""
    patient = ModelPaths(model=whole.model, paths=whole.paths)
    return strokes_for(patient, [*(Insertion(owner=old, new=new) for old, new in (linears or {}).items()), *layers])


def rehearsed(whole: Survey, taken: Sequence[Selection], example_inputs: Inputs) -> dict[str, str]:
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


def _try_out(model: nn.Module, example_inputs: Inputs, strokes: Sequence[Replacement]) -> None:
    """Run the swapped model once; take everything back if it does not run."""
    try:
        trace(model, example_inputs)
    except SiteError as error:
        _take_back(strokes)
        raise SiteError(f"The swapped model does not run, so the swap was taken back. {error}") from error
