"""Sites in fused, prepared and quantized nets are left with a reason; those that run on floats are not."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.ao import quantization
from torch.ao.nn import intrinsic
from torch.ao.quantization import quantize_fx

import actlab
from actlab.errors import SiteError

pytestmark = pytest.mark.filterwarnings("ignore")
X = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
ENGINE = next(e for e in ("fbgemm", "x86", "qnnpack", "onednn") if e in torch.backends.quantized.supported_engines)


class Net(nn.Module):
    """A convolution, its ReLU, further activations of their own, and a head in float."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.quant, self.dequant = quantization.QuantStub(), quantization.DeQuantStub()
        self.conv, self.relu = nn.Conv2d(3, 4, 3), nn.ReLU()
        self.second, self.act = nn.Conv2d(4, 2, 3), nn.Hardswish()
        self.head, self.gate, self.out = nn.Linear(2, 4), nn.SiLU(), nn.Linear(4, 2)
        self.head.qconfig = self.gate.qconfig = self.out.qconfig = None

    def forward(self, x):
        x = self.relu(self.conv(self.quant(x)))
        x = self.dequant(self.act(self.second(x))).mean((2, 3))
        return self.out(self.gate(self.head(x)))


def net():
    made = Net().eval()
    made.qconfig = quantization.get_default_qconfig(ENGINE)
    return made


def prepared(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = quantization.prepare(model)
        made(X)
    return made


def converted(model):
    return quantization.convert(prepared(model))


def reasons(model, *inputs):
    return {site.path: (site.reason or "").partition(",")[0] for site in actlab.find(model, *inputs)}


FUSED = "torch fused it with the layer before it for quantization"
PREPARED = "the net is prepared for quantization"
QUANTIZED = "the net is quantized"


@pytest.mark.parametrize("inputs", [(), (X,)])
def test_an_activation_inside_a_fused_module_is_left_and_the_rest_is_done(inputs):
    model = quantization.fuse_modules(net(), [["conv", "relu"]])
    assert reasons(model, *inputs) == {"conv.1": FUSED, "act": "", "gate": ""}
    plain = copy.deepcopy(model)

    changes = actlab.swap_(model, {"relu*": "leaky_relu(1)", "silu": "gelu", "conv*": "tanh"}, *inputs)

    assert [change.path for change in changes] == ["gate"]
    assert torch.equal(model.conv(X), plain.conv(X))


@pytest.mark.parametrize(
    "fused",
    [
        intrinsic.LinearReLU(nn.Linear(3, 3), nn.ReLU()),
        intrinsic.LinearTanh(nn.Linear(3, 3), nn.Tanh()),
        intrinsic.LinearLeakyReLU(nn.Linear(3, 3), nn.LeakyReLU()),
        intrinsic.ConvBnReLU2d(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.ReLU()),
        intrinsic.BNReLU2d(nn.BatchNorm2d(3), nn.ReLU()),
    ],
    ids=lambda module: type(module).__name__,
)
def test_every_fused_module_is_left(fused):
    model = nn.Sequential(fused, nn.GELU(), nn.Linear(3, 3)).eval()

    assert reasons(model) == {f"0.{len(fused) - 1}": FUSED, "1": ""}


def test_a_call_in_a_module_fused_for_training_is_left():
    model = Net().train()
    model.qconfig = quantization.get_default_qat_qconfig(ENGINE)
    model = quantization.prepare_qat(quantization.fuse_modules_qat(model, [["conv", "relu"]]))
    found = reasons(model, X)

    assert all(found.values())
    assert any(path.startswith("conv") for path in found)
    with pytest.raises(SiteError, match="Nothing could be replaced"):
        actlab.swap_(model, "gelu", X)


@pytest.mark.parametrize("inputs", [(), (X,)])
def test_a_prepared_net_is_left(inputs):
    assert set(reasons(prepared(net()), *inputs).values()) == {PREPARED, "it has hooks"}


def test_a_quantized_net_is_left_but_for_what_a_run_shows_on_floats():
    model = converted(net())
    want = model(X)
    assert set(reasons(model).values()) == {QUANTIZED}
    found = reasons(model, X)
    assert found.pop("gate") == ""
    assert all(found.values())

    changes = actlab.swap_(model, "gelu", X)
    assert [change.path for change in changes] == ["gate"]
    model(X)
    changes.undo()
    assert torch.equal(model(X), want)


@pytest.mark.parametrize("transform", [actlab.fast, actlab.slim_])
@pytest.mark.parametrize("inputs", [(), (X,)])
def test_fast_and_slim_leave_a_quantized_net_as_it_is(transform, inputs):
    model = converted(quantization.fuse_modules(net(), [["conv", "relu"]]))
    want = model(X)

    transform(model, *inputs)

    torch.testing.assert_close(model(X), want)


def test_a_graph_that_fx_quantizes_is_left():
    mapping = quantization.get_default_qconfig_mapping(ENGINE)
    graph = quantize_fx.prepare_fx(Net().eval(), mapping, (X,))
    graph(X)

    assert reasons(graph)["conv.1"] == FUSED
    assert {reason for path, reason in reasons(graph).items() if path != "conv.1"} == {PREPARED}
    assert all(reasons(quantize_fx.convert_fx(graph)).values())


def test_a_dynamically_quantized_net_computes_in_floats_between_its_layers():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.SiLU(), nn.Linear(4, 2))
    model = quantization.quantize_dynamic(model, {nn.Linear})
    x = torch.randn(3, 4)

    assert reasons(model) == {"1": "", "3": ""}
    actlab.swap_(model, "gelu", x)
    torch.testing.assert_close(model[:2](x), F.gelu(model[0](x)))
