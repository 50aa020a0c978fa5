"""Shapes: the curves that adaptive activations have learned, for each layer and unit, and how far they are from where they began."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from actlab.errors import SiteError
from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.layers.deferred import Deferred
from actlab.nn.probes.batch import input_of
from actlab.nn.probes.hooks import Again, Hooks, Point, Side
from actlab.nn.probes.quantile_sketch import Sketch
from actlab.nn.sites.dry_run import Inputs, copy_inputs, run, no_side_effects
from actlab.nn.sites.torch_activations import Running
from actlab.nn.sites.user_modules import activation_modules

__all__ = ["Shape", "Shapes", "shapes"]

_WIDE: Final = (-4.0, 4.0)  # of a grid where no data says what the activation sees
_SHARES: Final = (0.001, 0.999)  # of the inputs seen: the ends of a grid, so that a single outlier does not stretch it
_MOST: Final = 64  # states that a recorder keeps


@dataclass(frozen=True, kw_only=True, eq=False)
class Shape:
    """The curve of one adaptive activation.

    Attributes:
        path: of the module.
        spec: what it computes; its class where that is not known.
        x: the grid, shape (points,), float64.
        y: the curves, shape (units, points); one unit where the parameters are shared by the layer.
        initial: the curves at the start, likewise: of the parameters' initial values, or of a recorder's first state.
        parameters: the learned numbers by name, each of shape (1,) or (units,).
        seen: whether the grid spans what the activation saw (from 0.1 % to 99.9 % of its inputs), or is -4 to 4.
        step: passes in training mode before this state, where a recorder took it.
    """

    path: str
    spec: str
    x: np.ndarray
    y: np.ndarray
    initial: np.ndarray
    parameters: Mapping[str, np.ndarray]
    seen: bool
    step: int | None = None

    @property
    def distance(self) -> np.ndarray:
        """How far each unit's curve is from its start: root of the mean squared difference over the grid, shape (units,)."""
        return np.asarray(np.sqrt(np.mean((self.y - self.initial) ** 2, axis=1)))

    def to_dict(self) -> dict[str, Any]:
        """Return everything as data for JSON."""
        numbers = {name: values.tolist() for name, values in self.parameters.items()}
        arrays = {name: getattr(self, name).tolist() for name in ("x", "y", "initial", "distance")}
        return {
            "path": self.path,
            "spec": self.spec,
            **arrays,
            "parameters": numbers,
            "seen": self.seen,
            "step": self.step,
        }


def shapes(
    model: nn.Module,
    data: Iterable[Any] | None = None,
    *,
    points: int = 97,
    batches: int | None = None,
    inputs: Callable[[Any], Inputs] = input_of,
) -> list[Shape]:
    """Return the curve of every adaptive activation of a model: of layers with learned parameters, and of ``nn.PReLU``.

    A gated activation is drawn as its gate, at the value 1. Functions that mix elements have no curve and are left out. The model is left
    as it was.

    Args:
        model: any module.
        data: batches; with them each grid spans what the activation sees, without -4 to 4.
        points: of the grid.
        batches: how many are looked at; all if not given.
        inputs: picks the model's input from a batch that is neither a tensor, a mapping nor a sequence.

    Raises:
        SiteError: the model raises on a batch, or ``points`` is below 2.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.PReLU(3), nn.Linear(3, 1))
        >>> _ = net[1].weight.data.copy_(torch.tensor([0.25, 0.5, 1.0]))
        >>> shape = shapes(net, points=3)[0]
        >>> shape.x.tolist(), shape.y.tolist()
        ([-4.0, 0.0, 4.0], [[-1.0, 0.0, 4.0], [-2.0, 0.0, 4.0], [-4.0, 0.0, 4.0]])
        >>> [round(float(d), 2) for d in shape.distance]
        [0.0, 0.58, 1.73]
    """
    if points < 2:
        raise SiteError(f"A curve needs two points at least; got points={points!r}.")
    spans = {} if data is None else _spans(model, islice(data, batches), inputs)
    found = []
    for curve in _curves(model):
        low, high = spans.get(curve.path, _WIDE)
        x = torch.linspace(low, high, points, dtype=torch.float64)
        found.append(curve.shape(x, curve.now(), curve.start(), seen=curve.path in spans))
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class _Curve:
    """An adaptive activation, on a copy of its module: whatever is computed here, the model's own is not touched."""

    path: str
    module: nn.Module
    running: Running

    def _spec(self) -> str:
        """Return the spec as it was written; of a module of torch's the name, whose parameters stand beside it."""
        held = self.module.activation if isinstance(self.module, Deferred) else self.module
        return str(held.spec) if isinstance(held, ActivationLayer) else self.running.name or "?"

    def now(self) -> dict[str, Tensor]:
        """Return the learned numbers as they are, float64."""
        return {name: p.detach().double().cpu().clone() for name, p in self.module.named_parameters()}

    def start(self) -> dict[str, Tensor]:
        """Return the learned numbers as the module sets them when it is made; as they are where it does not say."""
        twin = deepcopy(self.module)
        reset = getattr(twin, "reset_parameters", None)
        if callable(reset):
            with torch.random.fork_rng(devices=[]):
                reset()
        return {name: p.detach().double().cpu() for name, p in twin.named_parameters()}

    def values(self, x: Tensor, state: Mapping[str, Tensor]) -> np.ndarray:
        """Return the curves on a grid, shape (units, points)."""
        units = max([1, *(len(p) for p in state.values() if p.dim())])
        grid = x[:, None].expand(-1, units).contiguous()
        twin = deepcopy(self.module).to("cpu", torch.float64).eval()
        arguments = (grid, torch.ones_like(grid)) if self.running.kind == "gated" else (grid,)
        with torch.no_grad():
            y: Tensor = functional_call(twin, dict(state), arguments)
        return y.T.numpy()

    def shape(
        self,
        x: Tensor,
        state: Mapping[str, Tensor],
        start: Mapping[str, Tensor],
        *,
        seen: bool,
        step: int | None = None,
    ) -> Shape:
        """Return the curves at a state, beside those at the start."""
        return Shape(
            path=self.path,
            spec=self._spec(),
            x=x.numpy(),
            y=self.values(x, state),
            initial=self.values(x, start),
            parameters={name: p.reshape(-1).numpy() for name, p in state.items()},
            seen=seen,
            step=step,
        )


def _curves(model: nn.Module) -> Iterator[_Curve]:
    """Yield the adaptive activations in order of definition: known functions of one number, or gated, with parameters of their own."""
    known = activation_modules(model)
    for path, module in model.named_modules():
        running = known.get(id(module))
        if running is None or running.kind == "vector" or not any(True for _ in module.parameters()):
            continue
        if isinstance(module, torch.jit.ScriptModule):
            continue
        yield _Curve(path=path, module=module, running=running)


class _Range:
    """Notes what adaptive activations see: what listens to the taps."""

    def __init__(self) -> None:
        self.sketches: dict[str, Sketch] = {}

    def seen(self, point: Point, x: Tensor, y: Tensor, again: Again | None, /) -> None:  # noqa: ARG002 the taps give it
        self.sketches.setdefault(point.path, Sketch()).add(x)

    def gradient(self, point: Point, side: Side, gradient: Tensor, /) -> None:
        """There are none."""


def _spans(model: nn.Module, batches: Iterable[Any], inputs: Callable[[Any], Inputs]) -> dict[str, tuple[float, float]]:
    """Return the range of every activation's inputs, by path; none where it is a point or not finite."""
    ear = _Range()
    taps = Hooks(model, ear)
    with no_side_effects(model):
        for batch in batches:
            taps.open()
            try:
                run(model, copy_inputs(inputs(batch)))
            finally:
                taps.close()
    ends = {path: sketch.quantiles(_SHARES) for path, sketch in ear.sketches.items()}
    return {path: (low, high) for path, (low, high) in ends.items() if np.isfinite([low, high]).all() and low < high}


class Shapes:
    """Records the learned numbers of a model's adaptive activations while it trains.

    As a context manager around any training loop it counts the model's passes in training mode and copies the parameters before every
    ``every``-th of them, and at the end. Only those numbers are kept, at most 64 states: when there would be more, every second one is
    forgotten and ``every`` doubles. The training is the same to the bit with it and without it.

    Args:
        model: any module.
        every: how many passes lie between two states.

    Raises:
        SiteError: ``every`` is no positive whole number, or the model has no adaptive activation.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.PReLU(), nn.Linear(3, 1))
        >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        >>> with Shapes(net, every=2) as record:
        ...     for _ in range(5):
        ...         optimizer.zero_grad()
        ...         net(torch.ones(4, 2)).sum().backward()
        ...         optimizer.step()
        >>> record.steps, len(record.history("1"))
        ([0, 2, 4, 5], 4)
    """

    def __init__(self, model: nn.Module, *, every: int = 100) -> None:
        if every < 1 or every != int(every):
            raise SiteError(f"every says how many passes lie between two states: 1 or more; got {every!r}.")
        self.model = model
        self.every = int(every)
        self._adaptive = {curve.path: curve for curve in _curves(model)}
        if not self._adaptive:
            raise SiteError(
                f"{type(model).__name__} has no adaptive activation: none has parameters. Put one in: "
                "actlab.swap_(model, 'swish(beta=learned)')."
            )
        self._states: list[tuple[int, dict[str, dict[str, Tensor]]]] = []
        self._passes = 0
        self._hook: Any = None

    def start(self) -> Self:
        """Begin to count passes."""
        if self._hook is None:
            self._hook = self.model.register_forward_pre_hook(self._count)
        return self

    def stop(self) -> None:
        """Take the hook off the model, and note the last state."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
            self._note()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _count(self, module: nn.Module, _args: Any) -> None:
        if not (module.training and torch.is_grad_enabled()):
            return
        if self._passes % self.every == 0:
            self._note()
        self._passes += 1

    def _note(self) -> None:
        if self._states and self._states[-1][0] == self._passes:
            return
        self._states.append((self._passes, {path: curve.now() for path, curve in self._adaptive.items()}))
        if len(self._states) > _MOST:
            self.every *= 2
            self._states = [state for state in self._states if state[0] % self.every == 0 or state is self._states[-1]]

    @property
    def paths(self) -> list[str]:
        """The adaptive activations."""
        return list(self._adaptive)

    @property
    def steps(self) -> list[int]:
        """How many passes lay before each state."""
        return [step for step, _ in self._states]

    def history(self, path: str, x: Sequence[float] | np.ndarray | None = None) -> list[Shape]:
        """Return the curves of one activation over training; their start is the first state.

        Args:
            path: of the module.
            x: the grid; -4 to 4 in 97 points if not given. ``shapes(model, data)`` has one that spans what the activation sees.

        Raises:
            SiteError: there is no such adaptive activation, or nothing was recorded.
        """
        if path not in self._adaptive:
            raise SiteError(f"There is no adaptive activation {path!r}; there are {', '.join(self.paths)}.")
        if not self._states:
            raise SiteError("Nothing was recorded yet: use it as a context around the training loop.")
        curve, seen = self._adaptive[path], x is not None
        grid = (
            torch.linspace(*_WIDE, 97, dtype=torch.float64) if x is None else torch.as_tensor(np.asarray(x, np.float64))
        )
        first = self._states[0][1][path]
        return [curve.shape(grid, state[path], first, seen=seen, step=step) for step, state in self._states]
