"""CPU seconds per trial of stacked trials in this checkout, and of single trials in it and in an earlier one.

    git worktree add /tmp/before 3b97b95
    python benchmarks/stacked.py --before /tmp/before [--seeds 16] [--rounds 3] [--tasks digits digits:cnn mnist1d]

Six arms on every seed, one core, one torch thread. The trainings are those of the earlier checkout (protocol 1 of the digits). Each figure
is of a fresh process, after one trial that is not counted (imports, data). The processes run in turns; printed are the medians and the
median of the ratios within a turn. Single trials run on two seeds only, as all take the same time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
ARMS = ("relu", "gelu", "silu", "tanh", "elu", "mish")
TARGETS = {"digits": 5.0, "digits:cnn": 1.8, "mnist1d": 4.0}
COMMON = """
import sys, time, torch
torch.set_num_threads(1)
from actlab.studies.arm import parse_arm
from actlab.tasks import resolve
from actlab.system.allocator import tune_allocator
tune_allocator()  # as in the processes of a study
name, seeds, arms = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(",")
try:
    from actlab.tasks.builtin.digits import earlier_cnn_task, earlier_mlp_task
    task = {"digits": earlier_mlp_task, "digits:cnn": earlier_cnn_task}.get(name, lambda: resolve(name))()
except ImportError:
    task = resolve(name)
"""
SINGLE = (
    COMMON
    + """
try:
    from actlab.studies.trials.trial import run_trial
except ImportError:
    from actlab.studies.trial import run_trial
run_trial(task, parse_arm(arms[0]), 999)
start = time.process_time()
for seed in range(2):
    for arm in arms:
        run_trial(task, parse_arm(arm), seed)
print((time.process_time() - start) / (2 * len(arms)))
"""
)
STACKED = (
    COMMON
    + """
from actlab.studies.plan import make_plan
from actlab.studies.stacked.stack_trials import run_stack
from actlab.studies.stacked.trainer_choice import choose_trainer
from actlab.studies.trials.trial_key import TrialKey
from actlab.tasks.training.conditions import Conditions
plan = make_plan(task, arms, seeds=seeds)
choice = choose_trainer(task, plan, Conditions(), jobs=1, forced=True)
assert choice.stacked, choice.reason
keys = [TrialKey("main", arm, seed, task.learning_rate) for seed in plan.seeds for arm in plan.labels]
parts = -(-len(keys) // choice.models)
size = -(-len(keys) // parts)
start = time.process_time()
for begin in range(0, len(keys), size):
    for trial in run_stack(task, plan, keys[begin : begin + size], Conditions()):
        assert trial.status == "completed", trial.error
print((time.process_time() - start) / len(keys), size)
"""
)


def main() -> None:
    """Run the processes in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="another checkout; by default this one")
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", nargs="+", default=list(TARGETS))
    options = parser.parse_args()
    print(
        f"CPU ms per trial, {len(ARMS)} arms x {options.seeds} seeds, medians of {options.rounds} turns; ratios to before"
    )
    for task in options.tasks:
        measure(task, options.before or HERE, options.seeds, options.rounds)


def measure(task: str, before: Path, seeds: int, rounds: int) -> None:
    """Print the line of one task."""
    turns = []
    for _ in range(rounds):
        singles = [float(run(checkout, SINGLE, task, seeds)) for checkout in (before, HERE)]
        turns.append((*singles, *map(float, run(HERE, STACKED, task, seeds).split())))
    old, single, stacked, size = (statistics.median(column) for column in zip(*turns, strict=True))
    ratio = statistics.median(turn[0] / turn[2] for turn in turns)
    target = f", target 1/{TARGETS[task]}" if task in TARGETS else ""
    print(
        f"{task:10} before {1e3 * old:6.1f}   single now {1e3 * single:6.1f}   in stacks of {size:.0f} {1e3 * stacked:6.1f}   "
        f"1/{ratio:.1f}{target}",
        flush=True,
    )


def run(checkout: Path, code: str, task: str, seeds: int) -> str:
    """Run code in a checkout; return what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, task, str(seeds), ",".join(ARMS)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 # our own code
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout.strip().splitlines()[-1]


if __name__ == "__main__":
    main()
