"""Check that a task gives the same data, weights and losses whenever it is called with a seed.

This is what pairs the arms of a study. Each function is called twice, with the global generators seeded as in a trial. A generator,
counter or array of the file's own that the first call has moved shows in the second.
"""

from __future__ import annotations

import ast
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from actlab.errors import TaskError
from actlab.nn.passes.output_tensors import output_tensors
from actlab.nn.sites.dry_run import Inputs, copy_inputs
from actlab.tasks import task_file
from actlab.tasks.data import Data, Split
from actlab.tasks.data_digest import bits, data_digest
from actlab.tasks.isolation import isolated, seed_all
from actlab.tasks.loading.nested import mapped
from actlab.tasks.task import Task, load_data
from actlab.tasks.user_code import user_code

__all__ = [
    "check_loss_repeats",
    "check_model_repeats",
    "check_outputs_repeat",
    "check_weights_repeat",
    "repeatable_data",
]

_REMEDY = (
    "Seed s must fix them, so that every arm gets the same. Draw from the global generators of torch, NumPy and random, which are seeded "
    "before each call, or make a generator from the seed inside the function: torch.Generator().manual_seed(seed), "
    "numpy.random.default_rng(seed), random.Random(seed). Not repeatable are a generator that is made when the file is imported, "
    "an array or a module that a call changes in place, the time, uuid and os.urandom."
)
_DIGESTED = 4  # batches of every loader that are compared
# What a file may use whose value differs between processes, such as a seed drawn from the clock when the file is imported.
_CLOCKS = {"time", "datetime"}
_PER_PROCESS = {*_CLOCKS, "uuid", "uuid1", "uuid4", "urandom", "secrets", "SystemRandom", "getpid"}
_UNSEEDED = {"default_rng", "RandomState", "Random", "seed", "SeedSequence"}  # called without an argument


def repeatable_data(task: Task, seed: int, check: Callable[[Data], None]) -> Data:
    """Call ``data(seed)`` twice, compare, and return the second result; only one of them is in memory at a time.

    Where the file uses what differs between processes (time, uuid, an unseeded generator), it is also run once more, as in a worker.

    Args:
        task: the task.
        seed: of the calls.
        check: called with the first result.

    Raises:
        TaskError: the function raises, or the splits are not equal to the bit.
    """
    first = _called(task, seed)
    check(first)
    if not first.is_in_memory:  # a dataset may have a state, which the check has changed
        first = _called(task, seed)
    before, sizes = _digest(task, first), _sizes(first)
    del first
    used = _impure_names(task.source)
    if used & _CLOCKS:
        time.sleep(1.0 - time.time() % 1.0)  # a seed of whole seconds is another one now
    again = _called(task, seed)
    _check_same(task, seed, "when it is called again", (before, sizes), again)
    if used and task.file is not None:
        del again
        with _loaded_again(Path(task.file)) as loaded:
            again = _called(loaded, seed)
        _check_same(task, seed, "when the file is run again, as every worker does", (before, sizes), again)
    return again


def _impure_names(source: str) -> set[str]:
    """Return the names in a file's code whose values may differ between processes."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except SyntaxError:
        return set()
    names = {node.id for node in nodes if isinstance(node, ast.Name)} | {
        node.attr for node in nodes if isinstance(node, ast.Attribute)
    }
    calls = [node.func for node in nodes if isinstance(node, ast.Call) and not node.args and not node.keywords]
    unseeded = {getattr(function, "attr", getattr(function, "id", "")) for function in calls}
    return (names & _PER_PROCESS) | (unseeded & _UNSEEDED)


def _check_same(task: Task, seed: int, when: str, before: tuple[str, dict[str, int]], again: Data) -> None:
    digest, sizes = before
    if _digest(task, again) != digest:
        now = _sizes(again)
        numbers = "" if now == sizes else f" ({sizes} examples at first, {now} then)"
        raise TaskError(f"data({seed}) of the task {task.name} gives other data {when}{numbers}. {_REMEDY}")


def _called(task: Task, seed: int) -> Data:
    with isolated(seed), user_code(f"data({seed}) of the task {task.name}"):
        return load_data(task, seed)


def _sizes(data: Data) -> dict[str, int]:
    return {name: split.examples or 0 for name, split in data.splits.items()}


def _digest(task: Task, data: Data) -> str:
    with user_code(f"Reading the data of {task.name}"):
        return data_digest(data, batches=_DIGESTED)


@contextmanager
def _loaded_again(file: Path) -> Iterator[Task]:
    """Yield the task of a file that is run once more; the modules it has defined stay those of the first time."""
    modules = dict(sys.modules)
    try:
        yield task_file.load(file)
    finally:
        sys.modules.update({name: module for name, module in modules.items() if sys.modules.get(name) is not module})


def check_model_repeats(task: Task, batch: Split, seed: int) -> None:
    """Call ``model(seed)`` twice, and compare the weights and the outputs and losses in training on a batch.

    Call it inside :func:`actlab.tasks.isolation.isolated`.

    Args:
        task: the task, checked otherwise.
        batch: first examples of the training split.
        seed: of the weights and of what the models draw in training.

    Raises:
        TaskError: weights, outputs or losses differ, or the models share what training changes.
    """
    models = check_weights_repeat(task, seed)
    outputs = check_outputs_repeat(task, models, (batch.x,), seed)
    losses = [_drawn(seed, f"loss of {task.name}", lambda: task.loss(outputs[0], batch.y)) for _ in range(2)]
    _check_equal(losses, f"loss of the task {task.name} gives another number for the same output, target and seed")


def check_weights_repeat(task: Task, seed: int) -> tuple[nn.Module, nn.Module]:
    """Call ``model(seed)`` twice, compare the weights, and return the models.

    Raises:
        TaskError: weights differ, or the models share what training changes.
    """
    first, second = (_built(task, seed) for _ in range(2))
    shared = _shared(first, second)
    if shared is not None:
        raise TaskError(
            f"model({seed}) of the task {task.name} returns {shared} at every call, so that an arm would go on from weights "
            "that another has trained. Build a new model inside the function, or return copy.deepcopy(...) of the one that is made outside."
        )
    different = _different(first, second)
    if different is not None:
        raise TaskError(
            f"model({seed}) of the task {task.name} gives other weights when it is called again: {different}. {_REMEDY}"
        )
    return first, second


def check_outputs_repeat(task: Task, models: Sequence[nn.Module], inputs: Inputs, seed: int) -> list[Any]:
    """Compare the outputs in training of two equal models, and return them.

    Raises:
        TaskError: they differ.
    """
    outputs = []
    for model in models:
        args, kwargs = copy_inputs(inputs)
        outputs.append(_drawn(seed, f"The model of {task.name}", partial(model.train(), *args, **kwargs)))
    said = f"The model of the task {task.name} gives other outputs in training for the same weights, inputs and seed"
    for pair in zip(*map(output_tensors, outputs), strict=True):
        _check_equal(list(pair), said)
    return outputs


def check_loss_repeats(task: Task, loss_of: Callable[[nn.Module, Any], Tensor], batch: Any, seed: int) -> None:
    """Call ``model(seed)`` twice, and compare the weights and the losses in training on a batch of any form.

    Call it inside :func:`actlab.tasks.isolation.isolated`.

    Raises:
        TaskError: weights or losses differ, or the models share what training changes.
    """
    models = check_weights_repeat(task, seed)
    said = f"The training step of {task.name}"
    losses = [_drawn(seed, said, partial(loss_of, model.train(), mapped(batch, _clone))) for model in models]
    _check_equal(
        losses, f"The training step of the task {task.name} gives another loss for the same weights, batch and seed"
    )


def _clone(leaf: Any) -> Any:
    return leaf.clone() if isinstance(leaf, Tensor) else leaf


def _built(task: Task, seed: int) -> nn.Module:
    model: nn.Module = _drawn(seed, f"model({seed}) of the task {task.name}", lambda: task.model(seed))
    return model


def _drawn(seed: int, what: str, call: Callable[[], Any]) -> Any:
    seed_all(seed)
    with user_code(what):
        return call()


def _shared(first: nn.Module, second: nn.Module) -> str | None:
    """Return what two models share and training would change: the module, a trainable weight, or a module with statistics."""
    if first is second:
        return "the same module"
    weights = {id(weight): name for name, weight in first.named_parameters() if weight.requires_grad}
    with_statistics = {
        id(module): name for name, module in first.named_modules() if any(True for _ in module.buffers(recurse=False))
    }
    for name, thing in chain(second.named_parameters(), second.named_modules()):
        if id(thing) in weights or id(thing) in with_statistics:
            return f"a model with the same {name}"
    return None


def _different(first: nn.Module, second: nn.Module) -> str | None:
    states = [dict(chain(model.named_parameters(), model.named_buffers())) for model in (first, second)]
    for name in states[0].keys() | states[1].keys():
        one, other = (state.get(name) for state in states)
        if one is None or other is None:
            return f"{name} exists in one of the models only"
        if not (is_lazy(one) or is_lazy(other)) and not _equal(one, other):
            return f"{name} differs"
    return None


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and torch.equal(bits(one), bits(other))


def _check_equal(pair: list[Tensor], what: str) -> None:
    one, other = pair
    if not _equal(one.detach(), other.detach()):
        raise TaskError(f"{what}. {_REMEDY}")
