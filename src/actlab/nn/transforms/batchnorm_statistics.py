"""Recalibration: the running statistics of a model's BatchNorms, measured anew after its functions or weights have changed."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice

import torch
from torch import nn

from actlab.errors import SiteError
from actlab.nn.sites.dry_run import Inputs, copy_inputs, run

__all__ = ["recalibrate_"]


def recalibrate_(model: nn.Module, data: Iterable[Inputs], *, batches: int | None = None) -> list[str]:
    """Set the running mean and variance of every BatchNorm to the means over batches, each batch counting alike.

    As ``torch.optim.swa_utils.update_bn`` does, but with everything else in eval mode: dropout does not add its noise to the statistics.
    A norm that is in eval mode in a model that is in training is frozen, and left as it is. The flags, the momentum and the weights stay;
    ``num_batches_tracked`` counts the batches.

    Args:
        model: any module; changed in place.
        data: inputs as the model takes them: a tensor, a tuple of positional arguments, or a dict of keyword arguments each.
        batches: how many are used; all if not given.

    Returns:
        Paths of the BatchNorms; nothing is run where there are none that keep statistics.

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
    found = {
        path: module
        for path, module in model.named_modules()
        if _keeps_statistics(module) and (module.training or not is_training)
    }
    norms = [module for module in found.values() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return []
    rest = islice(data, batches)
    first = next(rest, None)
    if first is None:
        raise SiteError(
            "There is no batch to recalibrate the BatchNorms with; they are as they were. A generator that was read before is empty: "
            "give a list or a DataLoader."
        )
    flags = [(module, module.training) for module in model.modules()]
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's sign for means over all batches
        norm.training = True
    try:
        _run_all(model, chain([first], rest))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, flag in flags:
            module.training = flag
    return list(found)


def _keeps_statistics(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None


@torch.no_grad()
def _run_all(model: nn.Module, data: Iterable[Inputs]) -> None:
    for inputs in data:
        run(model, copy_inputs(inputs))
