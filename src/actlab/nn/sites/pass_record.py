"""Record of the activations and weighted layers that a forward pass ran, and what used their results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from actlab.nn.passes.linear_calls import LinearCall
from actlab.nn.passes.output_tensors import output_tensors
from actlab.nn.passes.unit_axes import UnitAxis
from actlab.nn.passes.value_flow import ValueFlow, limits_of
from actlab.nn.recognition.torch_activations import Running
from actlab.nn.sites.slot import Slot

__all__ = ["Run", "Step", "Token", "Trace", "WeightedCall", "token_of"]

Token = tuple[int, int]
"""``id`` and version of a tensor: an in-place call makes a new value in the same object."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """One execution of an activation.

    Attributes:
        slot: where it ran.
        running: what ran, with the parameters of this call.
        shape: shape of its input; -1 for a dimension in which the parts of a jagged tensor differ.
        source: token of its input.
        result: token of its output.
        seconds: duration; None where it is a part of one fused call of torch, whose parts are not timed.
        axis: axis of the units of the layer that made its input; None where it is not known.
        unusual: why no layer can compute on its input (integers, jagged tensors), or None.
    """

    slot: Slot
    running: Running
    shape: tuple[int, ...]
    source: Token
    result: Token
    seconds: float | None = None
    axis: UnitAxis | None = None
    unusual: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One execution of a layer with weights.

    Attributes:
        module: the Linear or convolution.
        source: token of its input.
        result: token of its output.
        call: how the weight was applied; None where the layer has a forward of its own, or did not run through torch's functions.
    """

    module: nn.Module
    source: Token
    result: Token
    call: LinearCall | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightedCall:
    """One call of a function that applies a weight, outside the layers with weights: ``F.conv2d(x, self.weight)``.

    Attributes:
        owner: the module in whose method it is called; None where there is none.
        call: how the weight was applied.
        source: token of its input.
        result: token of its output.
    """

    owner: nn.Module | None
    call: LinearCall
    source: Token
    result: Token


@dataclass(kw_only=True, eq=False)
class Trace:
    """Record of a forward pass.

    Attributes:
        steps: executions of activations and of layers with weights, and further calls that apply a weight, in order.
        users: what used a value, by token: a :class:`Run`, a :class:`Step`, or the name of a function of torch.
        reshaped: token of the value before a reshape or cast, by the token of the value after it.
        products: tokens of products, by the token of a factor.
        saved: addresses of storages that autograd saves for other operations than activations; filled in training only.
        busy: number of activations that are running now.
        output: what the model returned.
        tensors: the tensors by token; as long as they are referenced, no other tensor gets their ``id``.
        flow: which activations reach the output, and which are parts of a larger formula.
    """

    steps: list[Run | Step | WeightedCall] = field(default_factory=list)
    users: dict[Token, list[Run | Step | str]] = field(default_factory=lambda: defaultdict(list))
    reshaped: dict[Token, Token] = field(default_factory=dict)
    products: dict[Token, list[Token]] = field(default_factory=lambda: defaultdict(list))
    saved: set[int] = field(default_factory=set)
    busy: int = 0
    output: Any = None
    tensors: dict[Token, Tensor] = field(default_factory=dict)
    flow: ValueFlow = field(default_factory=ValueFlow)

    @property
    def runs(self) -> list[Run]:
        """Executions of activations, in order."""
        return [step for step in self.steps if isinstance(step, Run)]

    def is_output(self, run: Run) -> bool:
        """Whether the model returns the result of this run.

        Returned is what is reshaped at most and used for nothing else; and, whatever stands between it and the output, what keeps the
        output bounded, positive or negative, because no layer with weights and no other activation comes after it.
        """
        return run in self.bounding or (run.result in self.returned and not self.users.get(run.result))

    @cached_property
    def bounding(self) -> set[Hashable]:
        """Executions that keep what the model returns bounded, positive or negative."""
        return self.flow.outputs(output_tensors(self.output))

    @property
    def returned(self) -> set[Token]:
        """Tokens of the values that the model returns, before any reshaping."""
        return {self.origin(token_of(tensor)) for tensor in output_tensors(self.output)}

    def origin(self, token: Token) -> Token:
        """Return the token of a value before all reshaping."""
        while token in self.reshaped:
            token = self.reshaped[token]
        return token

    def keep(self, tensor: Tensor) -> Token:
        """Store a tensor and return its token, which stays unique as long as the trace lives."""
        token = token_of(tensor)
        self.tensors[token] = tensor
        return token

    def add(self, step: Run | Step) -> None:
        """Add an execution, as a user of its input."""
        self.users[self.origin(step.source)].append(step)
        self.steps.append(step)
        source, result = self.tensors.get(step.source), self.tensors[step.result]
        if isinstance(step, Run) and source is not None:
            self.flow.activation(step, source, result, limits_of(step.running.name))
        else:
            self.flow.layer([] if source is None else [source], [result])


def token_of(tensor: Tensor) -> Token:
    """Return the token of a tensor."""
    return id(tensor), 0 if tensor.is_inference() else tensor._version
