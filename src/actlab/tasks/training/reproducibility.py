"""Reproducibility of trials by device, and the settings of torch on which it rests."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import torch

from actlab.tasks.training.devices import device_kind

__all__ = ["REPRODUCIBILITY", "Reproducibility", "make_repeatable"]


@dataclass(frozen=True, kw_only=True)
class Reproducibility:
    """What holds of two runs of a trial on the same kind of device.

    Attributes:
        to_the_bit: whether all numbers are equal where versions, type of device and number of threads are.
        tolerance: relative difference of the loss of the first step, in float32, that is allowed for; 0 where there is none.
        text: the same in a sentence, for reports.
    """

    to_the_bit: bool
    tolerance: float
    text: str


#: By kind of device. Between two kinds, the initial weights and the batches of a seed are equal, and sums are not.
REPRODUCIBILITY: Final[Mapping[str, Reproducibility]] = {
    "cpu": Reproducibility(
        to_the_bit=True,
        tolerance=0.0,
        text="On the CPU a trial that runs again gives the same numbers to the bit, with the same versions, type of processor and number "
        "of threads.",
    ),
    "cuda": Reproducibility(
        to_the_bit=False,
        tolerance=1e-5,
        text="On a CUDA card a trial that runs again gives the same numbers to the bit only where torch has deterministic code for all of "
        "its operations, which is asked for. Others add in an order that differs from run to run: the loss of the first step agrees to "
        "about 1e-5 of its size (float32), later ones to less, and results within the noise between seeds.",
    ),
    "mps": Reproducibility(
        to_the_bit=False,
        tolerance=1e-4,
        text="On MPS the order of sums is not fixed: the loss of the first step agrees to about 1e-4 of its size (float32), later ones to "
        "less, and results within the noise between seeds.",
    ),
}


def make_repeatable(device: str) -> None:
    """Have this process use a device, and deterministic code on it where torch has some. Meant for a process that runs trials.

    User code that asks for "cuda" without a number gets the same card.
    """
    if device_kind(device) != "cuda":
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS may add in another order
    with suppress(RuntimeError):  # torch's own testing modules forbid it for the rest of the process
        torch.backends.cudnn.benchmark = False  # else the fastest algorithm is chosen anew by each process
        torch.backends.cudnn.deterministic = True
    torch.use_deterministic_algorithms(True, warn_only=True)
    setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010 # torch has no annotation for it; costs time, and changes no result of a sound model
    warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation.*")
    torch.cuda.set_device(device)
