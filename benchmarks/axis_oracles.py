"""Calibration and group numbers of the axes against torchmetrics and fairlearn, on the same predictions.

    .venv/bin/pip install --no-deps --target /tmp/oracles -r benchmarks/requirements.txt
    PYTHONPATH=src:/tmp/oracles .venv/bin/python benchmarks/axis_oracles.py [--samples 200] [--seed 0]

The packages go into a folder of their own with ``--no-deps``, as torchmetrics would bring another torch. scikit-learn and SciPy are
compared in the tests (tests/evaluate). Exit code 1 when a number differs by more than 1e-6.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from typing import Any

import numpy as np
import torch
from fairlearn.metrics import MetricFrame
from sklearn.metrics import accuracy_score
from torch.nn import functional
from torchmetrics.functional.classification import multiclass_calibration_error

from actlab.evaluate.axes.calibration import CALIBRATION
from actlab.evaluate.axes.groups import GROUPS
from actlab.evaluate.axis_run import run_axis
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.evaluate.scores.calibration_error import reliability
from actlab.tasks.data import Data, Split
from actlab.tasks.task import Task, accuracy

TOLERANCE = 1e-6


def evaluation(logits: torch.Tensor, labels: torch.Tensor, groups: Any) -> EvaluationData:
    """Return data whose model gives its inputs as logits."""
    model = torch.nn.Identity()
    split = Split(x=logits, y=labels)
    task = Task(
        name="given", model=lambda _: model, data=lambda _: None, loss=functional.cross_entropy, metric=accuracy,
        groups=lambda *_: groups,
    )  # fmt: skip
    return EvaluationData(task, model, Data(train=split, test=split))


def differences(draws: np.random.Generator) -> dict[str, float]:
    """Return the difference of each number for one random sample."""
    n, classes = int(draws.integers(20, 2000)), int(draws.integers(2, 12))
    logits = torch.from_numpy(draws.normal(0, draws.uniform(0.5, 3), (n, classes)))
    labels = torch.from_numpy(draws.integers(0, classes, n))
    groups = draws.integers(0, 4, n)
    data = evaluation(logits, labels, groups)
    confidence = data.probabilities.amax(1)
    own = {bins: reliability(confidence.numpy(), data.correct.numpy(), bins=bins, scheme="width") for bins in (10, 15)}
    found = {}
    for bins, norm, value in ((10, "l1", own[10].error), (15, "l1", own[15].error), (15, "max", own[15].largest_error)):
        theirs = multiclass_calibration_error(data.probabilities, labels, num_classes=classes, n_bins=bins, norm=norm)
        found[f"calibration error, {bins} bins, {norm}"] = abs(float(theirs) - value)
    axis = run_axis(CALIBRATION, data.model, data)["numbers"]
    found["negative log-likelihood"] = abs(axis["nll"] - float(functional.cross_entropy(logits, labels)))
    sizes = np.bincount(groups, minlength=4)
    if (sizes >= 10).all():
        frame = MetricFrame(
            metrics=accuracy_score, y_true=labels.numpy(), y_pred=data.predicted.numpy(), sensitive_features=groups
        )
        numbers = run_axis(GROUPS.of_task(data.task), data.model, data)["numbers"]
        found["worst group"] = abs(numbers["worst_group"] - float(frame.group_min()))
        found["gap between groups"] = abs(numbers["gap"] - float(frame.difference()))
    return found


def main() -> int:
    """Print the largest differences, and the known one at a confidence of 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    draws = np.random.default_rng(options.seed)
    largest: dict[str, float] = {}
    for _ in range(options.samples):
        for name, value in differences(draws).items():
            largest[name] = max(largest.get(name, 0.0), value)
    print(f"largest difference over {options.samples} samples")
    for name, value in largest.items():
        print(f"  {name:40s} {value:.2e}")
    sure = torch.tensor([[0.95, 0.05], [1.0, 0.0]], dtype=torch.float64)
    labels = torch.tensor([0, 1])
    theirs = float(multiclass_calibration_error(sure, labels, num_classes=2, n_bins=15, norm="l1"))
    own = reliability(sure.amax(1).numpy(), [True, False], bins=15, scheme="width").error
    print(
        f"confidences 0.95 and 1.0, one right: torchmetrics {theirs:.3f}, ActLab {own:.3f}; by hand |0.5 - 0.975| = 0.475"
    )
    return int(max(largest.values()) > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
