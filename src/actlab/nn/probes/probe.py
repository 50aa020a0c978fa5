"""Measure every activation of a model over data or during training, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any, Protocol, Self, TypedDict, Unpack

import torch
from torch import Tensor, nn

from actlab.errors import SiteError
from actlab.nn.passes.model_argument import takes_model
from actlab.nn.passes.sharded import check_not_sharded
from actlab.nn.probes.accumulator import Accumulator
from actlab.nn.probes.batch import input_of, target_of, to_device
from actlab.nn.probes.hooks import Hooks, Point, Recompute, Side
from actlab.nn.probes.probe_report import ProbeReport, row_of, without_units
from actlab.nn.sites.dry_run import Inputs, copy_inputs, no_side_effects, run
from actlab.system.options import from_options

__all__ = ["Probe", "ProbeOptions", "ProbeSettings", "Scaler", "Writer", "probe"]

Loss = Callable[[Any, Any], Tensor]
Writer = Callable[[int, Mapping[str, float]], None]


class Scaler(Protocol):
    """Scales the loss before the backward pass, such as ``torch.amp.GradScaler``."""

    def get_scale(self) -> float:
        """Return the current factor."""


@dataclass(frozen=True, kw_only=True)
class ProbeSettings:
    """Options of :func:`probe`.

    Attributes:
        batches: most batches to use; all if not given.
        inputs: picks the model's input (a tensor, a tuple of positional arguments, or a dict) from a batch; by default the batch is a
            tensor, a mapping of keyword arguments, or a sequence whose first element is the input.
        at_init: a report of the same model at initialization; dead units that were dead there are *born dead*.
        threshold: outputs whose absolute value is not above it count for the sparsity. Dead units are found by exact zeros.
        rank: measure the effective rank too; it takes ``8 * width**2`` bytes for each activation, of at most 512 units.
        training: run the model in training mode (dropout, batch statistics); otherwise in eval mode.
    """

    batches: int | None = None
    inputs: Callable[[Any], Inputs] | None = None
    at_init: ProbeReport | None = None
    threshold: float = 0.0
    rank: bool = True
    training: bool = False


class ProbeOptions(TypedDict, total=False):
    """Keyword options of :func:`probe`: the fields of :class:`ProbeSettings`."""

    batches: int | None
    inputs: Callable[[Any], Inputs] | None
    at_init: ProbeReport | None
    threshold: float
    rank: bool
    training: bool


class _Accumulators:
    """The accumulators of all points; an observer of :class:`Hooks`.

    Args:
        threshold: see :class:`ProbeSettings`.
        rank: see :class:`ProbeSettings`.
        scaler: see :class:`Probe`.
    """

    def __init__(self, *, threshold: float, rank: bool, scaler: Scaler | None = None) -> None:
        self.threshold, self.rank, self.scaler = threshold, rank, scaler
        self.by_point: dict[Hashable, Accumulator] = {}

    def on_forward(self, point: Point, x: Tensor, y: Tensor, recompute: Recompute | None, /) -> None:
        """Add an execution."""
        self._at(point).add(x, y, recompute)

    def on_gradient(self, point: Point, side: Side, gradient: Tensor, /) -> None:
        """Add a gradient."""
        self._at(point).add_gradient(side, gradient, self.scaler.get_scale() if self.scaler else 1.0)

    def _at(self, point: Point) -> Accumulator:
        if point.key not in self.by_point:
            self.by_point[point.key] = Accumulator(point, threshold=self.threshold, rank=self.rank)
        return self.by_point[point.key]

    def end_batch(self) -> None:
        """End the batch at every point."""
        for accumulator in self.by_point.values():
            accumulator.end_batch()

    def merge(self, others: Iterable[Accumulator]) -> None:
        """Add what other accumulators have counted."""
        for accumulator in others:
            self._at(accumulator.point).merge(accumulator)


@takes_model
def probe(
    model: nn.Module,
    loader: Iterable[Any],
    loss: Loss | None = None,
    *,
    settings: ProbeSettings | None = None,
    **options: Unpack[ProbeOptions],
) -> ProbeReport:
    """Measure every activation of a model over a set of data.

    Memory does not grow with the data. The model is left unchanged: weights and their gradients, buffers, flags, hooks, random generators.

    Args:
        model: any module.
        loader: batches: tensors, mappings of keyword arguments, or sequences whose first element is the model's input, such as the pairs
            of a DataLoader. They are moved to the device of the model.
        loss: a function of output and target that returns a scalar; with it gradients are measured. The target is the second element of
            a sequence, or the batch itself: ``lambda output, batch: output.loss``.
        settings: options, see :class:`ProbeSettings`.
        options: the same options as keywords, which take precedence.

    Raises:
        SiteError: there is no batch, the model raises on one, no activation runs, or nothing has a gradient although a loss was given.
        TypeError: an option is unknown.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
        >>> nn.init.constant_(net[0].bias[:1], -100.0)
        tensor([-100.], grad_fn=...)
        >>> report = probe(net, [torch.randn(8, 2) for _ in range(3)])
        >>> report["1"].dead, report["1"].samples
        (0.25, 24)
    """
    chosen = from_options(ProbeSettings, settings, options)
    accumulators = _Accumulators(threshold=chosen.threshold, rank=chosen.rank)
    hooks = Hooks(model, accumulators)
    weights = [p for p in model.parameters() if p.requires_grad] if loss else []
    if loss and not weights:
        raise SiteError(
            "A loss was given, but no parameter of the model has requires_grad set, so there is no gradient. Leave the loss out."
        )
    if loss:
        check_not_sharded(model, "A probe with a loss")
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    with no_side_effects(model, training=chosen.training), torch.set_grad_enabled(loss is not None):
        for batch in islice(loader, chosen.batches):
            _pass(hooks, to_device(batch, device), chosen.inputs or input_of, loss, weights)
            accumulators.end_batch()
    seen = [accumulator for accumulator in accumulators.by_point.values() if accumulator.batches.batches]
    if not seen:
        raise SiteError(_no_activation(model, hooks))
    return ProbeReport(rows=tuple(row_of(each, chosen.at_init) for each in seen), unseen=hooks.unseen)


def _pass(
    hooks: Hooks, batch: Any, inputs: Callable[[Any], Inputs], loss: Loss | None, weights: Sequence[Tensor]
) -> None:
    arguments = copy_inputs(inputs(batch))
    with hooks:
        output = run(hooks.model, arguments)
    if loss is not None:  # backward() would write to .grad
        torch.autograd.grad(loss(output, target_of(batch)), weights, allow_unused=True)
    hooks.release()


def _no_activation(model: nn.Module, hooks: Hooks) -> str:
    unseen = "".join(f" {path}: {reason}." for path, reason in hooks.unseen.items())
    return (
        f"No activation was seen in {type(model).__name__}: either the loader gave no batch (a generator that was read before is empty), "
        f"or no activation runs that can be observed.{unseen} actlab.find(model, example_inputs) lists all activations."
    )


class Probe:
    """Measure the activations of a model during training, in every n-th pass.

    As a context manager around any training loop it counts the model's passes in training mode and measures every ``every``-th of them,
    beginning with the first. Between these passes the model has one counting hook, and after the loop none. Training is the same to the
    bit with it and without it, under autocast too (of a compiled model, the measured passes run without the compiler, and round as eager
    torch does).

    Losses that are scaled for half precision need ``scaler``. For Lightning and transformers there are callbacks in
    :mod:`actlab.integrations`.

    Args:
        model: any module; a compiled one as ``torch.compile`` returned it.
        every: number of passes between two measured ones.
        writer: called with the number and ``{"path/name": value}`` of every measured pass; see :mod:`actlab.integrations.writers`.
        at_init: see :class:`ProbeSettings`.
        threshold: see :class:`ProbeSettings`.
        rank: see :class:`ProbeSettings`.
        scaler: the ``GradScaler`` in use.

    Raises:
        SiteError: the model cannot be observed, or ``every`` is no positive integer.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
        >>> with Probe(net, every=2) as measured:
        ...     for _ in range(5):
        ...         net(torch.ones(4, 2)).sum().backward()
        >>> [report.step for report in measured.history], measured.report()["1"].batches
        ([0, 2, 4], 3)
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        every: int = 100,
        writer: Writer | None = None,
        at_init: ProbeReport | None = None,
        threshold: float = 0.0,
        rank: bool = True,
        scaler: Scaler | None = None,
    ) -> None:
        if every < 1 or every != int(every):
            raise SiteError(f"every is the number of passes between two measured ones, 1 or more; got {every!r}.")
        self.model = model
        self.every = every
        self.writer = writer
        self.at_init = at_init
        self._current = _Accumulators(threshold=threshold, rank=rank, scaler=scaler)  # of the measured pass
        self._total = _Accumulators(threshold=threshold, rank=rank)
        self._hooks = Hooks(model, self._current)
        self._history: list[ProbeReport] = []
        self._counting_hook: Any = None
        self._closing_hook: Any = None
        self._armed_hook: Any = None
        self._passes = 0
        self._step = 0

    # ---------------------------------------------------------------------------------------- measured passes

    def start(self) -> Self:
        """Start to count passes."""
        if self._counting_hook is None:
            self._counting_hook = self.model.register_forward_pre_hook(self._count)
        return self

    def stop(self) -> None:
        """Remove all hooks from the model. The measurements stay."""
        self.end()
        self._disarm()
        self._finish_pass()
        if self._counting_hook is not None:
            self._counting_hook.remove()
            self._counting_hook = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def arm(self, step: int) -> None:
        """Measure the model's next pass in training mode, and no other.

        Args:
            step: its number in the history.
        """
        self._disarm()
        self._armed_hook = self.model.register_forward_pre_hook(lambda module, _: self._measure(module, step))

    def _count(self, module: nn.Module, _args: Any) -> None:
        if self._is_training(module):
            number, self._passes = self._passes, self._passes + 1
            if number % self.every == 0:
                self._measure(module, number)

    def _measure(self, module: nn.Module, step: int) -> None:
        if self._is_training(module):
            self._disarm()
            self.begin(step)
            self._closing_hook = module.register_forward_hook(lambda *_: self.end(), always_call=True)

    def _is_training(self, module: nn.Module) -> bool:
        return module.training and torch.is_grad_enabled() and not self._hooks.is_open

    def _disarm(self) -> None:
        if self._armed_hook is not None:
            self._armed_hook.remove()
            self._armed_hook = None

    def begin(self, step: int) -> None:
        """Measure the model from now on, up to :meth:`end`; for loops that count their steps themselves.

        Args:
            step: its number in the history.
        """
        self._finish_pass()
        self._step = step
        self._hooks.open()

    def end(self) -> None:
        """Stop measuring; gradients of the measured pass still count, until the next :meth:`begin`."""
        self._hooks.close()
        if self._closing_hook is not None:
            self._closing_hook.remove()
            self._closing_hook = None

    @contextmanager
    def sampling(self, step: int) -> Iterator[None]:
        """Measure the passes inside: ``begin`` and ``end`` as a context manager.

        Args:
            step: its number in the history.
        """
        self.begin(step)
        try:
            yield
        finally:
            self.end()

    # ------------------------------------------------------------------------------------------- reports

    @property
    def history(self) -> list[ProbeReport]:
        """A report for each measured pass, without the single units."""
        self._finish_pass()
        return list(self._history)

    def report(self) -> ProbeReport:
        """Return all measured passes as one report, since the start or the last :meth:`reset`.

        A unit is dead here if it was dead in every pass.

        Raises:
            SiteError: no activation was seen yet.
        """
        self._finish_pass()
        rows = tuple(row_of(accumulator, self.at_init) for accumulator in self._total.by_point.values())
        if not rows:
            raise SiteError(_no_activation(self.model, self._hooks))
        return ProbeReport(rows=rows, step=self._history[-1].step, unseen=self._hooks.unseen)

    def reset(self) -> None:
        """Start a new :meth:`report`; the history stays."""
        self._finish_pass()
        self._total.by_point.clear()

    def _finish_pass(self) -> None:
        """Report the measured pass, whose gradients have arrived, and add it to the total."""
        if self._hooks.is_open or not self._current.by_point:
            return
        self._hooks.release()
        self._current.end_batch()
        seen = [accumulator for accumulator in self._current.by_point.values() if accumulator.batches.batches]
        self._current.by_point.clear()
        rows = tuple(row_of(accumulator, self.at_init) for accumulator in seen)
        report = ProbeReport(rows=without_units(rows), step=self._step, unseen=self._hooks.unseen)
        self._history.append(report)
        self._total.merge(seen)
        if self.writer is not None:
            self.writer(self._step, report.values())
