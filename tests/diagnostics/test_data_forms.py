"""The doctor, the importance of activations and the costs work on tasks of every form of data, or say what they need."""

import dataclasses

import pytest
import torch
from tests.tasks.forms import SAME, Noisy, TwoInputs, form_task, loader, tensors
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_sequence
from torch.utils.data import DataLoader, TensorDataset, default_collate

from actlab.diagnostics.appraise import appraise
from actlab.diagnostics.cost import cost
from actlab.diagnostics.doctor import doctor
from actlab.diagnostics.remedy import Remedy
from actlab.diagnostics.short_training import first_steps, short_trial, untrained_metric
from actlab.errors import PlanError, TaskError
from actlab.evaluate.audit.study_check import count_duplicates
from actlab.studies.arm import parse_arm
from actlab.studies.arm_cost import measure_costs
from actlab.studies.plan import task_digest
from actlab.tasks.data import as_data
from actlab.tasks.model_source import load_model
from actlab.tasks.task import load_data

PLAIN = form_task(tensors)
OWN_STEP = form_task(
    SAME["a dataset of dicts"],
    loss=None,
    step=lambda model, batch: F.cross_entropy(model(x=batch["image"]), batch["label"]),
    predict=lambda model, batch: (model(batch["image"]), batch["label"]),
)
TASKS = {
    "a loader": form_task(loader(Noisy, shuffle=True)),
    "a dict of tensors": form_task(SAME["a dict of tensors"]),
    "two inputs": form_task(SAME["a tuple with a tuple"]),
    "a step": OWN_STEP,
}


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_the_doctor_examines_and_trains_it(task):
    found = doctor(task, seeds=2, steps=12)

    assert len(found.examined.hidden) == 1
    assert len(found.examined.course.losses) == 12
    assert found.examined.samples >= 64


def test_short_trainings_of_a_dataset_are_those_of_its_tensors():
    dataset = form_task(SAME["a dataset of dicts"])

    for seed in (0, 1):
        assert first_steps(dataset, seed, steps=12).losses == first_steps(PLAIN, seed, steps=12).losses
        assert short_trial(dataset, seed, Remedy(), steps=12) == short_trial(PLAIN, seed, Remedy(), steps=12)
        assert untrained_metric(dataset, seed) == untrained_metric(PLAIN, seed)


def without_validation(make):
    return lambda seed: {name: split for name, split in make(seed).items() if name != "validation"}


def test_examples_of_a_dataset_are_held_out_and_those_of_a_loader_cannot():
    plain, dataset, read = (
        form_task(without_validation(make)) for make in (tensors, SAME["a dataset"], loader(shuffle=True))
    )

    assert short_trial(dataset, 0, Remedy(), steps=9) == short_trial(plain, 0, Remedy(), steps=9)
    with pytest.raises(TaskError, match="read from a DataLoader, of which no examples can be held out"):
        short_trial(read, 0, Remedy(), steps=9)


@pytest.mark.parametrize("name", ["a dict of tensors", "two inputs"])
def test_importances_are_those_of_the_tensors(name):
    found, plain = (appraise(task, samples=200) for task in (TASKS[name], PLAIN))

    assert [row.path for row in found.importance] == [row.path for row in plain.importance]
    assert found.importance[0].linearised.mean == pytest.approx(plain.importance[0].linearised.mean, rel=0.5, abs=0.05)


def test_the_importance_of_a_task_with_a_step_needs_a_measure():
    with pytest.raises(PlanError, match=r"has step.* Choose another measure: metric, cross_entropy"):
        appraise(OWN_STEP, samples=50)

    assert len(appraise(OWN_STEP, samples=50, measure="cross_entropy").importance) == 1


def test_the_importance_of_a_loader_is_measured_on_its_first_batches():
    assert appraise(TASKS["a loader"], samples=40).importance.samples == 20  # all of the validation split


def test_costs_name_the_examples_of_a_batch_of_a_loader_or_none():
    def of(**options):
        return cost(
            form_task(lambda seed: {n: DataLoader(TensorDataset(*s), **options) for n, s in tensors(seed).items()}),
            ["relu", "gelu"],
        )

    assert of(batch_size=7).batch_size == 7
    chosen = of(batch_sampler=[[0, 1], [2, 3, 4]])
    assert chosen.batch_size is None
    assert "one batch a step" in str(chosen)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_costs_are_measured_on_its_steps(task):
    arms = [parse_arm("relu"), parse_arm("gelu")]

    costs = measure_costs(task, arms, baseline="relu")

    assert costs["gelu"]["parameters"] == measure_costs(PLAIN, arms, baseline="relu")["gelu"]["parameters"]
    assert costs["gelu"]["step_time"] > 0


def test_a_step_that_never_calls_the_model_is_told_by_the_doctor():
    class Container(TwoInputs):
        pass

    def step(model, batch):
        return F.cross_entropy(model.body(batch[0]), batch[1])

    task = form_task(tensors, model=lambda seed: Container(), step=step, predict=lambda m, b: (m.body(b[0]), b[1]))  # noqa: ARG005

    with pytest.raises(TaskError, match=r"does not call the model itself.*example_inputs\(seed\)"):
        doctor(task, seeds=2, steps=5)

    given = dataclasses.replace(task, example_inputs=lambda seed: tensors(seed)["train"][0])
    assert len(doctor(given, seeds=2, steps=5).examined.hidden) == 1


def test_a_file_with_loaders_gives_its_model_and_inputs(tmp_path):
    file = tmp_path / "net.py"
    file.write_text(
        "import torch\nfrom torch.utils.data import DataLoader, TensorDataset\n"
        "model = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.ReLU())\n"
        "rows = TensorDataset(torch.zeros(9, 4), torch.zeros(9))\n"
        "data = {'train': DataLoader(rows, batch_size=5), 'test': DataLoader(rows)}\n"
    )

    assert tuple(load_model(file).example_inputs.shape) == (5, 4)


def test_duplicates_are_counted_where_all_inputs_are_in_memory_and_else_said_to_be_unknown():
    x, y = tensors(0)["train"]
    copies = {"train": {"a": x, "b": x, "labels": y}, "test": {"a": x[:5], "b": x[:5], "labels": y[:5]}}
    half = {"train": copies["train"], "test": copies["test"] | {"b": x[1:6]}}

    assert count_duplicates(as_data(copies))["test_in_train"] == 5
    assert count_duplicates(as_data(half))["test_in_train"] == 0
    assert count_duplicates(load_data(form_task(loader()), 0))["not_checked"].startswith("train, validation and test")


def test_a_setting_of_the_training_makes_another_plan_and_its_default_none():
    def metric(output, target):
        return 0.5

    changes = [
        {"clip_norm": 1.0},
        {"accumulate": 2},
        {"ema": 0.9},
        {"precision": "bf16"},
        {"step": lambda model, batch: F.mse_loss(model(batch[0]), batch[1])},
        {"step": lambda model, batch: F.l1_loss(model(batch[0]), batch[1])},
        {"metrics": {"half": metric}},
        {"metrics": {"halves": metric}},
    ]
    digests = [task_digest(dataclasses.replace(PLAIN, **change)) for change in changes]

    assert len({*digests, task_digest(PLAIN)}) == len(changes) + 1
    assert task_digest(dataclasses.replace(PLAIN, accumulate=1, clip_norm=None, metrics=None)) == task_digest(PLAIN)


def mixed_up(rows):
    x, y = default_collate(rows)
    return {"x": (x + x.flip(0)) / 2, "y": y, "other y": y.flip(0)}


def test_the_importance_of_a_task_whose_step_takes_other_batches_than_the_model():
    def make(seed):
        x, y = tensors(seed)["train"]
        train = DataLoader(TensorDataset(x, y), batch_size=16, collate_fn=mixed_up)
        return {**tensors(seed), "train": train}

    task = form_task(make, step=lambda model, batch: F.cross_entropy(model(batch["x"]), batch["other y"]))
    assert appraise(task, samples=32, measure="cross_entropy").importance.calibration == 32


def test_importance_says_that_it_does_not_call_predict():
    inputs = form_task(
        lambda seed: {name: split[0] for name, split in tensors(seed).items()},
        loss=None,
        step=lambda model, x: model(x).square().mean(),
        predict=lambda model, x: (model(x), x[:, 0].long()),
    )
    with pytest.raises(
        TaskError, match=r"does not call predict.*actlab.importance\(model, \[\(inputs, target\), ...\]\)"
    ):
        appraise(inputs, samples=32, measure="cross_entropy")


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.unit, self.head = nn.GRU(3, 8), nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, packed):
        return self.head(self.unit(packed)[1][0])


def test_the_doctor_examines_a_model_of_packed_sequences():
    rows = [(torch.randn(2 + row % 5, 3, generator=torch.Generator().manual_seed(row)), row % 2) for row in range(40)]

    def make(seed):
        def packed(found):
            return pack_sequence([x for x, _ in found], enforce_sorted=False), torch.tensor([y for _, y in found])

        return {name: DataLoader(rows, batch_size=8, collate_fn=packed) for name in ("train", "validation", "test")}

    found = doctor(form_task(make, model=lambda _: Recurrent()), seeds=2, steps=3)
    assert len(found.examined.course.losses) == 3
