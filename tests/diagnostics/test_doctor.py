"""The doctor finds nothing in healthy models, and recommends remedies only if they win their paired trial."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
import torch
from tests.studies.tiny import FILE, tiny
from torch import nn

import actlab
from actlab.diagnostics import doctor as doctor_module
from actlab.diagnostics import paired_trials
from actlab.diagnostics.check import Finding
from actlab.diagnostics.diagnosis import Diagnosis, PairedTrial
from actlab.diagnostics.doctor import Checkup, DoctorOptions, DoctorSettings, doctor
from actlab.diagnostics.measurements import Measurements
from actlab.diagnostics.remedy import MatchedInit, Remedy, Swap
from actlab.diagnostics.short_training import Outcome
from actlab.errors import PlanError, SiteError, TaskError, UnknownNameError
from actlab.stats.bootstrap import bootstrap_interval
from actlab.tasks import Data, Split


def accuracy(output, target):
    return (output.argmax(1) == target).float().mean().item()


def data(seed):
    x = torch.randn(400, 8, generator=torch.Generator().manual_seed(seed))
    y = (x[:, 0] > 0).long()
    return Data(train=Split(x=x[:250], y=y[:250]), validation=Split(x=x[250:], y=y[250:]), test=Split(x=x[:9], y=y[:9]))


def mlp(function, depth, width=16):
    parts = [part for i in range(depth) for part in (nn.Linear(width if i else 8, width), function())]
    return nn.Sequential(*parts, nn.Linear(width, 2))


def task(make, **differences):
    settings = {"data": data, "metric": accuracy, "metric_name": "accuracy", "epochs": 20, "rope": 0.01}
    return tiny(model=lambda _: make(), **(settings | differences))


@pytest.fixture(scope="module")
def sick():
    return task(lambda: mlp(nn.Sigmoid, 10))


@pytest.fixture(scope="module")
def diagnosis(sick):
    return doctor(sick, seeds=3, steps=40)


def test_a_healthy_model_gets_nothing_to_do():
    found = doctor(task(lambda: mlp(nn.ReLU, 2)), seeds=2, steps=40)

    assert (found.sentence, found.healthy, found.findings, found.trials) == ("Nothing to do.", True, (), ())


def test_a_fault_is_found_where_it_is_and_its_remedy_has_won(diagnosis):
    (fault,) = [found for found in diagnosis.findings if found.kind == "fault"]

    assert (fault.rule, fault.layer) == ("vanishing gradients", "16")
    assert diagnosis.recommended
    for trial in diagnosis.recommended:
        assert trial.interval[0] > 0
        assert np.mean(np.subtract(trial.after, trial.before)) == pytest.approx(trial.difference)
        assert trial.difference > 0.1
    assert diagnosis.recommended[0].prescription.name in diagnosis.sentence


def test_the_gradients_of_the_remedy_are_measured_too(diagnosis):
    trial = next(one for one in diagnosis.trials if "matched init" in one.prescription.name)

    assert trial.decades[0] < -5
    assert abs(trial.decades[1]) < 1


@pytest.mark.parametrize(("metric", "region"), [("accuracy", 0.005), ("score", 0.0053)])
def test_a_task_without_a_region_of_its_own_gets_that_of_its_metric(monkeypatch, metric, region):
    """With ±0.5 points, or 1 % of the first result, 0.53: a gain just beyond the region helps, one just inside it does not."""
    verdicts = {}
    for gain in (region + 1e-4, region - 1e-4):
        outcomes = iter([Outcome(value=0.53 + own, steps=1, diverged=False) for _ in range(3) for own in (gain, 0.0)])
        monkeypatch.setattr(paired_trials, "short_trial", lambda *_, outcomes=outcomes, **__: next(outcomes))
        trials = paired_trials.PairedTrials(
            task(lambda: mlp(nn.ReLU, 2), rope=None, metric_name=metric),
            None,
            propagation=None,
            seeds=(0, 1, 2),
            steps=1,
        )
        verdicts[gain] = trials.run(Remedy(), remedies=1, is_hint=True, before_training=lambda _: None).verdict

    assert list(verdicts.values()) == ["helped", "did not help"]


def test_a_useless_remedy_is_tried_and_not_recommended(sick, monkeypatch):
    useless = Remedy(changes=(Swap(paths=("1",), spec="sigmoid"),), source="nobody")
    fault = Finding(rule="r", kind="fault", layer="0", site="1", sentence="s", source="x", prescriptions=(useless,))
    monkeypatch.setattr(doctor_module, "run_checks", lambda _: (fault,))

    found = doctor(sick, seeds=3, steps=30)

    (trial,) = found.trials
    assert (trial.verdict, trial.difference) == ("did not help", 0.0)
    assert found.recommended == ()
    assert not found.healthy
    assert "No remedy that was tried is shown to help" in found.sentence


def test_what_makes_it_worse_is_not_recommended(monkeypatch):
    harm = Remedy(learning_rate=1e-9, source="nobody")
    hint = Finding(rule="r", kind="hint", layer="0", site="1", sentence="s", source="x", prescriptions=(harm,))
    monkeypatch.setattr(doctor_module, "run_checks", lambda _: (hint,))

    found = doctor(task(lambda: mlp(nn.ReLU, 2)), seeds=3, steps=40)

    assert found.trials[0].difference < -0.1
    assert found.trials[0].verdict == "did not help"
    assert found.healthy  # a hint that wins nothing is no finding
    assert [one.rule for one in found.hints] == ["r"]


def test_the_interval_allows_for_all_trials(diagnosis):
    level = 1 - 0.05 / len(diagnosis.trials)
    for trial in diagnosis.trials:
        differences = np.subtract(trial.after, trial.before)
        assert trial.interval == pytest.approx(bootstrap_interval(differences, seed=0, level=level))


def test_smaller_may_be_better(monkeypatch):
    slow = Remedy(learning_rate=0.05, source="nobody")
    fault = Finding(rule="r", kind="fault", layer="0", site="1", sentence="s", source="x", prescriptions=(slow,))
    monkeypatch.setattr(doctor_module, "run_checks", lambda _: (fault,))
    wrong = {"metric": lambda output, y: 1 - accuracy(output, y), "direction": "min", "learning_rate": 1e-6}

    found = doctor(task(lambda: mlp(nn.ReLU, 1), **wrong), seeds=3, steps=30)

    assert found.recommended[0].difference > 0
    assert np.mean(found.recommended[0].after) < np.mean(found.recommended[0].before)


def test_the_same_numbers_come_again():
    random = torch.get_rng_state()
    first, again = (doctor(task(lambda: mlp(nn.Sigmoid, 2)), seeds=2, steps=10).to_dict() for _ in range(2))

    assert first["trials"]
    assert again == first
    assert torch.equal(torch.get_rng_state(), random)


def test_a_killing_rate_is_found_and_the_net_revived():
    killed = task(lambda: mlp(nn.ReLU, 3), learning_rate=3.0)

    found = doctor(killed, seeds=3, steps=60)

    rules = [one.rule for one in found.findings]
    assert "killed by the learning rate" in rules
    fault = found.findings[rules.index("killed by the learning rate")]
    assert 0 < fault.evidence["step"] <= 60
    best = found.recommended[0]
    assert best.prescription.learning_rate < 3.0
    assert np.mean(best.before) < 0.7
    assert np.mean(best.after) > 0.85


@pytest.mark.parametrize(
    ("mean", "interval", "hint", "verdict"),
    [
        (0.05, (0.02, 0.08), False, "helped"),
        (0.05, (0.02, 0.08), True, "helped"),
        (0.05, (0.005, 0.09), True, "undecided"),  # of a hint the whole interval must matter
        (0.05, (0.005, 0.09), False, "helped"),
        (0.008, (0.005, 0.011), False, "undecided"),  # certain, and too small to matter
        (0.05, (-0.01, 0.11), False, "undecided"),
        (-0.05, (-0.09, -0.01), False, "did not help"),
        (0.0, (0.0, 0.0), False, "did not help"),
        (0.05, None, False, "undecided"),
    ],
)
def test_the_verdict_of_a_trial(mean, interval, hint, verdict):
    assert paired_trials._verdict(mean, interval, 0.01, is_hint=hint) == verdict


def test_a_training_that_diverged_is_worth_what_the_untrained_model_is(monkeypatch, sick):
    bad = Remedy(learning_rate=0.5, source="nobody")
    fault = Finding(rule="r", kind="fault", layer="", site="", sentence="s", source="x", prescriptions=(bad,))
    monkeypatch.setattr(doctor_module, "run_checks", lambda _: (fault,))

    def trial(_task, seed, remedy, *, steps):
        return Outcome(value=math.nan if remedy is bad else 0.9, steps=steps, diverged=remedy is bad)

    monkeypatch.setattr(paired_trials, "short_trial", trial)
    found = doctor(sick, seeds=2, steps=5)

    assert found.trials[0].diverged == (0, 2)
    assert found.trials[0].after == tuple(paired_trials.untrained_metric(sick, seed) for seed in (0, 1))


def test_a_remedy_that_does_not_fit_is_reported_and_the_others_are_tried(sick, monkeypatch):
    wrong = Remedy(changes=(Swap(paths=("nowhere",), spec="relu"),), source="nobody")
    right = Remedy(changes=(Swap(paths=("1",), spec="relu"),), source="nobody")
    fault = Finding(rule="r", kind="fault", layer="", site="", sentence="s", source="x", prescriptions=(wrong, right))
    monkeypatch.setattr(doctor_module, "run_checks", lambda _: (fault,))

    found = doctor(sick, seeds=2, steps=5)

    assert [trial.verdict == "does not fit" for trial in found.trials] == [True, False]
    assert "nowhere" in found.trials[0].reason


def test_a_spent_budget_leaves_trials_untried(sick):
    found = doctor(sick, seeds=2, steps=5, budget=0.0001)

    assert {trial.verdict for trial in found.trials} == {"not tried"}
    assert {trial.reason for trial in found.trials} == {"the budget was spent"}
    assert "No remedy was tried" in found.sentence


def test_ctrl_c_keeps_what_had_finished_and_the_rest_can_be_done(sick, diagnosis):
    calls = []

    def stop(done, _total, _what):
        calls.append(done)
        if done == 4:
            raise KeyboardInterrupt

    one = Checkup(sick, seeds=3, steps=40, progress=stop)
    with pytest.raises(KeyboardInterrupt):
        one.run()
    kept = one.diagnosis()

    assert kept.stopped
    assert [trial.verdict == "not tried" for trial in kept.trials] == [False] + [True] * (len(kept.trials) - 1)
    assert kept.trials[0] == diagnosis.trials[0]
    one._progress = lambda *_: None
    assert one.run().to_dict() == diagnosis.to_dict()


def test_before_the_first_measurement_there_is_nothing_to_say(sick):
    with pytest.raises(PlanError, match="Nothing was measured yet"):
        Checkup(sick).diagnosis()


def test_progress_counts_to_the_number_of_trainings():
    told = []
    doctor(task(lambda: mlp(nn.Sigmoid, 1)), seeds=2, steps=5, progress=lambda *news: told.append(news))

    assert told[0][2] == "the model at initialization"
    assert [news for news in told if " at 1" in news[2]] == [
        (0, 4, "relu at 1"), (1, 4, "relu at 1"), (2, 4, "tanh at 1"), (3, 4, "tanh at 1"),
    ]  # fmt: skip


# --------------------------------------------------------------------------------------------- sources


def test_a_module_is_measured_and_told_what_is_missing():
    net = mlp(nn.Sigmoid, 10)
    state = {name: value.clone() for name, value in net.state_dict().items()}

    found = doctor(net, torch.randn(200, 8))

    assert found.findings[0].rule == "vanishing gradients"
    assert {trial.verdict for trial in found.trials} == {"not tried"}
    assert "No remedy was tried" in found.notes[0]
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


def test_a_hint_that_could_not_be_tried_is_not_passed_over():
    found = doctor(mlp(nn.Sigmoid, 1), torch.randn(200, 8))

    assert found.healthy
    assert found.sentence == "No fault was measured. Not tried: relu at 1."


def test_a_module_without_inputs_is_an_error():
    with pytest.raises(TaskError, match="Add example_inputs"):
        doctor(mlp(nn.ReLU, 2))


def test_a_file_with_a_model_only_is_measured(tmp_path):
    file = tmp_path / "net.py"
    file.write_text("import torch\nmodel = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU())\n")
    with pytest.raises(TaskError, match="example_inputs"):
        doctor(file)
    file.write_text(file.read_text() + "example_inputs = torch.randn(150, 4)\n")

    found = doctor(file)

    assert found.name == "net"
    assert "does not define data, loss, metric, direction" in found.notes[0]


def test_a_users_file_is_a_task(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(FILE)

    assert doctor(file, seeds=2, steps=9).course is not None


def test_names_that_are_not_there_and_settings_that_make_no_sense(tmp_path):
    with pytest.raises(UnknownNameError, match="digits"):
        doctor("digitz")
    with pytest.raises(TaskError, match="no file"):
        doctor(tmp_path / "nothing.py")
    for setting in ({"seeds": 1}, {"steps": 0}, {"seed": -1}, {"budget": "soon"}, {"seeds": 2.5}):
        with pytest.raises(PlanError):
            doctor(tiny(), **setting)


def test_a_users_mistake_is_told_before_anything_is_trained():
    def wrong(_seed):
        raise ValueError("no such layer")

    with pytest.raises(TaskError, match="no such layer"):
        doctor(tiny(model=wrong))
    with pytest.raises((TaskError, SiteError)):
        doctor(tiny(model=lambda _: nn.Linear(3, 2)))


# ------------------------------------------------------------------------------------------- the record


def test_the_json_has_its_frozen_keys_and_no_number_that_is_none(diagnosis):
    told = json.loads(json.dumps(diagnosis.to_dict(), allow_nan=False))

    assert set(told) == {
        "name", "healthy", "sentence", "metric", "direction", "steps", "findings", "hints", "recommended", "trials", "propagation",
        "units", "course", "notes", "stopped",
    }  # fmt: skip
    assert set(told["findings"][0]) == {
        "rule", "kind", "layer", "site", "sentence", "source", "evidence", "claims", "prescriptions",
    }  # fmt: skip
    assert set(told["trials"][0]) == {
        "prescription", "code", "source", "seeds", "before", "after", "difference", "interval", "verdict", "reason", "diverged", "decades",
    }  # fmt: skip
    assert set(told["units"][0]) == {
        "site", "layer", "spec", "units", "dead", "saturated", "dead_at_end", "saturated_at_end",
    }  # fmt: skip
    assert set(told["course"]) == {"learning_rate", "losses", "diverged", "deaths", "looks"}


def test_a_finding_cites_the_claims_about_its_topic(monkeypatch):
    from actlab.diagnostics import check
    from actlab.diagnostics.heuristic_checks import CHECKS
    from actlab.studies.claims.citation import Citation

    asked = []
    cited = Citation(claim="relu-units-die", sentence="ReLU units die.", outcome="holds")
    monkeypatch.setattr(check, "claims_about", lambda *topics: asked.append(topics) or [cited])
    (born_dead,) = (it for it in CHECKS if it.name == "born dead")
    finding = born_dead.finding("Units are dead.")

    assert (finding.claims, asked) == ([cited], [(("dead units",),)])


def test_the_best_remedy_comes_first():
    won = {"verdict": "helped", "seeds": (0,), "before": (0.1,), "after": (0.2,)}
    one = PairedTrial(prescription=Remedy(changes=(MatchedInit(),)), difference=0.1, **won)
    two = PairedTrial(prescription=Remedy(learning_rate=0.1), difference=0.2, **won)
    nothing = Measurements(samples=0, propagation=None, at_init=None, hidden=())
    found = Diagnosis(
        name="n", metric="m", direction="max", steps=1, examined=nothing, all_findings=(), trials=(one, two)
    )

    assert found.recommended == (two, one)


def test_the_options_are_the_fields_of_the_settings():
    assert get_type_hints(DoctorOptions) == get_type_hints(DoctorSettings)
    assert DoctorSettings(seed=3, seeds=2).trial_seeds == (3, 4)


def test_settings_and_options_give_the_same_diagnosis(sick, diagnosis):
    assert doctor(sick, settings=DoctorSettings(seeds=9, steps=40), seeds=3).to_dict() == diagnosis.to_dict()
    with pytest.raises(TypeError, match=r"unknown option 'step'\. Did you mean 'steps'"):
        doctor(sick, step=3)


def test_the_doctor_is_public():
    assert actlab.doctor is doctor


@pytest.mark.slow
def test_the_example_of_the_page_runs_as_it_stands():
    page = (Path(__file__).parents[2] / "docs" / "how_to" / "doctor.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1]

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    printed = [line.removeprefix("# ") for line in code.splitlines() if line.startswith("# ")]
    assert done.stdout.splitlines() == printed
