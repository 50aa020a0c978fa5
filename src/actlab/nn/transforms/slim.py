"""The slimming: a model's activations keep less for the backward pass, and compute the same.

Each site gets the form that keeps least: deferred into the Linear or convolution that alone takes its output
(:mod:`actlab.nn.layers.deferred`), its output, or bits (:mod:`actlab.nn.layers.memory_saving`). With example inputs the model is run
as it is trained, which shows who takes what and what autograd keeps anyway; and the slim model is rehearsed: its output must be the same
to the bit,
and its gradients the same but for rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from actlab.nn.layers.memory_saving import SlimLayer, keeps
from actlab.nn.probes.saved_tensors import SavedTensors, address
from actlab.nn.sites.dry_run import Inputs, copy_inputs, run, no_side_effects
from actlab.nn.sites.find import Entry, Survey, survey
from actlab.nn.sites.trace import Run, Trace
from actlab.nn.transforms.changes import Change, Changes, Skipped
from actlab.nn.transforms.consumers import reason_not_deferrable
from actlab.nn.transforms.rehearsal import fixed
from actlab.nn.transforms.replacements import Insertion, ModelPaths, Replacement, plan_replacements, temporarily_applied

__all__ = ["Savings", "slim_"]

TOLERANCE: Final = {torch.float64: 1e-10, torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}
"""Relative to a gradient's norm: sums of many products, taken in another order, and slopes from rounded outputs."""


class Savings(Changes):
    """What was slimmed: a sequence of :class:`Change`, with ``skipped`` and ``undo()`` as of a swap.

    Attributes:
        before: bytes that autograd kept of a training step's forward pass; None without example inputs.
        after: bytes that it keeps now.
    """

    def __init__(
        self,
        changes: Sequence[Change],
        skipped: Sequence[Skipped],
        replacements: Sequence[Replacement],
        measured: tuple[int, int] | None,
    ) -> None:
        super().__init__(changes, skipped, (), replacements)
        self.before = measured[0] if measured else None
        self.after = measured[1] if measured else None

    def __repr__(self) -> str:
        if self.before is None:
            return super().__repr__()
        return f"{super().__repr__()}\nkept for backward: {self.before} bytes -> {self.after}".lstrip()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Choice:
    """A site, and the module it gets.

    Attributes:
        entry: the site.
        new: the module.
        words: what that keeps.
    """

    entry: Entry
    new: nn.Module
    words: str


def slim_(model: nn.Module, example_inputs: Inputs | None = None) -> Savings:
    """Make the activations of a model keep less memory for the backward pass, in place. What it computes stays the same.

    Args:
        model: any module. Its ``state_dict`` keeps its keys: checkpoints load both ways.
        example_inputs: a batch as the model gets it in training: a tensor, a tuple of positional arguments or a dict of keyword arguments.
            Without it nothing is known of who takes an activation's output, and only what saves memory by itself is done.

    Returns:
        The changes, with ``skipped`` (what was left, and why), ``before`` and ``after`` in bytes, and ``undo()``.

    Raises:
        SiteError: the model raises on the example inputs.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 8), nn.GELU(), nn.Linear(8, 2))
        >>> slim_(model, torch.zeros(16, 2))
        1: gelu -> computed again inside the layer after it
        kept for backward: 1024 bytes -> 512
    """
    model_survey = survey(model, example_inputs, training=True)
    choices, reasons = _choices(model_survey)
    measured = None
    if example_inputs is not None:
        choices, measured = _rehearsed(model_survey, choices, reasons, example_inputs)
    replacements = _replacements(model_survey, choices)
    for replacement in replacements:
        replacement.do()
    changes = [Change(path=c.entry.site.path, old=_name(c.entry), new=c.words) for c in choices]
    skipped = [
        Skipped(site=e.site, reason=reasons[e.site.path]) for e in model_survey.entries if e.site.path in reasons
    ]
    return Savings(changes, skipped, replacements, measured)


def _name(entry: Entry) -> str:
    return entry.site.spec or entry.site.name or "?"


def _replacements(model_survey: Survey, choices: Sequence[_Choice]) -> list[Replacement]:
    insertions = []
    for choice in choices:
        place = choice.entry.slot
        choice.new.train(place.owner.training)
        insertions.append(Insertion(owner=place.owner, new=choice.new, attribute=place.attribute, edit=place.edit))
    return plan_replacements(ModelPaths(model=model_survey.model, paths=model_survey.paths), insertions)


# -------------------------------------------------------------------------------------------- choosing


def _choices(model_survey: Survey) -> tuple[list[_Choice], dict[str, str]]:
    """Choose a form for every site; and by path, the reason for each that is left."""
    reasons = {
        entry.site.path: reason for entry in model_survey.entries if (reason := _refusal(entry, model_survey.trace))
    }
    deferrable: dict[str, str | None] = {}
    if model_survey.trace:
        deferrable = reason_not_deferrable(
            model_survey, [e for e in model_survey.entries if e.site.path not in reasons]
        )
    choices: list[_Choice] = []
    for entry in reversed(model_survey.entries):  # consumers first: who waits for an activation keeps its input
        if entry.site.path in reasons:
            continue
        waiting = {id(r) for c in choices if isinstance(c.new, Deferred) for r in c.entry.runs}
        made = (
            _best(entry, model_survey.trace, deferrable.get(entry.site.path), waiting)
            if model_survey.trace
            else _local(entry)
        )
        if isinstance(made, str):
            reasons[entry.site.path] = made
        else:
            choices.insert(0, made)
    return choices, reasons


def _refusal(entry: Entry, trace: Trace | None) -> str | None:
    """Say why a site is out of the question, or return None."""
    owner = entry.slot.owner
    if isinstance(owner, (Deferred, SlimLayer)):
        return "it is slim already"
    if entry.site.reason:
        return entry.site.reason
    if isinstance(owner, CustomGradientLayer):
        return "it keeps what its gradient rule needs, and no more"
    if entry.running.kind == "stochastic":
        return "it draws random numbers, which a second computation would draw anew"
    if _callable(entry) is None:
        return "its parameters are not plain numbers"
    if trace is not None and not entry.runs:
        return "it did not run on example_inputs"
    if trace is not None and not any(trace.kept[run.source].requires_grad for run in entry.runs):
        return "no gradient passes through it"
    return None


def _callable(entry: Entry) -> nn.Module | None:
    """Return what computes the activation out of place: its own module, or a layer of the same function."""
    if entry.slot.kind == "module" and not entry.running.inplace:
        return entry.slot.owner
    return layer(str(entry.site.spec)) if fixed(entry.site) else None


def _local(entry: Entry) -> _Choice | str:
    """Choose without knowing who takes the output: only what keeps less whoever it is."""
    function, possible = _callable(entry), _keeps(entry)
    x = torch.linspace(-1.0, 1.0, 64).requires_grad_()
    if not function or not possible:
        return "its backward pass needs its input; pass example_inputs, so that the layer after it is found"
    with SavedTensors() as ledger:
        y = function(x)
    if not set(ledger.sizes) - {address(y)}:
        return "it keeps its output only, as it is"
    return _slimmed(entry, "bits" if "bits" in possible else "output")


def _keeps(entry: Entry) -> tuple[str, ...]:
    return keeps(str(entry.site.spec)) if fixed(entry.site) and entry.running.kind == "elementwise" else ()


def _slimmed(entry: Entry, keep: str) -> _Choice:
    found = saved_for_backward(str(entry.site.spec))
    bits = found.bits if found else 0
    words = "keeps its output" if keep == "output" else f"keeps {bits} bit{'' if bits == 1 else 's'} per element"
    return _Choice(entry=entry, new=SlimLayer(str(entry.site.spec), keep), words=words)  # type: ignore[arg-type]  # a site has a spec here, or it would not be an entry


def _best(entry: Entry, trace: Trace, reason: str | None, waiting: set[int]) -> _Choice | str:
    """Choose the form that keeps least; among equals the one that computes least."""
    costs = {"as it is": sum(_own(entry, run, trace) for run in entry.runs)}
    for keep in _keeps(entry):
        costs[keep] = sum(_slim_cost(entry, run, trace, keep) for run in entry.runs)
    if reason is None:
        costs["deferred"] = sum(_deferred_cost(entry, run, trace, waiting) for run in entry.runs)
    best = min(costs, key=costs.__getitem__)
    if best == "as it is":
        return _left(reason, costs)
    if best != "deferred":
        return _slimmed(entry, best)
    function = _callable(entry)
    if function is None:
        raise AssertionError("refused before")
    pointwise = entry.running.kind == "elementwise" and all(p.numel() == 1 for p in function.parameters())
    return _Choice(
        entry=entry, new=Deferred(function, pointwise=pointwise), words="computed again inside the layer after it"
    )


def _left(reason: str | None, costs: Mapping[str, float]) -> str:
    if reason is None or not costs["as it is"] or len(costs) > 1:
        return "it keeps no more than the layers around it keep anyway"
    return f"its backward pass needs its input, and {reason}"


# --------------------------------------------------------------------------------------------- costing


def _own(entry: Entry, run: Run, trace: Trace) -> float:
    """Return the bytes that the site keeps now and nobody else does: measured, by running it once more."""
    x = trace.kept[run.source].detach().clone().requires_grad_()
    x = x.view_as(x).clone() if entry.running.inplace else x
    function = entry.slot.owner if entry.slot.kind == "module" else _callable(entry)
    if function is None:
        raise AssertionError("refused before")
    with torch.enable_grad(), SavedTensors(function.parameters()) as ledger:
        y = function(x)
    sizes = ledger.sizes
    taken = {
        address(x): _is_saved(run.source, trace) and not entry.running.inplace,
        address(y): _is_saved(run.result, trace),
    }
    return float(sum(size for where, size in sizes.items() if not taken.get(where, False)))


def _is_saved(token: tuple[int, int], trace: Trace) -> bool:
    """Tell whether others than activations keep a value."""
    return address(trace.kept[token]) in trace.saved


def _bytes(token: tuple[int, int], trace: Trace) -> int:
    return trace.kept[token].untyped_storage().nbytes()


def _slim_cost(entry: Entry, run: Run, trace: Trace, keep: str) -> float:
    y = trace.kept[run.result]
    if keep == "output":
        return 0.0 if _is_saved(run.result, trace) else float(y.numel() * y.element_size())
    found = saved_for_backward(str(entry.site.spec))
    return ceil(y.numel() / 8) * float(found.bits or 0) if found else 0.0


def _deferred_cost(entry: Entry, run: Run, trace: Trace, waiting: set[int]) -> float:
    """Return what a deferred activation keeps, less what those who wait for it no longer keep."""
    alone = entry.running.inplace or not _is_saved(run.source, trace)
    cost = float(_bytes(run.source, trace)) if alone else 0.0
    gone = [run.result, *trace.products.get(run.result, [])]
    is_waited_for = any(id(user) in waiting for user in trace.users.get(run.result, []))
    return cost - sum(_bytes(token, trace) for token in gone if _is_saved(token, trace) or is_waited_for)


# ------------------------------------------------------------------------------------------- rehearsal


@dataclass(frozen=True, kw_only=True, eq=False)
class _Pass:
    """One training step without its update.

    Attributes:
        outputs: tensors of the output.
        gradients: of the parameters, of a fixed random combination of the outputs.
        bytes: what was kept in between.
    """

    outputs: list[Tensor]
    gradients: list[Tensor | None]
    bytes: int


def _step(model: nn.Module, example_inputs: Inputs) -> _Pass:
    arguments = copy_inputs(example_inputs)
    known = [leaf for leaf in tree_leaves(arguments) if isinstance(leaf, Tensor)]
    with no_side_effects(model, training=True):
        with SavedTensors([*model.parameters(), *model.buffers(), *known]) as ledger:
            outputs = [leaf for leaf in tree_leaves(run(model, arguments)) if isinstance(leaf, Tensor)]
            kept_bytes = ledger.bytes
        loss = [(o * _weights(o)).sum() for o in outputs if o.requires_grad]
        wanted = [p for p in model.parameters() if p.requires_grad]
        made = torch.autograd.grad(sum(loss), wanted, allow_unused=True) if loss and wanted else ()  # type: ignore[arg-type]  # sum() of tensors is a tensor; of none it is not reached
    return _Pass(outputs=[o.detach() for o in outputs], gradients=list(made), bytes=kept_bytes)


def _weights(output: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(output.shape, generator=generator).to(output) + 0.5


def _rehearsed(
    model_survey: Survey, choices: list[_Choice], reasons: dict[str, str], example_inputs: Inputs
) -> tuple[list[_Choice], tuple[int, int]]:
    """Try the choices out, and drop those that change anything; their reasons are added."""
    before = _step(model_survey.model, example_inputs)
    complaint, after = _tried(model_survey, choices, before, example_inputs)
    if complaint:
        complaints = {c.entry.site.path: _tried(model_survey, [c], before, example_inputs)[0] for c in choices}
        culprits = {path: words for path, words in complaints.items() if words} or dict.fromkeys(complaints, complaint)
        reasons |= culprits
        choices = [c for c in choices if c.entry.site.path not in culprits]
        complaint, after = _tried(model_survey, choices, before, example_inputs)
        if complaint:
            raise SiteError(f"The model cannot be slimmed: {complaint}.")
    return choices, (before.bytes, after.bytes)


def _tried(
    model_survey: Survey, choices: Sequence[_Choice], before: _Pass, example_inputs: Inputs
) -> tuple[str | None, _Pass]:
    """Return what is wrong with a slim model, or None; and its step."""
    try:
        with temporarily_applied(_replacements(model_survey, choices)):
            after = _step(model_survey.model, example_inputs)
    except (SiteError, RuntimeError) as error:
        return f"the slim model raised: {error}", before
    if not all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(before.outputs, after.outputs, strict=True)):
        return "a layer of the same function rounds differently", after
    return (None if _agree(before.gradients, after.gradients) else "the gradients would change"), after


def _agree(before: Sequence[Tensor | None], after: Sequence[Tensor | None]) -> bool:
    """Whether gradients are the same but for rounding, measured at their own size and at that of the largest.

    The gradient of a bias before a BatchNorm is nothing but rounding, at the size of the gradients it is a sum of.
    """
    if [a is None for a in before] != [b is None for b in after]:
        return False
    pairs = [(a, b) for a, b in zip(before, after, strict=True) if a is not None and b is not None]
    largest = max((float(a.norm()) for a, _ in pairs), default=0.0)
    return all(
        float((a - b).norm()) <= TOLERANCE.get(a.dtype, 0.0) * (float(a.norm()) + largest) or bool(a.isnan().any())
        for a, b in pairs
    )
