"""Page of claims: every claim, its numbers and rows, escaped, without a network."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from tests.report.html.test_study_in_browser import BROWSER, look
from tests.studies.claims.made_up import part
from tests.studies.claims.test_record import CLAIM, _record

from actlab.report.charts.claim_effects import interval_plot
from actlab.report.content.claims import ClaimCard, part_numbers, total_words
from actlab.report.html.claims import claims_page
from actlab.studies.claims.claim import Source, difference
from actlab.studies.claims.part_judgement import PartJudgement
from actlab.studies.claims.record import Standing, stand

FOUND = {"says": "s", "condition": None, "judged": True, "decision": "holds", "unit": "points", "n": 8}


@pytest.fixture
def cards(tmp_path):
    """Return a claim that was run, one that was not, and one in which all text is markup."""
    _record(tmp_path)
    run = ClaimCard(claim=CLAIM, standing=stand(CLAIM, tmp_path), rows=tmp_path / "made-up.csv")
    other = replace(CLAIM, name="other", domain="language", source=Source(text="a paper", arxiv="1606.08415"))
    hostile = "<script>alert(1)</script>"
    evil = replace(
        CLAIM,
        name="evil",
        sentence=hostile,
        domain=hostile,
        note=hostile,
        source=Source(text=hostile, url="javascript:alert(1)"),
    )
    return [
        run,
        *(ClaimCard(claim=claim, standing=Standing(state="not run", reason="Run it.")) for claim in (other, evil)),
    ]


class Text(HTMLParser):
    """Text and tags of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


def test_every_claim_is_a_card_with_what_was_said_and_found(cards):
    page = Text(claims_page(cards))
    words = " ".join(" ".join(page.words).split())
    articles = [attributes for tag, attributes in page.tags if tag == "article"]

    assert [one["id"] for one in articles] == ["made-up", "other", "evil"]
    assert [one["data-outcome"] for one in articles] == ["holds", "not run", "not run"]
    assert "+1.00 points" in words
    assert "detectable with 80 % power" in words
    assert ("a", {"href": "https://arxiv.org/abs/1606.08415", "rel": "noreferrer"}) in page.tags
    assert sum(tag == "tr" for tag, _ in page.tags) == 1 + len(cards[0].trials)
    assert total_words(cards) in words


def test_text_of_claims_is_escaped_and_a_link_is_one_of_the_web(cards):
    page = claims_page(cards)

    assert "<script>alert" not in page
    assert "javascript:" not in page
    assert not re.search(r'(?:src|href)="(?!#|https://arxiv)', page)


def test_the_interval_lies_on_the_axis_where_its_numbers_are():
    found = PartJudgement(kind="better", smallest=1.0, effect=2.0, low=0.5, high=4.0, **FOUND)
    drawn = interval_plot(found, zero="0", smallest="1")
    x = {name: float(re.search(rf'class="{name}" d="M([\d.]+)', drawn)[1]) for name in ("none", "least", "range")}
    end = float(re.search(r'class="range" d="M[\d.]+ \d+H([\d.]+)', drawn)[1])
    dot = float(re.search(r'cx="([\d.]+)"', drawn)[1])

    unit = x["least"] - x["none"]
    assert [(at - x["none"]) / unit for at in (x["range"], dot, end)] == pytest.approx([0.5, 2.0, 4.0], abs=0.01)


def test_an_interval_without_an_end_goes_on_to_the_edge():
    found = PartJudgement(kind="tie", smallest=1.0, effect=0.5, **FOUND)

    assert interval_plot(found, zero="0", smallest="1").count('class="range"') == 1


def test_differences_of_logarithms_are_shown_as_factors():
    asked = part(effect=difference("b", "a", scale="log10"), smallest=0.3, unit="decades")
    found = PartJudgement(kind="better", smallest=0.3, effect=1.0, low=0.0, high=2.0, detectable=0.5, **FOUND)

    assert part_numbers(asked, found) == {
        "effect": "10", "interval": "[1, 100]", "smallest": "2", "detectable": "3.16", "unit": "times",
    }  # fmt: skip


FILTER = """
  const shown = () => [...document.querySelectorAll(".card")].filter(one => one.offsetParent).map(one => one.id);
  const choose = (name, value) => {
    const it = document.getElementById(name);
    it.value = value;
    it.dispatchEvent(new Event("input", {bubbles: true}));
  };
  seen.all = shown();
  choose("outcome", "holds"); seen.holds = shown(); choose("outcome", "");
  choose("domain", "language"); seen.language = shown(); choose("domain", "");
  choose("words", "made"); seen.words = shown();
"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_cards_are_filtered_by_outcome_domain_and_words_and_fit_a_phone(cards, tmp_path):
    seen = look(claims_page(cards), tmp_path, FILTER, width=360)

    assert (seen["errors"], seen["refused"], seen["requests"]) == ([], [], [])
    assert seen["width"][0] <= seen["width"][1]
    assert seen["all"] == ["made-up", "other", "evil"]
    assert (seen["holds"], seen["language"], seen["words"]) == (["made-up"], ["other"], ["made-up"])
