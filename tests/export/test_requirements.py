"""What exported activations must get right, one test for each requirement, with its values.

Each names the runtime and the version in which the value was seen to be lost, and the test holds our ONNX file (in onnxruntime) and our C
project to it. Where that runtime is not installed, the guard in the exported file itself is tested.
"""

from __future__ import annotations

import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from onnx.reference import ReferenceEvaluator
from torch import nn

import actlab
from actlab.codegen.int8.table import int8_table
from actlab.export.c99 import examples as c_examples
from actlab.export.conform.c_project import compiled_project
from actlab.export.net.pieces import unreached
from actlab.export.net.read import read_net
from actlab.export.support.target import target

DOCS = Path(__file__).parents[2] / "docs"
POINTS = (-3.0, -2.71, 2.71)
BATCHES = ("elu", "softplus", "mish", "sine", "log", "arctan")


class Functions(nn.Module):
    """Functions of a column of numbers, one output each; those that the C project has too."""

    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleDict(
            {
                "logsigmoid": nn.LogSigmoid(), "elu": nn.ELU(), "silu": nn.SiLU(), "tanh_gelu": nn.GELU("tanh"), "erf_gelu": nn.GELU(),
                "relu6": nn.ReLU6(), "relu": nn.ReLU(), "softplus": nn.Softplus(), "rrelu": actlab.layer("rrelu"), "mish": nn.Mish(),
                "sine": actlab.layer("sine"), "arctan": actlab.layer("arctan"),
            }
        )  # fmt: skip

    def forward(self, x):
        outputs = {name: part(x) for name, part in self.parts.items()}
        outputs["relu_of_tanh"] = F.relu(torch.tanh(x))
        pair = torch.cat([x, 0 * x], 1)
        outputs["softmax"], outputs["log_softmax"] = F.softmax(pair, -1), F.log_softmax(pair, -1)
        return outputs


class More(Functions):
    """Further functions, which only the ONNX file has."""

    def forward(self, x):
        outputs = super().forward(x)
        outputs["logaddexp"] = torch.logaddexp(x, torch.zeros_like(x))
        outputs["log1p"], outputs["log_ndtr"] = torch.log1p(x), torch.special.log_ndtr(x)
        outputs["log_of_sigmoid"] = torch.log(torch.sigmoid(x))
        outputs["functional_rrelu"] = F.rrelu(x)
        outputs["log"] = torch.log(x)
        return outputs


INPUTS = torch.linspace(0.1, 3, 6).reshape(-1, 1)


@pytest.fixture(scope="module")
def before():
    return np.geterr()


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory, before):
    model, path = More(), tmp_path_factory.mktemp("onnx") / "net.onnx"
    report = actlab.export(model, INPUTS, path)
    session = onnxruntime.InferenceSession(path)
    names = list(model(INPUTS))

    def run(*numbers):
        x = np.array(numbers, dtype=np.float32).reshape(-1, 1)
        return dict(zip(names, session.run(None, {session.get_inputs()[0].name: x}), strict=True))

    run.report, run.graph = report, onnx.load(path).graph
    return run


@pytest.fixture(scope="module")
def c_project(tmp_path_factory, before):
    model, path = Functions(), tmp_path_factory.mktemp("c") / "net.c"
    report = actlab.export(model, INPUTS, path)
    folder = Path(report.path)
    call = compiled_project(folder).run
    names = list(model(INPUTS))

    def run(*numbers):
        x = torch.tensor(numbers, dtype=torch.float32).reshape(-1, 1)
        return dict(zip(names, call(((x,), {})), strict=True))

    run.folder = folder
    return run


@pytest.fixture(scope="module")
def both(onnx_file, c_project):
    return onnx_file, c_project


def value(run, name, x):
    return float(run(x)[name].reshape(-1)[0])


def test_1_stable_forms_are_right_relative_to_themselves(onnx_file, both):
    """torch 2.13.0's exporter writes textbook formulas: infinite, 0 or NaN in the tails."""
    for run in both:
        assert value(run, "logsigmoid", -18) == pytest.approx(-18.0000000152, rel=1e-7)
        assert value(run, "elu", -1e-8) == pytest.approx(-1e-8, rel=1e-6)
    assert value(onnx_file, "logaddexp", 89) == 89
    assert value(onnx_file, "log1p", 1e-8) == pytest.approx(1e-8, rel=1e-6)
    assert value(onnx_file, "log_ndtr", -14) == pytest.approx(-101.563, rel=1e-5)


def test_2_nothing_relies_on_the_tail_of_onnxruntimes_sigmoid(onnx_file, both):
    """onnxruntime 1.31.1 and 1.32.0: Sigmoid is exactly 0 from -18 on."""
    for run in both:
        assert value(run, "silu", -20) == pytest.approx(-4.1223e-8, rel=1e-4)
    assert value(onnx_file, "log_of_sigmoid", -30) == pytest.approx(-30, rel=1e-6)


def test_3_near_twins_are_told_apart_after_lowering(both):
    """executorch 1.5.1: the XNNPACK delegate computes the erf form for the tanh form."""
    for run in both:
        assert value(run, "tanh_gelu", -3) == pytest.approx(-0.0036374, abs=1e-7)
        assert value(run, "erf_gelu", -3) == pytest.approx(-0.0040497, abs=1e-7)
        for x in POINTS:
            tanh = x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
            erf = x / 2 * (1 + math.erf(x / math.sqrt(2)))
            assert abs(tanh - erf) > 1e-5
            assert value(run, "tanh_gelu", x) == pytest.approx(tanh, abs=1e-6)
            assert value(run, "erf_gelu", x) == pytest.approx(erf, abs=1e-6)


def test_4_limits_are_kept_and_test_vectors_reach_every_piece(both):
    """emlearn 0.23.2 writes ReLU6 as ReLU, and of an activation inside a layer and one after it keeps the last."""
    for run in both:
        assert value(run, "relu6", 7) == 6
        assert value(run, "relu_of_tanh", 2) == pytest.approx(0.9640, abs=5e-5)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU6(), nn.Linear(4, 2, bias=False), nn.Hardswish())
    model[2].weight.data = torch.tensor([[1.0, 1.0, 1.0, 1.0], [-1.0, -1.0, -1.0, -1.0]])
    examples = ((0.1 * torch.randn(8, 2, generator=torch.Generator().manual_seed(0)),), {})
    net = read_net(model, *examples[0])
    assert unreached(net, c_examples.arrays_of(examples, net.inputs)) == ["1", "3"]
    assert unreached(net, c_examples.test_vectors(model, examples, net.inputs, 8, net)[0]) == []


def test_5_c99_calls_no_library_and_states_what_keeps_the_bits(c_project, tmp_path):
    """newlib 3.3 and gcc-arm-none-eabi 12.2: expf differs between Cortex-M3 and M7, and without -std=c99 GCC fuses a * b + c."""
    text = "".join(file.read_text() for file in c_project.folder.glob("net.[ch]"))
    assert "math.h" not in text
    makefile = (c_project.folder / "Makefile").read_text()
    assert "-std=c99" in makefile
    assert "-ffp-contract=off" in makefile
    built = tmp_path / "net.o"
    flags = ["-std=c99", "-O2", "-ffp-contract=off", "-c"]
    assert not _undefined("gcc", "nm", [*flags, c_project.folder / "net.c", "-o", built], built) - {
        "memcpy",
        "memset",
        "memmove",
    }


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="the cross compiler is not installed")
def test_5_the_files_compile_for_cores_with_and_without_floating_point(c_project, tmp_path):
    for core in (["-mcpu=cortex-m3"], ["-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"]):
        flags = [
            "-mthumb",
            *core,
            "-std=c99",
            "-ffp-contract=off",
            "-O2",
            "-c",
            c_project.folder / "net.c",
            "-o",
            tmp_path / "net.o",
        ]
        called = _undefined("arm-none-eabi-gcc", "arm-none-eabi-nm", flags, tmp_path / "net.o")
        assert not [name for name in called if name.rstrip("f") in {"exp", "log", "tanh", "erf", "sin", "pow"}]


def _undefined(compiler, lister, flags, built):
    """Return the names that a compiled file takes from elsewhere."""
    subprocess.run([compiler, *flags], check=True)
    listed = subprocess.run([lister, "-u", built], capture_output=True, text=True, check=True).stdout.split()
    return {name for name in listed if name not in {"U", "_GLOBAL_OFFSET_TABLE_"}}


def test_6_softmax_of_half_precision_is_computed_in_float32(tmp_path):
    """torch 2.13.0's exporter writes Softmax in float16 and the Cast after it; onnxruntime's CPU provider hides that."""
    model = nn.Sequential(nn.Softmax(-1)).half()
    actlab.export(model, torch.zeros(1, 70_000, dtype=torch.float16), tmp_path / "half.onnx")
    file = onnx.load(tmp_path / "half.onnx")
    operators = [node.op_type for node in file.graph.node]
    assert operators.index("Cast") < operators.index("Softmax")
    reference = ReferenceEvaluator(file)
    scores = reference.run(None, {reference.input_names[0]: np.zeros((1, 70_000), dtype=np.float16)})[0]
    assert scores.astype(np.float64).sum() == pytest.approx(1, abs=5e-3)


def test_7_int8_codes_are_divided_and_rounded_half_to_even_in_float64():
    """onnxruntime 1.31.1's QLinearLeakyRelu; and without VNNI its products of uint8 and int8 saturate in 16 bits."""
    table = int8_table("leaky_relu(0.5)", input_scale=0.1, input_zero=0, output_scale=0.1, output_zero=0)
    assert [int(table[code + 128]) for code in (-1, -3, 0, 127)] == [0, -2, 0, 127]
    halves = int8_table("identity", input_scale=0.5, input_zero=0, output_scale=1.0, output_zero=0)
    assert [int(halves[code + 128]) for code in (1, 3, 5, -1, -3)] == [0, 2, 2, 0, -2]
    assert any("VNNI" in note for note in target("onnxruntime").notes)


def test_8_the_reference_is_float64_and_not_onnxs_evaluator(both):
    """onnx 1.23.2's ReferenceEvaluator gives -inf for log_softmax([0, -200])."""
    for run in both:
        got = run(200.0)["log_softmax"].reshape(-1)
        assert got.tolist() == [0, -200]


def test_9_nan_stays_nan_and_where_it_does_not_is_named(onnx_file, both):
    """OpenVINO 2026.4.1: Relu(NaN) and Clip(NaN) are 0."""
    for run in both:
        got = run(float("nan"))
        assert [name for name, y in got.items() if not np.isnan(y).all()] == []
    assert not [each for each in onnx_file.report.special_values if each.spec in {"relu", "relu6"}]
    assert "OpenVINO answers 0 for `Relu(NaN)`" in (DOCS / "how_to" / "export.md").read_text(encoding="utf-8")


def test_10_softplus_has_a_floor_of_zero_in_the_file(onnx_file, both):
    """OpenVINO 2026.4.1: Softplus is down to -1.9e-6 between -31.5 and -17.6."""
    x = np.linspace(-31.5, -17.6, 500)
    for run in both:
        assert run(*x)["softplus"].min() >= 0
    assert "Softplus" not in {node.op_type for node in onnx_file.graph.node}
    assert "Max" in {node.op_type for node in onnx_file.graph.node}


def test_11_float64_stays_float64(tmp_path):
    """onnxruntime 1.32.0 has no float64 kernel for Gelu(erf), Elu, Selu, Softplus, HardSwish, Erf; Mish at opset 18 but not at 22."""
    model = nn.Sequential(nn.GELU(), nn.Identity()).double()
    report = actlab.export(model, torch.ones(2, 1, dtype=torch.float64), tmp_path / "double.onnx")
    assert report.activations[0].dtype == "float64"
    session = onnxruntime.InferenceSession(tmp_path / "double.onnx")
    got = session.run(None, {session.get_inputs()[0].name: np.ones((1, 1))})[0]
    assert got.dtype == np.float64
    assert float(got[0, 0]) == pytest.approx(0.8413447460685429, rel=1e-15)


def test_12_operators_are_those_that_the_runtime_has_kernels_for(tmp_path, onnx_file):
    """onnxruntime 1.31.1 fuses silu into QuickGelu and has a kernel of Gelu; Swish exists since opset 24 and has none."""
    file, optimised = tmp_path / "net.onnx", tmp_path / "optimised.onnx"
    actlab.export(nn.Sequential(nn.SiLU(), nn.GELU()), torch.zeros(2, 4), file, prefer="speed", opset=20)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(optimised), 4
    onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    assert [node.op_type for node in onnx.load(optimised).graph.node] == ["QuickGelu", "Gelu"]
    assert "Swish" not in {node.op_type for node in onnx_file.graph.node}
    assert onnx_file.report.opset == 18


def test_13_stochastic_functions_are_their_mean(onnx_file, both):
    """torch 2.13.0's exporter cannot export F.rrelu, even in eval mode."""
    for run in both:
        assert value(run, "rrelu", -1) == pytest.approx(-0.2291667, abs=1e-6)
    assert value(onnx_file, "functional_rrelu", -1) == pytest.approx(-0.2291667, abs=1e-6)


def test_14_the_state_of_the_process_is_left_alone(before, both):
    """Importing emlearn 0.23.2 makes numpy raise on underflow."""
    assert np.geterr() == before


def test_15_the_outputs_of_a_softmax_keep_their_order(both):
    """emlearn 0.23.2 swaps the two probabilities of a softmax of two outputs."""
    for run in both:
        assert run(2.0)["softmax"].reshape(-1).tolist() == pytest.approx([0.8808, 0.1192], abs=5e-5)


def test_16_batch_sizes_agree_to_rounding_and_not_to_the_bit(onnx_file):
    """onnxruntime 1.31.1: elu, softplus, mish, sin, log and atan change their last bits with the size of the batch."""
    numbers = np.linspace(0.1, 3, 67)
    whole = onnx_file(*numbers)
    single = [onnx_file(x) for x in numbers]
    for name in BATCHES:
        alone = np.concatenate([each[name] for each in single])
        np.testing.assert_allclose(alone, whole[name], rtol=2e-6)
    assert "to rounding, not to the bit" in (DOCS / "how_to" / "export.md").read_text(encoding="utf-8")
