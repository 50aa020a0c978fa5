"""Reference pages in a browser: no errors, no requests, no horizontal scrolling, formulas, filter."""

from __future__ import annotations

import pytest
from tests.report.html.test_study_in_browser import BROWSER, look

from actlab.report.html import function_reference as reference

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")

SAMPLE = ["gelu", "decaying_sine_unit", "swiglu", "softmax", "retention"]
PAGE = """
  const math = document.querySelector("math");
  seen.math = math && math.getBoundingClientRect().height;
  seen.panels = [...document.querySelectorAll(".panels svg")].map(one => one.getBoundingClientRect().width);
  seen.hue = document.querySelector(".c1") && getComputedStyle(document.querySelector(".c1")).stroke;
"""
GALLERY = """
  const words = document.querySelector("#words"), kind = document.querySelector("#kind");
  const shown = () => [...document.querySelectorAll(".family .gallery li")].filter(one => one.offsetWidth).map(one => one.innerText.trim());
  const set = (field, value) => { field.value = value; field.dispatchEvent(new Event("input", {bubbles: true})); };
  seen.all = shown();
  set(words, "normal lies");
  seen.words = shown();
  seen.left = document.querySelector("#left").value;
  set(words, ""); set(kind, "gated");
  seen.gated = shown();
  seen.headings = [...document.querySelectorAll("h2")].filter(one => one.offsetWidth).map(one => one.innerText);
  set(words, "nothing like this");
  seen.none = shown();
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    out = tmp_path_factory.mktemp("reference")
    return {path.stem: path.read_text(encoding="utf-8") for path in reference.write(out, SAMPLE)}


@pytest.mark.parametrize("name", SAMPLE)
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)], ids=["laptop", "phone"])
def test_a_page_loads_without_an_error_or_a_request_and_never_scrolls_sideways(pages, name, width, dark, tmp_path):
    seen = look(pages[name], tmp_path, PAGE, width=width, dark=dark)

    assert {what: seen[what] for what in ("errors", "refused", "requests", "console")} == {
        "errors": [], "refused": [], "requests": [], "console": [],
    }  # fmt: skip
    assert seen["width"][0] <= seen["width"][1] == width
    assert all(250 < drawn <= width for drawn in seen["panels"])
    if name in {"gelu", "swiglu"}:
        assert seen["math"] > 15
        assert seen["hue"] == ("rgb(41, 124, 239)" if dark else "rgb(43, 67, 157)")


def test_the_filter_of_the_gallery_filters_by_words_and_kind(pages, tmp_path):
    seen = look(pages["index"], tmp_path, GALLERY)

    assert seen["errors"] == []
    assert sorted(seen["all"]) == sorted(SAMPLE)
    assert (seen["words"], seen["left"]) == (["gelu"], "1 of 5")
    assert (seen["gated"], seen["headings"]) == (["swiglu"], ["Gated"])
    assert seen["none"] == []


def test_the_gallery_works_without_scripts(pages, tmp_path):
    page = pages["index"]
    without = page[: page.index("<script>")] + page[page.index("</script>") + len("</script>") :]

    seen = look(
        without,
        tmp_path,
        GALLERY.partition("set(words")[0] + 'seen.form = document.querySelector(".filter").offsetWidth;',
    )

    assert sorted(seen["all"]) == sorted(SAMPLE)
    assert seen["form"] == 0
