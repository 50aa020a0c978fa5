"""Functions that engines really run, told from outputs: planted faults are named, and right engines conform."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch
from tests.export.conform.planted import INPUTS, Product, Rounded, Shared, Textbook, net
from torch import nn

import actlab
from actlab.errors import ExportError
from actlab.report.terminal.result import text

TANH_GELU = nn.GELU("tanh")
FAULTS = {
    "erf for tanh gelu": (nn.GELU("tanh"), nn.GELU(), "gelu"),
    "tanh for erf gelu": (nn.GELU(), nn.GELU("tanh"), "gelu_tanh"),
    "sigmoid for erf gelu": (nn.GELU(), "gelu_sigmoid", "gelu_sigmoid"),
    "hard swish for swish": (nn.SiLU(), nn.Hardswish(), "hardswish"),
    "swish for hard swish": (nn.Hardswish(), nn.SiLU(), "silu"),
    "another slope": (nn.LeakyReLU(0.02), nn.LeakyReLU(0.01), "leaky_relu"),
    "an unusual slope": (nn.LeakyReLU(0.02), nn.LeakyReLU(0.0137), "leaky_relu(negative_slope=0.0137)"),
    "a learned slope at its start": ("prelu(weight=learned(0.1))", nn.PReLU(init=0.25), "prelu(weight=0.25)"),
    "another alpha": (nn.ELU(0.5), nn.ELU(), "elu"),
    "another slope of the hard sigmoid": (nn.Hardsigmoid(), "keras_hard_sigmoid", "keras_hard_sigmoid"),
    "a far function of the catalogue": (nn.ReLU(), "phish", "phish"),
    "no activation at all": (nn.Tanh(), nn.Identity(), "identity"),
    "another half as the gate": (nn.GLU(), actlab.layer("glu", gate="first"), "glu with the halves swapped"),
    "another gate": ("swiglu", "geglu", "geglu"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_function_that_runs_everywhere_is_named(name):
    trained, ran, expected = FAULTS[name]
    report = actlab.conform(net(trained, trained), net(ran, ran), INPUTS)
    found = set(report.changed.values())
    assert report.verdict == "differs"
    assert found == {expected} or {actlab.parse(each).numbers == actlab.parse(expected).numbers for each in found} == {
        True
    }
    assert report.found.largest < 1e-5 < report.trained.largest
    assert report.explained > 0.9999


def test_a_limit_that_the_examples_never_reach_shows_at_larger_inputs():
    report = actlab.conform(net("relu6", "relu6"), net("relu", "relu"), INPUTS / 4)
    assert report.verdict == "differs"
    assert report.trained.largest < 1e-6
    assert {(site.found, site.what[:15], site.scale > 1) for site in report.sites} == {
        ("relu", "its upper limit", True)
    }
    assert "the examples do not show it" in text(report)


def test_without_larger_inputs_the_report_says_what_the_examples_cannot_tell():
    report = actlab.conform(net("relu6"), net("relu"), INPUTS / 4, beyond=False)
    assert report.conforms
    [undecided] = report.sites[0].undecided
    assert undecided.spec == "relu"
    assert undecided.low is None
    assert 6 <= undecided.high < 6.2
    assert "the example inputs times" in str(undecided)


def test_one_site_of_three_is_named_alone():
    report = actlab.conform(net(*["gelu_tanh"] * 3), net("gelu_tanh", "gelu", "gelu_tanh"), INPUTS)
    assert report.changed == {"3": "gelu"}


def test_different_replacements_at_different_functions_are_named():
    report = actlab.conform(net("relu", "silu", "elu"), net("relu", "hardswish", "elu(alpha=0.5)"), INPUTS)
    assert report.changed == {"3": "hardswish", "5": "elu(alpha=0.5)"}


def test_one_call_of_a_shared_activation_is_named():
    report = actlab.conform(Shared(), Shared(1e9), INPUTS)
    assert report.changed == {"act, call 2": "relu"}


def test_the_other_factor_of_a_written_product_as_the_gate_is_named():
    report = actlab.conform(Product(), Product(swapped=True), INPUTS)
    assert list(report.changed.values()) == ["silu of the other factor"]


@pytest.mark.parametrize(
    ("trained", "ran", "changed"),
    [
        ([nn.Softmax(-1)], [], {"3": "identity"}),
        ([], [nn.Softmax(-1)], {"output 0": "softmax"}),
        ([nn.Softmax(-1)], [nn.LogSoftmax(-1)], {"3": "log_softmax"}),
        ([nn.Sigmoid()], [nn.Tanh()], {"3": "tanh"}),
    ],
    ids=["softmax left out", "softmax put in", "log", "tanh for sigmoid"],
)
def test_what_is_done_to_the_output_is_named(trained, ran, changed):
    assert actlab.conform(net("relu", last=trained), net("relu", last=ran), INPUTS).changed == changed


def test_swapped_probabilities_of_two_classes_are_named_as_emlearn_0_23_2_swaps_them():
    model = net("relu", outputs=2, last=[nn.Softmax(-1)])
    assert actlab.conform(model, lambda x: model(x).flip(-1), INPUTS).changed == {"3": "softmax in the reverse order"}


def test_the_textbook_form_of_softplus_is_named_where_it_overflows():
    model, engine = net(nn.Softplus()), net(Textbook())
    report = actlab.conform(model, engine, INPUTS * 100)
    assert report.changed == {"1": "softplus in its textbook form"}
    assert report.trained.largest == float("inf")
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["trained"]["largest"] == "inf"


@pytest.mark.parametrize(
    ("trained", "ran", "changed"),
    [
        ("relu6", "relu6", {}),
        ("silu", "silu", {}),
        ("silu", "hardswish", {"1": "hardswish", "3": "hardswish"}),
        ("leaky_relu(0.2)", "leaky_relu(0.02)", dict.fromkeys("13", "leaky_relu(negative_slope=0.02)")),
        (TANH_GELU, nn.GELU(), {}),
    ],
)
def test_a_quantised_engine_is_judged_by_its_noise(trained, ran, changed):
    report = actlab.conform(net(trained, trained), Rounded(net(ran, ran)), INPUTS)
    assert report.quantised
    assert report.step > 0
    assert report.changed == changed


@pytest.mark.parametrize(("ran", "changed"), [("silu", {}), ("hardswish", {"1": "hardswish", "3": "hardswish"})])
def test_an_engine_in_bfloat16_is_judged_by_its_noise_as_openvino_2026_4_1_is_on_some_cpus(ran, changed):
    engine = net(ran, ran).bfloat16()
    report = actlab.conform(net("silu", "silu"), lambda x: engine(x.bfloat16()), INPUTS)
    assert report.changed == changed
    assert report.quantised
    assert "as a runtime in half precision does" in report.notes[0]


def test_two_functions_below_the_steps_of_a_quantised_engine_are_not_told_apart():
    report = actlab.conform(net(TANH_GELU), Rounded(net(nn.GELU())), INPUTS)
    assert report.conforms
    assert "gelu" in [undecided.spec for undecided in report.sites[0].undecided]


def test_nan_that_an_engine_swallows_is_named_as_openvino_2026_4_1_does_with_relu():
    class Swallowing(nn.Module):
        def forward(self, x):
            return torch.nan_to_num(torch.relu(x), 0.0)

    x = INPUTS.clone()
    x[3, 2] = float("nan")
    report = actlab.conform(net("relu"), net(Swallowing()), x)
    assert report.changed == {"1": "relu with 0 for NaN"}
    assert report.trained.largest == float("inf")


def test_a_stochastic_function_is_its_mean():
    model = net("rrelu")
    assert actlab.conform(model, net(nn.LeakyReLU((1 / 8 + 1 / 3) / 2)), INPUTS).conforms
    assert actlab.conform(model, net(nn.LeakyReLU()), INPUTS).changed == {"1": "leaky_relu"}


class Images(nn.Module):
    """A net with a norm, an activation in place, a functional call and a pool."""

    def __init__(self, act):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm, self.relu = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True)
        self.second, self.last, self.act = nn.Conv2d(4, 4, 3), nn.Linear(64, 5), act

    def forward(self, x):
        h = self.act(self.second(self.relu(self.norm(self.conv(x)))))
        return nn.functional.log_softmax(self.last(nn.functional.max_pool2d(h, 2).flatten(1)), -1)


def test_a_convolutional_net_with_calls_and_changes_in_place_is_searched_too():
    x = torch.randn(8, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    relu, silu = nn.functional.relu, nn.functional.silu
    assert actlab.conform(Images(relu), Images(relu), x).conforms
    assert actlab.conform(Images(relu), Images(silu), x).changed == {"act": "silu"}


def test_torchs_own_fused_encoder_layer_runs_the_erf_form_of_gelu_in_eval_mode():
    def encoder(act):
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, activation=act, batch_first=True)
        return nn.Sequential(layer, nn.Linear(8, 3)).eval()

    x = torch.randn(4, 5, 8, generator=torch.Generator().manual_seed(0))
    model = encoder(nn.GELU("tanh"))  # torch 2.13.0: findings/torch_transformer_layer_tanh_gelu.sh
    report = actlab.conform(model, encoder(nn.GELU("tanh")), x)
    assert report.changed == {"0.activation": "gelu"}
    assert any("softmax: not tried" in note for note in report.notes)


def test_tokens_named_inputs_and_whole_numbers_in_the_outputs_are_taken():
    class Tokens(nn.Module):
        def __init__(self, act):
            super().__init__()
            torch.manual_seed(0)
            self.table, self.inner, self.act, self.last = (
                nn.Embedding(20, 8),
                nn.Linear(8, 8),
                actlab.layer(act),
                nn.Linear(8, 4),
            )

        def forward(self, tokens, scale):
            return {"y": self.last(self.act(self.inner(self.table(tokens)) * scale)), "sum": tokens.sum(1)}

    x = {"tokens": torch.arange(48).reshape(8, 6) % 20, "scale": torch.full((8, 6, 1), 3.0)}
    assert actlab.conform(Tokens("mish"), Tokens("mish"), x).conforms
    assert actlab.conform(Tokens("mish"), Tokens("silu"), x).changed == {"act": "silu"}


def test_other_weights_are_explained_by_no_function():
    engine = net("relu", "relu")
    with torch.no_grad():
        engine[0].weight += 0.1 * torch.randn(16, 8, generator=torch.Generator().manual_seed(3))
    report = actlab.conform(net("relu", "relu"), engine, INPUTS)
    assert report.verdict == "unexplained"
    assert report.changed == {}
    assert "No function that was tried explains the engine's outputs" in report.notes[0]
    assert "computes something else" in text(report)


def test_the_cost_is_that_of_the_users_metric_and_that_of_the_found_function():
    model, engine = net("silu"), net("hardswish")
    targets = model(INPUTS).detach()
    report = actlab.conform(model, engine, INPUTS, targets=targets, metric=lambda y, t: float((y - t).abs().max()))
    first = report.costs[0]
    assert first.model == 0
    assert first.engine > 1e-3
    assert first.found == pytest.approx(first.engine, rel=1e-4)
    assert [cost.metric for cost in actlab.conform(model, engine, INPUTS, targets=torch.zeros(96).long()).costs] == [
        "accuracy", "same class as the model",
    ]  # fmt: skip


def test_the_files_of_our_own_export_conform(tmp_path):
    model = nn.Sequential(*net(TANH_GELU, "mish", "relu6"), nn.Softmax(-1))
    for name in ("net.onnx", "net.c"):
        actlab.export(model, INPUTS, tmp_path / name)
    for engine in ("net.onnx", "net"):
        report = actlab.conform(model, tmp_path / engine, INPUTS)
        assert report.conforms, engine
        assert not report.changed
        assert not [each for site in report.sites for each in site.undecided if each.spec == "relu"]


def test_an_int8_project_conforms_by_the_step_that_its_header_states(tmp_path):
    model = net("gelu_tanh", "silu")
    actlab.export(model, INPUTS, tmp_path / "net", to="int8")
    report = actlab.conform(model, tmp_path / "net", INPUTS)
    assert report.conforms
    assert 1e-4 < report.step < 0.1
    assert report.trained.largest < 16 * report.step
    assert actlab.conform(net("gelu_tanh", "relu"), tmp_path / "net", INPUTS).changed.keys() == {"3"}


def test_saved_outputs_are_read_without_pickles(tmp_path):
    model = net("leaky_relu")
    outputs = net("leaky_relu(0.1)")(INPUTS).detach().numpy()
    np.save(tmp_path / "out.npy", outputs)
    np.savez(tmp_path / "out.npz", first=outputs)
    for name in ("out.npy", "out.npz"):
        report = actlab.conform(model, tmp_path / name, INPUTS)
        assert report.changed == {"1": "leaky_relu(negative_slope=0.1)"}
    np.save(tmp_path / "pickled.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(ExportError, match="without pickles"):
        actlab.conform(model, tmp_path / "pickled.npy", INPUTS)


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ("nowhere.onnx", "There is no engine nowhere.onnx"),
        (7, "The engine is a int"),
        (lambda _: "text", "hold no numbers"),
        (lambda _: 1 / 0, "raised on example_inputs: ZeroDivisionError"),
        (np.zeros((95, 3)), r"has the shape \(95, 3\), and the model's \(96, 3\)"),
        ((np.zeros((96, 3)), np.zeros(96)), "has 2 outputs, and the model 1"),
    ],
    ids=["no file", "no engine", "no numbers", "raises", "shape", "number of outputs"],
)
def test_what_is_no_engine_of_the_model_is_refused(engine, message):
    with pytest.raises(ExportError, match=message):
        actlab.conform(net("relu"), engine, INPUTS)


@pytest.mark.parametrize("name", ["bad.onnx", "bad.npz", "bad.npy"])
def test_damaged_files_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04 no such file")
    with pytest.raises(ExportError, match=r"cannot (be read|load)"):
        actlab.conform(net("relu"), tmp_path / name, INPUTS)


def test_a_runtime_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    (tmp_path / "net.onnx").write_bytes(b"")
    with pytest.raises(ExportError, match="openvino is not installed: pip install"):
        actlab.conform(net("relu"), tmp_path / "net.onnx", INPUTS, runtime="openvino")
    with pytest.raises(ExportError, match="There is no runtime 'tensorrt'"):
        actlab.conform(net("relu"), tmp_path / "net.onnx", INPUTS, runtime="tensorrt")


def test_a_folder_without_a_project_is_refused(tmp_path):
    with pytest.raises(ExportError, match="holds no C project"):
        actlab.conform(net("relu"), tmp_path, INPUTS)


def test_the_model_is_as_it_was_and_generators_too():
    model = net(nn.ReLU(inplace=True), "swish(beta=learned)").train()
    parts, state = list(model), torch.get_rng_state()
    actlab.conform(model, net("gelu", "silu"), INPUTS)
    assert list(model) == parts
    assert model.training
    assert parts[1].training
    assert torch.equal(torch.get_rng_state(), state)


def test_a_limit_of_a_function_that_is_no_near_relative_shows_at_larger_inputs():
    report = actlab.conform(net("relu"), net("clipped_gelu"), INPUTS / 2)
    assert set(report.changed.values()) == {"clipped_gelu"}
    assert report.sites[0].scale > 1
