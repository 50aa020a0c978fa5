"""Calls of CMSIS-NN behind a switch: the same bits with a function that computes what CMSIS-NN says that it does."""

from __future__ import annotations

import shutil
import subprocess

import pytest
import torch
from torch import nn

import actlab
from actlab.errors import ExportError

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")

# As in CMSIS-NN 7 (arm_nn_types.h, arm_fully_connected_per_channel_s8.c, arm_nn_requantize with CMSIS_NN_USE_SINGLE_ROUNDING).
STUB = """#include <stdint.h>
typedef struct { void *buf; int32_t size; } cmsis_nn_context;
typedef struct { int32_t n, h, w, c; } cmsis_nn_dims;
typedef struct { int32_t *multiplier, *shift; } cmsis_nn_per_channel_quant_params;
typedef struct { int32_t min, max; } cmsis_nn_activation;
typedef struct { int32_t input_offset, filter_offset, output_offset; cmsis_nn_activation activation; } cmsis_nn_fc_params;
static int calls;
static int arm_fully_connected_per_channel_s8(const cmsis_nn_context *context, const cmsis_nn_fc_params *fc,
    const cmsis_nn_per_channel_quant_params *quant, const cmsis_nn_dims *input, const int8_t *x,
    const cmsis_nn_dims *filter, const int8_t *w, const cmsis_nn_dims *bias, const int32_t *b, const cmsis_nn_dims *out, int8_t *y)
{
    (void)context, (void)bias, ++calls;
    for (int32_t n = 0; n < input->n; ++n)
        for (int32_t o = 0; o < out->c; ++o) {
            int64_t sum = b[o];
            for (int32_t i = 0; i < filter->n; ++i)
                sum += (w[o * filter->n + i] + fc->filter_offset) * (x[n * filter->n + i] + fc->input_offset);
            sum = ((sum * quant->multiplier[o] >> (30 - quant->shift[o])) + 1) >> 1;
            sum += fc->output_offset;
            sum = sum < fc->activation.min ? fc->activation.min : sum > fc->activation.max ? fc->activation.max : sum;
            y[n * out->c + o] = (int8_t)sum;
        }
    return 0;
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("projects")
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1), actlab.layer("gelu"), nn.Conv2d(6, 6, 3, groups=6), nn.ReLU(), nn.Conv2d(6, 7, 1),
        nn.Flatten(), nn.Linear(7 * 4 * 4, 39), actlab.layer("mish"), nn.Linear(39, 5),
    )  # fmt: skip
    actlab.export(model, torch.randn(40, 2, 6, 6), folder / "net", to="int8", vectors=6, cmsis_nn=True)
    (folder / "arm_nnfunctions.h").write_text(STUB)
    return folder


def compiled(folder, *flags):
    files = [str(folder / "net" / name) for name in ("net.c", "net_test.c")]
    strict = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-fsanitize=undefined"]
    command = ["gcc", *strict, f"-I{folder}", *flags, *files, "-o", str(folder / "program")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_both_forms_compute_the_same_bits(folder):
    for flags in ([], ["-DNET_CMSIS_NN", "-DCMSIS_NN_USE_SINGLE_ROUNDING"]):
        assert compiled(folder, *flags).stderr == ""
        done = subprocess.run([str(folder / "program")], capture_output=True, text=True, check=False)
        assert "60 numbers, 0 differing" in done.stdout


def test_rounding_twice_is_refused_by_the_compiler(folder):
    done = compiled(folder, "-DNET_CMSIS_NN")
    assert done.returncode != 0
    assert "Define CMSIS_NN_USE_SINGLE_ROUNDING" in done.stderr


def test_what_cmsis_nn_does_not_have_is_refused(tmp_path):
    options = {"cmsis_nn": True, "output_width": 32}
    with pytest.raises(ExportError, match="export without cmsis_nn"):
        actlab.export(nn.Linear(2, 3), torch.randn(9, 2), tmp_path / "net", to="int8", **options)
    assert list(tmp_path.iterdir()) == []
