"""Settings of a measurement on an emulated core."""

from __future__ import annotations

import re
from dataclasses import dataclass

from actlab.errors import ExportError

__all__ = ["DeviceSettings"]

COMPILERS = ("gcc", "zig")
EMULATORS = ("qemu", "unicorn")
FLAG = re.compile(r"-[OfmDU][\w.=+-]*|-std=\w+")


@dataclass(frozen=True, kw_only=True)
class DeviceSettings:
    """How a project is compiled and run.

    Attributes:
        vectors: number of test vectors that run, the first ones; None for 4, or 1 in unicorn, which is slower.
        compiler: "gcc" (arm-none-eabi-gcc) or "zig" (the package ziglang); None for the first that is installed.
        emulator: "qemu" (qemu-system-arm) or "unicorn" (the package); None for the first that is installed.
        flags: of the compiler, behind those of the project's Makefile, as ("-O3",).
        seconds: after which a compiler or an emulator is stopped.

    Raises:
        ExportError: a value is not allowed.
    """

    vectors: int | None = None
    compiler: str | None = None
    emulator: str | None = None
    flags: tuple[str, ...] = ()
    seconds: float = 120.0

    def __post_init__(self) -> None:
        if self.vectors is not None and (not isinstance(self.vectors, int) or self.vectors < 1):
            raise ExportError(f"vectors is a positive whole number or None; got {self.vectors!r}.")
        for name, value, allowed in (
            ("compiler", self.compiler, COMPILERS),
            ("emulator", self.emulator, EMULATORS),
        ):
            if value is not None and value not in allowed:
                raise ExportError(f"{name} is None or one of {', '.join(allowed)}; got {value!r}.")
        if not isinstance(self.flags, tuple) or not all(FLAG.fullmatch(str(flag)) for flag in self.flags):
            raise ExportError(f'flags is a tuple of flags, as ("-O3", "-ffp-contract=fast"); got {self.flags!r}.')
        if not self.seconds > 0:
            raise ExportError(f"seconds is a positive number; got {self.seconds!r}.")
