"""Trace one forward pass to record which activations ran, in what order and on which values.

The pass leaves the model unchanged, see :mod:`actlab.nn.sites.dry_run`.
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

from actlab.nn.sites.dry_run import Inputs, copy_inputs, no_side_effects, run
from actlab.nn.sites.running_calls import slot_in_fused_call, slot_of_running_call
from actlab.nn.sites.slot import Slot, slot_of_module
from actlab.nn.sites.torch_activations import FUSED, ActivationFunction, Running, describe_call, recognise
from actlab.nn.sites.user_functions import any_matched, match_frame
from actlab.nn.sites.user_modules import activation_modules

__all__ = ["PRODUCTS", "RESHAPES", "WEIGHTS", "Run", "Step", "Token", "Trace", "trace"]

Token = tuple[int, int]
"""``id`` and version of a tensor: an in-place call makes a new value in the same object."""

WEIGHTS: Final = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_FORWARDS: Final = frozenset(cls.forward for cls in WEIGHTS)
# fmt: off
RESHAPES: Final = frozenset({  # functions that change shape or dtype only
    "__get__", "__getitem__", "contiguous", "clone", "detach", "double", "expand", "flatten", "float", "half", "movedim", "permute",
    "reshape", "select", "squeeze", "swapaxes", "t", "to", "transpose", "type", "unflatten", "unsqueeze", "view", "view_as",
})
PRODUCTS: Final = frozenset({"mul", "multiply"})
_QUERIES: Final = frozenset({  # functions that read properties of a tensor
    "__get__", "__len__", "dim", "element_size", "get_device", "is_complex", "is_contiguous", "is_floating_point", "numel", "size",
    "storage_offset", "stride",
})
# fmt: on


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """One execution of an activation.

    Attributes:
        slot: where it ran.
        running: what ran, with the parameters of this call.
        shape: shape of its input.
        source: token of its input.
        result: token of its output.
        seconds: duration; None where it is a part of one fused call of torch, whose parts are not timed.
    """

    slot: Slot
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
    """Record of a forward pass.

    Attributes:
        steps: executions of activations and of layers with weights, in order.
        users: what used a value, by token: a :class:`Run`, a :class:`Step`, or the name of a function of torch.
        reshaped: token of the value before a reshape or cast, by the token of the value after it.
        products: tokens of products, by the token of a factor.
        saved: addresses of storages that autograd saves for other operations than activations; filled in training only.
        busy: number of activations that are running now.
        output: what the model returned.
        tensors: the tensors by token; as long as they are referenced, no other tensor gets their ``id``.
    """

    steps: list[Run | Step] = field(default_factory=list)
    users: dict[Token, list[Run | Step | str]] = field(default_factory=lambda: defaultdict(list))
    reshaped: dict[Token, Token] = field(default_factory=dict)
    products: dict[Token, list[Token]] = field(default_factory=lambda: defaultdict(list))
    saved: set[int] = field(default_factory=set)
    busy: int = 0
    output: Any = None
    tensors: dict[Token, Tensor] = field(default_factory=dict)

    @property
    def runs(self) -> list[Run]:
        """Executions of activations, in order."""
        return [step for step in self.steps if isinstance(step, Run)]

    def is_output(self, run: Run) -> bool:
        """Whether the model returns the result of this run, reshaped or not, and uses it for nothing else."""
        return run.result in self.returned and not self.users.get(run.result)

    @property
    def returned(self) -> set[Token]:
        """Tokens of the values that the model returns, before any reshaping."""
        return {self.origin(_token(leaf)) for leaf in tree_leaves(self.output) if isinstance(leaf, Tensor)}

    def origin(self, token: Token) -> Token:
        """Return the token of a value before all reshaping."""
        while token in self.reshaped:
            token = self.reshaped[token]
        return token

    def keep(self, tensor: Tensor) -> Token:
        """Store a tensor and return its token, which stays unique as long as the trace lives."""
        token = _token(tensor)
        self.tensors[token] = tensor
        return token

    def add(self, step: Run | Step) -> None:
        """Add an execution, as a user of its input."""
        self.users[self.origin(step.source)].append(step)
        self.steps.append(step)


def _token(tensor: Tensor) -> Token:
    return id(tensor), 0 if tensor.is_inference() else tensor._version


# ------------------------------------------------------------------------------------ torch functions


class _Recorder(TorchFunctionMode):
    """Records every call of torch that is an activation or uses a value of the trace."""

    def __init__(self, trace: Trace, stop: CodeType, parts: frozenset[int], clock: Callable[[], float]) -> None:
        super().__init__()
        self.trace = trace
        self.stop = stop
        self.parts = parts
        self.clock = clock
        self.inside = 0  # depth of modules and functions whose inner calls are not recorded

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.inside:
            return func(*args, **kwargs)
        if getattr(func, "__name__", "") in FUSED:
            return self._fused(func, args, kwargs)
        function = recognise(func)
        slot = slot_of_running_call(function, sys._getframe(1), self.stop, self.parts) if function else None
        if function is None or slot is None:
            return self._other(func, args, kwargs)
        value, rest = (args[0], args[1:]) if args else (kwargs["input"], ())
        running = describe_call(function, rest, kwargs)
        source = self.trace.keep(value)
        shape = tuple(value.shape)
        self.trace.busy += 1
        start = self.clock()
        result = func(*args, **kwargs)
        seconds = self.clock() - start
        self.trace.busy -= 1
        token = self.trace.keep(result)
        self.trace.add(Run(slot=slot, running=running, shape=shape, source=source, result=token, seconds=seconds))
        return result

    def _fused(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Record the activations inside one fused call of torch; the values are used by that call, not by the activation."""
        frame = sys._getframe(2)
        value = next(leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor))
        source, shape = self.trace.keep(value), tuple(value.shape)
        result = self._other(func, args, kwargs)
        output = next(leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor))
        for name in FUSED[func.__name__]:
            slot = slot_in_fused_call(name, func.__name__, frame, self.stop)
            if slot:
                running, token = Running(name=name, spec=name), self.trace.keep(output)
                self.trace.steps.append(Run(slot=slot, running=running, shape=shape, source=source, result=token))
        return result

    def _other(self, func: Any, args: Any, kwargs: Any) -> Any:
        name = getattr(func, "__name__", str(func))
        leaves = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        inputs = [tensor for tensor in leaves if _token(tensor) in self.trace.tensors]
        sources = [_token(tensor) for tensor in inputs]
        result = func(*args, **kwargs)
        if name in _QUERIES and not isinstance(result, Tensor):
            return result
        for tensor, source in zip(inputs, sources, strict=True):
            if result is tensor and _token(tensor) == source:
                continue  # dropout in eval mode, .to() that changes nothing: the value itself comes back
            if name in RESHAPES and isinstance(result, Tensor):
                self.trace.reshaped[self.trace.keep(result)] = source
            else:
                origin = self.trace.origin(source)
                self.trace.users[origin].append(name)
                if name in PRODUCTS and isinstance(result, Tensor):
                    self.trace.products[origin].append(self.trace.keep(result))
        return result


@contextmanager
def _recorded_modules(model: nn.Module, recorder: _Recorder, known: Mapping[int, Running]) -> Iterator[None]:
    """Record the modules that are activations or hold weights, without the calls inside them.

    A class that derives from a layer with weights and has its own ``forward`` may call an activation there: its inner calls are recorded.
    """
    with ExitStack() as stack:
        for module in model.modules():
            is_python = not isinstance(module, torch.jit.ScriptModule)
            if is_python and (id(module) in known or isinstance(module, WEIGHTS)):
                _hook(module, known.get(id(module)), recorder, stack)
        yield


def _hook(module: nn.Module, running: Running | None, recorder: _Recorder, stack: ExitStack) -> None:
    closed = int(running is not None or type(module).forward in _FORWARDS)
    entered: list[tuple[tuple[int, ...], Token, float]] = []
    slot = slot_of_module(module)

    def enter(_: nn.Module, args: Any, kwargs: Any) -> None:
        recorder.inside += 1  # first, so that reading the tensors is not recorded
        recorder.trace.busy += running is not None
        value = next((leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)), None)
        shape, source = ((), (0, 0)) if value is None else (tuple(value.shape), recorder.trace.keep(value))
        recorder.inside -= 1 - closed
        entered.append((shape, source, recorder.clock()))

    def leave(_: nn.Module, _args: Any, result: Any) -> None:
        shape, source, start = entered.pop()
        seconds = recorder.clock() - start
        recorder.inside += 1 - closed
        if recorder.inside == 1 and isinstance(result, Tensor):  # on an error there is no result
            token = recorder.trace.keep(result)
            step: Run | Step = Step(module=module, source=source, result=token)
            if running:
                step = Run(slot=slot, running=running, shape=shape, source=source, result=token, seconds=seconds)
            recorder.trace.add(step)
        recorder.inside -= 1
        recorder.trace.busy -= running is not None

    stack.callback(module.register_forward_pre_hook(enter, with_kwargs=True).remove)
    stack.callback(module.register_forward_hook(leave, always_call=True).remove)


@contextmanager
def _recorded_functions(recorder: _Recorder) -> Iterator[None]:
    """Record the user-defined functions that are activations, without the calls inside them.

    They are seen through ``sys.setprofile``; a profiler that is set already still gets every event.
    """
    if not any_matched():
        yield
        return
    profiler = sys.getprofile()
    entered: list[tuple[FrameType, Slot, Running, tuple[int, ...], Token, float]] = []

    def listen(frame: FrameType, event: Any, result: Any) -> None:
        if profiler is not None:
            profiler(frame, event, result)
        if event == "call" and (function := match_frame(frame)):
            _enter_function(function, frame, recorder, entered)
        elif event == "return" and entered and entered[-1][0] is frame:
            _leave_function(result, recorder, entered)

    sys.setprofile(listen)
    try:
        yield
    finally:
        sys.setprofile(profiler)


def _enter_function(function: ActivationFunction, frame: FrameType, recorder: _Recorder, entered: list[Any]) -> None:
    value = frame.f_locals.get(frame.f_code.co_varnames[0])
    caller = frame.f_back
    if recorder.inside or caller is None or not isinstance(value, Tensor):
        return
    recorder.inside += 1  # first, so that reading the tensor is not recorded
    slot = slot_of_running_call(function, caller, recorder.stop, recorder.parts)
    if slot is None:
        recorder.inside -= 1
        return
    recorder.trace.busy += 1
    running = describe_call(function, [], {"inplace": frame.f_locals.get("inplace")})
    entered.append((frame, slot, running, tuple(value.shape), recorder.trace.keep(value), recorder.clock()))


def _leave_function(result: Any, recorder: _Recorder, entered: list[Any]) -> None:
    _, slot, running, shape, source, start = entered.pop()
    seconds = recorder.clock() - start
    if isinstance(result, Tensor):  # on an error there is none
        token = recorder.trace.keep(result)
        run_ = Run(slot=slot, running=running, shape=shape, source=source, result=token, seconds=seconds)
        recorder.trace.add(run_)
    recorder.inside -= 1
    recorder.trace.busy -= 1


# ----------------------------------------------------------------------------------- the forward pass


def trace(
    model: nn.Module,
    example_inputs: Inputs,
    known: Mapping[int, Running] | None = None,
    *,
    training: bool = False,
    clock: Callable[[], float] = perf_counter,
) -> Trace:
    """Run a model once and record its activations.

    Args:
        model: any module.
        example_inputs: a tensor, a tuple of positional arguments, or a dict of keyword arguments.
        known: the modules that are activations, by ``id``; found anew if not given.
        training: run in training mode with gradients; otherwise in eval mode without.
        clock: returns the time in seconds; on a GPU it must synchronize.

    Raises:
        SiteError: the inputs have another type, or the model raises on them.

    Example:
        >>> [run.running.name for run in trace(nn.Sequential(nn.ReLU(), nn.Tanh()), torch.zeros(1, 3)).runs]
        ['relu', 'tanh']
    """
    known = activation_modules(model) if known is None else known
    result = Trace()
    parts = frozenset(map(id, model.modules()))
    recorder = _Recorder(result, sys._getframe().f_code, parts, clock)
    arguments = copy_inputs(example_inputs)

    def pack(tensor: Tensor) -> Tensor:
        if not result.busy:
            result.saved.add(tensor.untyped_storage().data_ptr())
        return tensor

    packing = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor) if training else nullcontext()
    with (
        no_side_effects(model, training=training),
        _recorded_modules(model, recorder, known),
        packing,
        recorder,
        _recorded_functions(recorder),
    ):
        result.output = run(model, arguments)
    return result
