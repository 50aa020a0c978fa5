"""Reference pages: a page per activation, valid links, no external resources, escaped text."""

from __future__ import annotations

import json
import re
import time
import warnings
from html.parser import HTMLParser

import pytest
from tests.report.html.test_study import EVIL, Outline

import actlab
from actlab.errors import ActlabError, UnknownNameError
from actlab.functions.activation import Parameter, activation, forget, get
from actlab.report.html import function_reference as reference

# one or two of every kind, a long formula, one with relatives and one without a paper
SAMPLE = ["gelu", "tanh", "sigmoid", "swiglu", "softmax", "retention", "rrelu", "rational_tanh", "prelu", "hyper_sinh"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("reference")
    reference.write(out, SAMPLE)
    return out


def _page(folder, name):
    return (folder / f"{name}.html").read_text(encoding="utf-8")


def _outline(folder, name):
    outline = Outline(_page(folder, name))
    outline.broken = [tag for tag in outline.broken if tag != "input"]
    return outline


class Links(HTMLParser):
    """Collects where a page leads, and what it would load."""

    def __init__(self, text):
        super().__init__()
        self.leads, self.loads, self.ids = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids.add(given.get("id"))
        if tag == "a":
            self.leads.append(given["href"])
        elif tag in {"script", "link", "img", "iframe", "object", "embed", "base", "form", "use", "image"}:
            self.loads += [
                value for name, value in attrs if name in {"src", "href", "data", "action", "srcset", "xlink:href"}
            ]


PAGES = ["index", *SAMPLE]


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_well_formed(folder, name):
    outline = _outline(folder, name)

    assert (outline.broken, outline.open) == ([], [])
    assert outline.tags.count("h1") == 1


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_pages_that_are_there_or_to_papers(folder, name):
    for link in Links(_page(folder, name)).leads:
        if link.startswith("https://"):
            assert re.fullmatch(r"https://arxiv\.org/abs/[\w./-]+", link)
            continue
        file, _, place = link.partition("#")
        target = folder / (file or f"{name}.html")
        assert target.exists(), f"{name} leads to {link}"
        assert not place or place in Links(target.read_text(encoding="utf-8")).ids


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_loaded_from_elsewhere_and_the_page_forbids_it(folder, name):
    page = _page(folder, name)

    assert Links(page).loads == []
    assert "default-src 'none'" in page
    assert not re.search(r"@import|url\(", page)
    assert "https://" not in re.sub(r'href="https://arxiv\.org/[^"]*"', "", page)


def test_the_gallery_has_every_activation_once_with_a_picture(folder):
    page = _page(folder, "index")

    links = re.findall(r'<li data-kind="(\w+)" data-words="[^"]*"><a href="(\w+)\.html"><svg', page)
    assert sorted(name for _, name in links) == sorted(SAMPLE)
    assert all(get(name).kind == kind for kind, name in links)


def test_the_gallery_begins_with_the_common_ones(folder):
    page = _page(folder, "index")
    first = page.partition('<section class="family"')[0]

    assert [name for name in reference.COMMON if name in SAMPLE] == re.findall(r'<li><a href="(\w+)\.html"><svg', first)
    assert all(get(name).name == name for name in reference.COMMON)


def test_a_page_says_what_the_card_says(folder):
    text = _outline(folder, "sigmoid").text
    data = json.loads((folder / "sigmoid.json").read_text(encoding="utf-8"))

    assert data["name"] == "sigmoid"
    assert "One transcendental (sigmoid)" in text
    assert [one["equation"] for one in data["same"] if one["equation"] not in text] == []
    assert 'actlab.layer("sigmoid")' in text
    assert "nn.Sigmoid" in text
    assert f"{data['gain']:.5g}" in text


def test_facts_stand_beside_claims(folder):
    rows = re.findall(r'<th scope="row">([^<]+)</th><td>([^<]*)</td><td>([^<]*)</td>', _page(folder, "gelu"))

    assert ("infimum", "-0.16997", "-0.16997") in rows
    assert ("monotone", "no", "no") in rows


def test_a_related_function_is_linked_if_it_has_a_page(folder):
    assert '<a href="tanh.html">tanh</a>' in _page(folder, "sigmoid")


def test_traps_are_told_of_elementwise_functions_only(folder):
    assert "Accuracy in float32" in _page(folder, "gelu")
    assert "Accuracy in float32" not in _page(folder, "swiglu")


def test_every_picture_is_told_in_words(folder):
    labels = [value for name, value in _outline(folder, "tanh").attributes if name == "aria-label"]

    assert any(label.startswith("Graph of f(x): -0.999 at -4, 0 at 0, 0.999 at 4") for label in labels)


@pytest.fixture
def hostile(tmp_path):
    def named(x, wild=1.0):
        return wild * x

    named.__name__ = EVIL
    named.__doc__ = f"Does {EVIL} to its input."
    record = activation(paper=EVIL, torch=EVIL, aliases=(f"{EVIL} alias",))(named)
    object.__setattr__(record, "family", EVIL)
    object.__setattr__(record, "parameters", (Parameter(name="wild", default=1.0),))
    yield record
    forget(EVIL)


def test_hostile_texts_stay_texts(hostile, monkeypatch):
    data = reference.activation_data(actlab.parse("identity")) | {
        "name": EVIL, "doc": hostile.doc, "kind": EVIL, "family": EVIL, "paper": EVIL, "torch": EVIL, "aliases": [EVIL], "latex": EVIL,
        "traps": [EVIL], "cost": [EVIL, EVIL], "same": [{"name": EVIL, "equation": EVIL}], "elsewhere": {EVIL: [EVIL]},
    }  # fmt: skip
    link = reference._link(EVIL)
    entry = reference.Entry(record=hostile, link=link, data=data, pictures=reference.picture("identity"))
    monkeypatch.setattr(reference.pytorch, "text", lambda _: EVIL)

    for page in (reference.page(entry, {EVIL: link}), reference.gallery([entry])):
        outline = Outline(page)
        assert "img" not in outline.tags
        assert "onerror" not in {name for name, _ in outline.attributes}
        assert "49" not in outline.text
        assert EVIL in outline.text or EVIL.lower() in {value for _, value in outline.attributes}


def test_a_hostile_name_makes_a_harmless_file():
    for name in (EVIL, "../../etc/passwd", "a b", "con/..", "ünï"):
        assert re.fullmatch(r"[\w.-]+\.html", reference._link(name))
        assert "/" not in reference._link(name)
    assert len({reference._link(name) for name in ("a/b", "a-b", "a b")}) == 3


def test_progress_tells_every_page(tmp_path):
    told = []

    written = reference.write(tmp_path / "deep" / "down", ["relu", "abs"], progress=lambda *news: told.append(news))

    assert told == [(1, 2, "relu"), (2, 2, "abs")]
    assert [path.name for path in written] == ["index.html", "relu.html", "abs.html"]


def test_an_alias_and_a_name_twice_make_one_page(tmp_path):
    assert len(reference.write(tmp_path, ["quick_gelu", "gelu_sigmoid"])) == 2


def test_a_folder_that_cannot_be_made_and_a_name_that_is_none_are_refused(tmp_path):
    (tmp_path / "file").write_text("here")

    with pytest.raises(ActlabError, match="cannot be created: File exists"):
        reference.write(tmp_path / "file", ["relu"])
    with pytest.raises(UnknownNameError, match="Did you mean 'gelu'"):
        reference.write(tmp_path / "new", ["gelo"])
    assert not (tmp_path / "new").exists()


@pytest.mark.slow  # a minute and a half on one core
@pytest.mark.timeout(900)
def test_the_whole_reference_builds_without_a_warning(tmp_path):
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        written = reference.write(tmp_path)

    assert [path.stem for path in written] == ["index", *actlab.names()]
    assert time.process_time() - began < 240
    for path in written:
        page = path.read_text(encoding="utf-8")
        links = Links(page)
        assert links.loads == []
        assert {
            link for link in links.leads if "://" not in link and not (tmp_path / link.partition("#")[0]).exists()
        } == set()
    assert (
        sorted(
            re.findall(r'<li data-kind="\w+" data-words="[^"]*"><a href="(\w+)\.html">', written[0].read_text("utf-8"))
        )
        == actlab.names()
    )
