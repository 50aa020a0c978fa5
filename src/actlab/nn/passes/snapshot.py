"""Snapshot of everything a forward pass can change in an object, and its restoration.

A snapshot follows an object to all it holds: parameters, buffers, submodules, plain attributes, lists, dicts, sets, arrays, random
generators, objects with attributes, and what hooks and closures refer to. Out of its reach are class attributes, global variables, files,
and the position of a Python iterator. Optimizers, datasets and loaders are left out, and ActLab's own observers.
"""

from __future__ import annotations

import random
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from actlab.nn.passes.sharded import parts_of_fsdp1
from actlab.nn.passes.tensor_state import TensorState, inner_tensors

__all__ = ["Snapshot"]

_CONSTANTS: Final = (
    *(bool, int, float, complex, str, bytes, type(None), range, slice, type, ModuleType, BuiltinFunctionType, Enum),
    *(torch.dtype, torch.device, torch.layout, torch.memory_format, torch.Size),
)
_NOT_FOLLOWED: Final = ("torch", "actlab", "logging", "threading", "multiprocessing", "weakref", "datasets")
_MEMBERS: Final = frozenset({"_parameters", "_buffers", "_modules"})
_CONTAINERS: Final = frozenset({dict, OrderedDict, list, set, deque})
_UNSET: Final = object()
_Name = tuple[Any, object]
"""Name of what holds an object, and the key there; written out only for what cannot be restored."""


class Snapshot:
    """State of an object and of all it holds.

    Args:
        root: a module, or any other object.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 2, bias=False))
        >>> snapshot = Snapshot(model)
        >>> with torch.no_grad():
        ...     before = model[0].weight.clone()
        ...     _ = model.eval()[0].weight.zero_()
        >>> snapshot.restore(), torch.equal(model[0].weight, before), model.training
        ([], True, True)
    """

    def __init__(self, root: object) -> None:
        self._restorers: list[tuple[_Name, Callable[[], object]]] = []
        self._empty: list[Any] = []  # containers, such as most of a module's hooks; kept apart, as there are many
        self._seen: dict[int, object] = {}  # holds the objects, so that no other one gets their id
        self._fsdp1 = parts_of_fsdp1(root) if isinstance(root, nn.Module) else {}
        self._waiting: list[tuple[_Name, object]] = [((None, type(root).__name__), root)]
        while self._waiting:
            name, value = self._waiting.pop()
            if not isinstance(value, _CONSTANTS) and id(value) not in self._seen:
                self._seen[id(value)] = value
                self._save(name, value)

    def restore(self) -> list[str]:
        """Put everything back that has changed; one failure does not keep the others from being put back.

        Returns:
            What could not be put back, with the reason.
        """
        failures = []
        for container in self._empty:
            if container:
                container.clear()
        for name, restore in self._restorers:
            try:
                restore()
            except Exception as error:  # torch, numpy and the user's classes may raise anything
                failures.append(f"{_text(name)} ({type(error).__name__}: {error})")
        return failures

    # ------------------------------------------------------------------------------------------ saving

    def _add(self, name: _Name, restore: Callable[[], object]) -> None:
        self._restorers.append((name, restore))

    def _follow(self, name: _Name, values: Iterable[object]) -> None:
        self._waiting += [(name, value) for value in values]

    def _follow_items(self, name: _Name, items: Iterable[tuple[object, object]]) -> None:
        self._waiting += [((name, key), value) for key, value in items]

    def _save(self, name: _Name, value: Any) -> None:
        """Save one object and follow it to what it holds."""
        if type(value) in _CONTAINERS and not value:
            self._empty.append(value)
        elif isinstance(value, Tensor):
            self._save_tensor(name, value)
        elif isinstance(value, torch.jit.ScriptModule):
            self._save_script_module(name, value)
        elif isinstance(value, nn.Module):
            self._save_module(name, value)
        elif restore := _generator_restorer(value):
            self._add(name, restore)
        elif isinstance(value, np.ndarray):
            self._add(name, partial(_restore_array, value, value.copy()))
        elif isinstance(value, (dict, list, set, deque, bytearray)):
            self._save_container(name, value)
        elif isinstance(value, (tuple, frozenset)):
            self._follow(name, value)
        elif isinstance(value, (partial, MethodType, FunctionType)):
            self._follow(name, _held_by_function(value))
        elif not _is_left_out(value):
            self._save_attributes(name, value)

    def _save_tensor(self, name: _Name, tensor: Tensor) -> None:
        state = TensorState(tensor)
        self._add(name, state.restore)
        self._follow(name, inner_tensors(tensor))
        self._follow(name, [state.grad])
        attributes = getattr(tensor, "__dict__", {})
        if attributes or type(tensor) is not Tensor:
            self._save_attributes(name, tensor)

    def _save_module(self, name: _Name, module: nn.Module) -> None:
        before = dict(vars(module))
        part = self._fsdp1.get(id(module))
        if part == "wrapper":  # its attributes are FSDP's own state
            self._add(name, partial(vars(module).update, training=module.training))
            before = {key: before[key] for key in ("_buffers", "_modules")}
        elif part == "wrapped":  # FSDP exchanges parameters, and puts them into plain attributes as well
            before = {key: v for key, v in before.items() if key != "_parameters" and not isinstance(v, Tensor)}
            self._add(name, lambda: vars(module).update(before))
        else:
            self._add(name, lambda: _restore_mapping(vars(module), before, dict))
        for key, value in before.items():
            self._waiting.append((name if key in _MEMBERS else (name, key), value))

    def _save_script_module(self, name: _Name, module: Any) -> None:
        """Save the flag, tensors and attributes of a scripted module, which lie in C++."""
        before = {key: getattr(module, key) for key in _script_attributes(module)}
        training = module.training

        def restore() -> None:
            module.training = training
            for key, value in before.items():
                if getattr(module, key) is not value:
                    setattr(module, key, value)

        self._add(name, restore)
        self._follow_items(name, (*before.items(), *module.named_parameters(), *module.named_buffers()))
        self._follow_items(name, module.named_children())

    def _save_container(self, name: _Name, value: Any) -> None:
        if isinstance(value, dict):
            entries = dict(value)
            own: Any = OrderedDict if isinstance(value, OrderedDict) else dict
            self._add(name, lambda: _restore_mapping(value, entries, own))
            self._follow_items(name, entries.items())
        else:
            contents = list(value)
            kind: Any = next(each for each in (list, set, deque, bytearray) if isinstance(value, each))
            self._add(name, lambda: _restore_collection(value, contents, kind))
            self._follow(name, () if isinstance(value, bytearray) else contents)
        if hasattr(value, "__dict__"):
            self._save_attributes(name, value)

    def _save_attributes(self, name: _Name, value: Any) -> None:
        attributes = getattr(value, "__dict__", None)
        if isinstance(attributes, dict):
            before = dict(attributes)
            self._add(name, lambda: _restore_mapping(attributes, before, dict))
            self._follow_items(name, before.items())
        slots = {slot: vars(cls)[slot].__get__(value) for cls, slot in _slots(value)}
        if slots:
            self._add(name, lambda: _restore_slots(value, slots))
            self._follow_items(name, slots.items())


def _text(name: _Name) -> str:
    outer, key = name
    return str(key) if outer is None else f"{_text(outer)}.{key}"


# -------------------------------------------------------------------------------------------- restoring


def _restore_mapping(held: Any, before: dict[Any, Any], kind: Any) -> None:
    if len(held) == len(before) and all(
        a is b and x is y for (a, x), (b, y) in zip(kind.items(held), before.items(), strict=True)
    ):
        return
    kind.clear(held)
    kind.update(held, before)


def _restore_collection(held: Any, before: list[Any], kind: Any) -> None:
    if len(held) == len(before) and all(a is b for a, b in zip(kind.__iter__(held), before, strict=True)):
        return
    kind.clear(held)
    (kind.update if kind is set else kind.extend)(held, before)


def _restore_array(array: np.ndarray, before: np.ndarray) -> None:
    if array.shape != before.shape:
        array.resize(before.shape, refcheck=False)
    if array.tobytes() != before.tobytes():
        array[...] = before


def _restore_slots(value: Any, slots: dict[str, Any]) -> None:
    for slot, before in slots.items():
        if getattr(value, slot, _UNSET) is not before:
            object.__setattr__(value, slot, before)


def _generator_restorer(value: Any) -> Callable[[], object] | None:
    """Return a function that puts back the state of a random generator; None for any other object."""
    if isinstance(value, torch.Generator):
        return partial(value.set_state, value.get_state())
    if isinstance(value, random.Random):
        return partial(value.setstate, value.getstate())
    if isinstance(value, np.random.RandomState):
        return partial(value.set_state, value.get_state())
    if isinstance(value, np.random.Generator):
        return partial(setattr, value.bit_generator, "state", value.bit_generator.state)
    if isinstance(value, np.random.BitGenerator):
        return partial(setattr, value, "state", value.state)
    return None


# -------------------------------------------------------------------------------------------- following


def _held_by_function(value: Any) -> Iterator[object]:
    """Yield what a function, method or partial refers to; nothing of ActLab's own, whose hooks collect what a pass shows."""
    if isinstance(value, partial):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, MethodType):
        yield value.__self__
    elif str(value.__module__).partition(".")[0] not in _NOT_FOLLOWED:
        yield from (cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell))
        yield from value.__defaults__ or ()
        yield vars(value)


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not _UNSET
    except ValueError:  # a variable that is assigned later
        return False


def _is_left_out(value: object) -> bool:
    """Whether an object is not followed: of torch (optimizers, loaders, FSDP's state), of ActLab, or a user's dataset."""
    roots = {str(cls.__module__).partition(".")[0] for cls in type(value).__mro__ if cls is not object}
    return bool(roots & set(_NOT_FOLLOWED))


def _slots(value: object) -> Iterator[tuple[type, str]]:
    """Yield the slots of an object that are set, with the class that declares them."""
    for cls in type(value).__mro__:
        declared = vars(cls).get("__slots__", ())
        for slot in (declared,) if isinstance(declared, str) else declared:
            mangled = (
                f"_{cls.__name__.lstrip('_')}{slot}" if slot.startswith("__") and not slot.endswith("__") else slot
            )
            if mangled not in {"__dict__", "__weakref__"} and mangled in vars(cls) and hasattr(value, mangled):
                yield cls, mangled


def _script_attributes(module: Any) -> Iterator[str]:
    concrete = getattr(module, "_concrete_type", None)
    names = concrete.get_attributes() if concrete is not None else {}
    return (name for name in names if name != "training" and hasattr(module, name))
