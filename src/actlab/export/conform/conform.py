"""Check of an engine against a model, which function it really runs where."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from actlab.errors import ExportError
from actlab.export.conform.comparison import SAFETY, Comparison, as_array, grid_step, in_shape_of
from actlab.export.conform.engine import Engine, engine_of
from actlab.export.conform.evidence import finding, judged_beyond
from actlab.export.conform.places import NOISE, Switchboard, switchboard
from actlab.export.conform.report import ConformReport, Miss
from actlab.export.conform.search import Choice, Search
from actlab.export.metric_cost import Metric, costs, lacks_targets
from actlab.nn.passes.model_argument import takes_model
from actlab.nn.sites.dry_run import Arguments, Inputs, copy_inputs
from actlab.system.options import from_options

__all__ = ["ConformSettings", "conform"]

DRAWS = 3
HALF = {torch.float16: 1e-3, torch.bfloat16: 8e-3}  # noise of activations in half precision
COARSEST = 4e-3  # noise of activations in bfloat16, of which some CPUs make use without being asked
LEAST_GAIN = 0.5  # of the squared miss, that another function must explain for a quantised engine
COARSE = 0.1  # root mean squared miss, over that of the outputs, above which no quantisation to int8 explains it
SMALL = 1e-3  # mean squared miss, over that of the outputs
NEARLY = 0.99  # of the squared miss: another function, but not quite


@dataclass(frozen=True, kw_only=True)
class ConformSettings:
    """How an engine is checked.

    Attributes:
        runtime: of an ONNX file: "onnxruntime" or "openvino"; None for the first that is installed.
        step: of the engine's output codes, where it is quantised; None to find it, where the outputs are few multiples of a number.
        tolerance: largest difference that rounding explains; None to measure it at the model.
        beyond: whether the engine is also run on the example inputs times a factor, where the examples do not tell functions apart.
        catalogue: whether the whole catalogue is tried where no near relative of the trained functions fits.

    Raises:
        ExportError: a value is not allowed.
    """

    runtime: str | None = None
    step: float | None = None
    tolerance: float | None = None
    beyond: bool = True
    catalogue: bool = True

    def __post_init__(self) -> None:
        for name, value in (("step", self.step), ("tolerance", self.tolerance)):
            if value is not None and not (isfinite(value) and value > 0):
                raise ExportError(f"{name} is a finite number above 0, or None; got {value!r}.")


@takes_model
def conform(
    model: nn.Module,
    against: Any,
    example_inputs: Inputs,
    *,
    targets: Any = None,
    metric: Metric | None = None,
    progress: Callable[[str], None] = lambda _: None,
    settings: ConformSettings | None = None,
    **options: Any,
) -> ConformReport:
    """Tell from its outputs which activation functions an engine runs, and what that costs.

    At each site of the model candidate functions take the place of the trained one, and the model's outputs are compared with the
    engine's: near relatives first (approximations, limits left out, the other half as the gate, other values of a parameter, the same
    formula in its textbook form), then the whole catalogue. The same replacement is tried everywhere, then site by site. The model is as
    it was afterwards.

    Args:
        model: any module, as it was trained.
        against: the engine: path of an ONNX file, of the folder of a C project that :func:`actlab.export` wrote, or of saved outputs
            (``.npz``, ``.npy``); a function of the model's inputs; another module; or arrays.
        example_inputs: a batch: a tensor, a tuple of positional arguments, or a dict of keyword arguments.
        targets: of the examples: a class each, or numbers in the outputs' shape; what ``metric`` takes as its second argument.
        metric: of the outputs, or of outputs and targets; returns a number. By default accuracy for classes, and mean
            squared error for numbers.
        progress: called with a text.
        settings: see :class:`ConformSettings`.
        options: fields of these settings by name.

    Returns:
        The verdict, and for each site the function that runs there, with the misses of the candidates and what the evidence cannot tell.

    Raises:
        ExportError: the engine cannot be read or run, or its outputs have other shapes.
        SiteError: the model raises on the inputs.
        TypeError: an option is unknown.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.GELU("tanh"), nn.Linear(8, 2))
        >>> engine = nn.Sequential(model[0], nn.GELU(), model[2])
        >>> report = conform(model, engine, torch.randn(32, 4))
        >>> report.verdict, report.changed
        ('differs', {'1': 'gelu'})
    """
    settings = from_options(ConformSettings, settings, options)
    engine = engine_of(against, settings.runtime)
    arguments = copy_inputs(example_inputs)
    arrays = engine.run(copy_inputs(example_inputs))
    with switchboard(model, example_inputs, arguments) as board:
        check = _Check(board=board, arguments=arguments, engine=engine, settings=settings)
        return check.report(type(model).__name__, arrays, progress, targets, metric)


@dataclass(kw_only=True, eq=False)
class _Check:
    """A check, once the model has its switches."""

    board: Switchboard
    arguments: Arguments
    engine: Engine
    settings: ConformSettings

    def comparison(self, arguments: Arguments, arrays: Sequence[Any]) -> Comparison:
        """Return what outputs on these arguments are compared with, with the floor measured there."""
        outputs = self.board.outputs(arguments)
        wanted = in_shape_of(outputs, arrays, self.engine.name)
        sizes = [max(float(as_array(y).std() + abs(as_array(y).mean())), 1e-12) for y in outputs]
        floors = list(self._floors(arguments, outputs))
        batches = {y.shape[0] if y.dim() > 1 else 1 for y in outputs}
        return Comparison(
            wanted=wanted,
            sizes=tuple(size if isfinite(size) else 1.0 for size in sizes),
            floors=tuple(floors),
            examples=batches.pop() if len(batches) == 1 else 1,
        )

    def _floors(self, arguments: Arguments, outputs: Sequence[Tensor], noise: float | None = None) -> Iterator[float]:
        if self.settings.tolerance is not None:
            yield from [self.settings.tolerance] * len(outputs)
            return
        noise = noise or max((HALF.get(y.dtype, NOISE) for y in outputs), default=NOISE)
        drawn = [self.board.rounded_otherwise(arguments, seed, noise) for seed in range(DRAWS)]
        for i, output in enumerate(outputs):
            exact = as_array(output)
            moved = [abs(as_array(each[i]) - exact) for each in drawn]
            largest = max((float(np.nanmax(each, initial=0.0)) for each in moved), default=0.0)
            yield SAFETY * max(largest, noise * (1 + float(abs(exact[abs(exact) < 1e300]).max(initial=0.0))))

    def report(
        self, name: str, arrays: Sequence[Any], progress: Callable[[str], None], targets: Any, metric: Metric | None
    ) -> ConformReport:
        """Search, judge and report."""
        comparison = self.comparison(self.arguments, arrays)
        steps = [grid_step(want) for want in comparison.wanted]
        step = self.settings.step or self.engine.step or next((each for each in steps if each is not None), None)
        quantised = self.engine.quantised or step is not None
        search = Search(
            board=self.board, arguments=self.arguments, comparison=comparison, quantised=quantised,
            whole=self.settings.catalogue, progress=progress,
        )  # fmt: skip
        best = search.run()
        is_half = not quantised and not search.explains(best) and self._is_half(search, best)
        search.quantised = quantised = quantised or is_half
        best = self._material(search, best)
        verdict = self._verdict(search, best)
        trained, found = search.outcome({}), search.outcome(best)
        if trained is None or found is None:
            raise ExportError("The model does not run with switches at its activations; give other example inputs.")
        explained = 1 - found.squared / trained.squared if trained.squared else 0.0
        notes = [f"{path}: not tried: {reason}" for path, reason in self.board.skipped.items()]
        if verdict == "unexplained":
            notes.insert(0, _nearest(best, explained))
            best = {}
        sites = [finding(search, place, best) for place in self._shown(best)]
        if verdict != "unexplained" and self.settings.beyond and self.engine.repeatable and not quantised:
            sites, more = judged_beyond(search, best, sites, self.engine, self.comparison)
            notes += more
            verdict = "differs" if any(site.differs for site in sites) else verdict
        outputs = [self.board.outputs(self.arguments, choice) for choice in ({}, best)]
        engine_outputs = [torch.from_numpy(want) for want in comparison.wanted]
        if lacks_targets(metric, targets):
            notes.append("The metric takes targets, and there are none for the examples: it is left out.")
        listed = costs(outputs[0], engine_outputs, outputs[1] if best else None, targets, metric)
        return ConformReport(
            model=name, engine=self.engine.name, runtime=self.engine.runtime, verdict=verdict, examples=comparison.examples,
            floor=max(comparison.floors), step=step, quantised=quantised, trained=trained.miss, found=found.miss, explained=explained,
            sites=tuple(sites), costs=listed, notes=(*self._warnings(found.miss, step, is_half), *notes),
        )  # fmt: skip

    def _is_half(self, search: Search, best: Choice) -> bool:
        """Whether the best fit misses by no more than a runtime in half precision does."""
        outcome = search.outcome(best)
        if outcome is None or self.settings.tolerance is not None:
            return False
        outputs = self.board.outputs(self.arguments)
        return outcome.miss.largest <= max(self._floors(self.arguments, outputs, COARSEST))

    def _material(self, search: Search, best: Choice) -> Choice:
        """Return the trained functions where what was found is no better beyond the noise of a quantised engine."""
        if search.is_tied({}, best) and (search.explains({}) or search.squared({}) < COARSE**2):
            return {}
        is_small = search.squared({}) < COARSE**2 and search.squared(best) > LEAST_GAIN * search.squared({})
        return {} if search.quantised and is_small else best

    def _shown(self, best: Choice) -> list[Any]:
        return [place for place in self.board.places if place.output is None or place.name in best]

    def _verdict(self, search: Search, best: Choice) -> Literal["conforms", "differs", "unexplained"]:
        changed = any(candidate.spec for candidate in best.values())
        least = search.squared(best)
        if search.explains(best) or (search.quantised and least < COARSE**2):
            return "differs" if changed else "conforms"
        is_near = changed and least < min((1 - NEARLY) * search.squared({}), SMALL)
        return "differs" if is_near else "unexplained"

    def _warnings(self, found: Miss, step: float | None, is_half: bool) -> Iterator[str]:
        if step is not None and found.largest > 16 * step:
            yield f"The best fit misses by {found.largest / step:.0f} steps of the output, more than quantisation usually costs."
        if is_half:
            yield (
                f"The best fit misses by {found.rms:.1%} of the outputs, as a runtime in half precision does; functions that differ by "
                "less are not told apart."
            )
        if not self.engine.repeatable:
            yield "Saved outputs cannot be asked about inputs beyond the examples."


def _nearest(best: Choice, explained: float) -> str:
    if not best:
        return "No function that was tried brings the outputs nearer to the engine's: weights, inputs or other layers may differ."
    pairs = ", ".join(f"{candidate.spec} at {name}" for name, candidate in best.items())
    return (
        f"No function that was tried explains the engine's outputs. The nearest, {pairs}, explains {explained:.0%} of the squared "
        "difference: weights, inputs or other layers may differ, or the engine is quantised (give the step of its output codes)."
    )
