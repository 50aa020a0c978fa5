"""Scale of activations in deep nets with `actlab.init_` for every entry of the catalogue, against the forecast.

Run: python benchmarks/init_depth.py [--write] [name ...]        (about 25 minutes on one core; --write updates docs/reference/init.md)

Twenty times Linear(512) and the activation, without biases, norms or skips; inputs N(0, 1), 256 of them; 3 seeds. Gated functions get 1024
sums, gate and value; a function that changes the width is followed by a Linear of matching size; functions that mix tokens get 16 inputs of
16 tokens. Stochastic functions are in training mode. The benchmark measures the second moment of the activations, which is the subject of
`actlab.functions.analysis.depth_forecast` (the length map), and their variance over units and inputs, which follows from it.

The forecast is made from the function alone. If it predicts that the scale is kept, the geometric mean of the seeds must lie within a
factor of 2, for the second moment and for the variance, or the exit code is 1. If it predicts otherwise, it gives the reason.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from actlab.functions.activation import get, names
from actlab.functions.analysis.depth_forecast import FACTOR, Forecast, forecast
from actlab.functions.analysis.length_map import sees_tokens
from actlab.functions.grammar import parse
from actlab.nn.layers.layer import layer
from actlab.nn.transforms.init import init_

LAYERS, WIDTH, TOKENS, BATCH, SEEDS = 20, 512, 16, 256, 3
DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "reference" / "init.md"
BEGIN, END = "<!-- table -->\n", "<!-- /table -->"


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Change of scale in one net, last layer over first.

    Attributes:
        second: ratio of the second moments of the activations.
        variance: ratio of their variances.
    """

    second: float
    variance: float

    @property
    def kept(self) -> bool:
        """Whether both lie within the factor 2."""
        return all(1 / FACTOR <= ratio <= FACTOR for ratio in (self.second, self.variance))


def net(spec: str, *, layers: int = LAYERS, width: int = WIDTH) -> nn.Sequential:
    """Return linear layers, each followed by the activation with ``width`` inputs, twice as many for gated functions."""
    parsed = parse(spec)
    sums = 2 * width if parsed.activation.kind == "gated" else width
    units = width if sees_tokens(parsed) else parsed.width(sums)
    parts: list[nn.Module] = []
    for index in range(layers):
        parts += [nn.Linear(units if index else width, sums, bias=False), layer(spec)]
    return nn.Sequential(*parts)


def inputs(spec: str, generator: torch.Generator, *, width: int = WIDTH, batch: int = BATCH) -> Tensor:
    """Return N(0, 1) inputs; independent tokens if the function mixes tokens."""
    shape = (batch // TOKENS, TOKENS, width) if sees_tokens(spec) else (batch, width)
    return torch.randn(shape, generator=generator)


@torch.no_grad()
def measured(model: nn.Sequential, x: Tensor, seed: int) -> Scale:
    """Return the change of scale in an initialized model; stochastic functions use the seed."""
    ends = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for index, part in enumerate(model.train()):
            x = part(x)
            if index in {1, len(model) - 1}:
                ends.append(x.double())
    first, last = ends
    return Scale(
        second=(last.square().mean() / first.square().mean()).item(),
        variance=(last.var() / first.var()).item(),
    )


def drawn(spec: str, seed: int, *, layers: int = LAYERS, width: int = WIDTH) -> Scale:
    """Return the change of scale in one net initialized by `init_`."""
    generator = torch.Generator().manual_seed(seed)
    model = net(spec, layers=layers, width=width)
    x = inputs(spec, generator, width=width)
    init_(model, x[:2], generator)
    return measured(model, x, seed)


def average(scales: Sequence[Scale]) -> Scale:
    """Return the geometric mean."""

    def mean(ratios: list[float]) -> float:
        logs = [math.log(r) if r > 0 else -math.inf for r in ratios]  # zero or infinite: the signal is lost
        return math.exp(sum(logs) / len(logs)) if not any(map(math.isnan, ratios)) else math.nan

    return Scale(second=mean([s.second for s in scales]), variance=mean([s.variance for s in scales]))


def expected(spec: str, *, layers: int = LAYERS, width: int = WIDTH, nets: int = SEEDS) -> Forecast:
    """Return the forecast for :func:`net`."""
    sums = 2 * width if get(parse(spec).activation.name).kind == "gated" else width
    return forecast(spec, width=sums, layers=layers, tokens=TOKENS, nets=nets)


def verdict(foreseen: Forecast, mean: Scale) -> str:
    """Return the last column of the table."""
    if foreseen.holds:
        return "holds" if mean.kept else "FAILS"
    return foreseen.reason + (" (these nets kept it)" if mean.kept else "")


COLUMNS = (
    "activation",
    "gain",
    "slope",
    "noise of a layer",
    "layers kept",
    "forecast",
    "times or over",
    "second moment",
    "variance",
    "nets within 2",
    "verdict",
)
HEAD = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|"


def row(name: str, foreseen: Forecast, scales: Sequence[Scale]) -> str:
    """Return a line of the table."""
    mean = average(scales)
    kept = sum(scale.kept for scale in scales)
    spread = f"{foreseen.ratio:.2g} | {math.exp(min(foreseen.spread, 700)):.3g}"
    return (
        f"| {name} | {foreseen.gain:.4g} | {foreseen.slope:.3f} | {foreseen.noise:.1%} | {foreseen.kept} | {spread} | {mean.second:.3g} | "
        f"{mean.variance:.3g} | {kept} of {len(scales)} | {verdict(foreseen, mean)} |"
    )


def summary(lines: Sequence[str], outcomes: Sequence[tuple[Forecast, Scale]]) -> str:
    """Return the counts as a sentence."""
    kept = [mean for foreseen, mean in outcomes if foreseen.holds]
    reasons = Counter(foreseen.reason.split(":")[0] for foreseen, _ in outcomes if foreseen.reason)
    nevertheless = sum(mean.kept for foreseen, mean in outcomes if not foreseen.holds)
    listed = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    return (
        f"{len(lines)} entries: {len(kept)} keep their scale by the forecast, of which {sum(m.kept for m in kept)} lie within the factor "
        f"{FACTOR:g}; {len(lines) - len(kept)} exceptions ({listed or 'none'}), of which {nevertheless} lie within it nevertheless."
    )


def main() -> int:
    """Print the table and the counts; return 1 if an entry that should keep its scale does not."""
    torch.set_num_threads(1)
    chosen = [argument for argument in sys.argv[1:] if argument != "--write"] or names()
    lines, outcomes = [], []
    print(HEAD)
    for name in chosen:
        foreseen = expected(name)
        scales = [drawn(name, seed) for seed in range(SEEDS)]
        lines.append(row(name, foreseen, scales))
        outcomes.append((foreseen, average(scales)))
        print(lines[-1], flush=True)
    counts = summary(lines, outcomes)
    print(f"\n{counts}")
    if "--write" in sys.argv:
        before, rest = DOCUMENT.read_text(encoding="utf-8").split(BEGIN, 1)
        table = "\n".join([counts, "", HEAD, *lines, ""])
        DOCUMENT.write_text(before + BEGIN + table + END + rest.split(END, 1)[1], encoding="utf-8")
    return 1 if any(foreseen.holds and not mean.kept for foreseen, mean in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
