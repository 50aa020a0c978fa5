"""Test that a study loses no trial and repeats none when it is killed, in whole or in part, or its disk is full.

Five ways, each on a store of its own, in a session of its own:

* everything: the whole process group is killed with SIGKILL at 50 random times: some kills hit the start (imports, checks, measurement of
  costs), most hit the trials;
* start: the first process alone is killed at 30 random times before its first trial, and nothing may run on;
* single: one of the processes that run the trials, or the one that forks them, is killed at 30 random times while the command goes on;
* disk: the store runs out of space (a small tmpfs for root, else a limit on file size);
* long: the whole process group is killed at 30 random times in the middle of trials of about ten seconds that store their state every half
  second, with augmentation, dropout, batch normalisation, a schedule, averaged weights and early stopping; the repeated steps are counted.

Then the command runs to its end, and its rows are compared with those of an uninterrupted run, bit for bit, in all columns except times.

    python benchmarks/kill_test.py [everything start single disk long] [--kills 50] [--part-kills 30] [--seed 0] [--jobs 2] [--stack]

With --stack the trials are trained as stacks, but for the long ones; by default none are, as what is faster depends on the machine's load.

Fifteen to twenty minutes. The exit code is 0 if all checks pass.
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
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from actlab.errors import StoreError
from actlab.studies.store.schema import leases
from actlab.studies.store.store import Store

ARMS = ("relu", "gelu", "silu", "tanh", "elu", "sigmoid")
SEEDS = 40
TIMES = {"started", "finished", "seconds", "cpu_seconds"}
EARLY = 0.2  # share of the kills that hit the start
TASK = """
import torch
from torch import nn
from torch.nn import functional as F

def model(seed):
    # widths of which the numbers of a stack do not depend on what else is in it
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 16))

def data(seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(600, 16, generator=generator)
    y = (x[:, :4].prod(1) > 0).long()
    return {"train": (x[:400], y[:400]), "test": (x[400:], y[400:])}

loss = F.cross_entropy

def metric(output, target):
    return F.cross_entropy(output, target).item()

direction = "min"
metric_name = "test loss"
epochs = 30
batch_size = 32
"""

LONG_ARMS, LONG_SEEDS = ("relu", "swish(beta=learned)"), 2
INTERVAL, STEP = 0.5, 0.01  # seconds between two checkpoints, and of a step at least, as in long_task.py


def main() -> int:
    """Run the tests and print their checks; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ways", nargs="*", help="; ".join(WAYS), metavar="WAY")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--part-kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--stack", action="store_true")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    (folder / "small_task.py").write_text(TASK)
    (folder / "long_task.py").write_text(Path(__file__).with_name("long_task.py").read_text())
    ways, expected = options.ways or list(WAYS), list[dict[str, Any]]()
    if set(ways) != {"long"}:
        begin = time.perf_counter()
        expected = finish(folder, folder / "uninterrupted.db", options)
        print(f"uninterrupted: {len(expected)} rows in {time.perf_counter() - begin:.1f} s")
    passed = [WAYS[way](folder, expected, options) for way in ways]
    print("everything holds" if all(passed) else "NOT everything holds")
    return 0 if all(passed) else 1


def command(folder: Path, store: Path, options: argparse.Namespace) -> list[str]:
    """Return the command line of the study."""
    arguments = ["compare", str(folder / "small_task.py"), *ARMS, "--seeds", str(SEEDS), "--jobs", str(options.jobs)]
    arguments.append("--stack" if options.stack else "--no-stack")
    return [sys.executable, "-m", "actlab", *arguments, "--store", f"sqlite:///{store}", "--name", "killed"]


def check_long_trials(folder: Path, _: list[dict[str, Any]], options: argparse.Namespace) -> bool:
    """Kill everything in the middle of long trials, let the study finish, and compare its rows and the steps that were repeated."""
    draw, kills, store = random.Random(options.seed), 0, folder / "long.db"  # noqa: S311 # random times of a test
    line = long_command(folder, folder / "long_uninterrupted.db", options.jobs)
    os.environ["KILL_TEST_STEPS"] = str(folder / "steps_uninterrupted")
    subprocess.run(line, check=True, capture_output=True)  # noqa: S603 # our own command
    expected = rows(folder / "long_uninterrupted.db")
    steps, passed, studies = Path(folder / "steps"), True, 0
    os.environ["KILL_TEST_STEPS"] = str(steps)
    while kills < options.part_kills:
        line, before = long_command(folder, store, options.jobs), size(steps)
        process = subprocess.Popen(line, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 # as above
        while size(steps) == before and process.poll() is None:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 3))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.communicate()
        if process.returncode == 0:
            passed, studies = passed & compare_rows(f"after {kills} kills", rows(store), expected, store), studies + 1
            store = folder / f"long_{studies}.db"
    subprocess.run(long_command(folder, store, options.jobs), check=True, capture_output=True)  # noqa: S603 # our own command
    passed &= compare_rows("after the kills in the middle of trials", rows(store), expected, store)
    repeated = size(steps) - (studies + 1) * sum(row["steps"] for row in expected)
    allowed = kills * options.jobs * round(INTERVAL / STEP)
    left = sorted(folder.glob("long*.checkpoints"))
    print(
        f"{kills} kills in the middle of trials of {expected[0]['steps']} steps; {repeated} of {size(steps)} steps were repeated"
    )
    print(
        f"  {'yes' if repeated <= allowed else 'NO '}  at most an interval for each kill and process: {allowed} steps"
    )
    print(f"  {'NO ' if left else 'yes'}  no checkpoint is left")
    return passed and repeated <= allowed and not left


def long_command(folder: Path, store: Path, jobs: int) -> list[str]:
    """Return the command line of the study of long trials."""
    arguments = ["compare", str(folder / "long_task.py"), *LONG_ARMS, "--seeds", str(LONG_SEEDS), "--jobs", str(jobs)]
    checkpoints = ["--checkpoint-every", f"{INTERVAL}s"]
    return [
        sys.executable,
        "-m",
        "actlab",
        *arguments,
        *checkpoints,
        "--store",
        f"sqlite:///{store}",
        "--name",
        "killed",
    ]


def size(file: Path) -> int:
    """Return the size of a file in bytes, 0 where there is none."""
    return file.stat().st_size if file.exists() else 0


def finish(folder: Path, store: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Run the command to its end and return the rows."""
    subprocess.run(command(folder, store, options), check=True, capture_output=True)  # noqa: S603 # our own command
    return rows(store)


def rows(store: Path) -> list[dict[str, Any]]:
    """Return the rows without times, sorted by arm and seed."""
    opened = Store(store, create=False)
    untimed = [
        {name: value for name, value in row.items() if name not in TIMES}
        for row in opened.rows(opened.study("killed").id)
    ]
    opened.close()
    for row in untimed:
        for columns in (row["series"] or {}).values():
            del columns["seconds"]
    return sorted(untimed, key=lambda row: (row["arm"], row["seed"]))


def check_kills(folder: Path, expected: list[dict[str, Any]], options: argparse.Namespace) -> bool:
    """Kill the study repeatedly, let it finish, and compare its rows; when it finishes before a kill, go on with another one."""
    store, draw = folder / "killed.db", random.Random(options.seed)  # noqa: S311 # random times of a test
    begin, early, kills, right = time.perf_counter(), 0, 0, True
    while kills < options.kills:
        before = state(store)
        process = start(folder, store, options)
        was_early = kill_at_random(process, draw, lambda before=before, store=store: state(store) != before)
        if process.returncode >= 0:
            right &= compare_rows(f"after {kills} kills", rows(store), expected, store)
            store = folder / f"killed_after_{kills}.db"
            continue
        kills, early = kills + 1, early + was_early
        if kills % 10 == 0:
            print(f"  {kills} kills, {state(store)[0]} rows, {time.perf_counter() - begin:.0f} s", flush=True)
    left = len(expected) - state(store)[0]
    print(f"killed {kills} times ({early} before the first trial); {left} of {len(expected)} trials were still to run")
    return compare_rows("after the kills", finish(folder, store, options), expected, store) and right


def start(
    folder: Path, store: Path, options: argparse.Namespace, prepare: Callable[[], None] | None = None
) -> subprocess.Popen[bytes]:
    """Start the command in a process group of its own."""
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(command(folder, store, options), start_new_session=True, preexec_fn=prepare, **pipes)  # type: ignore[call-overload]  # pipes are one of two kinds # noqa: S603, PLW1509 our own command; the limit must be set in the child


def state(store: Path) -> tuple[int, int]:
    """Return the numbers of rows and of leases so far."""
    try:
        opened = Store(store, create=False)
        study = opened.study("killed").id
    except StoreError:
        return 0, 0
    with opened._engine.connect() as connection:  # attempts of trials are not part of the store's interface
        begun = connection.scalar(sa.select(sa.func.count()).where(leases.c.study_id == study)) or 0
    counts = opened.count(study), begun
    opened.close()
    return counts


def kill_at_random(process: subprocess.Popen[bytes], draw: random.Random, working: Callable[[], bool]) -> bool:
    """Kill the process group at a random time; return whether that was before its first trial."""
    if draw.random() < EARLY:
        time.sleep(draw.uniform(0, 4))
    else:
        while not working() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 1.2))
    early = not working()
    with suppress(ProcessLookupError):  # it has finished
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return early


def check_start(folder: Path, expected: list[dict[str, Any]], options: argparse.Namespace) -> bool:
    """Kill the first process alone before the first trial, see that nothing runs on, let the study finish, and compare its rows."""
    store, draw, left, longest = folder / "start.db", random.Random(options.seed), 0, 0.0  # noqa: S311 # random times of a test
    for _ in range(options.part_kills):
        process = start(folder, store, options)
        pause, begun = draw.uniform(0, 6), state(store)
        end = time.monotonic() + pause
        while time.monotonic() < end and state(store) == begun:
            time.sleep(0.01)
        process.kill()
        process.wait()
        killed = time.monotonic()
        while session(process.pid) and time.monotonic() < killed + 5:
            time.sleep(0.01)
        longest = max(longest, time.monotonic() - killed)
        left += bool(session(process.pid))
        process.communicate()
    print(
        f"first process killed {options.part_kills} times as it started; the last process ended {longest:.2f} s later at most"
    )
    print(f"  {'NO ' if left else 'yes'}  after the kills at the start: nothing ran on")
    return compare_rows("after the kills at the start", finish(folder, store, options), expected, store) and not left


def check_single(folder: Path, expected: list[dict[str, Any]], options: argparse.Namespace) -> bool:
    """Kill single processes of a study that goes on, and compare its rows; with several studies if one ends too soon."""
    draw, kills, runs, passed = random.Random(options.seed), 0, 0, True  # noqa: S311 # random choices of a test
    while kills < options.part_kills:
        store, runs = folder / f"single{runs}.db", runs + 1
        process, before = start(folder, store, options), -1
        while process.poll() is None and kills < options.part_kills:
            time.sleep(draw.uniform(0, 0.7))
            others = [pid for pid in session(process.pid) if pid != process.pid]
            if (
                others and state(store)[0] > before
            ):  # kills that come faster than trials end would leave nothing to test
                before = state(store)[0]
                with suppress(ProcessLookupError):
                    os.kill(draw.choice(others), signal.SIGKILL)
                    kills += 1
        _, errors = process.communicate()
        passed &= process.returncode == 0 and b"Traceback" not in errors
        found = f"exit code {process.returncode}, {state(store)[0]} rows, {killed_attempts(store)} attempts killed"
        print(f"{kills} kills of single processes: {found}", flush=True)
        passed &= compare_rows("after kills of single processes", finish(folder, store, options), expected, store)
    return passed


def session(leader: int) -> list[int]:
    """Return the processes of a session, zombies aside."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if fields[3] == str(leader) and fields[0] not in "ZX":
                    found.append(int(entry.name))
    return sorted(found)


def killed_attempts(store: Path) -> int:
    """Return how many attempts of trials were ended by a kill."""
    opened = Store(store, create=False)
    with opened._engine.connect() as connection:  # attempts of trials are not part of the store's interface
        count = connection.scalar(sa.select(sa.func.count()).where(leases.c.outcome.like("killed%"))) or 0
    opened.close()
    return count


def check_full_disk(folder: Path, expected: list[dict[str, Any]], options: argparse.Namespace) -> bool:
    """Let the store run out of space, enlarge the disk, let the study finish, and compare its rows."""
    disk = folder / "small_disk"
    disk.mkdir()
    store = disk / "full.db"
    mounted = os.geteuid() == 0 and _mount(disk, "size=400k")
    limit = None if mounted else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
    try:
        process = start(folder, store, options, limit)
        _, errors = process.communicate()
        message = errors.decode().strip().splitlines()[-1] if errors else ""
        kind = "tmpfs" if mounted else "file size limit"
        print(f"full disk ({kind}): exit code {process.returncode}, {state(store)[0]} rows")
        print(f"  {message}")
        if mounted:
            _mount(disk, "remount,size=64m")
        reported = process.returncode == 2 and "run the same command again" in message and b"Traceback" not in errors
        rows_after = finish(folder, store, options)
        return compare_rows("after the full disk", rows_after, expected, store) and reported
    finally:
        if mounted:
            subprocess.run(["umount", str(disk)], check=False)  # noqa: S603, S607 our own mount


def _mount(folder: Path, mount_options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", mount_options, "tmpfs", str(folder)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0  # noqa: S603 as root, our own folder


def compare_rows(when: str, actual: list[dict[str, Any]], expected: list[dict[str, Any]], store: Path) -> bool:
    """Print and return whether the rows are those of the uninterrupted run, and no trial ran to its end twice."""
    trials = [(row["arm"], row["seed"]) for row in actual]
    checks = {
        "rows equal the uninterrupted run's, bit for bit": actual == expected,
        "no trial has two rows": len(set(trials)) == len(trials),
        "no trial was begun again after it had a row": not begun_after_the_end(store),
    }
    for check, passes in checks.items():
        print(f"  {'yes' if passes else 'NO '}  {when}: {check}")
    return all(checks.values())


def begun_after_the_end(store: Path) -> list[tuple[str, int]]:
    """Return the trials that were leased although they had a row."""
    opened = Store(store, create=False)
    study = opened.study("killed").id
    ended = {(row["arm"], row["seed"]): row["finished"] for row in opened.rows(study)}
    with opened._engine.connect() as connection:  # leases are not part of the store's interface
        begun = connection.execute(sa.select(leases.c.arm, leases.c.seed, leases.c.claimed)).all()
    opened.close()
    return [(arm, seed) for arm, seed, started in begun if started > ended[arm, seed]]


WAYS: dict[str, Callable[[Path, list[dict[str, Any]], argparse.Namespace], bool]] = {
    "everything": check_kills,
    "start": check_start,
    "single": check_single,
    "disk": check_full_disk,
    "long": check_long_trials,
}

if __name__ == "__main__":
    sys.exit(main())
