"""The README is short, in the order of its readers' questions, and says what is true."""

from __future__ import annotations

import re
import tomllib

import pytest
from tests.docs.blocks import ROOT, blocks

from actlab import __version__
from actlab.cli import app

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_has_at_most_120_lines():
    assert len(README.splitlines()) <= 120


def test_its_sections_stand_in_the_order_in_which_they_are_asked_for():
    assert re.findall(r"^## (.*)$", README, re.MULTILINE) == [
        "Install",
        "A first example",
        "Your own task",
        "Commands",
        "What it does",
        "Compared with Optuna, and with a t-test by hand",
        "Documentation",
    ]


def test_the_example_shows_its_output():
    assert blocks(README)[0].output.count("in the best set") == 2


def test_every_command_is_in_the_table():
    import typer

    table = README.split("## Commands")[1].split("## ")[0]
    missing = [name for name in typer.main.get_command(app).commands if not re.search(rf"\b{name}\b", table)]

    assert missing == []


def test_the_figures_of_the_comparison_are_those_of_the_evidence():
    evidence = (ROOT / "docs" / "evidence" / "error_control.md").read_text(encoding="utf-8")
    (errors,) = re.findall(r"^\| Gaussian, shared seed effect \| 5 \|(.*)\|$", evidence, re.MULTILINE)
    (power,) = re.findall(r"^\| 1\.0 \| 5 \| one worse \|(.*)\|$", evidence, re.MULTILINE)
    (trials,) = re.findall(r"^ActLab, 2 processes +(\d+)", evidence, re.MULTILINE)

    rows = README.split("| method |")[1].split("\n\n")[0].splitlines()[2:]
    shown = [[cell.strip().replace(" %", "%") for cell in row.split("|")[2:5]] for row in rows]
    wrong = [cell.split()[0] for cell in errors.split("|")]
    found = [cell.strip().split(", ") for cell in power.split("|")]
    order = [0, 2, 3, 4]  # ActLab, Optuna, repeated t, fixed n: the evidence has the rule of 0.1.0 besides
    assert shown[:3] == [[wrong[i], *found[i]] for i in order[:3]]
    assert shown[3][:2] == [wrong[order[3]], found[order[3]][0]]
    assert f"with {trials} of its 200 trials" in README


@pytest.mark.parametrize("file", ["pyproject.toml", "CITATION.cff"])
def test_the_version_is_the_same_everywhere(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    version = (
        tomllib.loads(text)["project"]["version"]
        if file.endswith("toml")
        else re.search(r"^version: (.*)$", text, re.MULTILINE)[1]
    )

    assert version == __version__
