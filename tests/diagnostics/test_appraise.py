"""Appraisal: trains as a trial does, evaluates on held-out samples, and records learned shapes."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from actlab.diagnostics.appraise import appraise
from actlab.errors import PlanError, TaskError
from actlab.studies.arm import parse_arm
from actlab.studies.trials.loop_trial import train_model
from actlab.studies.trials.trial import run_trial
from actlab.tasks.data import Data, Split
from actlab.tasks.task import Task, accuracy, load_data


def net(_seed):
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2))


def data(seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(700, 4, generator=generator)
    parts = Split(x=x, y=(x[:, 0] * x[:, 1] > 0).long())
    cut = [Split(x=parts.x[a:b], y=parts.y[a:b]) for a, b in ((0, 400), (400, 600), (600, 700))]
    return Data(train=cut[0], validation=cut[1], test=cut[2])


def task(**changes):
    settings = {"model": net, "data": data, "loss": nn.functional.cross_entropy, "metric": accuracy, **changes}
    return Task(name="tiny", epochs=4, learning_rate=0.01, **settings)


@pytest.mark.parametrize("act", ["relu", "swish(beta=learned)"])
def test_it_trains_what_a_trial_trains(act):
    trial = run_trial(task(), parse_arm(act), seed=3)
    model = train_model(task(), 3, arm=parse_arm(act))
    test = load_data(task(), 3).test

    with torch.no_grad():
        assert accuracy(model(test.x), test.y) == trial.metric


def test_it_judges_on_the_validation_split_and_fits_on_training_samples():
    found = appraise(task(), samples=150)

    assert (found.split, found.importance.samples, found.importance.calibration) == ("validation", 150, 150)
    assert [row.spec for row in found.importance] == ["relu", "tanh"]
    assert (found.shapes, found.history, found.was_trained) == ((), {}, True)


def test_without_a_validation_split_it_says_that_it_read_the_test_split():
    whole = data(0)
    given = task(data=lambda _: Data(train=whole.train, test=whole.test))

    assert appraise(given).split == "test"


def test_the_baseline_is_the_loss_of_the_split_and_the_metric_turns_with_its_direction():
    loss, metric = appraise(task()), appraise(task(), measure="metric")
    model = train_model(task(), 0)
    judged = load_data(task(), 0).validation

    with torch.no_grad():
        assert loss.importance.baseline == pytest.approx(
            nn.functional.cross_entropy(model(judged.x), judged.y).item(), rel=1e-5
        )
        assert metric.importance.baseline == pytest.approx(accuracy(model(judged.x), judged.y))
    assert (metric.importance.measure, metric.importance.direction) == ("accuracy", "max")
    assert metric.importance["1"].ablated.mean > 0


@pytest.mark.parametrize(
    ("act", "specs"), [("gelu", ["gelu", "tanh"]), ("*=gelu", ["gelu", "gelu"]), ({"3": "gelu"}, ["relu", "gelu"])]
)
def test_an_activation_is_put_at_the_sites_of_the_main_function_or_at_named_ones(act, specs):
    found = appraise(task(), act=act, samples=20)

    assert [row.spec for row in found.importance] == specs


def test_learned_activations_are_followed_over_training_on_the_range_that_they_see():
    found = appraise(task(), act="swish(beta=learned)")

    assert found.act == "swish(beta=learned)"
    assert [shape.path for shape in found.shapes] == ["1"] == list(found.history)
    assert all(shape.seen for shape in found.shapes)
    way = found.history["1"]
    assert [way[0].step, way[-1].step] == [0, 28]
    assert way[0].distance[0] == 0.0
    assert way[-1].distance[0] == pytest.approx(found.shapes[0].distance[0])
    assert found.shapes[0].distance[0] > 0.01


def test_everything_is_data_for_json():
    told = json.loads(json.dumps(appraise(task(), act="prelu").to_dict(), allow_nan=False))

    assert told["importance"]["rows"][0]["path"] == "1"
    assert len(told["shapes"][0]["x"]) == len(told["shapes"][0]["y"][0])
    assert told["history"]["1"][-1]["parameters"]["weight"] == told["shapes"][0]["parameters"]["weight"]


FILE = """
import torch
from torch import nn
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1))
x = torch.randn(60, 3)
data = (x[:40], x[:40].sum(1, keepdim=True)), (x[40:], x[40:].sum(1, keepdim=True))
{more}
"""


@pytest.mark.parametrize(("more", "measure"), [("", "squared_error"), ("loss = nn.L1Loss()", "loss")])
def test_a_model_that_is_trained_is_taken_as_it_is(tmp_path, more, measure):
    (tmp_path / "mine.py").write_text(FILE.format(more=more))
    found = appraise(tmp_path / "mine.py")

    assert (found.name, found.was_trained, found.split, found.importance.measure) == ("mine", False, "test", measure)


def test_global_generators_are_as_they_were():
    state = torch.get_rng_state()
    appraise(task())

    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"samples": 1}, "2 or more"), ({"measure": "los"}, "no measure 'los'"), ({"tolerance": -1.0}, "zero or more")],
)
def test_wrong_use_is_told_before_anything_is_trained(options, words):
    with pytest.raises(PlanError, match=words):
        appraise(task(model=None), **options)


def test_another_activation_in_a_trained_model_is_refused(tmp_path):
    (tmp_path / "mine.py").write_text(FILE.format(more=""))
    with pytest.raises(PlanError, match="contains a trained model"):
        appraise(tmp_path / "mine.py", act="gelu")
    with pytest.raises(PlanError, match="has no metric"):
        appraise(tmp_path / "mine.py", measure="metric")


def test_a_training_that_diverges_is_told():
    with pytest.raises(TaskError, match="diverged: the loss is nan"):
        appraise(task(loss=lambda y, _: y.sum() * float("nan")))


def test_a_loss_that_raises_on_single_samples_is_told_with_its_line():
    def loss(output, target):
        if len(output) == 1:
            raise ValueError("no single samples")
        return nn.functional.cross_entropy(output, target)

    with pytest.raises(TaskError, match="on single samples raised ValueError: no single samples"):
        appraise(task(loss=loss))
