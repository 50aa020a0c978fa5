"""The command that a page prints makes the same plan again, typed into a shell or run as Python."""

from __future__ import annotations

import dataclasses
import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.tasks.test_task_file import GOOD

import actlab
from actlab.functions.own_modules import VARIABLE
from actlab.studies.plan import Plan
from actlab.studies.prepare import draft
from actlab.studies.store.store import Store
from actlab.study import Study
from actlab.tasks import register, resolve
from actlab.tasks.registry import forget

OWN = """
import actlab


@actlab.activation()
def my_halved_of_a_command(x):
    \"\"\"Halves.\"\"\"
    return x / 2
"""
BIN = Path(sys.executable).parent


@pytest.fixture
def task(tmp_path):
    folder = tmp_path / "my tasks & more"
    folder.mkdir()
    text = GOOD.replace("nn.Linear(8, 2)", "nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)")
    (folder / "it's my task.py").write_text(f"{text}epochs = 1\n")
    return folder / "it's my task.py"


def printed(store, drafted, imports=()) -> str:
    """Return the command that the verdict of a study without any trial prints."""
    opened = Store(str(store))
    stored = opened.begin_study(drafted.name, drafted.plan)
    opened.set_fact(stored.id, "sites", [site.to_dict() for site in drafted.sites])
    opened.set_fact(stored.id, "imports", list(imports))
    return Study(opened, stored).verdict().command


def plan_of_typed(command: str, folder: Path) -> dict:
    """Type the command into a shell, in another folder and without training, and return the printed plan."""
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(  # noqa: S602 as a user does
        f"{command} --dry-run --json", shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return json.loads(done.stdout)


STUDIES = {
    "the baseline is not the first arm": (["gelu", "relu", "tanh"], {"baseline": "relu"}),
    "a baseline that was added": (["gelu", "tanh"], {"baseline": "elu(0.5)"}),
    "the model as it is": (["gelu", "unchanged"], {"baseline": "unchanged"}),
    "specs with parentheses and rules": (["swish(beta=learned)", "step/rect(-0.5,0.5)", "leaky_relu(0.1)"], {}),
    "a map of sites": (["relu", {"1": "gelu", "3": "swish(beta=learned)"}, {"@0": "tanh"}], {"baseline": "relu"}),
    "a map of sites as the baseline": ([{"1": "gelu"}, "relu"], {"baseline": {"1": "gelu"}}),
    "sites of one's own": (["gelu", "tanh"], {"sites": ["3", "@0"]}),
    "all sites": (["gelu", "tanh"], {"sites": "*"}),
    "every setting": (
        ["relu", "gelu"], {"init": "matched", "alpha": 0.1, "rope": 0.0123456789, "seeds": 7, "name": "it's $HOME `x`"},
    ),
    "seeds of one's own": (["relu", "gelu"], {"seeds": [7, 3]}),
    "settings without an option": (["relu", {"1": "gelu"}], {"eliminate": False, "decay_learned": False}),
    "a pattern with characters of the grammar": (["relu", {"re:[1=;]": "gelu"}], {}),
}  # fmt: skip


def is_python(command: str) -> bool:
    return command.startswith("import actlab")


def plan_of_python(command: str, monkeypatch, **names) -> Plan:
    """Run the code with a function in place of ``compare`` that trains nothing, and return the plan."""

    def compare(task, arms, *, store, **rest):
        return draft(task, arms, **rest).plan

    monkeypatch.setattr(actlab, "compare", compare, raising=False)
    namespace = dict(names)
    exec(command.replace("task = ...", "task = given"), namespace)  # noqa: S102 our own text
    return namespace["study"]


@pytest.mark.parametrize(("arms", "options"), STUDIES.values(), ids=STUDIES)
def test_the_printed_command_makes_the_same_plan(task, arms, options, tmp_path, monkeypatch):
    drafted = draft(task, arms, **{"seeds": 6, **options})

    command = printed(tmp_path / "my store.db", drafted)

    if is_python(command):
        assert {"seeds", "eliminate"} & options.keys() or "grammar" in str(arms) or "re:[1=;]" in str(arms)
        again = plan_of_python(command, monkeypatch)
        assert (again.fingerprint, again.seeds) == (drafted.plan.fingerprint, drafted.plan.seeds)
        return
    words = typed_in_this_process(command, monkeypatch)
    assert words["fingerprint"] == drafted.plan.fingerprint
    assert (words["study"], words["seeds"]) == (drafted.name, list(drafted.plan.seeds))


def typed_in_this_process(command: str, monkeypatch) -> dict:
    """Run the words of a command line in this process, which has loaded torch already."""
    import shlex

    from typer.testing import CliRunner

    from actlab.cli import app

    result = CliRunner().invoke(app, [*shlex.split(command)[1:], "--dry-run", "--json"])
    assert result.exit_code == 0, f"{command}\n{result.output}"
    return json.loads(result.stdout)


def test_the_command_can_be_typed_into_a_shell_in_any_folder(task, tmp_path, monkeypatch):
    monkeypatch.chdir(task.parent)
    drafted = draft(
        task.name, ["relu", "swish(beta=learned)", {"1": "tanh"}], seeds=6, baseline="relu", name="it's $HOME `x`"
    )
    command = printed("my store.db", drafted)
    (tmp_path / "elsewhere").mkdir()

    again = plan_of_typed(command, tmp_path / "elsewhere")

    assert (again["fingerprint"], again["study"]) == (drafted.plan.fingerprint, "it's $HOME `x`")
    assert str(task.parent / "my store.db") in command


@pytest.mark.parametrize("name", ["digits", "digits:cnn", "mnist1d:accuracy"])
def test_a_built_in_task_is_named(name, tmp_path, monkeypatch):
    drafted = draft(name, ["gelu", "relu"], seeds=6, baseline="relu")

    command = printed(tmp_path / "a.db", drafted)

    assert command.startswith(f"actlab compare {name} gelu relu --baseline relu")
    assert typed_in_this_process(command, monkeypatch)["fingerprint"] == drafted.plan.fingerprint


def test_a_task_built_in_code_is_python_with_a_place_for_it(task, tmp_path, monkeypatch):
    own = dataclasses.replace(resolve(task), file=None, source="", name="mine")
    drafted = draft(own, ["relu", "gelu"], seeds=6)

    command = printed(tmp_path / "a.db", drafted)

    assert "the Task 'mine', which is built in code" in command
    assert plan_of_python(command, monkeypatch, given=own).fingerprint == drafted.plan.fingerprint


def test_a_task_registered_in_code_is_python_too(task, tmp_path):
    own = dataclasses.replace(resolve(task), file=None, name="registered")
    register("registered", lambda: own)
    try:
        assert is_python(printed(tmp_path / "a.db", draft("registered", ["relu", "gelu"], seeds=6)))
    finally:
        forget("registered")


def test_a_study_remembers_the_modules_of_its_activations(task, tmp_path, monkeypatch):
    own = tmp_path / "my_acts_of_a_store.py"
    own.write_text("")
    monkeypatch.setenv(VARIABLE, str(own))

    study = actlab.compare(task, ["relu", "gelu"], seeds=1, jobs=1, store=tmp_path / "a.db", name="own")

    assert study.verdict().command.endswith(f"--name own --import {own}")


@pytest.mark.parametrize("options", [{"name": "a <b> & 'c'"}, {"seeds": [3, 4]}], ids=["a shell command", "Python"])
def test_the_page_shows_the_command_as_it_is_typed(task, options, tmp_path):
    opened = Store(str(tmp_path / "a.db"))
    drafted = draft(task, ["relu", {"1": "gelu"}], **{"seeds": 6, **options})
    study = Study(opened, opened.begin_study(drafted.name, drafted.plan))

    page = study.report(tmp_path / "page.html").read_text(encoding="utf-8")

    (shown,) = re.findall(r"<pre><code>(.*?)</code></pre>", page, re.DOTALL)
    assert html.unescape(shown) == study.verdict().command


def test_a_password_is_not_printed():
    from actlab.studies.plan import make_plan
    from actlab.studies.verdict.reproduction import StudyOrigin, reproduction

    plan = make_plan(resolve("digits"), ["relu", "gelu"])
    command = reproduction(plan, StudyOrigin(name="s", store="postgresql+psycopg://me:secret@host/studies"))

    assert "--store postgresql+psycopg://me@host/studies" in command
