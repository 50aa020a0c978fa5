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
from actlab.nn.transforms.replacements import (
    Insertion,
    ModelPaths,
    Replacement,
    plan_replacements,
    temporarily_applied,
    undo_all,
)
from actlab.nn.transforms.selection import Selection

__all__ = ["fixed", "rehearsal_failures"]

_OVERWRITES: Final = "it overwrites its input, and the model goes on using that; write it without inplace first"

_CHANGES: Final = "the model's output changes even if the same function takes its place as a layer"

_ELSEWHERE: Final = (
    "a layer put here does not run: the model holds the function in another place as well, and runs that"
)


def _layers(model_survey: Survey, chosen: Sequence[tuple[Entry, Spec]], *, fast: bool = False) -> list[Insertion]:
    """Return the layer that each site is to get, and where it goes."""
    model_paths = ModelPaths(model=model_survey.model, paths=model_survey.paths)
    insertions = []
    for entry, spec in chosen:
        place = entry.slot
        channels = entry.site.channels if spec.needs_channels else None
        new = model_paths.place_like_neighbours(layer(spec, channels=channels, fast=fast), place.owner)
        insertions.append(Insertion(owner=place.owner, new=new, attribute=place.attribute, edit=place.edit))
    return insertions


def _replacements(
    model_survey: Survey, layers: Sequence[Insertion], linears: Mapping[nn.Linear, nn.Linear] | None = None
) -> list[Replacement]:
    """Return the replacements that put layers in their places, and Linears of another width."""
    model_paths = ModelPaths(model=model_survey.model, paths=model_survey.paths)
    return plan_replacements(
        model_paths, [*(Insertion(owner=old, new=new) for old, new in (linears or {}).items()), *layers]
    )


def rehearsal_failures(model_survey: Survey, selections: Sequence[Selection], example_inputs: Inputs) -> dict[str, str]:
    """Put layers of the present functions in, and compare the model's output: nothing may depend on how they were written.

    Returns:
        By path, the reason for each site at which the output changed: as a rule, something goes on using a tensor that ``x.relu_()``
        or ``inplace=True`` has overwritten, which a layer would leave as it is. And for each whose layer did not run as often as what
        it takes the place of: the function is held somewhere else as well, and that is what runs.
    """
    same = [(selection.entry, parse(str(selection.site.spec))) for selection in selections if fixed(selection.site)]
    if not same or not _failure(model_survey, same, example_inputs):
        return {}
    alone = ((entry, _failure(model_survey, [(entry, spec)], example_inputs)) for entry, spec in same)
    culprits = {entry.site.path: words for entry, words in alone if words}
    return culprits or {entry.site.path: _CHANGES for entry, _ in same}


def fixed(site: Site) -> bool:
    """Whether a layer of what runs here computes the same: all parameters are known numbers."""
    return site.spec is not None and not any(isinstance(value, Learned) for value in parse(site.spec).values.values())


def _failure(model_survey: Survey, same: Sequence[tuple[Entry, Spec]], example_inputs: Inputs) -> str | None:
    """Say what goes wrong with layers of the present functions in place, or return None."""
    replacements = _replacements(model_survey, _layers(model_survey, same))
    with temporarily_applied(replacements):
        notes = trace(model_survey.model, example_inputs)
    before = model_survey.trace.output if model_survey.trace else None
    pairs = zip(tree_leaves(before), tree_leaves(notes.output), strict=True)
    if not all(_close(a, b) for a, b in pairs if isinstance(a, Tensor)):
        return _OVERWRITES if any(entry.running.inplace for entry, _ in same) else _CHANGES
    layers = {id(new) for replacement in replacements for new in replacement.new_modules}
    calls = sum(id(run.slot.owner) in layers for run in notes.runs)
    return None if calls == sum(len(entry.runs) for entry, _ in same) else _ELSEWHERE


def _close(a: Tensor, b: Any) -> bool:
    """Whether two outputs are the same but for rounding (a fused and a plain kernel may differ in the last digits)."""
    if not isinstance(b, Tensor) or a.shape != b.shape:
        return False
    scale = float(a.abs().amax()) if a.numel() and a.is_floating_point() else 0.0
    return torch.allclose(a, b, rtol=1e-3, atol=1e-4 * scale, equal_nan=True)


def run_or_undo(model: nn.Module, example_inputs: Inputs, replacements: Sequence[Replacement]) -> None:
    """Run the swapped model once; take everything back if it does not run."""
    try:
        trace(model, example_inputs)
    except SiteError as error:
        undo_all(replacements)
        raise SiteError(f"The swapped model does not run, so the swap was taken back. {error}") from error
