"""Time the activations of a model and their share of the forward pass.

Each round runs the model twice: without hooks, for the time of the forward pass, and with hooks, for the time of each site. Hooks cost time
between the sites, so the hooked pass as a whole is not used. A site's time includes one hook or one call through Python, a few
microseconds, which is most of it on a tiny model. It is CPU time where torch has one thread, and wall time otherwise or on a GPU.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time

import torch
from torch import nn

from actlab.nn.sites.dry_run import Inputs, copy_inputs, no_side_effects, run
from actlab.nn.sites.trace import trace
from actlab.nn.sites.user_modules import activation_modules

__all__ = ["Times", "time_sites"]


@dataclass(frozen=True, kw_only=True)
class Times:
    """Times of a forward pass and its activations, medians over the rounds.

    Attributes:
        forward: seconds of the forward pass.
        sites: seconds of all runs of a site in one pass, by the key of its slot.
    """

    forward: float
    sites: Mapping[Hashable, float]


def time_sites(model: nn.Module, example_inputs: Inputs, rounds: int) -> Times:
    """Time the forward pass of a model, and each of its activations, in eval mode without gradients.

    Args:
        model: any module; left unchanged.
        example_inputs: as for :func:`actlab.find`.
        rounds: number of timed rounds, after one for warming up.

    Example:
        >>> times = time_sites(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), torch.zeros(2, 4), 3)
        >>> len(times.sites), 0 < sum(times.sites.values()), times.forward > 0
        (1, True, True)
    """
    clock = _clock(model)
    known = activation_modules(model)
    forwards: list[float] = []
    by_round: list[dict[Hashable, float]] = []
    for _ in range(rounds + 1):
        arguments = copy_inputs(example_inputs)
        with no_side_effects(model):
            start = clock()
            run(model, arguments)
            forwards.append(clock() - start)
        seconds: dict[Hashable, float] = defaultdict(float)
        for step in trace(model, example_inputs, known, clock=clock).runs:
            if step.seconds is not None:
                seconds[step.slot.key] += step.seconds
        by_round.append(seconds)
    keys = {key for seconds in by_round[1:] for key in seconds}
    sites = {key: median(seconds.get(key, 0.0) for seconds in by_round[1:]) for key in keys}
    return Times(forward=median(forwards[1:]), sites=sites)


def _clock(model: nn.Module) -> Callable[[], float]:
    """Return a clock: CPU time with one thread, else wall time; on a GPU it synchronizes first.

    Other processes do not count in CPU time. They interrupt a long pass more often than a short site: wall time made shares five times too
    small on a machine with five processes on two cores.
    """
    if not any(parameter.is_cuda for parameter in model.parameters()):
        return process_time if torch.get_num_threads() == 1 else perf_counter

    def synchronized() -> float:
        torch.cuda.synchronize()
        return perf_counter()

    return synchronized
