"""Trace one forward pass to record which activations ran, in what order and on which values.

The pass leaves the model unchanged, see :mod:`actlab.nn.sites.dry_run`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from time import perf_counter
from types import CodeType, FrameType
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from actlab.nn.passes.linear_calls import LAYERS, LinearCall, calling_module, linear_call
from actlab.nn.passes.unit_axes import UnitAxes, UnitAxis
from actlab.nn.passes.value_flow import PRODUCTS, RESHAPES
from actlab.nn.passes.values import reason_not_computable, shape_of, storages
from actlab.nn.recognition.torch_activations import FUSED, ActivationFunction, Running, describe_call, recognise
from actlab.nn.sites.dry_run import Inputs, copy_inputs, no_side_effects, run
from actlab.nn.sites.pass_record import Run, Step, Token, Trace, WeightedCall, token_of
from actlab.nn.sites.running_calls import running_formula, slot_in_fused_call, slot_of_running_call
from actlab.nn.sites.slot import Slot, slot_of_module
from actlab.nn.sites.source_calls import running_formulas
from actlab.nn.sites.user_functions import any_matched, match_frame
from actlab.nn.sites.user_modules import activation_modules
from actlab.nn.sites.written_out import WrittenOut

__all__ = ["WEIGHTS", "Run", "Step", "Token", "Trace", "WeightedCall", "trace"]

WEIGHTS: Final = LAYERS
_FORWARDS: Final = frozenset(cls.forward for cls in WEIGHTS)
# fmt: off
_QUERIES: Final = frozenset({  # functions that read properties of a tensor
    "__get__", "__len__", "dim", "element_size", "get_device", "is_complex", "is_contiguous", "is_floating_point", "numel", "size",
    "storage_offset", "stride",
})
# fmt: on


# ------------------------------------------------------------------------------------ torch functions


@dataclass(frozen=True, kw_only=True, eq=False)
class _Before:
    """What is known of an activation's input before it runs; see :class:`Run`."""

    source: Token = (0, 0)
    shape: tuple[int, ...] = ()
    axis: UnitAxis | None = None
    unusual: str | None = None


class _Recorder(TorchFunctionMode):
    """Records every call of torch that is an activation or uses a value of the trace."""

    def __init__(self, trace: Trace, stop: CodeType, parts: frozenset[int], clock: Callable[[], float]) -> None:
        super().__init__()
        self.trace = trace
        self.stop = stop
        self.parts = parts
        self.clock = clock
        self.axes = UnitAxes()
        self.parameters: frozenset[int] = frozenset()  # id of the parameters of the model
        self.call: LinearCall | None = None  # the latest one inside a layer with weights
        self.formulas: Mapping[tuple[CodeType, int], Sequence[WrittenOut]] = {}
        self.begun: dict[Hashable, tuple[_Before, float]] = {}  # functions written out of which the first part has run
        self.inside = 0  # depth of modules and functions whose inner calls are not recorded

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.inside:
            return self._inner(func, args, kwargs)
        formula = running_formula(sys._getframe(1), self.formulas) if self.formulas else None
        if formula is not None:
            return self._part(*formula, func, args, kwargs)
        if getattr(func, "__name__", "") in FUSED:
            return self._fused(func, args, kwargs)
        function = recognise(func)
        slot = slot_of_running_call(function, sys._getframe(1), self.stop, self.parts) if function else None
        if function is None or slot is None:
            return self._other(func, args, kwargs)
        value, rest = (args[0], args[1:]) if args else (kwargs["input"], ())
        running = describe_call(function, rest, kwargs)
        ran = self.before(value)
        self.trace.busy += 1
        start = self.clock()
        result = func(*args, **kwargs)
        seconds = self.clock() - start
        self.trace.busy -= 1
        self.add_run(ran, slot, running, result, seconds)
        return result

    def before(self, value: Tensor) -> _Before:
        """Return what is known of an activation's input."""
        return _Before(
            source=self.trace.keep(value),
            shape=shape_of(value),
            axis=self.axes.of(value),
            unusual=reason_not_computable(value),
        )

    def add_run(self, before: _Before, slot: Slot, running: Running, result: Tensor, seconds: float) -> None:
        """Add the execution of an activation, whose units stay along the axis where they were."""
        self.axes.keep(before.axis, result)
        self.trace.add(
            Run(
                slot=slot,
                running=running,
                shape=before.shape,
                source=before.source,
                result=self.trace.keep(result),
                seconds=seconds,
                axis=before.axis,
                unusual=before.unusual,
            )
        )

    def _part(self, formula: WrittenOut, is_last: bool, func: Any, args: Any, kwargs: Any) -> Any:
        """Run a part of a function that is written out; with the last one, the function has run."""
        key = formula.slot.key
        if key not in self.begun:  # the first part takes the input
            self.begun[key] = self.before(_tensors((args, kwargs))[0]), self.clock()
        self.trace.busy += 1
        result = func(*args, **kwargs)
        self.trace.busy -= 1
        if is_last:
            before, start = self.begun.pop(key)
            self.add_run(before, formula.slot, formula.running, result, self.clock() - start)
        return result

    def _inner(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Run a function inside a layer with weights or an activation, and note how a weight is applied."""
        result = func(*args, **kwargs)
        call = linear_call(getattr(func, "__name__", ""), args, kwargs, self.parameters)
        if call is not None and isinstance(result, Tensor):
            self.axes.start(call, result, None)
            self.call = call
        return result

    def _fused(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Record the activations inside one fused call of torch; the values are used by that call, not by the activation."""
        frame = sys._getframe(2)
        value = next(leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor))
        source, shape = self.trace.keep(value), shape_of(value)
        result = self._other(func, args, kwargs)
        self.trace.flow.layer(_tensors((args, kwargs)), _tensors(result))
        output = next(leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor))
        for name in FUSED[func.__name__]:
            slot = slot_in_fused_call(name, func.__name__, frame, self.stop)
            if slot:
                running, token = Running(name=name, spec=name), self.trace.keep(output)
                self.trace.steps.append(Run(slot=slot, running=running, shape=shape, source=source, result=token))
        return result

    def _other(self, func: Any, args: Any, kwargs: Any) -> Any:
        name = getattr(func, "__name__", str(func))
        leaves = _tensors((args, kwargs))
        inputs = [tensor for tensor in leaves if token_of(tensor) in self.trace.tensors]
        sources = [token_of(tensor) for tensor in inputs]
        units = self.axes.inputs(leaves)
        result = func(*args, **kwargs)
        numbers = [leaf for leaf in (*args, *kwargs.values()) if isinstance(leaf, (int, float))]
        self.trace.flow.call(name, leaves, leaves[:1] if name == "__setitem__" else _tensors(result), numbers)
        if name in _QUERIES and not isinstance(result, Tensor):
            return result
        call = linear_call(name, args, kwargs, self.parameters)
        if call is not None and isinstance(result, Tensor):
            self._add_weighted(call, result)
        else:
            self.axes.follow(func, units, args, kwargs, result)
        for tensor, source in zip(inputs, sources, strict=True):
            if result is tensor and token_of(tensor) == source:
                continue  # dropout in eval mode, .to() that changes nothing: the value itself comes back
            if name in RESHAPES and isinstance(result, Tensor):
                self.trace.reshaped[self.trace.keep(result)] = source
            else:
                origin = self.trace.origin(source)
                self.trace.users[origin].append(name)
                if name in PRODUCTS and isinstance(result, Tensor):
                    self.trace.products[origin].append(self.trace.keep(result))
        return result

    def _add_weighted(self, call: LinearCall, result: Tensor) -> None:
        self.axes.start(call, result, None)
        owner = calling_module(sys._getframe(3), self.parts)
        source = self.trace.keep(call.input) if isinstance(call.input, Tensor) else (0, 0)
        self.trace.steps.append(WeightedCall(owner=owner, call=call, source=source, result=self.trace.keep(result)))


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


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
    entered: list[tuple[_Before, float]] = []
    slot = slot_of_module(module)

    def enter(_: nn.Module, args: Any, kwargs: Any) -> None:
        recorder.inside += 1  # first, so that reading the tensors is not recorded
        recorder.trace.busy += running is not None
        value = next((leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)), None)
        before = _Before() if value is None else recorder.before(value)
        recorder.inside -= 1 - closed
        recorder.call = None
        entered.append((before, recorder.clock()))

    def leave(_: nn.Module, _args: Any, result: Any) -> None:
        before, start = entered.pop()
        seconds = recorder.clock() - start
        recorder.inside += 1 - closed
        if recorder.inside == 1 and isinstance(result, Tensor):  # on an error there is no result
            if running:
                recorder.add_run(before, slot, running, result, seconds)
            else:
                call = recorder.call if closed else None
                token = recorder.trace.keep(result)
                recorder.trace.add(Step(module=module, source=before.source, result=token, call=call))
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
    entered: list[tuple[FrameType, Slot, Running, _Before, float]] = []

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
    entered.append((frame, slot, running, recorder.before(value), recorder.clock()))


def _leave_function(result: Any, recorder: _Recorder, entered: list[Any]) -> None:
    _, slot, running, before, start = entered.pop()
    seconds = recorder.clock() - start
    if isinstance(result, Tensor):  # on an error there is none
        recorder.add_run(before, slot, running, result, seconds)
    recorder.inside -= 1
    recorder.trace.busy -= 1


# ----------------------------------------------------------------------------------- the forward pass


def trace(
    model: nn.Module,
    example_inputs: Inputs,
    known: Mapping[int, Running] | None = None,
    *,
    training: bool = False,
    whole: bool = True,
    clock: Callable[[], float] = perf_counter,
) -> Trace:
    """Run a model once and record its activations.

    Args:
        model: any module.
        example_inputs: a tensor, a tuple of positional arguments, or a dict of keyword arguments.
        known: the modules that are activations, by ``id``; found anew if not given.
        training: run in training mode with gradients; otherwise in eval mode without.
        whole: record a function that is written out, as ``h * torch.sigmoid(h)``, as one, not its parts.
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
    recorder.parameters = frozenset(map(id, model.parameters()))
    recorder.formulas = running_formulas(model) if whole else {}
    arguments = copy_inputs(example_inputs)
    result.flow.give([*model.parameters(), *model.buffers()], weight=True)
    result.flow.give(_tensors(arguments))

    def pack(tensor: Tensor) -> Tensor:
        if not result.busy:
            result.saved |= {storage.data_ptr() for storage in storages(tensor)}
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
