"""Time and answer of ActLab, a full grid and Optuna for ten activations on MNIST-1D with 20 seeds.

* ActLab: arms are eliminated when the evidence allows; one process per core, with one thread each;
* (a) full grid: a loop over arms and seeds in one process, with torch's default threads and, for comparison, with one;
* (b) Optuna: the same loop with an arm as a trial and a seed as a step, pruned by ``WilcoxonPruner`` with its defaults.

The reference is the full grid, with its best set by ActLab's test and its arm with the best mean.

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
from actlab.studies.arm_model import build_model
from actlab.system import cores
from actlab.tasks import resolve
from actlab.tasks.isolation import isolated
from actlab.tasks.task import load_data

ARMS = ("relu", "leaky_relu", "gelu", "silu", "mish", "elu", "selu", "tanh", "softplus", "sigmoid")
TASK = "mnist1d"


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method, its cost and its answer."""

    name: str
    trials: int
    seconds: float
    cpu_seconds: float
    best: tuple[str, ...]


def main() -> None:
    """Run the methods and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=cores.available())
    parser.add_argument("--skip-one-thread", action="store_true")
    options = parser.parse_args()

    plain_trial("relu", 0)  # generates the data and warms up, before any measurement
    threads = torch.get_num_threads()
    actlab_method = run_actlab(options.seeds, options.jobs)
    grid, table = run_full_grid(options.seeds, threads)
    methods = [actlab_method, grid, run_optuna(options.seeds, threads)]
    if not options.skip_one_thread:
        methods += [run_full_grid(options.seeds, 1)[0], run_optuna(options.seeds, 1)]
    report(methods, table, options.jobs)


def plain_trial(arm: str, seed: int) -> float:
    """Train once in a plain loop, on torch's current threads; return the mean training loss."""
    task = resolve(TASK)
    with isolated(seed):
        split = load_data(task, seed).train
        model = build_model(task, parse_arm(arm), seed, init="fixed", batch=split.x[: task.batch_size])
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


def run_actlab(seeds: int, jobs: int) -> Method:
    """Run ActLab; the time includes the start of the workers and the measurement of costs."""
    begin = time.perf_counter()
    study = actlab.compare(TASK, ARMS, seeds=seeds, jobs=jobs, store=Path(tempfile.mkdtemp()) / "less.db")
    best = study.verdict().best_set
    seconds, rows = time.perf_counter() - begin, study.rows()
    cpu = sum(row["cpu_seconds"] for row in rows)
    return Method(name=f"ActLab, {jobs} processes", trials=len(rows), seconds=seconds, cpu_seconds=cpu, best=best)


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    yield
    torch.set_num_threads(before)


def run_full_grid(seeds: int, threads: int) -> tuple[Method, dict[str, dict[int, float]]]:
    """Run every trial of the grid, one after the other."""
    with _threads(threads):
        begin, cpu = time.perf_counter(), time.process_time()
        table = {arm: {seed: plain_trial(arm, seed) for seed in range(seeds)} for arm in ARMS}
        seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    best = Race(ARMS, "min").replay(table, range(seeds)).active
    name = f"full grid, 1 process, {_counted(threads)}"
    return Method(name=name, trials=len(ARMS) * seeds, seconds=seconds, cpu_seconds=cpu, best=best), table


def run_optuna(seeds: int, threads: int) -> Method:
    """Run Optuna's WilcoxonPruner with its defaults."""
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
                break  # and return the mean so far, as in Optuna's documentation
        return float(np.mean(values))

    with _threads(threads):
        begin, cpu = time.perf_counter(), time.process_time()
        study = optuna.create_study(direction="minimize", pruner=optuna.pruners.WilcoxonPruner())
        for arm in ARMS:
            study.enqueue_trial({"arm": arm})
        study.optimize(objective, n_trials=len(ARMS))
        seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    name = f"Optuna, 1 process, {_counted(threads)}"
    return Method(name=name, trials=count, seconds=seconds, cpu_seconds=cpu, best=(study.best_params["arm"],))


def _counted(threads: int) -> str:
    return f"{threads} thread{'' if threads == 1 else 's'}"


def report(methods: list[Method], table: dict[str, dict[int, float]], jobs: int) -> None:
    """Print the cost and the answer of each method."""
    means = {arm: float(np.mean(list(losses.values()))) for arm, losses in table.items()}
    winner, reference = min(means, key=means.__getitem__), set(methods[1].best)
    print(f"{len(ARMS)} arms x {len(table[winner])} seeds on {TASK}; {jobs} cores\n")
    print(f"{'method':<34} {'trials':>6} {'wall s':>8} {'CPU s':>8} {'wall of ActLab':>15}  best")
    for method in methods:
        ratio, best = f"{method.seconds / methods[0].seconds:.2f}x", ", ".join(method.best)
        print(
            f"{method.name:<34} {method.trials:6d} {method.seconds:8.1f} {method.cpu_seconds:8.1f} {ratio:>15}  {best}"
        )
    print(f"\nfull grid: best mean {winner} ({means[winner]:.4f}); best set {', '.join(sorted(reference))}")
    best_set, optuna_best = set(methods[0].best), methods[2].best
    difference = sorted(best_set ^ reference)
    print(f"ActLab's best set contains the arm with the best mean: {'yes' if winner in best_set else 'NO'}")
    print(f"ActLab's best set is the full grid's: {'yes' if not difference else f'no: {difference} differ'}")
    print(
        f"Optuna's best arm is the one with the best mean: {'yes' if optuna_best == (winner,) else 'NO, ' + optuna_best[0]}"
    )


if __name__ == "__main__":
    main()
