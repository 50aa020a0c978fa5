"""Citations of claims: only of records that count, found by names and topics."""

from __future__ import annotations

import json

import pytest
from tests.studies.claims.test_record import CLAIM, _record

from actlab.studies.claims import citation, claim_files
from actlab.studies.claims.citation import claims_about, write_index
from actlab.studies.claims.record import stand

FILE = "mine.py"


@pytest.fixture
def cited(tmp_path, monkeypatch):
    """Return a claim whose record counts, and a folder with the index that has it."""
    from dataclasses import replace

    from actlab.studies.claims import registration

    (tmp_path / FILE).write_text("# a claim")
    claim = replace(CLAIM, about=("gelu(approximate=1)", "speed"))
    monkeypatch.setattr(citation, "_PACKAGE", tmp_path)
    monkeypatch.setattr(registration, "code_files", lambda _: {str(tmp_path / FILE)})
    monkeypatch.setattr(claim_files, "find_claim", lambda _: claim)
    _record(tmp_path, claim)
    write_index({"made-up": (claim, stand(claim, tmp_path))}, tmp_path)
    return claim, tmp_path


def names(folder, *topics):
    return [found.claim for found in claims_about(*topics, records=folder)]


def test_a_claim_is_found_by_a_name_a_topic_and_its_domain(cited):
    _, folder = cited

    assert names(folder, ["gelu"]) == names(folder, ["speed"]) == names(folder, ["gelu", "vision"]) == ["made-up"]
    assert names(folder, ["relu"]) == names(folder, ["gelu", "language"]) == names(folder) == []
    (found,) = claims_about(["relu"], ["gelu"], records=folder)
    assert str(found) == "GELU is better. Holds (actlab claims show made-up)"


def test_edited_rows_are_not_cited(cited):
    _, folder = cited
    file = folder / "made-up.csv"
    file.write_text(file.read_text().replace("0.9", "0.8"))

    assert names(folder, ["gelu"]) == []


def test_an_edited_rule_is_not_cited_and_an_edited_comment_is(cited, monkeypatch):
    from dataclasses import replace

    claim, folder = cited
    (folder / FILE).write_text("# a claim with another comment")
    assert names(folder, ["gelu"]) == ["made-up"]

    monkeypatch.setattr(claim_files, "find_claim", lambda _: replace(claim, alpha=0.01))
    assert names(folder, ["gelu"]) == []


def test_without_an_index_or_with_a_damaged_one_nothing_is_cited(tmp_path):
    assert names(tmp_path, ["gelu"]) == []
    (tmp_path / "index.json").write_text("{")
    assert names(tmp_path, ["gelu"]) == []


def test_records_that_do_not_count_are_not_in_the_index(cited):
    claim, folder = cited
    (folder / "made-up.csv").write_text("")
    write_index({"made-up": (claim, stand(claim, folder))}, folder)

    assert json.loads((folder / "index.json").read_text()) == {}
