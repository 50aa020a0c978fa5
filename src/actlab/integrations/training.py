"""Probe callbacks for the trainers of Lightning and transformers."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from torch import nn

from actlab.errors import IntegrationError
from actlab.nn.probes.probe import Probe
from actlab.nn.probes.probe_report import ProbeReport

__all__ = ["LightningProbe", "transformers_probe"]


class LightningProbe:
    """Callback for Lightning's ``Trainer(callbacks=[...])`` and loops with the same hooks, without importing Lightning.

    Measures every ``every``-th training batch from its start to the backward pass, so that a ``training_step`` that does not call the
    module's ``forward`` is measured as well. Between these batches the model has no hooks.

    Args:
        every: interval between two measured batches.
        options: of :class:`actlab.Probe`: ``writer``, ``at_init``, ``threshold``, ``rank``, ``scaler``.

    Attributes:
        probe: the probe, with its measurements also after training; None before training starts.

    Example:
        >>> import torch
        >>> callback, net = LightningProbe(every=2), nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        >>> callback.on_train_start(None, net)
        >>> for index in range(3):
        ...     callback.on_train_batch_start(None, net, None, index)
        ...     loss = net(torch.ones(4, 2)).sum()
        ...     callback.on_before_backward(None, net, loss)
        ...     loss.backward()
        ...     callback.on_train_batch_end(None, net, None, None, index)
        >>> callback.on_train_end(None, net)
        >>> [report.step for report in callback.probe.history]
        [0, 2]
    """

    def __init__(self, every: int = 100, **options: Any) -> None:
        self.every, self.options = every, options
        self.probe: Probe | None = None
        self._batches = 0

    def __getattr__(self, name: str) -> Any:
        """Return a function without effect for all other hooks, as Lightning's base class has."""
        if name.startswith("on_") or name in {"setup", "teardown", "load_state_dict"}:
            return lambda *_args, **_options: None
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    @property
    def state_key(self) -> str:
        """Key of the state in Lightning's checkpoints."""
        return type(self).__qualname__

    def state_dict(self) -> dict[str, Any]:
        """Return an empty state; measurements are not part of checkpoints."""
        return {}

    def on_train_start(self, _trainer: Any, module: nn.Module) -> None:
        """Create the probe of the model."""
        self.probe = Probe(module, every=self.every, **self.options)

    def on_train_batch_start(self, _trainer: Any, _module: nn.Module, _batch: Any, _index: int) -> None:
        """Start measuring every ``every``-th batch."""
        if self.probe is not None and self._batches % self.every == 0:
            self.probe.begin(self._batches)
        self._batches += 1

    def on_before_backward(self, *_: Any) -> None:
        """Stop measuring, because checkpointed layers run again in the backward pass."""
        self._end()

    def on_train_batch_end(self, *_: Any) -> None:
        """Stop measuring."""
        self._end()

    def on_exception(self, *_: Any) -> None:
        """Remove all hooks from the model."""
        self.on_train_end()

    def on_train_end(self, *_: Any) -> None:
        """Remove all hooks from the model."""
        if self.probe is not None:
            self.probe.stop()

    def _end(self) -> None:
        if self.probe is not None:
            self.probe.end()

    def report(self) -> ProbeReport:
        """Return the measurements, as :meth:`actlab.Probe.report`.

        Raises:
            IntegrationError: training has not started.
        """
        if self.probe is None:
            raise IntegrationError(
                "Nothing was measured, because training has not started. Give this callback to a Trainer and call fit."
            )
        return self.probe.report()


def transformers_probe(every: int = 100, **options: Any) -> Any:
    """Return a callback for the ``Trainer`` of transformers, as in ``Trainer(..., callbacks=[transformers_probe(every=100)])``.

    Measures the first forward pass of every ``every``-th optimization step. The measurements are in the callback's ``probe``.

    Args:
        every: interval between two measured steps.
        options: of :class:`actlab.Probe`.

    Raises:
        IntegrationError: transformers is not installed.
    """
    try:
        base = import_module("transformers.trainer_callback").TrainerCallback
    except ImportError as error:
        raise IntegrationError(
            "transformers is not installed. Install it: pip install 'actlab[transformers]'"
        ) from error

    class TransformersProbe(base):  # type: ignore[misc, valid-type]  # the base is known only at run time
        """Probe that measures steps of a Trainer."""

        def __init__(self) -> None:
            self.probe: Probe | None = None

        def on_step_begin(self, _args: Any, state: Any, _control: Any, model: nn.Module, **_: Any) -> None:
            if self.probe is None:
                self.probe = Probe(model, every=every, **options)
            if state.global_step % every == 0:
                self.probe.arm(state.global_step)

        def on_train_end(self, _args: Any, _state: Any, _control: Any, **_: Any) -> None:
            if self.probe is not None:
                self.probe.stop()

    return TransformersProbe()
