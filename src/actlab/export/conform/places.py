"""Places in a model where a candidate function can be tried, each call of each site."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from actlab.export.conform.candidate import TRAINED, Candidate, learned_names, of_spec
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.nn.layers.layer import layer
from actlab.nn.passes.output_tensors import output_tensors
from actlab.nn.sites.dry_run import Arguments, Inputs, no_side_effects, run
from actlab.nn.sites.find import Entry, Survey, survey
from actlab.nn.transforms.replacements import (
    Insertion,
    ModelPaths,
    Replacement,
    apply_all,
    plan_replacements,
    temporarily_applied,
    undo_all,
)

__all__ = ["Place", "Switchboard", "switchboard"]

KEPT = 200_000  # of the inputs of a place, to know their range
NOISE = 3e-7  # relative to 1 + |y|: two units in the last place, and what runtimes' tanh and sigmoid are off


@dataclass(frozen=True, kw_only=True)
class Place:
    """One call of an activation.

    Attributes:
        name: path of the site, with the number of the call where there are several.
        spec: the function that the model was trained with.
        kind: of the activation.
        dim: dimension along which a vector function works.
        gate: half of a packed input that is the gate.
        learned: mean of each learned number, as pairs.
        output: position of the model's output that it stands behind; None for an activation.
    """

    name: str
    spec: str
    kind: str = "elementwise"
    dim: int | None = None
    gate: str = "second"
    learned: tuple[tuple[str, float], ...] = ()
    output: int | None = None

    @property
    def group(self) -> tuple[Any, ...]:
        """What is equal for places at which an engine would make the same replacement."""
        return self.spec, self.kind, self.dim, self.gate, self.learned, self.output

    @property
    def function(self) -> Spec:
        """The trained function."""
        return parse(self.spec)


@dataclass(eq=False)
class _State:
    """What the switches of a model share: the choice, and what is recorded."""

    choice: Mapping[str, Candidate] = field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] | None = None
    noise: torch.Generator | None = None
    noise_scale: float = NOISE
    products: dict[int, tuple[Tensor, Callable[[Tensor], Tensor], Tensor]] = field(default_factory=dict)


class _Switch(nn.Module):
    """Runs the function that is chosen for the call, by default the one it took the place of."""

    def __init__(self, names: Sequence[str], original: Callable[..., Any], state: _State) -> None:
        super().__init__()
        self._names, self._state, self._calls = names, state, 0
        object.__setattr__(self, "_original", original)  # no submodule: the model's parts stay as they are

    def restart(self) -> None:
        self._calls = 0

    def forward(self, x: Any, *others: Any, **options: Any) -> Any:
        state, name = self._state, self._names[min(self._calls, len(self._names) - 1)]
        self._calls += 1
        chosen = state.choice.get(name, TRAINED)
        if state.ranges is not None:
            _record(state.ranges, name, x)
        trained = chosen.function is None
        # trained is exactly that there is no function, which the type checker does not follow
        result = self._original(x, *others, **options) if trained else chosen.function(x, *others)  # type: ignore[operator, misc]
        if state.noise is not None and isinstance(result, Tensor) and result.is_floating_point():
            drawn = torch.randn(result.shape, generator=state.noise, dtype=torch.float32).to(result)
            result = result + state.noise_scale * (1 + result.abs()) * drawn
        if chosen.swaps:
            state.products[id(result)] = (x, self._original, result)  # type: ignore[assignment] # as above
        return result


class _Swapped(TorchFunctionMode):
    """Multiplies the function of the other factor by the site's input, in the products that follow a switch."""

    def __init__(self, state: _State) -> None:
        super().__init__()
        self._state = state

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in {"mul", "__mul__", "__rmul__", "mul_", "__imul__", "multiply"}:
            first, second = args[0], args[1] if len(args) > 1 else None
            for own, other in ((first, second), (second, first)):
                kept = self._state.products.get(id(own))
                if kept is not None and isinstance(other, Tensor) and other.shape == kept[0].shape:
                    return kept[1](other) * kept[0]
        return func(*args, **(kwargs or {}))


def _record(ranges: dict[str, tuple[float, float]], name: str, x: Any) -> None:
    if isinstance(x, Tensor) and x.numel() and x.is_floating_point():
        low, high = (float(value) for value in torch.aminmax(torch.nan_to_num(x.detach().float())))
        old = ranges.get(name, (low, high))
        ranges[name] = min(low, old[0]), max(high, old[1])


@dataclass(frozen=True, kw_only=True, eq=False)
class Switchboard:
    """A model with a switch at every place, to be used inside :func:`switchboard`.

    Attributes:
        model: with the switches in it.
        places: in order of execution.
        skipped: reasons by path, of sites where nothing can be tried.
        state: what the switches share.
        switches: of the places.
        replacements: that put them into the model.
    """

    model: nn.Module
    places: tuple[Place, ...]
    skipped: Mapping[str, str]
    state: _State
    switches: tuple[_Switch, ...]
    replacements: Sequence[Replacement]

    @contextmanager
    def removed(self) -> Iterator[None]:
        """Give the block the model without the switches, as an engine may use the same parts."""
        undo_all(self.replacements)
        try:
            yield
        finally:
            apply_all(self.replacements)

    def outputs(self, arguments: Arguments, choice: Mapping[str, Candidate] | None = None) -> list[Tensor]:
        """Return the model's outputs with chosen functions; the others are the trained ones."""
        state = self.state
        state.choice = choice or {}
        state.products.clear()
        for switch in self.switches:
            switch.restart()
        if any(candidate.swaps for candidate in state.choice.values()):
            with _Swapped(state):
                results = output_tensors(run(self.model, arguments))
        else:
            results = output_tensors(run(self.model, arguments))
        for place in self.places:
            chosen = state.choice.get(place.name)
            if place.output is not None and chosen is not None and chosen.function is not None:
                results[place.output] = chosen.function(results[place.output])
        return [result.detach() for result in results]

    def ranges(self, arguments: Arguments) -> dict[str, tuple[float, float]]:
        """Return the smallest and the largest input of each place."""
        self.state.ranges = {}
        try:
            self.outputs(arguments)
            return dict(self.state.ranges)
        finally:
            self.state.ranges = None

    def rounded_otherwise(self, arguments: Arguments, seed: int, scale: float) -> list[Tensor]:
        """Return outputs with noise of a few units in the last place on every activation's result."""
        self.state.noise, self.state.noise_scale = torch.Generator().manual_seed(seed), scale
        try:
            return self.outputs(arguments)
        finally:
            self.state.noise = None


@contextmanager
def switchboard(model: nn.Module, example_inputs: Inputs, arguments: Arguments) -> Iterator[Switchboard]:
    """Give the block a model with a switch at every site; afterwards the model is as it was.

    Args:
        model: any module.
        example_inputs: a batch.
        arguments: the same as the arguments of a call.

    Raises:
        SiteError: the model raises on the inputs.
    """
    found = survey(model, example_inputs)
    state, skipped = _State(), {}
    usable: list[tuple[Entry, _Switch, list[Place]]] = []
    for entry in found.entries:
        reason = _obstacle(entry)
        if reason is not None:
            skipped[entry.site.path] = reason
            continue
        places = _places(entry)
        original = _original(entry)
        usable.append((entry, _Switch([place.name for place in places], original, state), places))
    with no_side_effects(model):
        before = output_tensors(run(model, arguments))
        usable = [each for each in usable if not _fails(found, each, arguments, before, skipped)]
        switches = [(entry, switch) for entry, switch, _ in usable]
        places = [place for _, _, own in usable for place in own] + _behind(before)
        replacements = _replacements(found, switches)
        with temporarily_applied(replacements):
            yield Switchboard(
                model=model,
                places=tuple(places),
                skipped=skipped,
                state=state,
                switches=tuple(switch for _, switch in switches),
                replacements=replacements,
            )


def _obstacle(entry: Entry) -> str | None:
    site, running = entry.site, entry.running
    if not entry.runs:
        return "it did not run on the example inputs"
    if site.spec is None:
        return "its function is not known, or differs from call to call"
    if entry.slot.reason is not None:
        return entry.slot.reason
    if running.kind == "complex":
        return "no candidates are known for functions of complex numbers"
    if site.reason is not None and running.kind not in {"vector", "gated"}:
        return site.reason
    if running.kind == "gated" and running.dim not in {None, -1, len(entry.runs[0].shape) - 1}:
        return f"it gates along dimension {running.dim}"
    if entry.slot.kind == "call" and (entry.slot.edit is None or learned_names(parse(site.spec))):
        return "its numbers are computed by the model"
    return None


def _places(entry: Entry) -> list[Place]:
    site, running, owner = entry.site, entry.running, entry.slot.owner
    spec = parse(str(site.spec)).forward
    learned = {}
    for name in learned_names(spec):
        value = getattr(owner, name, None)
        mean = float(value.detach().float().mean()) if isinstance(value, Tensor) else 0.0
        learned[name] = float(f"{mean:.7g}")
    count = len(entry.runs)
    gate = getattr(owner, "gate", "second") if entry.slot.kind == "module" else "second"
    return [
        Place(
            name=site.path if count == 1 else f"{site.path}, call {number}",
            spec=str(spec),
            kind=running.kind,
            dim=running.dim if running.kind == "vector" else None,
            gate=gate if gate in {"first", "second"} else "second",
            learned=tuple(learned.items()),
        )
        for number in range(1, count + 1)
    ]


def _original(entry: Entry) -> Callable[..., Any]:
    slot = entry.slot
    if slot.kind == "module":
        return slot.owner
    if slot.kind == "attribute" and slot.attribute is not None:
        function: Callable[..., Any] = vars(slot.owner)[slot.attribute]
        return function
    spec = parse(str(entry.site.spec)).forward
    if entry.running.kind == "vector" and entry.running.dim is not None:
        return _along(spec, int(entry.running.dim))
    return layer(spec).eval()


def _along(spec: Spec, dim: int) -> Callable[..., Any]:
    made = of_spec(spec, dim=dim)
    assert made is not None and made.function is not None  # noqa: S101, PT018 # it ran, so it has numbers
    return made.function


def _behind(outputs: Sequence[Tensor]) -> list[Place]:
    return [
        Place(name=f"output {i}", spec="identity", kind="output", output=i)
        for i, output in enumerate(outputs)
        if output.is_floating_point()
    ]


def _replacements(found: Survey, switches: Sequence[tuple[Entry, _Switch]]) -> list[Replacement]:
    paths = ModelPaths(model=found.model, paths=found.paths)
    insertions = [
        Insertion(owner=entry.slot.owner, new=switch.eval(), attribute=entry.slot.attribute, edit=entry.slot.edit)
        for entry, switch in switches
    ]
    return plan_replacements(paths, insertions)


def _fails(
    found: Survey,
    each: tuple[Entry, _Switch, list[Place]],
    arguments: Arguments,
    before: Sequence[Tensor],
    skipped: dict[str, str],
) -> bool:
    """Whether the model's output changes with a switch that runs the trained function, as where an input is overwritten."""
    entry, switch, _ = each
    with temporarily_applied(_replacements(found, [(entry, switch)])):
        switch.restart()
        after = output_tensors(run(found.model, arguments))
    calls, expected = switch._calls, len(entry.runs)
    close = all(
        torch.allclose(a.float(), b.float(), rtol=1e-3, atol=1e-5, equal_nan=True)
        for a, b in zip(before, after, strict=True)
    )
    if calls == expected and (close or entry.site.warning is not None):
        return False
    skipped[entry.site.path] = (
        "the model's output changes where the same function is put there, because it overwrites its input"
        if calls == expected
        else "what is put there does not run"
    )
    return True
