"""Studies whose trained models are judged on axes: stored, resumed, refused, and the same however they are trained."""

from __future__ import annotations

import math
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from tests.studies.tiny import FILE, attempts, data, model, tiny
from torch import nn
from torch.nn import functional

import actlab
from actlab.errors import PlanError, StoreError
from actlab.evaluate.axis import Column, Measured
from actlab.evaluate.axis_registry import axes_named, built_in_axes
from actlab.studies.execution.run import StudyInterrupted
from actlab.studies.store.store import Store

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

OWN = """
import actlab

@actlab.axis("min", unit="nats")
def surprise(model, data):
    "Negative log-likelihood of the test classes."
    return -data.log_probabilities.gather(1, data.labels[:, None])[:, 0]
"""


@actlab.axis(columns={"nll": "min", "size": None})
def own(net, found):
    """Negative log-likelihood of the test classes."""
    return {"nll": functional.cross_entropy(found.logits, found.labels), "size": found.logits.abs().mean()}


def local(**differences):
    """The tiny task with a closure, so that workers are forked: a new interpreter takes seconds to start."""
    return tiny(**{"model": lambda seed: model(seed), **differences})  # noqa: PLW0108 # the point is that it is a lambda


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return run(tmp_path_factory.mktemp("study"))


def run(folder, task=None, *, seeds=3, jobs=1, name="mine", evaluate=(own, "churn"), **settings):
    return actlab.compare(
        task or local(), ["relu", "tanh"], seeds=seeds, jobs=jobs, store=folder / "a.db", name=name, evaluate=evaluate, **settings
    )  # fmt: skip # one call, one line


def measured(study):
    """Numbers, curves and records of every trial by arm and seed, without the seconds."""
    return {
        (row["arm"], row["seed"]): {name: {**found, "seconds": None} for name, found in row["axes"].items()}
        for row in study.rows()
    }


def test_every_main_trial_has_the_numbers_of_its_trained_model(study):
    nll = {key: found["own"]["numbers"]["nll"] for key, found in measured(study).items()}
    metrics = {(row["arm"], row["seed"]): row["metric"] for row in study.rows()}
    assert len(nll) == 6
    for key, value in nll.items():
        assert value == pytest.approx(-metrics[key], rel=1e-5)  # the metric of the task is the negative loss in float32

    column = study.verdict().axes.of("own", "nll")
    assert column.of("tanh").mean == pytest.approx(sum(nll["tanh", seed] for seed in range(3)) / 3)
    assert study.verdict().axes.of("own", "size").of("tanh").relation == "described"


def test_test_splits_without_a_common_example_have_no_churn_and_a_fixed_one_has(study, tmp_path):
    apart = study.verdict().axes.churn
    fixed = run(tmp_path, local(data=lambda _: data(0)), name="fixed").verdict().axes.churn
    assert apart.of("relu").undefined == "no example is in the test splits of two seeds"
    assert apart.of("tanh").beside_baseline.common == (30, 30)
    assert fixed.of("relu").within.common == (30, 30)
    assert fixed.of("relu").within.pairs == 3


def test_more_seeds_and_a_study_that_was_stopped_give_the_numbers_of_one_that_was_not(tmp_path):
    whole = measured(run(tmp_path, name="whole", seeds=3))
    done = []

    def stop(progress):
        done.append(progress)
        if len(done) == 3:
            raise KeyboardInterrupt

    with pytest.raises((StudyInterrupted, KeyboardInterrupt)):
        run(tmp_path, seeds=2, progress=stop)
    run(tmp_path, seeds=2)
    study = run(tmp_path, seeds=3)
    assert measured(study) == whole
    assert study.verdict().axes.of("own", "nll").of("relu").n == 3
    store = Store(tmp_path / "a.db")
    assert max(attempts(store, store.study("mine").id).values()) <= 2


def test_other_axes_on_the_same_name_are_refused_and_the_error_says_what_differs(study):
    folder = Path(study.store.removeprefix("sqlite:///")).parent
    with pytest.raises(StoreError, match=r"evaluate.*another --name"):
        run(folder, evaluate="churn")
    with pytest.raises(StoreError, match="evaluate"):
        run(folder, evaluate=None)


def test_a_study_of_an_earlier_build_has_no_axes_and_goes_on(tmp_path):
    files = Path(__file__).parents[1] / "compatibility" / "v0_1_0"
    for name in ("store.sqlite", "task.py"):
        shutil.copy(files / name, tmp_path)
    study = actlab.load_study(tmp_path / "store.sqlite", "digits")
    assert study.verdict().axes is None
    assert all(row.get("axes") is None for row in study.rows())
    study.report(tmp_path / "page.html")
    assert 'id="axes"' not in (tmp_path / "page.html").read_text()


def test_stacked_and_single_trainers_give_the_same_axes(tmp_path):
    wanted = (own, "churn", "calibration")
    alone = measured(run(tmp_path, stack=False, name="alone", evaluate=wanted))
    stacked = run(tmp_path, stack=True, name="stacked", evaluate=wanted)
    assert {row["versions"]["trainer"] for row in stacked.rows()} == {"stacked"}
    for key, found in measured(stacked).items():
        for axis in ("own", "calibration"):
            assert found[axis]["numbers"] == pytest.approx(alone[key][axis]["numbers"], rel=1e-3, abs=1e-3)
        assert found["churn"]["record"]["examples"] == alone[key]["churn"]["record"]["examples"]


TRAIN = (
    FILE.partition("loss = ")[0].replace("generator = torch.Generator", "generator = torch.Generator")
    + """
def train(model, seed, trial):
    parts = data(seed)
    x, y = parts["train"]
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(5):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    return {"nll": F.cross_entropy(model(parts["test"][0]), parts["test"][1])}
"""
)


def test_the_models_of_a_training_function_are_judged_on_the_data_beside_it(tmp_path):
    (tmp_path / "my_train.py").write_text(TRAIN + "output_kind = 'logits'\n", encoding="utf-8")
    study = run(tmp_path, str(tmp_path / "my_train.py"), seeds=2, target="none")
    metrics = {(row["arm"], row["seed"]): row["metric"] for row in study.rows()}
    for key, found in measured(study).items():
        assert found["own"]["numbers"]["nll"] == pytest.approx(metrics[key], rel=1e-5)


def test_a_training_function_without_data_has_no_axes(tmp_path):
    without = TRAIN.replace("def data(seed)", "def parts_of(seed)").replace(
        "parts = data(seed)", "parts = parts_of(seed)"
    )
    (tmp_path / "my_train.py").write_text(without, encoding="utf-8")
    with pytest.raises(PlanError, match=r"need data.*define data\(seed\)"):
        run(tmp_path, str(tmp_path / "my_train.py"), seeds=2, target="none")


def test_an_arm_whose_training_diverges_is_named_and_not_averaged_away(tmp_path):
    def fragile(seed):
        net = model(seed)
        with torch.no_grad():
            net[2].weight.mul_(math.inf if seed == 1 else 1.0)
        return net

    verdict = run(tmp_path, local(model=fragile)).verdict()
    number = verdict.axes.of("own", "nll").of("relu")
    assert number.missing == {"its training diverged": (1,)}
    assert math.isfinite(number.mean)
    assert any("own nll" in warning and "on 2 of 3 seeds" in warning for warning in verdict.warnings)


def test_axes_of_a_file_are_measured_in_every_process_and_pickled_by_their_name(tmp_path):
    file = tmp_path / "my_axes.py"
    file.write_text(OWN, encoding="utf-8")
    study = run(tmp_path, jobs=2, seeds=2, evaluate=f"{file}")
    assert [sorted(found["surprise"]["numbers"]) for found in measured(study).values()] == [["surprise"]] * 4

    again = pickle.loads(pickle.dumps(axes_named(str(file))[0]))
    assert (again.name, again.file, again.columns) == (
        "surprise",
        f"{file}:surprise",
        {"surprise": Column(direction="min", unit="nats")},
    )
    for known in built_in_axes().values():
        assert pickle.loads(pickle.dumps(known)) is known
    assert pickle.loads(pickle.dumps(own)) == own


def test_notes_of_an_axis_are_among_the_warnings(tmp_path):
    def noted(net: nn.Module, found: object) -> Measured:
        return Measured(numbers={"noted": 1.0}, notes=("Do not believe this.",))

    warnings = run(tmp_path, evaluate=actlab.axis("max")(noted)).verdict().warnings
    assert "noted: Do not believe this (relu on 3 of 3 seeds and tanh on 3 of 3 seeds)." in warnings


def test_a_training_function_that_returns_an_accuracy_has_that_metric_on_changed_inputs(tmp_path):
    returned = "return {'accuracy': (model(parts['test'][0]).argmax(1) == parts['test'][1]).float().mean()}\n"
    text = TRAIN.rpartition("    return {")[0] + f"    {returned}"
    (tmp_path / "my_train.py").write_text(f"{text}\noutput_kind = 'logits'\n", encoding="utf-8")

    @actlab.axis("metric")
    def again(net, found):
        return found.metric(found.predict(found.inputs))

    study = run(tmp_path, str(tmp_path / "my_train.py"), seeds=2, target="none", evaluate=again)
    metrics = {(row["arm"], row["seed"]): row["metric"] for row in study.rows()}
    for key, found in measured(study).items():
        assert found["again"]["numbers"]["again"] == pytest.approx(metrics[key])
    assert study.verdict().axes.of("again", "again").direction == "max"


@actlab.axis("min", unit="bytes", level="arm")
def half(net, found):
    """Bytes of the weights in 16 bits."""
    return 2.0 * sum(weight.numel() for weight in net.parameters())


def sizes(study):
    column = study.verdict().axes.of("half", "half")
    return {number.arm: (number.mean, number.relation) for number in column.arms}


def test_what_is_of_an_arm_is_measured_once_beside_the_costs_and_compared(tmp_path):
    study = run(tmp_path, evaluate=("cost", half), seeds=2)
    verdict = study.verdict()
    assert all(not row["axes"] for row in study.rows())
    assert sizes(study) == {"relu": (116.0, "baseline"), "tanh": (116.0, "tie")}
    latency = verdict.axes.of("cost", "latency").of("tanh")
    assert latency.mean > 0
    assert len(study.costs()["tanh"]["axes"]["cost"]["ratios"]["latency"]) == 9
    energy = verdict.axes.of("cost", "energy")
    assert energy is not None or any("cost (energy)" in sentence for sentence in verdict.axes.sentences)
    assert "half" in study.report(tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_training_function_with_data_has_the_columns_of_its_arms_too(tmp_path):
    (tmp_path / "my_train.py").write_text(TRAIN + "output_kind = 'logits'\n", encoding="utf-8")
    study = run(tmp_path, str(tmp_path / "my_train.py"), seeds=2, target="none", evaluate=("cost", half))
    assert sizes(study)["tanh"] == (116.0, "tie")
    assert study.verdict().axes.of("cost", "flops").of("relu").mean == 2 * (4 * 8 + 8 * 2)
    assert "step_time" not in study.costs()["relu"]
