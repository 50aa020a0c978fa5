"""Inputs of the model and target of a batch, by its form or from the user's own step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from actlab.errors import TaskError
from actlab.nn.sites.dry_run import Inputs
from actlab.system.name_list import listed
from actlab.tasks.loading.nested import description, is_named_tuple

__all__ = ["TARGETS", "Parts", "inputs_of_call", "parts_of"]

#: Names of a target in a batch whose parts have names.
TARGETS = ("labels", "label", "targets", "target", "y")

_REMEDY = (
    "or define step(model, batch) -> loss and predict(model, batch) -> (output, target), which take the batch as it is"
)


class Parts(NamedTuple):
    """Parts of a batch: arguments of the model, and the target.

    Attributes:
        args: positional arguments.
        kwargs: keyword arguments.
        target: for the loss and the metric.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    target: Any

    @property
    def inputs(self) -> Inputs:
        """The inputs in the form of ``example_inputs``: a tensor, a tuple of positional or a dict of keyword arguments."""
        if self.kwargs:
            return self.kwargs
        return self.args[0] if len(self.args) == 1 and isinstance(self.args[0], Tensor) else self.args


def parts_of(batch: Any, of: str = "the task") -> Parts:
    """Return the arguments of the model and the target of a batch.

    - ``(x, y)`` is ``model(x)`` and the target y; ``(a, b, y)`` is ``model(a, b)``. An x that is a tuple or a list has several positional
      arguments, one that is a mapping has keyword arguments.
    - A mapping, or a dataclass, has its target under one of the names of :data:`TARGETS`; the rest are keyword arguments, or the positional
      one if there is only one.
    - A named tuple has its target under such a name, or last; the rest are positional arguments.

    Raises:
        TaskError: the batch has no target, or more than one.

    Example:
        >>> parts_of({"image": 1, "label": 2})
        Parts(args=(1,), kwargs={}, target=2)
        >>> parts_of([{"ids": 1, "mask": 2}, 3])
        Parts(args=(), kwargs={'ids': 1, 'mask': 2}, target=3)
    """
    if is_dataclass(batch) and not isinstance(batch, type):
        batch = {field.name: getattr(batch, field.name) for field in fields(batch)}
    if isinstance(batch, Mapping):
        name = _target_name(batch, of)
        return _named({key: value for key, value in batch.items() if key != name}, batch[name])
    if is_named_tuple(batch) and any(name in TARGETS for name in batch._fields):
        name = _target_name(batch._asdict(), of)
        return Parts(tuple(value for key, value in batch._asdict().items() if key != name), {}, getattr(batch, name))
    if not isinstance(batch, tuple | list) or isinstance(batch, PackedSequence) or len(batch) < 2:
        raise TaskError(
            f"A batch of {of} is {description(batch)}, which has no target. Give batches (x, y), or with a target that is "
            f"called one of {', '.join(TARGETS)}; {_REMEDY}."
        )
    if len(batch) > 2:
        return Parts(tuple(batch[:-1]), {}, batch[-1])
    return _input(batch[0], batch[1])


def _input(x: Any, target: Any) -> Parts:
    if isinstance(x, Mapping):
        return _named(x, target)
    several = isinstance(x, tuple | list) and not isinstance(x, PackedSequence)
    return Parts(tuple(x) if several else (x,), {}, target)


def _named(inputs: Mapping[str, Any], target: Any) -> Parts:
    return Parts(tuple(inputs.values()), {}, target) if len(inputs) == 1 else Parts((), dict(inputs), target)


def _target_name(batch: Mapping[str, Any], of: str) -> str:
    found = [name for name in batch if name in TARGETS]
    if len(found) != 1 or len(batch) < 2:
        what = (
            "no target"
            if not found
            else "nothing but a target"
            if len(batch) < 2
            else f"{len(found)} targets, {listed(found)}"
        )
        raise TaskError(
            f"A batch of {of} has {listed(list(map(str, batch))) or 'no parts'}, which is {what}. Call the target, and nothing else, one "
            f"of {', '.join(TARGETS)}; {_REMEDY}."
        )
    return found[0]


class _CalledError(BaseException):
    """Leaves the user's step where it calls the model; no Exception, which the step may catch."""


def inputs_of_call(model: nn.Module, call: Callable[[], Any]) -> Inputs | None:
    """Return the inputs with which user code calls a model first; None where it never does. The model does not run.

    Args:
        model: called in ``call``.
        call: user code.

    Example:
        >>> net = nn.Linear(2, 1)
        >>> inputs_of_call(net, lambda: net(input="x"))
        {'input': 'x'}
    """
    found: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG001 # as torch calls it
        found.append((args, kwargs))
        raise _CalledError

    handle = model.register_forward_pre_hook(note, prepend=True, with_kwargs=True)
    try:
        call()
    except _CalledError:
        pass
    finally:
        handle.remove()
    if not found:
        return None
    args, kwargs = found[0]
    if args and kwargs:
        return dict(inspect.signature(model.forward).bind(*args, **kwargs).arguments)
    return Parts(args, kwargs, None).inputs
