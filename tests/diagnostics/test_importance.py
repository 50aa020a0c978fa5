"""Importance: planted effects are found, the model is not modified, and noise is not significant."""

from __future__ import annotations

import copy
import json
import random
import re
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.nn.nets import Mixed
from torch import nn

import actlab
from actlab.diagnostics.importance import ImportanceOptions, ImportanceSettings
from actlab.errors import PlanError, SiteError, UnknownNameError


class Branches(nn.Module):
    """A sum of branches, each a function of one input of its own with a weight: what a site is worth is known."""

    def __init__(self, weights=(0.0, 1.0, 0.1, 0.4)):
        super().__init__()
        self.acts = nn.ModuleList(nn.ReLU() for _ in weights)
        self.weights = nn.Parameter(torch.tensor(weights))

    def forward(self, x):
        parts = [act(part) for act, part in zip(self.acts, x.split(1, dim=1), strict=True)]
        return torch.cat(parts, 1) @ self.weights[:, None]


def batches(model, n=20, size=50, *, width=4, noise=0.0, seed=0):
    """Return inputs N(0, 1), and what the model makes of them as targets."""
    generator = torch.Generator().manual_seed(seed)
    xs = [torch.randn(size, width, generator=generator) for _ in range(n)]
    with torch.no_grad():
        return [(x, model(x) + noise * torch.randn(size, 1, generator=generator)) for x in xs]


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 16), nn.GELU(), nn.Linear(16, 1))


# ------------------------------------------------------------------------------------------ planted truth


def test_a_site_that_is_linear_on_the_data_costs_nothing_and_explains_everything():
    model = mlp()
    with torch.no_grad():
        model[0].bias.fill_(100.0)  # what the ReLU sees is above zero for every sample
    found = actlab.importance(model, batches(model, noise=0.1))

    assert found["1"].r2 == 1.0
    assert found["1"].linearised.state == "none"
    assert abs(found["1"].linearised.mean) <= 1e-6 * found.baseline
    assert found["1"].ablated.state == "worse"
    assert found["3"].r2 < 1.0


def test_the_output_that_depends_on_one_site_only_is_seen_to():
    model = Branches(weights=(0.0, 1.0, 0.0, 0.0))
    found = actlab.importance(model, batches(model, noise=0.1))

    assert [row.linearised.state for row in found] == ["none", "worse", "none", "none"]
    assert [row.ablated.state for row in found] == ["none", "worse", "none", "none"]
    assert found.ranked[0].path == "acts.1"
    assert set(found.together) == {"acts.0", "acts.2", "acts.3"}


def test_what_a_line_costs_is_the_variance_that_it_leaves():
    """ReLU of N(0, 1) has variance 1/2 - 1/(2 pi), of which the line x/2 explains 1/4; the squared error is what is left."""
    model = Branches(weights=(0.0, 1.0, 0.1, 0.4))
    found = actlab.importance(model, batches(model, n=80, size=200))
    whole = 0.5 - 1 / (2 * np.pi)

    for row, weight in zip(found, (0.0, 1.0, 0.1, 0.4), strict=True):
        assert row.r2 == pytest.approx(0.25 / whole, abs=0.02)  # 8,000 samples
        assert row.linearised.mean == pytest.approx(weight**2 * (whole - 0.25), rel=0.1, abs=1e-6)
        assert row.ablated.mean == pytest.approx(weight**2 * whole, rel=0.1, abs=1e-6)
        assert row.linearised.low <= row.linearised.mean <= row.linearised.high


def test_sites_become_lines_in_the_order_of_what_they_are_worth_until_the_tolerance():
    model = Branches()
    found = actlab.importance(model, batches(model), tolerance=0.03)

    assert [step.path for step in found.steps] == ["acts.0", "acts.2", "acts.3", "acts.1"]
    # 0.09085 (w1^2 + ...): 0, 0.0009, 0.0154, 0.106
    assert [step.within for step in found.steps] == [True, True, True, False]
    assert found.together == ("acts.0", "acts.2", "acts.3")
    lost = [step.total.mean for step in found.steps]
    assert lost == pytest.approx(0.09085 * np.cumsum([0, 0.01, 0.16, 1.0]), rel=0.25, abs=1e-6)  # 500 samples


def test_the_last_step_is_the_net_with_every_site_linearised():
    model = mlp()
    data = batches(model, noise=0.1)
    found = actlab.importance(model, data)
    order = [step.path for step in found.steps]

    changes = actlab.linearise_(model, [order[0]], data[:10])
    changes = [changes, actlab.linearise_(model, [order[1]], data[:10])]
    with torch.no_grad():
        after = torch.cat([(model(x) - y) ** 2 for x, y in data[10:]]).mean().item()
    assert found.baseline + found.steps[-1].total.mean == pytest.approx(after, rel=1e-5)
    for change in reversed(changes):
        change.undo()


def test_a_larger_metric_that_is_better_turns_the_sign():
    model = mlp()
    data = batches(model, noise=0.1)
    error = actlab.importance(model, data)
    skill = actlab.importance(model, data, measure=lambda y, t: -((y - t) ** 2), direction="max")

    assert skill.baseline == pytest.approx(-error.baseline)
    assert [row.ablated.mean for row in skill] == pytest.approx([row.ablated.mean for row in error])
    assert skill["3"].ablated.state == "worse"


def test_one_line_for_a_site_leaves_more_than_a_line_for_each_channel():
    model = mlp()
    data = batches(model)
    each, one = (actlab.importance(model, data, per_channel=flag)["1"] for flag in (True, False))

    assert (each.channels, one.channels) == (16, 1)
    assert each.linearised.mean < one.linearised.mean


# ------------------------------------------------------------------------------------------------ noise


def test_what_noise_cannot_tell_from_zero_is_said_to_be_so():
    model = Branches(weights=(0.0, 1.0, 0.02, 0.0))
    found = actlab.importance(model, batches(model, n=4, size=20, noise=1.0))

    assert found["acts.2"].linearised.state == "not distinguishable from zero"
    assert found["acts.2"].linearised.low < 0 < found["acts.2"].linearised.high


def test_the_p_values_of_the_table_are_adjusted_together():
    model = mlp()
    found = actlab.importance(model, batches(model, noise=1.0))
    tests = [test for row in found for test in (row.linearised, row.ablated)]
    smallest = min(tests, key=lambda test: test.p)

    assert smallest.adjusted == pytest.approx(min(1.0, len(tests) * smallest.p))


def test_false_alarms_of_the_whole_table_are_as_rare_as_stated():
    """Every exchange moves the output, and a coin for each sample says whether that is good: on average nothing is. Without Holm's
    correction some test of the eight would raise an alarm in most tables."""
    alarms = 0
    for seed in range(12):
        torch.manual_seed(seed)
        model = Branches(weights=(1.0, 1.0, 1.0, 1.0))
        data = [(torch.randn(40, 4), torch.randint(0, 2, (40, 1)) * 2 - 1) for _ in range(2)]
        found = actlab.importance(model, data, measure=lambda y, t: y * t, alpha=0.2)
        alarms += any(test.state in {"worse", "better"} for row in found for test in (row.linearised, row.ablated))

    assert alarms <= 7  # 2.4 expected, more than 7 in 0.06 % of cases


# ------------------------------------------------------------------------------------- the model is as it was


def snapshot(model):
    return (
        {key: value.clone() for key, value in model.state_dict().items()},
        [type(module) for module in model.modules()],
        [module.training for module in model.modules()],
        [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()],
        torch.get_rng_state(),
        random.getstate(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002 # the global one, which must not have moved
    )


def assert_same(before, after):
    weights, *rest = zip(before, after, strict=True)
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in rest)


def mixed_data():
    generator = torch.Generator().manual_seed(0)
    return [
        (torch.randn(8, 1, 6, 6, generator=generator), torch.randint(0, 3, (8,), generator=generator)) for _ in range(4)
    ]


def test_the_model_and_every_generator_are_as_they_were():
    model = Mixed()
    model.block.norm.eval()  # a part that is frozen stays so
    before = snapshot(model)
    found = actlab.importance(model, mixed_data())

    assert [row.path for row in found] == ["forward:F.gelu@1", "block.relu", "act"]
    assert_same(before, snapshot(model))


@pytest.mark.parametrize("at", [0, 1, 5, 12])
def test_the_model_is_as_it_was_when_the_measure_raises_midway(at):
    model, calls = Mixed(), []

    def measure(output, target):
        calls.append(
            torch.rand(1),
        )
        if len(calls) > at:
            raise ZeroDivisionError("planted")
        return F.cross_entropy(output, target, reduction="none")

    before = snapshot(model)
    with pytest.raises(ZeroDivisionError, match="planted"):
        actlab.importance(model, mixed_data(), measure=measure)
    assert len(calls) == at + 1
    assert_same(before, snapshot(model))


def test_the_same_question_has_the_same_answer():
    model, data = Mixed(), mixed_data()

    assert actlab.importance(model, data).to_dict() == actlab.importance(copy.deepcopy(model), data).to_dict()


# ---------------------------------------------------------------------------------------------------- use


def test_the_fit_and_the_judgement_are_on_different_samples_unless_both_are_given():
    model = mlp()
    data = batches(model, n=5)
    halves = actlab.importance(model, data)
    given = actlab.importance(model, data, calibration=data[:1])

    assert (halves.calibration, halves.samples) == (100, 150)
    assert (given.calibration, given.samples) == (50, 250)


def test_only_the_sites_that_are_asked_for_are_measured():
    model = mlp()
    found = actlab.importance(model, batches(model), sites=["gelu"])

    assert [row.path for row in found] == ["3"]
    assert len(found.steps) == 1


def test_an_output_sigmoid_is_left_unless_it_is_named():
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1), nn.Sigmoid())
    data = batches(model)

    assert "returns its result" in actlab.importance(model, data).unseen["3"]
    assert actlab.importance(model, data, sites=["3"])["3"].r2 < 1


def test_everything_is_data_for_json():
    model = mlp()
    found = actlab.importance(model, batches(model, n=2))
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))

    assert data["together"] == list(found.together)
    assert data["rows"][0]["linearised"]["state"] == found[0].linearised.state
    assert len(found) == 2
    assert found[0:1] == (found["1"],)


def test_a_site_that_was_not_measured_is_told_with_those_that_were():
    model = mlp()
    with pytest.raises(UnknownNameError, match="There is no measured site '2'"):
        actlab.importance(model, batches(model, n=2))["2"]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"batches": 1}, SiteError, "gave 1 batches; .* two are needed"),
        ({"calibration": []}, SiteError, "calibration gave no batch"),
        ({"alpha": 1.5}, PlanError, "between 0 and 1"),
        ({"tolerance": -1}, PlanError, "zero or more"),
        ({"measure": "acuracy"}, PlanError, "no measure"),
        ({"measure": lambda y, t: (y - t).mean()}, PlanError, "reduction='none'"),
        ({"measure": lambda y, _: y / 0}, PlanError, "not finite for 50 of 50 samples"),
        ({"sites": ["9"]}, SiteError, "No site matches '9'"),
    ],
)
def test_wrong_use_is_told(options, error, words):
    model = mlp()
    with pytest.raises(error, match=words):
        actlab.importance(model, batches(model), **options)


def test_a_single_sample_is_no_evidence():
    model = mlp()
    with pytest.raises(PlanError, match="evaluated on 1 sample"):
        actlab.importance(model, batches(model, n=2, size=1))


class Keywords(nn.Module):
    """Takes keyword arguments and returns a dict, as transformers do."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 1)

    def forward(self, *, x, scale):
        return {"y": self.b(torch.tanh(self.a(x))) * scale}


def test_batches_of_keyword_arguments_are_their_own_targets():
    torch.manual_seed(0)
    model = Keywords()
    data = [{"x": torch.randn(20, 4), "scale": torch.ones(20, 1), "wanted": torch.zeros(20, 1)} for _ in range(4)]
    found = actlab.importance(
        model,
        data,
        measure=lambda output, batch: (output["y"] - batch["wanted"]) ** 2,
        inputs=lambda batch: {key: batch[key] for key in ("x", "scale")},
    )

    assert ([row.path for row in found], found.samples, found.calibration) == (["forward:torch.tanh@1"], 40, 40)


def test_a_compiled_model_is_measured_as_what_it_was_compiled_from():
    model = mlp()
    data = batches(model)
    plain, compiled = actlab.importance(model, data), actlab.importance(torch.compile(model), data)

    assert [row.path for row in compiled] == ["_orig_mod.1", "_orig_mod.3"]
    assert [row.linearised.mean for row in compiled] == [row.linearised.mean for row in plain]


def test_a_net_without_a_site_that_a_line_can_replace_says_why():
    data = [(torch.randn(5, 3, 4), torch.randn(5, 3, 8)) for _ in range(2)]

    with pytest.raises(SiteError, match="inside one fused call"):
        actlab.importance(nn.LSTM(4, 8, batch_first=True), data)
    with pytest.raises(SiteError, match="no activation that can be found"):
        actlab.importance(nn.Linear(4, 8), data)


def test_progress_is_told():
    model, told = mlp(), []
    actlab.importance(model, batches(model, n=2), progress=told.append)

    assert told == [
        "the unchanged model",
        "fitting lines",
        "1",
        "3",
        "1 of 2 sites linearised together",
        "2 of 2 sites linearised together",
    ]


def test_the_example_of_the_page_runs_as_it_stands(capsys):
    page = (Path(__file__).parents[2] / "docs" / "how_to" / "importance.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1]
    with torch.random.fork_rng():
        exec(code, {})  # noqa: S102 # our own page

    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed[:2]] == ["1", "3"]
    assert printed[-1] == "[0, 10, 20, 30, 40, 50]"


def test_the_options_are_the_fields_of_the_settings():
    assert get_type_hints(ImportanceOptions) == get_type_hints(ImportanceSettings)


def test_settings_and_options_give_the_same_result():
    model = mlp()
    data = batches(model, noise=0.1)
    settings = ImportanceSettings(sites=["1"], alpha=0.2, tolerance=9.0)

    found = actlab.importance(model, data, settings=settings, tolerance=1.0)

    assert found == actlab.importance(model, data, sites=["1"], alpha=0.2, tolerance=1.0)
    with pytest.raises(TypeError, match=r"unknown option 'site'\. Did you mean 'sites'"):
        actlab.importance(model, data, site=["1"])
