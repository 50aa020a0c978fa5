"""The prescription: a change to a model or to its learning rate that can be carried out on a copy, and tried."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import torch
from torch import Tensor, nn

from actlab.errors import SiteError
from actlab.nn.sites.dry_run import Inputs, copied, run, undisturbed
from actlab.nn.sites.find import survey
from actlab.nn.sites.trace import Run, Step
from actlab.nn.transforms.init import init_
from actlab.nn.transforms.swap import swap_

__all__ = ["AlphaDropout", "Bare", "MatchedInit", "Measure", "Norms", "Remedy", "Swap"]

_SMALLEST: Final = 1e-30  # of a probability before its logarithm: float32 still has a logarithm there


class Measure(Protocol):
    """One thing that is done to a model."""

    def take(self, model: nn.Module, inputs: Inputs, seed: int) -> nn.Module:
        """Change the model in place, or return what takes its place."""

    @property
    def words(self) -> str:
        """What is done, in words."""

    @property
    def code(self) -> str:
        """The same as a line of Python; ``model`` and ``x`` are the user's."""


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """What to change.

    Attributes:
        measures: done to the model, in this order.
        learning_rate: what to train with; None for the one that there is.
        source: who says so; two prescriptions of the same changes are equal whoever says so.
    """

    measures: tuple[Measure, ...] = ()
    learning_rate: float | None = None
    source: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        """What is changed, in words.

        Example:
            >>> Remedy(measures=(Swap(paths=("1",), spec="gelu"), MatchedInit()), learning_rate=0.01).name
            'gelu at 1, matched init, learning rate 0.01'
        """
        rate = [] if self.learning_rate is None else [f"learning rate {self.learning_rate:.3g}"]
        return ", ".join([*(measure.words for measure in self.measures), *rate])

    @property
    def code(self) -> tuple[str, ...]:
        """The same as lines of Python."""
        rate = [] if self.learning_rate is None else [f"learning_rate = {self.learning_rate:.3g}"]
        return (*(measure.code for measure in self.measures), *rate)

    def apply(self, model: nn.Module, inputs: Inputs, seed: int = 0) -> nn.Module:
        """Return a copy of the model with the measures taken; the model itself stays as it is.

        Args:
            model: any module.
            inputs: a batch, as for :func:`actlab.find`.
            seed: of what is drawn anew.

        Raises:
            ActlabError: a measure does not fit the model.

        Example:
            >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
            >>> changed = Remedy(measures=(Swap(paths=("1",), spec="gelu"),)).apply(net, torch.zeros(2, 4))
            >>> changed[1], net[1]
            (ActivationLayer(gelu), ReLU())
        """
        changed = copy.deepcopy(model)
        for measure in self.measures:
            changed = measure.take(changed, inputs, seed)
        return changed


@dataclass(frozen=True, kw_only=True)
class MatchedInit:
    """Weights drawn at the gain of the activation before them, by :func:`actlab.init_`."""

    words: str = "matched init"
    code: str = "actlab.init_(model, x)"

    def take(self, model: nn.Module, inputs: Inputs, seed: int) -> nn.Module:
        """Draw the weights anew."""
        init_(model, inputs, generator=torch.Generator().manual_seed(seed))
        return model


@dataclass(frozen=True, kw_only=True)
class Swap:
    """Another activation at some sites.

    Attributes:
        paths: of the sites.
        spec: what runs there afterwards.
    """

    paths: tuple[str, ...]
    spec: str

    @property
    def words(self) -> str:
        """What is done."""
        more = f" and {len(self.paths) - 1} more" if len(self.paths) > 1 else ""
        return f"{self.spec} at {self.paths[0]}{more}"

    @property
    def code(self) -> str:
        """What to write."""
        return f"actlab.swap_(model, {dict.fromkeys(self.paths, self.spec)!r}, x)"

    def take(self, model: nn.Module, inputs: Inputs, seed: int) -> nn.Module:
        """Swap."""
        generator = torch.Generator().manual_seed(seed)
        swap_(model, dict.fromkeys(self.paths, self.spec), example_inputs=inputs, generator=generator)
        return model


@dataclass(frozen=True, kw_only=True)
class AlphaDropout:
    """``nn.AlphaDropout`` in the place of every ``nn.Dropout``: it keeps mean and variance (Klambauer et al. 2017).

    Attributes:
        rate: of the new ones, where that is less than the old ones'; its authors use 0.05 and 0.1.
    """

    rate: float = 0.05

    @property
    def words(self) -> str:
        """What is done."""
        return f"AlphaDropout({self.rate:g}) for Dropout"

    @property
    def code(self) -> str:
        """What to write."""
        return f"model: nn.AlphaDropout({self.rate:g}) in the place of every nn.Dropout"

    def take(self, model: nn.Module, inputs: Inputs, seed: int) -> nn.Module:  # noqa: ARG002 # as every measure
        """Replace the modules."""
        return _replaced(
            model, lambda module: nn.AlphaDropout(min(self.rate, module.p)) if type(module) is nn.Dropout else None
        )


@dataclass(frozen=True, kw_only=True)
class Norms:
    """A norm between every layer with weights and the activation that takes its output itself.

    BatchNorm behind convolutions and behind Linears of two-dimensional outputs, LayerNorm elsewhere (Ioffe & Szegedy 2015).
    """

    words: str = "a norm before every activation"
    code: str = "model: nn.BatchNorm1d(width), or nn.BatchNorm2d(channels), between each layer and its activation"

    def take(self, model: nn.Module, inputs: Inputs, seed: int) -> nn.Module:  # noqa: ARG002 # as every measure
        """Put ``nn.Sequential(layer, norm)`` where the layer was."""
        layers = {step.module: norm for step, norm in _joints(model, inputs)}
        if not layers:
            raise SiteError("No layer gives its output to an activation itself: there is no place for a norm.")
        made = _replaced(model, lambda module: nn.Sequential(module, layers[module]) if module in layers else None)
        with undisturbed(made):
            run(
                made, copied(inputs)
            )  # a model that reads its layer's weight by itself is told now, not while it trains
        return made


@dataclass(frozen=True, kw_only=True)
class Bare:
    """A model that gives logits: its last softmax or sigmoid taken back, by the logarithm or the logit of what it gives.

    Attributes:
        function: "softmax" or "sigmoid".
    """

    function: Literal["softmax", "sigmoid"]

    @property
    def words(self) -> str:
        """What is done."""
        return f"no {self.function} before the loss"

    @property
    def code(self) -> str:
        """What to write."""
        return f"model: return what goes into the last {self.function}; the loss applies it itself"

    def take(self, model: nn.Module, inputs: Inputs, seed: int) -> nn.Module:  # noqa: ARG002 # as every measure
        """Take the module out where there is one that gives the output, else undo what it does."""
        last = [m for m in model.modules() if isinstance(m, (nn.Softmax, nn.Softmax2d, nn.Sigmoid))]
        if isinstance(model, nn.Sequential) and len(model) > 1 and last and model[-1] is last[-1]:
            return _replaced(model, lambda module: nn.Identity() if module is last[-1] else None)
        return nn.Sequential(model, _Logits(self.function))


class _Logits(nn.Module):
    """Probabilities, shape (n, classes) or any, back to logits; for a softmax up to a constant, which it does not see."""

    def __init__(self, function: str) -> None:
        super().__init__()
        self.function = function

    def forward(self, p: Tensor) -> Tensor:
        return p.clamp_min(_SMALLEST).log() if self.function == "softmax" else p.logit(1e-6)


def _replaced(model: nn.Module, other: Callable[[nn.Module], nn.Module | None]) -> nn.Module:
    """Replace modules below the model, each for what ``other`` gives; None leaves it."""
    made: dict[nn.Module, nn.Module] = {}  # a module that is held twice is one afterwards, too
    for holder in list(model.modules()):
        for name, child in list(holder.named_children()):
            if child not in made:
                new = other(child)
                if new is None:
                    continue
                made[child] = new.train(child.training)
            setattr(holder, name, made[child])
    return model


def _joints(model: nn.Module, inputs: Inputs) -> Iterator[tuple[Step, nn.Module]]:
    """Yield the layers whose output an activation that the model does not return takes itself, each with the norm that fits."""
    notes = survey(model, inputs).trace
    if notes is None:
        return
    made = {step.result: step for step in notes.steps if isinstance(step, Step)}
    for ran in notes.runs:
        step = made.get(notes.origin(ran.source))
        if step is not None and not notes.is_output(ran):
            norm = _norm(step.module, ran)
            if norm is not None:
                yield step, norm


def _norm(module: nn.Module, ran: Run) -> nn.Module | None:
    like = module.get_parameter("weight")
    made: nn.Module | None = None
    if isinstance(module, nn.Linear):
        made = (nn.BatchNorm1d if len(ran.shape) == 2 else nn.LayerNorm)(module.out_features)
    elif isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        kinds = {nn.Conv1d: nn.BatchNorm1d, nn.Conv2d: nn.BatchNorm2d, nn.Conv3d: nn.BatchNorm3d}
        kind = next(norm for layer, norm in kinds.items() if isinstance(module, layer))
        made = kind(module.out_channels)
    return None if made is None else made.to(device=like.device, dtype=like.dtype)
