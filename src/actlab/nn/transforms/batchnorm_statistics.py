"""Recompute the running statistics of BatchNorm layers after functions or weights have changed."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice

import torch
from torch import nn

from actlab.errors import SiteError
from actlab.nn.passes.model_argument import takes_model
from actlab.nn.sites.dry_run import Inputs, copy_inputs, run

__all__ = ["recalibrate_"]


@takes_model
def recalibrate_(model: nn.Module, data: Iterable[Inputs], *, batches: int | None = None) -> list[str]:
    """Set the running mean and variance of every BatchNorm to the average over batches, with equal weights.

    As ``torch.optim.swa_utils.update_bn``, but with everything else in eval mode, so that dropout adds no noise. A norm in eval mode inside
    a model in training mode counts as frozen and is left as it is. Flags, momentum and weights stay; ``num_batches_tracked`` counts the
    batches.

    Args:
        model: any module; changed in place.
        data: inputs as the model takes them: a tensor, a tuple of positional arguments, or a dict of keyword arguments each.
        batches: how many are used; None for all.

    Returns:
        Paths of the BatchNorms; the model is not run where none tracks statistics.

    Raises:
        SiteError: there is no batch, or the model raises on one.

    Example:
        >>> norm = nn.BatchNorm1d(1)
        >>> recalibrate_(nn.Sequential(norm), [torch.tensor([[1.0], [3.0]]), torch.tensor([[5.0], [7.0]])])
        ['0']
        >>> norm.running_mean
        tensor([4.])
    """
    is_training = model.training
    tracking = {
        path: module
        for path, module in model.named_modules()
        if _tracks_statistics(module) and (module.training or not is_training)
    }
    norms = [module for module in tracking.values() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return []
    rest = islice(data, batches)
    first = next(rest, None)
    if first is None:
        raise SiteError(
            "There is no batch to recalibrate the BatchNorms on; they are unchanged. A generator that was read before is empty: "
            "give a list or a DataLoader."
        )
    flags = [(module, module.training) for module in model.modules()]
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch then averages over all batches
        norm.training = True
    try:
        _run_all(model, chain([first], rest))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, flag in flags:
            module.training = flag
    return list(tracking)


def _tracks_statistics(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None


@torch.no_grad()
def _run_all(model: nn.Module, data: Iterable[Inputs]) -> None:
    for inputs in data:
        run(model, copy_inputs(inputs))
