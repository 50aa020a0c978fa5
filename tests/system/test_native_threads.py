"""The kernel's count of threads, the end of pools before a fork, and linear algebra without threads."""

import os
import subprocess
import sys
import threading

import pytest

from actlab.system import cores
from actlab.system.native_threads import count, end_openmp_pools

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


FORK = """
import os, threading
from actlab.system.native_threads import count, count_after_pools
import numpy, torch
product = lambda: (torch.ones(600, 600) @ torch.ones(600, 600)).sum().item() + (numpy.ones((600, 600)) @ numpy.ones((600, 600))).sum()
product()
before, after, end = count(), count_after_pools(), threading.Event()
child = os.fork()
if child == 0:  # it starts threads of its own
    os._exit(0 if product() == 2 * 600**3 and count() > 1 else 1)
code = os.waitpid(child, 0)[1]
again = product() == 2 * 600**3
threading.Thread(target=end.wait, daemon=True).start()
print(before, after, code, again, count_after_pools())
"""


@pytest.mark.skipif(cores.available() < 2, reason="needs two cores")
def test_threads_of_pools_end_before_a_fork_and_those_of_python_do_not():
    variables = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}

    done = subprocess.run(
        [sys.executable, "-c", FORK], env=variables, capture_output=True, text=True, check=True, timeout=60
    )

    before, after, *rest = done.stdout.split()
    assert int(before) >= 3  # of OpenBLAS and of OpenMP
    assert after == "1"
    assert rest == ["0", "True", "2"]


def test_libraries_that_cannot_be_listed_are_left_alone():
    end_openmp_pools(maps="/nowhere")


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
