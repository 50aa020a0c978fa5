"""Remedies of the doctor (init, swap, norms, AlphaDropout, logits, learning rate) for a model copy."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import torch
from torch import Tensor, nn

from actlab.errors import SiteError
from actlab.nn.sites.dry_run import Inputs, copy_inputs, no_side_effects, run
from actlab.nn.sites.find import survey
from actlab.nn.sites.trace import Run, Step
from actlab.nn.transforms.init import init_
from actlab.nn.transforms.swap import swap_

__all__ = ["AlphaDropout", "InsertNorms", "LogitsOutput", "MatchedInit", "ModelChange", "Remedy", "Swap"]

# a probability is clamped to this before its logarithm, which float32 can still represent
_SMALLEST: Final = 1e-30


class ModelChange(Protocol):
    """One change to a model."""

    def apply(self, model: nn.Module, inputs: Inputs, seed: int) -> nn.Module:
        """Change the model in place, or return a replacement."""

    @property
    def description(self) -> str:
        """Short description."""

    @property
    def code(self) -> str:
        """The change as a line of Python in which ``model`` and ``x`` are the user's model and batch."""


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """Changes to a model and its learning rate.

    Attributes:
        changes: applied to the model in this order.
        learning_rate: for training; None for the task's own.
        source: publication that recommends it; not compared, so equal changes from two sources are one remedy.
    """

    changes: tuple[ModelChange, ...] = ()
    learning_rate: float | None = None
    source: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        """Description of all changes.

        Example:
            >>> Remedy(changes=(Swap(paths=("1",), spec="gelu"), MatchedInit()), learning_rate=0.01).name
            'gelu at 1, matched init, learning rate 0.01'
        """
        rate = [] if self.learning_rate is None else [f"learning rate {self.learning_rate:.3g}"]
        return ", ".join([*(change.description for change in self.changes), *rate])

    @property
    def code(self) -> tuple[str, ...]:
        """All changes as lines of Python."""
        rate = [] if self.learning_rate is None else [f"learning_rate = {self.learning_rate:.3g}"]
        return (*(change.code for change in self.changes), *rate)

    def apply(self, model: nn.Module, inputs: Inputs, seed: int = 0) -> nn.Module:
        """Return a changed copy of the model; the model itself is not modified.

        Args:
            model: any module.
            inputs: a batch, as for :func:`actlab.find`.
            seed: for newly drawn weights.

        Raises:
            ActlabError: a change does not fit the model.

        Example:
            >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
            >>> changed = Remedy(changes=(Swap(paths=("1",), spec="gelu"),)).apply(net, torch.zeros(2, 4))
            >>> changed[1], net[1]
            (ActivationLayer(gelu), ReLU())
        """
        changed = copy.deepcopy(model)
        for change in self.changes:
            changed = change.apply(changed, inputs, seed)
        return changed


@dataclass(frozen=True, kw_only=True)
class MatchedInit:
    """Re-initialize every layer with the gain of the activation before it, by :func:`actlab.init_`."""

    description: str = "matched init"
    code: str = "actlab.init_(model, x)"

    def apply(self, model: nn.Module, inputs: Inputs, seed: int) -> nn.Module:
        """Draw new weights in place."""
        init_(model, inputs, generator=torch.Generator().manual_seed(seed))
        return model


@dataclass(frozen=True, kw_only=True)
class Swap:
    """Replace the activation at some sites.

    Attributes:
        paths: of the sites.
        spec: of the new activation.
    """

    paths: tuple[str, ...]
    spec: str

    @property
    def description(self) -> str:
        """New activation and sites."""
        more = f" and {len(self.paths) - 1} more" if len(self.paths) > 1 else ""
        return f"{self.spec} at {self.paths[0]}{more}"

    @property
    def code(self) -> str:
        """The call of :func:`actlab.swap_`."""
        return f"actlab.swap_(model, {dict.fromkeys(self.paths, self.spec)!r}, x)"

    def apply(self, model: nn.Module, inputs: Inputs, seed: int) -> nn.Module:
        """Swap in place."""
        generator = torch.Generator().manual_seed(seed)
        swap_(model, dict.fromkeys(self.paths, self.spec), example_inputs=inputs, generator=generator)
        return model


@dataclass(frozen=True, kw_only=True)
class AlphaDropout:
    """Replace every ``nn.Dropout`` by ``nn.AlphaDropout``, which preserves mean and variance (Klambauer et al. 2017).

    Attributes:
        rate: upper limit of the new dropout rates; the authors use 0.05 and 0.1.
    """

    rate: float = 0.05

    @property
    def description(self) -> str:
        """Old and new layer."""
        return f"AlphaDropout({self.rate:g}) for Dropout"

    @property
    def code(self) -> str:
        """The change to the model's definition."""
        return f"model: nn.AlphaDropout({self.rate:g}) instead of every nn.Dropout"

    def apply(self, model: nn.Module, inputs: Inputs, seed: int) -> nn.Module:  # noqa: ARG002 # the protocol's signature
        """Replace the modules in place."""
        return _replace_modules(
            model, lambda module: nn.AlphaDropout(min(self.rate, module.p)) if type(module) is nn.Dropout else None
        )


@dataclass(frozen=True, kw_only=True)
class InsertNorms:
    """Insert a norm between every layer with weights and an activation that directly follows it.

    BatchNorm after convolutions and after Linear layers with two-dimensional output, LayerNorm otherwise (Ioffe & Szegedy 2015).
    """

    description: str = "a norm before every activation"
    code: str = "model: nn.BatchNorm1d(width), or nn.BatchNorm2d(channels), between each layer and its activation"

    def apply(self, model: nn.Module, inputs: Inputs, seed: int) -> nn.Module:  # noqa: ARG002 # the protocol's signature
        """Replace each such layer by ``nn.Sequential(layer, norm)``."""
        norms = {step.module: norm for step, norm in _layers_before_activations(model, inputs)}
        if not norms:
            raise SiteError("No activation directly follows a layer with weights, so there is no place for a norm.")
        changed = _replace_modules(
            model, lambda module: nn.Sequential(module, norms[module]) if module in norms else None
        )
        # one forward pass, so that a model that accesses its layer's weight directly fails here and not during training
        with no_side_effects(changed):
            run(changed, copy_inputs(inputs))
        return changed


@dataclass(frozen=True, kw_only=True)
class LogitsOutput:
    """Return logits instead of probabilities, by removing the last softmax or sigmoid or inverting it.

    Attributes:
        function: "softmax" or "sigmoid".
    """

    function: Literal["softmax", "sigmoid"]

    @property
    def description(self) -> str:
        """Removed function."""
        return f"no {self.function} before the loss"

    @property
    def code(self) -> str:
        """The change to the model's definition."""
        return f"model: return the input of the last {self.function}; the loss applies it"

    def apply(self, model: nn.Module, inputs: Inputs, seed: int) -> nn.Module:  # noqa: ARG002 # the protocol's signature
        """Remove the last module of a Sequential; append the inverse function to any other model."""
        last = [m for m in model.modules() if isinstance(m, (nn.Softmax, nn.Softmax2d, nn.Sigmoid))]
        if isinstance(model, nn.Sequential) and len(model) > 1 and last and model[-1] is last[-1]:
            return _replace_modules(model, lambda module: nn.Identity() if module is last[-1] else None)
        return nn.Sequential(model, _Logits(self.function))


class _Logits(nn.Module):
    """Map probabilities of any shape to logits; those of a softmax up to a constant, which the softmax ignores."""

    def __init__(self, function: str) -> None:
        super().__init__()
        self.function = function

    def forward(self, p: Tensor) -> Tensor:
        return p.clamp_min(_SMALLEST).log() if self.function == "softmax" else p.logit(1e-6)


def _replace_modules(model: nn.Module, replacement: Callable[[nn.Module], nn.Module | None]) -> nn.Module:
    """Replace every submodule for which ``replacement`` returns a module; a module that is used twice stays shared."""
    replaced: dict[nn.Module, nn.Module] = {}
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if child not in replaced:
                new = replacement(child)
                if new is None:
                    continue
                replaced[child] = new.train(child.training)
            setattr(parent, name, replaced[child])
    return model


def _layers_before_activations(model: nn.Module, inputs: Inputs) -> Iterator[tuple[Step, nn.Module]]:
    """Yield each layer whose output goes directly into a hidden activation, with the norm that fits."""
    trace = survey(model, inputs).trace
    if trace is None:
        return
    step_of = {step.result: step for step in trace.steps if isinstance(step, Step)}
    for activation in trace.runs:
        step = step_of.get(trace.origin(activation.source))
        if step is not None and not trace.is_output(activation):
            norm = _norm_after(step.module, activation)
            if norm is not None:
                yield step, norm


def _norm_after(module: nn.Module, activation: Run) -> nn.Module | None:
    """Return a norm for the output of a layer, on its device and in its dtype; None for other layers."""
    weight = next(module.parameters())  # any: the weight itself may be computed from others
    norm: nn.Module | None = None
    if isinstance(module, nn.Linear):
        norm = (nn.BatchNorm1d if len(activation.shape) == 2 else nn.LayerNorm)(module.out_features)
    elif isinstance(module, nn.modules.conv._ConvNd):
        norm = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[len(module.kernel_size) - 1](module.out_channels)
    return None if norm is None else norm.to(device=weight.device, dtype=weight.dtype)
