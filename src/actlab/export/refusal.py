"""Obstacles to an export by name, place and reason, and files that cannot be written, as errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from actlab.errors import ExportError

__all__ = ["Refusal", "check_is_no_other_thing", "refuse", "writing"]


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """One obstacle.

    Attributes:
        name: of the part or operation, such as ``Counter`` or ``aten.special_i0``.
        place: path of the module in the model, with file and line where they are known.
        reason: why it cannot be exported, and what to do.
    """

    name: str
    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} in {self.place}: {self.reason}"


def refuse(model: str, target: str, refusals: Sequence[Refusal]) -> None:
    """Raise an error that lists all obstacles; without any, nothing happens.

    Raises:
        ExportError: there are some.

    Example:
        >>> refuse("Net", "onnx", [Refusal(name="Counter", place="net.0", reason="it updates a buffer.")])
        Traceback (most recent call last):
        actlab.errors.ExportError: Net cannot be exported to onnx, and nothing was written. There is 1 obstacle:
        - Counter in net.0: it updates a buffer.
    """
    distinct = list(dict.fromkeys(refusals))
    if distinct:
        count = "is 1 obstacle" if len(distinct) == 1 else f"are {len(distinct)} obstacles"
        lines = "\n".join(f"- {refusal}" for refusal in distinct)
        raise ExportError(f"{model} cannot be exported to {target}, and nothing was written. There {count}:\n{lines}")


def check_is_no_other_thing(path: Path) -> None:
    """Refuse to replace a folder, a device or a pipe by a file.

    Raises:
        ExportError: the path exists and is no file.

    Example:
        >>> check_is_no_other_thing(Path("/"))
        Traceback (most recent call last):
        actlab.errors.ExportError: / exists and is no file; give the file another name.
    """
    if path.exists() and not path.is_file():
        raise ExportError(f"{path} exists and is no file; give the file another name.")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say of an operating system's error inside the block that the path cannot be written.

    Raises:
        ExportError: in the place of an ``OSError``.

    Example:
        >>> with writing(Path("net.onnx")):
        ...     raise OSError(28, "No space left on device")
        Traceback (most recent call last):
        actlab.errors.ExportError: net.onnx cannot be written: No space left on device. What was there is as it was.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ExportError(f"{path} cannot be written: {reason}. What was there is as it was.") from error
