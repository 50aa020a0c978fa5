"""Signal propagation against closed forms (gradients by depth, critical points, SELU's map, born-dead nets).

Run: python benchmarks/propagation.py [--seeds 3] [--quick]        (about two minutes on one core)

20 times Linear(512) and the function, 256 inputs from N(0, 1), torch's default init or He's. The measured value is log10 of the
gradient's norm at the pre-activations of layer 1 over that of layer 20, for a random linear function of the output. The closed form
uses functions, widths and the mean squares of the weights only. The exit code is 1 if the mean of the seeds differs from it by more
than 0.05 decades with the default init, or if another printed statement does not hold.
"""

from __future__ import annotations

import math
import statistics
import sys

import torch
from torch import nn

from actlab.functions.analysis.depth_forecast import forecast
from actlab.functions.analysis.edge_of_chaos import born_dead_bound, critical_point, map_norm
from actlab.nn.layers.layer import layer
from actlab.nn.probes.propagation import propagation

FUNCTIONS = ("relu", "gelu", "silu", "tanh", "sigmoid", "selu", "elu")
LAYERS, WIDTH, BATCH = 20, 512, 256
TOLERANCE = 0.05  # decades
CELLS = ((10, 2), (10, 3), (10, 4), (10, 5), (20, 2), (20, 4), (3, 2), (5, 2))  # depth, width
NETS = 8000


def net(spec: str, init: str, seed: int, *, width: int = WIDTH, layers: int = LAYERS) -> nn.Sequential:
    """Return linear layers, each followed by the function."""
    torch.manual_seed(seed)
    linears = [nn.Linear(width, width) for _ in range(layers)]
    for linear in linears if init == "he" else ():
        nn.init.kaiming_normal_(linear.weight)
        nn.init.zeros_(linear.bias)
    return nn.Sequential(*(part for linear in linears for part in (linear, layer(spec))))


def decades(spec: str, init: str, seeds: int, *, width: int = WIDTH) -> tuple[list[float], list[float], str]:
    """Return measured and forecast decades of every seed, and the diagnosis of the last net."""
    found = [propagation(net(spec, init, seed, width=width), torch.randn(BATCH, width)) for seed in range(seeds)]
    trouble = found[-1].trouble
    words = "kept" if trouble is None else f"{trouble.kind} from layer {int(trouble.begins) // 2 + 1}"
    return [one.decades for one in found], [one.decades_forecast for one in found], words


def depth_table(seeds: int) -> bool:
    """Print the table of both inits; return whether the default one agrees."""
    print(
        f"{'init':8} {'function':8} {'measured, by seed':>28} {'mean':>8} {'closed form':>12} {'off by':>7}  diagnosis"
    )
    holds = True
    for init in ("default", "he"):
        for spec in FUNCTIONS:
            measured, forecasts, words = decades(spec, init, seeds)
            off = statistics.mean(measured) - statistics.mean(forecasts)
            holds &= init == "he" or abs(off) <= TOLERANCE
            texts = " ".join(f"{value:8.3f}" for value in measured[:3])
            print(
                f"{init:8} {spec:8} {texts:>28} {statistics.mean(measured):8.3f} {statistics.mean(forecasts):12.3f} {off:+7.3f}  {words}",
                flush=True,
            )
    return holds


def widths(seeds: int, sizes: tuple[int, ...]) -> None:
    """Print the convergence to the closed form with the width, for GELU at He's init."""
    print("\ngelu at He's init: the gap is one of finite width")
    slope = forecast("gelu").slope
    print(
        f"(a deviation of q grows by the factor {slope:.2f} a layer at the fixed point, {slope**19:.0f} in 19 layers)"
    )
    for width in sizes:
        measured, forecasts, _ = decades("gelu", "he", seeds, width=width)
        spread = statistics.stdev(measured)
        off = statistics.mean(measured) - statistics.mean(forecasts)
        print(
            f"  width {width:5}: measured {statistics.mean(measured):7.3f} (deviation {spread:.3f}), off by {off:+.3f}",
            flush=True,
        )


def critical_points(layers: int = 30) -> bool:
    """Print the critical points at biases of 0.2, and the gradients of nets initialized there; return whether these keep their gradient."""
    print(f"\ncritical points at sigma_b = 0.2, and {layers} layers of {WIDTH} initialized there, mean of 3 seeds")
    holds = True
    for spec in ("tanh", "elu", "gelu"):
        point = critical_point(spec, 0.2)
        found = []
        for factor in (0.9, 1.0, 1.1):
            nets = [_drawn(spec, factor * point.weight, point.bias, layers, seed) for seed in range(3)]
            start = torch.randn(BATCH, WIDTH) * math.sqrt(point.q)
            ran = [propagation(one, start) for one in nets]
            found.append(
                (statistics.mean(one.decades for one in ran), statistics.mean(one.layers[-1].q for one in ran))
            )
        (low, _), (at, q), (high, _) = found
        holds &= abs(at) < min(abs(low), abs(high))
        print(
            f"  {spec:5} sigma_w {point.weight:.4f}, q {point.q:.4f} (slope {point.slope:.3f}): q in layer {layers} {q:.4f}, "
            f"gradient {at:+.3f} decades; at 0.9 sigma_w {low:+.3f}, at 1.1 {high:+.3f}",
            flush=True,
        )
    return holds


def _drawn(spec: str, weight: float, bias: float, layers: int, seed: int) -> nn.Sequential:
    """Return a net with weights and biases of these scales; its inputs are pre-activations, so that it begins with the activation."""
    made = net(spec, "default", seed, layers=layers)
    with torch.no_grad():
        for module in made:
            if isinstance(module, nn.Linear):
                module.weight.normal_(0, weight / math.sqrt(WIDTH))
                module.bias.normal_(0, bias)
    return nn.Sequential(layer(spec), *made)


def born_dead(depth: int, width: int, nets: int = NETS) -> float:
    """Return the share of ReLU nets of one input and ``depth - 1`` hidden layers, He-normal and without biases, that are constant."""
    generator = torch.Generator().manual_seed(depth * 100 + width)
    x = torch.tensor([[1.0], [-1.0]]).expand(nets, 2, 1)  # without biases all inputs of one sign behave alike
    for _ in range(depth - 1):
        fan_in = x.shape[-1]
        weights = torch.randn(nets, fan_in, width, generator=generator) * math.sqrt(2 / fan_in)
        x = (x @ weights).relu()
    return float((x == 0).all(dim=(1, 2)).double().mean()) if x.dim() == 3 else math.nan


def dead_table() -> bool:
    """Print measured shares of born-dead nets beside their bound; return whether none is above it."""
    print(f"\nborn dead, {NETS} nets per cell: share, its standard error, bound")
    holds = True
    for depth, width in CELLS:
        share, bound = born_dead(depth, width), born_dead_bound([width] * (depth - 1))
        error = math.sqrt(share * (1 - share) / NETS)
        holds &= share <= bound
        print(f"  depth {depth:2} width {width}: {share:.3f} ± {error:.3f}, bound {bound:.3f}")
    return holds


def main() -> int:
    """Print all tables; return the exit code."""
    torch.set_num_threads(1)
    seeds = int(sys.argv[sys.argv.index("--seeds") + 1]) if "--seeds" in sys.argv else 3
    holds = [depth_table(seeds)]
    widths(seeds, (128, 512) if "--quick" in sys.argv else (128, 512, 2048))
    holds.append(critical_points())
    norm = map_norm("selu")
    print(f"\nspectral norm of SELU's map of mean and variance at (0, 1): {norm:.4f} (its paper: 0.7877)")
    holds += [round(norm, 4) == 0.7877, dead_table()]
    print("\nall statements hold" if all(holds) else f"\nNOT all statements hold: {holds}")
    return 0 if all(holds) else 1


if __name__ == "__main__":
    sys.exit(main())
