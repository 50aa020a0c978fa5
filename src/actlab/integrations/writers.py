"""Writers that log a probe's numbers to TensorBoard, MLflow or Weights & Biases.

The method is chosen by the methods of the log object; no library is imported, except mlflow by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from math import isfinite
from typing import Any, Final

from actlab.errors import IntegrationError

__all__ = ["Write", "writer"]

Write = Callable[[int, Mapping[str, float]], None]

# MLflow allows letters, digits and these characters
_NOT_IN_NAMES: Final = re.compile(r"[^\w\-./ ]")


def writer(log: Any = "mlflow", *, prefix: str = "activations") -> Write:
    """Return a writer for :class:`actlab.Probe`, as in ``Probe(model, writer=writer(log))``.

    Args:
        log: a TensorBoard ``SummaryWriter`` (anything with ``add_scalar(name, value, step)``), an MLflow module or client (anything with
            ``log_metrics(values, step=step)``), a W&B run (anything with ``log(values, step=step)``), a Lightning module's logger, or
            ``"mlflow"`` for the module's active run.
        prefix: of all names, followed by a slash; empty for none.

    Raises:
        IntegrationError: MLflow is not installed, or the object has none of these methods.

    Example:
        >>> class Log:
        ...     def add_scalar(self, name, value, step):
        ...         print(name, value, step)
        >>> writer(Log())(7, {"1/sparsity": 0.5})
        activations/1/sparsity 0.5 7
    """
    log = _imported(log) if isinstance(log, str) else log
    kinds: list[tuple[str, Callable[[Any, int, dict[str, float]], None]]] = [
        ("add_scalar", _one_by_one),
        ("log_metrics", _as_metrics),
        ("log", _as_log),
    ]
    send = next((send for method, send in kinds if callable(getattr(log, method, None))), None)
    if send is None:
        raise IntegrationError(
            f"log is a {type(log).__name__}; allowed are objects with add_scalar (TensorBoard), log_metrics (MLflow, Lightning) or "
            'log (W&B), and "mlflow". A function of (step, values) can be used as a writer directly.'
        )
    head = f"{prefix}/" if prefix else ""

    def write(step: int, values: Mapping[str, float]) -> None:
        send(log, step, {f"{head}{name}": value for name, value in values.items() if isfinite(value)})

    return write


def _imported(name: str) -> Any:
    if name != "mlflow":
        raise IntegrationError(f'log is {name!r}; the only allowed name is "mlflow". Give other logs as objects.')
    try:
        return import_module(name)
    except ImportError as error:
        raise IntegrationError("mlflow is not installed. Install it: pip install mlflow") from error


def _one_by_one(log: Any, step: int, values: dict[str, float]) -> None:
    for name, value in values.items():
        log.add_scalar(name, value, step)


def _as_metrics(log: Any, step: int, values: dict[str, float]) -> None:
    log.log_metrics({_NOT_IN_NAMES.sub("_", name): value for name, value in values.items()}, step=step)


def _as_log(log: Any, step: int, values: dict[str, float]) -> None:
    log.log(values, step=step)
