"""Request and reports of a script's trial, as files in a folder that an environment variable names."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["REPORTS", "REQUEST", "VARIABLE", "append_report", "is_first_rank", "read_request", "write_request"]

#: Environment variable that names the folder. Without it, the lines of ActLab in a script do nothing.
VARIABLE = "ACTLAB_TRIAL"
REQUEST = "request.json"
REPORTS = "reports.jsonl"


def write_request(folder: Path, request: Mapping[str, Any]) -> None:
    """Write what the script's process is asked to do."""
    (folder / REQUEST).write_text(json.dumps(request), encoding="utf-8")


def read_request() -> dict[str, Any]:
    """Return what this process is asked to do."""
    text = Path(os.environ[VARIABLE], REQUEST).read_text(encoding="utf-8")
    return dict(json.loads(text))


def append_report(record: Mapping[str, Any]) -> None:
    """Append a record as one line, whole also when several processes write."""
    line = json.dumps(record).encode() + b"\n"
    file = os.open(Path(os.environ[VARIABLE], REPORTS), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line)
    finally:
        os.close(file)


def is_first_rank() -> bool:
    """Return whether this process speaks for all ranks of a distributed training; True where there is only one process."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return bool(distributed.get_rank() == 0)
    return os.environ.get("RANK", "0") == "0"
