"""Runs of claims: looks until they are decided, resumption, shared studies, errors, and three of those that ship."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa
from tests.studies.claims.made_up import FILE
from tests.studies.tiny import FILE as TASK

from actlab import claims
from actlab.claims import find_claim, run_claim, run_claims, stand
from actlab.errors import PlanError, StoreError, UnknownNameError
from actlab.studies.claims.record import Record


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Write a task and a claim on it, and return the options of a run in this process's folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny_task.py").write_text(TASK)
    (tmp_path / "gelu_wins.py").write_text(FILE % "tiny_task.py")
    return {"records": tmp_path / "records", "store": tmp_path / "store.db", "jobs": 1, "progress": False}


def trials(files):
    """Return the trials in the store: study, arm, seed, and the time of their end."""
    engine = sa.create_engine(f"sqlite:///{files['store']}")
    with engine.connect() as connection:
        return connection.execute(sa.text("SELECT study_id, arm, seed, id FROM trials ORDER BY id")).all()


def test_seeds_are_added_until_a_claim_is_decided_or_its_largest_number_is_reached(files):
    looks = []
    outcome = run_claim("gelu_wins.py", looked=looks.append, **files)

    assert looks[0].parts[0].n == 3
    assert looks[-1] is outcome
    assert outcome.result != "undecided" or outcome.parts[0].n == 5
    found = stand(find_claim("gelu_wins.py"), files["records"])
    assert (found.state, found.outcome.to_dict()) == ("current", outcome.to_dict())
    assert {row["arm"] for row in found.record.rows["main"]} == {"relu", "gelu"}


def test_a_killed_run_goes_on_and_repeats_nothing(files):
    done = []

    def stop(progress):
        done.append(progress.done)
        if progress.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_claim("gelu_wins.py", **files | {"progress": stop})
    before = trials(files)
    registered = Record.read("gelu-wins", files["records"])
    assert (len(before), registered.has_run) == (3, False)  # the rule was registered before the first trial

    run_claim("gelu_wins.py", **files)
    after = trials(files)
    assert after[:3] == before
    assert len({row[:3] for row in after}) == len(after)
    assert Record.read("gelu-wins", files["records"]).registered == registered.registered

    run_claim("gelu_wins.py", **files)
    assert trials(files) == after


def test_claims_with_one_study_run_it_once(files, tmp_path):
    (tmp_path / "second.py").write_text((FILE % "tiny_task.py").replace("smallest=0.5", "smallest=0.25"))
    runs = run_claims(["gelu_wins.py", "second.py"], seeds=2, **files)

    assert [run.outcome is not None for run in runs] == [True, True]
    assert len(trials(files)) == 4
    assert len({row[0] for row in trials(files)}) == 1


def test_a_changed_claim_is_refused_until_its_rows_are_dropped(files, tmp_path):
    run_claim("gelu_wins.py", seeds=2, **files)
    file = tmp_path / "gelu_wins.py"
    file.write_text(file.read_text().replace("smallest=0.5", "smallest=0.1"))

    assert stand(find_claim("gelu_wins.py"), files["records"]).state == "refused"
    with pytest.raises(StoreError, match=r"has rows; since then the pass rule has changed.*run gelu_wins.py --restart"):
        run_claim("gelu_wins.py", seeds=2, **files)
    run_claim("gelu_wins.py", seeds=2, restart=True, **files)
    found = stand(find_claim("gelu_wins.py"), files["records"])
    assert (found.state, len(found.record.earlier)) == ("current", 1)


def test_a_run_that_was_killed_between_the_two_files_of_its_record_goes_on(files):
    run_claim("gelu_wins.py", seeds=2, **files)
    rows, registered = files["records"] / "gelu-wins.csv", Record.read("gelu-wins", files["records"]).registered
    rows.write_text(rows.read_text() + rows.read_text().splitlines()[-1].replace(",1,", ",2,") + "\n")
    before = trials(files)

    assert stand(find_claim("gelu_wins.py"), files["records"]).state == "refused"
    run_claim("gelu_wins.py", seeds=2, **files)
    found = stand(find_claim("gelu_wins.py"), files["records"])
    assert (found.state, found.record.registered, trials(files)) == ("current", registered, before)


def test_edited_rows_do_not_hide_an_earlier_registration(files, tmp_path):
    run_claim("gelu_wins.py", seeds=2, **files)
    (files["records"] / "gelu-wins.csv").write_text("")
    file = tmp_path / "gelu_wins.py"
    file.write_text(file.read_text().replace("smallest=0.5", "smallest=0.1"))

    with pytest.raises(StoreError, match="since then the pass rule has changed"):
        run_claim("gelu_wins.py", seeds=2, **files)
    run_claim("gelu_wins.py", seeds=2, restart=True, **files)
    assert len(Record.read("gelu-wins", files["records"]).earlier) == 1


def test_a_changed_task_is_outdated_and_run_anew_not_taken_from_the_store(files, tmp_path):
    run_claim("gelu_wins.py", seeds=2, **files)
    task = tmp_path / "tiny_task.py"
    task.write_text(task.read_text().replace("epochs = 3", "epochs = 4"))

    assert stand(find_claim("gelu_wins.py"), files["records"]).state == "outdated"
    run_claim("gelu_wins.py", seeds=2, restart=True, **files)
    assert {row["steps"] for row in stand(find_claim("gelu_wins.py"), files["records"]).record.rows["main"]} == {12.0}
    assert len(trials(files)) == 8


def test_a_claim_that_fails_does_not_stop_the_others(files, tmp_path):
    (tmp_path / "wrong_task.py").write_text("claim = 1 / 0\n")
    (tmp_path / "no_claim.py").write_text("x = 1\n")
    ended = []
    runs = run_claims(["wrong_task.py", "no_claim.py", "rani-fixed-point"], ended=ended.append, **files)

    assert [run.outcome is None for run in runs] == [True, True, False]
    assert "ZeroDivisionError" in runs[0].error
    assert "needed is `claim = Claim(...)`" in runs[1].error
    assert ended == runs


def test_a_name_that_does_not_exist_stops_before_the_first_claim(files):
    with pytest.raises(
        UnknownNameError, match=r"There is no claim 'rani-fixed-pont'\. Did you mean 'rani-fixed-point'"
    ):
        run_claims(["rani-fixed-point", "rani-fixed-pont"], **files)
    assert not files["records"].exists()
    with pytest.raises(PlanError, match="The budget is 'soon'"):
        run_claims(["rani-fixed-point"], budget="soon", **files)


def test_the_rest_of_the_budget_is_that_of_each_claim_and_what_is_not_begun_is_left_out(files, monkeypatch):
    given = []
    monkeypatch.setattr(claims, "run_claim", lambda _, *, settings, **__: given.append(settings.budget))
    clock = iter([0.0, 0.0, 0.0, 4.0, 4.0, 6.0, 12.0, 12.0])
    monkeypatch.setattr(claims.time, "monotonic", lambda: next(clock))
    runs = run_claims(["rani-fixed-point"] * 3, budget=10, **files)

    assert (given, len(runs)) == ([10.0, 6.0], 2)


# one in closed form, one of gradients at initialization, one of trainings on digits
QUICK = (
    "rani-fixed-point",
    "sigmoid-and-tanh-lose-gradients",
    pytest.param("leaky-units-do-not-die", marks=pytest.mark.slow),  # 5 s
)


@pytest.mark.parametrize("name", QUICK)
def test_quick_claims_that_ship_run_on_a_seed(name, files):
    outcome = run_claim(name, seeds=1, **files)
    found = stand(find_claim(name), files["records"])

    assert found.state == "current"
    assert json.loads((files["records"] / f"{name}.json").read_text())["outcome"] == outcome.to_dict()
    assert all(part.n == 1 or part.kind == "exact" for part in outcome.parts)


def test_the_fixed_point_of_rani_is_not_that_of_its_claim():
    found = {part.says: part.effect for part in stand(find_claim("rani-fixed-point")).outcome.parts}

    assert found == {
        "the mean is 0": pytest.approx(0.146, abs=5e-4),
        "the second moment is 1": pytest.approx(1.526, abs=5e-4),
    }
