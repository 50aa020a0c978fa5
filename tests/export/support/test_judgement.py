"""What targets run of a model: facts with version and source, and what takes the place of the rest."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import actlab
from actlab import cli
from actlab.codegen.int8.table import int8_table
from actlab.errors import UnknownNameError
from actlab.export.support.judgement import support
from actlab.export.support.target import target, targets
from actlab.functions.grammar import parse
from actlab.report.terminal.result import text


def of(act, on):
    return support(nn.Sequential(nn.Linear(4, 4), act if isinstance(act, nn.Module) else actlab.layer(act)), on).sites[
        0
    ]


@pytest.mark.parametrize("name", targets())
def test_every_target_names_version_source_and_functions_that_exist(name):
    there = target(name)
    assert there.version
    assert any(word in there.source for word in ("github.com", "PyPI", "measured"))
    assert there.arithmetic in {"int8", "float32"}
    for spec in (*there.runs, *there.differs, *(runs for runs, _ in there.differs.values())):
        assert str(parse(spec))
    assert set(there.any_values) <= {parse(spec).activation.name for spec in there.runs}
    assert not set(there.runs) & set(there.differs)


def test_a_function_that_is_one_operator_runs():
    assert of("leaky_relu(0.3)", "esp-dl").how == "LeakyRelu"
    assert of("hardtanh(0, 6)", "ethos-u").how == "Relu6, as relu6"
    assert of(nn.ReLU6(), "cmsis-nn").runs


def test_mish_becomes_a_table_or_the_nearest_function_with_its_difference():
    site = of("mish", "ethos-u")
    assert not site.runs
    table, nearest = site.replacements[:2]
    assert (table.way, table.spec, table.largest) == ("table", "mish", 0)
    assert (nearest.way, nearest.spec) == ("morph", "hardswish")
    x = torch.linspace(-8, 8, 1601, dtype=torch.float64)
    apart = (nn.functional.mish(x) - nn.functional.hardswish(x)).abs().max()
    assert nearest.largest == pytest.approx(float(apart), rel=1e-9)
    assert 'morph_(model, {"1": "hardswish"}' in nearest.how
    assert len(int8_table(table.spec, input_scale=0.05, input_zero=0, output_scale=0.05, output_zero=0)) == 256


def test_a_target_without_tables_gets_none():
    assert [each.way for each in of("mish", "cmsis-nn").replacements] == ["morph", "morph"]
    assert [each.way for each in of("mish", "emlearn").replacements] == ["morph", "morph"]


@pytest.mark.parametrize("on", ["executorch", "executorch-xnnpack"])
def test_tanh_gelu_is_another_function_in_executorch_1_5_1(on):
    site = of(nn.GELU("tanh"), on)
    assert site.way == "another function"
    assert site.how.startswith("gelu: ")
    nearest = next(each for each in site.replacements if each.way == "morph")
    assert nearest.spec == "gelu"
    assert nearest.largest == pytest.approx(4.7e-4, rel=0.02)


def test_emlearn_0_23_2_drops_the_bound_of_relu6():
    assert of(nn.ReLU6(), "emlearn").how.startswith("relu: ")


def test_a_gated_function_runs_as_its_gate_and_a_product():
    assert of("reglu", "ethos-u").way == "operators"
    site = of("swiglu", "ethos-u")
    assert site.way == "none"
    assert site.replacements[0].how == "the gate as a table of 256 codes, and Mul"
    assert site.replacements[1].spec in actlab.names("gated")


def test_learned_numbers_are_not_taken_for_their_initial_value():
    assert not of("swish(beta=learned)", "esp-dl").runs
    assert "trained numbers" in of("swish(beta=learned)", "esp-dl").replacements[0].how
    assert of("silu", "esp-dl").runs


def test_onnxruntime_runs_everything_that_the_export_writes():
    assert not support(nn.Sequential(nn.Mish(), actlab.layer("swiglu"), nn.Softmax(-1)), "onnxruntime").missing


def test_an_unknown_target_is_refused_with_those_that_there_are():
    with pytest.raises(UnknownNameError, match=r"Did you mean 'ethos-u'.*There are cmsis-nn, emlearn, esp-dl"):
        support(nn.Sequential(nn.ReLU()), "etos-u")


def test_the_command_lists_sites_and_replacements(tmp_path):
    file = tmp_path / "net.py"
    file.write_text(
        "import torch\nfrom torch import nn\n"
        "model = nn.Sequential(nn.Linear(4, 4), nn.Mish(), nn.ReLU())\nexample_inputs = torch.zeros(2, 4)\n"
    )
    done = CliRunner().invoke(cli.app, ["sites", str(file), "--target", "cmsis-nn"])
    assert done.exit_code == 0
    assert "cmsis-nn does not run 1 of 2 activations as they are" in done.output
    assert "Include/arm_nnfunctions.h" in done.output
    as_json = json.loads(CliRunner().invoke(cli.app, ["sites", str(file), "--target", "esp-dl", "--json"]).stdout)
    assert as_json["missing"] == ["1"]
    assert as_json["sites"][1]["way"] == "operator"
    assert CliRunner().invoke(cli.app, ["sites", str(file), "--target", "nowhere"]).exit_code == 2


def test_the_view_says_where_all_of_it_runs():
    assert "ethos-u runs all of its 1 activation" in text(support(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), "ethos-u"))
