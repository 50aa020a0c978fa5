"""Reversible replacements of modules, attributes, classes and flags, and their plan for new modules.

Each has ``apply`` and ``undo``. ``is_intact`` tells whether the change is still in the model: ``Changes.undo()`` refuses when a replacement
was modified afterwards.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from torch import nn

from actlab.nn.sites.slot import Edit, below_torch, edits_of, original_class
from actlab.nn.transforms.parallel_training import check_parameters_stay
from actlab.nn.transforms.rewrite_methods import on_top, rewritten_class

__all__ = [
    "Insertion",
    "ModelPaths",
    "Replacement",
    "apply_all",
    "plan_replacements",
    "temporarily_applied",
    "undo_all",
]


class Replacement(Protocol):
    """One change to a model's objects."""

    def apply(self) -> None:
        """Make the change."""

    def undo(self) -> None:
        """Reverse it."""

    def is_intact(self) -> bool:
        """Whether the change is still in the model."""

    @property
    def new_modules(self) -> tuple[nn.Module, ...]:
        """The modules that are new in the model."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ModuleReplacement:
    """Replaces a submodule by another; the order of the parent's children stays."""

    parent: nn.Module
    name: str
    old: nn.Module
    new: nn.Module

    def apply(self) -> None:
        self.parent._modules[self.name] = self.new

    def undo(self) -> None:
        _move_like(self.old, self.new, self.parent)
        self.parent._modules[self.name] = self.old

    def is_intact(self) -> bool:
        return self.parent._modules.get(self.name) is self.new

    @property
    def new_modules(self) -> tuple[nn.Module, ...]:
        return (self.new,)


@dataclass(frozen=True, kw_only=True, eq=False)
class AttributeReplacement:
    """Replaces a plain function that a module holds as an attribute by a submodule."""

    owner: nn.Module
    name: str
    old: Any
    new: nn.Module

    def apply(self) -> None:
        del vars(self.owner)[self.name]
        self.owner._modules[self.name] = self.new

    def undo(self) -> None:
        del self.owner._modules[self.name]
        vars(self.owner)[self.name] = self.old

    def is_intact(self) -> bool:
        return self.owner._modules.get(self.name) is self.new

    @property
    def new_modules(self) -> tuple[nn.Module, ...]:
        return (self.new,)


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassReplacement:
    """Gives a module a rewritten class whose methods call submodules, and these submodules.

    Classes that torch has put on top, of a parametrization or of sharding, stay on top: now, and if they come or go afterwards.
    """

    owner: nn.Module
    old: type
    new: type
    layers: dict[str, nn.Module]

    def apply(self) -> None:
        self.owner._modules.update(self.layers)
        object.__setattr__(self.owner, "__class__", on_top(type(self.owner), self.new))

    def undo(self) -> None:
        object.__setattr__(self.owner, "__class__", on_top(type(self.owner), self.old))
        for name in self.layers:
            del self.owner._modules[name]

    def is_intact(self) -> bool:
        return below_torch(type(self.owner)) is self.new and all(
            self.owner._modules.get(n) is m for n, m in self.layers.items()
        )

    @property
    def new_modules(self) -> tuple[nn.Module, ...]:
        return tuple(self.layers.values())


@dataclass(frozen=True, kw_only=True, eq=False)
class FlagReplacement:
    """Sets an attribute by which torch chooses a fused kernel with a fixed activation."""

    owner: nn.Module
    name: str
    old: Any
    new: Any

    def apply(self) -> None:
        vars(self.owner)[self.name] = self.new

    def undo(self) -> None:
        vars(self.owner)[self.name] = self.old

    def is_intact(self) -> bool:
        return bool(vars(self.owner).get(self.name) == self.new)

    @property
    def new_modules(self) -> tuple[nn.Module, ...]:
        return ()


def _move_like(old: nn.Module, new: nn.Module, parent: nn.Module) -> None:
    """Give a restored module the device, dtype and training flag that the model has now."""
    like = next(new.parameters(), None)
    near = next(parent.parameters(), None)
    if like is not None:
        old.to(device=like.device, dtype=like.dtype)
    elif near is not None:
        old.to(device=near.device)
    old.train(new.training)


# -------------------------------------------------------------------------------------------- planning
@dataclass(frozen=True, kw_only=True, eq=False)
class Insertion:
    """A new module, in the place of a module, of a function held as an attribute, or of a call.

    Attributes:
        owner: the module that is replaced, or the one that holds the attribute or makes the call.
        new: the new module.
        attribute: name of the attribute, for a function held there.
        edit: the edit of the owner's class, for a call.
    """

    owner: nn.Module
    new: nn.Module
    attribute: str | None = None
    edit: Edit | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelPaths:
    """A model, with the paths of its modules by identity (a shared module has several)."""

    model: nn.Module
    paths: dict[int, list[str]]

    def parents(self, module: nn.Module) -> Iterator[tuple[nn.Module, str]]:
        """Yield every parent of a module, with the name it has there."""
        seen = set()
        for path in self.paths[id(module)]:
            above, _, name = path.rpartition(".")
            parent = self.model.get_submodule(above)
            if (id(parent), name) not in seen:
                seen.add((id(parent), name))
                yield parent, name

    def match_neighbors(self, new: nn.Module, owner: nn.Module) -> nn.Module:
        """Give a new layer the device and dtype of the parameters nearest to ``owner``, and the training flag of ``owner``."""
        path = self.paths[id(owner)][0].split(".")
        for depth in range(len(path), -1, -1):
            near = self.model.get_submodule(".".join(path[:depth]))
            like = next((p for p in near.parameters() if p.is_floating_point()), None)
            if like is not None:
                new.to(device=like.device, dtype=like.dtype)
                break
        return new.train(owner.training)


def plan_replacements(model_paths: ModelPaths, insertions: Sequence[Insertion]) -> list[Replacement]:
    """Return the replacements that insert new modules; the model is not changed yet.

    Raises:
        SiteError: a class cannot be rewritten, or the parameters would change after the model was wrapped for several ranks.
    """
    whole = [insertion.owner for insertion in insertions if insertion.attribute is None and insertion.edit is None]
    check_parameters_stay(model_paths.model, whole, [insertion.new for insertion in insertions])
    replacements: list[Replacement] = []
    for insertion in insertions:
        if insertion.attribute is not None:
            function = vars(insertion.owner)[insertion.attribute]
            replacements.append(
                AttributeReplacement(owner=insertion.owner, name=insertion.attribute, old=function, new=insertion.new)
            )
        elif insertion.edit is None:
            replacements += [
                ModuleReplacement(parent=parent, name=name, old=insertion.owner, new=insertion.new)
                for parent, name in model_paths.parents(insertion.owner)
            ]
    replacements += _class_replacements([insertion for insertion in insertions if insertion.edit])
    return [*replacements, *_flag_replacements(model_paths.model, replacements)]


def _class_replacements(insertions: Iterable[Insertion]) -> Iterator[ClassReplacement]:
    """Group the calls by the module that makes them: each module gets one rewritten class."""
    owners: dict[int, list[Insertion]] = {}
    for insertion in insertions:
        owners.setdefault(id(insertion.owner), []).append(insertion)
    for group in owners.values():
        owner = group[0].owner
        old = below_torch(type(owner))
        layers: dict[str, nn.Module] = {}
        edits = list(edits_of(old))
        for insertion in group:
            if insertion.edit:
                name = _free_name(owner, layers, insertion.edit.submodule)
                layers[name] = insertion.new
                edits.append(replace(insertion.edit, submodule=name))
        yield ClassReplacement(
            owner=owner, old=old, new=rewritten_class(original_class(old), tuple(sorted(edits))), layers=layers
        )


def _free_name(owner: nn.Module, used: Container[str], name: str) -> str:
    while name in used or hasattr(owner, name):
        name += "_"
    return name


def _flag_replacements(model: nn.Module, replacements: Iterable[Replacement]) -> Iterator[FlagReplacement]:
    """Switch off the fused path of torch's transformer encoder where its activation changes, as it would run the old one."""
    touched = {id(r.owner) for r in replacements if isinstance(r, AttributeReplacement)} | {
        id(r.parent) for r in replacements if isinstance(r, ModuleReplacement)
    }
    for module in model.modules():
        if (
            isinstance(module, nn.TransformerEncoderLayer)
            and id(module) in touched
            and vars(module).get("activation_relu_or_gelu")
        ):
            yield FlagReplacement(
                owner=module, name="activation_relu_or_gelu", old=module.activation_relu_or_gelu, new=0
            )
        if isinstance(module, nn.TransformerEncoder) and any(id(layer) in touched for layer in module.layers):
            yield FlagReplacement(owner=module, name="use_nested_tensor", old=module.use_nested_tensor, new=False)


def apply_all(replacements: Sequence[Replacement]) -> None:
    """Apply replacements in order."""
    for replacement in replacements:
        replacement.apply()


def undo_all(replacements: Sequence[Replacement]) -> None:
    """Undo replacements in reverse order."""
    for replacement in reversed(replacements):
        replacement.undo()


@contextmanager
def temporarily_applied(replacements: Sequence[Replacement]) -> Iterator[None]:
    """Context manager: apply replacements on entry, undo them on exit."""
    apply_all(replacements)
    try:
        yield
    finally:
        undo_all(replacements)
