"""Closed standard streams are replaced before a file can get their numbers."""

import subprocess
import sys

import pytest

OPENED = """
import os, sys
from actlab.system.standard_streams import open_missing_streams
closed = [n for n in range(3) if not os.path.exists(f"/dev/fd/{n}")]
open_missing_streams()
print("lost", flush=True)
print("lost", file=sys.stderr, flush=True)
number = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
os.write(number, f"{closed} {number > 2}".encode())
"""


@pytest.mark.parametrize(("redirections", "closed"), [("<&- >&- 2>&-", [0, 1, 2]), (">&-", [1]), ("2>&-", [2])])
def test_no_file_gets_the_number_of_a_standard_stream(tmp_path, redirections, closed):
    command = ["sh", "-c", f'exec "$@" {redirections}', "sh", sys.executable, "-c", OPENED, str(tmp_path / "seen")]

    assert subprocess.run(command, check=False, capture_output=True).returncode == 0

    seen = (tmp_path / "seen").read_text()
    assert seen == f"{closed} True"
