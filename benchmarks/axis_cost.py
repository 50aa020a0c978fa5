"""Cost of the axes on Fashion-MNIST with LeNet-5 beside its training, and spread of latencies between processes.

    python benchmarks/axis_cost.py [--axes all] [--act ACT] [--seed 0]   # CPU seconds and forward passes of each axis
    python benchmarks/axis_cost.py spread [--processes 8]                # ratios of equal and other models over processes

The first trains LeNet-5 by the protocol of the task ``fashion-mnist`` and measures the trained model on each axis, as a trial of a study
does, on one thread, in CPU seconds of this process. Forward passes are counted by a hook on every model of the same structure, so that
copies which an axis makes count as well, in examples and in units of the test split; ``forward_examples`` counts those that the axes share.

The second measures the latency of a model of ``digits`` with itself copied, which must not be called slower or faster, and with other
activations, in several processes: memory layout is fixed for the life of a process, so that the spread between processes is what the
nine blocks of one cannot show.
"""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from actlab.evaluate.axis import Axis
from actlab.evaluate.axis_registry import axes_named
from actlab.evaluate.axis_run import run_axis
from actlab.evaluate.costs.inference import inference_costs
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.nn.transforms.swap import swap_
from actlab.studies.arm import UNCHANGED, parse_arm
from actlab.studies.trials.loop_trial import train_model, untrained_model
from actlab.studies.trials.measurements import TrialSettings
from actlab.tasks import resolve
from actlab.tasks.isolation import isolated, one_thread
from actlab.tasks.task import load_data
from actlab.tasks.training.conditions import Conditions

TASK = "fashion-mnist"
SPREAD = ("relu", "copy", "leaky_relu", "gelu", "mish", "tanh")


@dataclass
class Passes:
    """Examples on which models of one structure were run.

    Attributes:
        forward: without gradients.
        differentiated: with gradients.
    """

    forward: int = 0
    differentiated: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.forward + self.differentiated


@dataclass(frozen=True, kw_only=True)
class Measured:
    """CPU seconds and passes of one axis."""

    axis: str
    seconds: float
    passes: Passes
    shared: int = 0
    notes: tuple[str, ...] = field(default=())


@contextmanager
def counted(model: nn.Module) -> Iterator[Passes]:
    """Count the examples on which models like ``model`` run."""
    passes, shapes = Passes(), _shapes(model)

    def count(module: nn.Module, args: tuple[Any, ...]) -> None:
        if type(module) is type(model) and args and isinstance(args[0], Tensor) and _shapes(module) == shapes:
            if torch.is_grad_enabled():
                passes.differentiated += len(args[0])
            else:
                passes.forward += len(args[0])

    handle = register_module_forward_pre_hook(count)
    try:
        yield passes
    finally:
        handle.remove()


def _shapes(model: nn.Module) -> list[tuple[str, torch.Size]]:
    return [(name, weight.shape) for name, weight in model.named_parameters()]


def measure(axis: Axis, model: nn.Module, data: EvaluationData) -> Measured:
    """Return what an axis costs; an axis that raises ends the benchmark."""
    before, shared = time.process_time(), data.forward_examples
    with counted(model) as passes:
        result = run_axis(axis, model, data)
    seconds = time.process_time() - before
    if "error" in result:
        raise SystemExit(f"{axis.name} raised: {result['error']}")
    return Measured(axis=axis.name, seconds=seconds, passes=passes, shared=data.forward_examples - shared)


def axes_against_training(wanted: str, act: str | None, seed: int) -> None:
    """Print the table of all axes."""
    task = resolve(TASK)
    arm = parse_arm(act or UNCHANGED)
    data = load_data(task, seed)
    with one_thread():
        before = time.process_time()
        model = train_model(task, seed, arm=arm).eval()
        training = time.process_time() - before
        build: Callable[[], nn.Module] = partial(
            untrained_model, task, arm, data, TrialSettings(seed=seed, lr=task.learning_rate)
        )
        given = EvaluationData(task, model, data, seed=seed, build=build)
        with isolated(seed):
            value = given.metric(given.outputs)
        test = len(data.test.y)  # type: ignore[union-attr] # a Split
        print(
            f"{task.name}, {arm.label}: accuracy {value:.4f}, training {training:.1f} s of CPU, {test} test examples\n"
        )
        found = [measure(axis.of_task(task), model, given) for axis in axes_named(wanted)]
    print(
        "| axis | CPU s | share of the training | passes over the test split | of these with gradients | shared examples |"
    )
    print("|---|---|---|---|---|---|")
    for one in found:
        print(_row(one.axis, one, training, test))
    total = Passes(sum(one.passes.forward for one in found), sum(one.passes.differentiated for one in found))
    every = Measured(axis="all", seconds=sum(one.seconds for one in found), passes=total, shared=given.forward_examples)
    print(_row("**together**", every, training, test))
    print(
        f"\ntorch {torch.__version__}, one thread; {'at most' if every.seconds <= training else 'MORE THAN'} the training"
    )


def _row(name: str, one: Measured, training: float, test: int) -> str:
    return (
        f"| {name} | {one.seconds:.1f} | {one.seconds / training:.0%} | {one.passes.total / test:.1f} | "
        f"{one.passes.differentiated / test:.1f} | {one.shared:,} |"
    )


# ---- spread of latencies between processes ----


def _model(spec: str) -> nn.Module:
    model = resolve("digits").model(0).eval()
    if spec not in ("relu", "copy"):
        swap_(model, spec)
    return model


def one_process() -> None:
    """Print the ratios of one process as JSON."""
    with one_thread():
        base = _model("relu")
        models = {name: copy.deepcopy(base) if name == "copy" else _model(name) for name in SPREAD}
        found = inference_costs(models, torch.randn(64, 64), where=Conditions(), baseline="relu")
    print(json.dumps({name: found[name]["ratios"] for name in SPREAD[1:]}))


def spread(processes: int) -> None:
    """Print the standard deviation between processes of the ratios, and how often equal models are called different."""
    from actlab.studies.verdict.step_time import compare_times  # noqa: PLC0415 # only needed here

    runs = []
    for _ in range(processes):
        command = [sys.executable, __file__, "one-process"]
        runs.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))  # noqa: S603 # this file
    print("| model | column | ratio to relu | standard deviation between processes | called slower or faster |")
    print("|---|---|---|---|---|")
    for name in SPREAD[1:]:
        for column in runs[0][name]:
            ratios = [float(np.median(run[name][column])) for run in runs]
            told: Counter[bool] = Counter()
            for run in runs:
                blocks = {"relu": [1.0] * len(run[name][column]), name: run[name][column]}
                known = compare_times({arm: {"step_time_ratios": own} for arm, own in blocks.items()}, name, "relu")
                told[known is not None and known.is_known] += 1
            print(
                f"| {name} | {column} | {np.median(ratios):.3f} | {100 * np.std(ratios, ddof=1):.1f} % | {told[True]} of {processes} |"
            )


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default="axes", choices=("axes", "spread", "one-process"))
    parser.add_argument("--axes", default="all")
    parser.add_argument("--act")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=8)
    given = parser.parse_args()
    if given.what == "axes":
        axes_against_training(given.axes, given.act, given.seed)
    elif given.what == "spread":
        spread(given.processes)
    else:
        one_process()


if __name__ == "__main__":
    main()
