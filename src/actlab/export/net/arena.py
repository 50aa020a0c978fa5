"""Memory plan of a net, which puts tensors that are not alive together at the same place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from actlab.export.net.layers import Activation, Arithmetic, Layer, Reshape, Scale, Softmax
from actlab.export.net.net import Net

__all__ = ["Place", "Plan", "Step", "Tensors", "plan", "plan_tensors"]


class Step(Protocol):
    """What reads tensors and makes one."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors that it reads."""

    @property
    def output(self) -> str:
        """Name of the tensor that it makes."""


@dataclass(frozen=True, kw_only=True)
class Tensors:
    """Tensors whose memory is planned.

    Attributes:
        inputs: of the caller.
        outputs: likewise.
        steps: in order of execution.
        sizes: of all tensors, in elements of the arena.
        same: outputs of steps that change nothing, such as a reshape.
        over: outputs of steps that may write over their first input.
        scratch: memory that a step needs for itself, by its output.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    steps: Sequence[Step]
    sizes: Mapping[str, int]
    same: frozenset[str]
    over: frozenset[str]
    scratch: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a tensor lies.

    Attributes:
        kind: in an input of the caller, in an output of the caller, or in the arena.
        index: of the input or output; in the arena the index of the first element.
    """

    kind: Literal["input", "output", "arena"]
    index: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The place of each tensor.

    Attributes:
        places: by name of the tensor.
        elements: size of the arena, in numbers.
        needed: largest number of elements that are alive at the same time: no arena is smaller.
        scratch: index of a step's own memory in the arena, by its output.
    """

    places: Mapping[str, Place]
    elements: int
    needed: int
    scratch: Mapping[str, int] = field(default_factory=dict)

    def in_place(self, layer: Step) -> bool:
        """Whether a layer writes over its first input."""
        return self.places[layer.inputs[0]] == self.places[layer.output]


@dataclass(kw_only=True)
class _Block:
    """Memory of tensors that share it.

    Attributes:
        first: step at which it is written.
        last: last step at which it is read.
        size: number of elements.
    """

    first: int
    last: int
    size: int
    start: int = -1

    def meets(self, other: _Block) -> bool:
        return self.first <= other.last and other.first <= self.last


def plan(net: Net) -> Plan:
    """Return where each tensor of a net lies; see :func:`plan_tensors`."""
    return plan_tensors(
        Tensors(
            inputs=net.inputs,
            outputs=net.outputs,
            steps=net.layers,
            sizes={name: net.size(name) for name in net.shapes},
            same=frozenset(layer.output for layer in net.layers if isinstance(layer, Reshape)),
            over=frozenset(layer.output for layer in net.layers if _is_elementwise(layer)),
        )
    )


def plan_tensors(tensors: Tensors) -> Plan:
    """Return where each tensor lies.

    Inputs and outputs lie in arrays of the caller, of which inputs are only read. A reshaped tensor lies where it was, an elementwise layer
    writes over an input that nobody reads afterwards, and what is left is placed from the largest to the smallest at the lowest free
    address, where blocks that are alive at the same time do not overlap.
    """
    roots = _roots(tensors)
    blocks = _blocks(tensors, roots)
    own = {
        step.output: _Block(first=i, last=i, size=tensors.scratch[step.output])
        for i, step in enumerate(tensors.steps)
        if tensors.scratch.get(step.output)
    }
    placed: list[_Block] = []
    for block in sorted([*blocks.values(), *own.values()], key=lambda each: (-each.size, each.first)):
        block.start = _lowest(block, [other for other in placed if other.meets(block)])
        placed.append(block)
    fixed = {name: Place(kind="input", index=i) for i, name in enumerate(tensors.inputs)}
    fixed |= {name: Place(kind="output", index=i) for i, name in enumerate(tensors.outputs)}
    in_arena = {name: Place(kind="arena", index=block.start) for name, block in blocks.items()}
    steps = range(len(tensors.steps))
    return Plan(
        places={name: (fixed | in_arena)[root] for name, root in roots.items()},
        needed=max((sum(b.size for b in placed if b.first <= step <= b.last) for step in steps), default=0),
        elements=max((block.start + block.size for block in placed), default=0),
        scratch={name: block.start for name, block in own.items()},
    )


def _lowest(block: _Block, others: list[_Block]) -> int:
    """Return the lowest start at which a block overlaps none of the others."""
    start = 0
    for other in sorted(others, key=lambda each: each.start):
        if start + block.size <= other.start:
            break
        start = max(start, other.start + other.size)
    return start


def _roots(tensors: Tensors) -> dict[str, str]:
    """Return for each tensor the one whose memory it shares, itself in most cases."""
    last = {name: step for step, each in enumerate(tensors.steps) for name in each.inputs}
    roots = {name: name for name in (*tensors.inputs, *tensors.outputs)}
    end = dict.fromkeys((*tensors.inputs, *tensors.outputs), len(tensors.steps))
    for step, layer in enumerate(tensors.steps):
        output = layer.output
        for name in layer.inputs:
            root = roots[name]
            reads = [last[each] for each, of in roots.items() if of == root and each in last]
            end[root] = max(end.get(root, 0), *reads)
        if output in roots:
            continue  # an output has its own memory
        first = layer.inputs[0]
        free = roots[first] not in tensors.inputs and end[roots[first]] <= step
        shares = output in tensors.same or (output in tensors.over and free)
        roots[output] = roots[first] if shares else output
    return roots


def _is_elementwise(layer: Layer) -> bool:
    """Whether each element is computed from that of the first input at the same place, or from a row that is read before."""
    if isinstance(layer, Activation):
        return layer.split is None
    return isinstance(layer, (Arithmetic, Scale, Softmax))


def _blocks(tensors: Tensors, roots: Mapping[str, str]) -> dict[str, _Block]:
    blocks: dict[str, _Block] = {}
    for step, layer in enumerate(tensors.steps):
        root = roots[layer.output]
        if root not in (*tensors.inputs, *tensors.outputs):
            block = blocks.setdefault(root, _Block(first=step, last=step, size=tensors.sizes[root]))
            block.last = step
        for name in layer.inputs:
            if roots[name] in blocks:
                blocks[roots[name]].last = step
    return blocks
