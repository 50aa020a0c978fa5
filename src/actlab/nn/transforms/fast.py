"""Run a model's activations on compiled kernels where those are faster, with undo()."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import isinf

import torch
from torch import nn

from actlab.codegen import pytorch
from actlab.codegen.dispatch.crossover import crossover
from actlab.functions.grammar import parse
from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.passes.model_argument import takes_model
from actlab.nn.sites.dry_run import Inputs
from actlab.nn.sites.find import Entry, survey
from actlab.nn.transforms.changes import Change, Changes, Skipped
from actlab.nn.transforms.rehearsal import KNOWN_BY_VALUES, OVERWRITES_UNTESTED
from actlab.nn.transforms.replacements import apply_all
from actlab.nn.transforms.selection import Selection
from actlab.nn.transforms.swap import apply_selections

__all__ = ["fast"]

_DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class _FastReplacement:
    """Lets an activation layer use compiled kernels."""

    layer: ActivationLayer

    def apply(self) -> None:
        self.layer.set_fast(True)

    def undo(self) -> None:
        self.layer.set_fast(False)

    def is_intact(self) -> bool:
        return self.layer.fast

    @property
    def new_modules(self) -> tuple[nn.Module, ...]:
        return ()


@takes_model
def fast(model: nn.Module, example_inputs: Inputs | None = None) -> Changes:
    """Let a model's activations use kernels compiled from their formulas, in place, wherever those are faster than what runs now.

    The results stay the same to a few units in the last place. Each call checks its tensor: small ones, other devices, dtypes and modes of
    torch run what they ran before. Kernels are compiled when they first run, within a second each, and cached on disk.

    Args:
        model: any module.
        example_inputs: as for :func:`find`; recommended, for sites that only a run shows and for a dry run.

    Returns:
        The changes, with ``skipped`` (sites left as they are, with the reason) and ``undo()``.

    Raises:
        SiteError: the model cannot be run on the example inputs.

    Example:
        >>> from actlab.nn.layers.layer import layer
        >>> model = nn.Sequential(nn.Linear(2, 4), layer("telu"), nn.Linear(4, 4), nn.Softmax(-1))
        >>> fast(model)
        1: telu -> telu
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    layers = {
        path: module for path, module in modules.items() if isinstance(module, ActivationLayer) and not module.fast
    }
    model_survey = survey(model, example_inputs, whole=False)
    entries = [entry for entry in model_survey.entries if entry.site.path not in layers and not entry.site.output]
    reasons = {
        entry.site.path: reason for entry in entries if (reason := _reason(entry, untested=example_inputs is None))
    }
    selections = [
        Selection(entry=entry, spec=parse(str(entry.site.spec)), key=entry.site.path)
        for entry in entries
        if entry.site.path not in reasons
    ]
    swapped = apply_selections(model_survey, selections, example_inputs, fast=True, strict=False).changes
    switched = [_FastReplacement(layer=module) for module in dict.fromkeys(layers.values())]
    apply_all(switched)
    changes = [Change(path=path, old=str(module.spec), new=str(module.spec)) for path, module in layers.items()]
    skipped = [
        Skipped(site=entry.site, reason=reasons[entry.site.path]) for entry in entries if entry.site.path in reasons
    ]
    return Changes([*changes, *swapped], [*skipped, *swapped.skipped], (), [*switched, *swapped.replacements])


def _reason(entry: Entry, *, untested: bool) -> str | None:
    """Return why a site is skipped, or None."""
    site = entry.site
    if not site.replaceable:
        return site.reason
    if site.spec is None:
        return "its parameters are not known"
    if entry.running.by_values:
        return KNOWN_BY_VALUES
    spec = parse(site.spec)
    if spec.activation.expression is None:
        return f"{spec.activation.name} is tensor code; kernels are made from formulas"
    if any(parameter.learned for parameter in spec.activation.parameters):
        return "it has learned weights; build it with actlab.layer(..., fast=True)"
    native = pytorch.native(spec) is not None
    if all(
        isinf(crossover(spec.activation.name, device, dtype, native=native, threads=threads))
        for device, dtype, threads in product(("cpu", "cuda"), _DTYPES, (1, 2))
    ):
        return "torch's own kernel is as fast at every size"
    if untested and entry.running.inplace:
        return OVERWRITES_UNTESTED
    return None
