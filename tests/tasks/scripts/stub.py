"""Scripts that start in a tenth of a second: they speak with ActLab as ``actlab.apply_`` does, without torch."""

import os
import sys
import textwrap
from pathlib import Path

from actlab.script_request import VARIABLE

HEAD = """
import os, sys, time
import actlab
from actlab.script_request import append_report, read_request

def apply_():
    if "ACTLAB_TRIAL" not in os.environ:
        return
    request = read_request()
    if request["mode"] == "rehearsal":
        swapped = [arm["label"] for arm in request["arms"] if arm["assignment"] != "unchanged"]
        swaps = {label: {"changed": ["1"], "skipped": {}, "is_empty": label == "relu"} for label in swapped}
        role = {"path": "1", "function": "relu", "elements": 8, "role": "main function", "reason": ""}
        append_report({"kind": "sites", "patterns": ["*"], "roles": [role], "swaps": swaps})
        os._exit(0)
    weights = f"seed {os.environ['ACTLAB_SEED']}"
    append_report({"kind": "model", "weights": weights, "parameters": 10, "versions": {}, "time": time.monotonic()})

"""


def write_script(folder: Path, body: str, name: str = "train.py") -> Path:
    """Write a script whose body may call ``apply_()`` and ``actlab.report``, and return its path."""
    file = folder / name
    file.write_text(HEAD + textwrap.dedent(body), encoding="utf-8")
    return file


def without_actlab() -> dict[str, str]:
    """Return the environment of a shell in which ActLab runs nothing."""
    return {name: value for name, value in os.environ.items() if name != VARIABLE}


PYTHON = sys.executable
