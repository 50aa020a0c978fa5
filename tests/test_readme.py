"""The README is true: its tree lists every file, its links lead somewhere, its example runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tree_lists_every_file_with_its_line():
    tree = subprocess.run(
        [sys.executable, ROOT / "scripts" / "tree"], capture_output=True, text=True, check=True
    ).stdout

    assert tree.strip() in README, "run scripts/tree --write"


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md"))]
)
def test_every_link_leads_to_a_file(page):
    path = ROOT / page
    targets = re.findall(r"\]\(([^)#]+?)\)", path.read_text(encoding="utf-8"))

    missing = [target for target in targets if "://" not in target and not (path.parent / target).exists()]
    assert missing == []


def test_the_example_runs_as_it_stands(tmp_path):
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1].replace("seeds=6", "seeds=2")

    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_the_example_of_the_page_on_memory_runs_as_it_stands():
    page = (ROOT / "docs" / "how_to" / "memory.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1]

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    printed = [line.removeprefix("# ") for line in code.splitlines() if line.startswith("# ")]
    assert done.stdout.splitlines() == printed


def test_no_file_imports_from_a_room_further_down():
    rooms = ["errors", "functions", "readings", "models", "tasks", "studies", "report", "integrations", "cli"]
    package = ROOT / "src" / "actlab"
    wrong = [
        (str(file.relative_to(package)), found)
        for room in rooms[1:-1]
        for file in (package / room).rglob("*.py")
        for found in re.findall(r"^\s*(?:from|import) actlab\.(\w+)", file.read_text("utf-8"), re.MULTILINE)
        if found in rooms and rooms.index(found) > rooms.index(room)
    ]

    # The one exception: Study.report draws its page, imported inside the method (docs/decisions/0004).
    assert wrong == [("study.py", "report")]
