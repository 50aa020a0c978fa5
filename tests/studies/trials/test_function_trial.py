"""A training function is run as a trial: its loop is its own, and its result, reports and failures are those of the row."""
# ruff: noqa: ARG005 # the parameters of a training function, of which some use none

import math
import random

import numpy as np
import pytest
import torch
from tests.studies import tiny
from torch import nn
from torch.nn import functional as F

from actlab.studies.arm import parse_arm
from actlab.studies.trials.trial import run_trial
from actlab.tasks.training.conditions import Conditions
from actlab.tasks.training_function.function_task import function_task

RELU = parse_arm("unchanged")


def train(model, seed, trial):
    splits = tiny.data(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=trial.lr, fused=True)
    generator, step = torch.Generator().manual_seed(seed), 0
    for _ in range(3):
        order = torch.randperm(40, generator=generator)
        for rows in order.split(16):
            loss = F.cross_entropy(model(splits.train.x[rows]), splits.train.y[rows])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            trial.report(step=step, loss=loss)
    held_out = splits.test if trial.stage == "main" else splits.validation
    with torch.no_grad():
        return {"negative loss": tiny.metric(model(held_out.x), held_out.y)}


def task(function=train, **options):
    return function_task(function, **{"model": tiny.model, "metric_name": "accuracy", "direction": "max"} | options)


def run(function, seed=0, arm=RELU, **settings):
    return run_trial(task(function), arm, seed, **settings)


@pytest.mark.parametrize("arm", ["unchanged", "gelu", "swish(beta=learned)"])
@pytest.mark.parametrize("stage", ["main", "tune"])
def test_the_same_loop_written_as_a_function_gives_the_rows_of_the_task_to_the_bit(arm, stage):
    own = run_trial(task(metric_name="negative loss"), parse_arm(arm), 1, stage=stage, lr=0.01)
    loop = run_trial(tiny.tiny(), parse_arm(arm), 1, stage=stage, lr=0.01)

    same = ("status", "metric", "train_loss", "curve", "steps", "parameters", "lr")
    assert {name: getattr(own, name) for name in same} == {name: getattr(loop, name) for name in same}
    assert own.inputs["weights"] == loop.inputs["weights"]
    if stage != "main":
        assert own.validation == loop.validation


def test_generators_are_seeded_alike_for_every_arm():
    def draws(model):
        return torch.rand(1).item() + np.random.rand() + random.random()  # noqa: NPY002, S311 # as user code does

    assert run(draws, seed=3).metric == run(draws, seed=3, arm=parse_arm("prelu")).metric != run(draws, seed=4).metric


def test_the_handle_says_what_is_asked_for():
    def told(model, seed, trial):
        return {
            "accuracy": trial.lr,
            "seed": trial.seed + seed,
            "share": trial.steps_share,
            "on_cpu": float(trial.device == "cpu"),
        }

    row = run(told, seed=2, lr=0.125)

    assert (row.metric, row.metrics["seed"], row.metrics["share"], row.metrics["on_cpu"]) == (0.125, 4, 1, 1)


def test_the_model_is_on_the_device_of_the_trial():
    def places(model, trial):
        places = {weight.device.type for weight in model.parameters()}
        return {"accuracy": float(places == {trial.device} == {"meta"})}

    assert run(places, conditions=Conditions(device="meta")).metric == 1.0


def test_in_a_rung_of_tuning_the_handle_has_the_share_of_the_steps():
    row = run(lambda model, trial: trial.steps_share * (trial.stage == "tune0"), stage="tune0")

    assert (row.metric, row.validation) == (None, 0.125)


def test_where_rates_are_tried_a_result_that_may_be_of_the_test_split_is_refused():
    def careless(model, trial):
        trial.report(step=1, val_acc=0.25)
        return {"accuracy": 0.75}

    row = run(careless, stage="tune0")

    assert (row.status, row.validation) == ("failed", None)
    assert "may be of the test split" in row.error
    assert run(careless).metric == run(careless, stage="pilot").validation == 0.75


def test_where_rates_are_tried_a_reported_metric_counts_before_the_returned_one():
    def both(model, trial):
        trial.report(step=1, accuracy=0.25)
        return {"accuracy": 0.75}

    assert (run(both).metric, run(both).validation) == (0.75, 0.25)
    assert run(both, stage="tune").validation == 0.25


def test_a_function_that_returns_nothing_has_its_last_report_as_result():
    def only_reports(model, trial):
        trial.report(step=5, accuracy=0.5)

    row = run(only_reports)

    assert (row.status, row.metric, row.steps) == ("completed", 0.5, 5)


@pytest.mark.parametrize(
    ("function", "status", "says"),
    [
        (lambda model: {"f1": 0.5}, "failed", "returned f1, and not accuracy"),
        (lambda model: None, "failed", "returned None and reported nothing"),
        (lambda model: {"accuracy": math.nan}, "diverged", "the accuracy is nan"),
        (lambda model, trial: trial.report(step=2, loss=math.inf), "diverged", "the loss is inf at step 2"),
        (lambda model, trial: trial.report(step=2, loss="low"), "failed", "a number is needed"),
        (lambda model: 1 / 0, "failed", "ZeroDivisionError"),
        (lambda model: torch.empty(10**15), "out_of_memory", "allocate"),
    ],
)
def test_what_goes_wrong_is_the_result_of_the_trial(function, status, says):
    row = run(function)

    assert row.status == status
    assert says in row.error
    assert row.metric is None


def test_a_function_that_catches_the_end_of_a_diverged_training_has_diverged_all_the_same():
    def stubborn(model, trial):
        try:
            trial.report(step=1, loss=math.nan)
        except Exception:
            return {"accuracy": 1.0}

    assert run(stubborn).status == "diverged"


def test_reports_before_a_failure_are_kept():
    def fails(model, trial):
        trial.report(step=1, loss=2.0)
        trial.report(step=2, loss=1.0)
        raise RuntimeError("no")

    row = run(fails)

    assert (row.status, row.steps, row.train_loss) == ("failed", 2, 1.5)
    assert row.series["loss"]["value"] == [2.0, 1.0]


def test_weight_decay_leaves_learned_numbers_where_that_is_asked_for():
    def decays(model):
        optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.5)
        return {"accuracy": sum(len(group["params"]) for group in optimizer.param_groups if group["weight_decay"] == 0)}

    arm = parse_arm("swish(beta=learned)")

    assert run(decays, arm=arm, decay_learned=False).metric == 1
    assert run(decays, arm=arm).metric == 0


def test_a_gated_arm_needs_inputs_of_the_model():
    row = run(lambda model: 1.0, arm=parse_arm("swiglu"))
    given = run_trial(task(lambda model: 1.0, example_inputs=lambda seed: torch.zeros(5, 4)), parse_arm("swiglu"), 0)

    assert row.status == "failed"
    assert "example_inputs" in row.error
    assert given.status == "completed"


def test_a_killed_trial_goes_on_from_its_checkpoint_to_the_same_numbers(tmp_path):
    stops = iter([4, 10**9])

    def resumable(model, seed, trial):
        x, y = tiny.data(seed).train.x, tiny.data(seed).train.y
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        saved = trial.checkpoint.load()
        if saved is not None:
            model.load_state_dict(saved["model"])
        end = next(stops) if trial.checkpoint.due or saved else 10**9
        for step in range(saved["step"] if saved else 0, 8):
            loss = F.cross_entropy(model(x + 0.1 * torch.randn(x.shape)), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            trial.report(step=step + 1, loss=loss)
            if trial.checkpoint.due:
                trial.checkpoint.save({"model": model.state_dict(), "step": step + 1})
            if step + 1 == end:
                raise MemoryError("killed")
        return {"accuracy": loss.item()}

    conditions = Conditions(checkpoints=str(tmp_path), checkpoint_every=0.0)
    whole = run(resumable)
    killed = run(resumable, conditions=conditions)
    resumed = run(resumable, conditions=conditions)

    assert killed.status == "out_of_memory"
    assert (resumed.metric, resumed.train_loss, resumed.curve) == (whole.metric, whole.train_loss, whole.curve)


def test_a_model_may_be_any_module_and_inputs_may_be_named():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(4, 4)

        def forward(self, *, left, right):
            return F.relu(self.inner(left)) + right

    def count(model):
        return {"accuracy": sum("gelu" in str(module) for module in model.modules() if not list(module.children()))}

    inputs = {"left": torch.zeros(2, 4), "right": torch.zeros(2, 4)}
    made = task(count, model=lambda seed: Two(), example_inputs=lambda seed: inputs)

    assert run_trial(made, parse_arm("gelu"), 0).metric == 1
