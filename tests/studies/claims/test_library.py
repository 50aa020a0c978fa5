"""Claims that ship: each loads, has a plan, names what exists, and has a record that counts or none."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from actlab.claims import SHIPPED_RECORDS, claim_cards, claim_names, find_claim, records_without_claim
from actlab.functions.name_index import built_in_names
from actlab.studies.claims import citation
from actlab.studies.claims.registration import register
from actlab.tasks import resolve


@pytest.fixture(scope="module")
def cards():
    return claim_cards()


def test_every_claim_has_a_plan_a_source_and_parts_without_loading_data(monkeypatch):
    monkeypatch.setattr("actlab.tasks.task.load_data", lambda *_: pytest.fail("data were loaded"))
    for name in claim_names():
        claim = find_claim(name)
        assert set(register(claim).studies) == set(claim.studies), name
        assert claim.source.text, name
        assert claim.about, name
        assert claim.sentence.endswith("."), name
        read = {cell.study for part in claim.parts if part.effect for cell in part.effect.cells}
        assert read == set(claim.studies), f"{name}: studies that no part reads"


def test_names_of_files_are_unique():
    files = Counter(file.stem for file in Path(citation.__file__).parent.joinpath("library").rglob("*.py"))
    del files["__init__"]

    assert [name for name, number in files.items() if number > 1] == []


def test_what_a_claim_is_about_is_an_activation_or_a_topic():
    """Words with an underscore are names of functions; all others are topics."""
    names = {*built_in_names("catalogue"), *built_in_names("rules")}
    words = {word.partition("(")[0] for name in claim_names() for word in find_claim(name).about}

    assert sorted(word for word in words if "_" in word and word not in names) == []
    assert words & names


def test_no_record_is_refused_or_outdated_and_none_is_without_its_claim(cards):
    assert [
        f"{card.claim.name}: {card.standing.reason}" for card in cards if card.outcome in {"refused", "outdated"}
    ] == []
    assert records_without_claim() == []


def test_what_show_and_doctor_cite_is_up_to_date(cards):
    index = (
        json.loads((SHIPPED_RECORDS / "index.json").read_text()) if (SHIPPED_RECORDS / "index.json").is_file() else {}
    )
    cited = {name: entry["outcome"] for name, entry in index.items()}

    told = "write it anew: actlab claims report"
    assert cited == {card.claim.name: card.text for card in cards if card.standing.outcome}, told


def test_every_arm_and_every_task_exists():
    for name in claim_names():
        for study in find_claim(name).studies.values():
            assert resolve(study.task).name
            assert len(study.arms) > 1 or not study.arms, name
