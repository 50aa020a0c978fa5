"""What user code changes of its process is noticed, and restored where it can be."""

import os
import resource
import signal
import sys

import pytest
import torch

from actlab.tasks.process_state import restorations, restored_process

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

RESTORED = {
    "folder": lambda: os.chdir("/"),
    "umask": lambda: os.umask(0o707),
    "handler": lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN),
    "dtype": lambda: torch.set_default_dtype(torch.float64),
    "numbers below the normal ones": lambda: torch.set_flush_denormal(True),
    "oneDNN": lambda: torch._C._set_mkldnn_enabled(False),
    "attention": lambda: torch._C._set_sdp_use_flash(False),
    "recursion": lambda: sys.setrecursionlimit(5000),
}
NOTICED = {
    "open files": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)),
    "memory": lambda: resource.setrlimit(resource.RLIMIT_AS, (2**40, 2**40)),
    "session": os.setsid,
    "cores": lambda: os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1]),
    "alarm": lambda: signal.setitimer(signal.ITIMER_REAL, 600),
}


def count_in_fork(change):
    """Return how many of two blocks, the first with a change, had something to restore."""
    pid = os.fork()
    if pid == 0:
        before = restorations()
        with restored_process():
            change()
        with restored_process():
            pass
        os._exit(restorations() - before)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("name", [*RESTORED, *NOTICED])
def test_a_change_of_the_process_is_noticed(name):
    if name == "cores" and len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core")

    assert count_in_fork((RESTORED | NOTICED)[name]) == 1


def test_what_changes_nothing_is_not_noticed():
    assert count_in_fork(lambda: None) == 0


def test_numbers_below_the_normal_ones_are_kept_again_after_a_block():
    with restored_process():
        torch.set_flush_denormal(True)

    assert (torch.tensor(1e-40) * 0.5).item() > 0
