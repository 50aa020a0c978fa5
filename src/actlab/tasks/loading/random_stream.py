"""Stream of random numbers for loaders, apart from what models draw from the global generators."""

from __future__ import annotations

import random
from types import TracebackType

import numpy as np
import torch

__all__ = ["RandomStream"]


class RandomStream:
    """States of the global generators of torch, NumPy and ``random`` that are in place inside a block.

    Datasets, samplers and loaders draw from the global generators, and so do dropout and other parts of models between two batches. Each
    batch is read inside such a block, so that the data do not depend on the model. A block takes 30 microseconds, of which 27 are for the
    state of ``random``. The spare number that ``numpy.random.normal`` keeps of each pair is lost at the borders of a block.

    Args:
        key: whole numbers, such as seed and epoch; equal ones give equal streams.

    Example:
        >>> stream = RandomStream(0, 1)
        >>> with stream:
        ...     first = torch.rand(1)
        >>> _ = torch.rand(10)
        >>> with stream, RandomStream(0, 1):
        ...     bool(torch.rand(1) == first)
        True
    """

    def __init__(self, *key: int) -> None:
        seed = (
            int(
                np.random.SeedSequence([2 * part if part >= 0 else -2 * part - 1 for part in key]).generate_state(
                    1, np.uint64
                )[0]
            )
            >> 1
        )
        self._torch = torch.Generator().manual_seed(seed).get_state()
        self._numpy: np.random.BitGenerator = np.random.MT19937(seed)
        self._random = random.Random(seed).getstate()  # noqa: S311 # no cryptography

    def __enter__(self) -> None:
        self._swap()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self._swap()

    def _swap(self) -> None:
        """Exchange the states of the global generators and those that are kept here."""
        generator = torch.default_generator
        state = generator.get_state()
        generator.set_state(self._torch)
        self._torch = state
        # the states of NumPy's generator need 70 microseconds to be copied; its bit generator is exchanged in 0.2
        bits = np.random.mtrand.get_bit_generator()
        np.random.mtrand.set_bit_generator(self._numpy)
        self._numpy = bits
        python = random.getstate()
        random.setstate(self._random)
        self._random = python
