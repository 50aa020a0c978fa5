#!/usr/bin/env bash
# torch 2.13.0: the gradient of gelu(approximate="tanh") is NaN for inputs of 3e19 and beyond in float32 and bfloat16.
#
# The value there is right (x for positive inputs, -0 for negative ones) and the slope is 1 or 0. The backward pass multiplies a derivative of
# tanh that is exactly 0 by 1 + 3 * 0.044715 * x^2, and x^2 overflows to infinity from 1.8e19 on: 0 * inf is NaN. float16 is computed in
# float32 and ends before; float64 begins at 1.3e154. gelu without the argument, silu and mish have no such range.
# Seen: gradient nan at -1e20, -3e19, 3e19 and 1e20; 1 at 1e19. Forward values finite everywhere.
# A tensor that is padded or masked with torch.finfo(dtype).min, as attention code does, gets NaN gradients from one such entry, where
# gelu's exact form gives 0.
# ActLab's kernel gives 0 and 1 (tests/codegen/test_native_gradient.py); a layer without kernels runs torch's function and has its gradient.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "torch==2.13.0" "numpy<3"
"$folder/venv/bin/python" - <<'PYTHON'
import torch
from torch.nn.functional import gelu

print("torch", torch.__version__)
seen = {}
for dtype in (torch.float32, torch.bfloat16):
    for approximate in ("tanh", "none"):
        x = torch.tensor([-1e20, -3e19, -1e19, 1e19, 3e19, 1e20], dtype=dtype, requires_grad=True)
        y = gelu(x, approximate=approximate)
        (gradient,) = torch.autograd.grad(y.sum(), x)
        seen[str(dtype), approximate] = (bool(y.isfinite().all()), gradient.isnan().tolist())
        print(dtype, approximate, "gradient", gradient.tolist())
far = [True, True, False, False, True, True]
expected = {(str(dtype), "tanh"): (True, far) for dtype in (torch.float32, torch.bfloat16)}
expected |= {(str(dtype), "none"): (True, [False] * 6) for dtype in (torch.float32, torch.bfloat16)}
assert seen == expected, f"the behaviour has changed: {seen}"
PYTHON
