"""Terminal view of a diagnosis."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from rich.console import Console
from torch import nn

from actlab.diagnostics.diagnosis import Diagnosis, PairedTrial
from actlab.diagnostics.heuristic_checks import run_checks
from actlab.diagnostics.measurements import measure_model
from actlab.diagnostics.remedy import Remedy
from actlab.diagnostics.training_record import TrainingRecord, snapshot_of
from actlab.report.terminal.model.doctor import diagnosis_view


def shown(found, width=100):
    console = Console(width=width, record=True, file=open("/dev/null", "w", encoding="utf-8"))  # noqa: SIM115, PTH123 # nobody reads it
    console.print(diagnosis_view(found))
    console.file.close()
    return " ".join(console.export_text().split())


@pytest.fixture(scope="module")
def examined():
    torch.manual_seed(0)
    net = nn.Sequential(*(part for _ in range(12) for part in (nn.Linear(16, 16), nn.Sigmoid())), nn.Linear(16, 2))
    found = measure_model(net, torch.randn(200, 16))
    looks = (snapshot_of(found.at_init, 0),)
    return replace(found, course=TrainingRecord(learning_rate=0.01, losses=(2.5, 2.25), looks=looks))


def diagnosis(examined, *trials, findings=None, **differences):
    settings = {"name": "mine", "metric": "accuracy", "direction": "max", "steps": 50, "notes": ()} | differences
    found = run_checks(examined) if findings is None else findings
    return Diagnosis(examined=examined, all_findings=found, trials=trials, **settings)


def trial(prescription, **differences):
    settings = {
        "seeds": (0, 1),
        "before": (0.1, 0.2),
        "after": (0.9, 0.8),
        "difference": 0.7,
        "interval": (0.6, 0.8),
        "verdict": "helped",
    }
    return PairedTrial(prescription=prescription, **(settings | differences))


def test_a_winner_is_shown_with_its_numbers_its_code_and_its_source(examined):
    first = run_checks(examined)[0].prescriptions[0]
    text = shown(diagnosis(examined, trial(first, decades=(-9.5, 0.1))))

    assert text.startswith("mine: Vanishing gradients at 20")
    assert (
        "✓ relu at 1 and 11 more, matched init: helped: accuracy 0.15 before, 0.85 after, improvement +0.70 [+0.60, +0.80]"
        in text
    )
    assert "gradient over depth −9.5 before, +0.1 decades after" in text  # noqa: RUF001 # the typographic minus
    assert "actlab.init_(model, x)" in text
    assert "Glorot & Bengio 2010" in text


def test_what_was_measured_is_shown_beside_the_closed_form(examined):
    text = shown(diagnosis(examined))

    assert "closed form" in text
    assert "Gradients shrink: −" in text  # noqa: RUF001 # the typographic minus
    assert "Loss over the first 2 steps at a learning rate of 0.01: 2.5 to 2.25." in text
    assert "dead at init" in text


def test_what_was_not_tried_or_does_not_fit_is_shown_with_the_reason(examined):
    first, second = run_checks(examined)[0].prescriptions
    text = shown(
        diagnosis(
            examined,
            PairedTrial(prescription=first, verdict="does not fit", reason="No place.\nSecond line"),
            PairedTrial(prescription=second),
        )
    )

    assert "matched init: does not fit: No place." in text
    assert "Second line" not in text
    assert "a norm before every activation: not tried: there is no task to try it on" in text


def test_trainings_that_diverged_are_counted(examined):
    first = run_checks(examined)[0].prescriptions[0]
    text = shown(diagnosis(examined, trial(first, verdict="undecided", interval=None, difference=0.7, diverged=(2, 0))))

    assert "diverged on 2 seeds before, 0 after" in text


def test_the_healthy_get_one_line_and_the_measurements(examined):
    assert shown(diagnosis(examined, findings=())).startswith("mine: Nothing to do. Signal and gradient by depth")


def test_notes_and_a_stop_are_told(examined):
    text = shown(diagnosis(examined, notes=("Add a loss.",), stopped=True))

    assert "Add a loss." in text
    assert "Stopped before the end" in text


def test_a_model_of_which_nothing_could_be_measured_is_shown_too():
    found = measure_model(nn.Sequential(nn.Linear(4, 2)), torch.randn(9, 4))

    assert "No activation was seen" in shown(diagnosis(found, findings=(), notes=found.notes))


def test_numbers_that_are_not_known_are_dashes(examined):
    text = shown(diagnosis(examined, trial(Remedy(learning_rate=0.1), before=(math.nan,), interval=None), findings=()))

    assert "nan" not in text
