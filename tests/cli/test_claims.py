"""Commands about claims: lists, one in full, runs, reports and their exit codes."""

from __future__ import annotations

import json

import pytest
from tests.studies.claims.test_record import CLAIM, _record
from typer.testing import CliRunner

from actlab import claims, cli

FILE = '''
"""Claim of the tests."""
from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, difference

claim = Claim(
    sentence="GELU is better.",
    source=Source(text="folklore", arxiv="1606.08415"),
    domain="vision",
    studies={"main": ClaimStudy(task="digits", arms=("relu", "gelu"))},
    parts=(
        Part(says="b beats a", effect=difference("gelu", "relu"), smallest=0.5, unit="points"),
        Part(says="b beats a", effect=difference("gelu", "relu", column="train_loss"), smallest=0.5, unit="points", judged=False),
    ),
)
'''


def run(*words):
    return CliRunner().invoke(cli.app, ["claims", *words])


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Return a file of a claim and the folder of its record."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "made_up.py").write_text(FILE)
    _record(tmp_path / "records")
    return "made_up.py", "--records", "records"


def test_a_claim_is_shown_with_its_rule_in_words_and_what_was_found(mine):
    shown = " ".join(run("show", *mine).stdout.split())

    assert "GELU is better. Holds" in shown
    assert "+1.00 points" in shown
    assert "Holds where the effect is shown to be above 0 and 0.5 points is not excluded" in shown
    assert "1 part is shown only" in shown
    assert "Error rate of the whole claim: 0.05, over all looks and 2 parts (0.025 each)." in shown
    assert "https://arxiv.org/abs/1606.08415" in shown


def test_a_claim_as_json_has_its_parts_with_numbers_and_its_standing(mine):
    found = json.loads(run("show", *mine, "--json").stdout)

    assert (found["name"], found["state"], found["result"], found["seeds"]) == ("made-up", "current", "holds", 6)
    assert found["parts"][0]["found"]["decision"] == "holds"
    assert found["parts"][0]["measured"].startswith("result of gelu")
    assert found["studies"]["main"]["arms"] == ["relu", "gelu"]


def test_the_report_ends_with_0_where_records_count_and_with_1_where_one_does_not(mine, tmp_path):
    assert run("report", *mine).exit_code == 0

    file = tmp_path / "made_up.py"
    file.write_text(FILE.replace("smallest=0.5", "smallest=0.4", 1))
    refused = run("report", *mine)
    assert refused.exit_code == 1
    assert "made-up: refused. The pass rule was edited after the run" in " ".join(refused.stdout.split())

    file.write_text(FILE.replace('task="digits"', 'task="mnist1d"'))
    outdated = json.loads(run("report", *mine, "--json").stdout)
    assert [one["state"] for one in outdated["claims"]] == ["outdated"]

    file.write_text(
        FILE.replace("Claim of the tests.", "Claim of these tests.").replace("\nclaim =", "\n# a comment\nclaim =")
    )
    assert run("report", *mine).exit_code == 0


def test_a_claim_that_is_named_and_has_no_record_ends_the_report_with_1(mine):
    done = run("report", mine[0], "--records", "elsewhere")

    assert done.exit_code == 1
    assert "not run" in done.stdout


def test_the_report_writes_a_page_or_a_table(mine, tmp_path):
    assert run("report", *mine, "--out", "claims.html").exit_code == 0
    assert "GELU is better." in (tmp_path / "claims.html").read_text(encoding="utf-8")
    assert run("report", *mine, "--out", "claims.md").exit_code == 0
    assert "| `made-up` | holds |" in (tmp_path / "claims.md").read_text(encoding="utf-8")
    wrong = run("report", *mine, "--out", "claims.pdf")
    assert (wrong.exit_code, "allowed are .html" in wrong.stderr) == (2, True)


def test_the_list_is_filtered_by_domain_and_outcome(tmp_path):
    nowhere = ("--records", str(tmp_path))
    every = json.loads(run("list", *nowhere, "--json").stdout)
    theory = json.loads(run("list", "--domain", "theory", "--outcome", "not run", *nowhere, "--json").stdout)

    assert [one["name"] for one in every] == list(claims.claim_names())
    assert {one["domain"] for one in theory} == {"theory"}
    assert "No claim is of this domain and outcome" in run("list", "--outcome", "holds", *nowhere).stdout


def test_a_dry_run_shows_the_studies_and_trains_nothing(mine):
    found = json.loads(run("run", mine[0], "--dry-run", "--json").stdout)

    assert found == [{"name": "made-up", "studies": {"main": found[0]["studies"]["main"]}}]
    assert found[0]["studies"]["main"]["most"] == CLAIM.studies["main"].most
    assert "16 to 40" in run("run", mine[0], "--dry-run").stdout


def test_a_run_passes_on_what_was_asked_and_ends_with_1_where_a_claim_failed(monkeypatch, mine):
    seen = []

    def run_claims(sources, *, records, settings, ended):
        seen.append((sources, str(records), settings))
        found = [claims.ClaimRun(name=one, outcome=None, error="no such disk") for one in sources]
        ended(found[0])
        return found[:1]

    monkeypatch.setattr(claims, "run_claims", run_claims)
    words = ("--records", "r", "--store", "s.db", "--jobs", "1", "--seeds", "3", "--budget", "2h", "--restart")
    done = run("run", "made_up.py", "rani-fixed-point", *words)

    ((sources, records, settings),) = seen
    assert (sources, records) == (["made_up.py", "rani-fixed-point"], "r")
    asked = claims.RunSettings(store="s.db", jobs=1, seeds=3, budget="2h", restart=True, progress=True)
    assert settings == asked
    assert done.exit_code == 1
    assert "[1/2] made_up.py: failed: no such disk" in done.stderr
    assert "1 claim not begun within the budget" in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("show", "rani-fixed-pont"), "There is no claim 'rani-fixed-pont'. Did you mean 'rani-fixed-point'"),
        (("show", "mine.py"), "There is no file mine.py"),
        (("run",), "Name the claims to run, or all of them with --all"),
        (("run", "rani-fixed-point", "--all"), "not both"),
        (("run", "rani-fixed-point", "--budget", "soon"), "The budget is 'soon'"),
        (("list", "--outcome", "hold"), "Did you mean 'holds'"),
        (("list", "--domain", "visoin"), "There is no domain 'visoin'. Did you mean 'vision'"),
    ],
)
def test_what_the_commands_cannot_use_is_an_input_error(words, told):
    done = run(*words, "--json")

    assert done.exit_code == 2
    assert told in json.loads(done.stdout)["error"]["message"]
