"""The probe: what every activation of a model does, over a set of data or while it trains, measured in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from types import TracebackType
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from actlab.errors import SiteError
from actlab.nn.probes.accumulator import Accumulator
from actlab.nn.probes.batch import input_of, moved, target_of
from actlab.nn.probes.hooks import Again, Hooks, Point, Side
from actlab.nn.probes.probe_report import ProbeReport, row_of, slim
from actlab.nn.sites.dry_run import Inputs, copy_inputs, run, no_side_effects

__all__ = ["Probe", "Scaler", "Writer", "probe"]

Loss = Callable[[Any, Any], Tensor]
Writer = Callable[[int, Mapping[str, float]], None]


class Scaler(Protocol):
    """What multiplies the loss before the backward pass: a ``torch.amp.GradScaler``."""

    def get_scale(self) -> float:
        """Return the factor of this moment."""


class _Bench:
    """The tallies of all points: what listens to the taps.

    Args:
        threshold: see :func:`probe`.
        rank: see :func:`probe`.
        scaler: see :class:`Probe`.
    """

    def __init__(self, *, threshold: float, rank: bool, scaler: Scaler | None = None) -> None:
        self.threshold, self.rank, self.scaler = threshold, rank, scaler
        self.tallies: dict[Hashable, Accumulator] = {}

    def seen(self, point: Point, x: Tensor, y: Tensor, again: Again | None, /) -> None:
        """Count an execution."""
        self._tally(point).see(x, y, again)

    def gradient(self, point: Point, side: Side, gradient: Tensor, /) -> None:
        """Count a gradient."""
        self._tally(point).see_gradient(side, gradient, self.scaler.get_scale() if self.scaler else 1.0)

    def _tally(self, point: Point) -> Accumulator:
        if point.key not in self.tallies:
            self.tallies[point.key] = Accumulator(point, threshold=self.threshold, rank=self.rank)
        return self.tallies[point.key]

    def end_batch(self) -> None:
        """Close the batch at every point."""
        for tally in self.tallies.values():
            tally.end_batch()

    def take(self, other: dict[Hashable, Accumulator]) -> None:
        """Add what others have counted."""
        for tally in other.values():
            self._tally(tally.point).merge(tally)


def probe(
    model: nn.Module,
    loader: Iterable[Any],
    loss: Loss | None = None,
    *,
    batches: int | None = None,
    inputs: Callable[[Any], Inputs] | None = None,
    at_init: ProbeReport | None = None,
    threshold: float = 0.0,
    rank: bool = True,
    training: bool = False,
) -> ProbeReport:
    """Measure every activation of a model over a set of data.

    Memory does not grow with the data. The model is left as it was: weights and their gradients, buffers, flags, hooks, random generators.

    Args:
        model: any module.
        loader: batches: tensors, mappings of keyword arguments, or sequences whose first element is the model's input, as a DataLoader's
            pairs. They are taken to the device of the model.
        loss: a function of output and target that gives a scalar; with it gradients are measured. The target is the second element of a
            sequence, or the batch itself: ``lambda output, batch: output.loss``.
        batches: how many are looked at; all if not given.
        inputs: picks the model's input from a batch, where that is neither of these: a tensor, a tuple of positional arguments, or a dict.
        at_init: a report of the same model when it was initialised; dead units that were dead there are *born dead*.
        threshold: outputs whose absolute value is not above it count for the sparsity. Death is judged by exact zeros.
        rank: measure the effective rank too; it takes ``8 * width**2`` bytes a point, of at most 512 units.
        training: run the model in training mode (dropout, batch statistics); otherwise in eval mode.

    Raises:
        SiteError: there is no batch, the model raises on one, no activation runs, or nothing has a gradient although a loss was given.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
        >>> nn.init.constant_(net[0].bias[:1], -100.0)
        tensor([-100.], grad_fn=...)
        >>> report = probe(net, [torch.randn(8, 2) for _ in range(3)])
        >>> report["1"].dead, report["1"].samples
        (0.25, 24)
    """
    bench = _Bench(threshold=threshold, rank=rank)
    taps = Hooks(model, bench)
    weights = [p for p in model.parameters() if p.requires_grad] if loss else []
    if loss and not weights:
        raise SiteError(
            "A loss was given, and no parameter of the model has requires_grad set: no gradient would flow. Leave the loss out."
        )
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    with no_side_effects(model, training=training), torch.set_grad_enabled(loss is not None):
        for batch in islice(loader, batches):
            _pass(taps, moved(batch, device), inputs or input_of, loss, weights)
            bench.end_batch()
    rows = tuple(row_of(tally, at_init) for tally in bench.tallies.values() if tally.batches)
    if not rows:
        raise SiteError(_nothing(model, taps))
    return ProbeReport(rows=rows, unseen=taps.hidden)


def _pass(
    taps: Hooks, batch: Any, inputs: Callable[[Any], Inputs], loss: Loss | None, weights: Sequence[Tensor]
) -> None:
    arguments = copy_inputs(inputs(batch))
    taps.open()
    try:
        output = run(taps.model, arguments)
    finally:
        taps.close()
    if loss is not None:
        torch.autograd.grad(
            loss(output, target_of(batch)), weights, allow_unused=True
        )  # not backward(): no .grad is written
    taps.release()


def _nothing(model: nn.Module, taps: Hooks) -> str:
    hidden = "".join(f" {path}: {reason}." for path, reason in taps.hidden.items())
    return (
        f"No activation was seen in {type(model).__name__}: either the loader gave no batch (a generator that was read before is empty), "
        f"or none runs that can be watched.{hidden} actlab.find(model, example_inputs) lists what there is."
    )


class Probe:
    """Measures the activations of a model while it trains, in one pass of many.

    As a context manager around any training loop it counts the model's passes in training mode and looks at every ``every``-th of them,
    beginning with the first. Between these passes nothing but one counting hook is on the model, and after the loop nothing at all. The
    training is the same to the bit with it and without it, under autocast too (of a compiled model, the passes that are looked at run
    without the compiler, and round as eager torch does).

    Losses that are scaled for half precision are told by ``scaler``. Trainers that tell what they do (Lightning, transformers) are served
    by :mod:`actlab.integrations`.

    Args:
        model: any module; a compiled one as ``torch.compile`` returned it.
        every: how many passes lie between two that are looked at.
        writer: called with the number of the pass and ``{"path/name": value}`` for each; see :mod:`actlab.integrations.writers`.
        at_init: see :func:`probe`.
        threshold: see :func:`probe`.
        rank: see :func:`probe`.
        scaler: the ``GradScaler`` in use.

    Raises:
        SiteError: the model cannot be watched, or ``every`` is no positive number.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
        >>> with Probe(net, every=2) as watched:
        ...     for _ in range(5):
        ...         net(torch.ones(4, 2)).sum().backward()
        >>> [report.step for report in watched.history], watched.report()["1"].batches
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
            raise SiteError(f"every says how many passes lie between two that are measured: 1 or more; got {every!r}.")
        self.model = model
        self.every = every
        self.writer = writer
        self.at_init = at_init
        self._bench = _Bench(threshold=threshold, rank=rank, scaler=scaler)  # of the pass that is looked at
        self._whole = _Bench(threshold=threshold, rank=rank)
        self._taps = Hooks(model, self._bench)
        self._history: list[ProbeReport] = []
        self._counter: Any = None
        self._last: Any = None
        self._armed: Any = None
        self._passes = 0
        self._step = 0

    # ---------------------------------------------------------------------------------------------- when

    def start(self) -> Self:
        """Begin to count passes."""
        if self._counter is None:
            self._counter = self.model.register_forward_pre_hook(self._count)
        return self

    def stop(self) -> None:
        """Take everything off the model. The measurements stay."""
        self.end()
        self._disarm()
        self._settle()
        if self._counter is not None:
            self._counter.remove()
            self._counter = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def arm(self, step: int) -> None:
        """Look at the model's next pass in training mode, and at no other.

        Args:
            step: its number in the history.
        """
        self._disarm()
        self._armed = self.model.register_forward_pre_hook(lambda module, _: self._follow(module, step))

    def _count(self, module: nn.Module, _args: Any) -> None:
        if self._is_training(module):
            number, self._passes = self._passes, self._passes + 1
            if number % self.every == 0:
                self._follow(module, number)

    def _follow(self, module: nn.Module, step: int) -> None:
        if self._is_training(module):
            self._disarm()
            self.begin(step)
            self._last = module.register_forward_hook(lambda *_: self.end(), always_call=True)

    def _is_training(self, module: nn.Module) -> bool:
        return module.training and torch.is_grad_enabled() and not self._taps.is_open

    def _disarm(self) -> None:
        if self._armed is not None:
            self._armed.remove()
            self._armed = None

    def begin(self, step: int) -> None:
        """Look at what the model does from now on, up to :meth:`end`: for loops that count their steps themselves.

        Args:
            step: its number in the history.
        """
        self._settle()
        self._step = step
        self._taps.open()

    def end(self) -> None:
        """Stop looking; the gradients of what was seen still count, until the next :meth:`begin`."""
        self._taps.close()
        if self._last is not None:
            self._last.remove()
            self._last = None

    @contextmanager
    def sampling(self, step: int) -> Iterator[None]:
        """Look at the passes inside: ``begin`` and ``end`` as a context.

        Args:
            step: its number in the history.
        """
        self.begin(step)
        try:
            yield
        finally:
            self.end()

    # ---------------------------------------------------------------------------------------------- what

    @property
    def history(self) -> list[ProbeReport]:
        """A report for each pass that was looked at, without the single units."""
        self._settle()
        return list(self._history)

    def report(self) -> ProbeReport:
        """Return all passes that were looked at as one report, since the beginning or the last :meth:`reset`.

        A unit is dead here if it was dead in each of them.

        Raises:
            SiteError: no activation was seen yet.
        """
        self._settle()
        rows = tuple(row_of(tally, self.at_init) for tally in self._whole.tallies.values())
        if not rows:
            raise SiteError(_nothing(self.model, self._taps))
        return ProbeReport(rows=rows, step=self._history[-1].step, unseen=self._taps.hidden)

    def reset(self) -> None:
        """Forget what :meth:`report` sums up; the history stays."""
        self._settle()
        self._whole.tallies.clear()

    def _settle(self) -> None:
        """Read off the pass that was looked at, once its gradients have come."""
        if self._taps.is_open or not self._bench.tallies:
            return
        self._taps.release()
        self._bench.end_batch()
        tallies = {key: tally for key, tally in self._bench.tallies.items() if tally.batches}
        self._bench.tallies.clear()
        rows = tuple(row_of(tally, self.at_init) for tally in tallies.values())
        report = ProbeReport(rows=slim(rows), step=self._step, unseen=self._taps.hidden)
        self._history.append(report)
        self._whole.take(tallies)
        if self.writer is not None:
            self.writer(self._step, report.values())
