"""Reduce the memory that a model's activations save for the backward pass.

Each site gets the form that saves least: recomputed inside the Linear or convolution that alone consumes its output
(:mod:`actlab.nn.layers.deferred`), its output only, or a few bits per element (:mod:`actlab.nn.layers.memory_saving`). With example inputs
the model runs in training mode, which shows the consumers and what autograd saves anyway; then a dry run of the changed model must give the
same output to the bit, and the same gradients up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from actlab.codegen.saved_for_backward import saved_for_backward
from actlab.errors import SiteError
from actlab.nn.layers.custom_gradient import CustomGradientLayer
from actlab.nn.layers.deferred import Deferred
from actlab.nn.layers.layer import layer
from actlab.nn.layers.memory_saving import Keep, SlimLayer, keep_options
from actlab.nn.passes.meta_device import check_has_values
from actlab.nn.passes.model_argument import takes_model
from actlab.nn.passes.output_tensors import output_tensors
from actlab.nn.probes.saved_tensors import SavedTensors, address
from actlab.nn.sites.dry_run import Inputs, copy_inputs, no_side_effects, run
from actlab.nn.sites.find import Entry, Survey, survey
from actlab.nn.sites.trace import Run, Token, Trace
from actlab.nn.transforms.changes import Change, Savings, Skipped
from actlab.nn.transforms.consumers import reason_not_deferrable
from actlab.nn.transforms.rehearsal import KNOWN_BY_VALUES, OVERWRITES_UNTESTED, has_known_parameters
from actlab.nn.transforms.replacements import (
    Insertion,
    ModelPaths,
    Replacement,
    apply_all,
    plan_replacements,
    temporarily_applied,
)

__all__ = ["slim_"]

# Relative to a gradient's norm: sums of many products in another order, and slopes computed from rounded outputs.
TOLERANCE: Final = {torch.float64: 1e-10, torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}


@dataclass(frozen=True, kw_only=True, eq=False)
class _Candidate:
    """A site that may save less.

    Attributes:
        entry: the site.
        function: computes the activation out of place: the site's own module, or a layer of the same function.
    """

    entry: Entry
    function: nn.Module

    @property
    def current(self) -> nn.Module:
        """The module that runs now, in place or not; for a functional call, a layer of the same function."""
        slot = self.entry.slot
        return slot.owner if slot.kind == "module" else self.function

    @property
    def keep_options(self) -> tuple[Keep, ...]:
        """What a :class:`SlimLayer` could keep here."""
        running = self.entry.running
        is_known = has_known_parameters(self.entry.site) and running.kind == "elementwise" and not running.by_values
        return keep_options(str(self.entry.site.spec)) if is_known else ()

    def slim(self, keep: Keep) -> _Choice:
        """Choose a :class:`SlimLayer`."""
        spec = str(self.entry.site.spec)
        bits = _bits(self.entry)
        text = "keeps its output" if keep == "output" else f"keeps {bits} bit{'' if bits == 1 else 's'} per element"
        return _Choice(entry=self.entry, new=SlimLayer(spec, keep), text=text)

    def deferred(self) -> _Choice:
        """Choose recomputation in the next layer."""
        is_elementwise = self.entry.running.kind == "elementwise"
        pointwise = is_elementwise and all(p.numel() == 1 for p in self.function.parameters())
        text = "computed again inside the layer after it"
        return _Choice(entry=self.entry, new=Deferred(self.function, pointwise=pointwise), text=text)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Choice:
    """A site and its new module.

    Attributes:
        entry: the site.
        new: the module.
        text: what that keeps.
    """

    entry: Entry
    new: nn.Module
    text: str


@takes_model
def slim_(model: nn.Module, example_inputs: Inputs | None = None) -> Savings:
    """Reduce the memory that a model's activations save for the backward pass, in place. Its outputs stay the same.

    Args:
        model: any module. Its ``state_dict`` keeps its keys: checkpoints load both ways.
        example_inputs: a batch as the model gets it in training: a tensor, a tuple of positional arguments or a dict of keyword arguments.
            Without it the consumers of an activation's output are unknown, and only what saves memory in any case is done.

    Returns:
        The changes, with ``skipped`` (sites left as they are, with the reason), ``before`` and ``after`` in bytes, and ``undo()``.

    Raises:
        SiteError: the model raises on the example inputs, or example inputs are given and it is on the meta device.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 8), nn.GELU(), nn.Linear(8, 2))
        >>> slim_(model, torch.zeros(16, 2))
        1: gelu -> computed again inside the layer after it
        kept for backward: 1024 bytes -> 512
    """
    if example_inputs is not None:
        check_has_values(model, "slim_ compares a training step before and after")
    model_survey = survey(model, example_inputs, training=True, whole=False)
    choices, reasons = _choose(model_survey)
    measured = None
    if example_inputs is not None:
        choices, measured = _rehearse(model_survey, choices, reasons, example_inputs)
    replacements = _replacements(model_survey, choices)
    apply_all(replacements)
    changes = [Change(path=c.entry.site.path, old=_name(c.entry), new=c.text) for c in choices]
    skipped = [
        Skipped(site=e.site, reason=reasons[e.site.path]) for e in model_survey.entries if e.site.path in reasons
    ]
    return Savings(changes, skipped, replacements, measured)


def _name(entry: Entry) -> str:
    return entry.site.spec or entry.site.name or "?"


def _replacements(model_survey: Survey, choices: Sequence[_Choice]) -> list[Replacement]:
    insertions = []
    for choice in choices:
        slot = choice.entry.slot
        choice.new.train(slot.owner.training)
        insertions.append(Insertion(owner=slot.owner, new=choice.new, attribute=slot.attribute, edit=slot.edit))
    return plan_replacements(ModelPaths(model=model_survey.model, paths=model_survey.paths), insertions)


# -------------------------------------------------------------------------------------------- choosing


def _choose(model_survey: Survey) -> tuple[list[_Choice], dict[str, str]]:
    """Choose a form for every site; and return by path why the others are left as they are."""
    trace = model_survey.trace
    candidates: list[_Candidate] = []
    reasons: dict[str, str] = {}
    for entry in model_survey.entries:
        candidate = _candidate(entry, trace)
        if isinstance(candidate, str):
            reasons[entry.site.path] = candidate
        else:
            candidates.append(candidate)
    deferrable = reason_not_deferrable(model_survey, [c.entry for c in candidates]) if trace else {}
    choices: list[_Choice] = []
    for candidate in reversed(candidates):  # consumers first: a deferred consumer saves this site's output as its input
        path = candidate.entry.site.path
        deferred = {id(r) for c in choices if isinstance(c.new, Deferred) for r in c.entry.runs}
        choice = _best(candidate, trace, deferrable.get(path), deferred) if trace else _without_trace(candidate)
        if isinstance(choice, str):
            reasons[path] = choice
        else:
            choices.insert(0, choice)
    return choices, reasons


def _candidate(entry: Entry, trace: Trace | None) -> _Candidate | str:
    """Return the site as a candidate, or the reason why it cannot be one."""
    owner = entry.slot.owner
    if isinstance(owner, (Deferred, SlimLayer)):
        return "it is slim already"
    if entry.site.reason:
        return entry.site.reason
    if entry.running.by_values and entry.slot.kind != "module":
        return KNOWN_BY_VALUES
    if isinstance(owner, CustomGradientLayer):
        return "it keeps what its gradient rule needs, and no more"
    if entry.running.kind == "stochastic":
        return "it draws random numbers, which a second computation would draw anew"
    function = _function(entry)
    if function is None:
        return "its parameters are not plain numbers"
    if trace is not None and not entry.runs:
        return "it did not run on example_inputs"
    if trace is not None and not any(trace.tensors[run.source].requires_grad for run in entry.runs):
        return "no gradient passes through it"
    return _Candidate(entry=entry, function=function)


def _function(entry: Entry) -> nn.Module | None:
    """Return a module that computes the activation out of place, or None where its parameters are unknown."""
    if entry.slot.kind == "module" and not entry.running.inplace:
        return entry.slot.owner
    return layer(str(entry.site.spec)) if has_known_parameters(entry.site) else None


def _without_trace(candidate: _Candidate) -> _Choice | str:
    """Choose without knowing the consumers of the output: only what saves less in any case."""
    if candidate.entry.running.inplace:
        return OVERWRITES_UNTESTED
    possible = candidate.keep_options
    if not possible:
        return "its backward pass needs its input; pass example_inputs, so that the layer after it is found"
    x = torch.linspace(-1.0, 1.0, 64).requires_grad_()
    with SavedTensors() as saved:
        y = candidate.function(x)
    if not set(saved.sizes) - {address(y)}:
        return "it keeps its output only, as it is"
    return candidate.slim("bits" if "bits" in possible else "output")


def _best(candidate: _Candidate, trace: Trace, reason: str | None, deferred: set[int]) -> _Choice | str:
    """Choose the form that saves least; among equals, the one that computes least.

    Args:
        candidate: the site.
        trace: the forward pass.
        reason: why the site cannot be deferred; None if it can.
        deferred: identities of the runs that are deferred already.
    """
    entry = candidate.entry
    now = sum(_bytes_now(candidate, run, trace) for run in entry.runs)
    costs: dict[Keep | None, float] = {None: now}
    for keep in candidate.keep_options:
        costs[keep] = sum(_bytes_slim(entry, run, trace, keep) for run in entry.runs)
    best = min(costs, key=costs.__getitem__)
    if reason is None and sum(_bytes_deferred(entry, run, trace, deferred) for run in entry.runs) < costs[best]:
        return candidate.deferred()
    if best is not None:
        return candidate.slim(best)
    if reason is None or not now or len(costs) > 1:
        return "it keeps no more than the layers around it keep anyway"
    return f"its backward pass needs its input, and {reason}"


# --------------------------------------------------------------------------------------------- costing


def _bytes_now(candidate: _Candidate, run: Run, trace: Trace) -> float:
    """Return the bytes that are saved for this site only: measured, by running it once more."""
    entry = candidate.entry
    x = trace.tensors[run.source].detach().clone().requires_grad_()
    x = x.view_as(x).clone() if entry.running.inplace else x
    function = candidate.current
    with torch.enable_grad(), SavedTensors(function.parameters()) as saved:
        y = function(x)
    sizes = saved.sizes
    is_shared = {
        address(x): _is_saved(run.source, trace) and not entry.running.inplace,
        address(y): _is_saved(run.result, trace),
    }
    return float(sum(size for storage, size in sizes.items() if not is_shared.get(storage, False)))


def _is_saved(token: Token, trace: Trace) -> bool:
    """Whether other operations than activations save a value."""
    return address(trace.tensors[token]) in trace.saved


def _storage_bytes(token: Token, trace: Trace) -> int:
    return trace.tensors[token].untyped_storage().nbytes()


def _bits(entry: Entry) -> int:
    """Return the bits per element that the slope of a site's function takes."""
    saved = saved_for_backward(str(entry.site.spec))
    return (saved.bits or 0) if saved else 0


def _bytes_slim(entry: Entry, run: Run, trace: Trace, keep: Keep) -> float:
    y = trace.tensors[run.result]
    if keep == "output":
        return 0.0 if _is_saved(run.result, trace) else float(y.numel() * y.element_size())
    return ceil(y.numel() / 8) * float(_bits(entry))


def _bytes_deferred(entry: Entry, run: Run, trace: Trace, deferred: set[int]) -> float:
    """Return what a deferred activation saves, less what its consumers no longer save."""
    is_new = entry.running.inplace or not _is_saved(run.source, trace)
    cost = float(_storage_bytes(run.source, trace)) if is_new else 0.0
    gone = [run.result, *trace.products.get(run.result, [])]
    feeds_deferred = any(id(user) in deferred for user in trace.users.get(run.result, []))
    return cost - sum(_storage_bytes(token, trace) for token in gone if _is_saved(token, trace) or feeds_deferred)


# --------------------------------------------------------------------------------------------- dry run


@dataclass(frozen=True, kw_only=True, eq=False)
class _TrainingStep:
    """One training step without its update.

    Attributes:
        outputs: tensors of the output.
        gradients: of the parameters, of a fixed random combination of the outputs.
        bytes: what autograd saved in between.
    """

    outputs: list[Tensor]
    gradients: list[Tensor | None]
    bytes: int


def _step(model: nn.Module, example_inputs: Inputs) -> _TrainingStep:
    arguments = copy_inputs(example_inputs)
    known = [leaf for leaf in tree_leaves(arguments) if isinstance(leaf, Tensor)]
    with no_side_effects(model, training=True):
        with SavedTensors([*model.parameters(), *model.buffers(), *known]) as saved:
            outputs = output_tensors(run(model, arguments))
            saved_bytes = saved.bytes
        parts = [(output * _weights(output)).sum() for output in outputs if output.requires_grad]
        parameters = [p for p in model.parameters() if p.requires_grad]
        gradients: Sequence[Tensor | None] = ()
        if parts and parameters:
            gradients = torch.autograd.grad(parts, parameters, allow_unused=True)
    return _TrainingStep(outputs=[o.detach() for o in outputs], gradients=list(gradients), bytes=saved_bytes)


def _weights(output: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(output.shape, generator=generator).to(output) + 0.5


def _rehearse(
    model_survey: Survey, choices: list[_Choice], reasons: dict[str, str], example_inputs: Inputs
) -> tuple[list[_Choice], tuple[int, int]]:
    """Run the changed model, and drop the choices that alter its results; their reasons are added to ``reasons``.

    Returns:
        The choices that remain, and the bytes saved before and after.
    """
    before = _step(model_survey.model, example_inputs)
    failure, after = _try(model_survey, choices, before, example_inputs)
    if failure:
        alone = {c.entry.site.path: _try(model_survey, [c], before, example_inputs)[0] for c in choices}
        failures = {path: reason for path, reason in alone.items() if reason} or dict.fromkeys(alone, failure)
        reasons |= failures
        choices = [c for c in choices if c.entry.site.path not in failures]
        failure, after = _try(model_survey, choices, before, example_inputs)
        if failure:
            raise SiteError(f"The model cannot be slimmed: {failure}.")
    return choices, (before.bytes, after.bytes)


def _try(
    model_survey: Survey, choices: Sequence[_Choice], before: _TrainingStep, example_inputs: Inputs
) -> tuple[str | None, _TrainingStep]:
    """Return why a changed model is not equivalent, or None; and its training step."""
    try:
        with temporarily_applied(_replacements(model_survey, choices)):
            after = _step(model_survey.model, example_inputs)
    except (SiteError, RuntimeError) as error:
        return f"the slim model raised: {error}", before
    if not all(map(_identical, before.outputs, after.outputs)):
        return "a layer of the same function rounds differently", after
    return (None if _agree(before.gradients, after.gradients) else "the gradients would change"), after


def _identical(before: Tensor, after: Tensor) -> bool:
    """Whether two outputs are equal, NaN included."""
    same = (before == after) | ((before != before) & (after != after))  # noqa: PLR0124 # NaN, in every dtype
    return before.shape == after.shape and bool(same.all())


def _agree(before: Sequence[Tensor | None], after: Sequence[Tensor | None]) -> bool:
    """Whether gradients agree up to rounding, relative to their own norm and to the largest norm.

    The gradient of a bias before a BatchNorm is rounding error only, of the size of the gradients that it sums up.
    """
    if [a is None for a in before] != [b is None for b in after]:
        return False
    pairs = [(a, b) for a, b in zip(before, after, strict=True) if a is not None and b is not None]
    if not all(torch.equal(a.isfinite(), b.isfinite()) for a, b in pairs):
        return False
    pairs = [(a[a.isfinite()], b[b.isfinite()]) for a, b in pairs]
    largest = max((float(a.norm()) for a, _ in pairs), default=0.0)
    return all(float((a - b).norm()) <= TOLERANCE.get(a.dtype, 0.0) * (float(a.norm()) + largest) for a, b in pairs)
