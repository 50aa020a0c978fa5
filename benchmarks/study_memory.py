"""Peak memory of a study of the process pool, and how busy it keeps the cores, in two checkouts of ActLab.

    git worktree add /tmp/before 3b97b95
    python benchmarks/study_memory.py /tmp/before . --jobs 2

Both run the same study with this Python and its packages, in fresh processes and in turns. Memory is the sum of the proportional set
sizes (PSS) of all processes of the study, read from /proc every 30 ms: a page that several processes share counts once. Busy is the CPU
time of all trials over the time of the cores from the first trial's start to the last one's end. The trainer of single models is chosen
where a checkout has a choice. Printed are medians and the median of the ratios of neighbouring runs (second over first). Linux only.
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

STUDY = ["compare", "digits:cnn", "relu", "gelu", "silu", "tanh", "--seeds", "8"]
SINGLE = ["--trainer", "single"]  # for checkouts that also train many models at once


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


def has_choice(checkout: Path) -> bool:
    """Return whether the checkout can be told which trainer to use."""
    command = [sys.executable, "-m", "actlab", "compare", "--help"]
    text = subprocess.run(command, env=environment(checkout), capture_output=True, text=True, check=True).stdout  # noqa: S603 our own
    return SINGLE[0] in text


def environment(checkout: Path) -> dict[str, str]:
    """Return the variables under which a checkout runs."""
    variables = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    return {**variables, "PYTHONPATH": str(checkout / "src"), "COLUMNS": "200"}


def run(checkout: Path, arguments: list[str], jobs: int) -> tuple[float, float]:
    """Run a study, and return its peak memory in MB and the share of the cores' time that its trials used."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(  # noqa: S603 our own
            [sys.executable, "-m", "actlab", *arguments, "--jobs", str(jobs), "--store", "study.db"],
            cwd=folder,
            env=environment(checkout),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        peak = 0
        while process.poll() is None:
            peak = max(peak, sum(map(proportional_size, descendants(process.pid))))
            time.sleep(0.03)
        with sqlite3.connect(Path(folder) / "study.db") as store:
            query = "select sum(cpu_seconds), min(started), max(finished) from trials"
            work, first, last = store.execute(query).fetchone()
    return peak / 1e6, work / (jobs * (last - first))


def main() -> None:
    """Print a row for memory and one for the cores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=lambda text: Path(text).resolve())
    parser.add_argument("second", type=lambda text: Path(text).resolve())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--study", nargs=argparse.REMAINDER, default=STUDY, help="another command, last on the line")
    options = parser.parse_args()
    checkouts = (options.first, options.second)
    extra = [SINGLE if has_choice(checkout) else [] for checkout in checkouts]
    measured: list[list[tuple[float, float]]] = [[], []]
    for turn in range(options.rounds):
        for side in (0, 1) if turn % 2 else (1, 0):
            measured[side].append(run(checkouts[side], [*options.study, *extra[side]], options.jobs))
    print(
        f"load {os.getloadavg()[0]:.1f}; actlab {' '.join(options.study)}; {options.jobs} jobs; {options.rounds} runs each"
    )
    print(f"{'':24}{'first':>10}{'second':>10}{'second/first':>14}")
    for index, (name, unit) in enumerate((("peak memory", "MB"), ("cores busy", "%"))):
        first, second = ([run[index] * (1 if index == 0 else 100) for run in runs] for runs in measured)
        ratio = statistics.median(b / a for a, b in zip(first, second, strict=True))
        cells = "".join(f"{statistics.median(values):8.1f}{unit:>3}" for values in (first, second))
        print(f"{name:24}{cells}{ratio:13.3f}")


if __name__ == "__main__":
    main()
