"""Activations in a traced graph, from formula nodes and from operators of torch, as layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from actlab.errors import SpecError
from actlab.export.capture.formulas import Formulas
from actlab.export.net.layers import Activation, Scale, Slice
from actlab.export.net.value import Reading, UnsupportedError, Value, numbers_over
from actlab.functions.activation import names
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.nn.recognition.torch_activations import describe_call, function_named

__all__ = ["activation_of", "add_activation", "formula_of"]

# Operators of torch that are entries of the catalogue under another name, or under the same one but no activation of torch.nn.
OTHER_NAMES = {"_prelu_kernel": "prelu", "sin": "sine", "square": "square", "abs": "abs", "sign": "sign"}

SIX = parse("hardtanh(0, 6)")  # as torch writes relu6


def formula_of(formulas: Formulas) -> Callable[..., Value]:
    """Return what reads the node of an activation layer."""

    def read(
        reading: Reading, tensors: Sequence[Any], *_arguments: Any, attr_strs: Sequence[str] = (), **_: Any
    ) -> Value:
        formula = formulas[attr_strs[0]]
        if formula.spec is None:
            raise UnsupportedError(f"{formula.label} is no activation of the catalogue.")
        count = len(formula.inputs)
        return add_activation(reading, formula.spec, tensors[:count], tensors[count:])

    return read


def add_activation(reading: Reading, spec: Spec, inputs: Sequence[Any], learned: Sequence[Any] = ()) -> Value:
    """Add an activation to the net.

    Args:
        reading: the node.
        spec: elementwise or gated, without a gradient rule.
        inputs: one tensor, or gate and value.
        learned: its learned numbers, as constants.

    Raises:
        UnsupportedError: an input is constant, learned numbers are computed from the input, or the shapes differ.
    """
    if spec == SIX:
        spec = parse("relu6")
    shape = inputs[0].shape if isinstance(inputs[0], Value) else None
    if any(not isinstance(each, Value) or each.shape != shape for each in inputs):
        raise UnsupportedError(f"the inputs of {spec} are constant, or differ in shape.")
    if any(isinstance(each, Value) for each in learned):
        raise UnsupportedError(f"the parameters of {spec} are computed from the input of the net.")
    numbers = tuple(numbers_over(each, inputs[0].shape) for each in learned)
    return reading.add(Activation, *inputs, spec=spec, learned=numbers, shape=shape)


def activation_of(name: str) -> Callable[..., Value] | None:
    """Return what reads an operator of torch that is an activation; None where it is none.

    Args:
        name: of the operator, such as "relu_".
    """
    bare = OTHER_NAMES.get(name.rstrip("_") if name != "_prelu_kernel" else name, name.rstrip("_"))
    if bare == "glu":
        return _glu
    if bare in {"rrelu", "rrelu_with_noise"}:
        return _rrelu
    if bare in {"clamp", "clamp_min", "clamp_max", "clip"}:
        return partial(_clamp, bare)
    if function_named(bare) is not None:
        return partial(_of_torch, bare)
    if bare in OTHER_NAMES.values() and bare in names():
        return partial(_without_parameters, bare)
    return None


def _of_torch(name: str, reading: Reading, x: Any, *arguments: Any, **keywords: Any) -> Value:
    function = function_named(name)
    assert function is not None  # noqa: S101 # the caller looked it up
    if name == "elu" and any(argument != 1 for argument in arguments[1:]):
        return _selu(reading, x, *arguments)
    running = describe_call(function, arguments, keywords)
    if running.spec is None:
        raise UnsupportedError(f"its arguments {arguments or keywords} are none of the catalogue's.")
    spec = parse(running.spec)
    if spec.activation.expression is None:
        raise UnsupportedError(f"{spec} is no formula of one number.")
    learned = [_spread(each, x) for each in arguments if isinstance(each, Tensor)]
    return add_activation(reading, spec, (x,), learned)


def _spread(weight: Tensor, x: Value) -> Tensor:
    """Return a learned number for each channel in a shape that broadcasts over a tensor, the batch left out."""
    return weight.reshape(-1, *([1] * (len(x.shape) - 1))) if weight.numel() > 1 else weight.reshape(())


def _selu(reading: Reading, x: Any, alpha: float, scale: float = 1, input_scale: float = 1) -> Value:
    if input_scale == 1 and abs(alpha - 1.6732632423543772) < 1e-6 and abs(scale - 1.0507009873554805) < 1e-6:
        return add_activation(reading, parse("selu"), (x,))
    raise UnsupportedError("an elu with three numbers is in the catalogue as selu only.")


def _without_parameters(name: str, reading: Reading, x: Any, *_arguments: Any) -> Value:
    return add_activation(reading, parse(name), (x,))


def _rrelu(reading: Reading, x: Any, *arguments: Any, **_: Any) -> Value:
    bounds = [each for each in arguments if isinstance(each, float)] or [1 / 8, 1 / 3]
    return add_activation(reading, parse(f"leaky_relu({sum(bounds[:2]) / 2!r})"), (x,))


def _clamp(name: str, reading: Reading, x: Any, low: Any = None, high: Any = None, **keywords: Any) -> Value:
    low, high = keywords.get("min", low), keywords.get("max", high)
    if name == "clamp_max":
        low, high = None, low
    if isinstance(low, (Tensor, Value)) or isinstance(high, (Tensor, Value)):
        raise UnsupportedError("its bounds are tensors; write them as numbers.")
    if low is None:  # the smaller of two numbers is that of the larger of their negatives
        negative = _negated(reading, x)
        return _negated(reading, _of_bound(reading, negative, -high))
    if high is None:
        return _of_bound(reading, x, low)
    try:
        spec = parse(f"hardtanh({float(low)!r}, {float(high)!r})")
    except SpecError as error:
        raise UnsupportedError(f"its bounds are refused: {error}") from None
    return add_activation(reading, spec, (x,))


def _of_bound(reading: Reading, x: Value, low: float) -> Value:
    spec = "relu" if low == 0 else f"threshold({float(low)!r}, {float(low)!r})"
    return add_activation(reading, parse(spec), (x,))


def _negated(reading: Reading, x: Value) -> Value:
    minus, zero = numbers_over(-1, x.shape), numbers_over(0, x.shape)
    return reading.add(Scale, x, scale=minus, shift=zero)


def _glu(reading: Reading, x: Value, dim: int = -1) -> Value:
    dimension = x.dimension(dim)
    half = x.shape[dimension] // 2
    shape = (*x.shape[:dimension], half, *x.shape[dimension + 1 :])
    value, gate = (reading.add(Slice, x, shape=shape, dimension=dimension, start=start) for start in (0, half))
    return add_activation(reading, parse("glu"), (gate, value))
