"""Settings of an export to C99."""

from __future__ import annotations

from dataclasses import dataclass

from actlab.errors import ExportError
from actlab.export.device.cores import check_cores

__all__ = ["C99Settings"]


@dataclass(frozen=True, kw_only=True)
class C99Settings:
    """How a model is exported to C99.

    Attributes:
        name: of the files and prefix of the public names; by default that of the folder.
        vectors: number of test vectors: the first examples, then as many random inputs of three times their spread.
        tolerance: largest difference from the model, over 1 + the magnitude of its output, at which the project counts as right. The export
            is refused where more than 1 % of the numbers differ by more: single ones do at a jump, as of a sign.
        device: cores on which the project is run in an emulator, as ("m3", "m4f"); see
            :func:`actlab.export.device.measurement.measure`.

    Raises:
        ExportError: a value is not allowed.
    """

    name: str | None = None
    vectors: int = 16
    device: tuple[str, ...] = ()
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        if not isinstance(self.vectors, int) or not 1 <= self.vectors <= 10_000:
            raise ExportError(f"vectors is a whole number from 1 to 10000; got {self.vectors!r}.")
        check_cores(self.device)
        if not self.tolerance > 0:
            raise ExportError(f"tolerance is a positive number; got {self.tolerance!r}.")
