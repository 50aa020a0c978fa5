"""Agreement, time and saved memory of gradient rules against other libraries and ReLU.

Run: pip install --no-deps snntorch freegrad spikingjelly, then python benchmarks/rules.py [--size 4194304] [--repeats 15] [spec ...]

One thread, CPU time (``time.thread_time``), forward and backward of one layer, all contenders interleaved in one process, medians; the
allocator keeps freed memory. Ratios are to ``torch.relu`` in the same run. "apart" is the largest difference between the gradients of the
other library's surrogate and of ActLab's at the same settings, on [-4, 4]. Bytes are those saved by autograd per element of float32.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from actlab.functions.rule import rules
from actlab.nn.layers.layer import layer
from actlab.nn.probes.saved_tensors import saved_bytes
from actlab.system.allocator import tune_allocator

FORWARD = {"grad": "relu/grad(silu)", "through": "dorefa/through", "ewgs": "dorefa/ewgs"}
GRID = torch.linspace(-4, 4, 4001)[1:-1:2]  # without zero, where libraries define the step differently
Function = Callable[[Tensor], Tensor]


class Shifted(nn.Module):
    """A layer whose input is a new tensor, saved by no other operation."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.bias, self.function = nn.Parameter(torch.zeros(())), function

    def forward(self, x: Tensor) -> Tensor:
        """Return the function of a new tensor."""
        return self.function(x + self.bias)


def other_libraries() -> Iterator[tuple[str, str, Function]]:
    """Yield ActLab's spec, and name and function of the other library, for the libraries that are installed."""
    with contextlib.suppress(ImportError):
        with contextlib.redirect_stdout(io.StringIO()):
            snn = importlib.import_module("snntorch.surrogate")
        yield "step/1", "snnTorch straight_through_estimator", snn.straight_through_estimator()
        yield "step/arctan", "snnTorch atan", snn.atan()
        yield "step/fast_sigmoid", "snnTorch fast_sigmoid", snn.fast_sigmoid()
        yield "step/sigmoid(k=25)", "snnTorch sigmoid", snn.sigmoid()
        yield "step/stochastic_spike", "snnTorch SSO", snn.SSO()
    with contextlib.suppress(ImportError):
        jelly = importlib.import_module("spikingjelly.activation_based.surrogate")
        for spec, name in {
            "step/unit_triangular": "PiecewiseQuadratic",
            "step/exponential": "PiecewiseExp",
            "step/sigmoid": "Sigmoid",
            "step/soft_sign": "SoftSign",
            "step/arctan": "ATan",
            "step/gaussian(sigma=0.35355339059327373)": "Erf",
            "step/leaky_window": "PiecewiseLeakyReLU",
            "step/sign_log_abs": "NonzeroSignLogAbs",
            "step/fourier": "SquarewaveFourierSeries",
            "step/s2nn": "S2NN",
            "step/q_pseudo_spike": "QPseudoSpike",
            "step/unit_rect": "Rect",
            "step/log_tailed": "LogTailedReLU",
            "step/soft_superspike": "SuperSpike",
        }.items():
            yield spec, f"SpikingJelly {name}", getattr(jelly, name)()
    with contextlib.suppress(ImportError):
        free = importlib.import_module("freegrad")
        for spec, forward, rule in [
            ("sigmoid/1", "Logistic", "d(Linear)"),
            ("relu/jam", "ReLU", "full_jam"),
            ("relu/positive_jam", "ReLU", "positive_jam"),
            ("relu/rectangular_jam", "ReLU", "rectangular_jam"),
            ("step/rect", "Heaviside", "rectangular"),
            ("step/triangular", "Heaviside", "triangular"),
        ]:
            yield spec, f"freegrad {forward}/{rule}", freegrad(free, forward, rule)


def freegrad(free: object, forward: str, rule: str) -> Function:
    """Return freegrad's activation; the backward pass looks up its rule, so its context stays open."""
    module, options = free.Activation(forward=forward), {"rectangular_jam": {"a": -5.0, "b": 5.0}}  # type: ignore[attr-defined] # freegrad has no annotations

    def run(x: Tensor) -> Tensor:
        if _open.get("rule") != rule:
            _close()
            context = free.use(rule=rule, params=options.get(rule, {}))  # type: ignore[attr-defined]  # as above
            context.__enter__()
            _open.update(rule=rule, context=context)
        y: Tensor = module(x)
        return y

    return run


_open: dict[str, object] = {}


def _close() -> None:
    context = _open.pop("context", None)
    _open.clear()
    if context is not None:
        context.__exit__(None, None, None)  # type: ignore[attr-defined]  # as above


def slope(function: Function) -> Tensor:
    """Return the gradient on the grid for an output gradient of one."""
    x = GRID.clone().requires_grad_()
    torch.manual_seed(0)
    (gradient,) = torch.autograd.grad(function(x).sum(), x)
    return gradient


def step(function: Function, x: Tensor, grad: Tensor) -> float:
    """Return the CPU seconds of one forward and backward pass."""
    start = time.thread_time()
    function(x).backward(grad)
    elapsed = time.thread_time() - start
    x.grad = None
    return elapsed


def ratios(functions: dict[str, Function], size: int, repeats: int) -> dict[str, float]:
    """Return the median time of each as a multiple of ReLU's."""
    x, grad = torch.randn(size, requires_grad=True), torch.randn(size)
    seconds_of: dict[str, list[float]] = {name: [] for name in functions}
    for repeat in range(repeats + 1):
        for name, function in functions.items():
            seconds = step(function, x, grad)
            if repeat:  # the first one compiles
                seconds_of[name].append(seconds)
    base = statistics.median(seconds_of["relu"])
    return {name: statistics.median(times) / base for name, times in seconds_of.items()}


def main() -> None:
    """Print two tables: every rule against ReLU, and other libraries against ActLab."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1 << 22)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("specs", nargs="*")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tune_allocator()
    warnings.simplefilter("ignore")
    print(
        f"{options.size} elements of float32, {options.repeats} repeats, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}\n"
    )
    specs = options.specs or [FORWARD.get(name, f"{'relu' if 'jam' in name else 'step'}/{name}") for name in rules()]
    times = ratios({"relu": torch.relu, **{spec: layer(spec) for spec in specs}}, options.size, options.repeats)
    print("| spec | time, ReLU = 1 | bytes kept |\n|---|---|---|")
    for spec in sorted(times, key=times.__getitem__):
        function = torch.relu if spec == "relu" else layer(spec)
        kept = saved_bytes(Shifted(function), torch.randn(1 << 14)) / (1 << 14)
        print(f"| {spec} | {times[spec]:.2f} | {kept:.3g} |")
    print(
        "\n| other library | ActLab | apart | other's time, ReLU = 1 | ActLab's | other's bytes | ActLab's |\n|---|---|---|---|---|---|---|"
    )
    for spec, name, other in other_libraries():
        module = layer(spec)
        try:
            apart = (
                f"{float((slope(other) - slope(module)).abs().max()):.1e}"
                if "jam" not in spec and "stochastic" not in spec
                else "noise"
            )
            times = ratios({"relu": torch.relu, "other": other, "actlab": module}, options.size, options.repeats)
            sizes = [saved_bytes(Shifted(f), torch.randn(1 << 14)) / (1 << 14) for f in (other, module)]
        except (RuntimeError, TypeError, ValueError, KeyError) as error:
            print(f"| {name} | {spec} | {type(error).__name__}: {str(error).splitlines()[0][:60]} | | | | |")
            continue
        print(
            f"| {name} | {spec} | {apart} | {times['other']:.2f} | {times['actlab']:.2f} | {sizes[0]:.3g} | {sizes[1]:.3g} |",
            flush=True,
        )
    _close()


if __name__ == "__main__":
    main()
