"""Time from the command of a small study to its first finished trial, in two checkouts of ActLab.

    git worktree add /tmp/before 3b97b95
    python benchmarks/start_up.py /tmp/before . --rounds 7

Both run ``actlab compare digits relu gelu --seeds 6`` with this Python and its packages, in fresh processes and in turns, each in an empty
folder. The clock is the wall's, as that is what a user waits for: run it on a machine that does nothing else. Printed are the medians of
both and the median of the ratios of neighbouring runs (second over first); the first round of each, which compiles bytecode, is dropped.
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
from pathlib import Path

STUDY = ["compare", "digits", "relu", "gelu", "--seeds", "6"]
MEASURED = ("first trial begins", "first trial ends", "study ends", "command ends")


def run(checkout: Path, arguments: list[str]) -> list[float]:
    """Run the command of a checkout, and return the seconds from its start to each of the measured events."""
    # As a user's shell would start it: the number of threads is not set.
    variables = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    with tempfile.TemporaryDirectory() as folder:
        start = time.time()
        subprocess.run(  # noqa: S603 our own
            [sys.executable, "-m", "actlab", *arguments, "--store", "study.db"],
            cwd=folder,
            env={**variables, "PYTHONPATH": str(checkout / "src")},
            capture_output=True,
            check=True,
        )
        end = time.time()
        with sqlite3.connect(Path(folder) / "study.db") as store:
            events = store.execute("select min(started), min(finished), max(finished) from trials").fetchone()
    return [*(event - start for event in events), end - start]


def main() -> None:
    """Print a row for each event."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=lambda text: Path(text).resolve())
    parser.add_argument("second", type=lambda text: Path(text).resolve())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--study", nargs=argparse.REMAINDER, default=STUDY, help="another command, last on the line")
    options = parser.parse_args()
    checkouts = (options.first, options.second)
    times: list[list[list[float]]] = [[], []]
    for turn in range(options.rounds + 1):
        for side in (0, 1) if turn % 2 else (1, 0):
            seconds = run(checkouts[side], options.study)
            if turn:
                times[side].append(seconds)
    print(f"load {os.getloadavg()[0]:.1f}; actlab {' '.join(options.study)}; medians of {options.rounds} runs each")
    print(f"{'':24}{'first':>10}{'second':>10}{'second/first':>14}")
    for name, first, second in zip(MEASURED, zip(*times[0], strict=True), zip(*times[1], strict=True), strict=True):
        ratio = statistics.median(b / a for a, b in zip(first, second, strict=True))
        print(f"{name:24}{statistics.median(first):8.2f} s{statistics.median(second):8.2f} s{ratio:14.3f}")


if __name__ == "__main__":
    main()
