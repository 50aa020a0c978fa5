"""Curves that adaptive activations have learned, by layer and unit, and their distance from the start."""

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
from actlab.nn.passes.model_argument import takes_model
from actlab.nn.probes.batch import input_of
from actlab.nn.probes.hooks import Hooks, Point, Recompute, Side
from actlab.nn.probes.quantile_sketch import QuantileSketch
from actlab.nn.recognition.torch_activations import Running
from actlab.nn.sites.dry_run import Inputs, copy_inputs, no_side_effects, run
from actlab.nn.sites.user_modules import activation_modules
from actlab.system.display import Displayed

__all__ = ["LearnedShapes", "Shape", "Shapes", "shapes"]

_DEFAULT_RANGE: Final = (-4.0, 4.0)  # of a grid without data
_QUANTILES: Final = (0.001, 0.999)  # of the inputs: the ends of a grid with data, which single outliers do not stretch
_MOST: Final = 64  # recorded states


@dataclass(frozen=True, kw_only=True, eq=False)
class Shape:
    """Learned curve of one adaptive activation.

    Attributes:
        path: path of the module.
        spec: what it computes; its class where that is not known.
        x: the grid, shape (points,), float64.
        y: the curves, shape (units, points); one unit where the parameters are shared by the layer.
        initial: the curves at the start, shape (units, points): at the initial parameters, or at a recorder's first state.
        parameters: the learned parameters by name, each of shape (1,) or (units,).
        seen: whether the grid spans the inputs of the activation (from the 0.1 % to the 99.9 % quantile); else it is -4 to 4.
        step: number of passes in training mode before this state, where it was recorded.
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
        """Root mean square difference of each unit's curve from its start, over the grid, shape (units,)."""
        return np.asarray(np.sqrt(np.mean((self.y - self.initial) ** 2, axis=1)))

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as data for JSON."""
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


class LearnedShapes(Displayed, list[Shape]):
    """The learned curves of a model: a list that is printed as a table."""


@takes_model
def shapes(
    model: nn.Module,
    data: Iterable[Any] | None = None,
    *,
    points: int = 97,
    batches: int | None = None,
    inputs: Callable[[Any], Inputs] = input_of,
) -> LearnedShapes:
    """Return the curve of every adaptive activation of a model: layers with learned parameters, and ``nn.PReLU``.

    A gated activation has the curve of its gate, at the value 1. Functions that mix elements have no curve and are left out. The model is
    left unchanged.

    Args:
        model: any module.
        data: batches; with data each grid spans the inputs of the activation, without it -4 to 4.
        points: number of points of the grid, at least 2.
        batches: most batches to use; all if not given.
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
    ranges = {} if data is None else _input_ranges(model, islice(data, batches), inputs)
    result = LearnedShapes()
    for curve in _curves(model):
        low, high = ranges.get(curve.path, _DEFAULT_RANGE)
        x = torch.linspace(low, high, points, dtype=torch.float64)
        result.append(curve.shape(x, curve.parameters(), curve.initial_parameters(), seen=curve.path in ranges))
    return result


@dataclass(frozen=True, kw_only=True, eq=False)
class _Curve:
    """An adaptive activation; everything is computed on copies of its module."""

    path: str
    module: nn.Module
    running: Running

    def _spec(self) -> str:
        """Return the spec of a layer; the name of a module of torch, whose parameters are listed separately."""
        module = self.module.activation if isinstance(self.module, Deferred) else self.module
        return str(module.spec) if isinstance(module, ActivationLayer) else self.running.name or "?"

    def parameters(self) -> dict[str, Tensor]:
        """Return the learned parameters, float64."""
        return {name: p.detach().double().cpu().clone() for name, p in self.module.named_parameters()}

    def initial_parameters(self) -> dict[str, Tensor]:
        """Return the parameters after ``reset_parameters``; unchanged where the module has no such method."""
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
        """Return the curves at a state, with those at the start."""
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
    """Yield the adaptive activations in order of definition: elementwise and gated functions with parameters."""
    known = activation_modules(model)
    for path, module in model.named_modules():
        running = known.get(id(module))
        if running is None or running.kind == "vector" or not any(True for _ in module.parameters()):
            continue
        if isinstance(module, torch.jit.ScriptModule):
            continue
        yield _Curve(path=path, module=module, running=running)


class _InputObserver:
    """Collects the quantiles of every activation's inputs."""

    def __init__(self) -> None:
        self.sketches: dict[str, QuantileSketch] = {}

    def on_forward(self, point: Point, x: Tensor, y: Tensor, recompute: Recompute | None, /) -> None:  # noqa: ARG002 the protocol has it
        self.sketches.setdefault(point.path, QuantileSketch()).add(x)

    def on_gradient(self, point: Point, side: Side, gradient: Tensor, /) -> None:
        """Ignore gradients."""


def _input_ranges(
    model: nn.Module, batches: Iterable[Any], inputs: Callable[[Any], Inputs]
) -> dict[str, tuple[float, float]]:
    """Return the range of every activation's inputs, by path; left out where it is a point or not finite."""
    observer = _InputObserver()
    hooks = Hooks(model, observer)
    with no_side_effects(model):
        for batch in batches:
            with hooks:
                run(model, copy_inputs(inputs(batch)))
    ends = {path: sketch.quantiles(_QUANTILES) for path, sketch in observer.sketches.items()}
    return {path: (low, high) for path, (low, high) in ends.items() if np.isfinite([low, high]).all() and low < high}


class Shapes:
    """Record the learned parameters of a model's adaptive activations during training.

    As a context manager around any training loop it counts the model's passes in training mode and copies the parameters before every
    ``every``-th pass, and at the end. At most 64 states are stored: when there would be more, every second one is dropped and ``every``
    doubles. Training is the same to the bit with it and without it.

    Args:
        model: any module.
        every: number of passes between two states.

    Raises:
        SiteError: ``every`` is no positive integer, or the model has no adaptive activation.

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
            raise SiteError(f"every is the number of passes between two states, 1 or more; got {every!r}.")
        self.model = model
        self.every = int(every)
        self._adaptive = {curve.path: curve for curve in _curves(model)}
        if not self._adaptive:
            raise SiteError(
                f"{type(model).__name__} has no adaptive activation: none has parameters. Swap one in: "
                "actlab.swap_(model, 'swish(beta=learned)')."
            )
        self._states: list[tuple[int, dict[str, dict[str, Tensor]]]] = []
        self._passes = 0
        self._hook: Any = None

    def start(self) -> Self:
        """Start to count passes."""
        if self._hook is None:
            self._hook = self.model.register_forward_pre_hook(self._count)
        return self

    def stop(self) -> None:
        """Remove the hook, and record the last state."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
            self._record()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _count(self, module: nn.Module, _args: Any) -> None:
        if not (module.training and torch.is_grad_enabled()):
            return
        if self._passes % self.every == 0:
            self._record()
        self._passes += 1

    def _record(self) -> None:
        if self._states and self._states[-1][0] == self._passes:
            return
        self._states.append((self._passes, {path: curve.parameters() for path, curve in self._adaptive.items()}))
        if len(self._states) > _MOST:
            self.every *= 2
            self._states = [state for state in self._states if state[0] % self.every == 0 or state is self._states[-1]]

    @property
    def paths(self) -> list[str]:
        """Paths of the adaptive activations."""
        return list(self._adaptive)

    @property
    def steps(self) -> list[int]:
        """Number of passes before each state."""
        return [step for step, _ in self._states]

    def history(self, path: str, x: Sequence[float] | np.ndarray | None = None) -> list[Shape]:
        """Return the curves of one activation over training, against the first state.

        Args:
            path: path of the module.
            x: the grid; 97 points from -4 to 4 if not given. ``shapes(model, data)`` has a grid that spans the activation's inputs.

        Raises:
            SiteError: there is no such adaptive activation, or nothing was recorded.
        """
        if path not in self._adaptive:
            raise SiteError(f"There is no adaptive activation {path!r}; there are {', '.join(self.paths)}.")
        if not self._states:
            raise SiteError("Nothing was recorded yet: use it as a context manager around the training loop.")
        curve, seen = self._adaptive[path], x is not None
        default = torch.linspace(*_DEFAULT_RANGE, 97, dtype=torch.float64)
        grid = default if x is None else torch.as_tensor(np.asarray(x, np.float64))
        first = self._states[0][1][path]
        return [curve.shape(grid, state[path], first, seen=seen, step=step) for step, state in self._states]
