"""Page of a study in a browser: no errors, no requests, no horizontal scrolling on a phone, sortable table."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest

from actlab.report.html import study as page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")

WATCH = """<script>
var seen = {errors: [], refused: []};
addEventListener("error", event => seen.errors.push(event.message || "a resource failed"), true);
addEventListener("securitypolicyviolation", event => seen.refused.push(event.blockedURI));
</script>"""
TELL = """<script>
addEventListener("load", () => setTimeout(() => {{
  seen.requests = performance.getEntriesByType("resource").map(entry => entry.name);
  seen.width = [document.documentElement.scrollWidth, innerWidth];
  {question}
  parent.postMessage(JSON.stringify(seen), "*");
}}, 50));
</script>"""
REPORT = """
  const arms = () => [...document.querySelectorAll("#arms tbody th")].map(cell => cell.innerText.split("\\n")[0].replace("\\u200b", ""));
  seen.shown = [...document.querySelectorAll("figure > div")].filter(one => one.offsetWidth).map(one => one.className);
  seen.ink = getComputedStyle(document.querySelector("#arms")).color;
  seen.label = getComputedStyle(document.querySelector("#curves svg text")).fontFamily.split(",")[0];
  const line = [...document.querySelectorAll("#curves .wide path")].find(one => one.getAttribute("stroke") === "var(--arm-1)");
  seen.hue = getComputedStyle(line).stroke;
  seen.before = arms();
  document.querySelectorAll("#arms thead button")[2].click();
  seen.falling = arms();
  document.querySelectorAll("#arms thead button")[2].click();
  seen.rising = arms();
"""
# a frame has any size, while the window of a browser is never narrower than 500 pixels
FRAME = """<!doctype html><iframe src="page.html" style="width: {width}px; height: {height}px; border: 0"></iframe><script>
addEventListener("message", event => {{ document.body.dataset.seen = event.data; }});
</script>"""


def look(text, folder, question=REPORT, *, width=1280, height=900, dark=False):
    """Load the page in a frame of that size, and return what a script inside it saw and what the console said.

    ``question`` is JavaScript that puts what it finds into ``seen``.
    """
    frame = folder / "frame.html"
    frame.write_text(FRAME.format(width=width, height=height), encoding="utf-8")
    (folder / "page.html").write_text(
        text.replace("<head>", f"<head>{WATCH}", 1).replace("</body>", f"{TELL.format(question=question)}</body>", 1),
        encoding="utf-8",
    )
    quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    sandbox = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    told = ["--enable-logging=stderr", "--virtual-time-budget=2000", "--dump-dom", frame.as_uri()]
    command = [BROWSER, *sandbox, *quiet, scheme, *told]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    seen = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert seen, f"the page did not finish loading: {done.stderr[-2000:]}"
    unescaped = seen[1].replace("&quot;", '"').replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
    return json.loads(unescaped) | {"console": [line for line in done.stderr.splitlines() if ":CONSOLE" in line]}


@pytest.fixture(scope="module")
def text(whole):
    return page.html(*whole)


@pytest.fixture(scope="module")
def laptop(text, tmp_path_factory):
    return look(text, tmp_path_factory.mktemp("laptop"))


@pytest.fixture(scope="module")
def phone(text, tmp_path_factory):
    return look(text, tmp_path_factory.mktemp("phone"), width=390, height=844, dark=True)


@pytest.mark.parametrize("device", ["laptop", "phone"])
def test_the_page_loads_without_an_error_or_a_request(device, request):
    seen = request.getfixturevalue(device)

    assert {name: seen[name] for name in ("errors", "refused", "requests", "console")} == {
        "errors": [], "refused": [], "requests": [], "console": [],
    }  # fmt: skip


@pytest.mark.parametrize(("device", "width"), [("laptop", 1280), ("phone", 390)])
def test_the_page_never_scrolls_sideways(device, width, request):
    content, window = request.getfixturevalue(device)["width"]

    assert window == width
    assert content <= window


def test_a_phone_sees_the_narrow_drawings_and_a_laptop_the_wide_ones(laptop, phone):
    assert (laptop["shown"], phone["shown"]) == (["wide"] * 3, ["narrow"] * 3)


def test_a_dark_page_has_other_colours_of_text_and_of_lines(laptop, phone):
    assert (laptop["ink"], phone["ink"]) == ("rgb(20, 23, 28)", "rgb(236, 238, 242)")
    assert (laptop["hue"], phone["hue"]) == ("rgb(43, 67, 157)", "rgb(41, 124, 239)")


def test_the_drawings_use_the_font_of_the_page(laptop):
    assert laptop["label"] == "-apple-system"


def test_a_press_on_a_heading_sorts_the_table_and_another_turns_it_round(laptop, whole):
    arms = [arm.spec for arm in whole[0].arms]
    by_mean = sorted(arms, key=lambda spec: next(arm.mean for arm in whole[0].arms if arm.spec == spec))

    assert (laptop["before"], laptop["falling"], laptop["rising"]) == (arms, by_mean[::-1], by_mean)


def test_these_checks_find_a_page_that_breaks_the_rules(text, tmp_path):
    bad = '<img src="http://127.0.0.1:9/x.png"><div style="width: 900px">wide</div><script>throw Error("planted")</script>'

    seen = look(text.replace("<footer>", f"{bad}<footer>"), tmp_path, width=390)

    assert seen["refused"] == ["http://127.0.0.1:9/x.png"]
    assert any("planted" in error for error in seen["errors"])
    assert seen["console"] != []
    assert seen["width"][0] > seen["width"][1]
