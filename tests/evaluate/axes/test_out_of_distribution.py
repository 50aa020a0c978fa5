"""Axis of out-of-distribution detection."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn
from torch.nn import functional

from actlab.evaluate.axes.out_of_distribution import OUT_OF_DISTRIBUTION, permuted
from actlab.evaluate.axis_run import run_axis
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.evaluate.scores.distance import neighbour_distance
from actlab.tasks.data import Data, Split
from actlab.tasks.task import Task, accuracy


def setting(shift: float = 0.0, **settings: Any) -> tuple[nn.Module, EvaluationData]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)).eval()
    draws = torch.Generator().manual_seed(1)
    splits = {
        name: Split(x=torch.randn(n, 6, generator=draws), y=torch.randint(3, (n,), generator=draws))
        for name, n in {"train": 300, "test": 200}.items()
    }

    def others(seed: int) -> Tensor:
        return torch.randn(150, 6, generator=torch.Generator().manual_seed(2 + seed)) + shift

    given = {"loss": functional.cross_entropy, "metric": accuracy, "out_of_distribution": others, **settings}
    task = Task(name="given", model=lambda _: model, data=lambda _: None, **given)
    return model, EvaluationData(task, model, Data(**splits))


def measured(shift: float = 0.0, **settings: Any) -> dict[str, Any]:
    model, data = setting(shift, **settings)
    return run_axis(OUT_OF_DISTRIBUTION, model, data)


def test_scores_equal_their_definitions_with_scikit_learn() -> None:
    model, data = setting(2.0)
    others = data.task.out_of_distribution(0)
    inside, outside = (model(x).detach().double() for x in (data.inputs, others))
    labels = torch.cat((torch.ones(200), torch.zeros(150))).numpy()
    numbers = run_axis(OUT_OF_DISTRIBUTION, model, data)["numbers"]
    for name, score in {"softmax": lambda z: z.softmax(1).amax(1), "energy": lambda z: z.logsumexp(1)}.items():
        wanted = roc_auc_score(labels, torch.cat((score(inside), score(outside))).numpy())
        assert numbers[f"auroc_{name}"] == pytest.approx(wanted, abs=1e-9)
    hidden = [
        functional.normalize(model[:2](x).detach().double(), dim=1).numpy()
        for x in (data.train[0], data.inputs, others)
    ]
    nearest = NearestNeighbors(n_neighbors=10).fit(hidden[0])
    far = [nearest.kneighbors(part)[0][:, -1] for part in hidden[1:]]
    wanted = roc_auc_score(labels, -torch.cat([torch.from_numpy(part) for part in far]).numpy())
    assert numbers["auroc_distance"] == pytest.approx(wanted, abs=1e-6)


def test_the_same_distribution_is_not_told_apart_and_a_far_one_is() -> None:
    assert measured(0.0)["numbers"]["auroc_distance"] == pytest.approx(0.5, abs=0.08)
    assert measured(8.0)["numbers"]["auroc_distance"] > 0.85


def test_the_curve_of_each_score_ends_at_one_and_has_about_its_area() -> None:
    found = measured(1.0)
    assert set(found["curves"]) == {"roc_softmax", "roc_energy", "roc_distance"}
    for name, curve in found["curves"].items():
        assert curve["diagonal"] is True
        assert (curve["x"][0], curve["x"][-1], curve["y"][-1]) == (0.0, 1.0, 1.0)
        assert curve["y"] == sorted(curve["y"])
        area = float(np.trapezoid(curve["y"], curve["x"]))
        assert area == pytest.approx(found["numbers"][name.replace("roc", "auroc")], abs=0.03)


def test_without_other_data_the_features_are_permuted() -> None:
    found = measured(out_of_distribution=None)
    assert found["record"] == {"inputs": "test inputs with permuted features", "examples": 200}


def test_probabilities_have_no_energy() -> None:
    class Probabilities(nn.Sequential):
        pass

    model, data = setting(1.0)
    given = Probabilities(*model, nn.Softmax(1)).eval()
    task = Task(
        name="given",
        model=lambda _: given,
        data=lambda _: None,
        loss=lambda *_: None,
        metric=accuracy,
        output_kind="probabilities",
    )
    found = run_axis(OUT_OF_DISTRIBUTION, given, EvaluationData(task, given, data.splits))
    assert "no energy" in found["undefined"]["auroc_energy"]
    assert "auroc_softmax" in found["numbers"]


def test_inputs_of_another_shape_are_refused_with_both_shapes() -> None:
    found = measured(out_of_distribution=lambda _: torch.zeros(5, 7))
    assert "(5, 7)" in found["undefined"]["auroc_softmax"]


def test_permuted_inputs_keep_every_marginal_and_lose_dependence() -> None:
    x = torch.randn(2000, 1).repeat(1, 2)
    mixed = permuted(x, torch.Generator().manual_seed(0))
    assert mixed.sort(0).values.equal(x.sort(0).values)
    assert abs(float(torch.corrcoef(mixed.T)[0, 1])) < 0.1


def test_the_nearest_neighbour_of_a_training_example_is_itself() -> None:
    reference = torch.randn(50, 4)
    assert float(neighbour_distance(reference, reference, neighbours=1).max()) < 1e-7
