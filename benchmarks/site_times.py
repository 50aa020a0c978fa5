"""Share of a forward pass spent in activations by `find(..., rounds=n)`, against torch's profiler.

    python benchmarks/site_times.py

The profiler reports operators, not sites, so the sums over a model are compared: the share of its activations' operators in the time of
all operators. Rounds of both are interleaved; printed are medians.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from statistics import median

os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # otherwise the profiler prints a message at every start

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

import actlab

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.nn.convnets import NETS  # the path has to be extended first

OPERATORS = {  # relu_ and hardtanh_ run as clamps
    *(
        "aten::clamp",
        "aten::clamp_",
        "aten::clamp_min",
        "aten::clamp_min_",
        "aten::gelu",
        "aten::hardtanh",
        "aten::hardtanh_",
    ),
    *("aten::relu", "aten::relu_", "aten::tanh"),
}
ROUNDS, TURNS = 5, 7


def models() -> dict[str, tuple[nn.Module, Tensor]]:
    """Return models whose activations are separate operators."""
    torch.manual_seed(0)
    images = torch.randn(64, 3, 64, 64)
    mlp = nn.Sequential(*(part for _ in range(4) for part in (nn.Linear(512, 512), nn.GELU())))
    tanh = nn.Sequential(*(part for _ in range(4) for part in (nn.Linear(64, 64), nn.Tanh())))
    nets = {name: (NETS[name][0](), images) for name in ("ResNet", "MobileNetV2")}
    return {**nets, "MLP of GELU": (mlp, torch.randn(1024, 512)), "MLP of tanh": (tanh, torch.randn(4096, 64))}


def ours(model: nn.Module, x: Tensor) -> float:
    """Return the share of all sites together, by `find`."""
    return sum(site.share or 0.0 for site in actlab.find(model, x, rounds=ROUNDS))


def profilers(model: nn.Module, x: Tensor) -> float:
    """Return the share of the activations' operators by the profiler, self time only."""
    with torch.no_grad(), profile(activities=[ProfilerActivity.CPU]) as seen:
        for _ in range(ROUNDS):
            model(x)
    times = {event.key: event.self_cpu_time_total for event in seen.key_averages()}
    return sum(time for name, time in times.items() if name in OPERATORS) / sum(times.values())


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print(f"{'':14}{'share by find':>15}{'by the profiler':>18}{'ratio':>8}")
    for name, (model, x) in models().items():
        model.eval()
        pairs = [(ours(model, x), profilers(model, x)) for _ in range(TURNS)]
        a, b = median(p[0] for p in pairs), median(p[1] for p in pairs)
        print(f"{name:14}{a:15.1%}{b:18.1%}{median(p[0] / p[1] for p in pairs):8.2f}")


if __name__ == "__main__":
    main()
