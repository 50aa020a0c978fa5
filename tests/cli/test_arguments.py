"""Arguments of the command line: checked before torch is imported, completed, and own activations named by --import."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from actlab import cli
from actlab.bench.speed import CONTENDERS
from actlab.cli import arguments
from actlab.cli.app import EXAMPLES
from actlab.cli.functions import KINDS
from actlab.functions import activation, own_modules
from actlab.report.charts.figure_file import FIGURES
from actlab.tasks.registry import names

OWN = '''
import actlab


@actlab.activation(paper="mine")
def own_of_cli(x):
    """A line."""
    return 3 * x
'''


@pytest.fixture(autouse=True)
def variable(monkeypatch):
    """Leave the environment as it was."""
    monkeypatch.setenv(own_modules.VARIABLE, "")


def run(*words):
    return CliRunner().invoke(cli.app, list(words))


MISTAKES = {
    "activation": ("compare digits rleu gelu", "There is no activation 'rleu'. Did you mean 'relu'"),
    "rule": ("compare digits relu step/rct", "There is no gradient rule 'rct'. Did you mean 'rect'"),
    "task": ("compare digist relu gelu", "There is no task 'digist'. Did you mean 'digits'"),
    "task of doctor": ("doctor digist", "There is no task 'digist'. Did you mean 'digits'"),
    "file": ("sites no_such_file.py", "There is no file no_such_file.py"),
    "baseline": ("compare digits relu gelu --baseline gleu", "Did you mean 'gelu'"),
    "module name": ("show nn.GELU", "Did you mean 'gelu'?"),
    "module with parameters": ("show nn.LeakyReLU(0.1)", "Did you mean 'leaky_relu(0.1)'?"),
    "comma": ("compare digits relu,gelu", "relu gelu on the command line"),
    "time with a space": ("compare digits relu gelu --budget 10 min", "--budget 10m"),
    "no activation": ("compare digits relu None", "Without an activation, the function is identity."),
    "value of init": ("compare digits relu gelu --init machted", "--init is 'machted'; allowed are fixed, matched. Did you mean 'matched'"),
    "value of kind": ("list --kind gaetd", "Did you mean 'gated'"),
    "value of dtype": ("bench --dtype flaot32", "Did you mean 'float32'"),
    "value of measure": ("importance digits --measure los", "Did you mean 'loss'"),
    "option": ("compare digits relu gelu --sedes 6", "No such option: --sedes"),
    "command": ("cmpare digits relu gelu", "No such command 'cmpare'"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered_in_one_message(mistake):
    words, message = MISTAKES[mistake]
    result = run(*shlex.split(words))

    assert result.exit_code == 2
    assert message in result.stderr


def test_mistakes_in_names_are_answered_without_torch_and_sympy():
    commands = [shlex.split(words) for words, _ in MISTAKES.values()]
    code = (
        "import sys, typer.testing, actlab.cli\n"
        f"for words in {commands!r}: assert typer.testing.CliRunner().invoke(actlab.cli.app, words).exit_code == 2\n"
        "print(sorted({'torch', 'sympy', 'numpy', 'sqlalchemy', 'rich.table'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("show gelu(approximate=tanh)", "gelu_tanh"),
        ("show relu(inplace=True)", "layers compute in place where that is safe"),
        ("compare digits relu gelu --budget soon", "10m"),
    ],
)
def test_other_libraries_parameters_and_times_are_answered_without_torch(words, message):
    code = (
        "import sys, typer.testing, actlab.cli\n"
        f"result = typer.testing.CliRunner().invoke(actlab.cli.app, {shlex.split(words)!r})\n"
        "print(result.exit_code, 'torch' in sys.modules, result.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.startswith("2 False ")
    assert message in done.stdout


def test_the_words_of_options_are_those_of_the_functions():
    assert arguments.task_names() == names()
    assert KINDS == activation.KINDS
    assert FIGURES == ("curves", "differences", "cost", "held-out", "reached", "reliability", "severity")
    assert {"formula", "compile", "kernel"} <= set(CONTENDERS)


@pytest.mark.parametrize("name", ["digits", "digits:protocol-1", "fashion-mnist:depth-16", "fashion-mnist:depth-40"])
def test_names_of_tasks_are_known_without_torch_whatever_their_number(name):
    assert arguments.check_task(name) == name


def test_unknown_names_and_words_are_json_with_json():
    result = run("show", "gleu", "--json")

    assert json.loads(result.stdout)["error"]["near"][0] == "gelu"


@pytest.mark.parametrize("command", EXAMPLES)
def test_the_example_of_every_command_can_be_parsed(command, tmp_path, monkeypatch):
    from typer.main import get_command

    monkeypatch.chdir(tmp_path)
    Path("my_model.py").touch()
    words = shlex.split(EXAMPLES[command])
    assert words[:2] == ["actlab", command]

    get_command(cli.app).commands[command].make_context(command, words[2:])
    assert EXAMPLES[command] in run(command, "--help").output


@pytest.mark.parametrize("where", ["file", "module beside", "variable"])
def test_own_activations_are_known_to_commands_in_a_process_of_their_own(where, tmp_path):
    (tmp_path / "own_act.py").write_text(OWN)
    given = {
        "file": ["--import", str(tmp_path / "own_act.py")],
        "module beside": ["--import", "own_act"],
        "variable": [],
    }
    done = subprocess.run(
        [sys.executable, "-m", "actlab", "show", "own_of_cli", "--json", *given[where]],
        capture_output=True, text=True, check=True, cwd=tmp_path,
        env={**os.environ, own_modules.VARIABLE: str(tmp_path / "own_act.py") if where == "variable" else ""},
    )  # fmt: skip

    assert json.loads(done.stdout)["formula"] == "3*x"


def test_a_module_that_does_not_exist_is_told():
    result = run("show", "gelu", "--import", "no_such_module_at_all")

    assert result.exit_code == 2
    assert "There is no module 'no_such_module_at_all'" in result.stderr


def test_workers_of_a_study_know_own_activations(tmp_path):
    (tmp_path / "own_act.py").write_text(OWN)
    done = subprocess.run(
        [sys.executable, "-m", "actlab", "compare", "digits", "relu", "own_of_cli", "--import", "own_act", "--seeds", "2", "--jobs", "2",
         "--json"],
        capture_output=True, text=True, check=True, cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "ACTLAB_STORE"},
    )  # fmt: skip
    arms = {arm["spec"]: arm["n"] for arm in json.loads(done.stdout)["arms"]}

    assert arms == {"relu": 2, "own_of_cli": 2}


@pytest.mark.parametrize(
    ("words", "expected"),
    [("show gel", "gelu"), ("compare dig", "digits:cnn"), ("compare digits tan", "tanh"), ("doctor mnist1", "mnist1d")],
)
def test_names_are_completed_without_torch(words, expected):
    typed = f"actlab {words}"
    code = "import sys, actlab.cli\ntry: actlab.cli.main()\nexcept SystemExit: pass\nsys.stderr.write(str('torch' in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True,
        env={**os.environ, "_ACTLAB_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)},
    )  # fmt: skip

    assert expected in done.stdout.split()
    assert done.stderr == "False"


def test_rows_in_a_pipe_are_one_line_each():
    lines = run("list").stdout.splitlines()
    rows = [line for line in lines if line.startswith("relu ")]

    assert len(lines) - 3 == len(json.loads(run("list", "--json").stdout))
    assert len(rows) == 1
    assert "elementwise" in rows[0]
    assert all(line == line.rstrip() for line in lines)


def test_tasks_lists_every_task_with_metric_and_description():
    lines = run("tasks").stdout.splitlines()

    assert [line.split()[0] for line in lines[1:]] == names()
    assert "accuracy, higher is better" in next(line for line in lines if line.startswith("digits "))
    assert {task["name"] for task in json.loads(run("tasks", "--json").stdout)} == set(names())
