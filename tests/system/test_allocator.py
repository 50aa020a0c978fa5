"""Memory allocator tuning, in subprocesses because it cannot be undone."""

import platform
import subprocess
import sys

import pytest

from actlab.system import allocator

GLIBC = platform.libc_ver()[0] == "glibc"
FAULTS = """
import resource, statistics, sys, torch
from actlab.system.allocator import tune_allocator
torch.set_num_threads(1)
tuned = tune_allocator() if sys.argv[1] == "tuned" else False
x, counts = torch.zeros(12_000_000), []
for _ in range(30):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    (x + 1).sum()
    counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(tuned, statistics.median_low(counts[10:]))
"""


def faults(how):
    """Page faults of an operation on 48 MB; the heap grows for some rounds until a freed block is large enough."""
    run = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
    tuned, count = run.stdout.split()
    return tuned, int(count)


@pytest.mark.skipif(not GLIBC, reason="the cost is glibc's")
def test_a_large_tensor_is_no_longer_paid_for_in_page_faults():
    as_shipped, tuned = faults("as_shipped"), faults("tuned")

    assert (as_shipped[0], tuned[0]) == ("False", "True")
    assert as_shipped[1] > 10_000  # 48 MB in pages of 4 kB
    assert tuned[1] < 100


LARGE = """
import resource, torch
from actlab.system.allocator import tune_allocator
torch.set_num_threads(1)
tune_allocator()
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.empty(5 * 2**29, dtype=torch.uint8).zero_()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow  # it takes 2.5 GB
@pytest.mark.skipif(not GLIBC, reason="the cost is glibc's")
def test_a_heap_of_more_than_two_gigabytes_is_kept():
    run = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, check=True)

    assert int(run.stdout) < 1000


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(allocator.platform, "system", lambda: "Darwin")

    assert allocator.tune_allocator() is False
