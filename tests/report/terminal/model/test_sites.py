"""Terminal table of sites: code and run time side by side, reasons listed once."""

from __future__ import annotations

import io
import json

import torch
from rich.console import Console
from torch import nn
from torch.nn import functional as F

from actlab.nn.sites.find import find
from actlab.report.terminal.model.sites import sites_data, sites_table


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two, self.idle = nn.Linear(4, 4), nn.LSTM(4, 4), nn.Tanh()

    def forward(self, x):
        for part in (x, x[:1], x[:2]):
            y = F.relu(self.one(part))
        y, _ = self.two(y)
        return torch.sigmoid(y), next(map(F.silu, [x])) + 1


X = torch.ones(3, 4)


def shown(sites, width=160):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(sites_table("net", sites))
    return console.export_text()


def row(text, path):
    return next(line for line in text.splitlines() if path in line).split()


def test_every_site_has_a_row_with_what_is_written_and_what_ran():
    text = shown(find(Net(), X, rounds=1))

    assert "net: 6 activations, of which a swap replaces 2; together" in text
    assert row(text, "forward:F.relu@1")[:5] == ["@0", "forward:F.relu@1", "relu", "same", "3"]
    assert "3 x 4, 1 x 4 and 1 more" in text
    assert row(text, "idle") == ["@1", "idle", "tanh", "not", "called", "0"]
    assert "(found at run time)  silu" in text
    assert row(text, "forward:F.relu@1")[-1].endswith("%")


def test_each_reason_is_told_once():
    text = shown(find(Net(), X))

    assert text.count("torch computes it inside one fused call") == 1
    assert "not replaced: two:sigmoid and 1 more: torch computes" in text
    assert "the model returns its result; a swap replaces it only by its path" in text
    assert "forward pass" not in text.splitlines()[0]  # nothing was timed


def test_without_a_run_the_columns_of_a_run_are_left_out():
    text = shown(find(Net()))

    assert "calls" not in text
    assert "Found in the source code. Define example_inputs" in text
    assert shown(find(nn.Linear(2, 2))).strip() == "net: 0 activations, of which a swap replaces 0"


def test_warnings_are_shown():
    layer = nn.TransformerEncoderLayer(8, 2, 8, activation=nn.GELU("tanh"), batch_first=True)

    assert "warning: activation: in eval mode without gradients" in shown(find(layer, torch.zeros(1, 2, 8)), width=400)


def test_the_data_is_json():
    sites = find(Net(), X, rounds=1)

    data = json.loads(json.dumps(sites_data(sites), allow_nan=False))

    assert [one["path"] for one in data] == [site.path for site in sites]
    assert data[0]["shapes"] == [[3, 4], [1, 4], [2, 4]]
    assert data[0]["share"] > 0
