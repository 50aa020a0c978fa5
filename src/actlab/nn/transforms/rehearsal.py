"""Dry run of a swap with layers of the same functions, and replacements that insert new layers.

Every site gets a layer of the function it has now, and the model's output must stay the same: the swap may only change the functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from actlab.errors import SiteError
from actlab.functions.activation import Learned
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.nn.layers.layer import layer
from actlab.nn.passes.output_tensors import output_tensors
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

__all__ = [
    "KNOWN_BY_VALUES",
    "OVERWRITES_UNTESTED",
    "has_known_parameters",
    "new_layers",
    "rehearsal_failures",
    "replacements_of",
    "run_or_undo",
]

KNOWN_BY_VALUES: Final = "its author's own code runs, which is known by its values only; it stays, to the bit"
_OVERWRITES: Final = "it overwrites its input, which the model uses afterwards; write it without inplace first"
OVERWRITES_UNTESTED: Final = (
    "it overwrites its input, which the model may use afterwards; pass example_inputs, so that this is tested"
)
# Rounding through a net, of an output's own size; 1e-3 in float32 and float64. Functions that are written out round otherwise than a layer:
# over 24 blocks in bfloat16 by up to 0.08 of the typical output, in float16 by 0.007.
_RELATIVE: Final = {torch.bfloat16: 1e-1, torch.float16: 2e-2}
_MASK: Final = 1e3  # outputs that are larger than the small ones by this factor are no measure of what is typical
_CHANGES: Final = "the model's output changes even if the same function is put there as a layer"
# What rehearsals have shown, by survey and sites: the functions that will come make no difference.
_DONE: Final[WeakKeyDictionary[Survey, dict[frozenset[str], dict[str, str]]]] = WeakKeyDictionary()
_ELSEWHERE: Final = (
    "a layer put here does not run: the model holds the function in another place as well, and runs that one"
)


def new_layers(model_survey: Survey, chosen: Sequence[tuple[Entry, Spec]], *, fast: bool = False) -> list[Insertion]:
    """Return a new layer for each site, with its position."""
    model_paths = ModelPaths(model=model_survey.model, paths=model_survey.paths)
    insertions = []
    for entry, spec in chosen:
        slot = entry.slot
        channels, dim = (entry.site.channels, _channel_dim(entry.site)) if spec.needs_channels else (None, 1)
        with torch.device("cpu"):  # whatever the default device is, the layer goes to that of its neighbors
            made = layer(spec, channels=channels, channel_dim=dim, fast=fast)
        new = model_paths.match_neighbors(made, slot.owner)
        insertions.append(Insertion(owner=slot.owner, new=new, attribute=slot.attribute, edit=slot.edit))
    return insertions


def _channel_dim(site: Site) -> int:
    """Return the dimension for parameters per channel: 1 for the channels of a convolution with a batch, as torch's PReLU has it."""
    dim = site.channel_dim or 1
    return 1 if dim < -1 and all(len(shape) + dim == 1 for shape in site.shapes) else dim


def replacements_of(
    model_survey: Survey, layers: Sequence[Insertion], linears: Mapping[nn.Linear, nn.Linear] | None = None
) -> list[Replacement]:
    """Return the replacements that insert layers, and Linears of another width."""
    model_paths = ModelPaths(model=model_survey.model, paths=model_survey.paths)
    return plan_replacements(
        model_paths, [*(Insertion(owner=old, new=new) for old, new in (linears or {}).items()), *layers]
    )


def rehearsal_failures(model_survey: Survey, selections: Sequence[Selection], example_inputs: Inputs) -> dict[str, str]:
    """Replace each function by a layer of the same function, run the model, and undo it.

    Returns:
        By path, the reason for each site at which the output changed: usually the model uses a tensor after ``x.relu_()`` or
        ``inplace=True`` has overwritten it, which a layer does not. And for each whose layer did not run as often as the original: the
        model holds the function in another place as well, and runs that one.
    """
    same = [
        (selection.entry, parse(str(selection.site.spec)))
        for selection in selections
        if has_known_parameters(selection.site)
    ]
    done = _DONE.setdefault(model_survey, {})
    key = frozenset(entry.site.path for entry, _ in same)
    if key not in done:
        done[key] = _failures(model_survey, same, example_inputs)
    return done[key]


def _failures(model_survey: Survey, same: Sequence[tuple[Entry, Spec]], example_inputs: Inputs) -> dict[str, str]:
    if not same or not _failure(model_survey, same, example_inputs):
        return {}
    alone = ((entry, _failure(model_survey, [(entry, spec)], example_inputs)) for entry, spec in same)
    reasons = {entry.site.path: reason for entry, reason in alone if reason}
    return reasons or {entry.site.path: _CHANGES for entry, _ in same}


def has_known_parameters(site: Site) -> bool:
    """Whether a layer can reproduce what runs at a site: all parameters are known numbers."""
    return site.spec is not None and not any(isinstance(value, Learned) for value in parse(site.spec).values.values())


def _failure(model_survey: Survey, same: Sequence[tuple[Entry, Spec]], example_inputs: Inputs) -> str | None:
    """Return what goes wrong with layers of the same functions in the model, or None."""
    replacements = replacements_of(model_survey, new_layers(model_survey, same))
    with temporarily_applied(replacements):
        after = trace(model_survey.model, example_inputs)
    before = model_survey.trace.output if model_survey.trace else None
    outputs, new_outputs = output_tensors(before), output_tensors(after.output)
    if len(outputs) != len(new_outputs) or not all(map(_close, outputs, new_outputs)):
        return _OVERWRITES if any(entry.running.inplace for entry, _ in same) else _CHANGES
    layers = {id(new) for replacement in replacements for new in replacement.new_modules}
    calls = sum(id(run.slot.owner) in layers for run in after.runs)
    return None if calls == sum(len(entry.runs) for entry, _ in same) else _ELSEWHERE


def _close(before: Tensor, after: Tensor) -> bool:
    """Whether two outputs agree element by element, up to rounding (a fused and a plain kernel may differ in the last digits).

    Infinities and NaN must stand in the same places. Each element that differs is held against its own size and that of the smaller ones
    among them, in half precision that of typical ones, so that a mask filled with -1e9 does not hide a change of the others.
    """
    if before.shape != after.shape or before.dtype != after.dtype or before.layout != after.layout:
        return False
    if before.is_meta:  # no values to compare
        return after.is_meta
    if before.layout is not torch.strided:
        before, after = before.to_dense(), after.to_dense()
    if before.is_complex():
        before, after = torch.view_as_real(before.resolve_conj()), torch.view_as_real(after.resolve_conj())
    if not before.is_floating_point():
        return torch.equal(before, after)
    a, b = before.detach().double(), after.detach().double()
    differs = (a != b) & ~(a.isnan() & b.isnan())
    a, b = a[differs], b[differs]
    if not a.numel():
        return True
    if not bool((a.isfinite() & b.isfinite()).all()):
        return False
    relative = _RELATIVE.get(before.dtype, 1e-3)
    room = _room(a[a != 0].abs(), is_half=before.dtype in _RELATIVE)
    return bool(((a - b).abs() <= relative * (a.abs() + room)).all())


def _room(sizes: Tensor, *, is_half: bool) -> float:
    """Return the size below which a difference of outputs is measured by others than by their own size."""
    if not sizes.numel():
        return 1e-9
    small = float(sizes.sort().values[sizes.numel() // 10])
    return float(sizes[sizes <= _MASK * small].median()) if is_half else 0.1 * small


def run_or_undo(model: nn.Module, example_inputs: Inputs, replacements: Sequence[Replacement]) -> None:
    """Run the swapped model once; undo the replacements if it raises."""
    try:
        trace(model, example_inputs)
    except SiteError as error:
        undo_all(replacements)
        raise SiteError(f"The swapped model does not run, so the swap was undone. {error}") from error
