"""Axis of the cost of inference (latency, operations, memory traffic, energy)."""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

from actlab.evaluate.axis import Axis, Column, Measured
from actlab.evaluate.costs.inference import inference_costs
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.evaluate.undefined_axis import UndefinedAxisError
from actlab.tasks.loading.nested import row_count
from actlab.tasks.training.conditions import Conditions
from actlab.tasks.training.placement import placed

__all__ = ["COST"]


def _measure_cost(model: nn.Module, data: EvaluationData) -> Measured:
    batch = placed(data.inputs_of_call, data.device)
    where = Conditions(device=data.device, threads=torch.get_num_threads())
    found = inference_costs({"model": model}, batch, where=where).get("model")
    if found is None:
        raise UndefinedAxisError("the model raises on a batch, or on one example")
    return Measured(
        numbers=found["numbers"],
        undefined=found["undefined"],
        record={"batch": row_count(batch), "threads": where.threads},
    )


COST: Final = Axis(
    name="cost",
    measure=_measure_cost,
    columns={
        "latency_1": Column(direction="min", unit="s", description="forward pass of one example, median"),
        "latency": Column(direction="min", unit="s", description="forward pass of a training batch, median"),
        "flops": Column(direction="min", description="operations of products and convolutions for one example"),
        "bytes_moved": Column(direction="min", unit="bytes", description="read and written by kernels for one example"),
        "weight_bytes": Column(direction="min", unit="bytes", description="of parameters and buffers", headline=False),
        "energy": Column(direction="min", unit="J", description="of processor or card, for one example of a batch"),
    },
    description="What a prediction costs on this machine; times are measured in turn for all arms.",
    level="arm",
)
