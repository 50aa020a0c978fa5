"""The timing: how long the activations of a model take, and which share of the forward pass that is.

Every pass is run twice, by turns: as it is, which gives the time of the whole, and watched, which gives the time of each site. Looking on
costs time between the sites, so the watched pass as a whole is never the measure. A site's own time includes one hook or one hop through
Python, a few microseconds: on a tiny model that is most of it. It is CPU time where torch has one thread, and time on the wall where it has
more or the model lies on a GPU.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time

import torch
from torch import nn

from actlab.nn.sites.dry_run import Inputs, copied, run, undisturbed
from actlab.nn.sites.trace import trace
from actlab.nn.sites.user_modules import known_modules

__all__ = ["Times", "timed"]


@dataclass(frozen=True, kw_only=True)
class Times:
    """How long a forward pass takes, and its activations.

    Attributes:
        whole: seconds of the forward pass, the median over the rounds.
        sites: seconds of all runs of a site in one pass, the median over the rounds, by the key of its place.
    """

    whole: float
    sites: Mapping[Hashable, float]


def timed(model: nn.Module, example_inputs: Inputs, rounds: int) -> Times:
    """Time the forward pass of a model, and each of its activations, in eval mode without gradients.

    Args:
        model: any module; it is left as it was.
        example_inputs: as for :func:`actlab.find`.
        rounds: how many passes are timed; one more warms up.

    Example:
        >>> times = timed(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), torch.zeros(2, 4), 3)
        >>> len(times.sites), 0 < sum(times.sites.values()), times.whole > 0
        (1, True, True)
    """
    clock = _clock(model)
    known = known_modules(model)
    wholes: list[float] = []
    each: list[dict[Hashable, float]] = []
    for _ in range(rounds + 1):
        arguments = copied(example_inputs)
        with undisturbed(model):
            start = clock()
            run(model, arguments)
            wholes.append(clock() - start)
        found: dict[Hashable, float] = defaultdict(float)
        for step in trace(model, example_inputs, known, clock=clock).runs:
            if step.seconds is not None:
                found[step.place.key] += step.seconds
        each.append(found)
    keys = {key for found in each[1:] for key in found}
    return Times(
        whole=median(wholes[1:]), sites={key: median(found.get(key, 0.0) for found in each[1:]) for key in keys}
    )


def _clock(model: nn.Module) -> Callable[[], float]:
    """Return a clock that waits for the GPU where the model lies on one, and that neighbours on a busy machine do not disturb.

    With one thread that is CPU time: a long pass is interrupted more often than a short site, which made shares five times too small on a
    machine with five processes on two cores.
    """
    if not any(parameter.is_cuda for parameter in model.parameters()):
        return process_time if torch.get_num_threads() == 1 else perf_counter

    def waiting() -> float:
        torch.cuda.synchronize()
        return perf_counter()

    return waiting
