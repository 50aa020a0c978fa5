#!/usr/bin/env bash
# torch 2.13.0: nn.TransformerEncoderLayer with nn.GELU(approximate="tanh") trains with the tanh form and predicts with the exact one.
#
# In eval mode without gradients the layer runs a fused kernel. It is chosen for any nn.GELU, and computes the exact GELU, whatever the
# module's `approximate` says; with gradients, or in train mode, the module runs. Dropout is 0 here, so both modes should agree.
# Seen: largest difference of train and eval outputs 1e-4; between the eval outputs and those of the exact GELU in train mode 4e-7.
# Small for one layer in float32, but the two functions are different ones, and an export or a quantised table of either is no copy of the
# other. torch.backends.mha.set_fastpath_enabled(False) makes eval mode run the module.
# ActLab tells which function runs from the outputs: `actlab conform` (tests/export/conform/test_conform.py).
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "torch==2.13.0" "numpy<3"
"$folder/venv/bin/python" - <<'PYTHON'
import torch
from torch import nn

print("torch", torch.__version__)
torch.manual_seed(0)
layer = nn.TransformerEncoderLayer(16, 4, 64, batch_first=True, dropout=0.0, activation=nn.GELU(approximate="tanh"))
x = 3 * torch.randn(2, 5, 16)
with torch.no_grad():
    trained = layer.train()(x)
    fused = layer.eval()(x)
    torch.backends.mha.set_fastpath_enabled(False)
    module = layer.eval()(x)
    layer.activation = nn.GELU()
    exact = layer.train()(x)


def largest(a, b):
    return float((a - b).abs().max())


print(f"train and eval {largest(trained, fused):.1e}, eval and exact GELU {largest(fused, exact):.1e}")
print(f"train and eval without the fused kernel {largest(trained, module):.1e}")
assert largest(trained, fused) > 3e-5, "the behaviour has changed"
assert largest(fused, exact) < 3e-6, "the behaviour has changed"
assert largest(trained, module) < 3e-6, "the behaviour has changed"
PYTHON
