"""Axis of groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor, nn
from torch.nn import functional

from actlab.evaluate.axes.groups import GROUPS
from actlab.evaluate.axis_run import run_axis
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.tasks.data import Data, Split, as_data
from actlab.tasks.task import Task, accuracy


class FirstTwo(nn.Module):
    """Give the first two features as logits."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs."""
        return x[:, :2]


def measured(split: Split, **settings: Any) -> dict[str, Any]:
    given = {"loss": functional.cross_entropy, "metric": accuracy, **settings}
    task = Task(name="given", model=lambda _: FirstTwo(), data=lambda _: None, **given)
    return run_axis(GROUPS.of_task(task), FirstTwo(), EvaluationData(task, FirstTwo(), Data(train=split, test=split)))


def example(right: list[int], wrong: list[int]) -> Split:
    """Return right and wrong answers for class 0 in each group, whose number is the third feature."""
    rows, labels = [], []
    for group, (good, bad) in enumerate(zip(right, wrong, strict=True)):
        for is_right in [True] * good + [False] * bad:
            rows.append([1.0, 0.0, float(group)])
            labels.append(0 if is_right else 1)
    return Split(x=torch.tensor(rows), y=torch.tensor(labels))


def test_worst_group_and_gap_are_those_of_the_counts() -> None:
    found = measured(example([18, 15, 10], [2, 5, 10]), groups=2)
    assert found["numbers"] == pytest.approx({"worst_group": 0.5, "gap": 0.4})
    assert found["record"]["worst"] == "2.0"
    assert found["record"]["groups"]["0.0"] == {"metric": 0.9, "examples": 20}


def test_a_function_gives_the_same_groups_as_the_column() -> None:
    split = example([18, 10], [2, 10])
    assert measured(split, groups=lambda x, _: x[:, 2])["numbers"] == measured(split, groups=2)["numbers"]


def test_where_smaller_is_better_the_worst_is_the_largest() -> None:
    found = measured(example([18, 10], [2, 10]), groups=2, direction="min", metric=lambda o, t: 1 - accuracy(o, t))
    assert found["numbers"]["worst_group"] == pytest.approx(0.5)


def test_groups_that_are_too_small_are_named_and_not_averaged() -> None:
    found = measured(example([18, 15, 0], [2, 5, 9]), groups=2)
    assert found["undefined"] == {"group 2.0": "too small, 9 examples"}
    assert found["numbers"]["worst_group"] == pytest.approx(0.75)


def test_groups_without_a_metric_are_named() -> None:
    def precision(output: Tensor, target: Tensor) -> float:
        if not target.any():
            raise ValueError("no positive")
        return float(average_precision_score(target, output[:, 1] - output[:, 0]))

    found = measured(example([20, 15, 10], [0, 5, 10]), groups=2, metric=precision)
    assert "no positive" in found["undefined"]["group 0.0"]
    assert set(found["record"]["groups"]) == {"1.0", "2.0"}


def test_a_column_of_many_numbers_is_cut_at_its_quartiles() -> None:
    x = torch.cat((torch.ones(100, 1), torch.zeros(100, 1), torch.arange(100.0)[:, None]), dim=1)
    found = measured(Split(x=x, y=(torch.arange(100) >= 75).long()), groups=2)
    assert [entry["examples"] for entry in found["record"]["groups"].values()] == [25] * 4
    assert found["numbers"]["worst_group"] == 0.0


def test_without_groups_the_classes_are_the_groups() -> None:
    found = measured(example([30], [20]))
    assert found["record"]["of"] == "classes"
    assert found["numbers"] == {"worst_group": 0.0, "gap": 1.0}


def test_a_named_part_of_the_inputs_is_a_column() -> None:
    class Named(nn.Module):
        def forward(self, x: Tensor, site: Tensor) -> Tensor:
            return x[:, :2] + 0 * site[:, None]

    split = example([18, 10], [2, 10])
    batch = {"x": split.x, "site": split.x[:, 2].long(), "label": split.y}
    task = Task(
        name="given",
        model=lambda _: Named(),
        data=lambda _: None,
        loss=functional.cross_entropy,
        metric=accuracy,
        groups="site",
    )
    data = as_data({"train": batch, "test": batch})
    found = run_axis(GROUPS.of_task(task), Named(), EvaluationData(task, Named(), data))
    assert found["numbers"]["worst_group"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("groups", "reason"),
    [(7, "is the column 7"), ("age", "no part 'age'"), (lambda x, _: np.zeros(len(x)), "in one group")],
)
def test_groups_that_do_not_exist_have_a_reason(groups: Any, reason: str) -> None:
    assert reason in measured(example([18, 10], [2, 10]), groups=groups)["undefined"]["gap"]


def test_labels_of_another_number_than_the_examples_are_an_error() -> None:
    assert "one label for each" in measured(example([18, 10], [2, 10]), groups=lambda *_: [1, 2])["error"]
