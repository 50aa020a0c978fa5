"""Half-precision error of one rounding against rounding after every operation.

Run: python benchmarks/half_precision.py
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from actlab.codegen.pytorch import function
from actlab.functions.activation import get

CHAINS = {
    "mish": lambda x: x * torch.tanh(F.softplus(x)),
    "telu": lambda x: x * torch.tanh(torch.exp(x)),
    "serf": lambda x: x * torch.erf(F.softplus(x)),
    "gelu_sigmoid": lambda x: x * torch.sigmoid(1.702 * x),
}


def main() -> None:
    """Print the largest error on [-8, 8] in units of the last place of the exact value."""
    print("| function | dtype | ActLab | chain of torch operations |\n|---|---|---|---|")
    for name, chain in CHAINS.items():
        for dtype in (torch.bfloat16, torch.float16):
            x = torch.linspace(-8, 8, 40_001).to(dtype).unique()
            exact = chain(x.double())
            ulp = torch.finfo(dtype).eps * torch.exp2(torch.floor(torch.log2(exact.abs().clamp_min(1e-4))))
            once, each = (((f(x).double() - exact).abs() / ulp).max().item() for f in (function(get(name)), chain))
            print(f"| {name} | {str(dtype).removeprefix('torch.')} | {once:.2f} ulp | {each:.2f} ulp |")


if __name__ == "__main__":
    main()
