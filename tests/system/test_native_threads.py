"""The kernel's count of threads, and linear algebra without threads."""

import os
import subprocess
import sys
import threading

import pytest

from actlab.system.native_threads import count

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's list of threads is Linux's")


def test_a_thread_is_counted_while_it_runs():
    before, end = count(), threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        assert count() == before + 1
    finally:
        end.set()
        thread.join()


CODE = """
import os
from actlab.system.native_threads import blas_on_one_thread, count
with blas_on_one_thread():
    import numpy, scipy.linalg
print(count(), os.environ.get("OPENBLAS_NUM_THREADS"))
"""


def test_numpy_and_scipy_are_imported_without_threads_and_the_variable_is_gone_afterwards():
    variables = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}

    done = subprocess.run([sys.executable, "-c", CODE], env=variables, capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["1", "None"]


def test_a_number_of_threads_that_the_user_has_set_is_kept():
    variables = os.environ | {"OPENBLAS_NUM_THREADS": "2"}

    done = subprocess.run([sys.executable, "-c", CODE], env=variables, capture_output=True, text=True, check=True)

    assert done.stdout.split()[1] == "2"


def test_the_command_line_keeps_to_one_thread_until_the_trials_are_forked(tmp_path):
    code = (
        "import sys; from actlab.system import native_threads; from actlab import cli\n"
        "sys.argv = ['actlab', 'compare', 'digits', 'relu', 'gelu', '--seeds', '1', '--dry-run']\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        "print('threads', native_threads.count())"
    )
    variables = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}

    done = subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True, cwd=tmp_path
    )

    assert done.stdout.split("threads ")[1].strip() == "1"
