"""Reports of stored studies: the latest by default, tables, figures, and costs without training."""

from __future__ import annotations

import csv
import json

import pytest
from typer.testing import CliRunner

import actlab
from actlab import cli


def run(*words):
    return CliRunner().invoke(cli.app, list(words))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a store of two studies, as `compare` leaves it."""
    where = tmp_path_factory.mktemp("studies")
    for name, arms in (("first", ["relu", "tanh"]), ("second", ["relu", "gelu"])):
        actlab.compare("digits", arms, seeds=1, jobs=1, store=where / "actlab.db", name=name, progress=False)
    return where


@pytest.fixture(autouse=True)
def _inside(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.delenv("ACTLAB_STORE", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)


def test_without_arguments_the_page_of_the_latest_study_is_written(folder):
    result = run("report")

    assert result.output == "Wrote report.html (second)\n"
    assert "second" in (folder / "report.html").read_text()


def test_the_latest_study_is_the_one_that_ran_last(tmp_path):
    store = tmp_path / "actlab.db"
    for name, seeds in (("first", 1), ("second", 1), ("first", 2)):
        actlab.compare(
            "digits", ["relu", "tanh" if name == "first" else "gelu"], seeds=seeds, jobs=1, store=store, name=name
        )

    assert actlab.latest_study(store).name == "first"


def test_studies_are_listed_from_the_same_default_store():
    lines = run("studies").stdout.splitlines()

    assert [line.split()[0] for line in lines] == ["study", "first", "second"]


@pytest.mark.parametrize(("ending", "head"), [(".svg", b"<svg"), (".pdf", b"%PDF"), (".png", b"\x89PNG")])
def test_a_figure_is_written_in_the_format_of_the_ending(folder, ending, head):
    assert run("report", "first", "--out", f"figure{ending}", "--figure", "cost").exit_code == 0
    assert (folder / f"figure{ending}").read_bytes().startswith(head)


def test_a_table_has_the_arms_of_all_studies_named(folder):
    assert run("report", "first", "second", "--out", "arms.csv").exit_code == 0
    with (folder / "arms.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    assert {(row["study"], row["arm"]) for row in rows} == {
        ("first", "relu"),
        ("first", "tanh"),
        ("second", "relu"),
        ("second", "gelu"),
    }
    assert run("report", "--out", "arms.md").exit_code == 0
    assert (folder / "arms.md").read_text().startswith("| arm |")
    assert run("report", "--out", "arms.tex").exit_code == 0
    assert (folder / "arms.tex").read_text().startswith(r"\begin{tabular}")


def test_several_studies_without_a_file_are_printed_as_one_table():
    lines = run("report", "first", "second").stdout.splitlines()
    data = json.loads(run("report", "first", "second", "--json").stdout)

    assert len(lines) == 5
    assert [row["study"] for row in data] == ["first", "first", "second", "second"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["report", "--out", "x.docx"], "allowed are .html, .csv, .md, .tex, .svg, .pdf, .png"),
        (["report", "first", "second", "--out", "x.html"], "shows one study; 2 were named"),
        (["report", "--figure", "costs", "--out", "x.svg"], "Did you mean 'cost'"),
        (["report", "frist"], "Did you mean 'first'"),
        (["report", "--store", "none.db"], "There is no store none.db"),
    ],
)
def test_what_cannot_be_reported_is_told(folder, words, message):
    result = run(*words)

    assert result.exit_code == 2
    assert message in result.stderr
    assert not (folder / "x.html").exists()


def test_cost_measures_a_model_without_loss_and_data(folder):
    (folder / "net.py").write_text(
        "import torch\nfrom torch import nn\n"
        "model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1))\n"
        "example_inputs = (torch.zeros(32, 8),)\n"
    )
    found = json.loads(run("cost", "net.py", "gelu", "prelu", "--json").stdout)
    arms = {arm["spec"]: arm for arm in found["arms"]}

    assert found["batch_size"] == 32
    assert {spec: arm["parameters"] for spec, arm in arms.items()} == {"unchanged": 433, "gelu": 433, "prelu": 435}
    assert arms["unchanged"]["ratio"] == 1.0
    assert arms["gelu"]["interval"][0] <= arms["gelu"]["ratio"] <= arms["gelu"]["interval"][1]
    assert all(arm["step_time"] > 0 and arm["peak_memory"] > 0 for arm in arms.values())


def test_cost_takes_a_task_and_tells_a_file_without_inputs(folder):
    lines = run("cost", "digits", "relu", "tanh").stdout.splitlines()
    (folder / "bare.py").write_text(
        "from torch import nn\nmodel = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))\n"
    )
    result = run("cost", "bare.py", "gelu")

    assert [line.split()[0] for line in lines[1:3]] == ["relu", "tanh"]
    assert result.exit_code == 2
    assert "has no example_inputs" in result.stderr
