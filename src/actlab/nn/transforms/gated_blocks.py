"""Plan that turns a scalar activation of an MLP block into a gated one, at equal parameter count.

``Linear(d, h) -> relu -> Linear(h, o)`` becomes ``Linear(d, 2h') -> swiglu -> Linear(h', o)``: the first layer computes value and gate in
one product, ``h'`` is smaller than ``h`` by one factor for all blocks of the model, chosen so that its number of parameters changes as
little as possible (the factor is about 2/3; Shazeer 2020, arXiv:2002.05202).

This is valid only where nothing else uses the hidden values: the trace must show that the activation's input is the output of one Linear
and that one Linear alone consumes its output (dropout in between is fine).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import floor

import torch
from torch import nn

from actlab.nn.layers.layer import layer
from actlab.nn.sites.find import Survey
from actlab.nn.sites.trace import Run, Step, Trace
from actlab.nn.transforms.selection import Selection

__all__ = ["Block", "GatingPlan", "gated_blocks", "is_gating", "plan_gating"]

_INSTEAD = "Use a scalar function here, or write the block with layer(...) and two Linears"


@dataclass(frozen=True, kw_only=True, eq=False)
class GatingPlan:
    """The Linears around the sites that become gated, and their new widths.

    Attributes:
        producers: the Linears that will compute value and gate, in execution order.
        consumers: the Linears that will consume the gated values, in execution order.
        before: number of parameters of the model now.
        after: number of parameters of the model afterwards.
        widths: new width of a hidden layer, by its old width.
    """

    producers: tuple[nn.Linear, ...]
    consumers: tuple[nn.Linear, ...]
    before: int
    after: int
    widths: Mapping[int, int]

    def linears(self, generator: torch.Generator | None) -> dict[nn.Linear, nn.Linear]:
        """Return the new Linear for each old one, initialized as ``nn.Linear`` does, from ``generator`` (None for seed 0)."""
        generator = generator or torch.Generator().manual_seed(0)
        return {old: self._linear(old, generator) for old in dict.fromkeys([*self.producers, *self.consumers])}

    def _linear(self, old: nn.Linear, generator: torch.Generator) -> nn.Linear:
        inputs, outputs = self.shape(old)
        new = nn.Linear(inputs, outputs, bias=old.bias is not None, device="meta").to_empty(device="cpu")
        nn.init.kaiming_uniform_(new.weight, a=5**0.5, generator=generator)
        if new.bias is not None:
            nn.init.uniform_(new.bias, -(inputs**-0.5), inputs**-0.5, generator=generator)
        new.to(device=old.weight.device, dtype=old.weight.dtype)
        new.train(old.training)
        return new

    def shape(self, old: nn.Linear) -> tuple[int, int]:
        """Return inputs and outputs of the Linear that replaces ``old``."""
        return _shape(old, self.producers, self.consumers, self.widths.__getitem__)


def _shape(
    old: nn.Linear, producers: Iterable[nn.Linear], consumers: Iterable[nn.Linear], width: Callable[[int], int]
) -> tuple[int, int]:
    inputs = width(old.in_features) if old in consumers else old.in_features
    outputs = 2 * width(old.out_features) if old in producers else old.out_features
    return inputs, outputs


def is_gating(selection: Selection) -> bool:
    """Whether a selection replaces a scalar function by a gated one."""
    return selection.spec.activation.kind == "gated" and selection.entry.running.kind != "gated"


# ---------------------------------------------------------------------------------------------- blocks


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """An activation that becomes gated, with the Linear before and the Linear after it.

    Attributes:
        selection: the activation.
        producers: the Linear whose output it gets; several where it runs in several places.
        consumers: the Linear that consumes its output; several where it runs in several places.
    """

    selection: Selection
    producers: tuple[nn.Linear, ...]
    consumers: tuple[nn.Linear, ...]


def gated_blocks(model_survey: Survey, selections: Sequence[Selection]) -> list[Block]:
    """Return the blocks around selections that :func:`plan_gating` accepted, in execution order."""
    blocks = _Blocks(model_survey, selections)
    return [
        Block(
            selection=selection,
            producers=_linears(blocks.producer(run) for run in selection.entry.runs),
            consumers=_linears(blocks.consumer(run) for run in selection.entry.runs),
        )
        for selection in selections
    ]


def _linears(steps: Iterable[Step | None]) -> tuple[nn.Linear, ...]:
    return tuple(dict.fromkeys(step.module for step in steps if step and isinstance(step.module, nn.Linear)))


def plan_gating(model_survey: Survey, selections: Sequence[Selection]) -> tuple[GatingPlan | None, dict[str, str]]:
    """Plan the blocks that become gated.

    Args:
        model_survey: the sites of the model, with a trace.
        selections: those that replace a scalar function by a gated one.

    Returns:
        The plan (None where no block is suitable), and by path the reason why a site is not.
    """
    reasons: dict[str, str] = {}
    suitable = list(selections)
    while True:  # an unsuitable block can make its neighbor unsuitable: they share a Linear
        blocks = _Blocks(model_survey, suitable)
        unsuitable = {selection.site.path: reason for selection in suitable if (reason := blocks.obstacle(selection))}
        if not unsuitable:
            return (_equal_parameters(model_survey, suitable, blocks) if suitable else None), reasons
        reasons |= unsuitable
        suitable = [selection for selection in suitable if selection.site.path not in unsuitable]


class _Blocks:
    """The layers around the sites that become gated, from the trace."""

    def __init__(self, model_survey: Survey, selections: Sequence[Selection]) -> None:
        self.model_survey = model_survey
        self.trace = model_survey.trace or Trace()
        self.steps = [step for step in self.trace.steps if isinstance(step, Step)]
        self.producer_of = {step.result: step for step in self.steps}
        self.runs = [run for selection in selections for run in selection.entry.runs]
        self.tied = Counter(id(p) for _, p in model_survey.model.named_parameters(remove_duplicate=False))

    def producer(self, run: Run) -> Step | None:
        """Return the layer whose output a run gets, unchanged and exclusively; None if there is none."""
        step = self.producer_of.get(run.source)
        return step if step and self.trace.users[run.source] == [run] else None

    def consumer(self, run: Run) -> Step | None:
        """Return the layer that alone consumes a run's output, unchanged; None if there is none."""
        users = self.trace.users[run.result]
        step = users[0] if len(users) == 1 else None
        return step if isinstance(step, Step) and step.source == run.result else None

    def obstacle(self, selection: Selection) -> str | None:
        """Return why a site cannot become gated, or None."""
        if self.model_survey.trace is None:
            return f"{selection.spec} needs the layers around it widened; pass example_inputs, so that they are found"
        if not selection.entry.runs:
            return f"{selection.spec} needs the layers around it widened, and it did not run on example_inputs"
        if selection.spec.needs_channels:
            return f"{selection.spec} learns a parameter per channel, which a widened block does not keep"
        reasons = (self._obstacle(run) for run in selection.entry.runs)
        return next((f"{reason}. {_INSTEAD}" for reason in reasons if reason), None)

    def _obstacle(self, run: Run) -> str | None:
        before, after = self.producer(run), self.consumer(run)
        if before is None or not isinstance(before.module, nn.Linear):
            return f"its input is not the output of an nn.Linear alone ({self._input_source(run)})"
        if after is None or not isinstance(after.module, nn.Linear):
            return f"its result does not go into one nn.Linear alone ({self._output_uses(run)})"
        return (
            self._reason_to_keep(before.module)
            or self._reason_to_keep(after.module)
            or self._other_use(before.module, after.module)
        )

    def _input_source(self, run: Run) -> str:
        step = self.producer_of.get(run.source)
        if step is None:
            return "another operation is in between"
        others = [user for user in self.trace.users[run.source] if user is not run]
        return (
            f"{self._name(step.module)} also feeds {self._user(others[0])}"
            if others
            else f"it comes from {self._name(step.module)}"
        )

    def _output_uses(self, run: Run) -> str:
        users = self.trace.users[run.result]
        return f"it goes into {' and '.join(map(self._user, users))}" if users else "the model returns it"

    def _user(self, user: Run | Step | str) -> str:
        if isinstance(user, str):
            return user
        return self._name(user.module) if isinstance(user, Step) else str(user.running.name)

    def _name(self, module: nn.Module) -> str:
        return f"{self.model_survey.paths.get(id(module), ['?'])[0]} ({type(module).__name__})"

    def _reason_to_keep(self, linear: nn.Linear) -> str | None:
        """Return why a Linear cannot be replaced by a new one, or None."""
        if type(linear) is not nn.Linear:
            return f"{self._name(linear)} is a special Linear (a subclass), and a plain one would lose what it adds"
        if linear._forward_hooks or linear._forward_pre_hooks or linear._backward_hooks:
            return f"{self._name(linear)} has hooks, which a new one would not have"
        owners = len(self.model_survey.paths.get(id(linear), ()))
        if any(self.tied[id(p)] > owners for p in linear.parameters()):
            return f"{self._name(linear)} shares its weights with another module"
        return None

    def _other_use(self, before: nn.Linear, after: nn.Linear) -> str | None:
        """Return which of the two layers is used by something else as well, or None."""
        sources, results = {run.source for run in self.runs}, {run.result for run in self.runs}
        if any(step.module is before and step.result not in sources for step in self.steps):
            return f"{self._name(before)} also feeds something else than the sites that become gated"
        if any(step.module is after and step.source not in results for step in self.steps):
            return f"{self._name(after)} also takes something else than the sites that become gated"
        return None


# ---------------------------------------------------------------------------------------------- widths


def _equal_parameters(model_survey: Survey, selections: Sequence[Selection], blocks: _Blocks) -> GatingPlan:
    """Choose the width factor at which the model's number of parameters changes least."""
    producers = _linears(map(blocks.producer, blocks.runs))
    consumers = _linears(map(blocks.consumer, blocks.runs))
    linears = dict.fromkeys([*producers, *consumers])
    before = _count(model_survey.model)
    removed = sum(map(_count, linears)) + sum(
        _count(c.entry.slot.owner) for c in selections if c.entry.slot.kind == "module"
    )
    rest = before - removed + sum(_count(layer(selection.spec)) for selection in selections)

    def after(factor: float) -> int:
        shapes = (
            (_shape(old, producers, consumers, lambda h: _scaled(h, factor)), old.bias is not None) for old in linears
        )
        return rest + sum(inputs * outputs + outputs * has_bias for (inputs, outputs), has_bias in shapes)

    hidden = sorted({linear.out_features for linear in producers})
    factors = sorted({width / old for old in hidden for width in range(1, old + 1)})
    at = bisect_left(factors, before, key=after)
    best = min(factors[max(at - 1, 0) : at + 1], key=lambda factor: abs(after(factor) - before))
    widths = {old: _scaled(old, best) for old in hidden}
    return GatingPlan(producers=producers, consumers=consumers, before=before, after=after(best), widths=widths)


def _scaled(width: int, factor: float) -> int:
    return max(1, floor(width * factor + 0.5))


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
