"""The kill test: a study is killed with SIGKILL at 50 random moments, and once its disk is full; nothing may be lost or done twice.

The command is started in a process group of its own and the whole group is killed: some kills hit the start (imports, checks,
measuring of costs), most hit the workers at their trials. Then the command runs to its end, and its rows are compared with those
of an undisturbed run, bit for bit, all columns but the clocks'.

    python benchmarks/kill_test.py [--kills 50] [--seed 0] [--jobs 2]

Five to ten minutes. The full disk is a small tmpfs for root, else a limit on the size of files. Exit code 0 when all holds.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from actlab.errors import StoreError
from actlab.studies.store.schema import claims
from actlab.studies.store.store import Store

ARMS = ("relu", "gelu", "silu", "tanh", "elu", "sigmoid")
SEEDS = 40
CLOCKS = {"started", "finished", "seconds", "cpu_seconds"}
EARLY = 0.2  # share of the kills that hit the start
TASK = """
import torch
from torch import nn
from torch.nn import functional as F

def model(seed):
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))

def data(seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(600, 8, generator=generator)
    y = (x[:, ::2].prod(1) > 0).long()
    return {"train": (x[:400], y[:400]), "test": (x[400:], y[400:])}

loss = F.cross_entropy

def metric(output, target):
    return F.cross_entropy(output, target).item()

direction = "min"
metric_name = "test loss"
epochs = 30
batch_size = 32
"""


def main() -> int:
    """Run both tests and print what was found; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    (folder / "small_task.py").write_text(TASK)

    begin = time.perf_counter()
    expected = finish(folder, folder / "undisturbed.db", options.jobs)
    print(f"undisturbed: {len(expected)} rows in {time.perf_counter() - begin:.1f} s")
    held = [by_kills(folder, expected, options), by_full_disk(folder, expected, options)]
    print("everything holds" if all(held) else "NOT everything holds")
    return 0 if all(held) else 1


def command(folder: Path, store: Path, jobs: int) -> list[str]:
    """Return the command line of the study."""
    words = ["compare", str(folder / "small_task.py"), *ARMS, "--seeds", str(SEEDS), "--jobs", str(jobs)]
    return [sys.executable, "-m", "actlab", *words, "--store", f"sqlite:///{store}", "--name", "killed"]


def finish(folder: Path, store: Path, jobs: int) -> list[dict[str, Any]]:
    """Run the command to its end and return the rows."""
    subprocess.run(command(folder, store, jobs), check=True, capture_output=True)  # noqa: S603 # our own command
    return rows(store)


def rows(store: Path) -> list[dict[str, Any]]:
    """Return the rows without the clocks' columns, in an order of their own."""
    opened = Store(store, create=False)
    found = [
        {name: value for name, value in row.items() if name not in CLOCKS}
        for row in opened.rows(opened.study("killed").id)
    ]
    opened.close()
    return sorted(found, key=lambda row: (row["arm"], row["seed"]))


def by_kills(folder: Path, expected: list[dict[str, Any]], options: argparse.Namespace) -> bool:
    """Kill the study again and again, let it finish, and compare."""
    store, draw = folder / "killed.db", random.Random(options.seed)  # noqa: S311 # moments of a test
    begin, early = time.perf_counter(), 0
    for number in range(options.kills):
        before = state(store)
        process = start(folder, store, options.jobs)
        early += kill_at_random(process, draw, lambda before=before: state(store) != before)
        if number % 10 == 9:
            print(f"  {number + 1} kills, {state(store)[0]} rows, {time.perf_counter() - begin:.0f} s", flush=True)
    left = len(expected) - state(store)[0]
    print(
        f"killed {options.kills} times ({early} before the first trial); {left} of {len(expected)} trials were still to run"
    )
    return judged("after the kills", finish(folder, store, options.jobs), expected, store) and left > 0


def start(folder: Path, store: Path, jobs: int, prepare: Callable[[], None] | None = None) -> subprocess.Popen[bytes]:
    """Start the command in a group of its own."""
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(command(folder, store, jobs), start_new_session=True, preexec_fn=prepare, **pipes)  # type: ignore[call-overload]  # pipes are one of two kinds # noqa: S603, PLW1509 our own command; the limit must be set in the child


def state(store: Path) -> tuple[int, int]:
    """Return the numbers of rows and of claims so far."""
    try:
        opened = Store(store, create=False)
        study = opened.study("killed").id
    except StoreError:
        return 0, 0
    found = opened.count(study), sum(opened.attempts(study).values())
    opened.close()
    return found


def kill_at_random(process: subprocess.Popen[bytes], draw: random.Random, working: Callable[[], bool]) -> bool:
    """Kill the group at a random moment; return whether that was before its first trial."""
    if draw.random() < EARLY:
        time.sleep(draw.uniform(0, 4))
    else:
        while not working() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 1.2))
    early = not working()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return early


def by_full_disk(folder: Path, expected: list[dict[str, Any]], options: argparse.Namespace) -> bool:
    """Let the store run out of room, make some, and compare."""
    place = folder / "small_disk"
    place.mkdir()
    mounted = os.geteuid() == 0 and _mount(place, "size=400k")
    limit = None if mounted else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
    try:
        process = start(folder, place / "full.db", options.jobs, limit)
        _, said = process.communicate()
        message = said.decode().strip().splitlines()[-1] if said else ""
        print(
            f"full disk ({'tmpfs' if mounted else 'file size limit'}): exit code {process.returncode}, {state(place / 'full.db')[0]} rows"
        )
        print(f"  {message}")
        if mounted:
            _mount(place, "remount,size=64m")
        told = process.returncode == 2 and "run the same command again" in message and b"Traceback" not in said
        return (
            judged("after the full disk", finish(folder, place / "full.db", options.jobs), expected, place / "full.db")
            and told
        )
    finally:
        if mounted:
            subprocess.run(["umount", str(place)], check=False)  # noqa: S603, S607 our own mount


def _mount(place: Path, how: str) -> bool:
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", how, "tmpfs", str(place)], check=False, capture_output=True)  # noqa: S603, S607 as root
    return done.returncode == 0


def judged(when: str, found: list[dict[str, Any]], expected: list[dict[str, Any]], store: Path) -> bool:
    """Print and return whether the rows are those of the undisturbed run, and no trial ran to its end twice."""
    trials = [(row["arm"], row["seed"]) for row in found]
    facts = {
        "rows equal the undisturbed run's, bit for bit": found == expected,
        "no trial has two rows": len(set(trials)) == len(trials),
        "no trial was begun again after it had a row": not begun_after_the_end(store),
    }
    for fact, holds in facts.items():
        print(f"  {'yes' if holds else 'NO '}  {when}: {fact}")
    return all(facts.values())


def begun_after_the_end(store: Path) -> list[tuple[str, int]]:
    """Return the trials that somebody claimed although they had a row."""
    opened = Store(store, create=False)
    study = opened.study("killed").id
    ended = {(row["arm"], row["seed"]): row["finished"] for row in opened.rows(study)}
    with opened._engine.connect() as connection:  # the test looks behind the scenes
        begun = connection.execute(sa.select(claims.c.arm, claims.c.seed, claims.c.claimed)).all()
    opened.close()
    return [(arm, seed) for arm, seed, claimed in begun if claimed > ended[arm, seed]]


if __name__ == "__main__":
    sys.exit(main())
