"""Studies of real tiny tasks fix their target before the first main trial, and tell planted arms apart in words."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.studies.tiny import tiny
from torch import nn
from torch.nn import functional as F

import actlab
from actlab.errors import PlanError, StoreError
from actlab.studies.store.store import Store
from actlab.studies.target import Target
from actlab.tasks import Data, Split, Task
from actlab.tasks.training.recorder import held_out_name

# Least squares on one function of each input. Its gain changes how fast gradient descent goes, and its span where that ends: the truth is
# in the span of `waves`, and not in that of `line` and `steep`, which is the same.


def line(x):
    return 1.0 * x


def steep(x):
    return 1.8 * x


def waves(x):
    return 0.5 * (x + 0.6 * torch.sin(3 * x))


def waves_data(seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(656, 4, generator=generator)
    y = (2 * waves(x) * torch.tensor([1.0, -0.7, 0.5, 0.3])).sum(1, keepdim=True)
    y += 0.2 * torch.randn(656, 1, generator=generator)
    parts = {"train": slice(256), "validation": slice(256, 456), "test": slice(456, None)}
    return Data(**{name: Split(x=x[part], y=y[part]) for name, part in parts.items()})


def waves_model(_):
    net = nn.Sequential(nn.ReLU(), nn.Linear(4, 1))
    nn.init.zeros_(net[1].weight)
    nn.init.zeros_(net[1].bias)
    return net


def error(output, target):
    return F.mse_loss(output, target).item()


def sgd(parameters, lr):
    return torch.optim.SGD(parameters, lr=lr)


WAVES = Task(
    name="waves", model=waves_model, data=waves_data, loss=F.mse_loss, metric=error, metric_name="error", direction="min",
    optimizer=sgd, learning_rate=0.006, batch_size=32, epochs=60, rope=0.05,
)  # fmt: skip  # one task, one block


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """The baseline, an arm that is faster and ends equal, and one that is slower and ends better."""
    return actlab.compare(
        WAVES,
        [line, steep, waves],
        baseline=line,
        seeds=8,
        eliminate=False,
        target="error=0.8",
        store=tmp_path_factory.mktemp("planted") / "actlab.db",
        jobs=1,
        progress=False,
    )


def sentence(study, arm):
    return next(text for text in study.verdict().convergence.sentences if text.startswith(arm))


def test_an_arm_that_is_faster_and_ends_equal_is_told_from_one_that_is_slower_and_ends_better(planted):
    assert sentence(planted, "steep").startswith("steep trains faster than line but ends equal: ")
    assert sentence(planted, "waves").startswith("waves trains slower than line but ends better: ")
    assert planted.verdict().best_set == ("waves",)


def test_epochs_are_steps_over_the_steps_of_an_epoch(planted):
    entry = planted.verdict().convergence.of("steep")

    assert entry.epochs.median == entry.steps.median / 8  # 256 examples in batches of 32
    assert entry.seconds.median > 0


def test_the_study_is_shown_everywhere(planted, tmp_path):
    page = planted.report(tmp_path / "page.html").read_text()

    assert "steep trains faster than line but ends equal" in page
    assert "steep trains faster than line" in " ".join(str(planted.verdict()).split())
    assert "steps to target" in actlab.table(planted).to_markdown()
    assert planted.verdict().to_dict()["convergence"]["target"]["value"] == 0.8
    assert planted.figure(tmp_path / "reached.svg", "reached").exists()


def test_the_training_loss_and_the_held_out_metric_are_separate(planted):
    steep_entry, waves_entry = (planted.verdict().convergence.of(arm) for arm in ("steep", "waves"))

    assert steep_entry.loss_area.mean != steep_entry.metric_area.mean
    assert waves_entry.loss_area.difference.mean > 0  # it is slower, although it ends better


def test_another_target_is_refused_once_it_is_fixed_and_the_same_goes_on(planted):
    settings = {"baseline": line, "seeds": 8, "eliminate": False, "store": planted.store, "jobs": 1, "progress": False}

    with pytest.raises(StoreError, match=r"is error 0.8, fixed when it began; error 0.7 was asked for"):
        actlab.compare(WAVES, [line, steep, waves], target="error=0.7", **settings)
    again = actlab.compare(WAVES, [line, steep, waves], target={"error": 0.8}, **settings)
    assert len(again.rows()) == 24
    assert len(actlab.compare(WAVES, [line, steep, waves], **settings).rows()) == 24


def tiny_study(tmp_path, **options):
    settings = {"seeds": 6, "store": tmp_path / "actlab.db", "jobs": 1, "progress": False, "eliminate": False}
    return actlab.compare(tiny(epochs=8), ["relu", "tanh"], **settings | options)


def test_the_target_is_stored_before_the_first_main_trial_ends(tmp_path, monkeypatch):
    stored = []
    finish = Store.finish

    def watched(self, study, lease, trial):
        stored.append((trial.stage, (self.facts(study).get("target") or {}).get("target")))
        return finish(self, study, lease, trial)

    monkeypatch.setattr(Store, "finish", watched)
    study = tiny_study(tmp_path)

    assert [stage for stage, _ in stored] == ["pilot"] + ["main"] * 12
    assert stored[0][1] is None
    assert stored[1][1] is not None
    assert {str(target) for _, target in stored[1:]} == {str(stored[1][1])}
    assert study.verdict().convergence.target == Target.from_dict(stored[1][1])
    pilot = study.rows()[0]
    assert (pilot["stage"], pilot["arm"], pilot["seed"], pilot["metric"]) == ("pilot", "relu", 1_000_000, None)


def test_the_pilot_never_reads_the_test_split(tmp_path):
    assert tiny_study(tmp_path, seeds=6).rows()[0]["controls"] is None


def test_with_tuning_the_tuning_trials_of_the_baseline_serve(tmp_path):
    study = tiny_study(tmp_path, seeds=2, tune="lr")

    assert "pilot" not in {row["stage"] for row in study.rows()}
    assert study.verdict().convergence.target is not None


def test_a_study_of_few_seeds_runs_no_pilot_and_says_why(tmp_path):
    study = tiny_study(tmp_path, seeds=2)

    assert [row["stage"] for row in study.rows()] == ["main"] * 4
    assert "fewer than 6 seeds" in study.verdict().convergence.sentences[0]
    assert study.verdict().convergence.of("tanh").metric_area is not None


def test_a_study_of_few_seeds_that_goes_on_with_more_gets_the_target_that_it_would_have_had(tmp_path):
    tiny_study(tmp_path, seeds=2)
    study = tiny_study(tmp_path, seeds=6)
    (tmp_path / "other").mkdir()
    at_once = tiny_study(tmp_path / "other", seeds=6)

    assert [row["stage"] for row in study.rows()] == ["main"] * 4 + ["pilot"] + ["main"] * 8
    assert study.verdict().convergence.target == at_once.verdict().convergence.target
    assert not study.verdict().convergence.target.began


def test_none_asks_for_no_target(tmp_path):
    study = tiny_study(tmp_path, target="none")

    assert len(study.rows()) == 12
    assert study.verdict().convergence.sentences == ("No target of convergence: none was asked for.",)


def test_a_study_that_began_without_a_target_takes_one_as_an_estimate(tmp_path):
    tiny_study(tmp_path, seeds=1)
    study = tiny_study(tmp_path, seeds=6, target="negative loss=-0.69")
    found = study.verdict().convergence

    assert found.target.rule == "given when 2 trials of the study had ended"
    assert "estimates without an error rate" in found.sentences[1]
    assert found.of("tanh").pace == "not compared"


def test_a_target_of_another_metric_is_refused_before_any_training(tmp_path):
    with pytest.raises(PlanError, match="allowed are 'negative loss'"):
        tiny_study(tmp_path, target="accuracy=0.9")
    assert not (tmp_path / "actlab.db").exists()


def without_validation(seed):
    whole = WAVES.data(seed)
    return {"train": (whole.train.x, whole.train.y), "test": (whole.test.x, whole.test.y)}


def with_own_loop(model, seed, trial):
    trial.report(step=1, loss=0.5)
    return {"loss": 0.1}


OWN_LOOP = Task(
    name="own", model=waves_model, train=with_own_loop, metric_name="loss", direction="min", learning_rate=0.1
)


@pytest.mark.parametrize(
    ("task", "why"),
    [
        (OWN_LOOP, "what the training function own reports as loss is the training loss"),
        (tiny(curve_metric=max, metric_name="largest loss"), "the largest loss of tiny is one number for a whole"),
        (replace(WAVES, data=without_validation), "waves has no validation split on which"),
    ],
)
def test_a_target_of_what_is_not_evaluated_during_the_training_is_refused(tmp_path, task, why):
    with pytest.raises(PlanError, match=f"{why}.*--target loss=0.1"):
        actlab.compare(task, ["relu", "tanh"], target=f"{held_out_name(task.metric_name)}=0.9", store=tmp_path / "a.db")
    assert not (tmp_path / "a.db").exists()


def test_a_pilot_that_diverges_leaves_the_study_without_a_target(tmp_path):
    def broken_for_the_pilot(seed):
        net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        if seed >= 1_000_000:
            nn.init.constant_(net[0].weight, float("nan"))
        return net

    task = tiny(epochs=8, model=broken_for_the_pilot)
    study = actlab.compare(task, ["relu", "tanh"], seeds=6, store=tmp_path / "a.db", jobs=1, progress=False)

    assert "from which it would follow ended as diverged" in study.verdict().convergence.sentences[0]


def test_without_a_validation_split_the_target_is_a_training_loss(tmp_path):
    task = Task(
        name="waves", model=waves_model, data=without_validation, loss=F.mse_loss, metric=error, metric_name="error", direction="min",
        optimizer=sgd, learning_rate=0.02, batch_size=32, epochs=10,
    )  # fmt: skip  # one task, one block
    found = actlab.compare(
        task, ["relu", "identity"], seeds=6, store=tmp_path / "a.db", jobs=1, progress=False
    ).verdict()

    assert found.convergence.target.is_loss
    assert found.convergence.of("identity").metric_area is None
    assert found.convergence.of("identity").loss_area is not None
