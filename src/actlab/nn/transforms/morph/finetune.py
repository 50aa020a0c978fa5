"""The recovery: a trained model goes over to other activations and is trained until it is as good as before; what it was at each stage.

Only the loop, the checks and the stop rule are here; what happens to the model is in :mod:`actlab.nn.transforms.morph.morph`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite, nan
from typing import Any, Literal

import torch
from torch import Tensor, nn

from actlab.errors import LayerError, SiteError
from actlab.nn.probes.batch import cycle_batches, first_inputs, input_of, to_device, target_of
from actlab.nn.sites.dry_run import Inputs, copy_inputs
from actlab.nn.training.early_stopping import Direction, EarlyStopping
from actlab.nn.training.recipe import Recipe
from actlab.nn.transforms.batchnorm_statistics import recalibrate_
from actlab.nn.transforms.morph.gated_block_init import GatedBlockInit
from actlab.nn.transforms.morph.morph import Morph
from actlab.nn.transforms.morph.output_matching import OutputMatch
from actlab.nn.transforms.selection import Wanted
from actlab.nn.transforms.swap import swap_

__all__ = ["Check", "Recovery", "morph_"]

Ending = Literal["recovered", "patience", "steps", "diverged"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One look at the model on its way.

    Attributes:
        step: steps done.
        share: how far the old functions have gone, from 0 to 1.
        value: what ``evaluate`` returned.
    """

    step: int
    share: float
    value: float


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """What became of a model whose activations were changed.

    Attributes:
        before: ``evaluate`` of the model as it came.
        blunt: of the model right after a plain swap, without any training.
        after: of the model as it is now.
        recovered: whether ``after`` is ``before`` within the tolerance.
        ending: why it ended: recovered, out of patience, all steps used, or a loss that was no number.
        steps: training steps taken.
        at: step of the check to whose weights the model was brought back: the best one.
        history: the checks, in order.
        changes: what was swapped: path, old, new.
        matches: factors of outputs, by path.
        takeovers: how near gated blocks began, by path.
        morph: the morph, with ``undo()``.

    Example:
        >>> Recovery(before=0.91, blunt=0.74, after=0.908, recovered=True, ending="recovered", steps=300, at=300)
        Recovery: 0.91 before, 0.74 after a blunt swap, 0.908 after 300 steps (recovered)
    """

    before: float
    blunt: float
    after: float
    recovered: bool
    ending: Ending
    steps: int
    at: int
    history: tuple[Check, ...] = ()
    changes: tuple[tuple[str, str, str], ...] = ()
    matches: Mapping[str, OutputMatch] = field(default_factory=dict)
    takeovers: Mapping[str, GatedBlockInit] = field(default_factory=dict)
    morph: Morph | None = field(default=None, repr=False, compare=False)

    def undo(self) -> None:
        """Take everything back: functions, weights and statistics as they were before, to the bit.

        Raises:
            SiteError: it was undone already, or something was changed on top of it.
        """
        if self.morph is not None:
            self.morph.undo()

    def __repr__(self) -> str:
        head = f"Recovery: {self.before:.4g} before, {self.blunt:.4g} after a blunt swap, {self.after:.4g} after {self.steps} steps"
        lines = [f"{head} ({self.ending})", *(f"{path}: {old} -> {new}" for path, old, new in self.changes)]
        return "\n".join(lines)


def morph_(
    model: nn.Module,
    swaps: Wanted,
    loader: Iterable[Any],
    loss: Callable[[Any, Any], Tensor] | None = None,
    *,
    evaluate: Callable[[nn.Module], float],
    steps: int = 500,
    anneal: float = 0.2,
    learned: bool = False,
    match: bool = True,
    learning_rate: float = 3e-4,
    step: Callable[[Any], Any] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    tolerance: float | None = 0.005,
    patience: int | None = 5,
    direction: Direction = "max",
    every: int | None = None,
    calibration: int = 8,
    inputs: Callable[[Any], Inputs] | None = None,
    example_inputs: Inputs | None = None,
    generator: torch.Generator | None = None,
    fast: bool = False,
) -> Recovery:
    """Change the activations of a trained model without breaking it, in place.

    The old functions go over into the new ones in the first ``anneal * steps`` steps; then the model, which holds the new ones only, is
    trained on until it is as good as it was, or does not get better. It ends with the weights of its best check. An error, or Ctrl-C, on
    the way takes everything back.

    Args:
        model: a trained model; changed in place. It ends with the training flags that it came with. One that comes in training mode is
            trained as it is, with norms that are frozen in it.
        swaps: what :func:`actlab.swap_` takes: a spec for all sites, or specs by path, name, pattern or depth.
        loader: training batches, as for :func:`actlab.probe`; read again from its beginning where it ends.
        loss: of output and target. Steps are then those of :class:`actlab.nn.training.recipe.Recipe`: Adam, warm-up, cosine to zero.
        evaluate: of the model, in eval mode and without gradients: a number on validation data, never on the test split.
        steps: training steps at most.
        anneal: share of the steps in which the old functions go; 0 for a blunt swap with matched outputs.
        learned: each site learns its pace.
        match: measure the outputs' scales, and let gated blocks begin near the old ones; see :class:`actlab.Morph`.
        learning_rate: the highest one of the built-in step.
        step: a whole training step of your own, of a batch, with backward and optimizer, in the place of ``loss``.
        optimizer: the one that ``step`` uses; parameters that are new in the model are added to it.
        tolerance: see :class:`EarlyStopping`.
        patience: see :class:`EarlyStopping`.
        direction: see :class:`EarlyStopping`.
        every: steps between two checks; a tenth of ``steps`` if not given. Checks while the old functions go are kept in the history only.
        calibration: how many batches scales and BatchNorm statistics are measured on.
        inputs: picks the model's input from a batch, as for :func:`actlab.probe`.
        example_inputs: as for :func:`actlab.swap_`; the input of the first batch if not given.
        generator: as for :func:`actlab.swap_`.
        fast: as for :func:`actlab.swap_`.

    Returns:
        What the model was before, after a blunt swap, and is now; with ``undo()``.

    Raises:
        SiteError: as :func:`actlab.swap_`; the loader has no batch; ``step`` does not know of new parameters.
        SpecError: a spec cannot be read.
        LayerError: a number makes no sense, or neither or both of ``loss`` and ``step`` are given.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> x = torch.randn(64, 2)
        >>> batches = [(x, x.prod(1, keepdim=True))]
        >>> net = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))
        >>> error = lambda net: float(nn.functional.mse_loss(net(x), batches[0][1]))
        >>> found = morph_(
        ...     net, "gelu", batches, nn.functional.mse_loss, evaluate=error, direction="min", tolerance=0, steps=60, learning_rate=0.01
        ... )
        >>> found.ending, found.recovered, net[1]
        ('recovered', True, ActivationLayer(gelu))
    """
    stop = EarlyStopping(tolerance=tolerance, patience=patience, direction=direction)
    every = max(steps // 10, 1) if every is None else every
    _check(loss, step, every, calibration)
    picked = first_inputs(model, loader, calibration, inputs or input_of)
    example_inputs = picked[0] if example_inputs is None else example_inputs
    before = _evaluated(model, evaluate)
    blunt = _blunt(model, swaps, example_inputs, evaluate, generator)
    with _in_training(model):
        morph = Morph(
            model,
            swaps,
            example_inputs,
            total=steps,
            anneal=anneal,
            learned=learned,
            data=picked if match else (),
            generator=generator,
            fast=fast,
        )
        try:
            train = _trainer(
                morph, loss=loss, step=step, optimizer=optimizer, rate=learning_rate, inputs=inputs or input_of
            )
            walk = _FineTuning(
                morph=morph, evaluate=evaluate, stop=stop, before=before, every=every, calibration=picked
            )
            ending = walk.go(cycle_batches(loader, steps), train)
            morph.finish()
            return walk.report(blunt, ending)
        except BaseException:  # also where somebody stops it: half a morph is no model to go on with
            morph.undo()
            raise


# ------------------------------------------------------------------------------------------------ loop


@dataclass(kw_only=True, eq=False)
class _FineTuning:
    """The way of a model, with its checks."""

    morph: Morph
    evaluate: Callable[[nn.Module], float]
    stop: EarlyStopping
    before: float
    every: int
    calibration: Sequence[Inputs]
    history: list[Check] = field(default_factory=list)
    kept: tuple[float, int, dict[str, Tensor]] | None = None

    def go(self, batches: Iterator[Any], train: Callable[[Any], float]) -> Ending:
        """Train until the stop rule says so; return why it ended."""
        morph = self.morph
        if morph.merged:
            self._look()
        while morph.done < morph.total and self._reason() is None:
            if not isfinite(train(next(batches))):
                return "diverged"
            was_merged = morph.merged
            morph.step()
            if morph.done % self.every == 0 or morph.done == morph.total or morph.merged is not was_merged:
                self._look()
        return self._reason() or "steps"

    def _reason(self) -> Literal["recovered", "patience"] | None:
        return self.stop.reason(self.before, [check.value for check in self.history if check.share == 1.0])

    def _look(self) -> None:
        """Check the model; keep its weights where they are the best of those with the new functions alone."""
        morph = self.morph
        recalibrate_(morph.model, self.calibration)
        value = _evaluated(morph.model, self.evaluate)
        self.history.append(Check(step=morph.done, share=morph.share, value=value))
        if morph.merged and (self.kept is None or self.stop.loss(value) < self.stop.loss(self.kept[0])):
            state = {key: tensor.detach().clone() for key, tensor in morph.model.state_dict().items()}
            self.kept = value, morph.done, state

    def report(self, blunt: float, ending: Ending) -> Recovery:
        """Bring the model, which has its new functions alone, back to its best check, and say what became of it."""
        morph = self.morph
        if self.kept is None:
            self._look()
        after, at, state = self.kept or (nan, morph.done, morph.model.state_dict())
        morph.model.load_state_dict(state)
        changes = (*morph.changes, *morph.changes.widened)
        return Recovery(
            before=self.before,
            blunt=blunt,
            after=after,
            recovered=self.stop.is_recovered(self.before, after),
            ending=ending,
            steps=morph.done,
            at=at,
            history=tuple(self.history),
            changes=tuple((change.path, change.old, change.new) for change in changes),
            matches=morph.matches,
            takeovers=morph.takeovers,
            morph=morph,
        )


def _check(loss: object, step: object, every: int, calibration: int) -> None:
    if (loss is None) == (step is None):
        raise LayerError(
            "Give either a loss, of output and target, or a step of your own, of a batch; got "
            + ("neither." if loss is None else "both.")
        )
    if every < 1 or calibration < 1:
        raise LayerError(
            f"every and calibration are numbers from 1 up; got every={every!r}, calibration={calibration!r}."
        )


def _trainer(
    morph: Morph,
    *,
    loss: Callable[[Any, Any], Tensor] | None,
    step: Callable[[Any], Any] | None,
    optimizer: torch.optim.Optimizer | None,
    rate: float,
    inputs: Callable[[Any], Inputs],
) -> Callable[[Any], float]:
    """Return what takes a training step on a batch and returns the loss; 0 where a user's step does not tell."""
    if step is not None:
        _introduce(morph, optimizer)
        return _told(step)
    if loss is None:
        raise LayerError("A built-in step needs a loss.")
    return _built_in(Recipe(morph.model, total=morph.total, learning_rate=rate), loss, inputs)


def _introduce(morph: Morph, optimizer: torch.optim.Optimizer | None) -> None:
    """Let a user's optimizer know of the parameters that are new in the model."""
    if optimizer is None and morph.new_parameters:
        raise SiteError(
            f"The new functions bring {len(morph.new_parameters)} parameters that the optimizer of your step does not know, so the swap "
            "was taken back. Pass optimizer= as well, to which they are added; or use actlab.Morph in a loop of your own."
        )
    if optimizer is not None and morph.new_parameters:
        optimizer.add_param_group({"params": morph.new_parameters})


def _told(step: Callable[[Any], Any]) -> Callable[[Any], float]:
    """Return a user's step as one that tells its loss."""

    def train(batch: Any) -> float:
        made = step(batch)
        return 0.0 if made is None else float(made)

    return train


def _built_in(
    recipe: Recipe, loss: Callable[[Any, Any], Tensor], inputs: Callable[[Any], Inputs]
) -> Callable[[Any], float]:
    device = next((p.device for p in recipe.model.parameters()), torch.device("cpu"))

    def train(batch: Any) -> float:
        batch = to_device(batch, device)
        args, kwargs = copy_inputs(inputs(batch))
        found = loss(recipe.model(*args, **kwargs), target_of(batch))
        value = float(found.detach())
        if isfinite(value):  # the weights are left as they are by a loss that is no number
            found.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            recipe.step()
        return value

    return train


@contextmanager
def _in_training(model: nn.Module) -> Iterator[None]:
    """Bring a model into training mode, and back; one that is in it keeps the flags of its parts, a frozen BatchNorm's too."""
    if model.training:
        yield
        return
    flags = [(module, module.training) for module in model.modules()]
    model.train()
    try:
        yield
    finally:
        model.eval()
        for module, flag in flags:
            module.training = flag


@torch.no_grad()
def _evaluated(model: nn.Module, evaluate: Callable[[nn.Module], float]) -> float:
    """Evaluate a model in eval mode; its flags are put back."""
    flags = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        return float(evaluate(model))
    finally:
        for module, flag in flags:
            module.training = flag


def _blunt(
    model: nn.Module,
    swaps: Wanted,
    example_inputs: Inputs,
    evaluate: Callable[[nn.Module], float],
    generator: torch.Generator | None,
) -> float:
    """Evaluate the model with the functions swapped and nothing else done; the model is as it was afterwards."""
    same = None if generator is None else torch.Generator(generator.device).set_state(generator.get_state())
    changes = swap_(model, swaps, example_inputs, generator=same)
    try:
        return _evaluated(model, evaluate)
    finally:
        changes.undo()
