"""Less work for the same answer: ten activations on MNIST-1D, 20 seeds, three ways.

* ActLab: arms leave when the evidence allows, a process per core with one thread each;
* (a) the full grid: a plain loop over arms and seeds in one process, with torch's default threads (and, to be fair, with one);
* (b) Optuna: the same loop, an arm a trial, a seed a step, pruned by its ``WilcoxonPruner`` at the defaults.

The truth that answers are held against is the full grid: its best set by ActLab's own test, and its arm with the best mean.

    python benchmarks/less_work.py [--seeds 20] [--jobs N] [--skip-one-thread]

About five minutes on two quiet cores.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
import torch

import actlab
from actlab.stats.racing import Race
from actlab.studies.arm import parse_arm
from actlab.studies.trial import build_model
from actlab.system import cores
from actlab.tasks import resolve
from actlab.tasks.isolation import isolated
from actlab.tasks.task import load_data

ARMS = ("relu", "leaky_relu", "gelu", "silu", "mish", "elu", "selu", "tanh", "softplus", "sigmoid")
TASK = "mnist1d"


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to answer the question, and what it cost."""

    name: str
    trials: int
    seconds: float
    cpu_seconds: float
    best: tuple[str, ...]


def main() -> None:
    """Run the ways and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=cores.available())
    parser.add_argument("--skip-one-thread", action="store_true")
    options = parser.parse_args()

    plain_trial("relu", 0)  # makes the data and warms up, outside of all clocks
    threads = torch.get_num_threads()
    ours = by_actlab(options.seeds, options.jobs)
    grid, table = by_full_grid(options.seeds, threads)
    ways = [ours, grid, by_optuna(options.seeds, threads)]
    if not options.skip_one_thread:
        ways += [by_full_grid(options.seeds, 1)[0], by_optuna(options.seeds, 1)]
    report(ways, table, options.jobs)


def plain_trial(arm: str, seed: int) -> float:
    """Train once as a plain script would, on torch's current threads; return the mean training loss."""
    task = resolve(TASK)
    with isolated(seed):
        split = load_data(task, seed).train
        model, _ = build_model(task, parse_arm(arm), seed, init="fixed", batch=split.x[: task.batch_size])
        torch.manual_seed(seed)
        optimizer, losses = task.optimizer(model.parameters(), task.learning_rate), []
        for step in range(task.steps or 0):
            start = step * task.batch_size % len(split)
            loss = task.loss(model(split.x[start : start + 100]), split.y[start : start + 100])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return float(np.mean(losses))


def by_actlab(seeds: int, jobs: int) -> Way:
    """Answer with ActLab, start of the workers and measuring of the costs included."""
    begin = time.perf_counter()
    study = actlab.compare(TASK, ARMS, seeds=seeds, jobs=jobs, store=Path(tempfile.mkdtemp()) / "less.db")
    best = study.verdict().best_set
    seconds, rows = time.perf_counter() - begin, study.rows()
    cpu = sum(row["cpu_seconds"] for row in rows)
    return Way(name=f"ActLab, {jobs} processes", trials=len(rows), seconds=seconds, cpu_seconds=cpu, best=best)


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    yield
    torch.set_num_threads(before)


def by_full_grid(seeds: int, threads: int) -> tuple[Way, dict[str, dict[int, float]]]:
    """Answer with every trial of the grid, one after the other."""
    with _threads(threads):
        begin, cpu = time.perf_counter(), time.process_time()
        table = {arm: {seed: plain_trial(arm, seed) for seed in range(seeds)} for arm in ARMS}
        seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    active = Race(ARMS, "min").replay(table, range(seeds)).active
    name = f"full grid, 1 process, {_counted(threads)}"
    return Way(name=name, trials=len(ARMS) * seeds, seconds=seconds, cpu_seconds=cpu, best=active), table


def by_optuna(seeds: int, threads: int) -> Way:
    """Answer with Optuna's WilcoxonPruner at its defaults."""
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    count = 0

    def objective(trial: optuna.Trial) -> float:
        nonlocal count
        arm, values = trial.suggest_categorical("arm", ARMS), []
        for seed in range(seeds):
            values.append(plain_trial(arm, seed))
            count += 1
            trial.report(values[-1], seed)
            if trial.should_prune():
                break  # its documentation returns the mean so far
        return float(np.mean(values))

    with _threads(threads):
        begin, cpu = time.perf_counter(), time.process_time()
        study = optuna.create_study(direction="minimize", pruner=optuna.pruners.WilcoxonPruner())
        for arm in ARMS:
            study.enqueue_trial({"arm": arm})
        study.optimize(objective, n_trials=len(ARMS))
        seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    name = f"Optuna, 1 process, {_counted(threads)}"
    return Way(name=name, trials=count, seconds=seconds, cpu_seconds=cpu, best=(study.best_params["arm"],))


def _counted(threads: int) -> str:
    return f"{threads} thread{'' if threads == 1 else 's'}"


def report(ways: list[Way], table: dict[str, dict[int, float]], jobs: int) -> None:
    """Print what each way cost and what it answered."""
    means = {arm: float(np.mean(list(own.values()))) for arm, own in table.items()}
    winner, truth = min(means, key=means.__getitem__), set(ways[1].best)
    print(f"{len(ARMS)} arms x {len(table[winner])} seeds on {TASK}; {jobs} cores\n")
    print(f"{'way':<34} {'trials':>6} {'wall s':>8} {'CPU s':>8} {'wall of ActLab':>15}  best")
    for way in ways:
        ratio = f"{way.seconds / ways[0].seconds:.2f}x"
        print(
            f"{way.name:<34} {way.trials:6d} {way.seconds:8.1f} {way.cpu_seconds:8.1f} {ratio:>15}  {', '.join(way.best)}"
        )
    print(f"\nfull grid: best mean {winner} ({means[winner]:.4f}); best set {', '.join(sorted(truth))}")
    ours = set(ways[0].best)
    print(f"ActLab's best set holds the arm with the best mean: {'yes' if winner in ours else 'NO'}")
    print(f"ActLab's best set is the full grid's: {'yes' if ours == truth else f'no: {sorted(ours ^ truth)} differ'}")
    print(
        f"Optuna names the arm with the best mean: {'yes' if ways[2].best == (winner,) else 'NO, ' + ways[2].best[0]}"
    )


if __name__ == "__main__":
    main()
