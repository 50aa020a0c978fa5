"""Obstacles to an export by name, place and reason, and the error that lists all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from actlab.errors import ExportError

__all__ = ["Refusal", "refuse"]


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
