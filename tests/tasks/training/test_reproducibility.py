"""What is promised of repeated trials is stated for every kind of device, and asked for where it can be."""

import os
import warnings

import pytest
import torch

from actlab.tasks.training import devices, reproducibility
from actlab.tasks.training.reproducibility import REPRODUCIBILITY, make_repeatable


def test_every_kind_of_device_has_a_statement():
    assert set(REPRODUCIBILITY) == set(devices._NAMES) - {"auto"}
    for kind, known in REPRODUCIBILITY.items():
        assert known.to_the_bit == (known.tolerance == 0.0)
        assert ("to the bit" in known.text) or kind == "mps"


def test_nothing_is_changed_for_the_cpu():
    before = (torch.backends.cudnn.deterministic, torch.are_deterministic_algorithms_enabled(), dict(os.environ))

    make_repeatable("cpu")

    assert (
        torch.backends.cudnn.deterministic,
        torch.are_deterministic_algorithms_enabled(),
        dict(os.environ),
    ) == before


@pytest.fixture
def changeable_flags():
    """Allow changes of torch's flags, which torch's own testing modules forbid where another test has imported them."""
    with torch.backends.__allow_nonbracketed_mutation():
        yield


@pytest.mark.usefixtures("changeable_flags")
def test_a_card_is_chosen_and_deterministic_code_asked_for(monkeypatch):
    chosen = []
    monkeypatch.setattr(reproducibility.torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    try:
        with warnings.catch_warnings(record=True) as seen:
            make_repeatable("cuda:1")
            warnings.warn("index_add does not have a deterministic implementation, but ...", UserWarning, stacklevel=1)
        assert not seen
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == (True, False)
        assert chosen == ["cuda:1"]
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8", "a value of the user's is kept"
    finally:
        torch.use_deterministic_algorithms(False)


def test_flags_that_torch_does_not_let_change_stay_as_they_are(monkeypatch):
    monkeypatch.setattr(reproducibility.torch.cuda, "set_device", lambda _: None)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    monkeypatch.setattr("torch.backends.__allow_nonbracketed_mutation_flag", False)
    try:
        with warnings.catch_warnings():
            make_repeatable("cuda:1")
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
