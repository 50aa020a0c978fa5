"""The site builds without a warning, needs no network, and fits a phone, a tablet and a wide screen, light and dark."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from tests.docs.blocks import ROOT

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = {"phone": 390, "tablet": 820, "wide": 1440}
LOOKED_AT = (
    "index", "tutorials/first_study", "how_to/kernels", "concepts/rules", "reference/api/models", "reference/cli", "reference/catalogue",
    "evidence/error_control", "project/architecture",
)  # fmt: skip
LOADS = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}
WATCH = """<script>
var seen = {errors: []};
addEventListener("error", event => seen.errors.push(event.message || "a resource failed"), true);
addEventListener("load", () => setTimeout(() => {
  seen.requests = performance.getEntriesByType("resource").map(entry => entry.name);
  seen.width = [document.documentElement.scrollWidth, innerWidth];
  seen.background = getComputedStyle(document.body).backgroundColor;
  parent.postMessage([location.pathname, JSON.stringify(seen)], "*");
}, 50));
</script>"""
# a frame has any size, while the window of a browser is never narrower than 500 pixels
FRAMES = """<!doctype html>{frames}<script>
addEventListener("message", event => {{
  const line = document.createElement("pre");
  line.dataset.page = event.data[0];
  line.dataset.seen = event.data[1];
  document.body.append(line);
}});
</script>"""


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The built site; the workers of a run share one."""
    shared = (
        tmp_path_factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else tmp_path_factory.getbasetemp()
    )
    out = shared / "site"
    with (shared / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (out / "index.html").exists():
            command = [
                sys.executable,
                "-m",
                "sphinx",
                "-b",
                "html",
                "-W",
                "--keep-going",
                "-q",
                "-d",
                shared / "doctrees",
                ROOT / "docs",
                out,
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
            assert (done.returncode, done.stderr) == (0, ""), f"the site does not build:\n{done.stderr}"
    return out


class Page(HTMLParser):
    """What a page loads, where it links to, and the anchors that it has."""

    def __init__(self, file):
        super().__init__()
        self.loads, self.links, self.ids = [], [], set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.ids |= {attributes[key] for key in ("id", "name") if attributes.get(key)}
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        elif tag in LOADS and attributes.get(LOADS[tag]):
            self.loads.append(attributes[LOADS[tag]])


def pages_of(site):
    """Every page of the site, without the copies that a browser was shown."""
    return [file for file in site.rglob("*.html") if "." not in file.stem]


def test_no_page_loads_anything_from_a_network(site):
    loads = {load for file in pages_of(site) for load in Page(file).loads}
    styles = [
        found
        for file in site.rglob("*.css")
        for found in re.findall(r"(?:url\(|@import )\s*['\"]?(?:https?:)?//[^)]*", file.read_text("utf-8"))
    ]

    assert [load for load in loads if re.match(r"(?:https?:)?//", load)] == []
    assert styles == []


def test_every_link_of_the_site_leads_to_a_page_and_an_anchor(site):
    pages = {file: Page(file) for file in pages_of(site)}
    broken = []
    for file, page in pages.items():
        for link in page.links:
            name, _, anchor = unquote(unescape(link)).partition("#")
            target = (file.parent / name).resolve() if name else file
            made_after = (site / "gallery") in target.parents or target == site / "claims.html"  # by scripts/docs
            if re.match(r"[a-z]+:", link) or made_after:
                continue
            if not target.exists() or (anchor and target in pages and anchor not in pages[target].ids):
                broken.append((file.relative_to(site).as_posix(), link))

    assert broken == []


def test_the_gallery_is_linked_from_the_navigation(site):
    assert "reference/catalogue.html" in Page(site / "index.html").links
    links = Page(site / "reference" / "catalogue.html").links
    assert {"../gallery/index.html", "../gallery/gelu.html"} <= set(links)


def look(site, folder, width, *, dark, pages=LOOKED_AT):
    """Load the pages in frames of that width, and return what scripts inside them saw, by page, and what the console said."""
    frames = []
    for page in pages:
        file = site / f"{page}.html"
        watched = file.with_name(f"{file.stem}.{folder.name}.html")
        watched.write_text(file.read_text(encoding="utf-8").replace("<head>", f"<head>{WATCH}", 1), encoding="utf-8")
        frames.append(f'<iframe src="{watched.as_uri()}" style="width: {width}px; height: 900px; border: 0"></iframe>')
    frame = folder / "frames.html"
    frame.write_text(FRAMES.format(frames="".join(frames)), encoding="utf-8")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
    ]
    options += [
        "--disable-sync",
        f"--user-data-dir={folder / 'profile'}",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
    ]
    options += ["--enable-logging=stderr", "--virtual-time-budget=4000", "--dump-dom", frame.as_uri()]
    done = subprocess.run([BROWSER, *options], capture_output=True, text=True, timeout=180, check=True)
    found = re.findall(r'data-page="([^"]*)" data-seen="([^"]*)"', done.stdout)
    seen = {
        page.removeprefix(f"{site}/").removesuffix(f".{folder.name}.html"): json.loads(unescape(text))
        for page, text in found
    }
    return seen, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("device", WIDTHS)
def test_pages_fit_the_screen_and_report_no_error(site, tmp_path, device, dark):
    seen, console = look(site, tmp_path, WIDTHS[device], dark=dark)

    assert sorted(seen) == sorted(LOOKED_AT)
    assert console == []
    for page, found in seen.items():
        content, window = found["width"]
        assert (page, found["errors"]) == (page, [])
        assert window == WIDTHS[device]
        assert content <= window, f"{page} scrolls sideways: {content} pixels on {window}"
        assert all(request.startswith("file://") for request in found["requests"])
        red, green, blue = map(int, re.findall(r"\d+", found["background"])[:3])
        assert (red + green + blue < 384) == dark


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_these_checks_find_a_page_that_breaks_the_rules(site, tmp_path):
    bad = '<img src="missing.png"><div style="width: 900px">wide</div><script>throw Error("planted")</script></body>'
    text = (site / "index.html").read_text(encoding="utf-8").replace("</body>", bad)
    (site / "planted.page.html").write_text(text, encoding="utf-8")

    seen, console = look(site, tmp_path, 390, dark=False, pages=["planted.page"])

    found = seen["planted.page"]
    assert any("planted" in error for error in found["errors"])
    assert console != []
    assert found["width"][0] > found["width"][1]
