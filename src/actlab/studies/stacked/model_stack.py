"""Models of one architecture as one model whose parameters and buffers are stacked."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor, nn

from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.passes.structure import structure_of
from actlab.studies.stacked.arm_layers import ArmLayers, OneArm, can_differ, is_compiled
from actlab.studies.stacked.stacked_tensor import StackedTensor, StackError

__all__ = ["Leaf", "ModelStack", "can_share_stack"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Leaf:
    """A stacked parameter or buffer.

    Attributes:
        tensor: shape (models, ...); of a parameter, a leaf of autograd.
        first: the first model that has it; those after it are adjacent.
        parts: the parameters or buffers of the single models.
    """

    tensor: Tensor
    first: int
    parts: tuple[Tensor, ...]

    @classmethod
    def of(cls, parts: Sequence[Tensor], first: int = 0) -> Leaf:
        """Stack tensors, which are not changed."""
        tensor = torch.stack([part.detach() for part in parts])
        return cls(tensor=tensor.requires_grad_(parts[0].requires_grad), first=first, parts=tuple(parts))


def can_share_stack(a: nn.Module, b: nn.Module) -> bool:
    """Return whether two models are alike outside of their activations, so that they can be in one stack.

    Example:
        >>> nets = [nn.Sequential(nn.Linear(2, 2), act) for act in (nn.ReLU(), nn.ELU(), nn.Linear(2, 2))]
        >>> can_share_stack(nets[0], nets[1]), can_share_stack(nets[0], nets[2])
        (True, False)
    """
    return not can_differ(a) and _different(a, b, "") is not None


def _different(a: nn.Module, b: nn.Module, path: str) -> list[str] | None:
    """Return the paths of the activations at which two models may differ; None if they differ elsewhere."""
    if can_differ(a) and can_differ(b):
        same = structure_of(a) == structure_of(b) and not isinstance(a, ActivationLayer)
        return [] if same else [path]
    if not a._modules and structure_of(a) != structure_of(b):
        return None
    if list(a._modules) != list(b._modules) or _itself(a) != _itself(b):
        return None
    found: list[str] = []
    for name, child in a.named_children():
        other = b.get_submodule(name)
        below = _different(child, other, f"{path}.{name}" if path else name)
        if below is None:
            return None
        found += below
    return found


def _itself(module: nn.Module) -> Hashable:
    """Return what a module is without those in it."""
    return structure_of(_Alone(module))


class _Alone(nn.Module):
    """Holds what a module holds itself."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        held = {name: value for name, value in vars(module).items() if name not in {"_modules", "training"}}
        self.__dict__.update(held)
        self.__dict__["_kind_of_owner"] = type(module).__name__


class ModelStack:
    """Stack of models.

    Args:
        models: alike outside of their activations; those of one arm are adjacent.
        arms: the arm of each model.

    Attributes:
        module: computes all models at once, on stacked tensors.
        parameters: the stacked parameters.

    Raises:
        StackError: the models are not alike.
    """

    def __init__(self, models: Sequence[nn.Module], arms: Sequence[str]) -> None:
        self.models = list(models)
        starts = [next(group)[0] for _, group in groupby(enumerate(arms), key=lambda it: it[1])]
        self._ranges = list(zip(starts, [*starts[1:], len(models)], strict=True))
        paths = self._differing_paths()
        self.module = copy.deepcopy(models[0])
        self.parameters: list[Leaf] = []
        self._leaves_of_buffers: list[Leaf] = []
        self._buffers: list[tuple[nn.Module, str, StackedTensor]] = []
        for path in paths:
            owner, _, name = path.rpartition(".")
            setattr(self.module.get_submodule(owner), name, self._arm_layers(path))
        self._stack_common()

    def _differing_paths(self) -> list[str]:
        paths: dict[str, None] = {}
        for start, end in self._ranges:
            first = structure_of(self.models[start])
            if any(structure_of(model) != first for model in self.models[start + 1 : end]):
                raise StackError("the task builds models of other structures for other seeds")
            found = _different(self.models[0], self.models[start], "")
            if found is None:
                raise StackError("the arms differ in more than their activations")
            paths |= dict.fromkeys(found)
        # those that are alike as well: numbers of a model do not depend on whether the stack has other arms
        alike = self.models[0].named_modules(remove_duplicate=False)
        paths |= {path: None for path, layer in alike if path and can_differ(layer) and is_compiled(layer)}
        return [path for path in paths if not any(path.startswith(f"{other}.") for other in paths)]

    def _arm_layers(self, path: str) -> ArmLayers:
        arms = []
        for start, end in self._ranges:
            layers = [model.get_submodule(path) for model in self.models[start:end]]
            parameters = {}
            for name, _ in layers[0].named_parameters():
                leaf = Leaf.of([layer.get_parameter(name) for layer in layers], start)
                self.parameters.append(leaf)
                parameters[name] = leaf.tensor
            arms.append(OneArm(layers=layers, parameters=parameters))
        return ArmLayers(arms)

    def _stack_common(self) -> None:
        """Put stacked tensors in the place of those outside of the activations; shared ones are stacked once."""
        known: dict[int, StackedTensor] = {}
        for path, module in list(_without_arm_layers(self.module)):
            owners = [model.get_submodule(path) for model in self.models]
            for held, is_buffer in (("_parameters", False), ("_buffers", True)):
                for name, first in vars(owners[0])[held].items():
                    if first is None:
                        continue
                    if id(first) not in known:
                        leaf = Leaf.of([vars(owner)[held][name] for owner in owners])
                        known[id(first)] = StackedTensor(leaf.tensor)
                        (self._leaves_of_buffers if is_buffer else self.parameters).append(leaf)
                    vars(module)[held][name] = known[id(first)]
                    if is_buffer:
                        self._buffers.append((module, name, known[id(first)]))

    def take_buffers(self) -> None:
        """Copy buffers that the forward pass has replaced into the stacked ones."""
        for module, name, stacked in self._buffers:
            now = module._buffers[name]
            if now is not stacked:
                if not isinstance(now, StackedTensor):
                    raise StackError(f"the buffer {name} is replaced by one for all models")
                stacked.stacked.copy_(now.stacked.detach())
                module._buffers[name] = stacked

    @torch.no_grad()
    def trained(self, place: int) -> nn.Module:
        """Return one of the models with what it has learned in the stack."""
        for leaf in (*self.parameters, *self._leaves_of_buffers):
            if 0 <= place - leaf.first < len(leaf.parts):
                leaf.parts[place - leaf.first].copy_(leaf.tensor[place - leaf.first])
        return self.models[place]

    def saved_buffers(self) -> list[Tensor]:
        """Return copies of the buffers, for :meth:`restore_buffers`."""
        return [stacked.stacked.clone() for _, _, stacked in self._buffers]

    def restore_buffers(self, saved: Sequence[Tensor]) -> None:
        """Set the buffers to what they were."""
        self.take_buffers()
        for (_, _, stacked), before in zip(self._buffers, saved, strict=True):
            stacked.stacked.copy_(before)


def _without_arm_layers(module: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    if isinstance(module, ArmLayers):
        return
    yield path, module
    for name, child in module._modules.items():
        if child is not None:
            yield from _without_arm_layers(child, f"{path}.{name}" if path else name)
