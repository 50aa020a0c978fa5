"""Records of claims: what was edited after the run is refused, and a changed plan or task is outdated."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
from tests.studies.claims.made_up import part, row, rows

from actlab.errors import PlanError
from actlab.studies.claims.claim import Claim, ClaimStudy, Exact, Source, difference
from actlab.studies.claims.record import Record, stand

STUDY = ClaimStudy(task="digits", arms=("relu", "gelu"))
CLAIM = Claim(
    sentence="GELU is better.",
    source=Source(text="folklore"),
    domain="vision",
    name="made-up",
    studies={"main": STUDY},
    parts=(
        part(effect=difference("gelu", "relu")),
        part(effect=difference("gelu", "relu", column="train_loss"), judged=False),
    ),
)


def _record(folder, claim=CLAIM, gelu=(1.0, 1.1, 0.9, 1.0, 1.05, 1.0)):
    made = [{**one, "train_loss": 0.5} for one in rows(relu=[0.0] * len(gelu), gelu=gelu)]
    record = Record.new(claim).with_rows(claim, {"main": made}, cpu_seconds=2.0)
    record.write(claim.name, folder)
    return record


def test_a_record_is_read_as_it_was_written(tmp_path):
    written = _record(tmp_path)
    found = stand(CLAIM, tmp_path)

    assert (found.state, found.reason) == ("current", "")
    assert found.record == written
    assert found.outcome.to_dict() == written.outcome


def test_a_claim_without_a_record_is_not_run_and_neither_is_one_that_is_only_registered(tmp_path):
    assert stand(CLAIM, tmp_path).state == "not run"
    Record.new(CLAIM).write(CLAIM.name, tmp_path)
    assert stand(CLAIM, tmp_path).state == "not run"


@pytest.mark.parametrize(
    "edit",
    [
        {"smallest": 0.4},
        {"kind": "tie"},
        {"judged": False, "condition": None},
        {"condition": "init=fixed"},
        {"effect": difference("relu", "gelu")},
        {"effect": difference("gelu", "relu", larger=False)},
        {"effect": difference("gelu", "relu", column="validation")},
        {"effect": difference("gelu", "relu", scale="log10")},
    ],
    ids=str,
)
def test_an_edit_of_the_pass_rule_after_the_run_is_refused(tmp_path, edit):
    _record(tmp_path)
    first, second = CLAIM.parts
    edited = replace(CLAIM, parts=(replace(first, **edit), replace(second, judged=True)))

    found = stand(edited, tmp_path)
    assert (found.state, found.outcome) == ("refused", None)
    assert "pass rule was edited after the run" in found.reason


@pytest.mark.parametrize("edit", [{"alpha": 0.1}, {"parts": CLAIM.parts[:1]}, {"parts": CLAIM.parts[::-1]}], ids=str)
def test_an_edit_of_the_error_rate_or_of_the_list_of_parts_is_refused(tmp_path, edit):
    _record(tmp_path)

    assert stand(replace(CLAIM, **edit), tmp_path).state == "refused"


@pytest.mark.parametrize(
    "edit",
    [{"task": "mnist1d"}, {"arms": ("relu", "gelu", "elu")}, {"arms": ("gelu", "relu")}, {"init": "matched"}, {"tune": "lr"},
     {"evaluate": ("calibration",)}, {"decay_learned": False}],
    ids=str,
)  # fmt: skip
def test_a_changed_study_is_outdated(tmp_path, edit):
    _record(tmp_path)
    found = stand(replace(CLAIM, studies={"main": replace(STUDY, **edit)}), tmp_path)

    assert (found.state, found.outcome) == ("outdated", None)
    assert "the study main" in found.reason


def test_other_words_and_numbers_of_seeds_leave_a_record_current(tmp_path):
    _record(tmp_path)
    first, second = CLAIM.parts
    reworded = replace(CLAIM, note="more", about=("x",), parts=(replace(first, says="other words", unit="u"), second))

    assert stand(reworded, tmp_path).state == "current"
    assert stand(replace(CLAIM, studies={"main": replace(STUDY, seeds=9, most=40)}), tmp_path).state == "current"
    assert "it was: GELU is better." in stand(replace(CLAIM, sentence="ReLU is better."), tmp_path).reason


def test_edited_rows_are_refused(tmp_path):
    _record(tmp_path)
    file = tmp_path / "made-up.csv"
    file.write_text(file.read_text().replace("0.9", "0.8"))

    found = stand(CLAIM, tmp_path)
    assert found.state == "refused"
    assert "The rows in" in found.reason


@pytest.mark.parametrize("name", ["decision", "effect", "low", "n"])
def test_an_edited_outcome_is_refused(tmp_path, name):
    _record(tmp_path)
    file = tmp_path / "made-up.json"
    fields = json.loads(file.read_text())
    fields["outcome"]["parts"][0][name] = "undecided" if name == "decision" else 3.5
    file.write_text(json.dumps(fields))

    found = stand(CLAIM, tmp_path)
    assert found.state == "refused"
    assert f"{name} of part 1 is" in found.reason


@pytest.mark.parametrize(
    "damage", [lambda text: text[: len(text) // 2], lambda text: text.replace('"registered"', '"x"')]
)
def test_a_damaged_record_is_refused_with_its_name(tmp_path, damage):
    _record(tmp_path)
    file = tmp_path / "made-up.json"
    file.write_text(damage(file.read_text()))

    assert (stand(CLAIM, tmp_path).state, str(file) in stand(CLAIM, tmp_path).reason) == ("refused", True)


@pytest.mark.parametrize(
    "edit",
    [
        lambda _: None,
        lambda _: [1],
        lambda fields: fields | {"outcome": [1]},
        lambda fields: fields | {"outcome": fields["outcome"] | {"parts": [1]}},
        lambda fields: fields | {"registration": "x"},
        lambda fields: fields | {"registration": {"rule": "x", "studies": ["main"]}},
        lambda fields: fields | {"registered": 3},
        lambda fields: fields | {"cpu_seconds": "<b>"},
    ],
)
def test_a_record_with_a_field_of_another_type_is_refused(tmp_path, edit):
    _record(tmp_path)
    file = tmp_path / "made-up.json"
    file.write_text(json.dumps(edit(json.loads(file.read_text()))))

    assert (stand(CLAIM, tmp_path).state, "cannot be read (TypeError" in stand(CLAIM, tmp_path).reason) == (
        "refused",
        True,
    )


def test_rows_without_a_column_that_the_claim_reads_are_refused(tmp_path):
    _record(tmp_path)
    text, file = (tmp_path / "made-up.csv").read_text().replace("train_loss", "other"), tmp_path / "made-up.json"
    (tmp_path / "made-up.csv").write_text(text)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"rows": hashlib.sha256(text.encode()).hexdigest()[:32]}))

    assert stand(CLAIM, tmp_path).state == "refused"
    assert "The rows do not fit the claim" in stand(CLAIM, tmp_path).reason


def test_reworded_statements_and_units_are_shown_with_what_they_were(tmp_path):
    _record(tmp_path)
    first, second = CLAIM.parts
    found = stand(replace(CLAIM, parts=(replace(first, says="a beats b"), replace(second, unit="nats"))), tmp_path)

    assert found.state == "current"
    assert "The statement of part 1 was reworded since the last run; it was: b beats a" in found.reason
    assert "The unit of part 2 was reworded since the last run; it was: points" in found.reason


def test_a_metric_that_no_trial_has_is_an_error_and_no_open_question():
    claim = replace(CLAIM, parts=(part(effect=difference("gelu", "relu", column="metrics.dead")),))
    made = [{**one, "metrics": {}} for one in rows(relu=[0.0], gelu=[1.0])]

    with pytest.raises(PlanError, match=r"no trial of the study 'main' has such a number"):
        Record.new(claim).with_rows(claim, {"main": made})


def test_diverged_and_failed_trials_survive_the_file(tmp_path):
    made = [
        row("relu", 0, status="diverged"),
        row("gelu", 0, 1.0),
        row("relu", 1, 0.0),
        row("gelu", 1, status="failed"),
    ]
    record = Record.new(CLAIM).with_rows(CLAIM, {"main": [{**one, "train_loss": 1.0} for one in made]})
    record.write("made-up", tmp_path)

    assert Record.read("made-up", tmp_path).rows == record.rows
    assert (stand(CLAIM, tmp_path).outcome.parts[0].infinite, stand(CLAIM, tmp_path).outcome.parts[0].missing) == (1, 1)


def _one():
    """Return a number."""
    return _scaled(1.0)  # by a helper


def _scaled(number):
    return number * 1.0


def test_a_closed_form_is_registered_with_the_functions_that_it_calls(tmp_path, monkeypatch):
    def exact(compute):
        parts = (part(exact=Exact(compute=compute, claimed=1.0, tolerance=0.1)),)
        return replace(CLAIM, studies={}, parts=parts)

    claim = exact(_one)
    Record.new(claim).with_rows(claim, {}).write("made-up", tmp_path)
    assert stand(claim, tmp_path).outcome.result == "holds"
    assert stand(exact(lambda: 1.0), tmp_path).state == "refused"
    assert "def _scaled" in claim.parts[0].rule()["code"]
    assert "by a helper" not in claim.parts[0].rule()["code"]
