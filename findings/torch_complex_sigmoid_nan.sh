#!/usr/bin/env bash
# torch 2.13.0: sigmoid of a complex number with a large negative real part is NaN, and so is its gradient.
#
# The exact value of 1 / (1 + exp(-z)) at z = -100 + 1j is about exp(z), 4e-44 in size: zero in complex64. torch returns NaN,
# since exp(-z) overflows to an infinity in both parts and the complex division of 1 by it is NaN. It begins where exp overflows: at
# real parts below about -88.7 in complex64 and -709.8 in complex128. Real tensors give 0, and tanh of complex tensors is right.
# Seen: sigmoid(-100 + 1j) = nan+nanj in complex64, 2.01e-44+3.13e-44j in complex128; sigmoid(-800 + 1j) = nan+nanj in complex128.
# Complex-valued nets that gate by a sigmoid (or by silu) get NaN from one strongly negative pre-activation.
# ActLab computes sigmoid(z) of complex tensors from exponentials that cannot overflow (tests/codegen/test_complex_plane.py).
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "torch==2.13.0" "numpy<3"
"$folder/venv/bin/python" - <<'PYTHON'
import torch

print("torch", torch.__version__)
seen = {}
for dtype, real in ((torch.complex64, -80.0), (torch.complex64, -100.0), (torch.complex128, -100.0), (torch.complex128, -800.0)):
    z = torch.tensor([complex(real, 1.0)], dtype=dtype, requires_grad=True)
    value = torch.sigmoid(z)
    (gradient,) = torch.autograd.grad(value.real.sum(), z)
    seen[str(dtype), real] = (bool(value.isnan().any()), bool(gradient.isnan().any()))
    print(f"{dtype} sigmoid({real:g} + 1j) = {value.item():.3g}, gradient {gradient.item():.3g}")
print("real:", torch.sigmoid(torch.tensor(-100.0)).item(), " tanh:", torch.tanh(torch.tensor(-100 + 1j)).item())
expected = {
    ("torch.complex64", -80.0): (False, False),
    ("torch.complex64", -100.0): (True, True),
    ("torch.complex128", -100.0): (False, False),
    ("torch.complex128", -800.0): (True, True),
}
assert seen == expected, f"the behaviour has changed: {seen}"
PYTHON
