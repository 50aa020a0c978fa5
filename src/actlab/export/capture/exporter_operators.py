"""Operators that torch's exporter translates, and those that it writes in terms of simpler ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from actlab.export.capture.quiet import quietly

__all__ = ["ExporterOperators", "exporter_operators"]


@dataclass(frozen=True, kw_only=True)
class ExporterOperators:
    """What torch's exporter knows.

    Attributes:
        is_translated: whether an operator has a form in ONNX; None where this version of torch does not tell.
        simpler: operators in terms of simpler ones, as the exporter writes them before it translates.
    """

    is_translated: Callable[[Any], bool] | None
    simpler: Mapping[Any, Callable[..., Any]]


@cache
def exporter_operators() -> ExporterOperators:
    """Return what the installed exporter knows; read from its internals, which may move, so that without them less is known."""
    try:
        from torch.onnx._internal.exporter import _decomp, _registration  # noqa: PLC0415 internal

        with quietly():
            registry = _registration.ONNXRegistry.from_torchlib()
        translated = set(_decomp.get_onnx_implemented_overloads(registry))
        table = _decomp.create_onnx_friendly_decomposition_table(translated)
    except (ImportError, AttributeError):
        return ExporterOperators(is_translated=None, simpler={})
    return ExporterOperators(is_translated=registry.is_registered, simpler=table)
