"""Replace activations of a trained model and fine-tune it until it recovers.

The training loop, the evaluations and early stopping; the changes to the model are in :mod:`actlab.nn.transforms.morph.morph`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite, nan
from typing import Any, Literal, Unpack

import torch
from torch import Tensor, nn

from actlab.errors import LayerError, SiteError
from actlab.nn.passes.model_argument import takes_model
from actlab.nn.probes.batch import cycle_batches, first_inputs, input_of, target_of, to_device
from actlab.nn.sites.dry_run import Inputs, copy_inputs
from actlab.nn.training.recipe import Recipe
from actlab.nn.transforms.batchnorm_statistics import recalibrate_
from actlab.nn.transforms.morph.gated_block_init import GatedBlockInit
from actlab.nn.transforms.morph.morph import Morph
from actlab.nn.transforms.morph.output_matching import OutputMatch
from actlab.nn.transforms.morph.settings import MorphOptions, MorphSettings
from actlab.nn.transforms.selection import Wanted
from actlab.nn.transforms.swap import swap_
from actlab.system.options import from_options
from actlab.system.plural import plural

__all__ = ["Evaluation", "Recovery", "morph_"]

Ending = Literal["recovered", "patience", "steps", "diverged"]
_Loss = Callable[[Any, Any], Tensor]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One evaluation of the model during fine-tuning.

    Attributes:
        step: steps done.
        share: how far the blend had gone, from 0 to 1.
        value: what ``evaluate`` returned.
    """

    step: int
    share: float
    value: float


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """Quality of a model before and after its activations were changed.

    Attributes:
        before: ``evaluate`` of the original model.
        blunt: of the model right after a plain swap, without blending or training.
        after: of the model as it is now.
        recovered: whether ``after`` is at least ``before``, within the tolerance.
        ending: why training ended: recovered, out of patience, all steps used, or a loss that was not finite.
        steps: training steps done.
        at: step of the best evaluation, whose weights the model has.
        history: the evaluations, in order.
        changes: what was swapped: path, old, new.
        matches: factors of outputs, by path.
        takeovers: how the gated blocks were initialized, by path.
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
    history: tuple[Evaluation, ...] = ()
    changes: tuple[tuple[str, str, str], ...] = ()
    matches: Mapping[str, OutputMatch] = field(default_factory=dict)
    takeovers: Mapping[str, GatedBlockInit] = field(default_factory=dict)
    morph: Morph | None = field(default=None, repr=False, compare=False)

    def undo(self) -> None:
        """Restore functions, weights and statistics as they were before, to the bit.

        Raises:
            SiteError: it was undone already, or the model was changed again afterwards.
        """
        if self.morph is not None:
            self.morph.undo()

    def __repr__(self) -> str:
        head = f"Recovery: {self.before:.4g} before, {self.blunt:.4g} after a blunt swap, {self.after:.4g} after "
        head += plural(self.steps, "step")
        lines = [f"{head} ({self.ending})", *(f"{path}: {old} -> {new}" for path, old, new in self.changes)]
        return "\n".join(lines)


@takes_model
def morph_(
    model: nn.Module,
    swaps: Wanted,
    loader: Iterable[Any],
    loss: _Loss | None = None,
    *,
    evaluate: Callable[[nn.Module], float],
    settings: MorphSettings | None = None,
    **options: Unpack[MorphOptions],
) -> Recovery:
    """Change the activations of a trained model in place, and fine-tune it until it is as good as before.

    The old functions are blended into the new ones over the first ``anneal * steps`` steps. Then the model trains until it has recovered or
    stops improving. It ends with the weights of its best evaluation. Any exception, also KeyboardInterrupt, restores the original.

    Args:
        model: a trained model; changed in place. It keeps its training flags; in training mode, norms that are frozen in it stay frozen.
        swaps: as for :func:`actlab.swap_`: a spec for all sites, or specs by path, name, pattern or depth.
        loader: training batches, as for :func:`actlab.probe`; read again from its beginning where it ends.
        loss: of output and target, for Adam with warm-up and cosine decay; None where ``step`` is given, a training step of your own.
        evaluate: returns a number on validation data, never on the test split. It is called with the model in eval mode, without gradients.
        settings: see :class:`~actlab.nn.transforms.morph.settings.MorphSettings`.
        options: fields of ``settings`` by name, such as ``steps=200``; they take precedence.

    Returns:
        The quality before, after a blunt swap, and now; with ``undo()``.

    Raises:
        SiteError: as :func:`actlab.swap_`; the loader has no batch; or new parameters have no optimizer, where ``step`` is given.
        SpecError: a spec cannot be read.
        LayerError: a number is out of range, or not exactly one of ``loss`` and ``step`` is given.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> x = torch.randn(64, 2)
        >>> batches = [(x, x.prod(1, keepdim=True))]
        >>> net = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))
        >>> error = lambda net: float(nn.functional.mse_loss(net(x), batches[0][1]))
        >>> recovery = morph_(net, "gelu", batches, nn.MSELoss(), evaluate=error, direction="min", tolerance=0, learning_rate=0.01)
        >>> recovery.ending, recovery.recovered, net[1]
        ('recovered', True, ActivationLayer(gelu))
    """
    chosen = from_options(MorphSettings, settings, options)
    _check_loss(loss, chosen)
    calibration = first_inputs(model, loader, chosen.calibration, chosen.inputs or input_of)
    example_inputs = calibration[0] if chosen.example_inputs is None else chosen.example_inputs
    before = _evaluate(model, evaluate)
    blunt = _evaluate_blunt_swap(model, swaps, example_inputs, evaluate, chosen.generator)
    with _training_mode(model):
        data = calibration if chosen.match else ()
        morph = Morph(model, swaps, example_inputs, total=chosen.steps, data=data, settings=chosen)
        loop = _FineTuning(morph=morph, evaluate=evaluate, settings=chosen, before=before, calibration=calibration)
        try:
            ending = loop.train(cycle_batches(loader, chosen.steps), _training_step(morph, loss, chosen))
            morph.finish()
            return loop.report(blunt, ending)
        except BaseException:  # includes KeyboardInterrupt: restore the original model
            morph.undo()
            raise


def _check_loss(loss: _Loss | None, settings: MorphSettings) -> None:
    if (loss is None) == (settings.step is None):
        raise LayerError(
            "Give either a loss, of output and target, or a step of your own, of a batch; got "
            + ("neither." if loss is None else "both.")
        )


# ------------------------------------------------------------------------------------------------ loop


@dataclass(kw_only=True, eq=False)
class _FineTuning:
    """The training loop and its evaluations.

    Attributes:
        best: value, step and weights of the best evaluation with the new functions only.
    """

    morph: Morph
    evaluate: Callable[[nn.Module], float]
    settings: MorphSettings
    before: float
    calibration: Sequence[Inputs]
    history: list[Evaluation] = field(default_factory=list)
    best: tuple[float, int, dict[str, Tensor]] | None = None

    def train(self, batches: Iterator[Any], step: Callable[[Any], float]) -> Ending:
        """Train until early stopping or the last step; return why it ended."""
        morph = self.morph
        if morph.merged:
            self._check()
        while morph.done < morph.total and self._reason() is None:
            if not isfinite(step(next(batches))):
                return "diverged"
            was_merged = morph.merged
            morph.step()
            if (
                morph.done % self.settings.checks_every == 0
                or morph.done == morph.total
                or morph.merged is not was_merged
            ):
                self._check()
        return self._reason() or "steps"

    def _reason(self) -> Literal["recovered", "patience"] | None:
        return self.settings.stopping.reason(self.before, [check.value for check in self.history if check.share == 1.0])

    def _check(self) -> None:
        """Evaluate the model; remember its weights if they are the best with the new functions only."""
        morph = self.morph
        recalibrate_(morph.model, self.calibration)
        value = _evaluate(morph.model, self.evaluate)
        self.history.append(Evaluation(step=morph.done, share=morph.share, value=value))
        if morph.merged and (
            self.best is None or self.settings.stopping.loss(value) < self.settings.stopping.loss(self.best[0])
        ):
            state = {key: tensor.detach().clone() for key, tensor in morph.model.state_dict().items()}
            self.best = value, morph.done, state

    def report(self, blunt: float, ending: Ending) -> Recovery:
        """Load the best weights into the finished model, and return the report."""
        morph = self.morph
        if self.best is None:
            self._check()
        after, at, state = self.best or (nan, morph.done, morph.model.state_dict())
        morph.model.load_state_dict(state)
        changes = (*morph.changes, *morph.changes.widened)
        return Recovery(
            before=self.before,
            blunt=blunt,
            after=after,
            recovered=self.settings.stopping.is_recovered(self.before, after),
            ending=ending,
            steps=morph.done,
            at=at,
            history=tuple(self.history),
            changes=tuple((change.path, change.old, change.new) for change in changes),
            matches=morph.matches,
            takeovers=morph.takeovers,
            morph=morph,
        )


# ------------------------------------------------------------------------------------- training steps


def _training_step(morph: Morph, loss: _Loss | None, settings: MorphSettings) -> Callable[[Any], float]:
    """Return a function that trains on a batch and returns the loss; 0 where a user's step returns nothing."""
    if settings.step is not None:
        _add_new_parameters(morph, settings.optimizer)
        return _users_step(settings.step)
    if loss is None:
        raise LayerError("The built-in training step needs a loss.")
    recipe = Recipe(morph.model, total=morph.total, learning_rate=settings.learning_rate)
    return _builtin_step(recipe, loss, settings.inputs or input_of)


def _add_new_parameters(morph: Morph, optimizer: torch.optim.Optimizer | None) -> None:
    """Add the parameters that are new in the model to a user's optimizer."""
    if optimizer is None and morph.new_parameters:
        raise SiteError(
            f"The new functions bring {len(morph.new_parameters)} parameters that the optimizer of your step does not have, so the swap "
            "was undone. Pass optimizer= as well, to which they are added; or use actlab.Morph in a loop of your own."
        )
    if optimizer is not None and morph.new_parameters:
        optimizer.add_param_group({"params": morph.new_parameters})


def _users_step(step: Callable[[Any], Any]) -> Callable[[Any], float]:
    def train(batch: Any) -> float:
        value = step(batch)
        return 0.0 if value is None else float(value)

    return train


def _builtin_step(recipe: Recipe, loss: _Loss, inputs: Callable[[Any], Inputs]) -> Callable[[Any], float]:
    device = next((p.device for p in recipe.model.parameters()), torch.device("cpu"))

    def train(batch: Any) -> float:
        batch = to_device(batch, device)
        args, kwargs = copy_inputs(inputs(batch))
        error = loss(recipe.model(*args, **kwargs), target_of(batch))
        value = float(error.detach())
        if isfinite(value):  # otherwise the weights stay as they are
            error.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            recipe.step()
        return value

    return train


# ----------------------------------------------------------------------------------------- evaluation


@contextmanager
def _training_mode(model: nn.Module) -> Iterator[None]:
    """Switch a model to training mode, and back; one that is in it keeps the flags of its parts, such as a frozen BatchNorm's."""
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
def _evaluate(model: nn.Module, evaluate: Callable[[nn.Module], float]) -> float:
    """Evaluate a model in eval mode, and restore its flags."""
    flags = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        return float(evaluate(model))
    finally:
        for module, flag in flags:
            module.training = flag


def _evaluate_blunt_swap(
    model: nn.Module,
    swaps: Wanted,
    example_inputs: Inputs,
    evaluate: Callable[[nn.Module], float],
    generator: torch.Generator | None,
) -> float:
    """Evaluate the model with its functions swapped and nothing else done, and undo the swap."""
    copied = None if generator is None else torch.Generator(generator.device).set_state(generator.get_state())
    changes = swap_(model, swaps, example_inputs, generator=copied)
    try:
        return _evaluate(model, evaluate)
    finally:
        changes.undo()
