"""Fully sharded models train on after whatever was done to them, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("fully_sharded.py")


def lines(*arguments: str) -> list[str]:
    done = subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


@pytest.mark.parametrize("kind", ["FSDP2", "FSDP1", "FSDP1 flat"])
def test_it_trains_on_as_it_would_have(kind):
    result = lines(kind, "1")

    assert [line for line in result if not line.endswith("trains as before")] == []
    assert sum("not possible on a fully sharded model" in line for line in result) == 6
    assert sum("returned" in line for line in result) == 5


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["FSDP2", "FSDP1", "FSDP1 flat"])
def test_it_trains_on_with_two_processes(kind):
    result = lines(kind, "2")

    assert [line for line in result if not line.endswith("trains as before")] == []
    assert len(result) == 22
