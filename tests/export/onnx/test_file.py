"""ONNX files of whole models: the activations in them, their outputs, and what stays as it was."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import sympy
import torch
import torch.nn.functional as F
from torch import nn

import actlab
from actlab import layer
from actlab.codegen.onnx.program import Settings
from actlab.export.capture.formulas import Formulas
from actlab.export.onnx.check import special_values
from actlab.functions.activation import get, names
from actlab.functions.formula import sigmoid
from actlab.functions.grammar import parse
from actlab.report.terminal.result import text

ROWS = 5


class Net(nn.Module):
    """One activation of each kind, as layers of ActLab, modules of torch and functions."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 8)
        self.mish, self.learned, self.gated = layer("mish"), layer("swish(beta=learned)"), layer("swiglu")
        self.norm, self.per_channel = nn.BatchNorm1d(4), layer("prelu(weight=learned_per_channel)", channels=4)
        self.step, self.noisy = layer("step/rect"), layer("rrelu")
        self.last = actlab.ActLinear("gelu", nn.Linear(4, 4))
        self.torch_mish = nn.Mish()

    def forward(self, x):
        h = self.gated(self.second(self.learned(self.mish(self.first(x)))))
        h = self.norm(self.torch_mish(h))
        return {
            "main": self.last(self.per_channel(h)),
            "rrelu": F.rrelu(torch.full_like(h, -1.0)),
            "layer": self.noisy(h) + self.step(h),
            "logaddexp": torch.logaddexp(100 * h, torch.zeros_like(h)),
            "logsigmoid": torch.log(torch.sigmoid(h - 30)) + F.logsigmoid(h - 18),
            "elu": F.elu(1e-8 * h) + torch.log1p(1e-8 * h),
            "tails": torch.special.log_ndtr(h - 14),
            "glu": F.glu(h) + F.softplus(h[:, :2]),
            "heads": F.softmax(torch.tensor([2.0, 0.0]) + 0 * h[:, :2], -1),
            "log": F.log_softmax(torch.tensor([0.0, -200.0]) + 0 * h[:, :2], -1),
        }


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    torch.manual_seed(0)
    model, path = Net(), tmp_path_factory.mktemp("onnx") / "net.onnx"
    errors = np.geterr()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    report = actlab.export(model, torch.randn(ROWS, 4), path)
    return model, path, report, errors, state


def test_the_file_computes_the_model_on_the_traced_and_on_another_batch_size(exported):
    _, _, report, *_ = exported
    assert [(each.batch, each.traced) for each in report.differences] == [(5, True), (8, False)]
    assert max(each.relative for each in report.differences) < 1e-6


def test_every_output_is_right_relative_to_itself_at_a_third_batch_size(exported):
    model, path, *_ = exported
    x = torch.randn(11, 4)
    with torch.no_grad():
        wanted = list(model.double().eval()(x.double()).values())
    model.float().train()
    session = onnxruntime.InferenceSession(path)
    for want, got in zip(wanted, session.run(None, {session.get_inputs()[0].name: x.numpy()}), strict=True):
        np.testing.assert_allclose(got, want.numpy(), rtol=2e-4, atol=1e-12)


def test_the_mean_of_rrelu_and_the_output_heads_are_in_the_file(exported):
    _, path, *_ = exported
    session = onnxruntime.InferenceSession(path)
    got = session.run(None, {session.get_inputs()[0].name: np.zeros((1, 4), np.float32)})
    assert got[1] == pytest.approx(-0.2291667)
    assert got[8].tolist() == [pytest.approx([0.8808, 0.1192], abs=1e-4)]  # in that order
    assert got[9].tolist() == [[0.0, -200.0]]


def test_batch_sizes_agree_to_rounding(exported):
    _, path, *_ = exported
    session = onnxruntime.InferenceSession(path)
    x = np.random.default_rng(0).standard_normal((64, 4)).astype(np.float32)
    whole, one = (session.run(None, {session.get_inputs()[0].name: part})[0] for part in (x, x[:1]))
    np.testing.assert_allclose(whole[:1], one, rtol=2e-5, atol=1e-6)


def test_the_report_names_sites_functions_and_operators(exported):
    *_, report, _, _ = exported
    by_site = {each.site: each for each in report.activations}
    assert by_site["mish"].spec == by_site["torch_mish"].spec == "mish"
    assert by_site["learned"].spec == "swish(beta=learned)"
    assert by_site["step"].spec == "step"
    assert by_site["last.activation"].spec == "gelu"
    assert "Softplus" not in by_site["torch_mish"].operators


def test_where_the_file_differs_at_infinity_is_reported(exported):
    *_, report, _, _ = exported
    assert not [value for value in report.special_values if value.spec != "gelu"]  # torch's own is NaN at infinity
    x, formulas = sympy.Symbol("x", real=True), Formulas()
    formulas.of_expression("swish", x * sigmoid(x), [x], parse("swish"))  # 0 times infinity
    assert [str(value) for value in special_values(formulas, Settings())] == [
        "swish(-inf) is nan in the file, -0 in the model"
    ]


def test_the_report_is_printed_and_is_json(exported):
    *_, report, _, _ = exported
    assert "Largest difference from the model on a batch of 8" in text(report)
    assert json.loads(json.dumps(report.to_dict()))["opset"] == 18


def test_the_model_its_mode_and_the_process_stay_as_they_were(exported):
    model, _, _, errors, state = exported
    assert model.training
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in state.items())
    assert torch.equal(model.mish(torch.ones(1)), F.mish(torch.ones(1)))
    assert np.geterr() == errors


def test_the_file_is_valid_and_has_one_domain_at_the_stated_opset(exported):
    _, path, report, *_ = exported
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 18)]
    assert len(model.graph.node) == report.nodes


def test_the_file_holds_no_paths_of_the_machine(exported):
    _, path, *_ = exported
    assert str(__file__).encode() not in path.read_bytes()
    assert b"site-packages" not in path.read_bytes()


def test_one_example_given_by_name_gives_a_file_for_any_batch(tmp_path):
    class Scaled(nn.Module):
        def forward(self, x, factor):
            return factor * F.silu(x)

    inputs = {"x": torch.randn(1, 3), "factor": torch.randn(1, 3)}
    report = actlab.export(Scaled(), inputs, tmp_path / "net.onnx", opset=20, prefer="speed")
    assert [each.batch for each in report.differences] == [1, 4]
    assert report.activations[0].operators == "Mul, Sigmoid"


def test_inputs_of_a_list_of_arguments_have_a_free_batch(tmp_path):
    class Sum(nn.Module):
        def forward(self, x, *others, scale=None):
            return sum(others, x) * scale

    report = actlab.export(Sum(), {"x": torch.ones(4, 3), "scale": torch.ones(4, 1)}, tmp_path / "a.onnx")
    assert [each.batch for each in report.differences] == [4, 7]
    mixing = next(name for name in names("vector") if get(name).mixes_tokens)
    inputs = (torch.ones(2, 5, 8),) * len(get(mixing).inputs)
    report = actlab.export(layer(mixing), inputs, tmp_path / "b.onnx")
    assert [each.batch for each in report.differences] == [2, 5]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_half_precision_and_float64_keep_their_dtype(tmp_path, dtype):
    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.act = nn.Linear(4, 4), layer("gelu")

        def forward(self, x, scores):
            return self.act(self.linear(x)), torch.softmax(scores, -1), torch.softmax(scores, -1, dtype=torch.float32)

    inputs = (torch.randn(3, 4, dtype=dtype), torch.zeros(3, 70_000, dtype=dtype))
    actlab.export(Heads().to(dtype), inputs, tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    feed = dict(zip((each.name for each in session.get_inputs()), (each.numpy() for each in inputs), strict=True))
    act, scores, upcast = session.run(None, feed)
    assert act.dtype == scores.dtype == np.dtype(str(dtype).removeprefix("torch."))
    assert upcast.astype(np.float64).sum(-1) == pytest.approx(1, abs=1e-3)
    order = [
        node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node if node.op_type in {"Cast", "Softmax"}
    ]
    assert dtype == torch.float64 or order.index("Cast") < order.index("Softmax")


class _All(nn.Module):
    """All activations of some names, side by side."""

    def __init__(self, chosen):
        super().__init__()
        self.acts = nn.ModuleDict({name: layer(name) for name in chosen})

    def forward(self, x):
        roles = (x, x.flip(-1), 2 * x, x - 1)
        inputs = {name: roles[: len(get(name).inputs) if get(name).mixes_tokens else 1] for name in self.acts}
        return tuple(act(*inputs[name]) for name, act in self.acts.items())


@pytest.mark.slow
@pytest.mark.parametrize("part", range(6))
def test_vector_and_stochastic_entries_are_exported_as_tensor_code(tmp_path, part):
    chosen = [*names("vector"), *names("stochastic")][part::6]
    report = actlab.export(_All(chosen), torch.randn(5, 6, 8), tmp_path / "net.onnx")
    assert report.largest < 1e-4
