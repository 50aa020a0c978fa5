"""Settings of an export to a C99 project in integer arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from actlab.errors import ExportError
from actlab.export.device.cores import check_cores
from actlab.export.integer.settings import Calibration, QuantizeSettings
from actlab.export.metric_cost import Metric
from actlab.nn.sites.dry_run import Inputs

__all__ = ["Int8Settings"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Int8Settings:
    """How a model is exported to int8.

    Attributes:
        name: of the files and prefix of the public names; by default that of the folder.
        vectors: number of test vectors: the first examples, then as many random inputs of three times their spread.
        calibration_inputs: batch from which the ranges follow, some hundreds of training examples, in the form of the example inputs; by
            default these.
        calibration: how they follow, as in :class:`~actlab.export.integer.settings.QuantizeSettings`.
        percentile: likewise.
        input_scale: likewise.
        output_width: likewise.
        cmsis_nn: whether dense layers and convolutions have a second form, as calls of CMSIS-NN with ``-DNAME_CMSIS_NN``; the C file is
            twice as long. It computes the same bits where CMSIS-NN is built with ``CMSIS_NN_USE_SINGLE_ROUNDING``.
        device: cores on which the project is run in an emulator, as ("m3", "m4f"); see
            :func:`actlab.export.device.measurement.measure`.
        targets: of the example inputs, a class for each or numbers in the shape of the outputs; the report then has the accuracy, or the
            mean squared error, in int8 beside that of the model.
        metric: a function of outputs, or of outputs and targets, in their place.

    Raises:
        ExportError: a value is not allowed.
    """

    name: str | None = None
    vectors: int = 16
    device: tuple[str, ...] = ()
    calibration_inputs: Inputs | None = None
    calibration: Calibration = "minmax"
    percentile: float = 99.99
    input_scale: float | Mapping[str, float] | None = None
    output_width: Literal[8, 32] | None = None
    cmsis_nn: bool = False
    targets: Any = None
    metric: Metric | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.vectors, int) or not 1 <= self.vectors <= 10_000:
            raise ExportError(f"vectors is a whole number from 1 to 10000; got {self.vectors!r}.")
        check_cores(self.device)
        _ = self.quantization

    @property
    def quantization(self) -> QuantizeSettings:
        """Settings of the quantisation alone."""
        return QuantizeSettings(
            calibration=self.calibration,
            percentile=self.percentile,
            input_scale=self.input_scale,
            output_width=self.output_width,
        )
