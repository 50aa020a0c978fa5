"""Time of the import, of short commands, and of a kernel's first calls, with an empty and with a filled cache.

    python benchmarks/first_use.py
    python benchmarks/first_use.py --commands

Every line is measured in new processes, contenders interleaved; medians of CPU seconds (``time.process_time``, and for commands the
CPU time of the process and those that it starts).
"""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

IMPORTS = {
    "import torch": "import torch",
    "import torch, actlab": "import torch, actlab",
    "import actlab": "import actlab",
}
COMMANDS = {
    "a typing error in a name": "compare digits rleu gelu",
    "a typing error in a path": "compare my_tsk.py relu gelu",
    "help": "--help",
    "help of a command": "compare --help",
    "the tasks": "tasks",
    "the studies of a store": "studies",
    "all activations": "list",
    "one activation": "show gelu",
    "a plan": "compare digits relu gelu --dry-run",
    "costs of three activations": "cost model.py relu gelu swish",
}
MODEL = """
import torch
from torch import nn

example_inputs = torch.randn(32, 64)


def model():
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
"""
FIRST = """
import time, torch, actlab
torch.set_num_threads(1)
x = torch.randn(2**16, requires_grad=True)
times = [time.process_time()]
def note(): times.append(time.process_time())
layer = actlab.layer({name!r}, fast=True); note()
y = layer(x); note()
y.backward(torch.ones_like(y)); note()
y = layer(x); note()
y.backward(torch.ones_like(y)); note()
print(*(b - a for a, b in zip(times, times[1:])))
"""
PARTS = ("layer()", "first forward", "first backward", "forward", "backward")


def seconds(code: str, cache: str) -> list[float]:
    """Run code in a new process and return the numbers that it prints."""
    environment = {**os.environ, "ACTLAB_CACHE": cache, "OMP_NUM_THREADS": "1"}
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)  # noqa: S603 code above
    return [float(number) for number in process.stdout.split()]


def command_seconds(command: str, folder: str) -> float:
    """Run a command of ActLab in a folder and return its CPU time."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(  # noqa: S603 # commands above
        [sys.executable, "-m", "actlab", *shlex.split(command)],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def print_commands(rounds: int) -> None:
    """Print the CPU time of each command, in a folder with a model file and the store of one study."""
    times: dict[str, list[float]] = {command: [] for command in COMMANDS.values()}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.py").write_text(MODEL)
        command_seconds("compare digits relu gelu --seeds 1", folder)
        for _ in range(rounds):
            for command, runs in times.items():
                runs.append(command_seconds(command, folder))
    for what, command in COMMANDS.items():
        print(f"{what:28}{'actlab ' + command:44}{statistics.median(times[command]):8.2f}")


def timing_code(statement: str) -> str:
    """Return code that prints the CPU time of a statement."""
    return f"import time; start = time.process_time()\n{statement}\nprint(time.process_time() - start)"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["mish", "telu", "swiglu"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--commands", action="store_true", help="print only the times of commands")
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}; medians of {options.rounds} processes, CPU seconds")
    if options.commands:
        print_commands(options.rounds)
        return
    print_imports_and_kernels(options)


def print_imports_and_kernels(options: argparse.Namespace) -> None:
    """Print the tables of imports and of first calls."""
    times: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for _ in range(options.rounds):
        for name, statement in IMPORTS.items():
            times[name] += seconds(timing_code(statement), "")
    torch_alone = statistics.median(times["import torch"])
    for name, runs in times.items():
        print(f"{name:24}{statistics.median(runs):8.3f}   {statistics.median(runs) / torch_alone:.2f} of import torch")
    print("\n" + f"{'':16}" + "".join(f"{part:>16}" for part in PARTS) + "   (milliseconds)")
    for name in options.names:
        for how in ("cold", "cached"):
            print(
                f"{name:8}{how:8}" + "".join(f"{1e3 * t:16.2f}" for t in first_use(name, how, options.rounds)),
                flush=True,
            )


def first_use(name: str, how: str, rounds: int) -> list[float]:
    """Return the median times of the parts, with an empty or a filled kernel cache in each process."""
    rows = []
    with tempfile.TemporaryDirectory() as filled:
        if how == "cached":
            seconds(FIRST.format(name=name), filled)
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as empty:
                rows.append(seconds(FIRST.format(name=name), filled if how == "cached" else empty))
    return [statistics.median(column) for column in zip(*rows, strict=True)]


if __name__ == "__main__":
    main()
