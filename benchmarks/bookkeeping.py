"""CPU time of a study's bookkeeping per trial, at several numbers of stored rows.

The trials compute nothing, so that all time is spent in the store, the scheduler, the race and the progress line::

    python benchmarks/bookkeeping.py                      # 100, 1,000 and 5,000 rows of 10 arms
    python benchmarks/bookkeeping.py --arms 50 --rows 500 5000
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

from actlab.studies.execution.job import Job
from actlab.studies.execution.study_state import StudyState
from actlab.studies.plan import make_plan
from actlab.studies.store.lease_owner import Owner
from actlab.studies.store.store import Store, TrialKey
from actlab.studies.trials.trial import Trial
from actlab.tasks import resolve

TASK = resolve("digits")
CURVE = [{"step": 4 * point, "loss": 1 / point} for point in range(1, 101)]


def fake_trial(key: TrialKey) -> Trial:
    """Return a result that depends on the seed more than on the arm, so that no arm is eliminated."""
    draw = random.Random(f"{key.arm} {key.seed}")  # noqa: S311 # a simulation
    return Trial(
        **key._asdict(), metric=0.95 + 0.01 * draw.random(), curve=CURVE, parameters=5_000, steps=400, seconds=1.0
    )


def measure(arms: int, rows: int, trials: int) -> float:
    """Return the CPU seconds per trial of a run, on a study that has ``rows`` rows before."""
    labels = [f"leaky_relu({(number + 1) / 1000})" for number in range(arms)]
    plan = make_plan(TASK, labels, seeds=(rows + trials) // arms + 2)
    url = f"sqlite:///{Path(tempfile.mkdtemp()) / 'store.db'}"
    store, owner = Store(url, keep_open=True), Owner.of()
    study = store.begin_study("bookkeeping", plan).id
    for key in [TrialKey("main", arm, seed, TASK.learning_rate) for seed in plan.seeds for arm in plan.labels][:rows]:
        store.finish(study, store.acquire(study, [key], owner), fake_trial(key))
    job = Job(store=url, study=study, plan=plan, task="digits", jobs=1)
    state = StudyState(job, TASK.learning_rate, store, progress=lambda _: None)
    start = time.process_time()
    for _ in range(trials):
        lease = store.acquire(study, state.schedule.runnable, owner)
        store.finish(study, lease, fake_trial(lease.key))
        state.refresh()
    return (time.process_time() - start) / trials


def main() -> None:
    """Print the CPU time per trial for each number of rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", type=int, default=10)
    parser.add_argument("--rows", type=int, nargs="+", default=[100, 1000, 5000])
    parser.add_argument("--trials", type=int, default=100, help="measured trials")
    options = parser.parse_args()
    for rows in options.rows:
        print(
            f"{options.arms} arms, {rows:>6,} rows: {1e3 * measure(options.arms, rows, options.trials):6.2f} ms of CPU per trial"
        )


if __name__ == "__main__":
    main()
