"""Cost of inference of several models, measured in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from actlab.evaluate.costs.energy import energy_counters, interleaved_joules
from actlab.evaluate.costs.interleaved import clock_of, interleaved_times, median_time, ratios, synchronizer
from actlab.nn.sites.dry_run import Inputs
from actlab.tasks.loading.nested import mapped, row_count
from actlab.tasks.training.conditions import Conditions

__all__ = ["first_example", "inference_costs"]

_WARM_UP: Final = 2
_SECONDS: Final = 0.15  # for each model and batch size


def inference_costs(
    models: Mapping[str, nn.Module], inputs: Inputs, *, where: Conditions, baseline: str | None = None
) -> dict[str, dict[str, Any]]:
    """Return time, operations, memory traffic and energy of the forward pass of models, without gradients.

    Args:
        models: by name, in evaluation mode, on the device.
        inputs: a batch on the device; latencies are of its first example and of all of it.
        where: device and threads, which decide the clock.
        baseline: name of the model with the ratio 1; none without it.

    Returns:
        By model that runs: ``numbers`` by column, ``ratios`` to the baseline by block for times and energy, and ``undefined`` reasons.

    Example:
        >>> models = {"relu": nn.Sequential(nn.Linear(4, 4), nn.ReLU()), "gelu": nn.Sequential(nn.Linear(4, 4), nn.GELU())}
        >>> found = inference_costs(models, torch.zeros(8, 4), where=Conditions(), baseline="relu")
        >>> found["gelu"]["numbers"]["flops"], len(found["gelu"]["ratios"]["latency"])
        (32.0, 9)
    """
    batches = {"latency_1": first_example(inputs), "latency": inputs}
    found: dict[str, dict[str, Any]] = {
        name: {"numbers": _counted(model, batches["latency_1"]), "ratios": {}, "undefined": {}}
        for name, model in models.items()
    }
    for column, batch in batches.items():
        actions = {name: partial(_forward, model, batch) for name, model in models.items() if name in found}
        running: dict[str, Callable[[], Any]] = {name: action for name, action in actions.items() if _runs(action)}
        blocks = interleaved_times(running, clock_of(where), seconds=_SECONDS * len(running))
        for name in running:
            found[name]["numbers"][column] = median_time(blocks, name)
            if baseline is not None and baseline in running:
                found[name]["ratios"][column] = ratios(blocks, name, baseline)
        found = {name: entry for name, entry in found.items() if name in running}
    _add_energy(found, models, inputs, device=where.device, baseline=baseline)
    return found


def _add_energy(
    found: Mapping[str, dict[str, Any]],
    models: Mapping[str, nn.Module],
    inputs: Inputs,
    *,
    device: str,
    baseline: str | None,
) -> None:
    """Add the energy of one example of the batch, or why it is not known."""
    counters = energy_counters(device)
    if isinstance(counters, str):
        for entry in found.values():
            entry["undefined"]["energy"] = counters
        return
    actions = {name: partial(_forward, models[name], inputs) for name in found}
    blocks = interleaved_joules(actions, counters, synchronize=synchronizer(device))
    stands_still = any((joules <= 0).any() for block in blocks for joules in block.values())
    for name, entry in found.items():
        if stands_still:
            entry["undefined"]["energy"] = "the energy counter of this machine did not move while the models ran"
            continue
        entry["numbers"]["energy"] = median_time(blocks, name) / row_count(inputs)
        if baseline in actions:
            entry["ratios"]["energy"] = ratios(blocks, name, baseline)


def _counted(model: nn.Module, inputs: Inputs) -> dict[str, float]:
    """Return what is counted and not timed."""
    from actlab.evaluate.costs.operations import count_operations  # noqa: PLC0415 # torch's counters take half a second to import

    weights = sum(tensor.numel() * tensor.element_size() for tensor in (*model.parameters(), *model.buffers()))
    numbers = {"weight_bytes": float(weights)}
    with suppress(Exception):  # a model whose operators cannot be counted, such as a compiled one
        counted = count_operations(model, inputs)
        numbers |= {"flops": float(counted.flops), "bytes_moved": float(counted.bytes_moved)}
    return numbers


def first_example(inputs: Inputs) -> Inputs:
    """Return the inputs of the first example of a batch; what is of all examples, such as a mask of positions, stays.

    Example:
        >>> first_example(torch.zeros(8, 4)).shape
        torch.Size([1, 4])
    """
    rows = row_count(inputs)

    def of_first(leaf: Any) -> Any:
        if isinstance(leaf, PackedSequence):
            padded, lengths = pad_packed_sequence(leaf, batch_first=True)
            return pack_padded_sequence(padded[:1], lengths[:1], batch_first=True)
        is_by_example = (
            isinstance(leaf, Tensor) and leaf.ndim > 0 and len(leaf) == rows
        )  # others are of all, such as a mask
        return leaf[:1] if is_by_example else leaf

    first: Inputs = mapped(inputs, of_first)
    return first


@torch.no_grad()
def _forward(model: nn.Module, inputs: Inputs) -> Any:
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(inputs) if isinstance(inputs, Tensor) else model(*inputs)


def _runs(action: Callable[[], Any]) -> bool:
    with suppress(Exception):  # user code may raise anything; the trials record it
        for _ in range(_WARM_UP):
            action()
        return True
    return False
