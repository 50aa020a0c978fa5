"""A trial is the same whatever form its data have, and the batches are the same for all arms."""

import dataclasses

import pytest
import torch
from tests.tasks.forms import (
    SAME,
    SIZE,
    Counting,
    Noisy,
    Pair,
    Pairs,
    Record,
    Stream,
    TwoInputs,
    each,
    form_task,
    loader,
    tensors,
)
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, default_collate

from actlab.studies.arm import parse_arm
from actlab.studies.trials.trial import run_trial
from actlab.tasks.checks.check import check
from actlab.tasks.loading.loader import Loader
from actlab.tasks.task import accuracy

RELU, GELU = parse_arm("relu"), parse_arm("gelu")


def numbers(trial):
    return trial.status, trial.error, trial.metric, trial.validation, trial.curve, trial.steps


def trained(task, arm=RELU, seed=1, **settings):
    check(task, seed=seed)
    trial = run_trial(task, arm, seed, **settings)
    assert trial.status == "completed", trial.error
    return trial


@pytest.mark.parametrize("init", ["fixed", "matched"])
@pytest.mark.parametrize("form", SAME.values(), ids=SAME)
def test_the_rows_of_a_dataset_are_those_of_its_tensors_to_the_bit(form, init):
    assert numbers(trained(form_task(form), init=init)) == numbers(trained(form_task(tensors), init=init))


def unshuffled(collate):
    return form_task(loader(collate_fn=collate, drop_last=True), batch_size=SIZE)


COLLATES = {
    "named tuples": lambda rows: Pair(*reversed(default_collate(rows))),
    "dataclasses": lambda rows: Record(*default_collate(rows)),
    "dicts": lambda rows: dict(zip(("image", "target"), default_collate(rows), strict=True)),
    "two halves": lambda rows: (*default_collate(rows)[0].split(2, 1), default_collate(rows)[1]),
    "keywords": lambda rows: dict(
        zip(("x", "more", "y"), (*default_collate(rows)[0].split(2, 1), default_collate(rows)[1]), strict=True)
    ),
}


@pytest.mark.parametrize("collate", COLLATES.values(), ids=COLLATES)
def test_the_form_of_a_batch_changes_no_number(collate):
    assert numbers(trained(unshuffled(collate))) == numbers(trained(unshuffled(default_collate)))


def test_a_step_and_a_predict_of_the_users_give_the_rows_of_loss_and_metric():
    def step(model, batch):
        label = batch.pop("label")  # as many training loops do
        return F.cross_entropy(model(batch["image"]), label)

    def predict(model, batch):
        return model(batch["image"]), batch["label"]

    plain = form_task(SAME["a dataset of dicts"])
    own = dataclasses.replace(plain, step=step, predict=predict)

    assert numbers(trained(own)) == numbers(trained(plain))
    assert numbers(trained(own, GELU)) == numbers(trained(plain, GELU))
    assert numbers(trained(own, GELU)) != numbers(trained(plain))


def test_outputs_with_a_loss_of_their_own_are_trained_by_a_step():
    """As transformers return them: a mapping with loss and logits."""

    class WithLoss(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = TwoInputs()

        def forward(self, x, labels=None):
            logits = self.body(x)
            return {"logits": logits} if labels is None else {"loss": F.cross_entropy(logits, labels), "logits": logits}

    dicts = each(lambda x, y: {"x": x, "labels": y})
    plain = form_task(dicts)
    task = form_task(
        dicts,
        model=lambda seed: WithLoss(),  # noqa: ARG005
        loss=None,
        step=lambda model, batch: model(**batch)["loss"],
        predict=lambda model, batch: (model(**batch)["logits"], batch["labels"]),
    )

    assert trained(task).metric == trained(plain).metric
    assert (
        trained(
            dataclasses.replace(
                task,
                step=None,
                predict=None,
                loss=lambda o, y: F.cross_entropy(o["logits"], y),
                metric=lambda o, y: accuracy(o["logits"], y),
            )
        ).metric
        == trained(plain).metric
    )


def test_a_model_whose_parts_the_step_calls_is_compared_too():
    class Container(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.act, self.last = nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)

    def outputs(model, batch):
        return model.last(model.act(model.first(batch[0]))), batch[1]

    task = form_task(
        tensors,
        model=lambda seed: Container(),  # noqa: ARG005
        step=lambda model, batch: F.cross_entropy(*outputs(model, batch)),
        predict=outputs,
    )

    assert numbers(trained(task)) != numbers(trained(task, GELU))


def test_second_derivatives_and_targets_without_a_batch_dimension_are_trained():
    """The inputs of a physics-informed net are differentiated twice in its step."""

    def step(model, batch):
        x = batch[0].requires_grad_()
        u = model(x)[:, 0]
        du = torch.autograd.grad(u.sum(), x, create_graph=True)[0]
        return (torch.autograd.grad(du.sum(), x, create_graph=True)[0] ** 2).mean() + u.square().mean()

    task = form_task(
        each(lambda x, y: (x.clone(), y)),
        step=step,
        predict=lambda model, batch: (model(batch[0]).square().mean(), torch.tensor(0.0)),
        metric=lambda output, target: float((output - target).mean()),
        direction="min",
    )

    assert trained(task, parse_arm("tanh")).metric > 0


LOADERS = {
    "shuffled": loader(shuffle=True),
    "augmented": loader(Noisy, shuffle=True),
    "augmented in workers": each(
        lambda x, y: (
            (x, y)
            if len(x) < 40
            else DataLoader(Noisy(x, y), batch_size=SIZE, shuffle=True, num_workers=1, persistent_workers=True)
        )
    ),
    "with a state": loader(Counting, shuffle=True),
}


@pytest.mark.parametrize("data", LOADERS.values(), ids=LOADERS)
def test_all_arms_are_trained_on_the_same_batches(data, monkeypatch):
    read = Loader.epochs
    seen = []

    def noted(split, epochs):
        for epoch in read(split, epochs):
            yield (seen[-1].append(batch[0].clone()) or batch for batch in epoch)

    monkeypatch.setattr(Loader, "epochs", noted)
    task = form_task(data, epochs=2)
    for arm in ("relu", "rrelu", "gelu"):  # rrelu draws a number for every unit
        seen.append([])
        run_trial(task, parse_arm(arm), 0)

    assert len(seen[0]) == 10
    assert all(torch.equal(a, b) for batches in seen[1:] for a, b in zip(seen[0], batches, strict=True))


@pytest.mark.parametrize("data", [LOADERS["augmented"], LOADERS["with a state"]])
def test_a_trial_is_repeatable_in_whatever_order_trials_run(data):
    task = form_task(data, epochs=1)
    first = [numbers(run_trial(task, arm, seed)) for seed in (0, 1) for arm in (RELU, GELU)]
    again = [numbers(run_trial(task, arm, seed)) for seed in (1, 0) for arm in (GELU, RELU)]

    assert first == again[::-1]


def test_a_stream_is_trained_for_its_steps():
    assert trained(form_task(loader(Stream), steps=13)).steps == 13


def test_all_metrics_are_recorded_and_the_primary_is_the_result():
    def negative_loss(output, target):
        return -F.cross_entropy(output, target).item()

    metrics = {"accuracy": accuracy, "negative loss": negative_loss}
    trial = trained(form_task(loader(), metric=None, metrics=metrics))
    other = trained(form_task(loader(), metrics=metrics, metric_name="negative loss"))

    assert trial.metrics == other.metrics == {"accuracy": trial.metric, "negative loss": other.metric}
    assert trial.metric == trained(form_task(loader())).metric
    assert "accuracy" in trial.series


def test_a_metric_that_is_not_finite_is_left_out_and_does_no_harm():
    metrics = {"accuracy": accuracy, "odd": lambda output, target: float("nan") if len(target) == 27 else 0.5}  # noqa: ARG005
    task = form_task(each(lambda x, y: (x, y)), metrics=metrics, metric_name="accuracy")

    assert set(run_trial(task, RELU, 0).metrics) == {"accuracy"}


def test_an_exception_in_a_worker_is_the_reason_with_the_users_line():
    class Broken(Pairs):
        def __getitem__(self, index):
            if index == 72:
                raise ValueError("row 72 is broken")
            return super().__getitem__(index)

    trial = run_trial(form_task(loader(Broken, num_workers=1)), RELU, 0)

    assert trial.status == "failed"
    assert trial.error.startswith("ValueError: row 72 is broken (in a worker process of a DataLoader)\n")
    assert "test_data_forms.py, line " in trial.error
    assert len(trial.error.splitlines()) == 3
