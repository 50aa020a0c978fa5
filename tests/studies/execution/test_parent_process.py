"""A process ends with the one that started it, by the kernel on Linux and by a watching thread elsewhere."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

CHILD = """
import sys
sys.platform = {platform!r}
from actlab.studies.execution.parent_process import Owner, end_with
end_with(Owner(*{owner!r}))
print("ready", flush=True)
import time
time.sleep(60)
"""
PARENT = """
import os, subprocess, sys
from actlab.studies.store.lease_owner import Owner
me = Owner.of()
owner = (me.host, me.pid, me.start)
child = subprocess.Popen([sys.executable, "-c", {child!r}.format(platform={platform!r}, owner=owner)], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
os._exit(0)
"""


def has_ended(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("platform", ["linux", "another"])
def test_a_process_ends_with_the_one_that_started_it(platform: str) -> None:
    code = PARENT.format(child=CHILD, platform=platform)
    pid = int(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    )

    end = time.monotonic() + 30
    while not has_ended(pid) and time.monotonic() < end:
        time.sleep(0.02)
    assert has_ended(pid)
