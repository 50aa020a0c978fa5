"""Page of a study: a single file with the verdict's numbers and escaped text."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from actlab.errors import ActlabError
from actlab.report.html import study as page

EVIL = '<img src=x onerror="alert(1)">{{ 7*7 }}</script>&'
VOID = {"meta", "wbr", "br", "img", "link", "input", "hr", "path", "line", "rect"}


class Outline(HTMLParser):
    """Collects tags, attributes and texts, and checks that what is opened is closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts, self.open, self.broken = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        if tag not in VOID and (not self.open or self.open.pop() != tag):
            self.broken.append(tag)

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def outline(whole):
    return Outline(page.html(*whole))


@pytest.fixture
def undrawn(monkeypatch):
    """Leave the drawings out, which take most of the time."""
    monkeypatch.setattr(page, "svg", lambda *_, **__: "<svg></svg>")


def test_the_page_is_written_and_its_path_returned(made_up, trials, tmp_path, undrawn):
    out = tmp_path / "report.html"

    assert page.write(made_up, trials, str(out)) == out
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_page_that_cannot_be_written_says_where_and_why(made_up, trials, tmp_path, undrawn):
    with pytest.raises(ActlabError, match=r"cannot be written to '.*nowhere.r\.html': No such file or directory"):
        page.write(made_up, trials, tmp_path / "nowhere" / "r.html")


def test_every_tag_is_closed(outline):
    assert (outline.broken, outline.open) == ([], [])


def test_nothing_on_the_page_asks_for_another_file(outline):
    loading = [
        (name, value) for name, value in outline.attributes if name in {"src", "href", "srcset", "data", "action"}
    ]

    assert {value for _, value in loading if not value.startswith("#")} == set()
    assert not {"link", "img", "iframe", "object", "embed", "base"} & set(outline.tags)


def test_the_page_forbids_itself_every_request(outline):
    policy = next(value for name, value in outline.attributes if name == "content" and "default-src" in (value or ""))

    assert policy.startswith("default-src 'none'")


def test_no_style_loads_anything():
    css = (files("actlab.report.html") / "page.css").read_text(encoding="utf-8")

    assert not re.search(r"@import|url\(", css)


def test_the_recommendation_is_the_heading(outline, made_up):
    assert outline.tags.count("h1") == 1
    assert made_up.recommendation in outline.text


def test_every_chart_is_drawn_for_laptop_and_phone_and_told_in_words(outline):
    labels = [value for name, value in outline.attributes if name == "aria-label"]

    assert outline.tags.count("figure") == 3
    assert outline.tags.count("svg") == 1 + 2 * 3  # the mark, and two drawings of each chart
    assert any(label.startswith("Median training loss") for label in labels)
    assert any(label.startswith("Mean accuracy minus that of relu") for label in labels)


def test_every_arm_warning_and_tie_is_on_the_page(outline, made_up):
    text = outline.text.replace("\u200b", "")

    assert [w for w in made_up.warnings if w not in text] == []
    assert [arm.spec for arm in made_up.arms if arm.spec not in text] == []
    assert [arm.reason for arm in made_up.arms if arm.reason and arm.reason not in text] == []
    assert "gelu and silu" in text


def test_the_page_says_how_to_reproduce_it(outline, made_up):
    assert "actlab compare digits relu" in outline.text
    assert made_up.fingerprint in outline.text
    assert "actlab 0.1.0, python 3.11.7, torch 2.13.0" in outline.text


def test_whatever_a_study_brings_along_is_escaped(made_up, trials, found):
    arms = tuple(
        dataclasses.replace(arm, spec=EVIL, reason=EVIL) if arm.spec == "gelu" else arm for arm in made_up.arms
    )
    tie = dataclasses.replace(made_up.ties[0], arms=(EVIL, "relu"))
    names = ("study", "task", "metric", "store", "fingerprint", "recommendation")
    verdict = dataclasses.replace(
        made_up, arms=arms, ties=(tie,), closest=tie, best_set=(EVIL,), warnings=(EVIL,), **dict.fromkeys(names, EVIL)
    )
    verdict = dataclasses.replace(verdict, findings=found((EVIL,), ("relu",), {f"{EVIL} too": "withdrawn"}))
    rows = [{**row, "arm": EVIL if row["arm"] == "gelu" else row["arm"], "versions": {EVIL: EVIL}} for row in trials]

    text = page.html(verdict, rows)

    assert "<img" not in text
    assert "{{ 7*7 }}" in text
    assert (Outline(text).broken, Outline(text).tags.count("script")) == ([], 1)


def test_a_verdict_without_results_still_has_a_page(made_up):
    arms = tuple(
        dataclasses.replace(
            arm, n=0, mean=None, iqm=None, sd=None, ci=(None, None), diff=None, step_time_ratio=None, parameters=None,
            peak_memory=None, lr=None, status="failed", reason="seed 0: no luck",
        )
        for arm in made_up.arms
    )  # fmt: skip
    verdict = dataclasses.replace(made_up, arms=arms, best_set=(), ties=(), closest=None, warnings=())

    outline = Outline(page.html(verdict, []))

    assert "figure" not in outline.tags
    assert "seed 0: no luck" in outline.text


def test_cells_carry_the_number_they_are_sorted_by(made_up, trials, undrawn):
    text = page.html(made_up, trials)

    for arm in made_up.arms:
        assert f'data-value="{arm.mean}"' in text


def test_many_ties_are_folded_away(made_up, trials, undrawn):
    tie = made_up.ties[1]
    many = dataclasses.replace(
        made_up, ties=tuple(dataclasses.replace(tie, arms=("relu", f"arm{n}")) for n in range(20))
    )

    assert "<summary>12 more pairs</summary>" in page.html(many, trials)
