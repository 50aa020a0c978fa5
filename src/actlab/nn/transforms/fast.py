"""Fast: a model's activations on our own kernels, where those are quicker, with a way back."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import isinf

import torch
from torch import nn

from actlab.codegen import pytorch
from actlab.codegen.dispatch.crossover import crossover
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.sites.dry_run import Inputs
from actlab.nn.sites.find import Site, find
from actlab.nn.transforms.changes import Change, Changes, Skipped
from actlab.nn.transforms.selection import Key
from actlab.nn.transforms.swap import swap_

__all__ = ["fast"]


@dataclass(frozen=True, kw_only=True, eq=False)
class _FastReplacement:
    """Makes a layer fast."""

    layer: ActivationLayer

    def do(self) -> None:
        self.layer.set_fast(True)

    def undo(self) -> None:
        self.layer.set_fast(False)

    def intact(self) -> bool:
        return self.layer.fast

    @property
    def new_modules(self) -> tuple[nn.Module, ...]:
        return ()


def fast(model: nn.Module, example_inputs: Inputs | None = None) -> Changes:
    """Put a model's activations on kernels made from their formulas, in place, wherever those are quicker than what runs now.

    The numbers stay the same to a few units in the last place. Each call still looks at its tensor: small ones, other devices, dtypes and
    modes of torch run what they ran before. Kernels are compiled when they first run, within a second each, and kept on disk.

    Args:
        model: any module.
        example_inputs: as for :func:`find`; recommended, for what only a run can tell, and for a rehearsal.

    Returns:
        The changes, with ``skipped`` and ``undo()``.

    Raises:
        SiteError: the model cannot be run on the example inputs.

    Example:
        >>> from actlab.nn.layers.layer import layer
        >>> model = nn.Sequential(nn.Linear(2, 4), layer("telu"), nn.Linear(4, 4), nn.Softmax(-1))
        >>> fast(model)
        1: telu -> telu
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    own = {path: module for path, module in modules.items() if isinstance(module, ActivationLayer) and not module.fast}
    sites = [site for site in find(model, example_inputs) if site.path not in own and not site.output]
    reasons = {site.path: reason for site in sites if (reason := _reason(site))}
    wanted: dict[Key, str | Spec] = {site.path: str(site.spec) for site in sites if site.path not in reasons}
    swapped = swap_(model, wanted, example_inputs, fast=True) if wanted else Changes((), (), (), ())
    hastes = [_FastReplacement(layer=module) for module in dict.fromkeys(own.values())]
    for haste in hastes:
        haste.do()
    changes = [Change(path=path, old=str(module.spec), new=str(module.spec)) for path, module in own.items()]
    skipped = [Skipped(site=site, reason=reasons[site.path]) for site in sites if site.path in reasons]
    return Changes([*changes, *swapped], [*skipped, *swapped.skipped], (), [*hastes, *swapped.replacements])


def _reason(site: Site) -> str | None:
    """Return why a site is left as it is, or None."""
    if not site.replaceable:
        return site.reason
    if site.spec is None:
        return "its parameters are not known"
    spec = parse(site.spec)
    if spec.activation.expression is None:
        return f"{spec.activation.name} is tensor code; kernels are made from formulas"
    if any(parameter.learned for parameter in spec.activation.parameters):
        return "it has learned weights; build it with actlab.layer(..., fast=True)"
    native = pytorch.native(spec) is not None
    if all(
        isinf(crossover(spec.activation.name, device, dtype, native=native, threads=threads))
        for device, dtype, threads in product(("cpu", "cuda"), DTYPES, (1, 2))
    ):
        return "torch's own kernel is as quick at every size"
    return None


DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
