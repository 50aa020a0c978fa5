"""Data flow of a forward pass, for activations that reach the output or are part of a formula.

Three questions are answered. Which activations reach the output with no layer with weights behind them, so that the range of the output is
theirs? Scale, shift, mean, concatenation and the like leave that range; a sum or product with a value that weights computed does not.
Which activations are parts of a larger elementwise formula of the same value, as the sigmoid of ``h * sigmoid(h)`` is? And which multiply
another value, as a gate does (elementwise) or attention (in a matrix product)?

Tensors are referred to weakly: the flow holds none of them alive.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any, Final, Literal

from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from actlab.functions.activation import get

__all__ = [
    "CONSTANT",
    "ELEMENTWISE",
    "NORMS",
    "PRODUCTS",
    "RESHAPES",
    "SELECTIONS",
    "WEIGHTED",
    "Limits",
    "Value",
    "ValueFlow",
    "ValueRules",
    "bare_name",
    "limits_of",
]

# fmt: off
RESHAPES: Final = frozenset({  # functions that change shape or dtype only
    "__get__", "__getitem__", "contiguous", "clone", "detach", "double", "expand", "flatten", "float", "half", "movedim", "permute",
    "reshape", "select", "squeeze", "swapaxes", "t", "to", "transpose", "type", "unflatten", "unsqueeze", "view", "view_as",
})
PRODUCTS: Final = frozenset({"mul", "multiply"})
WEIGHTED: Final = frozenset({  # functions that mix the elements of a value, with weights among the arguments of a layer
    "addbmm", "addmm", "addmv", "baddbmm", "bilinear", "bmm", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
    "conv_transpose3d", "einsum", "embedding", "embedding_bag", "linear", "matmul", "mm", "mv", "rmatmul", "tensordot",
})
NORMS: Final = frozenset({"batch_norm", "group_norm", "instance_norm", "layer_norm", "local_response_norm", "rms_norm"})
SELECTIONS: Final = frozenset({  # each element of the result is an element of one argument
    "block_diag", "broadcast_tensors", "cat", "column_stack", "concat", "concatenate", "copy", "dstack", "hstack", "index_copy",
    "index_put", "masked_fill", "masked_scatter", "scatter", "setitem", "stack", "vstack", "where",
})
ELEMENTWISE: Final = frozenset({  # functions each element of whose result comes from the same element of the arguments
    "abs", "add", "addcdiv", "addcmul", "asinh", "atan", "clamp", "clamp_max", "clamp_min", "clip", "clone", "contiguous", "cos", "cosh",
    "div", "divide", "erf", "erfc", "exp", "exp2", "expm1", "float", "floordiv", "fmax", "fmin", "iadd", "idiv", "imul", "ipow", "isub",
    "itruediv", "lerp", "log", "log1p", "log2", "logaddexp", "maximum", "minimum", "mul", "multiply", "neg", "negative", "pow", "radd",
    "rdiv", "reciprocal", "rmul", "rpow", "rsqrt", "rsub", "rtruediv", "sin", "sinh", "sqrt", "square", "sub", "subtract", "tan", "to",
    "true_divide", "truediv", "type", "type_as", "where",
})
_SUMS: Final = frozenset({"add", "iadd", "isub", "radd", "rsub", "sub", "subtract"})
_SHIFTS: Final = _SUMS | {"clamp", "clamp_min", "clip", "maximum"}
_FACTORS: Final = frozenset({
    "addcmul", "div", "divide", "idiv", "imul", "itruediv", "mul", "multiply", "rmul", "rtruediv", "true_divide", "truediv",
})
_POWERS: Final = frozenset({"ipow", "pow", "square"})
_GATING: Final = _FACTORS | {"addcdiv", "lerp"}
# fmt: on


Limits = Literal["bounded", "one sign", "half bounded", ""]
"""Range of a function: bounded on both sides; monotone and positive, or negative, everywhere; monotone with one bound; or another."""


def bare_name(name: str) -> str:
    """Return the name of a function of torch without underscores around it: ``mul`` for ``__mul__`` and ``mul_``."""
    return name.strip("_")


def limits_of(name: str | None) -> Limits:
    """Return the kind of range that a registered function claims.

    Example:
        >>> limits_of("sigmoid"), limits_of("softplus"), limits_of("elu"), limits_of("relu")
        ('bounded', 'one sign', 'half bounded', '')
    """
    claims = get(name).claims if name else None
    bounds = [] if claims is None else [b for b in (claims.lower, claims.upper) if b is not None and isfinite(b)]
    if claims is None or not bounds:
        return ""
    if len(bounds) == 2:
        return (
            "" if bounds[0] == 0 and bounds[1] > 1 else "bounded"
        )  # ReLU6 is a rectifier, and stands in hidden layers
    is_smooth = claims.smoothness is not None and claims.smoothness > 2  # softplus never reaches 0, ReLU does
    if not claims.monotone:
        return ""
    if bounds == [0]:
        return "one sign" if is_smooth else ""
    return "half bounded"


@dataclass(frozen=True, kw_only=True)
class Value:
    """What is known of a tensor.

    Attributes:
        carried: activations whose result it is, or is made of, with no layer with weights in between.
        firm: those of them that keep it bounded, positive or negative.
        computed: whether layers with weights computed a part of it that no activation has bounded.
        given: whether it depends on the model's inputs.
        weight: whether it is made of weights alone.
        root: identifies the value of which it is an elementwise function.
        chain: activations between that value and it.
        ancestors: activations that have any part in it, one bit for each.
    """

    carried: frozenset[Hashable] = frozenset()
    firm: frozenset[Hashable] = frozenset()
    computed: bool = False
    given: bool = False
    weight: bool = False
    root: object = None
    chain: frozenset[Hashable] = frozenset()
    ancestors: int = 0


@dataclass(kw_only=True, eq=False)
class ValueRules:
    """Rules by which values become others, and what was found out about the activations among them.

    Attributes:
        hidden: activations whose result a layer with weights or another activation takes.
        parts: activations that are parts of a larger elementwise formula.
        bounded: activations that are bounded on both sides.
        half_bounded: monotone ones with one bound, which a shift can make positive, as ``elu(x) + 1`` is.
        gates: bounded, positive or negative ones that multiply another value element by element.
        mixing: those that are multiplied with another computed value in a matrix product, as in attention.
        bits: the bit of each activation in :attr:`Value.ancestors`.
    """

    hidden: set[Hashable] = field(default_factory=set)
    parts: set[Hashable] = field(default_factory=set)
    bounded: set[Hashable] = field(default_factory=set)
    half_bounded: set[Hashable] = field(default_factory=set)
    gates: set[Hashable] = field(default_factory=set)
    mixing: set[Hashable] = field(default_factory=set)
    bits: dict[Hashable, int] = field(default_factory=dict)

    def activated(self, key: Hashable, before: Value, limits: Limits) -> Value:
        """Return what an activation makes of a value; ``key`` identifies the activation."""
        self.hidden |= before.carried
        self.bounded |= {key} if limits == "bounded" else set()
        self.half_bounded |= {key} if limits == "half bounded" else set()
        own = frozenset({key})
        firm = own if limits in {"bounded", "one sign"} else frozenset()
        ancestors = before.ancestors | self.bits.setdefault(key, 1 << len(self.bits))
        return Value(
            carried=own,
            firm=firm,
            weight=before.weight,
            root=before.root,
            chain=before.chain | own,
            ancestors=ancestors,
        )

    def weighted(self, values: Iterable[Value]) -> Value:
        """Return what a layer with weights makes of values, or another function that mixes values and has a state."""
        ancestors = 0
        for value in values:
            self.hidden |= value.carried
            ancestors |= value.ancestors
        return Value(computed=True, root=object(), ancestors=ancestors)

    def result(self, name: str, values: Sequence[Value], numbers: Sequence[float] = ()) -> Value:
        """Return what another function of torch makes of values.

        Args:
            name: of the function.
            values: its tensor arguments.
            numbers: its arguments that are numbers.
        """
        bare = bare_name(name)
        is_layer = bare in WEIGHTED and any(value.weight for value in values) and not all(v.weight for v in values)
        if bare in NORMS or is_layer:
            return self.weighted(values)
        if len(values) > 1 and bare in _GATING | WEIGHTED:
            self._note_products(values, is_matrix_product=bare in WEIGHTED)
        value = self.joined(bare, values)
        if bare in _SHIFTS and (any(numbers) or any(each is CONSTANT for each in values)):
            value = replace(value, firm=value.firm | (value.carried & self.half_bounded))
        return value

    def joined(self, name: str, values: Sequence[Value]) -> Value:
        """Return what is known of the result of a function without weights; ``name`` is that of :func:`bare_name`."""
        carried = frozenset[Hashable]().union(*(value.carried for value in values))
        firm = frozenset[Hashable]().union(*(value.firm for value in values))
        others = [value for value in values if not value.carried]
        if name in _SUMS and not any(value.computed for value in others):
            kept = self.bounded if any(value.given for value in others) else carried
            carried, firm = carried & kept, firm & kept
        elif name not in SELECTIONS and any(value.computed or value.given for value in others):
            carried = firm = frozenset()
        root, chain = self._formula(name, values)
        return Value(
            carried=carried,
            firm=firm,
            computed=any(value.computed for value in values),
            given=any(value.given for value in values),
            weight=bool(values) and all(value.weight for value in values),
            root=root,
            chain=chain,
            ancestors=_union(value.ancestors for value in values),
        )

    def _note_products(self, values: Sequence[Value], *, is_matrix_product: bool) -> None:
        """Note the activations that multiply another value, which is not made of weights alone nor computed from their result.

        A norm that is written out, as ``h / h.std()``, multiplies by what it is made of; that is no gate. In a matrix product it is the
        bounded one of two that weighs the other.
        """
        for value in values:
            own = _union(self.bits[key] for key in value.carried)
            others = [each for each in values if each is not value and not each.weight and not each.ancestors & own]
            if is_matrix_product and any(each.computed or (each.carried and not each.firm) for each in others):
                self.mixing |= value.carried
            if any(each.computed or each.carried or each.given for each in others):
                self.gates |= value.firm

    def _formula(self, name: str, values: Sequence[Value]) -> tuple[object, frozenset[Hashable]]:
        """Return of which value the result is an elementwise function, and the activations in between; mark parts of formulas."""
        variable = [value for value in values if value.root is not None]
        if not variable:
            return None, frozenset()
        if name not in ELEMENTWISE | _SAME_ELEMENTS or len({id(value.root) for value in variable}) > 1:
            return object(), frozenset()
        chain = frozenset[Hashable]().union(*(value.chain for value in variable))
        with_activation = [value for value in variable if value.chain]
        is_gate = name in _FACTORS and len(variable) > 1
        if with_activation and (is_gate or name in _POWERS):
            self.parts |= chain
        return variable[0].root, chain


def _union(masks: Iterable[int]) -> int:
    result = 0
    for mask in masks:
        result |= mask
    return result


class ValueFlow:
    """Flow of the tensors of a forward pass, updated after every call of torch."""

    def __init__(self) -> None:
        self.rules = ValueRules()
        self._values: Any = WeakIdKeyDictionary()

    def give(self, tensors: Iterable[Tensor], *, weight: bool = False) -> None:
        """Add the inputs of the model, or its weights."""
        for tensor in tensors:
            self._values[tensor] = Value(weight=weight, given=not weight, root=None if weight else object())

    def activation(self, key: Hashable, source: Tensor, result: Tensor, limits: Limits) -> None:
        """Add an activation that ran; ``key`` identifies the run."""
        self._set([result], self.rules.activated(key, self._of(source), limits), [source])

    def layer(self, sources: Sequence[Tensor], results: Sequence[Tensor]) -> None:
        """Add a layer with weights, or another function that mixes values and has a state."""
        self._set(results, self.rules.weighted(map(self._of, sources)), sources)

    def call(
        self, name: str, sources: Sequence[Tensor], results: Sequence[Tensor], numbers: Sequence[float] = ()
    ) -> None:
        """Add a call of another function of torch.

        Args:
            name: of the function.
            sources: its tensor arguments; for ``__setitem__``, the tensor that is changed first.
            results: its tensor results; the changed tensor for ``__setitem__``.
            numbers: its arguments that are numbers.
        """
        self._set(results, self.rules.result(name, [*map(self._of, sources)], numbers), sources)

    def outputs(self, tensors: Iterable[Tensor]) -> set[Hashable]:
        """Return the activations that keep one of these tensors, the model's output, bounded, positive or negative."""
        firm = (self._of(tensor).firm for tensor in tensors)
        return {key for keys in firm for key in keys} - self.rules.hidden

    def _of(self, tensor: Tensor) -> Value:
        value: Value = self._values.get(tensor, CONSTANT)
        return value

    def _set(self, results: Sequence[Tensor], value: Value, sources: Sequence[Tensor]) -> None:
        for result in results:
            if not (result.is_floating_point() or result.is_complex()):
                continue
            own = value if len(results) == 1 or value.root is None else replace(value, root=object())
            self._values[result] = own
            base = result._base if any(result is source for source in sources) else None
            if base is not None:  # a view that was changed: its base holds both values
                self._values[base] = self.rules.joined("setitem", [self._of(base), own])


CONSTANT: Final = Value()
_RESHAPED: Final = frozenset(map(bare_name, RESHAPES))
_SAME_ELEMENTS: Final = _RESHAPED - {"getitem", "select"}
