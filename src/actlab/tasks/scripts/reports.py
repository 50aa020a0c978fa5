"""Reader of the lines that a script's process reports, while it writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from actlab.script_request import REPORTS

__all__ = ["ReportReader"]

_PART = 1 << 20  # bytes read at a time
_LONGEST = 1 << 24  # bytes of a line; the answer of a rehearsal has some hundred for each site and arm


class ReportReader:
    """Reader of a file of reports from its beginning.

    Args:
        folder: of the trial.
    """

    def __init__(self, folder: Path) -> None:
        self._file, self._read, self._rest = folder / REPORTS, 0, b""

    def new(self) -> Iterator[dict[str, Any]]:
        """Yield the records that are complete and have not been read; lines that are none are left out."""
        with suppress(FileNotFoundError), self._file.open("rb") as file:
            file.seek(self._read)
            while part := file.read(_PART):
                self._read += len(part)
                *lines, self._rest = (self._rest + part).split(b"\n")
                self._rest = self._rest[-_LONGEST:]
                yield from filter(None, map(_record, lines))


def _record(line: bytes) -> dict[str, Any] | None:
    with suppress(ValueError):
        record = json.loads(line)
        if isinstance(record, dict) and "kind" in record:
            return record
    return None
