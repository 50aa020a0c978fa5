"""Axis of compression, the metric that is kept under rounding, pruning and sparse activations."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn

from actlab.evaluate.axis import Axis, Column, Measured
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.evaluate.judged_examples import JudgedExamples
from actlab.evaluate.rounding.changed_layers import (
    changed_inputs,
    changed_weights,
    layers_with_weights,
    other_weights,
    pruned,
)
from actlab.evaluate.rounding.formats import Rounding, affine_int8, float8, mxfp4, symmetric_int
from actlab.evaluate.rounding.layer_inputs import LayerInput, layer_inputs
from actlab.evaluate.rounding.zero_gradients import zero_gradients
from actlab.evaluate.undefined_axis import UndefinedAxisError
from actlab.tasks.loading.nested import mapped
from actlab.tasks.training.evaluation import loss_function
from actlab.tasks.training.placement import placed
from actlab.tasks.user_code import one_line

__all__ = ["COMPRESSION"]

_EXAMPLES: Final = 2_000  # test examples of each variant
_CALIBRATION: Final = 512  # training examples by which ranges are set
_GRADIENTS: Final = 256  # training examples of the backward pass
_PRUNED: Final = (0.5, 0.7, 0.8, 0.9, 0.95)
_SPARSE: Final = (0.25, 0.4, 0.5, 0.65, 0.8)

_NOTED: Final = 0.01  # share of the weights that is left as it is and not mentioned

_InputRounding = Callable[[LayerInput, Tensor], Tensor]


def _int8_input(seen: LayerInput, x: Tensor) -> Tensor:
    return affine_int8(x, seen.low, seen.high)


def _float8_input(dtype: torch.dtype, seen: LayerInput, x: Tensor) -> Tensor:
    return float8(x, dtype, seen.largest)


def _float8_weight(dtype: torch.dtype, weight: Tensor) -> Tensor:
    return float8(weight, dtype)


_E4M3, _E5M2 = torch.float8_e4m3fn, torch.float8_e5m2
#: Rounding of weights, and of the inputs of layers, by format.
_FORMATS: Final[Mapping[str, tuple[Rounding, _InputRounding | None]]] = {
    "int8_per_tensor": (symmetric_int, _int8_input),
    "int8_per_channel": (partial(symmetric_int, per_channel=True), _int8_input),
    "fp8_e4m3": (partial(_float8_weight, _E4M3), partial(_float8_input, _E4M3)),
    "fp8_e5m2": (partial(_float8_weight, _E5M2), partial(_float8_input, _E5M2)),
    "int4_weights": (partial(symmetric_int, bits=4, per_channel=True), None),
    "mxfp4_weights": (mxfp4, None),
}


def _measure_compression(model: nn.Module, data: EvaluationData) -> Measured:
    if not layers_with_weights(model):
        raise UndefinedAxisError("the model has no linear or convolutional layer")
    seen = layer_inputs(model, data.train[0][:_CALIBRATION].to(data.device))
    kept = _Kept(data)
    numbers: dict[str, float] = {"unchanged": kept.metric()}
    for name, (weight, own) in _FORMATS.items():
        contexts = [changed_weights(model, weight)]
        if own is not None:
            contexts.append(changed_inputs(model, partial(_rounded, own, seen)))
        numbers[name] = kept.metric(*contexts)
    prune = [kept.metric(changed_weights(model, pruned(model, share))) for share in _PRUNED]
    sparse = [kept.metric(changed_inputs(model, partial(_thresholded, seen, share))) for share in _SPARSE]
    numbers |= {"pruned_80": prune[_PRUNED.index(0.8)], "sparse_50": sparse[_SPARSE.index(0.5)]}
    inner = _inner(seen)
    numbers |= _outliers(inner)
    gradients, undefined = _zero_gradients(model, data)
    numbers |= {name: statistics.fmean(shares.values()) for name, shares in gradients.items() if shares}
    curves = {
        "pruned": {"x": [0.0, *_PRUNED], "y": [numbers["unchanged"], *prune], "x_name": "share of weights at zero"},
        "sparse": {
            "x": [0.0, *_SPARSE],
            "y": [numbers["unchanged"], *sparse],
            "x_name": "share of activations at zero",
        },
    }
    record = {
        "examples": kept.examples,
        "sites": {path: _site(one) for path, one in inner.items()},
        "zero_gradients": gradients,
        "multiplications_saved": _saved(model, seen),
    }
    left, holders = other_weights(model)
    note = (
        f"{left:.0%} of the weights, those of {', '.join(holders)}, are neither rounded nor pruned, as they are in no linear or "
        "convolutional layer."
    )
    notes = (note,) if left >= _NOTED else ()
    return Measured(numbers=numbers, curves=curves, undefined=undefined, notes=notes, record=record)


class _Kept:
    """The metric of the changed model on some test examples, always the same ones."""

    def __init__(self, data: EvaluationData) -> None:
        rows = data.some(_EXAMPLES, "compression")
        self._chosen, self.examples = JudgedExamples(data, rows), len(rows)

    def metric(self, *changes: AbstractContextManager[None]) -> float:
        """Return the metric inside contexts that change the model."""
        with ExitStack() as stack:
            for change in changes:
                stack.enter_context(change)
            return self._chosen.metric(self._chosen.inputs)


def _rounded(rounding: _InputRounding, seen: Mapping[str, LayerInput], path: str, x: Tensor) -> Tensor:
    return rounding(seen[path], x) if path in seen and x.is_floating_point() else x


def _thresholded(seen: Mapping[str, LayerInput], share: float, path: str, x: Tensor) -> Tensor:
    """Set the smallest magnitudes of a layer's input to zero, by a threshold from training examples, as in TEAL (arXiv:2408.14690)."""
    if path not in seen or path == next(iter(seen)):  # the first layer reads the data and no activation
        return x
    return x * (x.abs() > seen[path].thresholds[share])


def _inner(seen: Mapping[str, LayerInput]) -> dict[str, LayerInput]:
    """Return the layers that read an activation, which are all but the first to run."""
    return dict(list(seen.items())[1:]) or dict(seen)


def _outliers(inner: Mapping[str, LayerInput]) -> dict[str, float]:
    """Return the worst of each measure over layers, and the mean share of zeros."""
    return {
        "kurtosis": max(one.kurtosis for one in inner.values()),
        "max_over_median": max(one.max_over_median for one in inner.values()),
        "rounding_error": max(one.error for one in inner.values()),
        "sparsity": statistics.fmean(one.zeros for one in inner.values()),
    }


def _site(one: LayerInput) -> dict[str, float]:
    names = ("kurtosis", "max_over_median", "zeros", "error", "low", "high")
    return {name: value for name in names if (value := getattr(one, name)) == value}


def _saved(model: nn.Module, seen: Mapping[str, LayerInput]) -> float:
    """Return the share of multiplications of all layers that have an exact zero as input and need not be made."""
    layers = layers_with_weights(model)
    sizes = {path: float(layers[path].weight.numel()) for path in seen}  # type: ignore[operator] # weights are tensors
    return sum(sizes[path] * seen[path].zeros for path in seen) / sum(sizes.values())


def _zero_gradients(model: nn.Module, data: EvaluationData) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    names: dict[str, torch.dtype | None] = {"zero_gradients": None, "zero_gradients_bf16": torch.bfloat16}
    task = data.task
    if not (task.has_loss or task.step):
        return {}, dict.fromkeys(names, "the task has no loss")
    loss_of = loss_function(task, data.splits.train)
    inputs, targets = data.train
    batch = placed((inputs[:_GRADIENTS], mapped(targets, lambda leaf: leaf[:_GRADIENTS])), data.device)
    found, undefined = {}, {}
    for name, dtype in names.items():
        try:
            found[name] = zero_gradients(model, lambda net: loss_of(net, batch), dtype=dtype)
            if not found[name]:
                undefined[name] = "no gradient of an activation was seen"
        except Exception as error:  # the loss is user code, and an operation may have no kernel for the dtype
            undefined[name] = one_line(error)[:200]
    return found, undefined


def _metric(description: str, *, headline: bool = True) -> Column:
    return Column(direction="metric", description=f"metric {description}", headline=headline)


def _described(description: str, unit: str = "") -> Column:
    return Column(direction=None, unit=unit, description=description, headline=False)


COMPRESSION: Final = Axis(
    name="compression",
    measure=_measure_compression,
    columns={
        "unchanged": _metric("of the unchanged model on the same examples", headline=False),
        "int8_per_tensor": _metric("with weights and layer inputs in int8, one scale a tensor"),
        "int8_per_channel": _metric(
            "with weights and layer inputs in int8, one scale for each output channel of the weights"
        ),
        "fp8_e4m3": _metric("with weights and layer inputs in 8-bit floats, 3 bits of mantissa"),
        "fp8_e5m2": _metric("with weights and layer inputs in 8-bit floats, 2 bits of mantissa", headline=False),
        "int4_weights": _metric("with weights in 4 bits, one scale for each output channel"),
        "mxfp4_weights": _metric("with weights in MXFP4", headline=False),
        "pruned_80": _metric("with the 80 % smallest weights at zero"),
        "sparse_50": _metric("with the smaller half of each layer's inputs at zero"),
        "sparsity": Column(direction="max", unit="share", description="layer inputs that are exactly zero"),
        "kurtosis": _described("of the inputs of the layer where it is largest; 3 for a normal distribution"),
        "max_over_median": _described("largest magnitude over the median, of the layer where that is largest"),
        "rounding_error": _described("relative error of the layer inputs in int8, where it is largest"),
        "zero_gradients": _described("gradients at activations that are exactly zero", "share"),
        "zero_gradients_bf16": _described("the same in mixed precision with bfloat16", "share"),
    },
    description="What is left of the metric in fewer bits, with fewer weights and with sparse activations.",
)
