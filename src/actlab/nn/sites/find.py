"""Find every activation of a model, as a module or functional call, and whether it can be replaced.

Sites are modules (``nn.ReLU``) and functions (``F.relu(x)``, ``x.relu_()``, ``self.act = torch.tanh``). With example inputs the model is
run once and what ran is reported: functions picked at run time, calls in a loop, shapes, counts. Without example inputs the source is read,
which misses what is decided at run time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count

import torch
from torch import nn

from actlab.errors import SiteError
from actlab.nn.passes.model_argument import takes_model
from actlab.nn.recognition.quantized import quantization_reasons
from actlab.nn.recognition.torch_activations import Running
from actlab.nn.sites.dry_run import Inputs
from actlab.nn.sites.model_outputs import PART_OF_FORMULA, returned_slots, run_slots
from actlab.nn.sites.site import Site, Sites
from actlab.nn.sites.slot import Slot, function_attributes, slot_in_fused_module, slot_of_module
from actlab.nn.sites.source_calls import activation_calls
from actlab.nn.sites.timing import Times, time_sites
from actlab.nn.sites.torchscript import SCRIPTED, scripted_activations
from actlab.nn.sites.trace import Run, Trace, trace
from actlab.nn.sites.user_modules import activation_modules

__all__ = ["Entry", "Site", "Sites", "Survey", "find", "survey"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Entry:
    """A site, with what is needed to replace it.

    Attributes:
        site: the public record.
        slot: where it sits in the model's objects and source.
        running: what runs there.
        runs: its executions in the trace, in order.
    """

    site: Site
    slot: Slot
    running: Running
    runs: tuple[Run, ...] = ()

    def refused(self, reason: str) -> Entry:
        """Return the entry as not replaceable, with the reason."""
        return replace(self, site=replace(self.site, replaceable=False, reason=reason))


@dataclass(frozen=True, kw_only=True, eq=False)
class Survey:
    """All activations of a model, with the forward pass they were found in.

    Attributes:
        model: the model.
        entries: one for each site, in order of execution where the model was run, in order of definition otherwise.
        trace: the forward pass; None without example inputs.
        paths: the paths of every module, by its ``id``.
    """

    model: nn.Module
    entries: tuple[Entry, ...]
    trace: Trace | None
    paths: dict[int, list[str]]

    @cached_property
    def compiled_themselves(self) -> set[int]:
        """The ``id`` of every module that was given to ``torch.compile``."""
        inner = {id(m._modules["_orig_mod"]) for m in self.model.modules() if "_orig_mod" in m._modules}
        return inner | {id(module) for module in self.model.modules() if module._compiled_call_impl is not None}

    @cached_property
    def quantization_reasons(self) -> dict[int, tuple[str, bool]]:
        """Why no layer can be put into modules that torch's quantization has changed; see :func:`quantization_reasons`."""
        return quantization_reasons(self.model)

    @cached_property
    def encoder_layers(self) -> list[nn.TransformerEncoderLayer]:
        """Encoder layers of transformers, which have a fused kernel."""
        return [module for module in self.model.modules() if isinstance(module, nn.TransformerEncoderLayer)]

    @cached_property
    def compiled(self) -> set[int]:
        """The ``id`` of every module that was given to ``torch.compile``, and of all modules inside."""
        tops = (m for m in self.model.modules() if m._compiled_call_impl is not None or "_orig_mod" in m._modules)
        return {id(module) for top in tops for module in top.modules()}


@takes_model
def find(model: nn.Module, example_inputs: Inputs | None = None, *, rounds: int = 0) -> Sites:
    """List every activation of a model: modules and functional calls.

    Calls of ``torch.clamp``, ``torch.sin``, ``torch.where`` and the like are not listed, as they are activations only in some places. A
    user-defined module that computes a registered function is one site, whatever it calls inside.

    Args:
        model: any module; weights, buffers, training flags and random generators are left unchanged.
        example_inputs: a tensor, a tuple of positional arguments or a dict of keyword arguments, as the model takes them. With them the
            model runs once, in eval mode without gradients, and the sites say what ran, how often and on which shape. Only a run shows
            softmax inside ``F.scaled_dot_product_attention``.
        rounds: how many further forward passes are timed, with and without hooks; then the sites have ``seconds`` and ``share``.

    Returns:
        A list of :class:`Site`, in order of execution with example inputs (those that did not run come last), in order of definition
        without; ``print`` shows it as a table.

    Raises:
        SiteError: the model raises on the example inputs, or ``rounds`` is given without example inputs.

    Example:
        >>> [(site.path, site.spec, site.shape) for site in find(nn.Sequential(nn.Linear(3, 4), nn.ELU(0.5)), torch.zeros(2, 3))]
        [('1', 'elu(alpha=0.5)', (2, 4))]
    """
    if rounds and example_inputs is None:
        raise SiteError(f"rounds={rounds} times forward passes, which need example_inputs.")
    entries = survey(model, example_inputs).entries
    if not rounds or example_inputs is None:
        return Sites((entry.site for entry in entries), model=type(model).__name__)
    times = time_sites(model, example_inputs, rounds)
    return Sites((_with_time(entry, times) for entry in entries), model=type(model).__name__)


def _with_time(entry: Entry, times: Times) -> Site:
    seconds = times.sites.get(entry.slot.key)
    return replace(entry.site, seconds=seconds, share=None if seconds is None else seconds / times.forward)


def survey(
    model: nn.Module, example_inputs: Inputs | None = None, *, training: bool = False, whole: bool = True
) -> Survey:
    """Find the sites of a model, with what is needed to replace them; see :func:`find`, and :func:`trace` for the options.

    Without ``whole``, the parts of functions that are written out are sites: each may be replaced by the same function.
    """
    known = activation_modules(model)
    # reading the source comes before the run, which looks only for user functions that were matched before
    drafts = {draft.slot.key: draft for draft in _defined(model, known, whole=whole)}
    traced = None if example_inputs is None else trace(model, example_inputs, known, training=training, whole=whole)
    for draft in drafts.values():
        draft.written = draft.running.spec or draft.running.name
    for run in traced.runs if traced else ():
        draft = drafts.setdefault(run.slot.key, _Draft(slot=run.slot, running=run.running))
        draft.runs.append(run)
    result = Survey(model=model, entries=(), trace=traced, paths=_paths(model))
    calls = [(draft.slot, draft.running) for draft in drafts.values()]
    outputs, parts = returned_slots(model, known, calls) if traced is None else run_slots(traced)
    for draft in drafts.values():
        draft.is_part = whole and draft.slot.key in parts
    entries = [_entry(draft, result, output=draft.slot.key in outputs) for draft in _in_order(drafts.values(), traced)]
    return replace(result, entries=tuple(_numbered(_with_unique_paths(entries))))


def _paths(model: nn.Module) -> dict[int, list[str]]:
    paths: dict[int, list[str]] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        paths.setdefault(id(module), []).append(path)
    return paths


# ---------------------------------------------------------------------------------------------- drafts


@dataclass(kw_only=True, eq=False)
class _Draft:
    """A slot, with what was found out about it so far."""

    slot: Slot
    running: Running
    runs: list[Run] = field(default_factory=list)
    written: str | None = None
    is_part: bool = False


def _defined(model: nn.Module, known: Mapping[int, Running], *, whole: bool) -> Iterator[_Draft]:
    """Yield what is found without running the model: modules, attributes, calls in methods."""
    inside: set[int] = set()
    for module in model.modules():
        if id(module) in inside:
            continue
        if id(module) in known:
            inside |= {id(part) for part in module.modules()}
            yield _Draft(slot=_slot_of_module(module, model), running=known[id(module)])
            continue
        if isinstance(module, torch.jit.ScriptModule):
            yield from (_Draft(slot=slot, running=running) for slot, running in scripted_activations(module))
            continue
        for slot, running in (*_fused(module), *function_attributes(module), *activation_calls(module, whole=whole)):
            yield _Draft(slot=slot, running=running)


def _slot_of_module(module: nn.Module, model: nn.Module) -> Slot:
    if isinstance(module, torch.jit.ScriptModule):
        return slot_of_module(module, SCRIPTED)
    return slot_of_module(
        module, "the model itself is the activation; build layer(...) in its stead" if module is model else None
    )


def _fused(module: nn.Module) -> Iterator[tuple[Slot, Running]]:
    """Yield the activations inside torch's fused modules, which are listed and cannot be replaced."""
    names: tuple[str, ...] = ()
    if isinstance(module, (nn.RNN, nn.RNNCell)):
        names = (str(module.nonlinearity),)
    elif isinstance(module, (nn.RNNBase, nn.RNNCellBase)):
        names = ("sigmoid", "tanh")
    elif isinstance(module, nn.MultiheadAttention):
        names = ("softmax",)
    for name in names:
        yield slot_in_fused_module(module, name), Running(name=name, spec=name)


def _in_order(drafts: Iterable[_Draft], traced: Trace | None) -> list[_Draft]:
    """Sort by first execution; what did not run keeps its order, at the end."""
    if traced is None:
        return list(drafts)
    first = {id(run): position for position, run in enumerate(traced.runs)}
    return sorted(drafts, key=lambda draft: first[id(draft.runs[0])] if draft.runs else len(first))


# --------------------------------------------------------------------------------------------- entries


def _entry(draft: _Draft, result: Survey, *, output: bool) -> Entry:
    slot, runs = draft.slot, draft.runs
    owners = result.paths.get(id(slot.owner), [])
    running = _running_of(draft)
    paths = [_join(owner, slot.tail) for owner in owners or ["?"]]
    channels, channel_dim = _channels(runs)
    is_fused = slot.tail.startswith(":")
    reason = slot.reason or _function_reason(draft, running) or _slot_reason(slot, runs, result)
    site = Site(
        path=paths[0],
        name=running.name,
        spec=running.spec,
        kind="module" if slot.kind == "module" or is_fused else "function",
        where=slot.where,
        shape=runs[0].shape if runs else None,
        calls=len(runs) if result.trace and not isinstance(slot.owner, torch.jit.ScriptModule) else None,
        channels=channels,
        channel_dim=channel_dim,
        replaceable=reason is None,
        reason=reason,
        output=output,
        aliases=tuple(
            dict.fromkeys(path for path in [*paths, *map(_without_compile_prefix, paths)] if path != paths[0])
        ),
        shapes=tuple(dict.fromkeys(run.shape for run in runs)),
        written=draft.written,
        warning=_fused_kernel_warning(slot, running, result.encoder_layers),
    )
    return Entry(site=site, slot=slot, running=running, runs=tuple(runs))


def _channels(runs: Sequence[Run]) -> tuple[int | None, int | None]:
    """Return number and dimension of the units in the inputs of a site; None for both where they differ or there are none."""
    if all(run.axis is None for run in runs):
        found = {(run.shape[1] if len(run.shape) > 1 else None, 1) for run in runs}
    else:
        dims = [(run, 1 - len(run.shape) if run.axis is None else run.axis.dim) for run in runs]
        found = {(run.shape[dim] if -len(run.shape) <= dim < 0 else None, dim) for run, dim in dims}
    channels, dim = found.pop() if len(found) == 1 else (None, None)
    return channels, dim if channels is not None else None


def _fused_kernel_warning(slot: Slot, running: Running, layers: Sequence[nn.TransformerEncoderLayer]) -> str | None:
    """Return a warning where the fused kernel of ``nn.TransformerEncoderLayer`` runs another function than the layer holds, or None.

    The kernel goes by a flag that is set when the layer is built; every ``nn.GELU`` counts as the exact one.
    """
    here = (layer for layer in layers if _holds(layer, slot))
    flags = ({0: None, 1: "relu", 2: "gelu"}.get(int(layer.activation_relu_or_gelu)) for layer in here)
    fused = next((name for name in flags if name and name != running.name), None)
    if fused is None:
        return None
    return (
        f"in eval mode without gradients torch's fused kernel runs {fused} here: the layer's activation_relu_or_gelu says so; "
        "set it to 0, or swap the activation, which does"
    )


def _holds(layer: nn.TransformerEncoderLayer, slot: Slot) -> bool:
    is_held = slot.kind == "attribute" and slot.owner is layer and slot.attribute == "activation"
    return is_held or (slot.kind == "module" and layer.activation is slot.owner)


def _slot_reason(slot: Slot, runs: Sequence[Run], result: Survey) -> str | None:
    """Return why a slot cannot, or must not, be changed from the model, or None."""
    if id(slot.owner) not in result.paths:
        return "its module was created during the forward pass"
    if slot.kind == "module" and id(slot.owner) in result.compiled_themselves:
        return "torch.compile was given the activation itself; compile the model around it instead"
    reason, is_refutable = result.quantization_reasons.get(id(slot.owner), (None, False))
    is_float = result.trace is not None and all(result.trace.tensors[r.source].is_floating_point() for r in runs)
    return None if is_refutable and runs and is_float else reason


def _join(owner: str, tail: str) -> str:
    return f"{owner}{tail}" if not owner or tail.startswith(":") or not tail else f"{owner}.{tail}"


def _without_compile_prefix(path: str) -> str:
    """Return a path without the ``_orig_mod`` that torch.compile inserts."""
    return path.replace("_orig_mod.", "")


def _running_of(draft: _Draft) -> Running:
    """Return what ran; without a spec where the parameters differed from call to call."""
    if not draft.runs:
        return draft.running
    first = draft.runs[0].running
    return first if len({run.running.spec for run in draft.runs}) == 1 else replace(first, spec=None)


def _function_reason(draft: _Draft, running: Running) -> str | None:
    """Return why the function that runs cannot be replaced, wherever it sits, or None."""
    unusual = next((run.unusual for run in draft.runs if run.unusual), None)
    if unusual is not None:
        return unusual
    if draft.is_part:
        return PART_OF_FORMULA
    names = {run.running.name for run in draft.runs}
    if len(names) > 1:
        return f"one call runs more than one function ({', '.join(sorted(map(str, names)))})"
    if running.kind == "vector":
        return f"{running.name} mixes the elements of its input; no elementwise function can take its place"
    last = {len(run.shape) - 1 for run in draft.runs} | {-1}
    if running.kind == "gated" and running.dim is not None and running.dim not in last:
        return f"it gates along dimension {running.dim}; layers gate along the last one"
    return None


def _with_unique_paths(entries: list[Entry]) -> Iterator[Entry]:
    """Number the paths that two sites share (calls in functions outside the model's classes)."""
    seen: dict[str, int] = {}
    for entry in entries:
        path = entry.site.path
        seen[path] = seen.get(path, 0) + 1
        is_first = seen[path] == 1
        yield entry if is_first else replace(entry, site=replace(entry.site, path=f"{path}#{seen[path]}"))


def _numbered(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Set the depth of every site that a swap of all sites would replace."""
    depth = count()
    for entry in entries:
        is_counted = entry.site.replaceable and not entry.site.output
        yield replace(entry, site=replace(entry.site, depth=next(depth))) if is_counted else entry
