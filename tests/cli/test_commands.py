"""Command line: frozen commands and options, exit codes, JSON output, and calls of one public function."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import actlab
from actlab import cli

FROZEN = {
    "list": {"--kind", "--import", "--json"},
    "rules": {"--import", "--json"},
    "show": {"--import", "--json"},
    "find": {
        "--kind", "--family", "--monotone", "--lower", "--upper", "--bounded", "--smooth", "--zero", "--slope", "--learned", "--native",
        "--like", "--import", "--json",
    },
    "sites": {"--rounds", "--target", "--seed", "--import", "--json"},
    "importance": {"--act", "--seed", "--samples", "--measure", "--tolerance", "--out", "--import", "--json"},
    "audit": {"--against", "--label-errors", "--error-rate", "--queries", "--limit", "--seed", "--import", "--json"},
    "lint": {
        "--mean", "--spread", "--runs", "--direction", "--baseline", "--winner", "--alpha", "--items", "--limits", "--paired", "--json",
    },
    "evaluate": {"--axes", "--act", "--seed", "--import", "--json"},
    "export": {
        "--to", "--out", "--opset", "--prefer", "--fixed-batch", "--runtime", "--calibration", "--device", "--html", "--seed", "--import",
        "--json",
    },
    "conform": {"--against", "--runtime", "--step", "--tolerance", "--examples-only", "--seed", "--import", "--json"},
    "doctor": {"--seeds", "--steps", "--seed", "--budget", "--import", "--json"},
    "reference": {"--out", "--import", "--json"},
    "compare": {
        "--script", "--metric", "--direction", "--lr", "--seeds", "--budget", "--trial-limit", "--trial-timeout", "--checkpoint-every",
        "--jobs", "--device", "--jobs-per-device", "--threads", "--baseline", "--sites", "--init", "--tune", "--target", "--store",
        "--name", "--rope", "--alpha", "--evaluate", "--stack", "--accept-changes", "--import", "--json", "--dry-run",
    },
    "studies": {"--store", "--json"},
    "report": {"--store", "--out", "--figure", "--force", "--json"},
    "tasks": {"--import", "--json"},
    "cost": {"--seed", "--import", "--json"},
    "bench": {"--device", "--dtype", "--size", "--against", "--rounds", "--threads", "--as-shipped", "--plot", "--import", "--json"},
    "hardware": {
        "--all", "--device", "--dtype", "--size", "--rounds", "--threads", "--fast", "--out", "--import", "--json",
    },
    "calibrate": {"--device", "--dtype", "--rounds", "--threads", "--dry-run", "--import", "--json"},
    "claims list": {"--domain", "--outcome", "--records", "--json"},
    "claims show": {"--records", "--json"},
    "claims run": {"--all", "--records", "--store", "--jobs", "--seeds", "--budget", "--restart", "--dry-run", "--json"},
    "claims report": {"--records", "--out", "--force", "--json"},
}  # fmt: skip


def _example():
    """Return the verdict that the tests of the pages are drawn from."""
    where = Path(__file__).parents[1] / "report" / "conftest.py"
    spec = importlib.util.spec_from_file_location("made_up_study", where)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.verdict()


@pytest.fixture(scope="module")
def verdict():
    return _example()


@pytest.fixture
def calls(monkeypatch, verdict):
    """Put a study that is already there in the place of training, and record how it was asked for."""
    seen = []

    def compare(task, arms, **settings):
        seen.append((task, arms, settings))
        return SimpleNamespace(verdict=lambda: verdict)

    monkeypatch.setattr(actlab, "compare", compare, raising=False)
    return seen


def run(*words):
    return CliRunner().invoke(cli.app, list(words))


def test_the_options_of_compare_are_listed_under_headings():
    lines = run("compare", "--help").stdout.splitlines()

    assert [line for line in lines if line.endswith(":") and not line.startswith(" ")] == [
        "Arguments:",
        "What is compared:",
        "A script in the place of TASK:",
        "How trials run:",
        "Results and help:",
    ]


def test_the_commands_and_their_options_are_frozen():
    from typer.main import get_command

    commands = {}
    for name, command in get_command(cli.app).commands.items():
        inner = getattr(command, "commands", None)
        commands |= {name: command} if inner is None else {f"{name} {one}": it for one, it in inner.items()}
    options = {
        name: {o for p in command.params for o in p.opts if o.startswith("--")} for name, command in commands.items()
    }

    assert {name: found - {"--help"} for name, found in options.items()} == FROZEN


def test_the_commands_are_listed_in_order_of_use():
    lines = run("--help").output.partition("Commands:")[2].splitlines()
    names = [line.split()[0] for line in lines[: lines.index("Examples:")] if line.strip()]
    examples = [line.split()[1] for line in lines[lines.index("Examples:") + 1 :]]

    assert names[:6] == ["compare", "report", "studies", "tasks", "cost", "doctor"]
    assert sorted(names) == sorted({name.split()[0] for name in FROZEN})
    assert examples == names
    assert not [line for line in lines if line.endswith("...")]  # each line is a whole sentence


@pytest.mark.parametrize("command", FROZEN)
def test_every_command_explains_itself(command):
    result = run(*command.split(), "--help")

    assert result.exit_code == 0
    assert all(option in result.output for option in FROZEN[command])


def test_the_version_is_that_of_the_package():
    assert run("--version").output == f"actlab {actlab.__version__}\n"


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "actlab", "--version"], capture_output=True, text=True, check=True)

    assert done.stdout == f"actlab {actlab.__version__}\n"


@pytest.mark.parametrize(
    ("words", "heavy"),
    [
        (
            ["--help"],
            {"torch", "sympy", "numpy", "scipy", "altair", "sklearn", "sqlalchemy", "jinja2", "vl_convert", "rich"},
        ),
        (["compare", "--help"], {"torch", "sympy", "numpy", "altair", "sklearn", "sqlalchemy"}),
        (["--version"], {"torch", "sympy", "numpy", "altair", "sklearn", "sqlalchemy"}),
        (["list"], {"altair", "sklearn", "sqlalchemy", "vl_convert", "jinja2", "pandas"}),
        (["find", "--monotone"], {"altair", "sklearn", "sqlalchemy", "vl_convert", "jinja2", "pandas"}),
        (["show", "gelu"], {"altair", "sklearn", "sqlalchemy", "vl_convert", "jinja2", "pandas"}),
    ],
    ids=["help", "help of a command", "version", "list", "find", "show"],
)
def test_a_command_loads_only_what_it_needs(words, heavy):
    code = (
        "import sys, actlab.cli\n"
        f"sys.argv = ['actlab', *{words!r}]\n"
        "try: actlab.cli.main()\n"
        "except SystemExit: pass\n"
        "print('LOADED', *sorted(name for name in sys.modules if '.' not in name))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert heavy & set(done.stdout.rpartition("LOADED")[2].split()) == set()


def test_sites_lists_what_runs_in_a_file_and_in_a_task(tmp_path):
    file = tmp_path / "net.py"
    file.write_text(
        "import torch\nfrom torch import nn\n"
        "model = nn.Sequential(nn.Linear(4, 4), nn.ELU(0.5), nn.Linear(4, 1), nn.Sigmoid())\n"
        "example_inputs = torch.zeros(2, 4)\n"
    )

    found = json.loads(run("sites", str(file), "--rounds", "1", "--json").stdout)

    assert [(one["path"], one["spec"], one["calls"], one["output"]) for one in found] == [
        ("1", "elu(alpha=0.5)", 1, False),
        ("3", "sigmoid", 1, True),
    ]
    assert found[0]["share"] > 0
    assert json.loads(run("sites", str(file), "--rounds", "0", "--json").stdout)[0]["share"] is None
    assert "net: 2 activations, of which a swap replaces 1" in run("sites", str(file)).stdout
    assert run("sites", "mnist1d", "--rounds", "0").exit_code == 0


def test_sites_of_what_is_not_there_is_an_input_error():
    done = run("sites", "nowhere.py", "--json")

    assert done.exit_code == 2
    assert "There is no file nowhere.py" in json.loads(done.stdout)["error"]["message"]


def _net(tmp_path, *lines):
    file = tmp_path / "net.py"
    file.write_text("\n".join(["import torch", "from torch import nn", *lines]))
    return str(file)


DEEP = (
    "model = nn.Sequential(*(part for _ in range(12) for part in (nn.Linear(16, 16), nn.Sigmoid())), nn.Linear(16, 2))"
)
SHALLOW = "model = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))"


def test_the_doctor_ends_with_1_where_there_is_a_finding_and_with_0_where_there_is_none(tmp_path):
    sick = run("doctor", _net(tmp_path, DEEP, "example_inputs = torch.randn(200, 16)"), "--json")
    found = json.loads(sick.stdout)

    assert (sick.exit_code, found["healthy"], found["findings"][0]["rule"]) == (1, False, "vanishing gradients")
    assert found["trials"][0]["verdict"] == "not tried"
    well = run("doctor", _net(tmp_path, SHALLOW, "example_inputs = torch.randn(200, 16)"))
    assert well.exit_code == 0
    assert "Nothing to do." in well.stdout


COPIES = """
import torch

def data(seed):
    x = torch.randn(80, 4, generator=torch.Generator().manual_seed(seed))
    return {"train": (x[:60], x[:60].sum(1)), "test": (x[%d:], x[%d:].sum(1))}
"""


def test_the_audit_ends_with_1_where_there_is_a_finding_and_with_0_where_there_is_none(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(COPIES % (50, 50))
    done = run("audit", str(file), "--json")
    found = json.loads(done.stdout)

    assert (done.exit_code, found["clean"], found["findings"][0]["kind"]) == (1, False, "exact duplicates")
    assert found["findings"][0]["examples"][0] == [0, 50]
    file.write_text(COPIES % (60, 60))
    done = run("audit", str(file))
    assert done.exit_code == 0
    assert "mine: No fault was found in 80 examples." in done.stdout


def test_the_check_of_a_table_ends_with_1_where_a_row_contradicts_itself_and_with_0_elsewhere():
    tables = Path(__file__).parents[2] / "examples" / "published_tables"
    done = run("lint", str(tables / "mish_23_runs.csv"), "--winner", "mish", "--json")
    found = json.loads(done.stdout)

    assert (done.exit_code, found["clean"], found["best"]) == (1, False, "E-Swish (1.75)")
    assert found["needed"]["winner"] == "Mish"
    done = run("lint", str(tables / "swish_nine_models.csv"))
    assert done.exit_code == 0
    assert "A difference is shown for ReLU." in done.stdout


def test_ctrl_c_ends_an_audit_with_one_message(monkeypatch):
    from actlab.evaluate.audit import audit

    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(audit.ExampleStream, "batches", stopped)
    done = run("audit", "digits")

    assert (done.exit_code, done.stdout) == (130, "")
    assert "--limit to read less:" in done.stderr
    assert "actlab audit digits" in done.stderr


def test_the_doctor_passes_on_what_was_asked(monkeypatch):
    seen = []

    class AskedError(Exception):
        pass

    def checkup(source, **settings):
        seen.append((source, settings))
        raise AskedError

    monkeypatch.setattr("actlab.diagnostics.doctor.Checkup", checkup)
    run("doctor", "digits", "--seeds", "3", "--steps", "9", "--seed", "2", "--budget", "1m")

    ((source, settings),) = seen
    settings.pop("progress")
    assert (source, settings) == ("digits", {"seeds": 3, "steps": 9, "seed": 2, "budget": "1m"})


def test_ctrl_c_shows_what_the_doctor_has_found_so_far(tmp_path, monkeypatch):
    from tests.studies.tiny import FILE

    from actlab.diagnostics import doctor, paired_trials

    file = tmp_path / "mine.py"
    file.write_text(FILE.replace("nn.ReLU(), nn.Linear(8, 2)", "nn.Sigmoid(), nn.Linear(8, 2)"))

    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(paired_trials, "short_trial", stopped)
    done = run("doctor", str(file), "--seeds", "2", "--steps", "4")

    assert done.exit_code == 130
    assert "sigmoid or softmax inside" in done.stdout
    assert "to run all of them" in done.stderr
    monkeypatch.setattr(doctor, "measure_model", stopped)
    before = run("doctor", str(file))
    assert (before.exit_code, before.stdout) == (130, "")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["digitz"], "Did you mean 'digits'"),
        (["nowhere.py"], "There is no file nowhere.py"),
        (["digits", "--seeds", "1"], "seeds is 1; allowed are whole numbers from 2 on"),
        (["digits", "--budget", "soon"], "The budget is 'soon'"),
    ],
)
def test_what_the_doctor_cannot_use_is_an_input_error(words, told):
    done = run("doctor", *words, "--json")

    assert done.exit_code == 2
    assert told in json.loads(done.stdout)["error"]["message"]


def test_the_list_of_a_kind_has_the_names_of_that_kind():
    found = json.loads(run("list", "--kind", "gated", "--json").stdout)

    assert [one["name"] for one in found] == actlab.names("gated")


def test_show_prints_the_facts_as_json_and_as_text():
    assert json.loads(run("show", "gelu", "--json").stdout)["gain"] == pytest.approx(actlab.gain("gelu"))
    assert "x*normal_cdf(x)" in run("show", "gelu").stdout


def test_find_prints_what_has_the_facts_and_the_facts():
    found = json.loads(run("find", "--monotone", "--lower", "0", "--smooth", "1", "--native", "--json").stdout)

    assert [one["name"] for one in found["found"]] == ["exponential", "sigmoid", "softplus"]
    assert all(one["facts"]["monotone"] and one["facts"]["lower"] >= 0 for one in found["found"])
    assert "softplus" in run("find", "--monotone", "--lower", "0", "--smooth", "1").stdout


def test_find_takes_words_and_a_function_to_be_like():
    assert "gelu_sigmoid" in run("find", "quick_gelu").stdout
    found = json.loads(run("find", "--like", "gelu", "--native", "--json").stdout)["found"]

    assert [one["name"] for one in found[:2]] == ["gelu_tanh", "mish"]
    assert found[0]["distance"] < found[1]["distance"]


def test_find_says_why_nothing_was_found():
    result = run("find", "--slope", "0.01", "--monotone", "--upper", "1", "--lower", "0")

    assert result.exit_code == 0
    assert 'Without "slope at most 0.01", ' in " ".join(result.stdout.split())


def test_reference_writes_pages_and_says_where(tmp_path):
    result = run("reference", "relu", "abs", "--out", str(tmp_path / "pages"), "--json")

    assert json.loads(result.stdout) == {"pages": 3, "index": str(tmp_path / "pages" / "index.html")}
    assert (tmp_path / "pages" / "relu.html").exists()


def test_compare_passes_on_what_was_asked_and_nothing_else(calls):
    given = "--seeds 6 --budget 10m --jobs 2 --baseline relu --init matched --tune lr --store s.db --name n --rope 0.1 --alpha 0.01"

    result = run("compare", "digits", "relu", "gelu", *given.split())

    assert result.exit_code == 0
    ((task, arms, settings),) = calls
    settings.pop("progress")
    settings.pop("sites")
    assert (task, arms) == ("digits", ["relu", "gelu"])
    assert settings == {
        "seeds": 6, "budget": "10m", "jobs": 2, "baseline": "relu", "init": "matched", "tune": "lr", "store": "s.db", "name": "n",
        "rope": 0.1, "alpha": 0.01, "checkpoint_every": "1m",
    }  # fmt: skip


def test_the_defaults_of_the_command_are_those_of_the_function(calls):
    import inspect

    run("compare", "digits", "relu", "gelu")
    settings = calls[0][2]
    settings.pop("progress")
    study = sys.modules["actlab.study"]
    signature = inspect.signature(study.compare).parameters
    defaults = {name: parameter.default for name, parameter in signature.items()} | vars(study.StudySettings())

    assert settings == {name: defaults[name] for name in settings}


def test_compare_prints_the_verdict_and_how_to_go_on(calls, verdict):
    result = run("compare", "digits", "relu", "gelu")

    assert result.stdout.replace("\n", " ").startswith(verdict.recommendation[:60])
    assert "actlab report digits-3fa1c2 --store sqlite:///actlab.db --out report.html" in result.stdout


def test_compare_prints_the_frozen_json(calls):
    found = json.loads(run("compare", "digits", "relu", "gelu", "--json").stdout)

    frozen = "study task metric direction baseline seeds arms best_set ties recommendation warnings store fingerprint"
    assert set(frozen.split()) <= set(found)
    arm = next(arm for arm in found["arms"] if arm["spec"] == "gelu")
    parts = {"spec", "n", "mean", "iqm", "ci", "diff", "step_time_ratio", "parameters", "peak_memory", "status"}
    assert parts <= set(arm)
    assert set(arm["diff"]) == {"mean", "ci", "p", "p_corrected", "prob_superior", "prob_equivalent"}


def test_a_study_in_which_no_arm_could_be_trained_is_a_finding(monkeypatch, verdict):
    none = dataclasses.replace(verdict, arms=tuple(dataclasses.replace(arm, n=0) for arm in verdict.arms))
    monkeypatch.setattr(actlab, "compare", lambda *_, **__: SimpleNamespace(verdict=lambda: none), raising=False)

    assert run("compare", "digits", "relu", "gelu", "--json").exit_code == 1
    shown = run("compare", "digits", "relu", "gelu").stdout
    assert "correct what the notes on arms name" in shown
    assert "More seeds" not in shown


def test_a_dry_run_shows_the_plan_and_trains_nothing(calls):
    result = run("compare", "digits", "relu", "gelu", "--seeds", "6", "--dry-run")

    assert (result.exit_code, calls) == (0, [])
    assert "relu (baseline), gelu" in result.stdout
    assert "at most 12 trials" in result.stdout
    assert (
        json.loads(run("compare", "digits", "relu", "gelu", "--seeds", "6", "--dry-run", "--json").stdout)["trials"]
        == 13  # with the pilot trial of the baseline
    )


def test_ctrl_c_ends_with_130_and_the_command_that_goes_on(monkeypatch, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(actlab, "compare", interrupted, raising=False)

    monkeypatch.chdir(tmp_path)
    Path("my task.py").touch()

    result = run("compare", "my task.py", "relu", "gelu", "--seeds", "6")

    assert (result.exit_code, result.stdout) == (130, "")
    assert "actlab compare 'my task.py' relu gelu --seeds 6" in result.stderr


def test_with_json_a_usage_error_is_an_object_too():
    result = run("compare", "digits", "relu", "gelu", "--seeds", "many", "--json")

    assert (result.exit_code, result.stderr) == (2, "")
    assert "--seeds" in json.loads(result.stdout)["error"]["message"]


def test_a_study_goes_from_compare_to_studies_to_a_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    task = "mnist1d"

    first = run(
        "compare", task, "relu", "tanh", "--seeds", "2", "--jobs", "1", "--store", "sqlite:///x.db", "--name", "try"
    )
    listed = run("studies", "--store", "sqlite:///x.db", "--json")
    told = run("studies", "--store", "sqlite:///x.db")
    written = run("report", "try", "--store", "sqlite:///x.db", "--out", "page.html", "--json")

    assert [result.exit_code for result in (first, listed, told, written)] == [0, 0, 0, 0]
    assert "4 of 4 trials" in first.stderr
    assert [one["study"] for one in json.loads(listed.stdout)] == ["try"]
    assert "relu, tanh" in told.stdout
    assert json.loads(written.stdout)["page"] == "page.html"
    assert "<h1>" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_an_empty_store_says_that_it_is_empty(tmp_path, monkeypatch):
    from actlab.studies.store.store import Store

    monkeypatch.chdir(tmp_path)
    Store("sqlite:///x.db").close()

    assert run("studies", "--store", "sqlite:///x.db").stdout == "This store contains no studies.\n"


def test_output_into_a_closed_pipe_is_no_traceback():
    listing = subprocess.Popen(
        [sys.executable, "-m", "actlab", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with listing:
        listing.stdout.close()  # as `head` does when it has seen enough
        said = listing.stderr.read()

    assert said == ""


def test_bench_prints_a_table_and_writes_a_drawing(tmp_path):
    plot = tmp_path / "speeds.svg"

    done = run("bench", "gelu", "swiglu", "--size", "1000", "--rounds", "2", "--as-shipped", "--plot", str(plot))

    assert done.exit_code == 0, done.output
    assert "swiglu" in done.stdout
    assert plot.read_text().startswith("<svg")


def test_bench_as_json_is_what_was_measured():
    done = run("bench", "gelu", "--size", "1000", "--rounds", "2", "--as-shipped", "--against", "formula", "--json")

    told = json.loads(done.stdout)
    assert {m["contender"] for m in told["measurements"]} == {"actlab", "torch", "formula"}
    assert told["size"] == 1000


def test_hardware_prints_a_table_writes_a_page_and_refuses_two_lists(tmp_path):
    page = tmp_path / "hardware.html"
    words = ("hardware", "tanh", "--size", "1000", "--rounds", "2", "--dtype", "float32", "--dtype", "bfloat16")
    done = run(*words, "--out", str(page))
    assert done.exit_code == 0, done.output
    assert "bf16/f32" in done.stdout
    assert "tanh" in page.read_text(encoding="utf-8")
    found = json.loads(run(*words, "--json").stdout)
    assert {one["dtype"] for one in found["timings"]} == {"float32", "bfloat16"}
    assert found["machine"]["threads"] == 1
    both = run("hardware", "tanh", "--all")
    assert (both.exit_code, "leave out tanh" in str(both.output)) == (2, True)


def test_hardware_that_is_stopped_shows_what_it_has_and_ends_as_after_ctrl_c(monkeypatch, tmp_path):
    from actlab.bench import hardware as module

    measure = module._measure
    monkeypatch.setattr(module, "_measure", lambda spec, given: measure(spec, given) if str(spec) == "relu" else stop())

    def stop():
        raise KeyboardInterrupt

    page = tmp_path / "hardware.html"
    words = ("--size", "1000", "--rounds", "1", "--dtype", "float32", "--out", str(page))
    done = run("hardware", "relu", "tanh", *words)
    assert done.exit_code == 130
    assert "Stopped after 1 of 2 functions." in page.read_text(encoding="utf-8")
    assert "relu" in done.stdout
    none = run("hardware", "tanh", *words)
    assert (none.exit_code, "before the first function" in none.output) == (130, True)


def test_bench_refuses_what_it_cannot_time():
    done = run("bench", "softmax")

    assert done.exit_code == 2
    assert "is a vector function" in done.stderr


def test_calibrate_keeps_what_it_measured(monkeypatch, tmp_path):
    from actlab.bench import crossover as calibration
    from actlab.codegen.dispatch import crossover

    monkeypatch.setenv("ACTLAB_CACHE", str(tmp_path))
    monkeypatch.setattr(calibration, "_speedup", lambda *case: 2.0 if case[3] >= 65536 else 0.5)
    try:
        dry = run("calibrate", "gelu", "--dtype", "float32", "--dry-run", "--json")
        assert json.loads(dry.stdout)["crossings"][0]["fewest"] == 65536
        assert not list(tmp_path.rglob("*.toml"))

        done = run("calibrate", "gelu", "--dtype", "float32")
        assert done.exit_code == 0, done.output
        assert "64k" in done.stdout
        assert [crossover.load_measured("cpu")] == [{"cpu_here": {"gelu": {"float32": 65536}}}]
    finally:
        crossover._table.cache_clear()


def test_calibrate_refuses_what_has_no_kernel(tmp_path, monkeypatch):
    monkeypatch.setenv("ACTLAB_CACHE", str(tmp_path))
    done = run("calibrate", "softmax")

    assert done.exit_code == 2
    assert "is a vector function" in done.stderr


NET = """
import torch
from torch import nn
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(3, 8), nn.PReLU(), nn.Linear(8, 1))
x = torch.randn(60, 3)
data = (x[:40], model(x[:40]).detach()), (x[40:], model(x[40:]).detach())
"""


def test_importance_measures_a_trained_model_as_json_and_as_a_page(tmp_path):
    (tmp_path / "net.py").write_text(NET)
    page = tmp_path / "page.html"
    done = run("importance", str(tmp_path / "net.py"), "--tolerance", "100", "--out", str(page), "--json")
    found = json.loads(done.stdout)

    assert done.exit_code == 0
    assert [row["path"] for row in found["importance"]["rows"]] == ["1"]
    assert found["importance"]["together"] == ["1"]
    assert found["shapes"][0]["parameters"]["weight"] == [0.25]
    assert page.read_text().startswith("<!doctype html>")


def test_importance_passes_on_what_was_asked_and_prints_the_tables(monkeypatch, tmp_path):
    from actlab.diagnostics import appraise as appraisal

    (tmp_path / "net.py").write_text(NET)
    seen, whole = [], appraisal.appraise

    def appraise(source, *, progress, **settings):
        seen.append((source, settings))
        return whole(tmp_path / "net.py")

    monkeypatch.setattr(appraisal, "appraise", appraise)
    given = "--act gelu --seed 3 --samples 50 --measure metric --tolerance 0.1"
    done = run("importance", "digits", *given.split())

    assert seen == [("digits", {"act": "gelu", "seed": 3, "samples": 50, "measure": "metric", "tolerance": 0.1})]
    assert "net: 0 of 1 activation can be linearised" in done.stdout


def test_importance_of_what_cannot_be_measured_is_an_input_error(tmp_path):
    (tmp_path / "net.py").write_text(NET.replace("data =", "nothing ="))
    done = run("importance", str(tmp_path / "net.py"), "--json")

    assert done.exit_code == 2
    assert "defines a model and no data" in json.loads(done.stdout)["error"]["message"]
