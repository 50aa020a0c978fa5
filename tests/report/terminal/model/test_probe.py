"""Terminal tables of probe reports and propagation."""

from __future__ import annotations

import torch
from rich.console import Console
from tests.nn.nets import planted
from torch import nn

import actlab
from actlab.nn.probes.propagation import propagation
from actlab.report.terminal.model.probe import probe_table, propagation_table


def text(renderable, width=200):
    console = Console(width=width, record=True, file=None, force_terminal=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_a_table_shows_the_shares_that_were_measured():
    net, _ = planted(nn.ReLU(), flat=1.0)
    shown = text(probe_table(actlab.probe(net, torch.arange(1000.0).unsqueeze(1).split(100))))

    line = next(line for line in shown.splitlines() if line.startswith("1 "))
    assert "28.6%" in line  # two of seven units are dead
    assert "gradient" not in shown.splitlines()[0]  # no loss was given
    assert "born dead" not in shown
    assert "1000 samples in 10 batches" in shown


def test_hidden_activations_are_named_below():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(2, 2)

        def forward(self, x):
            return torch.relu(self.lstm(x)[0])

    assert "Not measured: lstm:tanh: torch computes it" in text(probe_table(actlab.probe(Net(), [torch.ones(1, 1, 2)])))


def test_markup_in_paths_is_text():
    net = nn.Sequential()
    net.add_module("[bold]", nn.Tanh())
    assert "[bold]" in text(probe_table(actlab.probe(net, [torch.ones(2, 2)])))


def test_a_sentence_says_where_gradients_are_lost():
    torch.manual_seed(0)
    net = nn.Sequential(*(part for _ in range(8) for part in (nn.Linear(64, 64), nn.Sigmoid())))
    shown = text(propagation_table(propagation(net, torch.randn(32, 64))))

    assert "Gradients shrink" in shown
    assert "It begins at 12" in shown
    healthy = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh())
    assert "keeps its scale" in text(propagation_table(propagation(healthy, torch.randn(32, 64))))
