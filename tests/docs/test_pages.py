"""Links of the pages lead somewhere, and the API pages hold every public name."""

from __future__ import annotations

import inspect
import re
from importlib import import_module

import pytest
import typer
from tests.docs.blocks import ROOT

import actlab
from actlab.cli import app
from actlab.testing import CHECKS, RULE_CHECKS

PAGES = ["README.md", "CONTRIBUTING.md", *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md"))]


def anchors(page):
    """The anchors of a page's headings, as GitHub and MyST make them."""
    text = re.sub(r"^(```|:::).*?^\1", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower().strip()).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file(page):
    path = ROOT / page
    missing = []
    for target in re.findall(r"\]\(([^)\s]+?)\)", path.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        if "://" in target or target.startswith("mailto:"):
            continue
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            missing.append(target)

    assert missing == []


def documented():
    """Names with an entry on a page of the API."""
    pages = (page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "reference" / "api").glob("*.md"))
    return {name for page in pages for name in re.findall(r"^\.\. (?:auto|py:)\w+:: (\S+)$", page, re.MULTILINE)}


def test_every_public_name_has_an_entry():
    public = {f"actlab.{name}" for name in actlab.__all__ if name != "__version__"}
    for module in ("testing", "integrations"):
        public |= {f"actlab.{module}.{name}" for name in import_module(f"actlab.{module}").__all__}
    public |= {f"actlab.recipes.{name}" for name in actlab.recipes.__all__}
    public = {
        name for name in public if not name.endswith("Options")
    }  # the fields of a settings record once more, for type checkers

    assert public - documented() == set()
    assert "actlab.errors" in documented()


def test_every_public_name_has_a_docstring():
    assert [
        name for name in actlab.__all__ if name != "__version__" and not inspect.getdoc(getattr(actlab, name))
    ] == []


def test_every_page_is_in_a_table_of_contents():
    entries = set()
    for page in (ROOT / "docs").rglob("*.md"):
        for tree in re.findall(
            r"^```\{toctree\}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        ):
            for line in tree.split("\n\n", 1)[1].splitlines():
                entries |= set(page.parent.glob(f"{line}.md")) if line else set()
    listed = {entry.resolve() for entry in entries}

    assert set((ROOT / "docs").rglob("*.md")) - listed == {ROOT / "docs" / "index.md"}


def test_generated_pages_hold_every_command_activation_rule_and_check(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    generated = import_module("generated_pages")
    pages = (ROOT / "docs" / "reference").rglob("*.md")
    filled = "\n".join(generated.fill(page.read_text(encoding="utf-8")) for page in pages)

    assert "<!-- generated" not in filled
    assert all(
        re.search(rf"^## actlab {name}( \w+)?$", filled, re.MULTILINE) for name in typer.main.get_command(app).commands
    )
    assert all(f">{name}</a>" in filled for name in actlab.names())
    assert all(
        f"| `{name}` |" in filled for name in [*actlab.rules(), *(check.__name__ for check in (*CHECKS, *RULE_CHECKS))]
    )
