"""Environment of a script's process."""

import json

import pytest

from actlab.script_request import REQUEST, VARIABLE
from actlab.tasks.scripts.folder import environment, trial_folder


def test_the_request_and_an_empty_folder_are_there_during_the_trial():
    with trial_folder({"seed": 3}) as folder:
        assert json.loads((folder / REQUEST).read_text()) == {"seed": 3}
        assert list((folder / "out").iterdir()) == []
    assert not folder.exists()


def test_values_have_variables_and_what_is_not_given_has_none(tmp_path, monkeypatch):
    monkeypatch.setenv("MINE", "kept")
    found = environment(tmp_path, {"seed": 3, "lr": None}, threads=4)
    assert found["ACTLAB_SEED"] == "3"
    assert "ACTLAB_LR" not in found
    assert found["MINE"] == "kept"
    assert found["OMP_NUM_THREADS"] == "4"
    assert found[VARIABLE] == str(tmp_path)


def test_a_rank_of_actlab_itself_is_not_that_of_the_script(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert {"RANK", "WORLD_SIZE"}.isdisjoint(environment(tmp_path, {}, threads=1))


@pytest.mark.parametrize(
    ("device", "visible", "shown"),
    [
        ("cuda:1", None, "1"),
        ("cuda:1", "3,5", "5"),
        ("cuda:0", "GPU-8f2e,GPU-77aa", "GPU-8f2e"),
        ("cuda", "3,5", "3,5"),
        (None, "3", "3"),
    ],
)
def test_a_trial_sees_its_own_card_only(device, visible, shown, tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert environment(tmp_path, {}, threads=1, device=device).get("CUDA_VISIBLE_DEVICES") == shown
