"""The probe, compared with hooks written by hand, closed forms and planted units."""

from __future__ import annotations

import copy
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.nn.nets import Mixed, planted
from torch import nn
from torch.utils.checkpoint import checkpoint

import actlab
from actlab.errors import SiteError, UnknownNameError
from actlab.functions.analysis.edge_of_chaos import slope_moment
from actlab.nn.probes.probe import ProbeOptions, ProbeSettings
from actlab.nn.probes.probe_report import QUANTILES
from actlab.nn.probes.quantile_sketch import ERROR
from actlab.nn.probes.unit_states import STATES


def batches(sizes, *shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(size, *shape, generator=generator) for size in sizes]


def mlp(*functions, width=16):
    torch.manual_seed(0)
    parts = [nn.Linear(6, width), functions[0]]
    for function in functions[1:]:
        parts += [nn.Linear(width, width), function]
    return nn.Sequential(*parts, nn.Linear(width, 3))


# ----------------------------------------------------------------------------- numbers, computed by hand


def test_moments_quantiles_and_sparsity_are_those_of_all_outputs_at_once():
    net, data = mlp(nn.ReLU()), batches([7, 1, 30, 12], 6)
    row = actlab.probe(net, data)["1"]
    outputs = net[:2](torch.cat(data)).double().detach()
    inputs = net[:1](torch.cat(data)).double().detach()

    assert (row.samples, row.batches, row.units, row.elements) == (50, 4, 16, 800)
    assert row.mean == pytest.approx(outputs.mean().item(), rel=1e-6)
    assert row.variance == pytest.approx(outputs.var(correction=0).item(), rel=1e-6)
    assert row.input_mean == pytest.approx(inputs.mean().item(), rel=1e-5, abs=1e-7)
    assert row.input_variance == pytest.approx(inputs.var(correction=0).item(), rel=1e-6)
    assert row.sparsity == (outputs == 0).double().mean().item()
    np.testing.assert_allclose(row.census.activity, (outputs != 0).double().mean(0).numpy(), rtol=1e-12)
    np.testing.assert_allclose(row.census.mean, outputs.mean(0).numpy(), rtol=1e-6, atol=1e-9)
    exact = np.quantile(outputs.numpy(), QUANTILES, method="lower")
    np.testing.assert_allclose(row.quantiles, exact, rtol=ERROR)


def test_the_slope_is_measured_and_agrees_with_the_closed_form_on_normal_inputs():
    for name in ("relu", "gelu", "tanh", "selu", "sigmoid"):
        net = nn.Sequential(actlab.layer(name))
        measured = actlab.probe(nn.Sequential(nn.Identity(), *net), batches([100_000] * 2, 4))[0].chi
        assert measured == pytest.approx(slope_moment(name), rel=0.01)  # 8e5 draws: a few tenths of a percent


def test_gradients_are_those_of_autograd():
    net, data = mlp(nn.Tanh(), nn.GELU()), batches([9, 5], 6)
    target = torch.zeros(9, 3), torch.zeros(5, 3)
    report = actlab.probe(net, list(zip(data, target, strict=True)), F.mse_loss)
    squares = {"x": 0.0, "y": 0.0}
    units = torch.zeros(16)
    for batch, wanted in zip(data, target, strict=True):
        x = net[:3](batch)
        y = net[3](x)
        gradients = torch.autograd.grad(F.mse_loss(net[4](y), wanted), [x, y])
        squares["x"] += gradients[0].square().sum().item()
        squares["y"] += gradients[1].square().sum().item()
        units += gradients[0].square().sum(0)

    assert report["3"].gradient_norm == pytest.approx(math.sqrt(squares["y"] / 2), rel=1e-5)
    assert report["3"].gradient_ratio == pytest.approx(math.sqrt(squares["x"] / squares["y"]), rel=1e-5)
    np.testing.assert_allclose(report["3"].census.gradient, (units / 2).sqrt().numpy(), rtol=1e-5)
    assert math.isnan(actlab.probe(net, data)["3"].gradient_norm)


def test_effective_rank_is_the_participation_ratio_of_the_covariance():
    net, data = mlp(nn.ReLU()), batches([500, 300], 6)
    outputs = net[:2](torch.cat(data)).double().detach().numpy()
    covariance = np.cov(outputs.T, bias=True)
    expected = np.trace(covariance) ** 2 / np.sum(covariance**2)

    assert actlab.probe(net, data)["1"].effective_rank == pytest.approx(expected, rel=1e-4)
    assert math.isnan(actlab.probe(net, data, rank=False)["1"].effective_rank)


def test_half_precision_is_summed_in_float32():
    net = mlp(nn.ReLU()).bfloat16()
    data = [batch.bfloat16() for batch in batches([4096], 6)]
    outputs = net[:2](data[0]).double().detach()
    row = actlab.probe(net, data)["1"]

    assert row.mean == pytest.approx(outputs.mean().item(), rel=1e-5)  # bfloat16 sums would be off by 0.4 %
    assert row.variance == pytest.approx(outputs.var(correction=0).item(), rel=1e-5)


def test_nan_and_infinity_are_counted():
    row = actlab.probe(nn.Sequential(nn.Identity(), nn.ReLU()), [torch.tensor([[1.0, math.nan], [math.inf, -1.0]])])[0]
    assert row.nonfinite == 2


# -------------------------------------------------------------------------------------- where units are


def test_units_are_channels_behind_convolutions_and_the_last_dimension_elsewhere():
    report = actlab.probe(Mixed().eval(), batches([5, 3], 1, 6, 6))
    found = {row.name: (row.units, row.elements) for row in report}

    assert found == {
        "forward:F.gelu@1 after stem": (4, 8 * 4 * 36),
        "block.relu after block.first": (4, 8 * 4 * 36),
        "block.relu after block.second": (4, 8 * 4 * 36),
        "act after hidden": (16, 8 * 16),
    }


def test_channels_are_found_where_they_went():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.lin = nn.Conv2d(3, 5, 1), nn.LayerNorm(5), nn.Linear(5, 7)

        def forward(self, x):
            x = F.relu(self.conv(x).permute(0, 2, 3, 1))  # the convolution's channels, last now
            return F.silu(self.lin(self.norm(x)))

    class Generator(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin, self.norm = nn.Linear(3, 4 * 9), nn.BatchNorm2d(4)

        def forward(self, x):
            return torch.tanh(self.norm(self.lin(x).view(-1, 4, 3, 3)))

    assert [row.units for row in actlab.probe(Last(), batches([2], 3, 6, 6))] == [5, 7]
    assert [row.units for row in actlab.probe(Generator(), batches([2], 3))] == [4]


def test_a_recurrent_cell_is_one_point_whatever_the_number_of_steps():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.into, self.back = nn.Linear(2, 5), nn.Linear(5, 5)

        def forward(self, x):
            h = torch.zeros(len(x), 5)
            for step in x.unbind(1):
                h = torch.tanh(self.into(step) + self.back(h))
            return h

    (row,) = actlab.probe(Recurrent(), batches([4], 6, 2))
    assert (row.units, row.samples, row.elements) == (5, 4, 4 * 6 * 5)


def test_gated_vector_and_random_functions():
    net = nn.Sequential(nn.Linear(6, 8), nn.GLU(), nn.RReLU(), nn.Softmax(-1))
    before = torch.get_rng_state()
    report = actlab.probe(net, batches([10], 6), training=True)
    assert torch.equal(before, torch.get_rng_state())

    x = net[0](batches([10], 6)[0]).double().detach()
    value, gate = x[:, :4], x[:, 4:].sigmoid()
    expected = (gate.square() + (value * gate * (1 - gate)).square()).mean().item()
    assert report["1"].chi == pytest.approx(
        expected, rel=1e-5
    )  # by hand: d/dvalue and d/dgate of value * sigmoid(gate)
    assert report["1"].units == 4
    assert 1 / 64 < report["2"].chi <= 1
    assert (report["3"].units, report["3"].census) == (0, None)
    assert math.isnan(report["3"].chi)


# -------------------------------------------------------------------------------------------- dead units


@pytest.mark.parametrize("size", [1, 7, 64, 1000, 4096])
@pytest.mark.parametrize(("function", "flat"), [("relu6", 40.0), ("hardsigmoid", 40.0), ("hardtanh", 40.0)])
def test_planted_units_are_distinguished_at_every_batch_size(function, flat, size):
    net, kinds = planted(actlab.layer(function), flat=flat)
    if function == "hardtanh":  # dead only where the output is zero: it has no such end, both are saturated
        kinds = ["saturated" if kind == "dead" else kind for kind in kinds]
        kinds = ["saturated" if kind == "sparse" else kind for kind in kinds]  # at -1 for 991 inputs of 1000
    inputs = torch.arange(1000.0)[torch.randperm(1000, generator=torch.Generator().manual_seed(3))].unsqueeze(1)
    row = actlab.probe(net, inputs.split(size))[0]

    assert [row.census.state_of(unit) for unit in range(row.units)] == kinds


def test_a_batch_of_one_is_silent_without_being_dead():
    net, kinds = planted(nn.ReLU(), flat=1.0)
    kinds = ["healthy" if kind == "saturated" else kind for kind in kinds]  # ReLU has no upper end
    row = actlab.probe(net, torch.arange(1000.0).unsqueeze(1).split(1))[0]

    assert [row.census.state_of(unit) for unit in range(7)] == kinds
    assert row.dead == 2 / 7
    assert row.silent > 0.6  # counting zeros by batch would call these dead


def test_a_unit_that_is_zero_with_a_slope_is_not_dead():
    net = nn.Sequential(nn.Linear(1, 2), nn.GELU())  # gelu(0) = 0 with slope 1/2
    nn.init.zeros_(net[0].weight)
    nn.init.zeros_(net[0].bias)
    row = actlab.probe(net, batches([5], 1))[0]

    assert (row.dead, row.sparse, row.sparsity) == (0.0, 1.0, 1.0)


def test_born_dead_is_dead_now_and_at_init():
    net, _ = planted(nn.ReLU(), flat=1.0)
    data = torch.arange(1000.0).unsqueeze(1).split(100)
    at_init = actlab.probe(net, data)
    with torch.no_grad():
        net[0].bias[4] = 1.0  # one of the two revives
        net[0].weight[5], net[0].bias[5] = 0.0, -1.0  # another dies
    row = actlab.probe(net, data, at_init=at_init)[0]

    assert [row.census.state_of(unit) for unit in (0, 4, 5)] == ["born dead", "healthy", "dead"]
    assert (row.dead, row.born_dead) == (2 / 7, 1 / 7)


def test_a_surrogate_gradient_keeps_a_unit_alive():
    class Step(nn.Module):
        calls = 0

        def forward(self, x):
            self.calls += 1
            return (x > 0).to(x.dtype) + (x - x.detach())  # 1 for the gradient

    net = nn.Sequential(nn.Linear(1, 2), Step())
    nn.init.constant_(net[0].bias, -100.0)
    (row,) = actlab.probe(net, batches([4, 4], 1))

    assert (row.sparsity, row.chi, row.dead, row.sparse) == (1.0, 1.0, 0.0, 1.0)
    with actlab.Probe(net, every=1):
        net(torch.ones(1, 1)).sum().backward()
    assert net[1].calls == 1  # what runs beside the model runs on a copy


def test_saturation_is_given_for_functions_with_two_ends_only():
    data = [torch.linspace(-10, 10, 2001).unsqueeze(1)]
    nets = {name: nn.Sequential(nn.Identity(), actlab.layer(name)) for name in ("tanh", "sigmoid", "relu", "elu")}
    saturated = {name: actlab.probe(net, data)[0].saturated for name, net in nets.items()}

    assert saturated["tanh"] == pytest.approx(1 - 2 * 2.9932 / 20, abs=1e-3)  # 1 - tanh^2 = 0.01 at 2.9932
    assert saturated["sigmoid"] == pytest.approx(1 - 2 * 5.9864 / 20, abs=1e-3)
    assert math.isnan(saturated["relu"])
    assert math.isnan(saturated["elu"])


# --------------------------------------------------------------------------------------- no side effects


def attributes_of(model):
    """Return all attributes of a model's modules."""
    return [(dict(vars(module)), [dict(held) for held in vars(module).values() if isinstance(held, dict)])
            for module in model.modules()]  # fmt: skip


def test_the_model_is_left_as_it_was():
    model = Mixed()
    model.head.weight.grad = torch.ones_like(model.head.weight)
    before, weights = attributes_of(model), copy.deepcopy(model.state_dict())
    state = torch.get_rng_state()
    actlab.probe(model, [(x, torch.zeros(len(x), dtype=torch.long)) for x in batches([4], 1, 6, 6)], F.cross_entropy,
                 training=True)  # fmt: skip

    assert attributes_of(model) == before
    assert all(torch.equal(a, b) for a, b in zip(weights.values(), model.state_dict().values(), strict=True))
    assert torch.equal(model.head.weight.grad, torch.ones(3, 16))
    assert model.stem.weight.grad is None
    assert torch.equal(state, torch.get_rng_state())


def trained(model, *, autocast=False, wrap=lambda model: model, every=None, steps=6):
    """Train a copy of a model and return its weights; with a probe at every so many passes."""
    model = copy.deepcopy(model)
    torch.manual_seed(1)
    wrapped = wrap(model)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    probe = actlab.Probe(wrapped, every=every).start() if every else None
    for x in batches([8] * steps, 1, 6, 6, seed=5):
        optimiser.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            loss = wrapped(x).square().mean()
        loss.backward()
        optimiser.step()
    if probe:
        probe.stop()
        assert len(probe.history) == math.ceil(steps / every)
        assert all(row.gradient_norm > 0 for report in probe.history for row in report)
    return [tensor.clone() for tensor in model.state_dict().values()] + [torch.get_rng_state()]


class Checkpointed(Mixed):
    def forward(self, x):
        x = checkpoint(self.block, F.gelu(self.stem(x)), use_reentrant=False)
        return self.head(self.act(self.hidden(self.drop(x).flatten(1))))


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (Mixed(), {}),
        (Mixed(), {"autocast": True}),
        (Checkpointed(), {}),
        (Mixed(), {"wrap": lambda model: torch.compile(model, backend="eager")}),
    ],
    ids=["plain", "bfloat16", "checkpointed", "compiled"],
)
def test_training_is_the_same_to_the_bit(model, options):
    plain = trained(model, **options)
    for every in (1, 4):
        assert all(torch.equal(a, b) for a, b in zip(plain, trained(model, every=every, **options), strict=True))


def test_training_with_fast_and_slim_layers_is_the_same_to_the_bit():
    model = Mixed()
    actlab.fast(model)
    slim = Mixed()
    actlab.slim_(slim, torch.zeros(2, 1, 6, 6))
    for net in (model, slim):
        assert all(torch.equal(a, b) for a, b in zip(trained(net), trained(net, every=2), strict=True))


@pytest.mark.parametrize("with_loss", [True, False])
def test_a_slim_model_is_measured_as_it_was_before(with_loss):
    torch.manual_seed(0)
    model, x = (
        nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 16), nn.SiLU(), nn.Linear(16, 2)),
        torch.randn(64, 8),
    )
    loss = (lambda output, _: output.square().mean()) if with_loss else None
    before = actlab.probe(model, [x], loss)
    changes = actlab.slim_(model, x)

    after = actlab.probe(model, [x], loss)

    assert {change.new for change in changes} == {"computed again inside the layer after it"}
    assert [row.name for row in after] == [row.name for row in before]
    for one, other in zip(before, after, strict=True):
        assert (one.dead, one.samples) == (other.dead, other.samples)
        assert one.gradient_norm == pytest.approx(other.gradient_norm, nan_ok=True)
        assert one.gradient_ratio == pytest.approx(other.gradient_ratio, nan_ok=True)


def test_between_samples_one_hook_is_there_and_afterwards_none():
    model = Mixed()
    before = attributes_of(model)
    hooks = []
    with actlab.Probe(model, every=3):
        for x in batches([2] * 4, 1, 6, 6):
            model(x).sum().backward()
            found = [(m, h) for m in model.modules() for h in (m._forward_hooks, m._forward_pre_hooks) if h]
            hooks.append(found)
    model.zero_grad()

    assert all(found == [(model, model._forward_pre_hooks)] or len(found) == 1 for found in hooks)
    assert [list(vars(module)) for module in model.modules()] == [list(held) for held, _ in before]
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._forward_hooks_always_called for m in model.modules())
    assert not torch.overrides._get_current_function_mode_stack()


def test_everything_is_taken_off_after_an_error():
    class Fails(nn.Module):
        def forward(self, x):
            raise RuntimeError(f"on purpose, with {x.shape}")

    model = nn.Sequential(nn.ReLU(), Fails())
    with pytest.raises(RuntimeError, match="on purpose"), actlab.Probe(model):
        model(torch.ones(2, 2))
    with pytest.raises(SiteError, match="on purpose"):
        actlab.probe(model, [torch.ones(2, 2)])

    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert not torch.overrides._get_current_function_mode_stack()


# ------------------------------------------------------------------------------------------ in training


def test_passes_in_training_are_counted_and_evaluation_is_not():
    net = mlp(nn.ReLU())
    steps = []
    with actlab.Probe(net, every=3, writer=lambda step, values: steps.append((step, values))) as probe:
        for _ in range(7):
            net(torch.ones(2, 6)).sum().backward()
            net.eval()
            net(torch.ones(5, 6))
            net.train()
            with torch.no_grad():
                net(torch.ones(5, 6))

    assert [report.step for report in probe.history] == [0, 3, 6]
    assert [step for step, _ in steps] == [0, 3, 6]
    assert steps[0][1]["1 after 0/sparsity"] == probe.history[0]["1"].sparsity
    assert probe.report()["1"].samples == 6
    assert probe.history[0]["1"].census is None


def test_the_sum_of_samples_is_the_probe_of_their_batches():
    net, data = mlp(nn.ReLU(), nn.Tanh()), batches([8, 16, 4], 6)
    with actlab.Probe(net, every=1) as probe:
        for batch in data:
            net(batch).square().sum().backward()
    summed, at_once = probe.report(), actlab.probe(net, data, lambda output, _: output.square().sum())

    for a, b in zip(summed, at_once, strict=True):
        for name, value in b.numbers().items():
            assert a.numbers()[name] == pytest.approx(value, rel=1e-4, abs=1e-7), name
        assert [STATES[state] for state in a.census.states] == [STATES[state] for state in b.census.states]


def test_losses_are_unscaled_and_overflow_is_counted_separately():
    class Scaler:
        def get_scale(self):
            return 1024.0

    net = mlp(nn.GELU())
    x = torch.ones(2, 6)
    with actlab.Probe(net, every=1) as plain:
        net(x).sum().backward()
    with actlab.Probe(net, every=1, scaler=Scaler()) as scaled:
        (net(x).sum() * 1024).backward()
        (net(x).sum() * math.inf).backward()

    assert scaled.history[0]["1"].gradient_norm == pytest.approx(plain.history[0]["1"].gradient_norm, rel=1e-6)
    assert scaled.report()["1"].gradient_norm == pytest.approx(plain.report()["1"].gradient_norm, rel=1e-6)
    assert scaled.report()["1"].overflowed == 1


def tensors_in(value):
    """Yield the tensors in the attributes of an object, and of its attributes."""
    if isinstance(value, torch.Tensor):
        yield value
    elif hasattr(value, "__dict__") and not isinstance(value, type):
        for attribute in vars(value).values():
            yield from tensors_in(attribute)


def test_memory_does_not_grow_with_the_data():
    def held(count):
        probe = actlab.Probe(mlp(nn.ReLU()), every=1).start()
        for x in batches([4] * count, 6):
            probe.model(x).sum().backward()
        probe.stop()
        return sum(t.untyped_storage().nbytes() for each in probe._total.by_point.values() for t in tensors_in(each))

    assert held(3) == held(30)


# ------------------------------------------------------------------------------------------------ errors


def test_settings_and_keyword_options_are_the_same():
    assert get_type_hints(ProbeSettings) == get_type_hints(ProbeOptions)

    net, data = mlp(nn.ReLU()), batches([8, 8], 6)
    by_record = actlab.probe(net, data, settings=ProbeSettings(batches=1, rank=False))
    by_keyword = actlab.probe(net, data, batches=1, rank=False)
    assert by_record.values() == by_keyword.values()
    assert actlab.probe(net, data, settings=ProbeSettings(batches=1, rank=False), batches=2)[0].batches == 2
    with pytest.raises(TypeError, match=r"unknown option 'batch'\. Did you mean 'batches'"):
        actlab.probe(net, data, batch=1)


def test_messages_say_what_to_try():
    net = mlp(nn.ReLU())
    with pytest.raises(SiteError, match="gave no batch"):
        actlab.probe(net, [])
    with pytest.raises(SiteError, match="inputs=lambda"):
        actlab.probe(net, [object()])
    with pytest.raises(SiteError, match="1 or more; got 0"):
        actlab.Probe(net, every=0)
    with pytest.raises(SiteError, match="DistributedDataParallel"):
        actlab.probe(nn.DataParallel(net), batches([2], 6))
    with pytest.raises(SiteError, match="requires_grad"):
        actlab.probe(net.requires_grad_(False), batches([2], 6), F.mse_loss)
    with pytest.raises(UnknownNameError, match="measured site"):
        actlab.probe(net, batches([2], 6))["2"]
    compiled = mlp(nn.ReLU())
    compiled.compile(backend="eager")
    with pytest.raises(SiteError, match=r"compiled = torch.compile\(model\)"):
        actlab.Probe(compiled)


def test_what_no_hook_reaches_is_named():
    report = actlab.probe(Recurrent(), batches([2], 4, 3))
    assert list(report.unseen) == ["lstm:sigmoid", "lstm:tanh"]
    assert [row.path for row in report] == ["forward:F.relu@1"]


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)

    def forward(self, x):
        return F.relu(self.lstm(x)[0])


def test_the_example_of_the_page_runs_as_it_stands():
    page = (Path(__file__).resolve().parents[3] / "docs" / "how_to" / "probe.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["relu 64 0.5 0.0", "[0, 10] 64", "vanish 36 -7.4"]
