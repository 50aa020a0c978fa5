"""Times of import, first kernel call, a small layer and the demo in two checkouts of ActLab.

    git worktree add /tmp/before ab7cbfb
    python benchmarks/two_checkouts.py /tmp/before . --rounds 9 --demo-rounds 3

Both run with this Python and its packages, in fresh processes and in turns, one torch thread each. Printed are the medians of both and
the median of the ratios of neighbouring runs (second over first).
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

FIRST_CALL = """
import time, torch, actlab
x = torch.randn(2**16, requires_grad=True)
start = time.process_time()
layer = actlab.layer("mish", fast=True)
y = layer(x)
y.backward(torch.ones_like(y))
print(time.process_time() - start)
"""
# Fastest of many turns: what a call costs, without what else the machine does.
SMALL_CALL = """
import time, torch, actlab
x = torch.randn(64, requires_grad=True)
layer, one = actlab.layer({name!r}, fast=True), torch.ones(64)
for _ in range(200):
    layer(x).backward(one)
times = []
for _ in range(200):
    start = time.perf_counter()
    for _ in range(50):
        {call}
    times.append(time.perf_counter() - start)
print(min(times) / 50)
"""
TIMED = "import time; start = time.process_time()\n{0}\nprint(time.process_time() - start)"
MEASURED = {
    "import actlab": TIMED.format("import actlab"),
    "import torch, actlab; layer('gelu')": TIMED.format("import torch, actlab; actlab.layer('gelu')"),
    "actlab --help": TIMED.format(
        "import sys; sys.argv = ['actlab', '--help']\nfrom actlab.cli import main\n"
        "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): main()"
    ),
    "first kernel call, compiled": FIRST_CALL,
    "first kernel call, cached": FIRST_CALL,
    "small layer, forward": SMALL_CALL.format(name="mish", call="layer(x)"),
    "small layer, forward and backward": SMALL_CALL.format(name="mish", call="layer(x).backward(one)"),
    "small layer, relu, forward": SMALL_CALL.format(name="relu", call="layer(x)"),
    "small layer, learned, forward": SMALL_CALL.format(name="swish(beta=learned)", call="layer(x)"),
    "small layer, learned, both passes": SMALL_CALL.format(name="swish(beta=learned)", call="layer(x).backward(one)"),
    "small layer, prelu, both passes": SMALL_CALL.format(name="prelu", call="layer(x).backward(one)"),
}
DEMO = ["-m", "actlab", "compare", "digits", "relu", "gelu", "mish", "elu", "tanh", "sigmoid", "--seeds", "16"]


def environment(checkout: Path, cache: str) -> dict[str, str]:
    """Return the variables under which a checkout runs."""
    return {**os.environ, "PYTHONPATH": str(checkout / "src"), "ACTLAB_CACHE": cache, "OMP_NUM_THREADS": "1"}


def seconds(code: str, checkout: Path, cache: str) -> float:
    """Run code in a new process and return the number it prints."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment(checkout, cache))  # noqa: S603 our own
    return float(done.stdout.split()[-1])


def demo(checkout: Path, cache: str) -> float:
    """Run the demo's study and return the CPU seconds of all its processes."""
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(  # noqa: S603 our own
            [sys.executable, *DEMO, "--baseline", "relu", "--store", "demo.db", "--name", "demo"],
            cwd=folder,
            capture_output=True,
            check=True,
            env=environment(checkout, cache),
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compared(name: str, checkouts: list[Path], rounds: int) -> list[list[float]]:
    """Return the times of both checkouts, measured in turns."""
    times: list[list[float]] = [[], []]
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        folders = [first, second]
        for i in range(rounds + 1):
            for side in (0, 1) if i % 2 else (1, 0):
                with tempfile.TemporaryDirectory() as empty:
                    cache = empty if name.endswith("compiled") else folders[side]
                    taken = (
                        demo(checkouts[side], cache)
                        if name == "demo"
                        else seconds(MEASURED[name], checkouts[side], cache)
                    )
                if i:  # the first round compiles bytecode and fills the caches
                    times[side].append(taken)
    return times


def main() -> None:
    """Print a row for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=lambda text: Path(text).resolve())
    parser.add_argument("second", type=lambda text: Path(text).resolve())
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--demo-rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="rows whose name has this text")
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}; medians of {options.rounds} runs each, the demo's of {options.demo_rounds}")
    print(f"{'':40}{'first':>12}{'second':>12}{'second/first':>14}")
    for name in [*MEASURED, "demo"]:
        rounds = options.demo_rounds if name == "demo" else options.rounds
        if not rounds or options.only not in name:
            continue
        first, second = compared(name, [options.first, options.second], rounds)
        ratio = statistics.median(b / a for a, b in zip(first, second, strict=True))
        unit = 1e6 if name.startswith("small") else 1e3
        suffix = "us" if name.startswith("small") else "ms"
        cells = "".join(f"{unit * statistics.median(times):10.1f}{suffix}" for times in (first, second))
        print(f"{name:40}{cells}{ratio:14.3f}", flush=True)


if __name__ == "__main__":
    main()
