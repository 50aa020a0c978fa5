"""Peak memory of a study of the process pool, and how busy it keeps the cores, in two checkouts of ActLab.

    git worktree add /tmp/before 3b97b95
    python benchmarks/study_memory.py /tmp/before . --jobs 2

Both run the same study with this Python and its packages, in fresh processes and in turns, once for the memory and once for the cores.
Memory is the sum of the proportional set sizes (PSS) of all processes of the study, read from /proc every 50 ms: a page that several
processes share counts once. Each reading takes some 6 ms of CPU time for each process, a sixth of two cores, so that the cores are
measured without. Busy is CPU time over the time of the cores from the first trial's start to the last one's end: that of all trials, and
that of all processes of the study, with the measurement of the arms' costs; both mean something on a machine that does nothing else. The
first over the second, the trials' share of the CPU time, does on a busy one, too. Printed are medians and the median of the ratios of
neighbouring runs (second over first). Linux only.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

# A net that no trainer of many models at once takes, as its forward pass depends on the data, so that both checkouts use the process pool.
TASK = """
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(),
            nn.MaxPool2d(2), nn.Flatten(), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 10),
        )

    def forward(self, x):
        return self.layers(x if x.max().item() > 0 else -x)

def model(seed):
    return Net()

def data(seed):
    pixels, labels = load_digits(return_X_y=True)
    x, y = torch.from_numpy(pixels / 16).float(), torch.from_numpy(labels).long()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    train, validation, test = order[:1077], order[1077:1437], order[1437:]
    return {"train": (x[train], y[train]), "validation": (x[validation], y[validation]), "test": (x[test], y[test])}

loss = F.cross_entropy

def metric(output, target):
    return (output.argmax(1) == target).float().mean().item()

direction = "max"
metric_name = "accuracy"
learning_rate = 0.002
batch_size = 32
epochs = 12
"""
STUDY = ["compare", "task.py", "relu", "gelu", "silu", "tanh", "--seeds", "8"]


def descendants(pid: int) -> list[int]:
    """Return a process and all that it has started, directly or not."""
    found = [pid]
    for parent in found:
        with suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def proportional_size(pid: int) -> int:
    """Return the bytes of a process, each page divided by the number of processes that map it."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and of those of its children that have ended."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def environment(checkout: Path) -> dict[str, str]:
    """Return the variables under which a checkout runs."""
    variables = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    return {**variables, "PYTHONPATH": str(checkout / "src"), "COLUMNS": "200"}


def run(checkout: Path, arguments: list[str], jobs: int) -> tuple[float, ...]:
    """Return the peak memory of a study in MB, and what :func:`sampled` returns of a run without that measurement."""
    return (sampled(checkout, arguments, jobs, memory=True)[0], *sampled(checkout, arguments, jobs, memory=False)[1:])


def sampled(checkout: Path, arguments: list[str], jobs: int, *, memory: bool) -> tuple[float, float, float, float]:
    """Run a study; return its peak memory in MB, and in percent its trials' and its processes' share of the cores, and their ratio."""
    samples: list[tuple[float, int, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "task.py").write_text(TASK, encoding="utf-8")
        process = subprocess.Popen(  # noqa: S603 our own
            [sys.executable, "-m", "actlab", *arguments, "--jobs", str(jobs), "--store", "study.db"],
            cwd=folder,
            env=environment(checkout),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None:
            pids = descendants(process.pid)
            size = sum(map(proportional_size, pids)) if memory else 0
            samples.append((time.time(), size, sum(map(cpu_seconds, pids))))
            time.sleep(0.05)
        with sqlite3.connect(Path(folder) / "study.db") as store:
            query = "select sum(cpu_seconds), min(started), max(finished) from trials"
            work, first, last = store.execute(query).fetchone()
    used = [cpu for moment, _, cpu in samples if first <= moment <= last]
    peak, cores, all_work = max(size for _, size, _ in samples), jobs * (last - first), max(used) - used[0]
    return peak / 1e6, 100 * work / cores, 100 * all_work / cores, 100 * work / all_work


def main() -> None:
    """Print a row for memory and three for the use of the cores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=lambda text: Path(text).resolve())
    parser.add_argument("second", type=lambda text: Path(text).resolve())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--study", nargs=argparse.REMAINDER, default=STUDY, help="another command, last on the line")
    options = parser.parse_args()
    checkouts = (options.first, options.second)
    measured: list[list[tuple[float, ...]]] = [[], []]
    for turn in range(options.rounds):
        for side in (0, 1) if turn % 2 else (1, 0):
            measured[side].append(run(checkouts[side], options.study, options.jobs))
    print(
        f"load {os.getloadavg()[0]:.1f}; actlab {' '.join(options.study)}; {options.jobs} jobs; {options.rounds} runs each"
    )
    print(f"{'':24}{'first':>10}{'second':>10}{'second/first':>14}")
    names = ("peak memory", "cores busy with trials", "cores busy", "CPU time in trials")
    for index, (name, unit) in enumerate(zip(names, ("MB", "%", "%", "%"), strict=True)):
        first, second = ([values[index] for values in runs] for runs in measured)
        ratio = statistics.median(b / a for a, b in zip(first, second, strict=True))
        cells = "".join(f"{statistics.median(values):8.1f}{unit:>3}" for values in (first, second))
        print(f"{name:24}{cells}{ratio:13.3f}")


if __name__ == "__main__":
    main()
