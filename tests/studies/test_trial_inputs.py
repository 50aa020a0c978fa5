"""What a study reads is recorded with every trial, and a change is told."""

import pytest
import torch
from tests.studies.tiny import FILE, tiny

import actlab
from actlab.errors import StoreError
from actlab.studies.arm import parse_arm
from actlab.studies.trial_inputs import changed_inputs, mixed_inputs
from actlab.studies.trials.trial import run_trial

TASK = FILE.replace("x = torch.randn(90, 4, generator=generator)", "x = torch.load(HERE / 'x.pt')").replace(
    "nn.Linear(4, 8)", "E_layers.first()"
)
HEAD = "from pathlib import Path\nimport E_layers\nHERE = Path(__file__).parent\n"
ARMS = ["relu", "gelu"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "task.py").write_text(HEAD + TASK)
    (tmp_path / "E_layers.py").write_text("from torch import nn\ndef first():\n    return nn.Linear(4, 8)\n")
    torch.save(torch.randn(90, 4, generator=torch.Generator().manual_seed(0)), tmp_path / "x.pt")
    return tmp_path


def compare(**settings):
    return actlab.compare("task.py", ARMS, **({"seeds": 1, "jobs": 2, "store": "s.db", "name": "mine"} | settings))


def edit_module(folder):
    (folder / "E_layers.py").write_text("from torch import nn\ndef first():\n    return nn.Linear(4, 8, bias=False)\n")


def edit_data(folder):
    torch.save(torch.zeros(90, 4), folder / "x.pt")


@pytest.mark.parametrize(
    ("edit", "what", "sentence"),
    [
        (edit_module, r"E_layers\.py was edited", "2 versions of the modules"),
        (edit_data, "the data of seed 0 are others", "The data of seed 0 were not the same"),
    ],
)
def test_an_edit_between_two_runs_is_an_error_that_names_it_and_can_be_accepted(folder, edit, what, sentence):
    first = compare()
    assert not [
        text for text in first.verdict().warnings if "versions of the modules" in text or "not the same" in text
    ]
    edit(folder)

    with pytest.raises(StoreError, match=rf"{what}.*--name.*--accept-changes"):
        compare(seeds=2)
    assert len(first.rows()) == 2

    assert len(compare(seeds=2, name="another").rows()) == 4
    with_arm = actlab.compare("task.py", ARMS, seeds=2, jobs=2, store="s.db", name="mine", accept_changes=True)
    assert len(with_arm.rows()) == 4
    compare(seeds=2)
    if edit is edit_module:
        assert sentence in " ".join(with_arm.verdict().warnings)


def test_a_study_of_an_earlier_build_records_what_it_reads_when_it_goes_on_and_says_nothing_of_before(folder):
    study = compare()
    study._store.set_fact(study._stored.id, "inputs", None)
    edit_module(folder)

    assert len(compare(seeds=2).rows()) == 4
    (folder / "E_layers.py").write_text("from torch import nn\ndef first():\n    return nn.Linear(4, 8)\n")
    with pytest.raises(StoreError, match="E_layers"):
        compare(seeds=3)


def test_a_trial_records_its_code_its_data_and_the_weights_it_starts_from():
    first, same, other = (
        run_trial(tiny(), parse_arm(arm), seed) for arm, seed in [("relu", 0), ("swish(beta=learned)", 0), ("relu", 1)]
    )

    assert set(first.inputs) == {"code", "data", "weights"}
    assert same.inputs == first.inputs
    assert other.inputs["code"] == first.inputs["code"]
    assert other.inputs["data"] != first.inputs["data"]
    assert other.inputs["weights"] != first.inputs["weights"]
    assert first.versions["threads"] == "1"


def row(arm="relu", seed=0, **values):
    inputs = {"code": "c", "data": f"d{seed}", "weights": f"w{seed}"}
    versions = {"torch": "2.13.0", "machine": "x86_64", "cpu": "A AVX2", "threads": "1"}
    return {
        "stage": "main",
        "arm": arm,
        "seed": seed,
        "parameters": 10,
        "inputs": inputs,
        "versions": versions,
    } | values


def test_equal_rows_and_rows_of_earlier_builds_give_no_sentence():
    old = [row(arm, seed, inputs=None, versions={"torch": "2.13.0"}) for arm in ARMS for seed in range(3)]
    new = [row(arm, seed) for arm in ARMS for seed in range(3)]

    assert mixed_inputs(new) == mixed_inputs(old) == mixed_inputs(old + new) == mixed_inputs([]) == []


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"inputs": {"code": "other"}}, "2 versions of the modules"),
        ({"inputs": {"data": "other"}}, "The data of seed 0 were not the same for all arms"),
        ({"inputs": {"weights": "other"}}, "initial weights of the task's model of seed 0 were not the same"),
        ({"arm": "relu", "seed": 1, "parameters": 11}, "The models of relu had 10 and 11 parameters"),
        ({"versions": {"torch": "2.14.0"}}, "torch 2.13.0 and 2.14.0"),
        ({"versions": {"cpu": "B AVX512"}}, "the processors A AVX2 and B AVX512"),
        ({"versions": {"threads": "4"}}, "thread counts of 1 and 4"),
    ],
)
def test_rows_that_were_not_computed_alike_are_told(values, sentence):
    [found] = mixed_inputs([row("relu"), row(**{"arm": "gelu"} | values)])

    assert sentence in found


def test_records_without_an_entry_are_not_compared():
    assert changed_inputs({}, {"modules": {"a.py": "1"}, "seed": 0, "data": "x"}) == []
    assert changed_inputs({"modules": {}, "seed": 0, "data": None}, {"modules": {}, "seed": 0, "data": "x"}) == []


def executed(device, threads="1", **card):
    return {"stage": "main", "arm": "relu", "seed": 0, "versions": {"device": device, "threads": threads, **card}}


def test_rows_of_different_devices_cards_or_threads_are_warned_of():
    [sentence] = mixed_inputs([executed("cpu"), executed("cuda:0", card="A")])
    assert "the devices cpu and cuda" in sentence
    assert "times are not comparable" in sentence

    [sentence] = mixed_inputs([executed("cuda:0", card="A"), executed("cuda:1", card="B")])
    assert "the cards A and B" in sentence

    [sentence] = mixed_inputs([executed("cpu"), executed("cpu", "4")])
    assert "thread counts of 1 and 4" in sentence


def test_two_cards_of_one_name_are_alike_and_rows_of_earlier_builds_count_for_nothing():
    assert mixed_inputs([executed("cuda:0", card="A"), executed("cuda:1", card="A")]) == []
    assert (
        mixed_inputs([executed("cuda:0", card="A"), {"stage": "main", "arm": "relu", "seed": 1, "versions": {}}]) == []
    )
