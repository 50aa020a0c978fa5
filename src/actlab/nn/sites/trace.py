"""The trace: one forward pass, watched. Which activations ran, in what order, on what; and which layer feeds which.

The pass leaves the model as it was, see :mod:`actlab.nn.sites.dry_run`.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from time import perf_counter
from types import CodeType, FrameType
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from actlab.nn.sites.dry_run import Inputs, copied, run, undisturbed
from actlab.nn.sites.running_calls import place_of_call, place_of_fused
from actlab.nn.sites.slot import Slot, place_of_module
from actlab.nn.sites.torch_activations import FUSED, Native, Running, describe_call, recognise
from actlab.nn.sites.user_functions import any_seen, running_in
from actlab.nn.sites.user_modules import known_modules

__all__ = ["PRODUCTS", "RESHAPES", "WEIGHTS", "Run", "Step", "Token", "Trace", "trace"]

Token = tuple[int, int]  # identity and version of a tensor: an in-place call makes a new value in the same object

WEIGHTS: Final = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_FORWARDS: Final = frozenset(cls.forward for cls in WEIGHTS)
# fmt: off
RESHAPES: Final = frozenset({  # a value stays the same value through these
    "__get__", "__getitem__", "contiguous", "clone", "detach", "double", "expand", "flatten", "float", "half", "movedim", "permute",
    "reshape", "select", "squeeze", "swapaxes", "t", "to", "transpose", "type", "unflatten", "unsqueeze", "view", "view_as",
})
PRODUCTS: Final = frozenset({"mul", "multiply"})
_LOOKS: Final = frozenset({  # these only look at a tensor
    "__get__", "__len__", "dim", "element_size", "get_device", "is_complex", "is_contiguous", "is_floating_point", "numel", "size",
    "storage_offset", "stride",
})
# fmt: on


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """One execution of an activation.

    Attributes:
        place: where it ran.
        running: what ran, with the parameters of this call.
        shape: shape of its input.
        source: token of its input.
        result: token of its output.
        seconds: how long it took; None where it is a part of one call of torch, whose parts cannot be told apart.
    """

    place: Slot
    running: Running
    shape: tuple[int, ...]
    source: Token
    result: Token
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One execution of a layer with weights.

    Attributes:
        module: the Linear or convolution.
        source: token of its input.
        result: token of its output.
    """

    module: nn.Module
    source: Token
    result: Token


@dataclass(kw_only=True, eq=False)
class Trace:
    """What a forward pass did.

    Attributes:
        steps: executions of activations and of layers with weights, in order.
        users: what took a value, by token: a :class:`Run`, a :class:`Step`, or the name of a function of torch.
        reshaped: token of the value from which a value was made by mere reshaping or casting.
        products: token of a product, by the token of a factor.
        saved: storages that autograd keeps for others than activations, by address; filled in training only.
        busy: how many activations are running now.
        output: what the model returned.
        kept: the tensors the tokens stand for; as long as they are kept, no other tensor gets their identity.
    """

    steps: list[Run | Step] = field(default_factory=list)
    users: dict[Token, list[Run | Step | str]] = field(default_factory=lambda: defaultdict(list))
    reshaped: dict[Token, Token] = field(default_factory=dict)
    products: dict[Token, list[Token]] = field(default_factory=lambda: defaultdict(list))
    saved: set[int] = field(default_factory=set)
    busy: int = 0
    output: Any = None
    kept: dict[Token, Tensor] = field(default_factory=dict)

    @property
    def runs(self) -> list[Run]:
        """Executions of activations, in order."""
        return [step for step in self.steps if isinstance(step, Run)]

    def is_output(self, run: Run) -> bool:
        """Whether the model returns what this run made, reshaped or not, and uses it for nothing else."""
        return run.result in self.returned and not self.users.get(run.result)

    @property
    def returned(self) -> set[Token]:
        """Tokens of what the model returns, before any reshaping."""
        return {self.origin(_token(leaf)) for leaf in tree_leaves(self.output) if isinstance(leaf, Tensor)}

    def origin(self, token: Token) -> Token:
        """Follow a value back through reshaping."""
        while token in self.reshaped:
            token = self.reshaped[token]
        return token

    def keep(self, tensor: Tensor) -> Token:
        """Keep a tensor, so that its token stays its own."""
        token = _token(tensor)
        self.kept[token] = tensor
        return token

    def add(self, step: Run | Step) -> None:
        """Add an execution, and note that it takes its input."""
        self.users[self.origin(step.source)].append(step)
        self.steps.append(step)


def _token(tensor: Tensor) -> Token:
    return id(tensor), 0 if tensor.is_inference() else tensor._version


# -------------------------------------------------------------------------------------------- watching


class _Watch(TorchFunctionMode):
    """Notes every call of torch that is an activation or takes a value that is followed."""

    def __init__(self, notes: Trace, stop: CodeType, parts: frozenset[int], clock: Callable[[], float]) -> None:
        super().__init__()
        self.notes = notes
        self.stop = stop
        self.parts = parts
        self.clock = clock
        self.inside = 0  # depth of modules whose inner calls are their own affair

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.inside:
            return func(*args, **kwargs)
        if getattr(func, "__name__", "") in FUSED:
            return self._fused(func, args, kwargs)
        native = recognise(func)
        place = place_of_call(native, sys._getframe(1), self.stop, self.parts) if native else None
        if native is None or place is None:
            return self._other(func, args, kwargs)
        value, rest = (args[0], args[1:]) if args else (kwargs["input"], ())
        running = describe_call(native, rest, kwargs)
        source = self.notes.keep(value)
        shape = tuple(value.shape)
        self.notes.busy += 1
        start = self.clock()
        result = func(*args, **kwargs)
        seconds = self.clock() - start
        self.notes.busy -= 1
        made = self.notes.keep(result)
        self.notes.add(Run(place=place, running=running, shape=shape, source=source, result=made, seconds=seconds))
        return result

    def _fused(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Note what torch computes inside a call of its own. The values go into that call, not into the activation."""
        frame = sys._getframe(2)
        value = next(leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor))
        source, shape = self.notes.keep(value), tuple(value.shape)
        result = self._other(func, args, kwargs)
        made = next(leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor))
        for name in FUSED[func.__name__]:
            place = place_of_fused(name, func.__name__, frame, self.stop)
            if place:
                running = Running(name=name, spec=name)
                self.notes.steps.append(
                    Run(place=place, running=running, shape=shape, source=source, result=self.notes.keep(made))
                )
        return result

    def _other(self, func: Any, args: Any, kwargs: Any) -> Any:
        name = getattr(func, "__name__", str(func))
        followed = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor) and _token(t) in self.notes.kept]
        sources = [_token(tensor) for tensor in followed]
        result = func(*args, **kwargs)
        if name in _LOOKS and not isinstance(result, Tensor):
            return result
        for tensor, source in zip(followed, sources, strict=True):
            if result is tensor and _token(tensor) == source:
                continue  # dropout in eval mode, .to() that changes nothing: the value itself comes back
            if name in RESHAPES and isinstance(result, Tensor):
                self.notes.reshaped[self.notes.keep(result)] = source
            else:
                origin = self.notes.origin(source)
                self.notes.users[origin].append(name)
                if name in PRODUCTS and isinstance(result, Tensor):
                    self.notes.products[origin].append(self.notes.keep(result))
        return result


@contextmanager
def _watched_modules(model: nn.Module, watch: _Watch, known: Mapping[int, Running]) -> Iterator[None]:
    """Note the modules that are activations or hold weights; what they call inside is theirs.

    A class that derives from a layer with weights and has a ``forward`` of its own may well call an activation there: it is noted, and what
    it calls as well.
    """
    with ExitStack() as stack:
        for module in model.modules():
            is_open = not isinstance(module, torch.jit.ScriptModule)
            if is_open and (id(module) in known or isinstance(module, WEIGHTS)):
                _hook(module, known.get(id(module)), watch, stack)
        yield


def _hook(module: nn.Module, running: Running | None, watch: _Watch, stack: ExitStack) -> None:
    closed = int(running is not None or type(module).forward in _FORWARDS)
    entered: list[tuple[tuple[int, ...], Token, float]] = []
    place = place_of_module(module)

    def enter(_: nn.Module, args: Any, kwargs: Any) -> None:
        watch.inside += 1  # first, so that looking at the tensors is not watched either
        watch.notes.busy += running is not None
        value = next((leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)), None)
        shape, source = ((), (0, 0)) if value is None else (tuple(value.shape), watch.notes.keep(value))
        watch.inside -= 1 - closed
        entered.append((shape, source, watch.clock()))

    def leave(_: nn.Module, _args: Any, result: Any) -> None:
        shape, source, start = entered.pop()
        seconds = watch.clock() - start
        watch.inside += 1 - closed
        if watch.inside == 1 and isinstance(result, Tensor):  # on an error there is no result
            made = watch.notes.keep(result)
            if running:
                watch.notes.add(
                    Run(place=place, running=running, shape=shape, source=source, result=made, seconds=seconds)
                )
            else:
                watch.notes.add(Step(module=module, source=source, result=made))
        watch.inside -= 1
        watch.notes.busy -= running is not None

    stack.callback(module.register_forward_pre_hook(enter, with_kwargs=True).remove)
    stack.callback(module.register_forward_hook(leave, always_call=True).remove)


@contextmanager
def _watched_functions(watch: _Watch) -> Iterator[None]:
    """Note the users' own functions that are activations; what they call inside is theirs.

    Python tells of every call it makes as it tells a profiler; one that is at work already is told as before, too.
    """
    if not any_seen():
        yield
        return
    other = sys.getprofile()
    entered: list[tuple[FrameType, Slot, Running, tuple[int, ...], Token, float]] = []

    def listen(frame: FrameType, event: Any, result: Any) -> None:
        if other is not None:
            other(frame, event, result)
        if event == "call" and (native := running_in(frame)):
            _enter_function(native, frame, watch, entered)
        elif event == "return" and entered and entered[-1][0] is frame:
            _leave_function(result, watch, entered)

    sys.setprofile(listen)
    try:
        yield
    finally:
        sys.setprofile(other)


def _enter_function(native: Native, frame: FrameType, watch: _Watch, entered: list[Any]) -> None:
    value = frame.f_locals.get(frame.f_code.co_varnames[0])
    caller = frame.f_back
    if watch.inside or caller is None or not isinstance(value, Tensor):
        return
    watch.inside += 1  # first, so that looking at the tensor is not watched
    place = place_of_call(native, caller, watch.stop, watch.parts)
    if place is None:
        watch.inside -= 1
        return
    watch.notes.busy += 1
    running = describe_call(native, [], {"inplace": frame.f_locals.get("inplace")})
    entered.append((frame, place, running, tuple(value.shape), watch.notes.keep(value), watch.clock()))


def _leave_function(result: Any, watch: _Watch, entered: list[Any]) -> None:
    _, place, running, shape, source, start = entered.pop()
    seconds = watch.clock() - start
    if isinstance(result, Tensor):  # on an error there is none
        made = watch.notes.keep(result)
        watch.notes.add(Run(place=place, running=running, shape=shape, source=source, result=made, seconds=seconds))
    watch.inside -= 1
    watch.notes.busy -= 1


# --------------------------------------------------------------------------------------------- running


def trace(
    model: nn.Module,
    example_inputs: Inputs,
    known: Mapping[int, Running] | None = None,
    *,
    training: bool = False,
    clock: Callable[[], float] = perf_counter,
) -> Trace:
    """Run a model once and note what its activations do.

    Args:
        model: any module.
        example_inputs: a tensor, a tuple of positional arguments, or a dict of keyword arguments.
        known: the modules that are activations, by identity, where they have been found already.
        training: run it as it is trained, with gradients; otherwise in eval mode without.
        clock: tells the time in seconds; on a GPU one that waits for it.

    Raises:
        SiteError: the inputs are none of these, or the model raises on them.

    Example:
        >>> [run.running.name for run in trace(nn.Sequential(nn.ReLU(), nn.Tanh()), torch.zeros(1, 3)).runs]
        ['relu', 'tanh']
    """
    known = known_modules(model) if known is None else known
    notes = Trace()
    parts = frozenset(map(id, model.modules()))
    watch = _Watch(notes, sys._getframe().f_code, parts, clock)
    arguments = copied(example_inputs)

    def note(tensor: Tensor) -> Tensor:
        if not notes.busy:
            notes.saved.add(tensor.untyped_storage().data_ptr())
        return tensor

    packing = torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor) if training else nullcontext()
    with (
        undisturbed(model, training=training),
        _watched_modules(model, watch, known),
        packing,
        watch,
        _watched_functions(watch),
    ):
        notes.output = run(model, arguments)
    return notes
