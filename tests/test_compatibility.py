"""Files of earlier builds: stores, plans and packed nets written by 0.1.0 before the modules moved still open, and studies go on.

``compatibility/v0_1_0`` was written by commit ab7cbfb: a store with three studies (a task file with four arms, ``digits``, and an arm
per site with tuned learning rates), the verdicts, plans and fingerprints that build computed from it, and a packed net with its outputs.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from pathlib import Path

import pytest
import torch
from tests.export.packed.test_pack import pixels

import actlab
from actlab.export.packed.file import load_packed
from actlab.studies.plan import Plan, make_plan, task_digest
from actlab.tasks.registry import earlier_names, resolve

FILES = Path(__file__).parent / "compatibility" / "v0_1_0"
EXPECTED = json.loads((FILES / "expected.json").read_text(encoding="utf-8"))
STUDIES = ["from-file", "digits", "per-site"]
WORDS = {"recommendation", "warnings", "store"}  # sentences may be worded better; the store's path is this machine's
# What follows from the rows alone. The test of the evidence is another one since, so that p-values and forecasts differ.
FROM_ROWS = ("spec", "n", "mean", "iqm", "ci", "sd", "step_time_ratio", "parameters", "peak_memory", "lr")
DIFFERENCE_FROM_ROWS = ("mean", "ci", "prob_superior", "prob_equivalent")


@pytest.fixture
def store(tmp_path):
    for name in ("store.sqlite", "task.py"):
        shutil.copy(FILES / name, tmp_path)
    return tmp_path / "store.sqlite"


def rounded(value):
    """Return the value with its numbers rounded to 9 digits: means and quantiles may differ in the last bit between processors."""
    if isinstance(value, dict):
        return {key: rounded(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [rounded(entry) for entry in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


def by_arm(verdict):
    """Return what follows from the rows, by arm."""
    arms = {arm["spec"]: {name: arm[name] for name in FROM_ROWS} for arm in verdict["arms"]}
    differences = {arm["spec"]: arm["diff"] for arm in verdict["arms"] if arm["diff"] is not None}
    return arms, {arm: {name: diff[name] for name in DIFFERENCE_FROM_ROWS} for arm, diff in differences.items()}


@pytest.mark.parametrize("name", STUDIES)
def test_a_stored_study_gives_the_verdict_it_gave(name, store):
    study = actlab.load_study(store, name)

    assert len(study.rows()) == EXPECTED[name]["rows"]
    verdict, stored = rounded(study.verdict().to_dict()), rounded(EXPECTED[name]["verdict"])
    plan = stored.keys() - WORDS - {"arms", "ties", "closest", "best_set"}
    assert {key: verdict[key] for key in plan} == {key: stored[key] for key in plan}
    assert by_arm(verdict) == by_arm(stored)


@pytest.mark.parametrize("name", STUDIES)
def test_a_stored_plan_is_read_with_its_fingerprint(name, store):
    plan = Plan.from_json(json.dumps(EXPECTED[name]["plan"]))

    assert plan.fingerprint == EXPECTED[name]["fingerprint"]
    assert actlab.load_study(store, name).plan == plan


def test_the_same_arguments_make_the_same_plan_as_before():
    arms = ["relu", "gelu", "step/rect(-0.5,0.5)", "swish(beta=learned)"]
    plan = make_plan(resolve(str(FILES / "task.py")), arms, seeds=4)

    assert plan.fingerprint == EXPECTED["from-file"]["fingerprint"]


def test_a_study_goes_on_and_keeps_its_rows(store, monkeypatch):
    monkeypatch.chdir(store.parent)
    before = {(row["arm"], row["seed"]): row["metric"] for row in actlab.load_study(store, "from-file").rows()}
    arms = ["relu", "gelu", "step/rect(-0.5,0.5)", "swish(beta=learned)"]

    study = actlab.compare("task.py", arms, seeds=5, store=str(store), name="from-file", jobs=1)

    after = {(row["arm"], row["seed"]): row["metric"] for row in study.rows()}
    assert {key: after[key] for key in before} == before
    assert {key[1] for key in after.keys() - before.keys()} == {4}


@pytest.mark.parametrize("name", ["per-site", None])
def test_a_study_with_tuned_learning_rates_goes_on_with_the_full_grid_it_began_with(name, store, monkeypatch):
    monkeypatch.chdir(store.parent)
    if name is None:  # as a call without a name had it, see actlab.studies.prepare.draft
        named = f"task-{EXPECTED['per-site']['fingerprint'][:8]}"
        with sqlite3.connect(store) as connection:
            connection.execute("UPDATE studies SET name = ? WHERE name = 'per-site'", (named,))
        connection.close()
    options = {"baseline": "relu", "sites": "*", "seeds": 3, "tune": "lr", "jobs": 1, "store": str(store)}

    study = actlab.compare("task.py", ["relu", {"1": "mish"}], name=name, **options)

    rows = study.rows()
    assert study.plan.tuning == "grid"
    assert "--tune lr-grid" in study.verdict().command
    assert Counter(row["stage"] for row in rows if row["stage"] != "pilot") == {"tune": 20, "main": 6}
    assert {row["seed"] for row in rows[EXPECTED["per-site"]["rows"] :] if row["stage"] != "pilot"} == {2}


def test_a_study_of_an_earlier_protocol_goes_on_with_the_task_that_is_named(store, tmp_path):
    options = {"baseline": "relu", "sites": "*", "init": "matched", "seeds": 3, "jobs": 1, "store": str(store)}
    with pytest.raises(
        actlab.ActlabError, match="the store has an earlier protocol of digits; the task 'digits:protocol-1'"
    ):
        actlab.compare("digits", ["relu", "tanh"], name="digits", **options)

    study = actlab.compare("digits:protocol-1", ["relu", "tanh"], name="digits", **options)

    assert [row["seed"] for row in study.rows()].count(2) == 2
    assert study.verdict().command.startswith("actlab compare digits:protocol-1 relu tanh")


@pytest.mark.parametrize("name", sorted(EXPECTED["task_sources"]))
def test_the_tasks_that_ship_count_as_the_same_tasks(name):
    # Their digests cover a protocol number and the settings, not the code: whoever changes results has to raise the number.
    try:
        task = resolve(f"{name}:protocol-1" if f"{name}:protocol-1" in earlier_names() else name)
    except actlab.ActlabError as error:
        pytest.skip(f"its data are not installed: {error}")

    assert task_digest(task) == EXPECTED["task_sources"][name]


def test_a_packed_net_computes_what_it_computed():
    net = load_packed(FILES / "packed.npz")

    assert torch.equal(net(pixels(8, 1, 11, 12)), torch.tensor(EXPECTED["packed"]["outputs"]))
