"""Settings of an export to ONNX, and the import of the packages that it needs."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, get_args

from actlab.errors import ExportError

__all__ = ["OLDEST_OPSET", "OnnxSettings", "Preference", "needed"]

Preference = Literal["accuracy", "speed"]
OLDEST_OPSET = 18  # what torch's exporter writes by itself; older operators of it are converted, and not all can be


@dataclass(frozen=True, kw_only=True)
class OnnxSettings:
    """How a model is exported to ONNX.

    Attributes:
        opset: version of the operator set; 18 is read by the most runtimes. From 20 on GELU is one operator.
        prefer: "accuracy" computes activations with a small relative error in the tails, where onnxruntime's Sigmoid is exactly 0 from -18
            on; "speed" writes them as the operators and patterns that runtimes fuse, such as SiLU, right to 1e-5 in absolute terms.
        dynamic_batch: whether the first dimension is free in the file; otherwise all sizes are those of ``example_inputs``.
        tolerance: largest difference from the model, over 1 + the magnitude of its output, at which a file counts as right; None for
            1e-4 in float32, 1e-2 in half precision and 1e-9 in float64. The export is refused where more than 1 % of the numbers differ
            by more: single ones do at a jump, as of a sign.
        runtime: whether to measure each activation in the runtimes that are installed.

    Raises:
        ExportError: a value is not allowed.
    """

    opset: int = OLDEST_OPSET
    prefer: Preference = "accuracy"
    dynamic_batch: bool = True
    tolerance: float | None = None
    runtime: bool = False

    def __post_init__(self) -> None:
        newest = needed("onnx").defs.onnx_opset_version()
        if not isinstance(self.opset, int) or not OLDEST_OPSET <= self.opset <= newest:
            raise ExportError(f"opset is a whole number from {OLDEST_OPSET} to {newest}; got {self.opset!r}.")
        if self.prefer not in get_args(Preference):
            raise ExportError(f"prefer is 'accuracy' or 'speed'; got {self.prefer!r}.")
        if self.tolerance is not None and not self.tolerance > 0:
            raise ExportError(f"tolerance is a positive number, or None; got {self.tolerance!r}.")


def needed(package: str) -> Any:
    """Import a package of the extra ``onnx``.

    Raises:
        ExportError: it is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise ExportError(
            f"Export to ONNX needs the package {package}, which cannot be imported ({error}): pip install 'actlab[onnx]'."
        ) from error
